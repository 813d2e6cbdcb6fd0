//! Which addresses may be in a message's envelope, in eight octets: so that a filter by sender or recipient reads only the files of
//! messages that it is likely to find.

use std::hash::{BuildHasher, RandomState};

/// A Bloom filter over addresses and their domains: four of 64 bits each. With one sender and one recipient a filter by an address that
/// is not there reads one file in about a hundred; with some twenty recipients it reads them all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u64);

impl Marks {
    /// Adds an address and its domain, both in whatever case.
    pub fn add(&mut self, hasher: &RandomState, address: &str) {
        self.0 |= Self::of(hasher, address).0;
        if let Some((_, domain)) = address.rsplit_once('@') {
            self.0 |= Self::of(hasher, domain).0;
        }
    }

    /// The marks of one address, or one domain.
    pub fn of(hasher: &RandomState, name: &str) -> Self {
        let hash = hasher.hash_one(name.to_lowercase());
        Self((0..4).fold(0, |bits, step| bits | 1 << (hash >> (6 * step) & 63)))
    }

    /// Whether what has these marks may be in it.
    pub fn may_have(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

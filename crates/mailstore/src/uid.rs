//! Unique identifiers of messages.

use std::fmt;
use std::num::NonZeroU32;

/// A message's unique identifier in its folder: assigned in rising order, never reused while the folder's UIDVALIDITY stands
/// (RFC 9051 §2.3.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Uid(NonZeroU32);

impl Uid {
    /// The smallest.
    pub const MIN: Uid = Uid(NonZeroU32::MIN);
    /// The largest.
    pub const MAX: Uid = Uid(NonZeroU32::MAX);

    /// The identifier `value`; zero is none.
    pub const fn new(value: u32) -> Option<Uid> {
        match NonZeroU32::new(value) {
            Some(value) => Some(Uid(value)),
            None => None,
        }
    }

    /// As a number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The next one; none after the largest.
    pub fn next(self) -> Option<Uid> {
        self.0.checked_add(1).map(Uid)
    }
}

impl From<NonZeroU32> for Uid {
    fn from(value: NonZeroU32) -> Uid {
        Uid(value)
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

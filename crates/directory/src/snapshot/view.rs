//! What a look-up reads: base, overlay, domains and nodes, all of one instant of the database.

use std::hash::BuildHasher;
use std::sync::Arc;

use chasqui_base::address::EmailAddress;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::base::Base;
use super::entry::{self, Entry, Key};
use crate::record::Node;

/// The directory at one instant.
#[derive(Clone, Default)]
pub(crate) struct View {
    pub(crate) base: Arc<Base>,
    pub(crate) overlay: Overlay,
    pub(crate) domains: Arc<Domains>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) delegations: Arc<Delegations>,
    /// How many accounts there are.
    pub(crate) accounts: usize,
    /// The last change of the database that is in it.
    pub(crate) sequence: i64,
}

/// The domains served here, by name.
pub(crate) type Domains = HashMap<Box<str>, Domain>;
/// The storage nodes, by their id in the database.
pub(crate) type Nodes = HashMap<u32, Arc<Node>>;

/// Addresses that accounts may send as, by the account. Canonical addresses all.
pub(crate) type Delegations = HashMap<Box<str>, Vec<Box<str>>>;

/// A domain served here.
#[derive(Debug, Clone)]
pub(crate) struct Domain {
    pub(crate) id: u32,
    /// Who receives what nobody else of the domain does.
    pub(crate) catch_all: Option<EmailAddress>,
}

impl View {
    /// The entry of an address; one that was removed since the base was made is not found.
    pub(crate) fn find(&self, key: Key<'_>) -> Option<Entry<'_>> {
        let packed = match self.overlay.find(key) {
            Some(packed) => packed,
            None => self.base.find(key)?,
        };
        match entry::unpack(packed) {
            Ok(Entry::Removed) | Err(_) => None,
            Ok(found) => Some(found),
        }
    }
}

/// What changed since the base was made. Copying it copies references, so it is kept small.
#[derive(Clone, Default)]
pub(crate) struct Overlay {
    entries: HashTable<Arc<[u8]>>,
    hasher: DefaultHashBuilder,
}

impl Overlay {
    pub(crate) fn find(&self, key: Key<'_>) -> Option<&[u8]> {
        if self.entries.is_empty() {
            return None;
        }
        self.entries
            .find(self.hasher.hash_one(key), |packed| entry::key(packed) == Ok(key))
            .map(|packed| &**packed)
    }

    /// Adds an entry or replaces the one of the same address.
    pub(crate) fn set(&mut self, packed: &[u8]) {
        let Ok(key) = entry::key(packed) else { return };
        let hash_of_key = self.hasher.hash_one(key);
        let hasher = &self.hasher;
        let rehash = |packed: &Arc<[u8]>| entry::key(packed).map_or(0, |key| hasher.hash_one(key));
        match self.entries.entry(hash_of_key, |packed| entry::key(packed) == Ok(key), rehash) {
            hashbrown::hash_table::Entry::Occupied(mut slot) => *slot.get_mut() = packed.into(),
            hashbrown::hash_table::Entry::Vacant(slot) => {
                slot.insert(packed.into());
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().map(|packed| &**packed)
    }

    /// Octets of memory, about.
    pub(crate) fn memory(&self) -> usize {
        self.entries.iter().map(|packed| packed.len() + 40).sum()
    }
}

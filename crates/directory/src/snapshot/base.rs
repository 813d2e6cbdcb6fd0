//! The immutable part: one arena of packed entries and an index of offsets into it.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::entry::{self, Key};
use crate::bytes::{Reader, put_counted};

/// Packed entries, found by address.
#[derive(Default)]
pub(crate) struct Base {
    /// `length entry`, one after the other.
    arena: Vec<u8>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Base {
    pub(crate) fn find(&self, key: Key<'_>) -> Option<&[u8]> {
        let offset =
            self.index.find(self.hasher.hash_one(key), |offset| entry::key(self.at(*offset)) == Ok(key))?;
        Some(self.at(*offset))
    }

    /// Addresses held, accounts and aliases together.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Octets of memory.
    pub(crate) fn memory(&self) -> usize {
        self.arena.capacity() + self.index.capacity() * 8 / 7 * 5
    }

    /// Every packed entry, in the order of insertion.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let mut reader = Reader(&self.arena);
        std::iter::from_fn(move || reader.counted().ok())
    }

    /// Arena octets, for the size of a base made from this one.
    pub(crate) fn arena_len(&self) -> usize {
        self.arena.len()
    }

    fn at(&self, offset: u32) -> &[u8] {
        at(&self.arena, offset)
    }
}

/// The entry at an offset that the index holds.
fn at(arena: &[u8], offset: u32) -> &[u8] {
    arena.get(offset as usize..).and_then(|bytes| Reader(bytes).counted().ok()).unwrap_or_default()
}

/// Makes a [`Base`]. The sizes are known beforehand, because a table that doubles as it grows would for a moment hold its content
/// three times. Memory that is reserved but never written costs nothing.
pub(crate) struct Builder {
    base: Base,
}

/// More than 4 GiB of entries, some forty million users: the offsets are too short for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the users take more than 4 GiB of memory, which this version cannot index")]
pub(crate) struct ArenaFull;

impl Builder {
    pub(crate) fn with_capacity(entries: usize, octets: usize) -> Self {
        Self {
            base: Base {
                arena: Vec::with_capacity(octets),
                index: HashTable::with_capacity(entries),
                hasher: DefaultHashBuilder::default(),
            },
        }
    }

    /// Adds an entry whose address was not added before.
    pub(crate) fn insert(&mut self, packed: &[u8]) -> Result<(), ArenaFull> {
        let Base { arena, index, hasher } = &mut self.base;
        let offset = u32::try_from(arena.len()).map_err(|_| ArenaFull)?;
        let Ok(key) = entry::key(packed) else { return Ok(()) };
        put_counted(arena, packed);
        index.insert_unique(hasher.hash_one(key), offset, |offset| match entry::key(at(arena, *offset)) {
            Ok(key) => hasher.hash_one(key),
            Err(_) => 0,
        });
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.base.len()
    }

    pub(crate) fn finish(self) -> Base {
        self.base
    }
}

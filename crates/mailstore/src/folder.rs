//! A folder's state in memory, shared by its worker and every view of it.
//!
//! - The worker alone adds, removes and renames messages, and publishes here only what is on disk.
//! - Views read under the lock and set `recent`, nothing else. The lock is never held over I/O or an await.
//! - Every change raises `mod_seq`; a view compares it with what it has seen, so no list of changes is kept for anyone.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chasqui_base::DeliveryId;
use tokio::sync::Notify;

use crate::account::Status;
use crate::file_name::{Base, Letters, own_base};
use crate::flags::Flags;
use crate::mailbox::Message;
use crate::uid::Uid;

/// A message in memory: 64 octets for one of ours.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) uid: Uid,
    pub(crate) letters: Letters,
    /// In `new/` rather than `cur/`.
    pub(crate) in_new: bool,
    /// No read-write view has seen it yet.
    pub(crate) recent: bool,
    pub(crate) size: u64,
    /// Internal date, seconds since 1970.
    pub(crate) time: u64,
    pub(crate) mod_seq: u64,
    pub(crate) base: Base,
}

impl Entry {
    /// The file's path below the folder: `cur/…`.
    pub(crate) fn file(&self, host: &str) -> String {
        let mut name = if self.in_new { "new/".to_owned() } else { "cur/".to_owned() };
        match &self.base {
            Base::Own(id) => name.push_str(&own_base(self.time, *id, host, self.size, self.uid)),
            Base::Foreign(base) => name.push_str(base),
        }
        if !self.in_new {
            name.push_str(":2,");
            self.letters.write(&mut name);
        }
        name
    }

    /// The id by which a retried delivery is recognised.
    pub(crate) fn id(&self) -> Option<DeliveryId> {
        match &self.base {
            Base::Own(id) => Some(*id),
            Base::Foreign(base) => crate::file_name::ParsedName::parse(base).and_then(|parsed| parsed.id),
        }
    }
}

/// A folder in memory.
pub(crate) struct Folder {
    state: Mutex<FolderState>,
    changed: Notify,
}

/// What the lock protects.
pub(crate) struct FolderState {
    /// The folder's directory.
    pub(crate) dir: PathBuf,
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u32,
    /// The highest modification sequence so far.
    pub(crate) mod_seq: u64,
    /// The keywords behind the letters, `a` first; an empty one is free.
    pub(crate) keywords: Vec<Arc<str>>,
    /// Deleted: nothing of it can be read or changed any more.
    pub(crate) gone: bool,
    entries: Vec<Entry>,
    // The UIDs of `entries`, shared by all views that are up to date; made when the first of them asks.
    uids: Option<Arc<[Uid]>>,
}

impl Folder {
    pub(crate) fn new(
        dir: PathBuf,
        uid_validity: u32,
        uid_next: u32,
        keywords: Vec<Arc<str>>,
        mut entries: Vec<Entry>,
    ) -> Folder {
        // Sequences need not be kept on disk: microseconds of the clock at load are above every one given out before, unless a
        // folder changed a million times a second.
        let mod_seq =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_micros() as u64);
        entries.sort_by_key(|entry| entry.uid);
        for entry in &mut entries {
            entry.mod_seq = mod_seq;
        }
        entries.shrink_to_fit();
        let state =
            FolderState { dir, uid_validity, uid_next, mod_seq, keywords, gone: false, entries, uids: None };
        Folder { state: Mutex::new(state), changed: Notify::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, FolderState> {
        // A panic elsewhere cannot leave it half changed: every change is one call below.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then wakes the views that wait.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut FolderState) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_waiters();
        result
    }

    pub(crate) fn changed(&self) -> &Notify {
        &self.changed
    }
}

impl FolderState {
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn get(&self, uid: Uid) -> Option<&Entry> {
        self.entries.binary_search_by_key(&uid, |entry| entry.uid).ok().map(|at| &self.entries[at])
    }

    fn get_mut(&mut self, uid: Uid) -> Option<&mut Entry> {
        self.entries.binary_search_by_key(&uid, |entry| entry.uid).ok().map(|at| &mut self.entries[at])
    }

    /// Every UID in order.
    pub(crate) fn uids(&mut self) -> Arc<[Uid]> {
        let entries = &self.entries;
        self.uids.get_or_insert_with(|| entries.iter().map(|entry| entry.uid).collect()).clone()
    }

    /// Adds messages, which have the highest UIDs, in order.
    pub(crate) fn add(&mut self, added: impl IntoIterator<Item = Entry>) {
        self.mod_seq += 1;
        for mut entry in added {
            entry.mod_seq = self.mod_seq;
            self.uid_next = entry.uid.get().saturating_add(1).max(self.uid_next);
            self.entries.push(entry);
        }
        self.uids = None;
    }

    /// Removes messages.
    pub(crate) fn remove(&mut self, gone: impl Fn(&Entry) -> bool) {
        self.mod_seq += 1;
        self.entries.retain(|entry| !gone(entry));
        self.uids = None;
        if self.entries.capacity() > 64 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to_fit();
        }
    }

    /// Tells that the file is now in `cur/` with these letters.
    pub(crate) fn relettered(&mut self, uid: Uid, letters: Letters) {
        self.mod_seq += 1;
        let mod_seq = self.mod_seq;
        if let Some(entry) = self.get_mut(uid) {
            (entry.letters, entry.in_new, entry.mod_seq) = (letters, false, mod_seq);
        }
    }

    /// Tells that the file is now in `cur/`.
    pub(crate) fn settled(&mut self, uid: Uid) {
        if let Some(entry) = self.get_mut(uid) {
            entry.in_new = false;
        }
    }

    /// Gives the recent messages from `from` on to the view that asks; whether a file has to leave `new/` for it.
    pub(crate) fn claim_recent(&mut self, from: u32, claimed: &mut Vec<Uid>) -> bool {
        let start = self.entries.partition_point(|entry| entry.uid.get() < from);
        let mut in_new = false;
        for entry in self.entries[start..].iter_mut().filter(|entry| entry.recent) {
            entry.recent = false;
            in_new |= entry.in_new;
            claimed.push(entry.uid);
        }
        in_new
    }

    /// The public flags for these letters.
    pub(crate) fn flags(&self, letters: Letters) -> Flags {
        let mut flags = Flags::from_bits(letters.system);
        if letters.keywords != 0 {
            for (bit, keyword) in self.keywords.iter().enumerate() {
                if letters.keywords & (1 << bit) != 0 && !keyword.is_empty() {
                    flags.push(keyword.clone());
                }
            }
        }
        flags
    }

    /// The letters for these flags; keywords that the folder does not know are left out.
    pub(crate) fn letters(&self, flags: &Flags) -> Letters {
        let known =
            |keyword: &str| self.keywords.iter().position(|known| known.eq_ignore_ascii_case(keyword));
        let keywords = flags.keywords().filter_map(known).fold(0, |bits, bit| bits | 1 << bit);
        Letters { system: flags.bits(), keywords }
    }

    pub(crate) fn message(&self, entry: &Entry, recent: bool) -> Message {
        Message {
            uid: entry.uid,
            size: entry.size,
            flags: self.flags(entry.letters),
            internal_date: UNIX_EPOCH + Duration::from_secs(entry.time),
            recent,
            mod_seq: entry.mod_seq,
        }
    }

    pub(crate) fn status(&self) -> Status {
        let count =
            |test: &dyn Fn(&Entry) -> bool| self.entries.iter().filter(|entry| test(entry)).count() as u32;
        Status {
            messages: self.entries.len() as u32,
            recent: count(&|entry| entry.recent),
            unseen: count(&|entry| entry.letters.system & Flags::SEEN.bits() == 0),
            deleted: count(&|entry| entry.letters.system & Flags::DELETED.bits() != 0),
            size: self.entries.iter().map(|entry| entry.size).sum(),
            uid_next: Uid::new(self.uid_next).unwrap_or(Uid::MAX),
            uid_validity: self.uid_validity,
            highest_mod_seq: self.mod_seq,
        }
    }
}

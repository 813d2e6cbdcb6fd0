//! One session's view of a folder.

use std::sync::Arc;
use std::time::SystemTime;

use hashbrown::HashSet;

use crate::account::{Access, Account};
use crate::cabinet::Cabinet;
use crate::content::{Content, open_file};
use crate::error::MailError;
use crate::flags::{Flags, FlagsMode};
use crate::folder::Folder;
use crate::folder_name::FolderName;
use crate::index::Indexes;
use crate::mime::{BodyPart, Envelope, Limits, summarize};
use crate::store::Quota;
use crate::uid::Uid;

/// One session's view of a selected folder. Its sequence numbers change only in [`Mailbox::sync`] (RFC 9051 §7.5.1 forbids
/// EXPUNGE at any other time). Holds no file open and no messages of its own: a few hundred octets.
pub struct Mailbox {
    account: Account,
    folder: Arc<Folder>,
    name: FolderName,
    access: Access,
    uid_validity: u32,
    /// What the view counts; shared with the folder and the other views while all are up to date.
    uids: Arc<[Uid]>,
    /// Messages from this UID on are new to the view.
    uid_next: u32,
    /// The last change that `sync` told.
    seen: u64,
    /// Expunges are there that it has not told.
    owing: bool,
    /// Recent in this view.
    recent: Vec<Uid>,
}

/// What a listing needs of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its UID.
    pub uid: Uid,
    /// Octets of the file: RFC822.SIZE.
    pub size: u64,
    /// Flags and keywords.
    pub flags: Flags,
    /// When it arrived, or what APPEND gave; whole seconds.
    pub internal_date: SystemTime,
    /// Whether it is `\Recent` in this view.
    pub recent: bool,
    /// Its modification sequence (RFC 7162).
    pub mod_seq: u64,
}

/// A change that a view learns of, to be told to the client in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A message went away. `seq` is its number at this point of the list, so numbers above it shrink by one.
    Expunged {
        /// Sequence number.
        seq: u32,
        /// UID.
        uid: Uid,
    },
    /// The view now has so many messages.
    Exists(u32),
    /// So many of them are recent.
    Recent(u32),
    /// A message's flags changed.
    Flags {
        /// Sequence number.
        seq: u32,
        /// UID.
        uid: Uid,
        /// What it has now.
        flags: Flags,
    },
}

/// Messages that were copied or moved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copied {
    /// UIDVALIDITY of the folder they are in now.
    pub uid_validity: u32,
    /// UID in the view's folder, UID in the other.
    pub pairs: Vec<(Uid, Uid)>,
}

/// Envelope and structure of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Its UID.
    pub uid: Uid,
    /// Its envelope.
    pub envelope: Envelope,
    /// Its body; `header_start` is 0.
    pub body: BodyPart,
}

/// Messages whose files are read in one go for [`Mailbox::summaries`].
const SUMMARIES_AT_ONCE: usize = 64;

impl Mailbox {
    /// A view of a folder as it is now. A read-write one takes what is recent; true if files have to leave `new/` for that.
    pub(crate) fn new(
        account: Account,
        folder: Arc<Folder>,
        name: FolderName,
        access: Access,
    ) -> (Mailbox, bool) {
        let mut state = folder.lock();
        let mut recent = Vec::new();
        let unsettled = match access {
            Access::ReadWrite => state.claim_recent(0, &mut recent),
            Access::ReadOnly => {
                recent.extend(state.entries().iter().filter(|entry| entry.recent).map(|entry| entry.uid));
                false
            }
        };
        let (uid_validity, uids, uid_next, seen) =
            (state.uid_validity, state.uids(), state.uid_next, state.mod_seq);
        drop(state);
        (
            Mailbox {
                account,
                folder,
                name,
                access,
                uid_validity,
                uids,
                uid_next,
                seen,
                owing: false,
                recent,
            },
            unsettled,
        )
    }

    /// The folder's name when the view was opened.
    pub fn name(&self) -> &FolderName {
        &self.name
    }

    /// How it was opened.
    pub fn access(&self) -> Access {
        self.access
    }

    /// UIDVALIDITY.
    pub fn uid_validity(&self) -> u32 {
        self.uid_validity
    }

    /// The UID that the next message will get, as far as the view knows.
    pub fn uid_next(&self) -> Uid {
        Uid::new(self.uid_next).unwrap_or(Uid::MAX)
    }

    /// Messages in the view.
    pub fn exists(&self) -> usize {
        self.uids.len()
    }

    /// Recent messages in the view.
    pub fn recent(&self) -> usize {
        self.recent.len()
    }

    /// The message of this sequence number, from 1.
    pub fn uid_at(&self, seq: u32) -> Option<Uid> {
        self.uids.get((seq as usize).checked_sub(1)?).copied()
    }

    /// The sequence number of this message.
    pub fn seq_of(&self, uid: Uid) -> Option<u32> {
        self.uids.binary_search(&uid).ok().map(|at| at as u32 + 1)
    }

    /// The UIDs in order: number 1 first.
    pub fn uids(&self) -> &[Uid] {
        &self.uids
    }

    /// What a listing needs; none once it is expunged, also while the view still counts it.
    pub fn message(&self, uid: Uid) -> Option<Message> {
        let state = self.folder.lock();
        let entry = state.get(uid)?;
        // In rising order, as they were claimed.
        Some(state.message(entry, self.recent.binary_search(&uid).is_ok()))
    }

    /// The keywords that the folder knows (for FLAGS and PERMANENTFLAGS).
    pub fn keywords(&self) -> Vec<String> {
        let state = self.folder.lock();
        state
            .keywords
            .iter()
            .filter(|keyword| !keyword.is_empty())
            .map(|keyword| keyword.to_string())
            .collect()
    }

    /// The highest modification sequence that the view has seen (RFC 7162).
    pub fn highest_mod_seq(&self) -> u64 {
        self.seen
    }

    /// Brings the view up to date and tells what changed, own changes too. Without `expunges`, messages that went away stay
    /// counted until a later call. Never waits.
    pub fn sync(&mut self, expunges: bool) -> Vec<Change> {
        let mut state = self.folder.lock();
        if state.mod_seq == self.seen && !(expunges && self.owing) {
            return Vec::new();
        }
        let mut changes = Vec::new();
        let recent_before = self.recent.len();
        let now = state.uids();
        let is_here = |uid: &Uid| now.binary_search(uid).is_ok();
        self.owing = self.uids.iter().any(|uid| !is_here(uid));
        let mut left = 0;
        if self.owing && expunges {
            for (at, uid) in self.uids.iter().enumerate().filter(|(_, uid)| !is_here(uid)) {
                changes.push(Change::Expunged { seq: at as u32 + 1 - left, uid: *uid });
                left += 1;
            }
            self.owing = false;
            self.recent.retain(is_here);
        }
        let kept = self.uids.len() - left as usize;
        let known_before = self.uid_next;
        self.uids = if self.owing {
            let added = now.iter().filter(|uid| uid.get() >= known_before);
            self.uids.iter().chain(added).copied().collect()
        } else {
            now
        };
        let mut unsettled = false;
        if self.uids.len() > kept {
            changes.push(Change::Exists(self.uids.len() as u32));
            match self.access {
                Access::ReadWrite => unsettled = state.claim_recent(known_before, &mut self.recent),
                Access::ReadOnly => {
                    let added = state
                        .entries()
                        .iter()
                        .filter(|entry| entry.recent && entry.uid.get() >= known_before);
                    self.recent.extend(added.map(|entry| entry.uid));
                }
            }
        }
        if self.recent.len() != recent_before || self.uids.len() > kept {
            changes.push(Change::Recent(self.recent.len() as u32));
        }
        let changed = state
            .entries()
            .iter()
            .filter(|entry| entry.mod_seq > self.seen && entry.uid.get() < known_before);
        for entry in changed {
            if let Ok(at) = self.uids.binary_search(&entry.uid) {
                changes.push(Change::Flags {
                    seq: at as u32 + 1,
                    uid: entry.uid,
                    flags: state.flags(entry.letters),
                });
            }
        }
        (self.seen, self.uid_next) = (state.mod_seq, state.uid_next);
        drop(state);
        if unsettled {
            let folder = self.folder.clone();
            self.account.suggest(move |cabinet, _| cabinet.settle(&folder));
        }
        changes
    }

    /// Resolves when `sync(true)` would have something to tell. Cancel-safe.
    pub async fn changed(&self) {
        loop {
            let mut notified = std::pin::pin!(self.folder.changed().notified());
            // Listening first, or a change between look and wait would be missed.
            notified.as_mut().enable();
            if self.owing || self.folder.lock().mod_seq != self.seen {
                return;
            }
            notified.await;
        }
    }

    /// Whether the folder was deleted since.
    pub fn is_gone(&self) -> bool {
        self.folder.lock().gone
    }

    /// Opens a message's file.
    pub async fn content(&self, uid: Uid) -> Result<Content, MailError> {
        Content::open(self.folder.clone(), self.account.host(), uid).await
    }

    /// Envelope and structure, from the account's index or the files, in the order given. Messages that are gone are left out. Ask
    /// for at most a few hundred at a time.
    pub async fn summaries(&self, uids: &[Uid]) -> Result<Vec<Summary>, MailError> {
        let mut all = Vec::with_capacity(uids.len());
        for some in uids.chunks(SUMMARIES_AT_ONCE) {
            all.extend(self.some_summaries(some).await?);
        }
        Ok(all)
    }

    async fn some_summaries(&self, uids: &[Uid]) -> Result<Vec<Summary>, MailError> {
        let (uid_validity, wanted) = (self.uid_validity, uids.to_vec());
        let known = self
            .account
            .run(move |cabinet, indexes| {
                Ok(indexes.read(&cabinet.address, &cabinet.dir, uid_validity, &wanted))
            })
            .await?;
        let have: HashSet<Uid> = known.iter().map(|summary| summary.uid).collect();
        let missing: Vec<Uid> = uids.iter().copied().filter(|uid| !have.contains(uid)).collect();
        let mut found = known;
        if !missing.is_empty() {
            let (folder, host) = (self.folder.clone(), self.account.host());
            let read = move || -> Result<Vec<Summary>, MailError> {
                let mut read = Vec::with_capacity(missing.len());
                for uid in missing {
                    match open_file(&folder, &host, uid) {
                        Ok(file) => {
                            let (envelope, body) = summarize(file, Limits::default())?;
                            read.push(Summary { uid, envelope, body });
                        }
                        Err(MailError::Gone) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(read)
            };
            let read = tokio::task::spawn_blocking(read).await.map_err(|_| MailError::Busy)??;
            let cached = read.clone();
            self.account.suggest(move |cabinet, indexes| {
                indexes.write(&cabinet.address, &cabinet.dir, uid_validity, &cached)
            });
            found.extend(read);
        }
        let order = |uid: Uid| uids.iter().position(|each| *each == uid);
        found.sort_by_key(|summary| order(summary.uid));
        Ok(found)
    }

    /// Changes flags; messages that are gone are passed over. `sync` then tells the new ones.
    pub async fn store_flags(
        &mut self,
        uids: &[Uid],
        mode: FlagsMode,
        flags: &Flags,
    ) -> Result<(), MailError> {
        self.writable()?;
        let (folder, uids, flags) = (self.folder.clone(), uids.to_vec(), flags.clone());
        self.account.run(move |cabinet, _| cabinet.store_flags(&folder, &uids, mode, &flags)).await
    }

    /// Copies messages with flags and internal dates: all or none. Those that are gone are passed over. On disk when it returns.
    pub async fn copy(&self, uids: &[Uid], to: &FolderName, quota: Quota) -> Result<Copied, MailError> {
        let (folder, uids, to) = (self.folder.clone(), uids.to_vec(), to.clone());
        self.account.run(move |cabinet, _| cabinet.copy(&folder, &uids, &to, quota)).await
    }

    /// Moves messages (RFC 6851). `sync(true)` then tells what left.
    pub async fn move_to(&mut self, uids: &[Uid], to: &FolderName) -> Result<Copied, MailError> {
        self.writable()?;
        let (folder, uids, to, uid_validity) =
            (self.folder.clone(), uids.to_vec(), to.clone(), self.uid_validity);
        let work = move |cabinet: &mut Cabinet, indexes: &mut Indexes| {
            let copied = cabinet.move_messages(&folder, &uids, &to)?;
            indexes.forget(&cabinet.address, &cabinet.dir, uid_validity, Some(&uids));
            Ok(copied)
        };
        self.account.run(work).await
    }

    /// Removes the messages with `\Deleted`, or of them only the given ones (UIDPLUS). `sync(true)` then tells which.
    pub async fn expunge(&mut self, only: Option<&[Uid]>) -> Result<(), MailError> {
        self.writable()?;
        let (folder, only, uid_validity) =
            (self.folder.clone(), only.map(<[Uid]>::to_vec), self.uid_validity);
        let work = move |cabinet: &mut Cabinet, indexes: &mut Indexes| {
            let removed = cabinet.expunge(&folder, only.as_deref())?;
            indexes.forget(&cabinet.address, &cabinet.dir, uid_validity, Some(&removed));
            Ok(())
        };
        self.account.run(work).await
    }

    /// Removes these messages whatever their flags (POP3's DELE and QUIT).
    pub async fn remove(&mut self, uids: &[Uid]) -> Result<(), MailError> {
        self.writable()?;
        let (folder, uids, uid_validity) = (self.folder.clone(), uids.to_vec(), self.uid_validity);
        let work = move |cabinet: &mut Cabinet, indexes: &mut Indexes| {
            cabinet.remove(&folder, &uids)?;
            indexes.forget(&cabinet.address, &cabinet.dir, uid_validity, Some(&uids));
            Ok(())
        };
        self.account.run(work).await
    }

    /// Ends the view.
    pub async fn close(self) {}

    fn writable(&self) -> Result<(), MailError> {
        if self.access == Access::ReadWrite { Ok(()) } else { Err(MailError::ReadOnly) }
    }
}

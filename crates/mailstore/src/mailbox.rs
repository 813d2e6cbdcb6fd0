//! One session's view of a folder.

use std::time::SystemTime;

use bytes::Bytes;

use crate::account::Access;
use crate::error::MailError;
use crate::flags::{Flags, FlagsMode};
use crate::folder_name::FolderName;
use crate::mime::{BodyPart, Envelope};
use crate::store::Quota;
use crate::uid::Uid;

/// One session's view of a selected folder. Its sequence numbers change only in [`Mailbox::sync`] (RFC 9051 §7.5.1 forbids
/// EXPUNGE at any other time). Holds no file open and no messages of its own: a few hundred octets.
pub struct Mailbox {
    name: FolderName,
    access: Access,
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

/// The octets of one message. Holds the file open, so that they stay readable after an expunge.
pub struct Content {
    size: u64,
}

impl Content {
    /// Octets in all.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The octets of `range`, cut to the message's size. Ask for pieces of bounded length.
    pub async fn read(&self, _range: std::ops::Range<u64>) -> Result<Bytes, MailError> {
        Err(MailError::Busy)
    }
}

impl Mailbox {
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
        0
    }

    /// The UID that the next message will get.
    pub fn uid_next(&self) -> Uid {
        Uid::MIN
    }

    /// Messages in the view.
    pub fn exists(&self) -> usize {
        self.uids().len()
    }

    /// Recent messages in the view.
    pub fn recent(&self) -> usize {
        0
    }

    /// The message of this sequence number, from 1.
    pub fn uid_at(&self, seq: u32) -> Option<Uid> {
        self.uids().get((seq as usize).checked_sub(1)?).copied()
    }

    /// The sequence number of this message.
    pub fn seq_of(&self, uid: Uid) -> Option<u32> {
        self.uids().binary_search(&uid).ok().map(|at| at as u32 + 1)
    }

    /// The UIDs in order: number 1 first.
    pub fn uids(&self) -> &[Uid] {
        &[]
    }

    /// What a listing needs; none once it is expunged, also while the view still counts it.
    pub fn message(&self, _uid: Uid) -> Option<Message> {
        None
    }

    /// The keywords that the folder knows (for FLAGS and PERMANENTFLAGS).
    pub fn keywords(&self) -> Vec<String> {
        Vec::new()
    }

    /// Brings the view up to date and tells what changed, own changes too. Without `expunges`, messages that went away stay
    /// counted until a later call. Never waits.
    pub fn sync(&mut self, _expunges: bool) -> Vec<Change> {
        Vec::new()
    }

    /// Resolves when `sync(true)` would have something to tell. Cancel-safe.
    pub async fn changed(&self) {
        std::future::pending().await
    }

    /// Opens a message's file.
    pub async fn content(&self, _uid: Uid) -> Result<Content, MailError> {
        Err(MailError::Busy)
    }

    /// Envelope and structure, from the account's index or the files. Messages that are gone are left out. Ask for at most a few
    /// hundred at a time.
    pub async fn summaries(&self, _uids: &[Uid]) -> Result<Vec<Summary>, MailError> {
        Err(MailError::Busy)
    }

    /// Changes flags; messages that are gone are passed over. `sync` then tells the new ones.
    pub async fn store_flags(&mut self, _uids: &[Uid], _mode: FlagsMode, _flags: &Flags) -> Result<(), MailError> {
        Err(MailError::Busy)
    }

    /// Copies messages with flags and internal dates: all or none. On disk when it returns.
    pub async fn copy(&self, _uids: &[Uid], _to: &FolderName, _quota: Quota) -> Result<Copied, MailError> {
        Err(MailError::Busy)
    }

    /// Moves messages (RFC 6851). `sync(true)` then tells what left.
    pub async fn move_to(&mut self, _uids: &[Uid], _to: &FolderName) -> Result<Copied, MailError> {
        Err(MailError::Busy)
    }

    /// Removes the messages with `\Deleted`, or of them only the given ones (UIDPLUS). `sync(true)` then tells which.
    pub async fn expunge(&mut self, _only: Option<&[Uid]>) -> Result<(), MailError> {
        Err(MailError::Busy)
    }

    /// Removes these messages whatever their flags (POP3's DELE and QUIT).
    pub async fn remove(&mut self, _uids: &[Uid]) -> Result<(), MailError> {
        Err(MailError::Busy)
    }

    /// Ends the view.
    pub async fn close(self) {}
}

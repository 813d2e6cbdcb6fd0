//! Accounts on disk: the Maildir tree, the index, quota (S3, S4). Knows no protocol.
//!
//! # The tree
//!
//! ```text
//! <root>/store.toml  store.lock  .incoming/       layout; the owner's lock; large messages that arrive
//! <root>/3f/a0/ana@ejemplo.test/                  one account, hashed by `layout`
//!     account.toml                                next UIDVALIDITY, subscriptions
//!     folder.toml                                 UIDVALIDITY, floor under the next UID, keywords, ids that left
//!     new/ cur/ tmp/                              INBOX
//!     .Archivo.2026/{folder.toml,new,cur,tmp}     Maildir++, names in modified UTF-7
//!     index.sqlite                                a cache: envelopes and structures
//! ```
//!
//! A message is one file, `<seconds>.<id>.<host>,S=<size>,U=<uid>:2,<letters>`, with CRLF line ends as received. All that a listing needs
//! is in the name, so loading a folder reads two directories and no file. Other programs may read the tree, and drop files into
//! `new/` while the account is not loaded; those get size and UID by a rename when it next is.
//!
//! # Ownership
//!
//! One process owns the root (`store.lock`). In it an account belongs to one worker thread (`worker`), which alone changes its files.
//! Sessions read what they need from memory (`folder`) and hear of changes at once; they hold a lock only while they look.
//!
//! # Durability
//!
//! | operation | on disk before it is acknowledged |
//! | --- | --- |
//! | delivery, APPEND, COPY, MOVE | contents, then names |
//! | CREATE, DELETE, RENAME, SUBSCRIBE, a new keyword | directories and state files |
//! | EXPUNGE | first the UID floor and the ids that left, then the removal |
//! | flags, what is recent | nothing: a rename that the file system writes within seconds |
//!
//! UIDs are never used twice, because the floor is on disk before the highest of them leave: deliveries never pay for it. A retried
//! delivery is recognised by its id, in a name or among those that left within `departed_window`, also after a restart. The tests
//! record every write and sync and replay every prefix of them as a power cut (`power_loss`).
//!
//! # Group commit
//!
//! See `deliver` for the steps and the figures.

pub mod account;
mod cabinet;
mod codec;
mod committer;
pub mod config;
pub mod content;
mod deliver;
pub mod error;
mod file_name;
pub mod flags;
mod folder;
pub mod folder_name;
pub mod incoming;
mod index;
pub mod layout;
mod load;
pub mod mailbox;
mod metrics;
pub mod mime;
mod op;
#[cfg(test)]
mod power_loss;
mod reserve;
mod state_file;
pub mod store;
pub mod uid;
mod worker;

/// Whether a file of this name in `cur/` or `new/` counts as a message, and the UID that the name claims.
#[doc(hidden)]
pub fn message_file_name(name: &str) -> Option<Option<u32>> {
    file_name::ParsedName::parse(name).map(|parsed| parsed.uid.map(Uid::get))
}

pub use account::{Access, Account, Append, Appended, FolderInfo, SpecialUse, Status};
pub use config::StoreConfig;
pub use content::Content;
pub use error::{MailError, OpenError};
pub use flags::{Flags, FlagsMode, InvalidKeyword};
pub use folder_name::{FolderName, InvalidFolderName};
pub use incoming::Incoming;
pub use layout::Layout;
pub use mailbox::{Change, Copied, Mailbox, Message, Summary};
pub use mime::{Address, BodyPart, Envelope, Nested};
pub use store::{Delivered, Delivery, Quota, Store, Usage};
pub use uid::Uid;

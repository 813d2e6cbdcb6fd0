//! Accounts on disk: the Maildir tree, the index, quota. Knows no protocol.

pub mod account;
mod cabinet;
mod codec;
mod committer;
pub mod config;
pub mod content;
mod deliver;
mod disk;
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
#[cfg(test)]
mod recording;
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

//! Accounts on disk: the Maildir tree, the index, quota. Knows no protocol.

pub mod account;
pub mod config;
pub mod error;
pub mod flags;
pub mod folder_name;
pub mod incoming;
pub mod layout;
pub mod mailbox;
pub mod mime;
pub mod store;
pub mod uid;

pub use account::{Access, Account, Append, Appended, FolderInfo, SpecialUse, Status};
pub use config::StoreConfig;
pub use error::{MailError, OpenError};
pub use flags::{Flags, FlagsMode};
pub use folder_name::FolderName;
pub use incoming::Incoming;
pub use layout::Layout;
pub use mailbox::{Change, Content, Copied, Mailbox, Message, Summary};
pub use mime::{Address, BodyPart, Envelope};
pub use store::{Delivered, Delivery, Quota, Store, Usage};
pub use uid::Uid;

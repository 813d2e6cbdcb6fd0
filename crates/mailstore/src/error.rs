//! What can go wrong.

use std::io;
use std::path::PathBuf;

/// Why an operation on an account did not happen. Nothing that was there before is lost by any of them.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The account would hold more than its quota allows (RFC 9208 OVERQUOTA; SMTP 452 4.2.2).
    #[error("the mailbox is full: over quota")]
    OverQuota,
    /// No folder of this name exists (NONEXISTENT, TRYCREATE).
    #[error("no such folder")]
    NoSuchFolder,
    /// A folder of this name exists already (ALREADYEXISTS).
    #[error("the folder exists already")]
    FolderExists,
    /// The name or the operation on this folder is not allowed; the text says why (CANNOT).
    #[error("{0}")]
    InvalidName(&'static str),
    /// The view was opened read-only (EXAMINE).
    #[error("the folder is open read-only")]
    ReadOnly,
    /// The file system is full or its own quota is used up (ENOSPC, EDQUOT). What is there stays.
    #[error("the storage is full")]
    Full,
    /// The disk or file system failed.
    #[error("the storage failed: {source}")]
    Failed {
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The message or folder went away since the view was opened (EXPUNGEISSUED).
    #[error("the message no longer exists")]
    Gone,
    /// A limit of the store is reached; the text says which (LIMIT).
    #[error("{0}")]
    LimitExceeded(&'static str),
    /// The store has too much to do, or is closing; trying again later may help (UNAVAILABLE, 451).
    #[error("the store is busy or closing")]
    Busy,
}

impl From<io::Error> for MailError {
    fn from(source: io::Error) -> MailError {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => MailError::Full,
            _ => MailError::Failed { source },
        }
    }
}

impl From<rustix::io::Errno> for MailError {
    fn from(errno: rustix::io::Errno) -> MailError {
        io::Error::from(errno).into()
    }
}

impl MailError {
    /// The same failure once more, for another message of the batch that it hit.
    pub(crate) fn again(&self) -> MailError {
        match self {
            MailError::OverQuota => MailError::OverQuota,
            MailError::NoSuchFolder => MailError::NoSuchFolder,
            MailError::FolderExists => MailError::FolderExists,
            MailError::InvalidName(why) => MailError::InvalidName(why),
            MailError::ReadOnly => MailError::ReadOnly,
            MailError::Full => MailError::Full,
            MailError::Failed { source } => {
                let source = match source.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(source.kind(), source.to_string()),
                };
                MailError::Failed { source }
            }
            MailError::Gone => MailError::Gone,
            MailError::LimitExceeded(which) => MailError::LimitExceeded(which),
            MailError::Busy => MailError::Busy,
        }
    }
}

/// Why the store cannot be opened: one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The root folder cannot be made or written.
    #[error("the mail store {path} cannot be used: {source}")]
    Root {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Another process owns the accounts under this root.
    #[error("the mail store {path} is in use by another process; stop it, or choose another root")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The root was made with another layout.
    #[error("the mail store {path} was made with layout = \"{made}\", the configuration says \"{wanted}\"")]
    Layout {
        /// The folder.
        path: PathBuf,
        /// The layout that its accounts have.
        made: String,
        /// The layout asked for.
        wanted: String,
    },
    /// A setting is out of range.
    #[error("store.{key}: {reason}")]
    Config {
        /// The key.
        key: &'static str,
        /// What it must be.
        reason: &'static str,
    },
}

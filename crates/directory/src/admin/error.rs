//! Why an operator's command was refused: one sentence that says what to do next.

use std::path::{Path, PathBuf};

use chasqui_base::address::{DomainName, EmailAddress};
use sqlx::migrate::MigrateError;

use crate::password::PasswordError;

/// Why an operator's command was refused.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// There is no database.
    #[error("there is no user database at {}; `chasqui domain add` makes one", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file cannot be opened or made.
    #[error("the user database {} cannot be opened: {reason}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file is no database, or no longer one.
    #[error("the user database {} is damaged ({reason}); restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// Another program writes to it for longer than we wait.
    #[error("the user database {} is in use by another command; try again", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// It was made by a later version.
    #[error("the user database {} was made by a later version of Chasqui; upgrade this one", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
    },
    /// The database failed otherwise.
    #[error("the user database {} failed: {reason}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// The domain is there already.
    #[error("domain {0} exists already")]
    DomainExists(DomainName),
    /// There is no such domain.
    #[error("domain {0} does not exist; add it with `chasqui domain add {0}`")]
    NoSuchDomain(String),
    /// The domain cannot go while somebody lives there.
    #[error("domain {domain} still has {users} users and {aliases} aliases; remove them first")]
    DomainInUse {
        /// The domain.
        domain: DomainName,
        /// Its users.
        users: u64,
        /// Its aliases.
        aliases: u64,
    },
    /// There is no such user.
    #[error("there is no user {0}")]
    NoSuchUser(EmailAddress),
    /// The address is taken by a user.
    #[error("user {0} exists already")]
    UserExists(EmailAddress),
    /// The address is taken by an alias.
    #[error("{0} is an alias; remove it first")]
    IsAlias(EmailAddress),
    /// The address is taken by a user, so it cannot be an alias.
    #[error("{0} is a user; an alias needs an address of its own")]
    IsUser(EmailAddress),
    /// There is no such alias.
    #[error("there is no alias {0}")]
    NoSuchAlias(EmailAddress),
    /// The alias does not lead there.
    #[error("alias {alias} does not lead to {target}")]
    NoSuchTarget {
        /// The alias.
        alias: EmailAddress,
        /// Where it does not lead.
        target: EmailAddress,
    },
    /// An alias without targets would lose mail.
    #[error("alias {0} needs at least one target")]
    NoTargets(EmailAddress),
    /// The account may not send as that.
    #[error("nobody has let {account} send as {sender}")]
    NoSuchDelegation {
        /// The account.
        account: EmailAddress,
        /// The address.
        sender: String,
    },
    /// There is no such node.
    #[error("there is no node \"{0}\"; `chasqui node list` shows those there are")]
    NoSuchNode(String),
    /// The node is there already.
    #[error("node \"{0}\" exists already")]
    NodeExists(String),
    /// The name cannot be a node's.
    #[error("\"{0}\" cannot be a node's name: letters, digits, dots, hyphens and underscores, at most 64")]
    BadNodeName(String),
    /// Users need a node to live on.
    #[error("there is no storage node yet; add one with `chasqui node add`")]
    NoNodes,
    /// The quota does not fit.
    #[error("a quota of {0} octets is out of range")]
    BadQuota(u64),
    /// The password cannot be used.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The CSV file cannot be read.
    #[error("the file of users cannot be read: {0}")]
    Csv(String),
}

impl AdminError {
    pub(crate) fn opening(path: &Path, error: std::io::Error) -> Self {
        Self::Open { path: path.to_owned(), reason: error.to_string() }
    }

    /// Says what a failure of SQLite means to the operator (SQLite's result codes, low octet).
    pub(crate) fn database(path: &Path, error: sqlx::Error) -> Self {
        let path = path.to_owned();
        let (code, reason) = match &error {
            sqlx::Error::Database(error) => {
                (error.code().and_then(|code| code.parse::<u32>().ok()), error.message().to_owned())
            }
            other => (None, other.to_string()),
        };
        match code.map(|code| code & 0xff) {
            Some(11 | 26) => Self::Damaged { path, reason },
            Some(5 | 6) => Self::Busy { path },
            Some(8 | 13 | 14 | 10 | 23) => Self::Open { path, reason },
            _ => Self::Failed { path, reason },
        }
    }

    pub(crate) fn migration(path: &Path, error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                Self::database(path, error)
            }
            MigrateError::VersionMissing(_) => Self::TooNew { path: path.to_owned() },
            other => Self::Failed { path: path.to_owned(), reason: other.to_string() },
        }
    }
}

//! What the directory knows and says about an address: the vocabulary of the client, the protocol and the server.

use std::sync::Arc;

use chasqui_base::address::EmailAddress;
use chasqui_base::net::Endpoint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer to a look-up of a recipient (S7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookUp {
    /// The domain is not served here: a sender gets 550 5.7.1.
    NotOurs,
    /// The domain is ours but nobody has this address: 550 5.1.1.
    Unknown,
    /// Where the message goes, aliases and groups expanded, each target once. Never empty.
    Found(Vec<Target>),
}

/// One final destination of a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A mailbox of this site.
    Account(AccountRecord),
    /// An alias leads to an address of somebody else's domain.
    Remote(EmailAddress),
}

/// What the roles need to know of one account. The password's hash never leaves the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRecord {
    /// The account's canonical address: its name everywhere.
    pub account: EmailAddress,
    /// The `tag` of `user+tag`, when the sender wrote one (sub-addressing, RFC 5233).
    pub tag: Option<String>,
    /// The one storage node that owns the mailbox (S8).
    pub node: Arc<Node>,
    /// Quota in bytes; `None` is unlimited.
    pub quota: Option<u64>,
    /// Whether the owner reported within the last minute that the quota is used up.
    pub over_quota: bool,
    /// Whether the account may log in and receive.
    pub state: AccountState,
    /// What the account may use.
    pub services: Services,
    /// Numeric user id for the operating system (S6), if one was given.
    pub uid: Option<u32>,
    /// Numeric group id, likewise.
    pub gid: Option<u32>,
}

/// A storage node and where its services answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Node {
    /// The node's name, as the operator wrote it; it is compared exactly.
    pub name: String,
    /// Where deliveries go.
    pub lmtp: Endpoint,
    /// Where the proxy connects for IMAP.
    pub imap: Endpoint,
    /// Where the proxy connects for POP3.
    pub pop3: Endpoint,
}

/// Whether an account may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccountState {
    /// Receives mail and logs in.
    #[default]
    Active,
    /// Receives mail; log-in is refused.
    Suspended,
    /// Neither receives mail (550 5.2.1) nor logs in; what it holds is kept.
    Closed,
}

impl AccountState {
    /// The number by which the database and the protocol know the state.
    pub fn code(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Suspended => 1,
            Self::Closed => 2,
        }
    }

    /// The state with this number; `None` for a number of a later version.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Closed].into_iter().find(|state| state.code() == code)
    }

    /// The word the operator's commands use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
        }
    }
}

impl std::fmt::Display for AccountState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for AccountState {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Active, Self::Suspended, Self::Closed]
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| UnknownWord { word: word.to_owned(), expected: "active, suspended or closed" })
    }
}

/// The set of services that an account may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Services(u8);

impl Services {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// IMAP log-in.
    pub const IMAP: Self = Self(1);
    /// POP3 log-in.
    pub const POP3: Self = Self(2);
    /// Submission of mail to the relay.
    pub const SUBMISSION: Self = Self(4);
    /// Everything that exists today.
    pub const ALL: Self = Self(7);

    /// Whether every service of `wanted` is in the set.
    pub fn contains(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// Both sets together.
    #[must_use]
    pub fn with(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// Whether the account may log in by IMAP.
    pub fn imap(self) -> bool {
        self.contains(Self::IMAP)
    }

    /// Whether the account may log in by POP3.
    pub fn pop3(self) -> bool {
        self.contains(Self::POP3)
    }

    /// Whether the account may submit mail.
    pub fn submission(self) -> bool {
        self.contains(Self::SUBMISSION)
    }

    /// The bits as the database and the protocol carry them.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The set with these bits; bits of later versions are kept.
    pub fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

impl Default for Services {
    fn default() -> Self {
        Self::ALL
    }
}

impl std::fmt::Display for Services {
    /// `imap,pop3,submission`, or `none`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut separator = "";
        for (set, word) in [(self.imap(), "imap"), (self.pop3(), "pop3"), (self.submission(), "submission")] {
            if set {
                write!(f, "{separator}{word}")?;
                separator = ",";
            }
        }
        if separator.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

impl std::str::FromStr for Services {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        if text == "none" {
            return Ok(Self::NONE);
        }
        text.split(',').map(str::trim).try_fold(Self::NONE, |set, word| match word {
            "imap" => Ok(set.with(Self::IMAP)),
            "pop3" => Ok(set.with(Self::POP3)),
            "submission" => Ok(set.with(Self::SUBMISSION)),
            "all" => Ok(Self::ALL),
            _ => Err(UnknownWord { word: word.to_owned(), expected: "imap, pop3, submission, all or none" }),
        })
    }
}

/// A word that is not one of those that may stand there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{word}\" is not known here; expected {expected}")]
pub struct UnknownWord {
    word: String,
    expected: &'static str,
}

/// What a client of SCRAM is told before it proves its password (RFC 5802 §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScramSalt {
    /// The salt of the user's password; one that is always the same for a user that does not exist.
    pub salt: Vec<u8>,
    /// The iterations.
    pub iterations: u32,
}

/// The answer to a password check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The password is right and the account may log in. Whether it may use this service is in `services`.
    Yes(AccountRecord),
    /// The account does not exist or the password is wrong; which of the two is not said.
    No,
    /// The password is right, but the account's state or services forbid every log-in.
    Disabled,
}

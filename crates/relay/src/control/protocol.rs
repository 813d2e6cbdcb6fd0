//! What goes over the control socket: one request a connection, in one line of JSON; then answers, each in a line of its own, of which the
//! last is [`Answer::End`] or [`Answer::Error`].

use serde::{Deserialize, Serialize};

/// Octets of a request line.
pub const LONGEST_REQUEST: usize = 64 << 10;
/// Messages that are listed unless more are asked for.
pub const LISTED: usize = 100;

/// What an operator wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The messages, the oldest numbers first.
    List {
        /// Which.
        #[serde(default)]
        filter: Filter,
        /// At most so many.
        limit: usize,
    },
    /// All about one message.
    Show {
        /// Its id.
        id: String,
        /// The header of its text too.
        #[serde(default)]
        headers: bool,
    },
    /// No attempts until released.
    Hold {
        /// Which.
        filter: Filter,
    },
    /// Attempts again.
    Release {
        /// Which.
        filter: Filter,
    },
    /// An attempt now.
    Retry {
        /// Which.
        filter: Filter,
    },
    /// No more attempts: the senders are told.
    Fail {
        /// Which.
        filter: Filter,
    },
    /// Numbers.
    Stats,
    /// Hands the queue to other relays.
    Drain {
        /// Their inside ports; the configured ones when empty.
        #[serde(default)]
        to: Vec<String>,
    },
    /// How far that is; answers until it is done.
    DrainStatus {
        /// Goes on answering until the queue is empty.
        #[serde(default)]
        follow: bool,
    },
    /// Takes messages and delivers again.
    DrainCancel,
}

/// Which messages: those that all that is said is true of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// One of these ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// From this address; without `@`, from this domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// To this address, among others, that does not have it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// To this domain, among others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Held back by an operator.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// All: said so that a change of everything is never by omission.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// One line back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A message of a list.
    Message(Overview),
    /// All about a message.
    Details(Box<Details>),
    /// A message was changed.
    Changed {
        /// Its id.
        id: String,
    },
    /// A message could not be changed.
    Unchanged {
        /// Its id.
        id: String,
        /// Why.
        reason: String,
    },
    /// Numbers.
    Stats(Box<Stats>),
    /// How far draining is.
    Draining(Progress),
    /// All was said.
    End {
        /// Messages that the filter found, or that were changed.
        matched: u64,
        /// Messages in the queue.
        total: u64,
        /// Not everything that was in the folder has been read yet: more may come.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        loading: bool,
    },
    /// It cannot be done, and why.
    Error(String),
}

/// A message in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// Its id.
    pub id: String,
    /// Seconds since 1970 when it was acknowledged.
    pub received: u64,
    /// Octets of its text.
    pub size: u64,
    /// From; empty for notices.
    pub sender: String,
    /// The first few of those who do not have it.
    pub recipients: Vec<String>,
    /// How many do not have it.
    pub waiting: usize,
    /// Held back by an operator.
    pub held: bool,
    /// By destination.
    pub destinations: Vec<Leg>,
    /// What was said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

/// A message at one destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// Which.
    pub destination: String,
    /// `waiting`, `ready`, `running` or `held`.
    pub state: String,
    /// Rounds of attempts that were made.
    pub attempts: u16,
    /// Seconds since 1970 of the next, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<u64>,
    /// Why the whole destination is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// All about a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// As in a list.
    pub overview: Overview,
    /// The file.
    pub file: String,
    /// Who handed it in: an address, `role` or `own`.
    pub source: String,
    /// The Message-ID field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// ENVID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope_id: Option<String>,
    /// From -9 to 9.
    pub priority: i8,
    /// Seconds since 1970 before which it is not delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    /// Seconds since 1970 at which it has failed.
    pub expires: u64,
    /// Only over verified TLS.
    pub require_tls: bool,
    /// The sender was told that it is late.
    pub delay_said: bool,
    /// Everybody.
    pub fates: Vec<RecipientFate>,
    /// The header of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<String>,
}

/// What is known of one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientFate {
    /// Who.
    pub address: String,
    /// Whether it needs no more attempts.
    pub done: bool,
    /// Attempts that were made.
    pub attempts: u16,
    /// What was said last, and by whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Seconds since 1970 of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<u64>,
}

/// Numbers of the queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Messages.
    pub messages: usize,
    /// Octets of their texts.
    pub octets: u64,
    /// Messages that an operator holds back.
    pub held: usize,
    /// Messages by destination that wait for their time.
    pub waiting: usize,
    /// Those that wait for a place.
    pub ready: usize,
    /// Attempts that are made now.
    pub running: usize,
    /// Destinations.
    pub destinations: usize,
    /// Destinations in trouble.
    pub troubled: usize,
    /// Seconds of the oldest message's age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<u64>,
    /// The destinations that most wait for.
    pub largest: Vec<Destination>,
    /// The queue is being handed over.
    pub draining: bool,
    /// Not everything that was in the folder has been read yet.
    pub loading: bool,
    /// Files and sub-folders that could not be read at the start.
    #[serde(default)]
    pub unread: u64,
    /// Octets that its file system can still take.
    pub free_space: u64,
}

/// A destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Which.
    pub name: String,
    /// Messages that go there.
    pub messages: u32,
    /// Attempts that are made now.
    pub running: u32,
    /// Why it is left alone, and until when in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<(String, u64)>,
}

/// How far draining is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Whether the queue is being handed over at all.
    pub draining: bool,
    /// To whom.
    pub to: Vec<String>,
    /// Messages that were handed over since it began, or since the last start.
    pub handed: u64,
    /// Messages that are left.
    pub left: u64,
    /// Messages that an operator holds back, which are not handed over.
    #[serde(default)]
    pub held: usize,
    /// Files and sub-folders that could not be read at the start: the relay holds what is in them.
    #[serde(default)]
    pub unread: u64,
    /// Attempts that were under way and are waited for.
    pub running: usize,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The relay holds nothing any more: it may be switched off.
    pub done: bool,
}

impl Filter {
    /// Nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

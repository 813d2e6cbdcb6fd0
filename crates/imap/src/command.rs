//! What a client can say, checked.

use std::fmt;

use crate::{DateTime, FetchRequest, MailboxName, Numbering, SearchRequest, SequenceSet, StoreRequest};

/// One command with the tag that its tagged reply must carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The client's tag, echoed exactly.
    pub tag: Tag,
    /// What is asked.
    pub body: CommandBody,
}

/// The command without its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandBody {
    /// RFC 3501 §6.1.1.
    Capability,
    /// RFC 3501 §6.1.2.
    Noop,
    /// RFC 3501 §6.1.3.
    Logout,
    /// RFC 3501 §6.2.1. What was sent after it in the clear must be thrown away: [`crate::CommandReader::discard_input`].
    StartTls,
    /// RFC 3501 §6.2.2, with the initial response of RFC 4959.
    Authenticate {
        /// Mechanism in capitals.
        mechanism: String,
        /// The initial response, base64 removed; `Some(empty)` for `=`.
        initial: Option<Sensitive>,
    },
    /// RFC 3501 §6.2.3.
    Login {
        /// As typed.
        user: Vec<u8>,
        /// As typed.
        password: Sensitive,
    },
    /// RFC 2971 §3.1.
    Id(Vec<Identity>),
    /// RFC 5161; the names in capitals.
    Enable(Vec<String>),
    /// RFC 3501 §6.3.1. `condstore` when the parameter of RFC 7162 was given.
    Select {
        /// Which.
        mailbox: MailboxName,
        /// `(CONDSTORE)` was given.
        condstore: bool,
    },
    /// RFC 3501 §6.3.2.
    Examine {
        /// Which.
        mailbox: MailboxName,
        /// `(CONDSTORE)` was given.
        condstore: bool,
    },
    /// RFC 3501 §6.3.3, RFC 6154 §3.
    Create {
        /// Its name.
        mailbox: MailboxName,
        /// The name ended in the hierarchy separator: the client means to create names under it (RFC 3501 §6.3.3).
        parent_only: bool,
        /// `(USE (…))`.
        special_use: Vec<SpecialUse>,
    },
    /// RFC 3501 §6.3.4.
    Delete(MailboxName),
    /// RFC 3501 §6.3.5.
    Rename {
        /// Old name.
        from: MailboxName,
        /// New name.
        to: MailboxName,
    },
    /// RFC 3501 §6.3.6.
    Subscribe(MailboxName),
    /// RFC 3501 §6.3.7.
    Unsubscribe(MailboxName),
    /// RFC 3501 §6.3.8, RFC 5258.
    List(ListRequest),
    /// RFC 3501 §6.3.9.
    Lsub {
        /// Reference name, decoded.
        reference: String,
        /// Pattern, decoded.
        pattern: String,
    },
    /// RFC 3501 §6.3.10.
    Status {
        /// Which.
        mailbox: MailboxName,
        /// What to tell.
        items: Vec<StatusItem>,
    },
    /// RFC 2342.
    Namespace,
    /// RFC 2177. The line that ends it comes by [`crate::CommandReader::next_line`].
    Idle,
    /// RFC 9208 §4.1.1.
    GetQuota(Vec<u8>),
    /// RFC 9208 §4.1.2.
    GetQuotaRoot(MailboxName),
    /// RFC 9208 §4.1.3: the quota comes from the directory, so the server refuses it.
    SetQuota(Vec<u8>),
    /// RFC 3501 §6.4.1.
    Check,
    /// RFC 3501 §6.4.2.
    Close,
    /// RFC 3691.
    Unselect,
    /// RFC 3501 §6.4.3.
    Expunge,
    /// `UID EXPUNGE`, RFC 4315 §2.1.
    UidExpunge(SequenceSet),
    /// RFC 3501 §6.4.4.
    Search(Box<SearchRequest>),
    /// RFC 3501 §6.4.5.
    Fetch(FetchRequest),
    /// RFC 3501 §6.4.6.
    Store(StoreRequest),
    /// RFC 3501 §6.4.7.
    Copy {
        /// What the numbers of the set are.
        by: Numbering,
        /// Which messages.
        set: SequenceSet,
        /// Where to.
        to: MailboxName,
    },
    /// RFC 6851.
    Move {
        /// What the numbers of the set are.
        by: Numbering,
        /// Which messages.
        set: SequenceSet,
        /// Where to.
        to: MailboxName,
    },
}

/// A command's tag.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tag(Box<str>);

impl Tag {
    /// The tag if the text may be one: 1 or more ASTRING-CHARs other than `+` (RFC 3501 §9 `tag`).
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty() && text.bytes().all(|b| crate::parse::is_astring_char(b) && b != b'+'))
            .then(|| Self(text.into()))
    }

    /// As the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// Octets that must not reach a log. Overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Sensitive(Vec<u8>);

impl Sensitive {
    /// Wraps.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(octets)
    }

    /// The octets.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Drop for Sensitive {
    fn drop(&mut self) {
        self.0.fill(0);
        std::hint::black_box(&self.0);
    }
}

/// One field of ID: name and value (RFC 2971 §3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Field name.
    pub field: Vec<u8>,
    /// Its value, `None` for NIL.
    pub value: Option<Vec<u8>>,
}

/// A flag that a client may set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Flag {
    /// `\Seen`
    Seen,
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Draft`
    Draft,
    /// A keyword as written; keywords are equal when equal without case (RFC 9051 §2.3.2).
    Keyword(String),
}

impl Flag {
    /// As it goes over the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Seen => "\\Seen",
            Self::Answered => "\\Answered",
            Self::Flagged => "\\Flagged",
            Self::Deleted => "\\Deleted",
            Self::Draft => "\\Draft",
            Self::Keyword(word) => word,
        }
    }
}

/// A special use of a mailbox (RFC 6154 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpecialUse {
    /// `\All`
    All,
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Flagged`
    Flagged,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    /// Every one.
    pub const EVERY: [Self; 7] =
        [Self::All, Self::Archive, Self::Drafts, Self::Flagged, Self::Junk, Self::Sent, Self::Trash];

    /// The attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "\\All",
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Flagged => "\\Flagged",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }
}

/// LIST, plain or extended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRequest {
    /// Selection options in the parentheses before the reference.
    pub options: Vec<ListOption>,
    /// Reference name, decoded.
    pub reference: String,
    /// Patterns, decoded; plain LIST has one.
    pub patterns: Vec<String>,
    /// Return options.
    pub returns: Vec<ListReturn>,
    /// Whether any part of the extended syntax was used (RFC 5258 §3: an empty pattern then means nothing special).
    pub extended: bool,
}

/// LIST selection option (RFC 5258 §3.1, RFC 6154 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOption {
    /// Only subscribed names, existing or not.
    Subscribed,
    /// Remote mailboxes too: there are none.
    Remote,
    /// Parents whose children match.
    RecursiveMatch,
    /// Only names with a special use.
    SpecialUse,
}

/// LIST return option (RFC 5258 §3.2, RFC 5819, RFC 6154 §5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListReturn {
    /// Tell `\Subscribed`.
    Subscribed,
    /// Tell `\HasChildren` and `\HasNoChildren`.
    Children,
    /// Tell the special use.
    SpecialUse,
    /// A STATUS reply for each.
    Status(Vec<StatusItem>),
}

/// What STATUS can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusItem {
    /// `MESSAGES`
    Messages,
    /// `RECENT`
    Recent,
    /// `UIDNEXT`
    UidNext,
    /// `UIDVALIDITY`
    UidValidity,
    /// `UNSEEN`
    Unseen,
    /// `DELETED` (RFC 9051)
    Deleted,
    /// `SIZE` (RFC 8438)
    Size,
    /// `HIGHESTMODSEQ` (RFC 7162)
    HighestModSeq,
}

impl StatusItem {
    /// As it goes over the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "MESSAGES",
            Self::Recent => "RECENT",
            Self::UidNext => "UIDNEXT",
            Self::UidValidity => "UIDVALIDITY",
            Self::Unseen => "UNSEEN",
            Self::Deleted => "DELETED",
            Self::Size => "SIZE",
            Self::HighestModSeq => "HIGHESTMODSEQ",
        }
    }
}

/// What precedes one message of an APPEND (RFC 3501 §6.3.11; RFC 3502 allows several).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendMessage {
    /// Flags to set.
    pub flags: Vec<Flag>,
    /// Internal date, if given.
    pub date: Option<DateTime>,
    /// Octets that follow.
    pub size: u64,
}

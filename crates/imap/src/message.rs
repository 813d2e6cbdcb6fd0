//! What a client can say about messages: SEARCH, FETCH, STORE.

use crate::{Date, Flag, SequenceSet};

/// Whether numbers in a set are sequence numbers or UIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// Message sequence numbers.
    Sequence,
    /// Unique identifiers: the command came with `UID`.
    Uid,
}

/// SEARCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchRequest {
    /// What the numbers in the answer are.
    pub by: Numbering,
    /// What must hold.
    pub key: SearchKey,
}

/// A search key (RFC 3501 §6.4.4). Strings are UTF-8; comparison is without case, in substrings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// Every message.
    All,
    /// All of them hold; from a list or from the top level.
    And(Vec<SearchKey>),
    /// Either holds.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// It does not hold.
    Not(Box<SearchKey>),
    /// These sequence numbers.
    Sequence(SequenceSet),
    /// These UIDs.
    Uid(SequenceSet),
    /// The flag is set. `UNSEEN` and the like are [`SearchKey::Not`] of it.
    Flag(Flag),
    /// `\Recent`.
    Recent,
    /// `\Recent` and not `\Seen`.
    New,
    /// Internal date, without time and zone, is before.
    Before(Date),
    /// Internal date is that day.
    On(Date),
    /// Internal date is that day or later.
    Since(Date),
    /// The same by the Date field.
    SentBefore(Date),
    /// The same by the Date field.
    SentOn(Date),
    /// The same by the Date field.
    SentSince(Date),
    /// More octets than.
    Larger(u64),
    /// Fewer octets than.
    Smaller(u64),
    /// A field of the header holds the text; empty text: the field is there.
    Header {
        /// Field name; `FROM`, `TO`, `CC`, `BCC` and `SUBJECT` come as this too.
        field: String,
        /// Text to find.
        text: String,
    },
    /// The body holds the text.
    Body(String),
    /// Header or body holds the text.
    Text(String),
}

/// FETCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// What the numbers of the set are.
    pub by: Numbering,
    /// Which messages.
    pub set: SequenceSet,
    /// What to tell; macros are expanded, `UID` is there at most once and always with `UID FETCH`.
    pub items: Vec<FetchItem>,
}

/// One FETCH data item (RFC 3501 §6.4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchItem {
    /// `UID`
    Uid,
    /// `FLAGS`
    Flags,
    /// `INTERNALDATE`
    InternalDate,
    /// `RFC822.SIZE`
    Size,
    /// `ENVELOPE`
    Envelope,
    /// `BODY`: the structure without extension data.
    Body,
    /// `BODYSTRUCTURE`
    BodyStructure,
    /// `RFC822`: like `BODY[]`.
    Rfc822,
    /// `RFC822.HEADER`: like `BODY.PEEK[HEADER]`.
    Rfc822Header,
    /// `RFC822.TEXT`: like `BODY[TEXT]`.
    Rfc822Text,
    /// `BODY[section]<origin.length>`
    Section {
        /// Which part.
        section: Section,
        /// First octet and number of octets, at least 1.
        partial: Option<(u32, u32)>,
        /// `BODY.PEEK`: `\Seen` stays as it is.
        peek: bool,
    },
}

impl FetchItem {
    /// Whether it sets `\Seen` (RFC 3501 §6.4.5).
    pub fn marks_seen(&self) -> bool {
        matches!(self, Self::Rfc822 | Self::Rfc822Text | Self::Section { peek: false, .. })
    }
}

/// A section of a message (RFC 3501 §9 `section-spec`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Part numbers, from the outermost; empty for the whole message.
    pub part: Vec<u32>,
    /// What of that part; `None` is all of it (the body of a part, the message if `part` is empty).
    pub text: Option<SectionText>,
}

/// The textual end of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionText {
    /// `HEADER`
    Header,
    /// `HEADER.FIELDS (…)`
    HeaderFields(Vec<Vec<u8>>),
    /// `HEADER.FIELDS.NOT (…)`
    HeaderFieldsNot(Vec<Vec<u8>>),
    /// `TEXT`
    Text,
    /// `MIME`: only of a part.
    Mime,
}

/// STORE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRequest {
    /// What the numbers of the set are.
    pub by: Numbering,
    /// Which messages.
    pub set: SequenceSet,
    /// What to do with the flags.
    pub mode: FlagMode,
    /// `.SILENT`: no FETCH replies for what this command changes.
    pub silent: bool,
    /// The flags.
    pub flags: Vec<Flag>,
}

/// What STORE does with its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagMode {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

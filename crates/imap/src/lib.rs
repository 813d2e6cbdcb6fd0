//! IMAP on the wire, without I/O.
//!
//! Bytes in, typed commands out; typed replies in, bytes out. No socket, no clock, no runtime, so everything here is
//! tested by tables and fuzzed, and any transport can drive it.
//!
//! - [`CommandReader`] cuts the client's bytes into commands. It keeps one buffer, which it gives back when nothing is
//!   pending, so an idle connection holds none. Literals of commands are kept within [`Limits`]; the message of an
//!   APPEND is *streamed* out in pieces and never kept.
//! - [`Command`] is what was said, already checked: a [`MailboxName`] is decoded, a [`SequenceSet`] has no zero in it,
//!   a date exists in the calendar. Later code checks no syntax again.
//! - [`Reply`] and [`write`] print what the server says.
//! - [`client`] reads what a server says, as far as a proxy needs it.
//!
//! The grammar is IMAP4rev1 (RFC 3501) with the extensions LITERAL+ (RFC 7888), IDLE (RFC 2177), NAMESPACE (RFC 2342),
//! ID (RFC 2971), UNSELECT (RFC 3691), UIDPLUS (RFC 4315), SASL-IR (RFC 4959), ENABLE (RFC 5161), LIST-EXTENDED
//! (RFC 5258), SPECIAL-USE (RFC 6154), MOVE (RFC 6851), QUOTA (RFC 9208). What is wrong in syntax is `BAD`; what is
//! understood but cannot be done is `NO` (RFC 3501 §7.1).

mod capability;
pub mod client;
mod command;
mod date;
mod limits;
mod mailbox;
mod message;
mod parse;
mod reader;
mod reply;
mod sequence;
mod structure;
pub mod write;

pub use capability::CAPABILITIES;
pub use command::{
    AppendMessage, Command, CommandBody, Flag, Identity, ListOption, ListRequest, ListReturn, Sensitive,
    SpecialUse, StatusItem, Tag,
};
pub use date::{Date, DateTime};
pub use limits::Limits;
pub use mailbox::{MailboxName, MailboxNameError, decode_utf7, encode_utf7};
pub use message::{
    FetchItem, FetchRequest, FlagMode, Numbering, SearchKey, SearchRequest, Section, SectionText,
    StoreRequest,
};
pub use reader::{CommandReader, Event, LineEvent};
pub use reply::{Code, Condition, Reply};
pub use sequence::{SequenceSet, compact};
pub use structure::{Address, BodyStructure, Disposition, Envelope, Parameters, PartKind};

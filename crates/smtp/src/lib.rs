//! SMTP and LMTP on the wire, without I/O: bytes in, events and bytes out.
//!
//! [`ServerSession`] is the receiving side of RFC 5321 (SMTP) and RFC 2033 (LMTP). It owns the grammar, the order of
//! commands, the counting of errors and every limit; its caller decides what each command is answered and moves the
//! bytes. [`ClientSession`] is the sending side. Neither knows of sockets, clocks or tasks, so both are driven by
//! tables and fuzzers in the tests and by any transport in the roles.
//!
//! # Line ends, or how smuggling is kept out
//!
//! SMTP smuggling works where two servers disagree on what ends a line. Here there is one answer: **CR LF, and nothing
//! else, ends a line** (RFC 5321 §2.3.8), in commands and in message text.
//!
//! - The end of DATA is exactly `CRLF . CRLF`. `LF . LF`, `CR . CR`, `CRLF . LF`, `LF . CRLF`, `CRLF . CR` and all
//!   their kin are message text.
//! - Nothing is ever converted: what is stored is what was sent, octet by octet.
//! - A message that holds a bare CR, a bare LF or a NUL is read to its real end and then refused with `550 5.6.11`
//!   ([`BareOctets::Refuse`], the default), so that no later hop can read it differently, and the session ends, so that nothing
//!   that was sent behind it is taken for commands. [`BareOctets::Accept`] passes
//!   such octets on as ordinary text; it is for links between our own roles, where BDAT counts octets and nothing can be
//!   misread.
//! - In a command, a bare CR or LF does not end the line either; the whole line up to CR LF is refused with `500 5.5.2`.
//! - What was pipelined in clear text behind STARTTLS is dropped unread (RFC 3207 §4.2), so no injected command survives
//!   the handshake.
//!
//! # Where leniency stays
//!
//! A space after `MAIL FROM:` or `RCPT TO:` and a source route are accepted (and the route ignored, RFC 5321 §3.3), since real
//! programs send them and neither is ambiguous.

mod client;
mod command;
mod content;
mod limits;
mod mailbox;
mod notification;
mod parameters;
mod reply;
mod server;
mod xtext;

pub use client::{
    Capabilities, ClientError, ClientEvent, ClientLimits, ClientSession, DotStuffer, Envelope, Framing,
};
pub use command::{Body, Command, Dialect, Hello, Hold, Mail, Offers, Recipient};
pub use content::{BareOctets, Flaw};
pub use limits::{AUTH_LINE, Limits};
pub use mailbox::{Mailbox, MailboxError, ReversePath};
pub use notification::{EnvelopeId, Notify, OriginalRecipient, ParameterError, RecipientParameters, Ret};
pub use reply::{Enhanced, Reply, ReplyError, ReplyLimits, replies};
pub use server::{Event, Profile, Protocol, ServerSession, Step};

//! POP3 on the wire, without I/O: bytes in, commands and reply bytes out.
//!
//! Covers RFC 1939 (POP3), RFC 2449 (CAPA, response codes, pipelining), RFC 2595 (STLS), RFC 3206
//! (`[SYS/…]` and `[AUTH]`) and RFC 5034 (AUTH with an initial response).
//!
//! How the pieces fit together, for either end of a connection:
//!
//! * [`Reader`] holds the bytes that arrived and cuts them into lines, under [`Limits`]. It keeps no memory when
//!   it is empty, so an idle session costs nothing.
//! * [`Authorization`] is the whole state before log-in (CAPA, STLS, USER, PASS, AUTH, QUIT): a proxy and a storage
//!   node differ only in the [`Offer`] that they give it.
//! * [`Command`] is one parsed command of the transaction state.
//! * [`reply`] writes replies; [`DotStuffer`] and [`TopCutter`] pass a message's content through in chunks.
//! * [`client`] is what a proxy needs towards its storage node.
//!
//! No input can make these types panic or hold more than the limits say: `tests/fuzz.rs` tries.

mod authorization;
mod capability;
pub mod client;
mod command;
mod content;
mod limits;
mod reader;
pub mod reply;

pub use authorization::{Authorization, Event, Offer, Passwords};
pub use capability::Capabilities;
pub use command::{AuthCommand, Command, CommandError, MessageNumber};
pub use content::{DotStuffer, TopCutter};
pub use limits::Limits;
pub use reader::{LineTooLong, Reader};
pub use reply::ResponseCode;

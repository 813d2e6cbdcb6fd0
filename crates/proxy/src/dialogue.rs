//! What a session needs of its protocol, before the log-in and towards the storage node. No I/O.

use chasqui_base::net::Endpoint;
use chasqui_directory::{Node, Services};

use crate::config::Limits;
use crate::metrics::Protocol;
use chasqui_sasl::{BadCredentials, Credentials};

/// One client's conversation up to its log-in.
pub trait Dialogue: Sized + Send + Sync + 'static {
    /// Which protocol it is.
    const PROTOCOL: Protocol;
    /// What a client over the connection limit is told. Nothing under TLS, where it could not be read.
    const REFUSAL: &'static [u8];

    /// A fresh conversation.
    fn new(limits: &Limits, offer: Offer) -> Self;
    /// Appends the greeting.
    fn greet(&self, out: &mut Vec<u8>);
    /// Where to append what the client sends, and at most how much.
    fn input(&mut self) -> (&mut Vec<u8>, usize);
    /// Takes the next thing the client said; appends the reply if it is known already.
    fn next(&mut self, out: &mut Vec<u8>) -> Next;
    /// TLS is up: everything said before is forgotten.
    fn tls_started(&mut self);
    /// Appends the refusal of the log-in that [`Next::LogIn`] asked for.
    fn refuse(&mut self, refusal: &Refusal, out: &mut Vec<u8>);
    /// Appends a good-bye that the client did not ask for.
    fn farewell(&self, farewell: Farewell, out: &mut Vec<u8>);
    /// Takes what the client sent after its log-in without waiting.
    fn take_input(&mut self) -> Vec<u8>;

    /// Where a node speaks this protocol.
    fn endpoint(node: &Node) -> &Endpoint;
    /// Whether an account may use this protocol.
    fn permitted(services: Services) -> bool;
    /// Appends what opens `account` at a storage node. It is sent before the greeting has come.
    fn open(account: &str, out: &mut Vec<u8>);
    /// Reads what the node has answered so far, from its greeting on.
    fn answer(&self, received: &[u8]) -> Answer;
}

/// What a client is offered before its log-in.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// The connection is under TLS.
    pub tls_active: bool,
    /// TLS can be started.
    pub start_tls: bool,
    /// Passwords are taken without TLS.
    pub plaintext: bool,
}

/// What [`Dialogue::next`] came to.
#[derive(Debug)]
pub enum Next {
    /// Nothing is complete: send what was appended and read on.
    NeedInput,
    /// A reply was appended; ask again.
    Replied,
    /// The client wants TLS, which was agreed to: send and start it.
    StartTls,
    /// The client logs in. Nothing was appended.
    LogIn(Result<Credentials, BadCredentials>),
    /// Send what was appended and close: the client said good-bye.
    Quit,
    /// Send what was appended and close: the client makes no sense.
    GiveUp,
}

/// What a storage node has answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Not all of it yet; whether the greeting is there.
    Incomplete {
        /// The greeting has come, so the node works.
        greeted: bool,
    },
    /// The mailbox is open; this is what the client gets to see.
    Opened(Vec<u8>),
    /// The mailbox is not opened, for this reason (code and text, in the protocol's own form).
    Refused(String),
    /// That is no storage node.
    Nonsense,
}

/// Why a log-in is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The client said something impossible about itself.
    Bad(BadCredentials),
    /// Wrong password or no such user: which of the two is never said.
    Wrong,
    /// Too many log-ins have failed.
    TooMany,
    /// The account or this service is switched off.
    Disabled,
    /// No directory answers.
    NoDirectory,
    /// The owner node cannot be reached.
    NodeDown,
    /// The owner node opened no session, and said this.
    Node(String),
}

/// Why the proxy says good-bye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// The time to log in is over.
    Slow,
    /// Too many log-ins failed in this connection.
    LogIns,
    /// The proxy ends.
    Stopping,
}

/// Most octets that a storage node may answer before the session is open.
pub const MAX_ANSWER: usize = 16 << 10;

/// The lines of `received` that are complete, without their ends, and where each ends behind its LF.
pub fn lines(received: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let length = received[from..].iter().position(|&octet| octet == b'\n')?;
        let line = &received[from..from + length];
        from += length + 1;
        Some((line.strip_suffix(b"\r").unwrap_or(line), from))
    })
}

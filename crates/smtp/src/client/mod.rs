//! The sending side of SMTP (RFC 5321) and LMTP (RFC 2033): to any server of the internet, and between our own roles.
//!
//! The caller writes [`ClientSession::take_output`] whenever an event says so, gives what it reads to
//! [`ClientSession::receive`], and writes the text of a message when it is asked for.
//!
//! There are two ways through a transaction:
//!
//! - [`ClientSession::begin`], between our own roles: MAIL, every RCPT and `BDAT n LAST` with the text go out together
//!   (RFC 2920, RFC 3030), then the replies come in order. A message costs one write and one round trip.
//! - [`ClientSession::open`], to strangers: with PIPELINING the commands go out together, without it one by one; the text goes
//!   by BDAT where CHUNKING is offered, and by DATA with its dots doubled ([`DotStuffer`]) where not.
//!
//! [`ClientSession::results`] can be taken at any time: when a connection dies between two replies, those recipients that have theirs are
//! settled, and of the others nothing is known.

use crate::{
    mailbox::MailboxError,
    reply::{Reply, ReplyError},
    server::Protocol,
};
use chasqui_base::Secret;
use std::io::Write as _;

mod capabilities;
mod envelope;
mod greeting;
mod stuffer;
mod transaction;

pub use capabilities::{Capabilities, ClientLimits};
pub use envelope::Envelope;
pub use stuffer::DotStuffer;

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The server greeted: write [`ClientSession::take_output`].
    Greeted,
    /// There is more to say: write [`ClientSession::take_output`].
    Send,
    /// A transaction may begin.
    Ready,
    /// The answer to [`ClientSession::start_tls`]: do the handshake, then call [`ClientSession::tls_started`].
    StartTls,
    /// The server would not, and the session goes on in clear text if the caller lets it.
    TlsRefused(Reply),
    /// A challenge of AUTH, decoded: answer with [`ClientSession::respond`].
    Challenge(Secret),
    /// AUTH succeeded, and a transaction may begin.
    Authenticated,
    /// AUTH failed. The session is as before it.
    AuthRefused(Reply),
    /// Write [`ClientSession::take_output`] and then the text.
    SendText(Framing),
    /// Every recipient of the transaction is settled, and the next may begin.
    Done,
}

/// How the text of a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// As it is: exactly as many octets as the envelope said.
    Counted,
    /// Through a [`DotStuffer`], with its end.
    Dots,
}

/// The connection is of no more use, or the server cannot take the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Not a reply.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The greeting, EHLO or LHLO was refused, or the server said 421. That holds for every recipient without a result.
    #[error("the server refused to go on: {0}")]
    Refused(Reply),
    /// A reply to nothing, or of a kind that does not answer what was asked.
    #[error("the server sent a reply that nothing asked for: {0}")]
    Unasked(Reply),
    /// The server said something in clear text behind its answer to STARTTLS, which somebody else may have put there.
    #[error("the server sent clear text behind its answer to STARTTLS")]
    Injected,
    /// The server lacks an extension that this needs. The session stays as it was.
    #[error("the server lacks {0}")]
    Lacks(&'static str),
    /// The message is bigger than the server takes, in octets. The session stays as it was.
    #[error("the server takes no message above {0} octets")]
    TooBig(u64),
    /// A transaction is open, or the server has not been greeted. The session stays as it was.
    #[error("the session is not ready for a transaction")]
    NotReady,
    /// An address that must not go into a command. The session stays as it was.
    #[error(transparent)]
    Address(#[from] MailboxError),
}

/// The state of one connection.
#[derive(Debug)]
pub struct ClientSession {
    protocol: Protocol,
    hostname: Box<str>,
    limits: ClientLimits,
    state: State,
    capabilities: Capabilities,
    results: Vec<Option<Reply>>,
    /// No recipient of the last transaction was accepted, so that the server still has it open.
    left_open: bool,
    /// What becomes of the text of the transaction when all its recipients have been answered.
    text: Text,
    /// Commands that wait for the reply to the one before, when the server lacks PIPELINING.
    later: Vec<u8>,
    /// The initial response of AUTH, when it was too long for the command.
    initial: Option<Secret>,
    output: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Greeting,
    Hello,
    /// HELO, since EHLO was refused.
    PlainHello,
    Ready,
    /// STARTTLS was said.
    StartTls,
    /// The handshake is the caller's.
    Handshake,
    Authentication,
    /// A challenge waits for the caller's response.
    Challenged,
    /// RSET on its own.
    Probe,
    Reset,
    Mail,
    Recipient(usize),
    Data,
    /// Replies to the text: the next recipient to get one, or the single reply that counts for all or for none.
    Text(usize),
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    /// It went out with the commands.
    Sent,
    /// By BDAT of so many octets, when the recipients have been answered.
    Chunk(u64),
    /// By DATA, which goes out with the recipients.
    DataSent,
    /// By DATA, when the recipients have been answered.
    Data,
}

impl ClientSession {
    /// A session on a fresh connection. `hostname` is what we call ourselves.
    #[must_use]
    pub fn new(protocol: Protocol, hostname: &str, limits: ClientLimits) -> Self {
        Self {
            protocol,
            hostname: hostname.into(),
            limits,
            state: State::Greeting,
            capabilities: Capabilities::default(),
            results: Vec::new(),
            left_open: false,
            text: Text::Sent,
            later: Vec::new(),
            initial: None,
            output: Vec::new(),
        }
    }

    /// What the server offered; nothing when it only knows HELO.
    #[must_use]
    pub const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Stops using an extension that the server offers: for servers that are known to break it.
    pub fn forgo(&mut self, change: impl FnOnce(&mut Capabilities)) {
        change(&mut self.capabilities);
    }

    /// Whether a transaction may begin.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// What is to be written to the server.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Asks an idle server whether it is still there, by RSET: [`ClientEvent::Ready`] says so.
    ///
    /// # Errors
    /// [`ClientError::NotReady`].
    pub fn probe(&mut self) -> Result<(), ClientError> {
        self.leave_ready(State::Probe)?;
        self.left_open = false;
        self.output.extend_from_slice(b"RSET\r\n");
        Ok(())
    }

    /// Says goodbye. The server's answer is of no interest, and nothing can be said behind it.
    pub fn quit(&mut self) {
        self.state = State::Broken;
        self.output.extend_from_slice(b"QUIT\r\n");
    }

    /// Takes replies from the front of `input`: the octets used and what they amount to. Without an event, more input is
    /// needed; what is not used stays with the caller and is never more than one reply may be long.
    ///
    /// # Errors
    /// When the server breaks the protocol, or refuses to go on. What was settled before is in [`Self::results`].
    pub fn receive(&mut self, input: &[u8]) -> Result<(usize, Option<ClientEvent>), ClientError> {
        let mut used = 0;
        while let Some((reply, octets)) =
            Reply::parse(&input[used..], self.limits.reply).inspect_err(|_| self.state = State::Broken)?
        {
            used += octets;
            if let Some(event) = self.take(reply).inspect_err(|_| self.state = State::Broken)? {
                if event == ClientEvent::StartTls && used < input.len() {
                    self.state = State::Broken;
                    return Err(ClientError::Injected);
                }
                return Ok((used, Some(event)));
            }
        }
        Ok((used, None))
    }

    /// For each recipient of the last transaction, in order, what the server finally said: the refusal of MAIL or RCPT, or the reply
    /// to the text. `None` is unknown.
    #[must_use]
    pub fn results(&mut self) -> Vec<Option<Reply>> {
        std::mem::take(&mut self.results)
    }

    fn take(&mut self, reply: Reply) -> Result<Option<ClientEvent>, ClientError> {
        // RFC 5321 §3.8: 421 may come at any time and says that the connection ends.
        if reply.code() == 421 {
            return Err(ClientError::Refused(reply));
        }
        // 334 and 354 ask for something; they answer nothing else, and above all do not mean success.
        let asks = match self.state {
            State::Data => reply.code() == 354,
            State::Authentication => reply.code() == 334,
            _ => false,
        };
        if (300..400).contains(&reply.code()) && !asks {
            return Err(ClientError::Unasked(reply));
        }
        match self.state {
            State::Ready | State::Broken | State::Handshake | State::Challenged => {
                Err(ClientError::Unasked(reply))
            }
            State::Greeting if reply.code() == 220 => {
                let verb = if self.protocol == Protocol::Lmtp { "LHLO" } else { "EHLO" };
                self.hello(verb, State::Hello);
                Ok(Some(ClientEvent::Greeted))
            }
            State::Hello | State::PlainHello => self.take_hello(reply),
            State::Greeting => Err(ClientError::Refused(reply)),
            State::StartTls => Ok(Some(self.take_start_tls(reply))),
            State::Authentication => self.take_authentication(reply),
            State::Probe if reply.is_positive() => {
                self.state = State::Ready;
                Ok(Some(ClientEvent::Ready))
            }
            State::Probe => Err(ClientError::Refused(reply)),
            State::Reset | State::Mail | State::Recipient(_) | State::Data | State::Text(_) => {
                self.take_transaction(reply)
            }
        }
    }

    fn hello(&mut self, verb: &str, state: State) {
        // Writing to a Vec cannot fail.
        let _ = write!(self.output, "{verb} {}\r\n", self.hostname);
        self.state = state;
    }

    fn leave_ready(&mut self, state: State) -> Result<(), ClientError> {
        if self.state != State::Ready {
            return Err(ClientError::NotReady);
        }
        self.state = state;
        Ok(())
    }
}

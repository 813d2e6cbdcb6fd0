//! The sending side of LMTP (RFC 2033) and SMTP (RFC 5321), for links between our own roles.
//!
//! A message costs one round trip: MAIL, every RCPT and `BDAT n LAST` with the text go out together (RFC 2920, RFC 3030), then
//! the replies come in order. BDAT needs no dot-stuffing, so the text is written as it is.
//!
//! [`ClientSession::results`] can be taken at any time: when a connection dies between two replies, those recipients that have theirs are
//! settled, and of the others nothing is known.

use crate::{
    mailbox::ReversePath,
    reply::{Reply, ReplyError, ReplyLimits},
    server::Protocol,
};
use chasqui_base::DeliveryId;
use std::io::Write as _;

/// What the client side refuses to do without bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientLimits {
    /// Of each reply.
    pub reply: ReplyLimits,
}

/// The extensions that a server offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// XDELIVERYID.
    pub delivery_id: bool,
    /// SIZE (RFC 1870): offered, and with which limit in octets (0 is none).
    pub size: Option<u64>,
    /// LIMITS RCPTMAX (RFC 9422).
    pub recipients: Option<u32>,
}

impl Capabilities {
    fn read(reply: &Reply) -> Self {
        let mut found = Self::default();
        for line in reply.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next() else { continue };
            match keyword.to_ascii_uppercase().as_str() {
                "PIPELINING" => found.pipelining = true,
                "CHUNKING" => found.chunking = true,
                "8BITMIME" => found.eight_bit_mime = true,
                "SMTPUTF8" => found.smtputf8 = true,
                "STARTTLS" => found.starttls = true,
                "XDELIVERYID" => found.delivery_id = true,
                "SIZE" => found.size = Some(words.next().and_then(|word| word.parse().ok()).unwrap_or(0)),
                "LIMITS" => {
                    found.recipients = words.filter_map(|w| w.strip_prefix("RCPTMAX=")?.parse().ok()).next();
                }
                _ => {}
            }
        }
        found
    }
}

/// Everything of a transaction but its text.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a, R> {
    /// Where bounces go.
    pub reverse_path: &'a ReversePath,
    /// SMTPUTF8 is needed.
    pub smtputf8: bool,
    /// The text may have octets above 127.
    pub eight_bit_mime: bool,
    /// Sent when the server offers XDELIVERYID.
    pub delivery_id: Option<DeliveryId>,
    /// Octets of text that follow.
    pub size: u64,
    /// Addresses without brackets. Never empty.
    pub recipients: &'a [R],
}

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The server greeted: write [`ClientSession::take_output`].
    Greeted,
    /// A transaction may begin.
    Ready,
    /// Every recipient of the transaction is settled, and the next may begin.
    Done,
}

/// The connection is of no more use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Not a reply.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The greeting or LHLO was refused, or the server said 421.
    #[error("the server refused to go on: {0}")]
    Refused(Reply),
    /// A reply to nothing.
    #[error("the server sent a reply that nothing asked for: {0}")]
    Unasked(Reply),
    /// The server lacks an extension that this needs.
    #[error("the server lacks {0}")]
    Lacks(&'static str),
    /// A transaction is open, or the server has not been greeted.
    #[error("the session is not ready for a transaction")]
    NotReady,
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
    output: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Greeting,
    Hello,
    Ready,
    Reset,
    Mail,
    Recipient(usize),
    /// Replies to the text: the next recipient to get one, or the single reply that counts for all or for none.
    Text(usize),
    Broken,
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
            output: Vec::new(),
        }
    }

    /// What the server offered.
    #[must_use]
    pub const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
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

    /// Appends MAIL, RCPT… and BDAT LAST to `out`. The caller writes it with `size` octets of text behind.
    ///
    /// # Errors
    /// When the session is not ready or the server lacks what the transaction needs; nothing is appended then and the session
    /// stays as it was.
    pub fn begin<R: AsRef<str>>(
        &mut self,
        envelope: &Envelope<'_, R>,
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        if self.state != State::Ready || envelope.recipients.is_empty() {
            return Err(ClientError::NotReady);
        }
        let lacks = |offered, name| if offered { Ok(()) } else { Err(ClientError::Lacks(name)) };
        lacks(self.capabilities.pipelining, "PIPELINING")?;
        lacks(self.capabilities.chunking, "CHUNKING")?;
        lacks(self.capabilities.smtputf8 || !envelope.smtputf8, "SMTPUTF8")?;
        lacks(self.capabilities.eight_bit_mime || !envelope.eight_bit_mime, "8BITMIME")?;
        let left_open = std::mem::take(&mut self.left_open);
        if left_open {
            out.extend_from_slice(b"RSET\r\n");
        }
        // Writing to a Vec cannot fail.
        let _ = write!(out, "MAIL FROM:<{}>", envelope.reverse_path);
        if envelope.eight_bit_mime {
            out.extend_from_slice(b" BODY=8BITMIME");
        }
        if envelope.smtputf8 {
            out.extend_from_slice(b" SMTPUTF8");
        }
        if self.capabilities.size.is_some() {
            let _ = write!(out, " SIZE={}", envelope.size);
        }
        if let Some(id) = envelope.delivery_id.filter(|_| self.capabilities.delivery_id) {
            let _ = write!(out, " XDELIVERYID={id}");
        }
        for recipient in envelope.recipients {
            let _ = write!(out, "\r\nRCPT TO:<{}>", recipient.as_ref());
        }
        let _ = write!(out, "\r\nBDAT {} LAST\r\n", envelope.size);
        self.results.clear();
        self.results.resize(envelope.recipients.len(), None);
        self.state = if left_open { State::Reset } else { State::Mail };
        Ok(())
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
        match self.state {
            State::Ready | State::Broken => Err(ClientError::Unasked(reply)),
            State::Greeting if reply.code() == 220 => {
                let verb = if self.protocol == Protocol::Lmtp { "LHLO" } else { "EHLO" };
                let _ = write!(self.output, "{verb} {}\r\n", self.hostname);
                self.state = State::Hello;
                Ok(Some(ClientEvent::Greeted))
            }
            State::Hello if reply.code() == 250 => {
                self.capabilities = Capabilities::read(&reply);
                self.state = State::Ready;
                Ok(Some(ClientEvent::Ready))
            }
            State::Greeting | State::Hello => Err(ClientError::Refused(reply)),
            State::Reset => {
                self.state = State::Mail;
                Ok(None)
            }
            State::Mail => {
                if !reply.is_positive() {
                    self.results.fill(Some(reply));
                }
                self.state = State::Recipient(0);
                Ok(None)
            }
            State::Recipient(index) => {
                if let Some(result @ None) = self.results.get_mut(index)
                    && !reply.is_positive()
                {
                    *result = Some(reply);
                }
                self.state = if index + 1 < self.results.len() {
                    State::Recipient(index + 1)
                } else {
                    let first = self.next_open(0);
                    self.left_open = first == self.results.len();
                    State::Text(first)
                };
                Ok(None)
            }
            State::Text(index) => {
                if self.protocol == Protocol::Lmtp && index < self.results.len() {
                    // RFC 2033 §4.2: one reply for each recipient that was accepted, in their order.
                    self.results[index] = Some(reply);
                    let next = self.next_open(index + 1);
                    if next < self.results.len() {
                        self.state = State::Text(next);
                        return Ok(None);
                    }
                } else {
                    for result in self.results.iter_mut().filter(|result| result.is_none()) {
                        *result = Some(reply.clone());
                    }
                }
                self.state = State::Ready;
                Ok(Some(ClientEvent::Done))
            }
        }
    }

    fn next_open(&self, from: usize) -> usize {
        (from..self.results.len()).find(|&index| self.results[index].is_none()).unwrap_or(self.results.len())
    }
}

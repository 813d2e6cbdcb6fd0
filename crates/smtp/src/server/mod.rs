//! The receiving side of SMTP (RFC 5321) and LMTP (RFC 2033).
//!
//! The caller reads bytes from its transport into a buffer, calls [`ServerSession::next`] until no event comes, and
//! writes [`ServerSession::take_output`] whenever it must wait. Events that are questions ([`Event::wants_reply`]) are answered by
//! [`ServerSession::accept`] or [`ServerSession::reply`] before the next call. Replies of pipelined commands so gather in
//! one write (RFC 2920 §3.2).
//!
//! Order of commands, syntax and limits are answered here, without the caller.

use crate::{
    command::{Hello, Mail, Recipient},
    content::Scanner,
    notification::RecipientParameters,
    reply::{Reply, replies},
};
use chasqui_base::Secret;
use std::sync::Arc;

mod authentication;
mod commands;
mod message;
mod profile;

pub use profile::{Profile, Protocol};

/// What happened.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Question: EHLO, HELO or LHLO. An open transaction is over (RFC 5321 §4.1.4).
    Hello(Hello<'a>),
    /// Question: MAIL. Its SIZE is already within the limit.
    Mail(Mail),
    /// Question: RCPT.
    Recipient(Recipient, RecipientParameters),
    /// Question: DATA or the first BDAT, with at least one accepted recipient.
    MessageStart,
    /// A part of the message, dots taken out. No answer.
    Text(&'a [u8]),
    /// Question: the message is complete. In LMTP it takes one reply for each accepted recipient, in their order.
    MessageEnd,
    /// The open transaction is over without a message, and every trace of it is to be dropped: RSET, or a message that was
    /// refused here, with that refusal. No answer.
    Dropped(Option<Reply>),
    /// Question: STARTTLS. When accepted, write the output, do the handshake and call [`ServerSession::tls_started`],
    /// which forgets an open transaction.
    StartTls {
        /// Octets pipelined in clear text behind the command: dropped.
        dropped: usize,
    },
    /// Question: AUTH with a mechanism of [`Profile::auth`]. It is answered by [`ServerSession::challenge`],
    /// [`ServerSession::authenticated`], or a refusal by [`ServerSession::reply`]. The caller overwrites what it used of its
    /// input buffer, which holds secrets.
    Authenticate {
        /// The mechanism, spelt as in the profile.
        mechanism: &'static str,
        /// The initial response, decoded.
        initial: Option<Secret>,
    },
    /// Question: the client's response to the last challenge, decoded. As [`Event::Authenticate`]. A client that cancels, or whose
    /// response cannot be decoded, is answered here; the exchange is over then, and the next event is none of this kind.
    AuthResponse(Secret),
    /// Write the output and close the connection.
    Close,
}

impl Event<'_> {
    /// Whether the session stands still until the event is answered.
    #[must_use]
    pub const fn wants_reply(&self) -> bool {
        !matches!(self, Self::Text(_) | Self::Dropped(_) | Self::Close)
    }
}

/// One result of [`ServerSession::next`].
#[derive(Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Octets of the input that are used up.
    pub consumed: usize,
    /// What happened; `None` when more input, or an answer, is needed.
    pub event: Option<Event<'a>>,
}

/// The state of one connection.
#[derive(Debug)]
pub struct ServerSession {
    profile: Arc<Profile>,
    phase: Phase,
    pending: Option<Pending>,
    transaction: Option<Transaction>,
    /// EHLO or LHLO, HELO, or none yet.
    greeted: Option<bool>,
    tls: bool,
    /// TLS can bind a SCRAM exchange to itself.
    channel_binding: bool,
    authenticated: bool,
    /// Seconds since 1970 at the last greeting.
    now: Option<u64>,
    output: Vec<u8>,
    errors: u32,
    auth_failures: u32,
    unknown_commands: u32,
    idle_commands: u32,
    messages: u32,
}

#[derive(Debug)]
enum Phase {
    Command,
    /// The client's response to a challenge.
    Response,
    /// The rest of a line that was too long; whether its last octet was CR.
    Overlong(bool),
    /// DATA.
    Text(Box<Scanner>),
    /// The octets of one BDAT.
    Chunk(Chunk),
    Closed,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    left: u64,
    size: u64,
    last: bool,
    /// Octets are skipped, and the reply is given at their end.
    refused: Option<Refusal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// Out of order: nothing else changes.
    Order,
    /// The message is refused with `Transaction::refusal`.
    Message,
}

#[derive(Debug)]
struct Transaction {
    smtputf8: bool,
    /// BODY=BINARYMIME.
    binary: bool,
    recipients: u32,
    /// Octets of text so far.
    size: u64,
    /// BDAT has begun.
    chunks: Option<Box<Scanner>>,
    /// The message will be refused at its end.
    refusal: Option<Reply>,
}

#[derive(Debug)]
enum Pending {
    Hello { extended: bool },
    Mail { smtputf8: bool, binary: bool },
    Recipient,
    Data,
    Chunk(Chunk),
    MessageEnd { left: u32 },
    StartTls,
    Authenticate,
}

impl ServerSession {
    /// A session that has sent nothing yet.
    #[must_use]
    pub fn new(profile: Arc<Profile>) -> Self {
        Self {
            profile,
            phase: Phase::Command,
            pending: None,
            transaction: None,
            greeted: None,
            tls: false,
            channel_binding: false,
            authenticated: false,
            now: None,
            output: Vec::new(),
            errors: 0,
            auth_failures: 0,
            unknown_commands: 0,
            idle_commands: 0,
            messages: 0,
        }
    }

    /// Writes the greeting of the server (RFC 5321 §3.1).
    pub fn greet(&mut self) {
        let protocol = if self.lmtp() { "LMTP" } else { "ESMTP" };
        Reply::plain(220, format!("{} {protocol} Chasqui", self.profile.hostname)).write_to(&mut self.output);
    }

    /// The handshake of STARTTLS, or of implicit TLS, is done: everything said before is forgotten (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {
        self.tls = true;
        self.channel_binding = false;
        self.authenticated = false;
        self.greeted = None;
        self.transaction = None;
    }

    /// TLS gives out channel binding (RFC 9266): mechanisms that end in `-PLUS` are offered. To be called behind
    /// [`Self::tls_started`].
    pub fn bind_channel(&mut self) {
        self.channel_binding = self.tls;
    }

    /// The time in seconds since 1970, for FUTURERELEASE: to be told before a greeting is accepted, without which it is not offered.
    pub fn set_time(&mut self, now: u64) {
        self.now = Some(now);
    }

    /// Whether the session is encrypted.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether the client greeted with EHLO or LHLO.
    #[must_use]
    pub fn is_extended(&self) -> bool {
        self.greeted == Some(true)
    }

    /// Whether a transaction is open or a question is unanswered: outside of it, the session may be ended without harm.
    #[must_use]
    pub const fn in_transaction(&self) -> bool {
        self.transaction.is_some() || self.pending.is_some()
    }

    /// Whether the next octets are message text and not a command.
    #[must_use]
    pub const fn reads_text(&self) -> bool {
        matches!(self.phase, Phase::Text(_) | Phase::Chunk(_))
    }

    /// What is to be written to the client. Leaves no buffer behind, since most sessions are idle most of the time.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Whether there is something to write.
    #[must_use]
    pub const fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Ends the session with this reply: 421, or 554 in place of a greeting.
    pub fn end(&mut self, reply: &Reply) {
        self.pending = None;
        self.transaction = None;
        self.phase = Phase::Closed;
        reply.write_to(&mut self.output);
    }

    /// Takes the next event from `input`, which begins behind what was consumed before.
    ///
    /// An incomplete command stays in the caller's buffer, which never has to hold more than `line_length` octets; message text is
    /// always consumed whole. Without an event, all that could be used is used.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        let mut consumed = 0;
        if self.pending.is_some() {
            return Step { consumed, event: None };
        }
        loop {
            self.shed();
            let in_chunk = matches!(self.phase, Phase::Chunk(_));
            let (used, event) = match self.phase {
                Phase::Closed => (input.len() - consumed, Some(Event::Close)),
                Phase::Overlong(_) => (self.skip_line(&input[consumed..]), None),
                Phase::Command => self.command(&input[consumed..]),
                Phase::Response => self.response(&input[consumed..]),
                Phase::Text(_) => self.text(&input[consumed..]),
                Phase::Chunk(_) => self.chunk(&input[consumed..]),
            };
            consumed += used;
            if event.is_some() {
                return Step { consumed, event };
            }
            self.shed();
            // A closed session and a chunk whose octets are all there have more to say without more input.
            let goes_on = matches!(self.phase, Phase::Closed | Phase::Chunk(Chunk { left: 0, .. }));
            if !goes_on && (consumed == input.len() || used == 0 && !in_chunk) {
                return Step { consumed, event };
            }
        }
    }

    /// Gives the answer of the caller to the last question. Positive codes let the session go on, others keep the state as it was.
    /// In LMTP a message takes one call for each accepted recipient. Without a question it does nothing.
    pub fn reply(&mut self, reply: &Reply) {
        let Some(pending) = self.pending.take() else { return };
        // The octets of a chunk follow whatever the answer, and only then its reply.
        if let Pending::Chunk(chunk) = pending {
            return self.start_chunk(chunk, reply);
        }
        if self.lmtp() {
            // What an exchanger of ours asks in good faith is not counted against it.
            reply.write_to(&mut self.output);
        } else {
            self.write(reply);
        }
        match pending {
            Pending::MessageEnd { left } if left > 1 => {
                self.pending = Some(Pending::MessageEnd { left: left - 1 })
            }
            Pending::MessageEnd { .. } => self.message_done(),
            // RFC 5321 §4.1.1.4: after a refused DATA the transaction stays and may be tried again.
            pending if reply.is_positive() => self.accepted(pending),
            Pending::Authenticate => self.auth_failures = self.auth_failures.saturating_add(1),
            _ => {}
        }
        if reply.code() == 421 && self.pending.is_none() {
            self.phase = Phase::Closed;
        }
    }

    /// Gives the usual positive answer to the last question; to a message, to every recipient.
    pub fn accept(&mut self) {
        match self.pending {
            Some(Pending::Hello { extended }) => {
                let reply = self.capabilities(extended);
                self.reply(&reply);
            }
            // Nobody is let in by a caller that accepts everything.
            Some(Pending::Authenticate) => self.reply(&replies::NOT_AUTHENTICATED),
            Some(Pending::Mail { .. }) => self.reply(&replies::SENDER_OK),
            Some(Pending::Recipient) => self.reply(&replies::RECIPIENT_OK),
            Some(Pending::Data | Pending::Chunk(_)) => {
                self.reply(&Reply::plain(354, "End with a dot on a line of its own"));
            }
            Some(Pending::MessageEnd { .. }) => self.reply_all(&Reply::fixed(250, (2, 0, 0), "Accepted")),
            Some(Pending::StartTls) => self.reply(&replies::START_TLS),
            None => {}
        }
    }

    /// Gives the same answer for every recipient that has none yet.
    pub fn reply_all(&mut self, reply: &Reply) {
        while matches!(self.pending, Some(Pending::MessageEnd { .. })) {
            self.reply(reply);
        }
    }

    fn accepted(&mut self, pending: Pending) {
        match pending {
            Pending::Hello { extended } => self.greeted = Some(extended),
            Pending::Mail { smtputf8, binary } => {
                self.transaction = Some(Transaction {
                    smtputf8,
                    binary,
                    recipients: 0,
                    size: 0,
                    chunks: None,
                    refusal: None,
                });
            }
            Pending::Recipient => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.recipients += 1;
                }
            }
            Pending::Data => self.phase = Phase::Text(Box::new(self.scanner())),
            Pending::Authenticate => self.authenticated = true,
            Pending::StartTls | Pending::Chunk(_) | Pending::MessageEnd { .. } => {}
        }
    }

    /// Closes a session that errs or idles too much.
    fn shed(&mut self) {
        if !matches!(self.phase, Phase::Command | Phase::Overlong(_)) {
            return;
        }
        let limits = &self.profile.limits;
        let guesses = self.auth_failures > limits.auth_failures;
        if guesses || self.errors > limits.errors || self.unknown_commands > limits.unknown_commands {
            self.end(&replies::TOO_MANY_ERRORS);
        } else if self.idle_commands > limits.idle_commands {
            self.end(&replies::TOO_MANY_COMMANDS);
        }
    }

    fn skip_line(&mut self, input: &[u8]) -> usize {
        let Phase::Overlong(cr) = self.phase else { return 0 };
        if cr && input.first() == Some(&b'\n') {
            self.phase = Phase::Command;
            return 1;
        }
        match memchr::memmem::find(input, b"\r\n") {
            Some(found) => {
                self.phase = Phase::Command;
                found + 2
            }
            None => {
                self.phase = Phase::Overlong(input.last().map_or(cr, |&b| b == b'\r'));
                input.len()
            }
        }
    }

    fn ask<'a>(&mut self, pending: Pending, event: Event<'a>) -> Option<Event<'a>> {
        self.pending = Some(pending);
        Some(event)
    }

    fn refuse<'a>(&mut self, reply: &Reply) -> Option<Event<'a>> {
        self.write(reply);
        None
    }

    fn idle<'a>(&mut self, reply: &Reply) -> Option<Event<'a>> {
        self.idle_commands += 1;
        self.write(reply);
        None
    }

    fn write(&mut self, reply: &Reply) {
        if reply.is_permanent() {
            self.errors += 1;
        }
        reply.write_to(&mut self.output);
    }

    fn lmtp(&self) -> bool {
        self.profile.protocol == Protocol::Lmtp
    }
}

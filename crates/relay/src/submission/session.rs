//! One connection, of a user or of a role.
//!
//! The session waits without buffers between transactions. A transaction runs in the session's own task from MAIL to the answer, so
//! that it costs no hand-over: look-ups while the client waits, the queue's answer before its own.

mod message;

use super::{
    Policy, Shared,
    intake::Intake,
    log_in::{Desk, LogIn, Turn},
    now,
    transaction::Transaction,
    user::User,
};
use crate::inside;
use chasqui_base::{
    EmailAddress, Lifecycle,
    net::{Peer, Stream},
};
use chasqui_courier::{
    conversation::{READ, READ_COMMANDS, answer, hang_up},
    in_time,
};
use chasqui_sasl::scram::Channel;
use chasqui_smtp::{Event, Mail, Profile, Recipient, RecipientParameters, Reply, ServerSession, replies};
use std::{io, sync::Arc, time::Instant};
use zeroize::Zeroize as _;

const LOCAL_ERROR: Reply = Reply::fixed(451, (4, 3, 0), "Local error, try again later");
const TLS_UNAVAILABLE: Reply = Reply::fixed(454, (4, 7, 0), "TLS not available");

/// Through which door a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Submission.
    User,
    /// The inside port.
    Role,
}

impl Door {
    /// Its name in metrics and logs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::User => "submission",
            Self::Role => "inside",
        }
    }
}

/// One connection.
pub(crate) struct Session {
    stream: Stream,
    wire: ServerSession,
    /// Read and not used yet.
    input: Vec<u8>,
    hello: Box<str>,
    /// Who has authenticated.
    account: Option<EmailAddress>,
    log_in: Option<LogIn>,
    transaction: Option<Box<Transaction>>,
    /// When the message whose text is being received began.
    begun: Instant,
    /// When the present command was first waited for: since the reply to the one before it.
    waiting: Instant,
    opened: Instant,
    peer: Peer,
    policy: Arc<Policy>,
    shared: Arc<Shared>,
    door: Door,
}

enum Next {
    /// Read more.
    Read,
    /// Do the handshake.
    StartTls,
    /// Close.
    Close,
}

impl Session {
    pub(crate) fn new(
        stream: Stream,
        peer: Peer,
        shared: Arc<Shared>,
        profile: Arc<Profile>,
        policy: Arc<Policy>,
        door: Door,
    ) -> Self {
        Self {
            stream,
            wire: ServerSession::new(profile),
            input: Vec::new(),
            hello: "".into(),
            account: None,
            log_in: None,
            transaction: None,
            begun: Instant::now(),
            waiting: Instant::now(),
            opened: Instant::now(),
            peer,
            policy,
            shared,
            door,
        }
    }

    /// Serves it to its end.
    pub(crate) async fn run(mut self, implicit_tls: bool, run: &Lifecycle) {
        if let Err(error) = self.serve(implicit_tls, run).await {
            tracing::debug!(peer = %self.peer.ip(), door = self.door.name(), %error, "connection lost");
        }
    }

    /// The stream is under TLS already.
    pub(crate) fn is_under_tls(&mut self) {
        self.wire.tls_started();
    }

    /// Refuses the connection in place of a greeting.
    pub(crate) async fn turn_away(mut self, reply: &Reply) {
        // A client that does not wait for it is of no concern.
        let _ = self.end(reply).await;
    }

    async fn serve(&mut self, implicit_tls: bool, run: &Lifecycle) -> io::Result<()> {
        if implicit_tls {
            Box::pin(self.start_tls()).await?;
        }
        self.wire.greet();
        loop {
            let next = self.process(run).await;
            self.flush().await?;
            match next {
                Next::Close => return self.close().await,
                Next::StartTls => Box::pin(self.start_tls()).await?,
                Next::Read => {
                    if !self.read(run).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Waits for octets; false at the end of the connection.
    async fn read(&mut self, run: &Lifecycle) -> io::Result<bool> {
        let limits = &self.policy.config.senders.limits;
        let in_text = self.wire.reads_text();
        // A client that sends octet by octet gets no more time than one that sends nothing.
        let mut deadline = if in_text {
            limits.data_timeout.get()
        } else {
            limits.command_timeout.get().saturating_sub(self.waiting.elapsed())
        };
        // Between the chunks of BDAT too.
        if in_text || self.transaction.as_ref().is_some_and(|transaction| transaction.has_begun()) {
            deadline = deadline.min(limits.message_timeout.get().saturating_sub(self.begun.elapsed()));
        }
        if self.is_nobody() {
            deadline = deadline.min(limits.login_timeout.get().saturating_sub(self.opened.elapsed()));
        }
        if deadline.is_zero() {
            return self.time_out().await;
        }
        let most = if in_text { READ } else { READ_COMMANDS };
        if self.wire.in_transaction() {
            return match in_time(deadline, self.stream.read_more(&mut self.input, most)).await {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => self.time_out().await,
                octets => Ok(octets? > 0),
            };
        }
        if self.input.is_empty() {
            // An idle connection holds no buffer.
            self.input = Vec::new();
        }
        tokio::select! {
            biased;
            octets = in_time(deadline, self.stream.read_more(&mut self.input, most)) => match octets {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => self.time_out().await,
                octets => Ok(octets? > 0),
            },
            () = run.stopped() => self.end(&replies::SHUTTING_DOWN).await,
        }
    }

    /// A user who has not authenticated yet.
    fn is_nobody(&self) -> bool {
        self.door == Door::User && self.account.is_none()
    }

    async fn time_out(&mut self) -> io::Result<bool> {
        if self.is_nobody() {
            self.shared.guessing.nuisance(Instant::now(), self.peer.ip());
        }
        self.end(&replies::TIMED_OUT).await
    }

    async fn end(&mut self, reply: &Reply) -> io::Result<bool> {
        self.wire.end(reply);
        self.flush().await?;
        self.close().await?;
        Ok(false)
    }

    async fn close(&mut self) -> io::Result<()> {
        self.input = Vec::new();
        hang_up(&mut self.stream).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.wire.has_output() {
            return Ok(());
        }
        let output = self.wire.take_output();
        answer(&mut self.stream, &output).await?;
        // Every command has its reply, and nothing else has one.
        self.waiting = Instant::now();
        Ok(())
    }

    /// Handles everything that has arrived.
    async fn process(&mut self, run: &Lifecycle) -> Next {
        let mut input = std::mem::take(&mut self.input);
        let mut at = 0;
        let next = loop {
            let begin = at;
            let step = self.wire.next(&input[at..]);
            at += step.consumed;
            match step.event {
                None => break Next::Read,
                Some(Event::Close) => break Next::Close,
                Some(Event::Hello(hello)) => {
                    self.hello = hello.name.into();
                    self.transaction = None;
                    self.wire.set_time(now());
                    self.wire.accept();
                }
                Some(Event::StartTls { dropped }) => {
                    if dropped > 0 {
                        tracing::warn!(peer = %self.peer.ip(), octets = dropped, "dropped clear text behind STARTTLS");
                    }
                    self.transaction = None;
                    if self.shared.tls.is_some() {
                        self.wire.accept();
                        break Next::StartTls;
                    }
                    self.wire.reply(&TLS_UNAVAILABLE);
                }
                Some(Event::Authenticate { mechanism, initial }) => {
                    let channel = self.channel();
                    let turn = Box::pin(self.desk(run).begin(mechanism, initial, &channel)).await;
                    self.turn(turn);
                    input[begin..at].zeroize();
                }
                Some(Event::AuthResponse(response)) => {
                    let turn = match self.log_in.take() {
                        Some(log_in) => Box::pin(self.desk(run).answer(log_in, &response)).await,
                        None => Turn::No(replies::AUTH_CANCELLED),
                    };
                    self.turn(turn);
                    input[begin..at].zeroize();
                }
                Some(Event::Mail(mail)) => {
                    let reply = Box::pin(self.mail(mail)).await;
                    self.wire.reply(&reply);
                }
                Some(Event::Recipient(recipient, parameters)) => {
                    let reply = Box::pin(self.recipient(recipient, parameters)).await;
                    self.wire.reply(&reply);
                }
                Some(Event::MessageStart) => {
                    self.begun = Instant::now();
                    let most = self.policy.config.senders.limits.header_size.as_usize();
                    let most =
                        most.saturating_add(if self.door == Door::Role { inside::HEADER_MORE } else { 0 });
                    if let Some(transaction) = &mut self.transaction {
                        transaction.text = Some(Intake::new(most));
                    }
                    self.wire.accept();
                }
                Some(Event::Text(text)) => {
                    let intake = self.transaction.as_mut().and_then(|transaction| transaction.text.as_mut());
                    if let Some(split) = intake.and_then(|intake| intake.push(text)) {
                        Box::pin(self.header(split)).await;
                    }
                    self.spill().await;
                }
                Some(Event::MessageEnd) => {
                    // Boxed: a session that waits should not be as big as what it does.
                    let reply = Box::pin(self.finish_message()).await;
                    self.wire.reply_all(&reply);
                }
                Some(Event::Dropped(refusal)) => {
                    if let (Some(transaction), Some(reply)) = (self.transaction.take(), refusal) {
                        self.shared.metrics.message(self.door.name(), "refused");
                        tracing::info!(delivery = %transaction.id, peer = %self.peer.ip(), %reply, "message refused");
                    }
                }
            }
        };
        input.drain(..at);
        self.input = input;
        next
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        let Some(tls) = self.shared.tls.clone() else { return Err(io::ErrorKind::Unsupported.into()) };
        // The stream is moved into the handshake; a closed socket stands in for it meanwhile.
        let (stand_in, _) = Stream::pair()?;
        let stream = std::mem::replace(&mut self.stream, stand_in);
        self.stream = tls.accept(stream).await.map_err(io::Error::other)?;
        self.input.clear();
        self.hello = "".into();
        self.account = None;
        self.wire.tls_started();
        if self.stream.channel_binding().is_some() {
            self.wire.bind_channel();
        }
        self.waiting = Instant::now();
        Ok(())
    }

    fn channel(&self) -> Channel {
        let binding = self.stream.channel_binding();
        let plus = self.policy.users.auth.iter().any(|mechanism| mechanism.ends_with("-PLUS"));
        Channel { plus_offered: plus && binding.is_some(), binding }
    }

    fn desk<'a>(&'a self, run: &'a Lifecycle) -> Desk<'a> {
        Desk { shared: &self.shared, ip: self.peer.ip(), run }
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Challenge(log_in, text) => {
                self.log_in = Some(log_in);
                self.wire.challenge(&text);
            }
            Turn::Yes(record) => {
                self.account = Some(record.account);
                self.wire.authenticated();
            }
            Turn::No(reply) => self.wire.reply(&reply),
        }
    }

    fn user(&self) -> Option<User<'_>> {
        self.account.as_ref().map(|account| User { shared: &self.shared, account })
    }

    async fn mail(&mut self, mail: Mail) -> Reply {
        if let Err(error) = self.shared.queue.check_room(mail.size.unwrap_or(0)) {
            return error.reply();
        }
        let charge = match (self.door, self.user()) {
            (Door::Role, _) => None,
            (Door::User, None) => return replies::AUTH_FIRST,
            (Door::User, Some(user)) => match user.mail(&mail.reverse_path).await {
                Ok(charge) => Some(charge),
                Err(reply) => return reply,
            },
        };
        self.transaction = Some(Transaction::new(mail, charge));
        replies::SENDER_OK
    }

    async fn recipient(&mut self, recipient: Recipient, parameters: RecipientParameters) -> Reply {
        let Some(mut transaction) = self.transaction.take() else { return replies::MAIL_FIRST };
        let found = match (self.door, self.user(), &mut transaction.charge) {
            (Door::User, Some(user), Some(charge)) => user.recipient(&recipient, charge).await,
            (Door::User, ..) => Err((replies::AUTH_FIRST, "refused")),
            (Door::Role, ..) => Ok(inside::recipient(&recipient, &self.policy.config.hostname)),
        };
        let (reply, outcome) = match found {
            Ok(address) => {
                transaction.add(address, parameters);
                (replies::RECIPIENT_OK, "accepted")
            }
            Err((reply, outcome)) => {
                tracing::info!(delivery = %transaction.id, peer = %self.peer.ip(), %reply, "recipient refused");
                (reply, outcome)
            }
        };
        self.shared.metrics.recipient(self.door.name(), outcome);
        self.transaction = Some(transaction);
        reply
    }
}

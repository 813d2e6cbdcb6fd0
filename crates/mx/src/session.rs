//! One SMTP connection.
//!
//! The session waits without buffers between transactions. A transaction runs in the session's own task from MAIL to the answer, so that
//! it costs no hand-over: look-ups while RCPT waits, then one LMTP transaction, whose reply is the client's.

use crate::{
    delivery::{Settlement, settle},
    service::{Exchanger, Policy},
    spool::KeepError,
};
use chasqui_base::{
    DeliveryId, EmailAddress, Lifecycle,
    net::{Peer, Stream},
};
use chasqui_courier::{Envelope, Incoming, Owned, in_time, received::Trace};
use chasqui_smtp::{Body, Event, Mail, Recipient, Reply, ServerSession, replies};
use std::{
    collections::HashSet,
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::io::AsyncWriteExt as _;

/// What one read takes at most: of message text, and of commands, which a client may pipeline with the text behind them.
const READ: usize = 64 * 1024;
const READ_COMMANDS: usize = 16 * 1024;

/// How long a client may take to read our replies.
const WRITE_DEADLINE: Duration = Duration::from_secs(60);

/// How long a closed connection is read from.
const LINGER: Duration = Duration::from_secs(1);

const ANOTHER_NODE: Reply =
    Reply::fixed(452, (4, 5, 3), "One storage node a transaction: send this recipient the next");
const TOO_MANY_ACCOUNTS: Reply = Reply::fixed(452, (4, 5, 3), "The recipients stand for too many accounts");
const LOOP: Reply = Reply::fixed(554, (5, 4, 6), "Routing loop: too many Received lines");
const NO_SPACE: Reply = Reply::fixed(452, (4, 3, 1), "No space for the message now, try again later");
const LOCAL_ERROR: Reply = Reply::fixed(451, (4, 3, 0), "Local error, try again later");
const TLS_UNAVAILABLE: Reply = Reply::fixed(454, (4, 7, 0), "TLS not available");

/// Serves one connection to its end.
pub(crate) async fn run(exchanger: Arc<Exchanger>, stream: Stream, peer: Peer, run: Lifecycle) {
    exchanger.metrics.sessions.inc();
    let policy = exchanger.policy.load_full();
    let mut wire = ServerSession::new(Arc::clone(&policy.profile));
    wire.greet();
    let mut session = Session {
        stream,
        wire,
        input: Vec::new(),
        hello: "".into(),
        transaction: None,
        begun: Instant::now(),
        waiting: Instant::now(),
        peer,
        policy,
        exchanger: Arc::clone(&exchanger),
    };
    if let Err(error) = session.serve(&run).await {
        tracing::debug!(peer = %peer.ip(), %error, "connection lost");
    }
    exchanger.metrics.sessions.dec();
}

struct Session {
    stream: Stream,
    wire: ServerSession,
    /// Read and not used yet.
    input: Vec<u8>,
    hello: Box<str>,
    transaction: Option<Box<Transaction>>,
    /// When the message whose text is being received began.
    begun: Instant,
    /// When the present command was first waited for: since the reply to the one before it.
    waiting: Instant,
    peer: Peer,
    policy: Arc<Policy>,
    exchanger: Arc<Exchanger>,
}

struct Transaction {
    id: DeliveryId,
    mail: Mail,
    /// The first accepted recipient as the client wrote it, and how many there are.
    first: Option<Recipient>,
    accepted: usize,
    accounts: Vec<Owned>,
    seen: HashSet<EmailAddress>,
    text: Option<Incoming>,
    /// The text cannot be kept: this will be answered at its end.
    failure: Option<Reply>,
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
    async fn serve(&mut self, run: &Lifecycle) -> io::Result<()> {
        loop {
            let next = self.process().await;
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
        let limits = &self.policy.config.limits;
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
        if deadline.is_zero() {
            return self.end(&replies::TIMED_OUT).await;
        }
        let most = if in_text { READ } else { READ_COMMANDS };
        if self.wire.in_transaction() {
            return match in_time(deadline, self.stream.read_more(&mut self.input, most)).await {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => self.end(&replies::TIMED_OUT).await,
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
                Err(error) if error.kind() == io::ErrorKind::TimedOut => self.end(&replies::TIMED_OUT).await,
                octets => Ok(octets? > 0),
            },
            () = run.stopped() => self.end(&replies::SHUTTING_DOWN).await,
        }
    }

    async fn end(&mut self, reply: &Reply) -> io::Result<bool> {
        self.wire.end(reply);
        self.flush().await?;
        self.close().await?;
        Ok(false)
    }

    /// Closes in order. What the client still sends is read for a moment, since the kernel answers unread octets with a reset, which
    /// would take our last reply from the client.
    async fn close(&mut self) -> io::Result<()> {
        self.input = Vec::new();
        in_time(LINGER, async {
            self.stream.shutdown().await?;
            while self.stream.read_more(&mut self.input, READ).await? > 0 {
                self.input.clear();
            }
            Ok(())
        })
        .await
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.wire.has_output() {
            return Ok(());
        }
        let output = self.wire.take_output();
        in_time(WRITE_DEADLINE, async {
            self.stream.write_all(&output).await?;
            self.stream.flush().await
        })
        .await?;
        // Every command has its reply, and nothing else has one.
        self.waiting = Instant::now();
        Ok(())
    }

    /// Handles everything that has arrived.
    async fn process(&mut self) -> Next {
        let mut input = std::mem::take(&mut self.input);
        let mut at = 0;
        let next = loop {
            let step = self.wire.next(&input[at..]);
            at += step.consumed;
            match step.event {
                None => break Next::Read,
                Some(Event::Close) => break Next::Close,
                Some(Event::Hello(hello)) => {
                    self.hello = hello.name.into();
                    self.transaction = None;
                    self.wire.accept();
                }
                Some(Event::StartTls { dropped }) => {
                    if dropped > 0 {
                        tracing::warn!(peer = %self.peer.ip(), octets = dropped, "dropped clear text behind STARTTLS");
                    }
                    self.transaction = None;
                    if self.exchanger.tls.is_some() {
                        self.wire.accept();
                        break Next::StartTls;
                    }
                    self.wire.reply(&TLS_UNAVAILABLE);
                }
                // AUTH is not offered, so neither comes.
                Some(Event::Authenticate { .. } | Event::AuthResponse(_)) => {
                    self.wire.reply(&replies::NOT_IMPLEMENTED);
                }
                Some(Event::Mail(mail)) => {
                    self.transaction = Some(Transaction::new(mail));
                    self.wire.accept();
                }
                Some(Event::Recipient(recipient, _)) => {
                    let reply = self.recipient(recipient).await;
                    self.wire.reply(&reply);
                }
                Some(Event::MessageStart) => {
                    self.start_message();
                    self.wire.accept();
                }
                Some(Event::Text(text)) => {
                    let full = self.transaction.as_mut().is_some_and(|transaction| transaction.push(text));
                    if full {
                        self.spill().await;
                    }
                }
                Some(Event::MessageEnd) => {
                    // Boxed: a session that waits should not be as big as a delivery.
                    let reply = Box::pin(self.finish_message()).await;
                    self.wire.reply_all(&reply);
                }
                Some(Event::Dropped(refusal)) => {
                    if let (Some(transaction), Some(reply)) = (self.transaction.take(), refusal) {
                        self.exchanger.metrics.message("refused");
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
        let Some(tls) = self.exchanger.tls.clone() else { return Ok(()) };
        // The stream is moved into the handshake; a closed socket stands in for it meanwhile.
        let (stand_in, _) = Stream::pair()?;
        let stream = std::mem::replace(&mut self.stream, stand_in);
        self.stream = tls.accept(stream).await.map_err(io::Error::other)?;
        self.input.clear();
        self.hello = "".into();
        self.wire.tls_started();
        self.waiting = Instant::now();
        Ok(())
    }

    async fn recipient(&mut self, recipient: Recipient) -> Reply {
        let metrics = &self.exchanger.metrics;
        let directory = &self.exchanger.courier.directory;
        let found = directory.accounts(&recipient, &self.policy.postmaster).await;
        let Some(transaction) = &mut self.transaction else { return replies::MAIL_FIRST };
        let (reply, outcome) = match found {
            Ok(owned) => transaction.add(recipient, owned, &self.policy),
            Err(no) => (no.reply, no.outcome),
        };
        metrics.recipient(outcome);
        if !reply.is_positive() {
            tracing::info!(delivery = %transaction.id, peer = %self.peer.ip(), %reply, "recipient refused");
        }
        reply
    }

    fn start_message(&mut self) {
        self.begun = Instant::now();
        let tls = self.stream.tls_parameters();
        let Some(transaction) = &mut self.transaction else { return };
        let only_recipient = match &transaction.first {
            Some(Recipient::Mailbox(mailbox)) if transaction.accepted == 1 => Some(mailbox.as_str()),
            _ => None,
        };
        let trace = Trace {
            hello: &self.hello,
            address: self.peer.ip(),
            hostname: &self.policy.profile.hostname,
            extended: self.wire.is_extended(),
            smtputf8: transaction.mail.smtputf8,
            tls: tls.as_ref(),
            id: transaction.id,
            only_recipient,
            at: chrono::Utc::now(),
        };
        let mut text = Incoming::new(self.policy.config.limits.memory.as_usize(), transaction.mail.size);
        text.push(trace.line().as_bytes());
        transaction.text = Some(text);
    }

    async fn spill(&mut self) {
        let Some(transaction) = &mut self.transaction else { return };
        let Some(text) = &mut transaction.text else { return };
        if let Err(error) = text.spill(self.exchanger.spool.tmp(), transaction.id).await {
            tracing::error!(delivery = %transaction.id, %error, "cannot write the message to the spool folder");
            transaction.text = None;
            transaction.failure = Some(of_io(&error));
        }
    }

    /// The message is complete: delivers it, or keeps it, and says what the client is told.
    async fn finish_message(&mut self) -> Reply {
        let Some(transaction) = self.transaction.take() else { return LOCAL_ERROR };
        let started = Instant::now();
        let id = transaction.id;
        let accounts = transaction.accounts.len();
        let (reply, outcome) = self.settle(*transaction).await;
        let metrics = &self.exchanger.metrics;
        metrics.message(outcome);
        metrics.message.observe(started.elapsed().as_secs_f64());
        tracing::info!(
            delivery = %id, peer = %self.peer.ip(), accounts, %reply, outcome,
            milliseconds = started.elapsed().as_millis() as u64, "message"
        );
        reply
    }

    async fn settle(&self, transaction: Transaction) -> (Reply, &'static str) {
        let Transaction { id, mail, accounts, text, failure, .. } = transaction;
        let text = match (text, failure) {
            (Some(text), None) => text,
            (_, failure) => return (failure.unwrap_or(LOCAL_ERROR), "deferred"),
        };
        // RFC 5321 §6.3. Our own line is one of them.
        if text.received_lines() > self.policy.config.limits.received_lines + 1 {
            return (LOOP, "loop");
        }
        let content = match text.finish(self.exchanger.spool.tmp(), id).await {
            Ok(content) => Arc::new(content),
            Err(error) => {
                tracing::error!(delivery = %id, %error, "cannot write the message to the spool folder");
                return (of_io(&error), "deferred");
            }
        };
        self.exchanger.metrics.octets.inc_by(content.len());
        let envelope = Arc::new(Envelope {
            id,
            smtputf8: mail.smtputf8,
            eight_bit_mime: mail.body == Body::EightBitMime,
            reverse_path: mail.reverse_path,
        });
        let results = self.exchanger.courier.deliver(&envelope, &content, accounts).await;
        match settle(self.policy.config.when_unavailable, results) {
            Settlement::Answer(reply) => {
                let outcome = match reply.code() {
                    ..400 => "delivered",
                    400..500 => "deferred",
                    _ => "refused",
                };
                (reply, outcome)
            }
            Settlement::Spool(results) => {
                match self.exchanger.spool.keep(&envelope, &content, &results).await {
                    Ok(()) => (Reply::new(250, (2, 0, 0), format!("{id} accepted")), "spooled"),
                    // Should some account have the message already, the sender's retry doubles it there: still better than to lose
                    // it for the others.
                    Err(error) => {
                        tracing::error!(delivery = %id, %error, "cannot keep the message in the spool");
                        (of_keep(&error), "deferred")
                    }
                }
            }
        }
    }
}

impl Transaction {
    fn new(mail: Mail) -> Box<Self> {
        Box::new(Self {
            id: DeliveryId::generate(),
            mail,
            first: None,
            accepted: 0,
            accounts: Vec::new(),
            seen: HashSet::new(),
            text: None,
            failure: None,
        })
    }

    /// Takes an accepted recipient's accounts, each once however many recipients stand for it.
    fn add(&mut self, recipient: Recipient, owned: Vec<Owned>, policy: &Policy) -> (Reply, &'static str) {
        if self.accounts.len() + owned.len() > policy.config.limits.accounts.max(owned.len()) {
            return (TOO_MANY_ACCOUNTS, "too_many");
        }
        if policy.one_node()
            && let Some(first) = self.accounts.first()
            && owned.iter().any(|owned| owned.node.name != first.node.name)
        {
            return (ANOTHER_NODE, "another_node");
        }
        self.accounts.extend(owned.into_iter().filter(|owned| self.seen.insert(owned.account.clone())));
        self.accepted += 1;
        self.first.get_or_insert(recipient);
        (replies::RECIPIENT_OK, "accepted")
    }

    /// Whether its text is being received.
    fn has_begun(&self) -> bool {
        self.text.is_some() || self.failure.is_some()
    }

    /// Takes text; true when memory is full.
    fn push(&mut self, octets: &[u8]) -> bool {
        self.text.as_mut().is_some_and(|text| {
            text.push(octets);
            text.is_full()
        })
    }
}

fn of_io(error: &io::Error) -> Reply {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => NO_SPACE,
        _ => LOCAL_ERROR,
    }
}

fn of_keep(error: &KeepError) -> Reply {
    match error {
        KeepError::Full => NO_SPACE,
        KeepError::Io(error) => of_io(error),
    }
}

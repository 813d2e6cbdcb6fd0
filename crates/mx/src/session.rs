//! One SMTP connection.
//!
//! The session waits without buffers between transactions. A transaction runs in the session's own task from MAIL to the answer, so that
//! it costs no hand-over: look-ups while RCPT waits, then one LMTP transaction, whose reply is the client's.

use crate::{
    message::{Finished, LOCAL_ERROR, finish, of_io},
    service::{Exchanger, Policy},
    transaction::Transaction,
};
use chasqui_base::{
    Lifecycle,
    net::{Peer, Stream},
};
use chasqui_courier::{
    Incoming,
    conversation::{READ, READ_COMMANDS, answer, hang_up},
    in_time,
    received::Trace,
};
use chasqui_filter::{Screen, content};
use chasqui_smtp::{Event, Mail, Recipient, Reply, ServerSession, replies};
use std::{io, sync::Arc, time::Instant};

const TLS_UNAVAILABLE: Reply = Reply::fixed(454, (4, 7, 0), "TLS not available");

/// Serves one connection to its end.
pub(crate) async fn run(exchanger: Arc<Exchanger>, stream: Stream, peer: Peer, run: Lifecycle) {
    exchanger.metrics.sessions.inc();
    let policy = exchanger.policy.load_full();
    let wire = ServerSession::new(Arc::clone(&policy.profile));
    let mut session = Session {
        stream,
        wire,
        input: Vec::new(),
        hello: "".into(),
        transaction: None,
        begun: Instant::now(),
        waiting: Instant::now(),
        screen: None,
        peer,
        policy,
        exchanger: Arc::clone(&exchanger),
    };
    if let Err(error) = session.serve(&run).await {
        tracing::debug!(peer = %peer.ip(), %error, "connection lost");
    }
    if let Some(screen) = session.screen.take() {
        screen.close().await;
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
    /// What the filters ask of the client, if they ask anything.
    screen: Option<Box<Screen>>,
    peer: Peer,
    policy: Arc<Policy>,
    exchanger: Arc<Exchanger>,
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
        let peer = content::Peer {
            ip: self.peer.ip(),
            port: self.peer.address.map_or(0, |address| address.port()),
            name: None,
            hostname: self.policy.profile.hostname.clone(),
        };
        match self.exchanger.filter.connect(peer) {
            Ok(screen) => self.screen = screen,
            Err(reply) => return self.end(&reply).await.map(drop),
        }
        self.wire.greet();
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
                    self.drop_transaction().await;
                    if let Some(screen) = &mut self.screen {
                        screen.hello(&self.hello, self.stream.tls_parameters());
                    }
                    self.wire.accept();
                }
                Some(Event::StartTls { dropped }) => {
                    if dropped > 0 {
                        tracing::warn!(peer = %self.peer.ip(), octets = dropped, "dropped clear text behind STARTTLS");
                    }
                    self.drop_transaction().await;
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
                    let reply = self.mail(mail).await;
                    self.wire.reply(&reply);
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
                    if let (Some(transaction), Some(reply)) = (self.drop_transaction().await, refusal) {
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

    async fn mail(&mut self, mail: Mail) -> Reply {
        let mut transaction = Transaction::new(mail);
        if let Some(screen) = &mut self.screen {
            transaction.keep_recipients();
            if let Err(reply) = Box::pin(screen.mail(transaction.id, &transaction.mail)).await {
                tracing::info!(delivery = %transaction.id, peer = %self.peer.ip(), %reply, "sender refused");
                return reply;
            }
        }
        self.transaction = Some(transaction);
        replies::SENDER_OK
    }

    async fn recipient(&mut self, recipient: Recipient) -> Reply {
        let Some(transaction) = &mut self.transaction else { return replies::MAIL_FIRST };
        let counted = self.screen.as_ref().map_or(Ok(()), |screen| screen.count_recipient());
        let found = match counted {
            Ok(()) => {
                let directory = &self.exchanger.courier.directory;
                directory
                    .accounts(&recipient, &self.policy.postmaster)
                    .await
                    .map_err(|no| (no.reply, no.outcome))
            }
            Err(reply) => Err((reply, "rate")),
        };
        let screened = match (found, &mut self.screen) {
            (Ok(owned), Some(screen)) => {
                let asked = Box::pin(screen.recipient(&transaction.mail, &recipient)).await;
                asked.map(|()| owned).map_err(|reply| (reply, "filtered"))
            }
            (found, _) => found,
        };
        let (reply, outcome) = match screened {
            Ok(owned) => transaction.add(recipient, owned, &self.policy),
            Err(no) => no,
        };
        self.exchanger.metrics.recipient(outcome);
        if !reply.is_positive() {
            tracing::info!(delivery = %transaction.id, peer = %self.peer.ip(), %reply, "recipient refused");
        }
        reply
    }

    /// The open transaction ends without a message.
    async fn drop_transaction(&mut self) -> Option<Box<Transaction>> {
        let open = self.transaction.take();
        if let (Some(_), Some(screen)) = (&open, &mut self.screen) {
            Box::pin(screen.reset()).await;
        }
        open
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
        let done = finish(&self.exchanger, &self.policy, self.screen.as_deref_mut(), *transaction).await;
        let Finished { reply, outcome, message_id } = done;
        let metrics = &self.exchanger.metrics;
        metrics.message(outcome);
        metrics.message.observe(started.elapsed().as_secs_f64());
        tracing::info!(
            delivery = %id, message_id, peer = %self.peer.ip(), accounts, %reply, outcome,
            milliseconds = started.elapsed().as_millis() as u64, "message"
        );
        reply
    }
}

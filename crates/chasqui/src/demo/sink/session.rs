//! One connection of the sink.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chasqui_base::Lifecycle;
use chasqui_base::net::Stream;
use chasqui_base::tls::PublicTls;
use chasqui_smtp::{Event, Limits, Mail, Profile, Protocol, Recipient, Reply, ServerSession, replies};
use mail_parser::MessageParser;
use tokio::io::AsyncWriteExt as _;
use tracing::debug;

use super::kept::{Kept, Part};
use super::{Departure, Listening};

/// How long one read or write may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// What one read takes at most.
const READ: usize = 64 * 1024;
/// Octets of the message in which the subject is looked for.
const HEADER: usize = 64 * 1024;
/// Recipients of one message.
const RECIPIENTS: u32 = 100;

const NOBODY: Reply = Reply::fixed(550, (5, 1, 1), "Nobody has this mailbox (a demo of a refusal)");
const LATER: Reply = Reply::fixed(451, (4, 2, 1), "Try again later (a demo of a delay)");
const NO_SPACE: Reply = Reply::fixed(452, (4, 3, 1), "The message cannot be written");

/// What every session shares.
pub struct Shared {
    profile: Arc<Profile>,
    kept: Kept,
    tls: PublicTls,
    listening: Listening,
}

impl Shared {
    pub fn new(kept: Kept, tls: PublicTls, listening: Listening) -> Self {
        let profile = Profile {
            limits: Limits { recipients: RECIPIENTS, ..Limits::default() },
            starttls: true,
            ..Profile::new(Protocol::Smtp, "internet.test")
        };
        Self { profile: Arc::new(profile), kept, tls, listening }
    }
}

/// Serves one connection to its end.
pub async fn run(shared: Arc<Shared>, stream: Stream, run: Lifecycle) {
    let mut wire = ServerSession::new(Arc::clone(&shared.profile));
    wire.greet();
    let mut session = Session { shared, stream, wire, input: Vec::new(), transaction: None };
    if let Err(error) = session.serve(&run).await {
        debug!(%error, "a connection to the sink ended");
    }
}

struct Session {
    shared: Arc<Shared>,
    stream: Stream,
    wire: ServerSession,
    /// Read and not used yet.
    input: Vec<u8>,
    transaction: Option<Transaction>,
}

struct Transaction {
    from: String,
    to: Vec<String>,
    part: Option<Part>,
    /// The beginning of the text.
    header: Vec<u8>,
    size: u64,
}

enum Next {
    Read,
    StartTls,
    Close,
}

impl Session {
    async fn serve(&mut self, run: &Lifecycle) -> io::Result<()> {
        loop {
            let next = self.process().await;
            let output = self.wire.take_output();
            in_time(async {
                self.stream.write_all(&output).await?;
                self.stream.flush().await
            })
            .await?;
            match next {
                Next::Close => return in_time(self.stream.shutdown()).await,
                Next::StartTls => self.start_tls().await?,
                Next::Read if self.wire.in_transaction() => {
                    if in_time(self.stream.read_more(&mut self.input, READ)).await? == 0 {
                        return Ok(());
                    }
                }
                Next::Read => tokio::select! {
                    octets = in_time(self.stream.read_more(&mut self.input, READ)) => {
                        if octets? == 0 {
                            return Ok(());
                        }
                    }
                    () = run.stopped() => self.wire.end(&replies::SHUTTING_DOWN),
                },
            }
        }
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        // The stream is moved into the handshake; a closed socket stands in for it meanwhile.
        let (stand_in, _) = Stream::pair()?;
        let stream = std::mem::replace(&mut self.stream, stand_in);
        self.stream = self.shared.tls.accept(stream).await.map_err(io::Error::other)?;
        self.input.clear();
        self.transaction = None;
        self.wire.tls_started();
        Ok(())
    }

    /// Handles everything that has arrived.
    async fn process(&mut self) -> Next {
        let input = std::mem::take(&mut self.input);
        let mut rest = input.as_slice();
        let next = loop {
            let step = self.wire.next(rest);
            rest = rest.get(step.consumed..).unwrap_or_default();
            match step.event {
                None => break Next::Read,
                Some(Event::Close) => break Next::Close,
                // AUTH is not offered, so neither comes.
                Some(Event::Authenticate { .. } | Event::AuthResponse(_)) => {
                    self.wire.reply(&replies::NOT_IMPLEMENTED);
                }
                Some(Event::StartTls { .. }) => {
                    self.wire.accept();
                    rest = &[];
                    break Next::StartTls;
                }
                Some(Event::Mail(mail)) => {
                    self.transaction = Some(Transaction::new(&mail));
                    self.wire.accept();
                }
                Some(Event::Recipient(recipient, _)) => self.recipient(&recipient),
                Some(Event::MessageStart) => self.begin().await,
                Some(Event::Text(text)) => {
                    if let Some(transaction) = &mut self.transaction {
                        transaction.push(text).await;
                    }
                }
                Some(Event::MessageEnd) => {
                    let reply = self.finish().await;
                    self.wire.reply(&reply);
                }
                Some(Event::Dropped(_)) => self.transaction = None,
                // EHLO, and what is not offered here.
                Some(event) => {
                    self.transaction = None;
                    if event.wants_reply() {
                        self.wire.accept();
                    }
                }
            }
        };
        self.input = rest.to_vec();
        next
    }

    fn recipient(&mut self, recipient: &Recipient) {
        let address = match recipient {
            Recipient::Mailbox(mailbox) => mailbox.as_str(),
            Recipient::Postmaster => "postmaster",
        };
        match address.split('@').next() {
            Some("nobody") => self.wire.reply(&NOBODY),
            Some("later") => self.wire.reply(&LATER),
            _ => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.to.push(address.to_owned());
                }
                self.wire.accept();
            }
        }
    }

    async fn begin(&mut self) {
        let Some(transaction) = &mut self.transaction else { return self.wire.reply(&NO_SPACE) };
        match transaction.begin(&self.shared.kept).await {
            Ok(()) => self.wire.accept(),
            Err(error) => {
                debug!(%error, "the sink cannot write");
                self.wire.reply(&NO_SPACE);
            }
        }
    }

    async fn finish(&mut self) -> Reply {
        let Some(transaction) = self.transaction.take() else { return NO_SPACE };
        let Some(part) = transaction.part else { return NO_SPACE };
        let file = match self.shared.kept.finish(part).await {
            Ok(file) => file,
            Err(error) => {
                debug!(%error, "the sink cannot write");
                return NO_SPACE;
            }
        };
        (self.shared.listening)(Departure {
            from: transaction.from,
            to: transaction.to,
            subject: subject(&transaction.header),
            size: transaction.size,
            tls: self.stream.is_tls(),
            file: file.display().to_string(),
        });
        Reply::fixed(250, (2, 0, 0), "Kept in the sink")
    }
}

impl Transaction {
    fn new(mail: &Mail) -> Self {
        Self { from: mail.reverse_path.to_string(), to: Vec::new(), part: None, header: Vec::new(), size: 0 }
    }

    /// Opens the file and writes the envelope: as a server of final delivery does (RFC 5321 §4.4), and a line for each recipient.
    async fn begin(&mut self, kept: &Kept) -> io::Result<()> {
        let mut part = kept.begin().await?;
        let mut envelope = format!("Return-Path: <{}>\r\n", self.from);
        for recipient in &self.to {
            envelope.push_str(&format!("X-Original-To: {recipient}\r\n"));
        }
        part.write(envelope.as_bytes()).await?;
        self.part = Some(part);
        Ok(())
    }

    async fn push(&mut self, text: &[u8]) {
        self.size += text.len() as u64;
        let room = HEADER.saturating_sub(self.header.len()).min(text.len());
        self.header.extend_from_slice(text.get(..room).unwrap_or_default());
        if let Some(part) = &mut self.part
            && let Err(error) = part.write(text).await
        {
            debug!(%error, "the sink cannot write");
            self.part = None;
        }
    }
}

fn subject(header: &[u8]) -> String {
    let parsed = MessageParser::default().parse_headers(header);
    parsed.and_then(|message| message.subject().map(str::to_owned)).unwrap_or_default()
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

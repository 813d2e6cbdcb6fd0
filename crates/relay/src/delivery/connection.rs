//! One connection to a mail host: the wire around [`ClientSession`], with a deadline for every wait.
//!
//! A deadline is for a whole reply, or a whole block of text: a host that says one octet a second gains nothing by it. Until the
//! text is sent, every wait also ends with the attempt. Behind the last octet of text there is only the deadline for the final reply, as
//! long as RFC 5321 §4.5.3.2.6 wants it: who hangs up there makes doubles (RFC 1047).

use crate::config::Timeouts;
use chasqui_base::{Span, net::Stream};
use chasqui_courier::Content;
use chasqui_smtp::{
    ClientError, ClientEvent, ClientLimits, ClientSession, DotStuffer, Envelope, Framing, Protocol, Reply,
};
use std::{
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::io::AsyncWriteExt as _;

/// Octets of text that are written at once.
const BLOCK: usize = 128 * 1024;
/// Up to this size the text may follow the recipients before they are answered.
const EAGER: u64 = 32 * 1024;
/// A connection that was used within this time has not been ended for idleness.
const JUST_USED: Duration = Duration::from_secs(1);

/// One connection.
pub(super) struct Connection {
    stream: Stream,
    client: ClientSession,
    input: Vec<u8>,
    /// Whose it is.
    pub(super) remote: Remote,
    /// When it was opened.
    pub(super) opened: Instant,
    /// When it was last used.
    pub(super) used: Instant,
    /// Messages that went over it.
    pub(super) messages: u32,
}

/// Who is at the other end, for logs and notices.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    /// The host's name.
    pub(super) name: Arc<str>,
    /// Its address.
    pub(super) ip: IpAddr,
    /// Our own.
    pub(super) local: Option<IpAddr>,
    /// What protects the connection: `TLSv1_3 TLS13_AES_256_GCM_SHA384 dane`; empty in clear.
    pub(super) tls: Arc<str>,
}

impl Remote {
    /// `mx.example.org [192.0.2.1]`, as RFC 3464 §2.3.5 and people want it.
    pub(super) fn text(&self) -> String {
        format!("{} [{}]", self.name, self.ip)
    }
}

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The host said so itself.
    #[error("the host refused: {0}")]
    Refused(Reply),
    /// The network said so.
    #[error("{0}")]
    Lost(#[from] io::Error),
    /// The host hung up.
    #[error("the host closed the connection")]
    Closed,
    /// The host is too slow.
    #[error("no answer in time")]
    Slow,
    /// What the host says is not SMTP.
    #[error("{0}")]
    Protocol(ClientError),
    /// Our own file cannot be read.
    #[error("the message cannot be read: {0}")]
    Unreadable(io::Error),
}

impl From<ClientError> for Broken {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(reply) => Self::Refused(reply),
            error => Self::Protocol(error),
        }
    }
}

/// How long an attempt may take, in all and in parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience<'a> {
    /// The parts.
    pub(super) timeouts: &'a Timeouts,
    /// When the attempt ends.
    pub(super) until: Instant,
}

impl Patience<'_> {
    /// What is left of `part`, no longer than the attempt.
    pub(super) fn of(&self, part: Span) -> Duration {
        part.get().min(self.until.saturating_duration_since(Instant::now()))
    }

    /// The attempt has taken too long.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

/// What became of a transaction.
pub(super) struct Sent {
    /// For each recipient what the host finally said; none where the connection ended before.
    pub(super) replies: Vec<Option<Reply>>,
    /// The last octet of the text was written: those without a reply may have been taken.
    pub(super) uncertain: bool,
    /// Whether the connection can be used further.
    pub(super) ended: Result<(), Broken>,
}

impl Connection {
    /// A connection on which nothing has been said yet.
    pub(super) fn new(stream: Stream, hostname: &str, remote: Remote) -> Self {
        let now = Instant::now();
        Self {
            stream,
            client: ClientSession::new(Protocol::Smtp, hostname, ClientLimits::default()),
            input: Vec::new(),
            remote,
            opened: now,
            used: now,
            messages: 0,
        }
    }

    /// What the host offers.
    pub(super) fn offers(&self) -> &chasqui_smtp::Capabilities {
        self.client.capabilities()
    }

    /// What authentication can be bound to (RFC 9266); nothing in clear text.
    pub(super) fn channel_binding(&self) -> Option<Vec<u8>> {
        self.stream.channel_binding()
    }

    /// Waits for the greeting and greets.
    pub(super) async fn greet(&mut self, patience: &Patience<'_>) -> Result<(), Broken> {
        self.next(patience.timeouts.greeting, patience).await?;
        self.ready(patience).await
    }

    /// Asks for TLS; `false` when the host will not.
    pub(super) async fn ask_for_tls(&mut self, patience: &Patience<'_>) -> Result<bool, Broken> {
        self.client.start_tls()?;
        let event = self.next(patience.timeouts.hello, patience).await?;
        Ok(event == ClientEvent::StartTls)
    }

    /// The stream, for the handshake that the host has agreed to.
    pub(super) fn into_parts(self) -> (Stream, Handshake) {
        (self.stream, Handshake { client: self.client, remote: self.remote, opened: self.opened })
    }

    /// The next event; writes what the session wants written. `part` is for each reply.
    pub(super) async fn next(&mut self, part: Span, patience: &Patience<'_>) -> Result<ClientEvent, Broken> {
        loop {
            let output = self.client.take_output();
            if !output.is_empty() {
                self.write(&output, patience.of(part)).await?;
                in_time(patience.of(part), self.stream.flush()).await?;
            }
            let until = Instant::now() + patience.of(part);
            loop {
                let (used, event) = self.client.receive(&self.input)?;
                self.input.drain(..used);
                if let Some(event) = event {
                    return Ok(event);
                }
                if used > 0 {
                    break;
                }
                let left = until.saturating_duration_since(Instant::now());
                if in_time(left, self.stream.read_more(&mut self.input, 16 * 1024)).await? == 0 {
                    return Err(Broken::Closed);
                }
            }
        }
    }

    /// Says what must be said until the host is ready for a transaction.
    pub(super) async fn ready(&mut self, patience: &Patience<'_>) -> Result<(), Broken> {
        while !self.client.is_ready() {
            self.next(patience.timeouts.hello, patience).await?;
        }
        Ok(())
    }

    /// The session, for AUTH.
    pub(super) const fn client(&mut self) -> &mut ClientSession {
        &mut self.client
    }

    /// Sends one message to recipients of one transaction.
    pub(super) async fn send<R: AsRef<str>>(
        &mut self,
        envelope: &Envelope<'_, R>,
        content: &Content,
        patience: &Patience<'_>,
    ) -> Sent {
        let mut uncertain = false;
        let ended = self.transact(envelope, content, patience, &mut uncertain).await;
        let mut replies = self.client.results();
        replies.resize(envelope.recipients.len(), None);
        // The host's own word leaves no doubt, nor does a message that was never whole.
        uncertain &= !matches!(ended, Ok(()) | Err(Broken::Refused(_) | Broken::Unreadable(_)));
        self.used = Instant::now();
        self.messages = self.messages.saturating_add(1);
        // An idle connection holds no buffer.
        self.input = Vec::new();
        Sent { replies, uncertain, ended }
    }

    async fn transact<R: AsRef<str>>(
        &mut self,
        envelope: &Envelope<'_, R>,
        content: &Content,
        patience: &Patience<'_>,
        uncertain: &mut bool,
    ) -> Result<(), Broken> {
        // On a connection that the host may just be closing, the text waits until the host has shown that it is there.
        let lively = self.messages == 0 || self.used.elapsed() < JUST_USED;
        let mut event = self.client.open(envelope, lively && content.len() <= EAGER)?;
        let (timeouts, mut last) = (patience.timeouts, *patience);
        loop {
            event = match event {
                ClientEvent::SendText(framing) => {
                    let commands = self.client.take_output();
                    self.write_text(commands, content, framing, patience, uncertain).await?;
                    last = Patience { until: Instant::now() + timeouts.end.get(), ..*patience };
                    self.next(timeouts.end, &last).await?
                }
                ClientEvent::Done => return self.flush_output(patience).await,
                _ => self.next(timeouts.command, &last).await?,
            };
        }
    }

    /// Writes the commands that wait, and the whole text. Sets `uncertain` before the last octet is written.
    async fn write_text(
        &mut self,
        mut out: Vec<u8>,
        content: &Content,
        framing: Framing,
        patience: &Patience<'_>,
        uncertain: &mut bool,
    ) -> Result<(), Broken> {
        let mut stuffer = DotStuffer::new();
        let mut blocks = content.blocks();
        let mut left = content.len();
        while let Some(block) = blocks.next().await.map_err(Broken::Unreadable)? {
            left = left.saturating_sub(block.len() as u64);
            for part in block.chunks(BLOCK) {
                match framing {
                    Framing::Counted => out.extend_from_slice(part),
                    Framing::Dots => stuffer.push(part, &mut out),
                }
                if out.len() >= BLOCK && left > 0 {
                    self.write(&out, patience.of(patience.timeouts.block)).await?;
                    out.clear();
                }
            }
        }
        if framing == Framing::Dots {
            stuffer.finish(&mut out);
        }
        *uncertain = true;
        for part in out.chunks(BLOCK) {
            self.write(part, patience.of(patience.timeouts.block)).await?;
        }
        in_time(patience.of(patience.timeouts.block), self.stream.flush()).await
    }

    async fn flush_output(&mut self, patience: &Patience<'_>) -> Result<(), Broken> {
        let output = self.client.take_output();
        if output.is_empty() {
            return Ok(());
        }
        self.write(&output, patience.of(patience.timeouts.command)).await?;
        in_time(patience.of(patience.timeouts.command), self.stream.flush()).await
    }

    async fn write(&mut self, octets: &[u8], within: Duration) -> Result<(), Broken> {
        in_time(within, self.stream.write_all(octets)).await
    }

    /// Whether an idle connection is still silent: a host that ends it says 421 or closes. What is noticed here was certainly not
    /// sent, and so leaves no doubt about a message.
    pub(super) async fn is_alive(&mut self) -> bool {
        tokio::select! {
            biased;
            _ = self.stream.read_more(&mut self.input, 1024) => false,
            () = std::future::ready(()) => true,
        }
    }

    /// Says goodbye; the host need not answer.
    pub(super) async fn quit(mut self) {
        self.client.quit();
        let output = self.client.take_output();
        let _ = in_time(Duration::from_secs(1), async {
            self.stream.write_all(&output).await?;
            self.stream.shutdown().await
        })
        .await;
    }
}

/// A connection during its handshake.
pub(super) struct Handshake {
    client: ClientSession,
    remote: Remote,
    opened: Instant,
}

impl Handshake {
    /// Who is at the other end.
    pub(super) const fn remote(&self) -> &Remote {
        &self.remote
    }

    /// The connection under TLS, greeted anew (RFC 3207 §4.2). `how` says what proved the host, for logs.
    pub(super) async fn done(
        mut self,
        stream: Stream,
        how: &str,
        patience: &Patience<'_>,
    ) -> Result<Connection, Broken> {
        self.client.tls_started();
        let tls = match stream.tls_parameters() {
            Some((version, suite)) => format!("{version} {suite} {how}"),
            None => how.to_owned(),
        };
        self.remote.tls = tls.into();
        let mut connection = Connection {
            stream,
            client: self.client,
            input: Vec::new(),
            remote: self.remote,
            opened: self.opened,
            used: Instant::now(),
            messages: 0,
        };
        connection.ready(patience).await?;
        Ok(connection)
    }
}

async fn in_time<T>(within: Duration, work: impl Future<Output = io::Result<T>>) -> Result<T, Broken> {
    match tokio::time::timeout(within, work).await {
        Ok(done) => done.map_err(Broken::Lost),
        Err(_) => Err(Broken::Slow),
    }
}

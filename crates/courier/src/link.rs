//! One connection to another role of the site: LMTP to a storage node, SMTP to a relay. Mutual TLS, or plain on the same host (E19).

use crate::content::{Content, in_time};
use chasqui_base::{
    DeliveryId, EmailAddress,
    net::{Endpoint, Stream},
    tls::{Role, RoleTls, TlsError},
};
use chasqui_smtp::{
    Body, ClientError, ClientEvent, ClientLimits, ClientSession, Envelope as WireEnvelope, Protocol, Reply,
    ReversePath,
};
use std::{
    io,
    time::{Duration, Instant},
};
use tokio::io::AsyncWriteExt as _;

/// Up to this size commands and text are written together; above it the text is not copied once more.
const ONE_WRITE: u64 = 64 * 1024;

/// Recipients of one LMTP transaction. More go in further ones: the replies to pipelined RCPTs must fit into the socket's
/// buffers while the text is still being written, or both ends would wait for each other (RFC 2920 §3.1).
const RECIPIENTS: usize = 500;

/// Everything about a message but its text and its recipients.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// One for the message and for every retry of it.
    pub id: DeliveryId,
    /// Where bounces go.
    pub reverse_path: ReversePath,
    /// SMTPUTF8 is needed (RFC 6531).
    pub smtputf8: bool,
    /// What the text is made of (RFC 6152, RFC 3030).
    pub body: Body,
    /// The message goes into the accounts' mailbox for unwanted mail, where the node knows how (XJUNK).
    pub junk: bool,
}

/// Why a connection cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The handshake failed, or the other end is not a storage node.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Not LMTP, or not enough of it.
    #[error(transparent)]
    Protocol(#[from] ClientError),
    /// The node ended the connection.
    #[error("the node closed the connection")]
    Closed,
    /// No certificate of ours for a node elsewhere.
    #[error("{0} is not on this host, and this role has no certificate: set [tls]")]
    NeedsTls(Endpoint),
}

/// One connection.
pub struct Link {
    stream: Stream,
    client: ClientSession,
    input: Vec<u8>,
    /// When it was last used.
    pub used: Instant,
}

/// Where and how to connect.
pub struct Dial<'a> {
    /// The node's LMTP service.
    pub endpoint: &'a Endpoint,
    /// Our certificate; without it only what is on this host is reached.
    pub tls: Option<&'a RoleTls>,
    /// Our name in LHLO.
    pub hostname: &'a str,
    /// For all of connection, handshake and greeting.
    pub timeout: Duration,
}

impl Link {
    /// Connects to a storage node, and greets and is greeted.
    pub async fn connect(dial: Dial<'_>) -> Result<Self, LinkError> {
        Self::open(dial, Protocol::Lmtp, Role::Storage).await
    }

    /// Connects to a role that speaks `protocol`, and greets and is greeted.
    pub async fn open(dial: Dial<'_>, protocol: Protocol, role: Role) -> Result<Self, LinkError> {
        let connecting = async {
            let mut stream = dial.endpoint.connect(dial.timeout).await?;
            match dial.tls {
                Some(tls) => stream = tls.connect(stream, dial.endpoint.host(), role).await?,
                None if dial.endpoint.is_local() => {}
                None => return Err(LinkError::NeedsTls(dial.endpoint.clone())),
            }
            let client = ClientSession::new(protocol, dial.hostname, ClientLimits::default());
            let mut link = Self { stream, client, input: Vec::new(), used: Instant::now() };
            while !link.client.is_ready() {
                link.next(dial.timeout).await?;
            }
            Ok(link)
        };
        tokio::time::timeout(dial.timeout, connecting)
            .await
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    }

    /// Delivers to `accounts`. For each the final reply, or none where the connection failed before it came; then the error says
    /// why. After an error the connection must be dropped.
    pub async fn deliver(
        &mut self,
        envelope: &Envelope,
        accounts: &[&EmailAddress],
        content: &Content,
        deadline: Duration,
    ) -> (Vec<Option<Reply>>, Result<(), LinkError>) {
        let most =
            self.client.capabilities().recipients.map_or(RECIPIENTS, |n| n as usize).clamp(1, RECIPIENTS);
        let mut replies = Vec::with_capacity(accounts.len());
        for batch in accounts.chunks(most) {
            let recipients: Vec<&str> = batch.iter().map(|account| account.as_str()).collect();
            let begin = WireEnvelope {
                // An ASCII alias may stand for an account that is not.
                smtputf8: envelope.smtputf8 || recipients.iter().any(|account| !account.is_ascii()),
                body: envelope.body,
                junk: envelope.junk,
                delivery_id: Some(envelope.id),
                ..WireEnvelope::new(&envelope.reverse_path, &recipients, content.len())
            };
            let (mut some, result) = self.send(&begin, content, deadline).await;
            replies.append(&mut some);
            if result.is_err() {
                replies.resize(accounts.len(), None);
                return (replies, result);
            }
        }
        self.used = Instant::now();
        // An idle connection holds no buffer.
        self.input = Vec::new();
        (replies, Ok(()))
    }

    /// Sends one message in one transaction. For each recipient the final reply, or none where the connection failed before it
    /// came; then the error says why, and the connection must be dropped. More than some hundred recipients belong into several
    /// transactions: the replies to pipelined RCPTs must fit into the socket's buffers while the text is still being written.
    pub async fn send<R: AsRef<str>>(
        &mut self,
        begin: &WireEnvelope<'_, R>,
        content: &Content,
        deadline: Duration,
    ) -> (Vec<Option<Reply>>, Result<(), LinkError>) {
        let result = self.transact(begin, content, deadline).await;
        self.used = Instant::now();
        (self.client.results(), result)
    }

    async fn transact<R: AsRef<str>>(
        &mut self,
        begin: &WireEnvelope<'_, R>,
        content: &Content,
        deadline: Duration,
    ) -> Result<(), LinkError> {
        let size = content.len();
        let mut out = Vec::with_capacity(256 + 64 * begin.recipients.len() + size.min(ONE_WRITE) as usize);
        self.client.begin(begin, &mut out)?;
        match content {
            Content::Memory(text) if size <= ONE_WRITE => {
                out.extend_from_slice(text);
                self.write(&out, deadline).await?;
            }
            Content::Memory(text) => {
                self.write(&out, deadline).await?;
                for block in text.chunks(crate::content::BLOCK) {
                    self.write(block, deadline).await?;
                }
            }
            Content::Spilled { .. } | Content::Stored { .. } => {
                self.write(&out, deadline).await?;
                Box::pin(self.write_file(content, deadline)).await?;
            }
        }
        in_time(deadline, self.stream.flush()).await?;
        drop(out);
        while self.next(deadline).await? != ClientEvent::Done {}
        Ok(())
    }

    async fn write(&mut self, octets: &[u8], deadline: Duration) -> io::Result<()> {
        in_time(deadline, self.stream.write_all(octets)).await
    }

    async fn write_file(&mut self, content: &Content, deadline: Duration) -> io::Result<()> {
        let mut blocks = content.blocks();
        while let Some(block) = blocks.next().await? {
            in_time(deadline, self.stream.write_all(block)).await?;
        }
        Ok(())
    }

    /// The next event; writes what the session wants written.
    async fn next(&mut self, deadline: Duration) -> Result<ClientEvent, LinkError> {
        loop {
            let (used, event) = self.client.receive(&self.input)?;
            self.input.drain(..used);
            let output = self.client.take_output();
            if !output.is_empty() {
                self.write(&output, deadline).await?;
                in_time(deadline, self.stream.flush()).await?;
            }
            if let Some(event) = event {
                return Ok(event);
            }
            if in_time(deadline, self.stream.read_more(&mut self.input, 16 * 1024)).await? == 0 {
                return Err(LinkError::Closed);
            }
        }
    }

    /// Whether an idle connection is still silent: a node that ends it says 421 or closes. What is noticed here was certainly
    /// not sent, and so leaves no doubt about a message.
    pub async fn is_alive(&mut self) -> bool {
        tokio::select! {
            biased;
            _ = self.stream.read_more(&mut self.input, 1024) => false,
            () = std::future::ready(()) => true,
        }
    }

    /// Says goodbye; the node need not answer.
    pub async fn quit(mut self) {
        let _ = in_time(Duration::from_secs(1), async {
            self.stream.write_all(b"QUIT\r\n").await?;
            self.stream.shutdown().await
        })
        .await;
    }
}

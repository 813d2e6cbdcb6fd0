//! spamd and clamd over the network: connections, deadlines, bounds. What is said over them is in [`super::spamd`] and [`super::clamd`].

use super::{
    clamd::{self, ClamdError, Finding},
    config::{ClamdConfig, SpamdConfig},
    spamd::{self, Report, SpamdError},
};
use chasqui_base::net::{Endpoint, Stream};
use chasqui_courier::Content;
use std::{
    io,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    io::AsyncWriteExt as _,
    sync::{Semaphore, SemaphorePermit},
};

/// What one read takes at most.
const READ: usize = 16 * 1024;

/// How long an idle session with clamd is used again; it closes them itself after 30 seconds (`IdleTimeout`).
const IDLE: Duration = Duration::from_secs(10);

/// Why a filter did not judge a message.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Spamd(#[from] SpamdError),
    #[error(transparent)]
    Clamd(#[from] ClamdError),
    #[error("no verdict in time")]
    Late,
    #[error("it judges as many messages as it may")]
    Busy,
    #[error("the connection was closed before the verdict")]
    Closed,
    #[error("the message is larger than it may be given")]
    TooLarge,
}

/// A place among the messages that are judged at once. It is waited for apart from the verdict: what waited long would otherwise be
/// late with its verdict, and whoever holds all places could send past the filter.
async fn place(places: &Semaphore, deadline: Duration) -> Result<SemaphorePermit<'_>, ScanError> {
    match tokio::time::timeout(deadline, places.acquire()).await {
        Ok(place) => place.map_err(|_| ScanError::Closed),
        Err(_) => Err(ScanError::Busy),
    }
}

/// SpamAssassin.
pub(super) struct Spamd {
    pub config: SpamdConfig,
    address: Endpoint,
    pub places: Semaphore,
}

impl Spamd {
    /// `None` without an address.
    pub(super) fn new(config: &SpamdConfig) -> Option<Self> {
        let address = config.address.clone()?;
        Some(Self { address, places: Semaphore::new(config.connections), config: config.clone() })
    }

    /// Asks for a verdict.
    pub(super) async fn ask(&self, content: &Content, user: Option<&str>) -> Result<Report, ScanError> {
        let deadline = self.config.deadline.get();
        let _place = place(&self.places, deadline).await?;
        tokio::time::timeout(deadline, self.exchange(content, user)).await.unwrap_or(Err(ScanError::Late))
    }

    async fn exchange(&self, content: &Content, user: Option<&str>) -> Result<Report, ScanError> {
        let mut stream = self.address.connect(self.config.deadline.get()).await?;
        stream.write_all(&spamd::question(content.len(), user)).await?;
        let mut blocks = content.blocks();
        while let Some(block) = blocks.next().await? {
            stream.write_all(block).await?;
        }
        // What spamc does as well: spamd then knows that no more comes.
        stream.shutdown().await?;
        let mut input = Vec::new();
        loop {
            let ended = stream.read_more(&mut input, READ).await? == 0;
            if let Some(report) = spamd::answer(&input, ended)? {
                return Ok(report);
            }
        }
    }
}

/// ClamAV. Its sessions are used again; when one turns out to be dead, a fresh one is tried once.
pub(super) struct Clamd {
    pub config: ClamdConfig,
    address: Endpoint,
    pub places: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    stream: Stream,
    since: Instant,
}

impl Clamd {
    /// `None` without an address.
    pub(super) fn new(config: &ClamdConfig) -> Option<Self> {
        let address = config.address.clone()?;
        Some(Self {
            address,
            places: Semaphore::new(config.connections),
            idle: Mutex::default(),
            config: config.clone(),
        })
    }

    /// Asks for a verdict.
    pub(super) async fn ask(&self, content: &Content) -> Result<Finding, ScanError> {
        if content.len() > self.config.max_size.as_u64() {
            return Err(ScanError::TooLarge);
        }
        let deadline = self.config.deadline.get();
        let _place = place(&self.places, deadline).await?;
        tokio::time::timeout(deadline, self.exchange(content)).await.unwrap_or(Err(ScanError::Late))
    }

    async fn exchange(&self, content: &Content) -> Result<Finding, ScanError> {
        if let Some(stream) = self.take_idle() {
            match self.scan(stream, content).await {
                // Closed while it was idle: a fresh one knows better.
                Err(ScanError::Io(_) | ScanError::Closed) => {}
                done => return done,
            }
        }
        let mut stream = self.address.connect(self.config.deadline.get()).await?;
        stream.write_all(clamd::SESSION).await?;
        self.scan(stream, content).await
    }

    async fn scan(&self, mut stream: Stream, content: &Content) -> Result<Finding, ScanError> {
        let written = Self::send(&mut stream, content).await;
        if let Err(error) = &written
            && error.kind() != io::ErrorKind::BrokenPipe
            && error.kind() != io::ErrorKind::ConnectionReset
        {
            return Err(written.err().map_or(ScanError::Closed, ScanError::Io));
        }
        // clamd ends the connection of a message that is too large, and says so before.
        let mut input = Vec::new();
        loop {
            if let Some((finding, used)) = clamd::answer(&input)? {
                if used == input.len() && written.is_ok() {
                    let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                    idle.push(Idle { stream, since: Instant::now() });
                }
                return Ok(finding);
            }
            if stream.read_more(&mut input, READ).await? == 0 {
                return Err(ScanError::Closed);
            }
        }
    }

    async fn send(stream: &mut Stream, content: &Content) -> io::Result<()> {
        stream.write_all(clamd::STREAM).await?;
        let mut blocks = content.blocks();
        while let Some(block) = blocks.next().await? {
            if !block.is_empty() {
                stream.write_all(&clamd::chunk_head(block.len())).await?;
                stream.write_all(block).await?;
            }
        }
        stream.write_all(&clamd::END).await
    }

    fn take_idle(&self) -> Option<Stream> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.since.elapsed() < IDLE);
        idle.pop().map(|idle| idle.stream)
    }
}

//! The control socket: what `chasqui queue` talks to.
//!
//! A UNIX socket of mode 0660: who may connect is who its folder and its group let. One request a connection; see [`protocol`]. Lines,
//! connections and waits are bounded.

pub mod protocol;

use crate::{
    drain::Drain,
    queue::{Change, Queue, Selection},
};
use chasqui_base::{
    Lifecycle, StartError,
    net::{AcceptLimits, Gate, ListenAddress, Listener, Stream, serve},
};
use protocol::{Answer, Filter, LONGEST_REQUEST, Progress, Request};
use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::io::AsyncWriteExt as _;

/// Operators at once.
const CONNECTIONS: AcceptLimits = AcceptLimits { connections: 32, per_address: 32 };
/// How long a request may take to come, and an answer to be taken.
const WAIT: Duration = Duration::from_secs(30);
/// Pieces that are read of what nobody asked for.
const LEFT_OVER: usize = 64;
/// How often progress is told.
const TELL: Duration = Duration::from_millis(500);
/// Who may connect: the relay's user and its group.
const MODE: u32 = 0o660;

/// The socket, bound.
pub struct Control {
    listener: Listener,
    queue: Arc<Queue>,
    drain: Arc<Drain>,
}

impl Control {
    /// Listens; serves nobody yet.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn bind(path: &Path, queue: Arc<Queue>, drain: Arc<Drain>) -> Result<Self, StartError> {
        let listener = Listener::bind(&ListenAddress::Unix(path.to_owned()))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))
            .map_err(|error| StartError::open(path, error))?;
        Ok(Self { listener, queue, drain })
    }

    /// Answers until `run` ends.
    pub async fn serve(self, run: Lifecycle) {
        let Self { listener, queue, drain } = self;
        serve(
            listener,
            Gate::new(CONNECTIONS),
            Vec::new(),
            b"{\"error\":\"too many operators at once\"}\n",
            run,
            {
                move |stream, _| {
                    let session = Session { stream, queue: Arc::clone(&queue), drain: Arc::clone(&drain) };
                    async move {
                        // An operator that went away needs no answer.
                        let _ = session.run().await;
                    }
                }
            },
        )
        .await;
    }
}

struct Session {
    stream: Stream,
    queue: Arc<Queue>,
    drain: Arc<Drain>,
}

impl Session {
    async fn run(mut self) -> io::Result<()> {
        let mut line = Vec::new();
        let end = loop {
            if let Some(end) = memchr::memchr(b'\n', &line) {
                break end;
            }
            if line.len() >= LONGEST_REQUEST {
                self.say(&Answer::Error("the request is too long".into())).await?;
                return self.finish().await;
            }
            let read = self.stream.read_more(&mut line, LONGEST_REQUEST);
            if tokio::time::timeout(WAIT, read)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?
                == 0
            {
                return Ok(());
            }
        };
        let answered = match serde_json::from_slice(line.get(..end).unwrap_or_default()) {
            Ok(request) => self.answer(request).await?,
            Err(error) => Err(format!("not a request: {error}")),
        };
        if let Err(reason) = answered {
            self.say(&Answer::Error(reason)).await?;
        }
        self.finish().await
    }

    /// Ends the connection. What still comes is read first, since what is closed with something unread loses our answer.
    async fn finish(mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let mut rest = Vec::new();
        for _ in 0..LEFT_OVER {
            rest.clear();
            let read = self.stream.read_more(&mut rest, LONGEST_REQUEST);
            if tokio::time::timeout(WAIT, read).await.unwrap_or(Ok(0))? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// The inner error is the operator's, the outer the connection's.
    async fn answer(&mut self, request: Request) -> io::Result<Result<(), String>> {
        match request {
            Request::List { filter, limit } => self.list(&filter, limit).await,
            Request::Show { id, headers } => self.show(id, headers).await,
            Request::Hold { filter } => self.change(&filter, Change::Hold).await,
            Request::Release { filter } => self.change(&filter, Change::Release).await,
            Request::Retry { filter } => self.change(&filter, Change::Retry).await,
            Request::Fail { filter } => self.change(&filter, Change::Fail).await,
            Request::Stats => {
                let stats = self.queue.stats().await;
                self.say(&Answer::Stats(Box::new(stats))).await?;
                self.end(0).await.map(Ok)
            }
            Request::Drain { to } => match self.drain.begin(&to).await {
                Ok(()) => self.progress(false).await.map(Ok),
                Err(reason) => Ok(Err(reason)),
            },
            Request::DrainStatus { follow } => self.progress(follow).await.map(Ok),
            Request::DrainCancel => match self.drain.cancel().await {
                Ok(()) => self.progress(false).await.map(Ok),
                Err(reason) => Ok(Err(reason)),
            },
        }
    }

    async fn list(&mut self, filter: &Filter, limit: usize) -> io::Result<Result<(), String>> {
        let queue = Arc::clone(&self.queue);
        let mut selection = match queue.select(filter) {
            Ok(selection) => selection,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut matched = 0;
        while let Some(found) = selection.next().await {
            if (matched as usize) < limit {
                let Some(overview) = queue.overview(&found).await else { continue };
                self.say(&Answer::Message(overview)).await?;
            }
            matched += 1;
        }
        self.end(matched).await.map(Ok)
    }

    async fn show(&mut self, id: String, headers: bool) -> io::Result<Result<(), String>> {
        let queue = Arc::clone(&self.queue);
        let filter = Filter { ids: vec![id.clone()], ..Filter::default() };
        let found = match queue.select(&filter) {
            Ok(mut selection) => selection.next().await,
            Err(reason) => return Ok(Err(reason)),
        };
        let Some(found) = found else {
            return Ok(Err(format!(
                "{id} is not in the queue: it was delivered or has failed; `chasqui trace` tells from the logs"
            )));
        };
        match queue.details(&found, headers).await {
            Some(details) => self.say(&Answer::Details(Box::new(details))).await?,
            None => return Ok(Err(format!("{id} has just left the queue"))),
        }
        self.end(1).await.map(Ok)
    }

    async fn change(&mut self, filter: &Filter, change: Change) -> io::Result<Result<(), String>> {
        if filter.is_empty() {
            return Ok(Err("say which messages, or that all are meant".into()));
        }
        let queue = Arc::clone(&self.queue);
        let mut selection: Selection<'_> = match queue.select(filter) {
            Ok(selection) => selection,
            Err(reason) => return Ok(Err(reason)),
        };
        let (mut changed, began) = (0, Instant::now());
        while let Some(found) = selection.next().await {
            let id = found.id.to_string();
            match queue.change(&found, change).await {
                Ok(()) => {
                    changed += 1;
                    self.say(&Answer::Changed { id }).await?;
                }
                Err(reason) => self.say(&Answer::Unchanged { id, reason: reason.into() }).await?,
            }
        }
        if let Err(error) = queue.settled(began).await {
            return Ok(Err(format!("changed, but not yet on disk: {error}")));
        }
        self.end(changed).await.map(Ok)
    }

    async fn progress(&mut self, follow: bool) -> io::Result<()> {
        let mut last = None;
        loop {
            let progress: Progress = self.drain.progress();
            let over = !follow || progress.done || !progress.draining;
            if over || last.as_ref() != Some(&progress) {
                self.say(&Answer::Draining(progress.clone())).await?;
            }
            if over {
                return self.end(progress.handed).await;
            }
            last = Some(progress);
            tokio::time::sleep(TELL).await;
        }
    }

    async fn end(&mut self, matched: u64) -> io::Result<()> {
        let (total, loading) = (self.queue.len() as u64, !self.queue.is_loaded());
        self.say(&Answer::End { matched, total, loading }).await
    }

    async fn say(&mut self, answer: &Answer) -> io::Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        tokio::time::timeout(WAIT, async {
            self.stream.write_all(&line).await?;
            self.stream.flush().await
        })
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

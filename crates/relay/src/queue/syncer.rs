//! One sync for all messages that come together.
//!
//! A message that comes alone is synced by itself: its file and its directory. Those that come while a sync runs wait for the next and
//! share it: `syncfs` writes everything, then commits and flushes once, however many files and directories there are.
//!
//! The end of a message, or a record of what became of it, is synced too, but nobody waits for that: it goes with the next
//! sync, which is begun for it when no other is. So a power cut makes us repeat only what became known in the last moments, where any
//! sender is in doubt anyhow, and what it costs is shared with the messages that come.

use super::folder::Folder;
use chasqui_base::DeliveryId;
use std::{
    fs::File,
    io,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Messages that are synced each by itself when they come together; more share one sync of everything.
const ALONE: usize = 1;
/// Requests that are answered by one sync.
const MOST_TOGETHER: usize = 4096;
/// How long ends of messages are gathered when nothing else wants a sync.
const GATHER: Duration = Duration::from_millis(20);

enum Request {
    Message(DeliveryId, File, oneshot::Sender<io::Result<()>>),
    Everything(Option<oneshot::Sender<io::Result<()>>>),
}

/// Syncs for who asks. Its thread ends with the last handle.
#[derive(Clone)]
pub struct Syncer {
    requests: mpsc::Sender<Request>,
}

impl Syncer {
    /// Starts the thread.
    pub fn start(folder: Arc<Folder>) -> io::Result<Self> {
        let (requests, queue) = mpsc::channel();
        thread::Builder::new().name("queue-sync".into()).spawn(move || run(&folder, &queue))?;
        Ok(Self { requests })
    }

    /// The file that was just written, and its name, are on disk when this returns.
    pub async fn message(&self, id: DeliveryId, file: File) -> io::Result<()> {
        let (done, result) = oneshot::channel();
        self.ask(Request::Message(id, file, done), result).await
    }

    /// Everything that was written before is on disk when this returns.
    pub async fn everything(&self) -> io::Result<()> {
        let (done, result) = oneshot::channel();
        self.ask(Request::Everything(Some(done)), result).await
    }

    /// Everything that was written before will be on disk soon.
    pub fn soon(&self) {
        // The thread ends after all handles: this is one.
        let _ = self.requests.send(Request::Everything(None));
    }

    async fn ask(&self, request: Request, result: oneshot::Receiver<io::Result<()>>) -> io::Result<()> {
        let gone = || io::Error::other("the queue's syncs have ended");
        self.requests.send(request).map_err(|_| gone())?;
        result.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn run(folder: &Folder, queue: &mpsc::Receiver<Request>) {
    let mut batch = Vec::new();
    while let Ok(first) = queue.recv() {
        if matches!(first, Request::Everything(None)) {
            let until = Instant::now() + GATHER;
            while let Ok(next) = queue.recv_timeout(until.saturating_duration_since(Instant::now())) {
                if !matches!(next, Request::Everything(None)) {
                    batch.push(next);
                    break;
                }
            }
        }
        batch.push(first);
        batch.extend(queue.try_iter().take(MOST_TOGETHER));
        let alone = batch.len() <= ALONE;
        let together =
            if alone && matches!(batch[..], [Request::Message(..)]) { None } else { Some(folder.sync_all()) };
        for request in batch.drain(..) {
            match (request, &together) {
                (Request::Message(id, file, done), None) => drop(done.send(folder.sync_one(id, &file))),
                (Request::Message(_, _, done) | Request::Everything(Some(done)), Some(result)) => {
                    drop(done.send(copy(result)))
                }
                (Request::Everything(None), Some(Err(error))) => {
                    tracing::error!(%error, "cannot sync the queue")
                }
                _ => {}
            }
        }
    }
}

fn copy(result: &io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(error) => {
            Err(error.raw_os_error().map_or(io::ErrorKind::Other.into(), io::Error::from_raw_os_error))
        }
    }
}

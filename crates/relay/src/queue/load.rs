//! From files to the index, when the relay starts: several sub-folders at a time, one file after the other, so that memory holds the
//! index and little else. New messages are taken and delivered meanwhile.

use super::{Queue, Route, open::Open};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Threads that read files. They wait for the disk more than for a processor.
const READERS: usize = 4;
/// How often the log tells how far it is.
const TELL: Duration = Duration::from_secs(5);

struct Progress {
    subfolder: AtomicU32,
    taken: AtomicU64,
    damaged: AtomicU64,
}

/// Leaves nothing more to read when it is dropped.
struct EndsReaders(Arc<Progress>);

impl Drop for EndsReaders {
    fn drop(&mut self) {
        self.0.subfolder.store(super::folder::SUBFOLDERS, Ordering::Relaxed);
    }
}

impl Queue {
    /// Takes up what is in the folder.
    pub(super) async fn load(self: Arc<Self>) {
        let progress = Arc::new(Progress {
            subfolder: AtomicU32::new(0),
            taken: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
        });
        let began = Instant::now();
        // What a relay that was killed had written, and not synced, is on disk before it is known here: who hands it in again hears 250.
        if let Err(error) = self.syncer.sync(self.clock.from).await {
            tracing::error!(%error, "cannot sync the queue before it is read");
        }
        // Readers end with this, also when the relay stops in the middle.
        let _ends = EndsReaders(Arc::clone(&progress));
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                let (queue, progress) = (Arc::clone(&self), Arc::clone(&progress));
                tokio::task::spawn_blocking(move || queue.read_subfolders(&progress))
            })
            .collect();
        let told = {
            let progress = Arc::clone(&progress);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(TELL).await;
                    let subfolders =
                        progress.subfolder.load(Ordering::Relaxed).min(super::folder::SUBFOLDERS);
                    let messages = progress.taken.load(Ordering::Relaxed);
                    tracing::info!(messages, subfolders, of = super::folder::SUBFOLDERS, "reading the queue");
                }
            })
        };
        for reader in readers {
            // One that panicked has left its sub-folder: said in the log by the runtime, read at the next start.
            if reader.await.is_err() {
                self.unread.fetch_add(1, Ordering::Relaxed);
            }
        }
        let begun = progress.subfolder.load(Ordering::Relaxed);
        let never = super::folder::SUBFOLDERS.saturating_sub(begun);
        self.unread.fetch_add(u64::from(never), Ordering::Relaxed);
        told.abort();
        self.loaded.store(true, Ordering::Relaxed);
        let messages = progress.taken.load(Ordering::Relaxed);
        let damaged = progress.damaged.load(Ordering::Relaxed);
        let unread = self.unread();
        tracing::info!(messages, damaged, unread, took_ms = began.elapsed().as_millis() as u64, "queue read");
        self.wake.notify_one();
    }

    fn read_subfolders(&self, progress: &Progress) {
        let Some(route) = self.route.get() else { return };
        loop {
            let number = progress.subfolder.fetch_add(1, Ordering::Relaxed);
            if number >= super::folder::SUBFOLDERS {
                return;
            }
            let path = self.folder.subfolder(number);
            if let Err(error) = self.read_subfolder(&path, route, progress) {
                self.unread.fetch_add(1, Ordering::Relaxed);
                tracing::error!(path = %path.display(), %error, "cannot read a part of the queue; its messages wait for the next start");
            }
        }
    }

    fn read_subfolder(&self, path: &Path, route: &Route, progress: &Progress) -> std::io::Result<()> {
        for entry in std::fs::read_dir(path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|suffix| suffix == "partial") {
                self.remove_partial(&path);
                continue;
            }
            let Some(id) = super::folder::Folder::id_of(&path) else {
                tracing::warn!(path = %path.display(), "a file in the queue that is not the queue's");
                continue;
            };
            if self.arriving().contains(&id) || self.index().find(id).is_some() {
                continue;
            }
            match self.folder.read(id) {
                Ok(stored) => {
                    let open = Open::stored(&path, stored);
                    if open.state().is_done() {
                        // Its end was written down and its name was not yet removed.
                        self.end_file(id, open.state().untold);
                        continue;
                    }
                    self.take_up(route, open, true);
                    progress.taken.fetch_add(1, Ordering::Relaxed);
                }
                // Delivered or withdrawn since the folder was listed.
                Err(super::folder::ReadError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) if error.is_damage() => {
                    progress.damaged.fetch_add(1, Ordering::Relaxed);
                    self.set_aside(id, &error);
                }
                Err(error) => {
                    self.unread.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(delivery = %id, %error, "cannot read a queue file; it waits for the next start")
                }
            }
        }
        Ok(())
    }

    /// Removes what a crash left where the file system knows no unnamed files, unless it is being written now. It was never acknowledged,
    /// so that it is no reason to leave the rest unread.
    fn remove_partial(&self, path: &Path) {
        let modified = std::fs::metadata(path).and_then(|data| data.modified());
        if modified.is_ok_and(|at| at < self.clock.started)
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove an incomplete file of the queue");
        }
    }
}

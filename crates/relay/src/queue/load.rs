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
            let _ = reader.await;
        }
        told.abort();
        self.loaded.store(true, Ordering::Relaxed);
        let messages = progress.taken.load(Ordering::Relaxed);
        let damaged = progress.damaged.load(Ordering::Relaxed);
        tracing::info!(messages, damaged, took_ms = began.elapsed().as_millis() as u64, "queue read");
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
                tracing::error!(path = %path.display(), %error, "cannot read a part of the queue; its messages wait for the next start");
            }
        }
    }

    fn read_subfolder(&self, path: &Path, route: &Route, progress: &Progress) -> std::io::Result<()> {
        for entry in std::fs::read_dir(path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|suffix| suffix == "partial") {
                // Where the file system knows no unnamed files: left by a crash, unless it is being written now.
                if std::fs::metadata(&path)?.modified()? < self.clock.started {
                    std::fs::remove_file(&path)?;
                }
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
                    tracing::error!(delivery = %id, %error, "cannot read a queue file; it waits for the next start")
                }
            }
        }
        Ok(())
    }
}

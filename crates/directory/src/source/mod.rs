//! How the user database comes into memory, and what changes in it afterwards.
//!
//! One thread does all of it, so that nothing here ever stands in a look-up's way (S5a): it polls the database's version a few times a
//! second, applies what the change log names to the overlay, folds a grown overlay into a new base, and reads everything again when it
//! is told to, when the file was replaced, or when the log no longer reaches back far enough. The thread has the lowest sensible
//! priority and pauses every half millisecond; the thread that SQLite runs on inherits the priority. It also frees what it replaced.
//!
//! Whatever fails here leaves the view as it was: a damaged database stops no look-up.

mod changes;
mod load;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use crate::admin::{AdminError, options};
use crate::config::DatabaseConfig;
use crate::snapshot::View;

/// What everybody reads.
pub(crate) type Shared = Arc<ArcSwap<View>>;

/// How long a failing database is left alone before it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The thread that keeps the view up to date.
pub(crate) struct Source {
    commands: mpsc::Sender<Command>,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
}

enum Command {
    /// Read everything again, from this database.
    Reload(DatabaseConfig, oneshot::Sender<Result<(), AdminError>>),
    /// End.
    Stop,
}

impl Source {
    /// Reads everything, then follows the changes; returns when the first view is there.
    pub(crate) async fn start(
        config: DatabaseConfig,
        health: Arc<Health>,
    ) -> Result<(Self, Shared), AdminError> {
        let shared = Shared::default();
        let (commands, receiver) = mpsc::channel(4);
        let (ready, loaded) = oneshot::channel();
        let path = config.path.clone();
        let following = shared.clone();
        let thread = thread::Builder::new().name("directory-source".into()).spawn(move || {
            // Lower priority for this thread only: on Linux the call applies to the calling thread. Not vital, so a refusal is no error.
            let _ = rustix::process::setpriority_process(None, 10);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(follow(config, following, health, receiver, ready)),
                Err(error) => drop(ready.send(Err(AdminError::opening(&config.path, error)))),
            }
        });
        let thread = thread.map_err(|error| AdminError::opening(&path, error))?;
        let ended = || AdminError::Failed { path, reason: "its thread ended".to_owned() };
        loaded.await.map_err(|_| ended())??;
        Ok((Self { commands, thread: std::sync::Mutex::new(Some(thread)) }, shared))
    }

    /// Reads everything again and swaps it in; look-ups go on meanwhile (S5a).
    pub(crate) async fn reload(&self, config: DatabaseConfig) -> Result<(), AdminError> {
        let (done, result) = oneshot::channel();
        let ended =
            |path: &Path| AdminError::Failed { path: path.to_owned(), reason: "its thread ended".to_owned() };
        let path = config.path.clone();
        self.commands.send(Command::Reload(config, done)).await.map_err(|_| ended(&path))?;
        result.await.map_err(|_| ended(&path))?
    }

    /// Ends the thread and waits for it.
    pub(crate) async fn stop(&self) {
        let _ = self.commands.send(Command::Stop).await;
        let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// What the metrics tell about the source.
#[derive(Default)]
pub(crate) struct Health {
    /// Milliseconds since 1970 when the view was last known to be up to date.
    pub(crate) checked: std::sync::atomic::AtomicU64,
    /// Times that everything was read.
    pub(crate) loads: std::sync::atomic::AtomicU64,
    /// Attempts to read that failed.
    pub(crate) failures: std::sync::atomic::AtomicU64,
}

async fn follow(
    config: DatabaseConfig,
    shared: Shared,
    health: Arc<Health>,
    mut commands: mpsc::Receiver<Command>,
    ready: oneshot::Sender<Result<(), AdminError>>,
) {
    use std::sync::atomic::Ordering::Relaxed;
    let mut follower =
        Follower { config, shared, health, database: None, loaded: None, retired: Vec::new(), failure: None };
    let loaded = follower.reload(Pace::full()).await;
    let failed = loaded.is_err();
    if ready.send(loaded).is_err() || failed {
        return;
    }
    let mut wait = follower.config.poll.get();
    loop {
        match tokio::time::timeout(wait, commands.recv()).await {
            Ok(Some(Command::Reload(config, done))) => {
                let before = std::mem::replace(&mut follower.config, config);
                let result = follower.reload(Pace::gentle()).await;
                if result.is_err() {
                    follower.config = before;
                }
                let _ = done.send(result);
            }
            Ok(Some(Command::Stop) | None) => break,
            Err(_) => {
                wait = match follower.catch_up().await {
                    Ok(()) => {
                        follower.recovered();
                        follower.config.poll.get()
                    }
                    Err(error) => {
                        follower.health.failures.fetch_add(1, Relaxed);
                        follower.failed(&error);
                        RETRY.max(follower.config.poll.get())
                    }
                };
            }
        }
        follower.free_retired();
    }
    if let Some(database) = follower.database.take() {
        let _ = database.connection.close().await;
    }
}

struct Follower {
    config: DatabaseConfig,
    shared: Shared,
    health: Arc<Health>,
    database: Option<OpenDatabase>,
    /// Which file the view came from: an operator who restores a backup puts another one in its place.
    loaded: Option<(u64, u64)>,
    /// Views that were replaced, until no look-up reads them any more.
    retired: Vec<Arc<View>>,
    /// What went wrong last, so that it is logged once and not five times a second.
    failure: Option<String>,
}

struct OpenDatabase {
    connection: SqliteConnection,
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    /// SQLite's own counter of changes by others; the change log is read only when it moved.
    version: i64,
}

impl Follower {
    /// Reads everything into a new view.
    async fn reload(&mut self, pace: Pace) -> Result<(), AdminError> {
        let mut database = open(&self.config.path).await?;
        database.version = database.data_version().await?;
        let view = load::view(&mut database, pace).await?;
        tracing::info!(users = view.accounts, domains = view.domains.len(), "directory loaded");
        self.loaded = Some(database.identity);
        self.database = Some(database);
        self.publish(view);
        self.health.loads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.checked();
        Ok(())
    }

    /// Applies what changed since.
    async fn catch_up(&mut self) -> Result<(), AdminError> {
        if Some(identity(&self.config.path)?) != self.loaded {
            // Another file has another history: its log does not continue ours, whatever its numbers say.
            self.database = None;
            return self.reload(Pace::gentle()).await;
        }
        let mut database = match self.database.take() {
            Some(database) => database,
            None => open(&self.config.path).await?,
        };
        // From here an error drops the connection, and the next attempt begins with a new one.
        let version = database.data_version().await?;
        if version == database.version {
            self.database = Some(database);
            self.checked();
            return Ok(());
        }
        loop {
            let view = self.shared.load_full();
            match changes::apply(&mut database, &view).await? {
                changes::Outcome::Current => break,
                changes::Outcome::Changed(next) => self.publish(next),
                changes::Outcome::TooOld => return self.reload(Pace::gentle()).await,
            }
        }
        database.version = version;
        self.database = Some(database);
        self.fold_if_grown()?;
        self.checked();
        Ok(())
    }

    /// Makes a new base of base and overlay when the overlay is too large to be copied with each change.
    fn fold_if_grown(&mut self) -> Result<(), AdminError> {
        let view = self.shared.load_full();
        if view.overlay.len() <= (view.base.len() / 8).max(4096) {
            return Ok(());
        }
        let folded = load::fold(&view, Pace::gentle()).map_err(|error| AdminError::Failed {
            path: self.config.path.clone(),
            reason: error.to_string(),
        })?;
        drop(view);
        self.publish(folded);
        Ok(())
    }

    fn publish(&mut self, view: View) {
        let old = self.shared.swap(Arc::new(view));
        self.retired.push(old);
        self.free_retired();
    }

    /// Frees the views that only we still hold: the last reference is always ours, so that no look-up pays for freeing.
    fn free_retired(&mut self) {
        self.retired.retain(|view| Arc::strong_count(view) > 1);
    }

    fn checked(&self) {
        self.health.checked.store(crate::wire::now(), std::sync::atomic::Ordering::Relaxed);
    }

    fn failed(&mut self, error: &AdminError) {
        let reason = error.to_string();
        if self.failure.as_ref() != Some(&reason) {
            tracing::error!(%reason, "the user database cannot be read; look-ups go on with what is in memory");
            self.failure = Some(reason);
        }
    }

    fn recovered(&mut self) {
        if self.failure.take().is_some() {
            tracing::info!("the user database can be read again");
        }
    }
}

impl OpenDatabase {
    async fn data_version(&mut self) -> Result<i64, AdminError> {
        let asking = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut self.connection).await;
        asking.map_err(|error| AdminError::database(&self.path, error))
    }
}

async fn open(path: &Path) -> Result<OpenDatabase, AdminError> {
    let identity = identity(path)?;
    let connection = SqliteConnection::connect_with(&options(path)).await;
    let connection = connection.map_err(|error| AdminError::database(path, error))?;
    // No counter of SQLite's is negative, so the first look at it always reads the log.
    Ok(OpenDatabase { connection, path: path.to_owned(), identity, version: -1 })
}

/// Device and inode of the file.
pub(crate) fn identity(path: &Path) -> Result<(u64, u64), AdminError> {
    let metadata = std::fs::metadata(path).map_err(|error| AdminError::opening(path, error))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Works half a millisecond, then pauses, so that on a busy machine a look-up never waits for a whole time slice.
pub(crate) struct Pace {
    gentle: bool,
    since: Instant,
}

impl Pace {
    const WORK: Duration = Duration::from_micros(500);
    const PAUSE: Duration = Duration::from_micros(100);

    /// Without pauses: nobody is being served yet.
    pub(crate) fn full() -> Self {
        Self { gentle: false, since: Instant::now() }
    }

    pub(crate) fn gentle() -> Self {
        Self { gentle: true, since: Instant::now() }
    }

    /// Pauses when it is time to.
    pub(crate) fn breathe(&mut self) {
        if self.gentle && self.since.elapsed() > Self::WORK {
            thread::sleep(Self::PAUSE);
            self.since = Instant::now();
        }
    }
}

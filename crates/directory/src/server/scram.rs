//! What SCRAM is verified with, read from the database when somebody logs in with it.
//!
//! In memory the keys would take 80 octets a user, nearly as much as everything else that is known of one: a million users would not
//! fit into their 200 MB any more. So they stay in the database, where one read by a unique index costs less than the exchange over the
//! network that it answers. When the database cannot be read, SCRAM cannot either, and clients are told to come back or use PLAIN, which is
//! checked from memory.
//!
//! A user that does not exist, or has no verifier, is answered with one that matches nothing: its salt is a keyed hash of the name, so
//! that it is always the same, at every server of the site.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use arc_swap::ArcSwap;
use chasqui_sasl::scram::Verifier;
use sqlx::{Connection, Row, SqliteConnection};
use tokio::sync::mpsc;

use crate::admin::{AdminError, options};
use crate::source::identity;

/// Reads that may wait; what is beyond is told to come back.
const QUEUE: usize = 1024;

/// Told what was read, on the thread that did it; `None` when it could not be.
pub(crate) type Waiter = Box<dyn FnOnce(Option<Verifier>) + Send>;

/// The thread that reads.
pub(crate) struct Verifiers {
    path: Arc<ArcSwap<PathBuf>>,
    /// Taken to end the thread.
    wanted: Mutex<Option<mpsc::Sender<Wanted>>>,
    /// Taken by `start`.
    arriving: Mutex<Option<mpsc::Receiver<Wanted>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Wanted {
    login: String,
    waiter: Waiter,
}

impl Verifiers {
    pub(crate) fn new(path: PathBuf) -> Self {
        let (wanted, arriving) = mpsc::channel(QUEUE);
        Self {
            path: Arc::new(ArcSwap::from_pointee(path)),
            wanted: Mutex::new(Some(wanted)),
            arriving: Mutex::new(Some(arriving)),
            thread: Mutex::default(),
        }
    }

    /// Starts the thread.
    pub(crate) fn start(&self) -> std::io::Result<()> {
        let Some(arriving) = lock(&self.arriving).take() else { return Ok(()) };
        let path = Arc::clone(&self.path);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let reading = thread::Builder::new().name("directory-scram".into());
        let thread = reading.spawn(move || runtime.block_on(read_all(&path, arriving)))?;
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    /// Reads from this file from now on.
    pub(crate) fn configure(&self, path: PathBuf) {
        self.path.store(Arc::new(path));
    }

    /// Reads what is kept of a canonical address.
    pub(crate) fn read(&self, login: &str, waiter: Waiter) {
        let wanted = Wanted { login: login.to_owned(), waiter };
        let sender = lock(&self.wanted).clone();
        let left = match sender {
            Some(sender) => sender.try_send(wanted).err().map(mpsc::error::TrySendError::into_inner),
            None => Some(wanted),
        };
        if let Some(Wanted { waiter, .. }) = left {
            waiter(None);
        }
    }

    /// Ends the thread; what waits is still answered.
    pub(crate) fn stop(&self) {
        drop(lock(&self.wanted).take());
        drop(lock(&self.arriving).take());
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

struct Open {
    connection: SqliteConnection,
    path: Arc<PathBuf>,
    identity: (u64, u64),
    /// The site's secret.
    key: [u8; 32],
}

async fn read_all(path: &ArcSwap<PathBuf>, mut arriving: mpsc::Receiver<Wanted>) {
    let mut open = None;
    while let Some(Wanted { login, waiter }) = arriving.recv().await {
        match read(&mut open, path.load_full(), &login).await {
            Ok(verifier) => waiter(Some(verifier)),
            Err(error) => {
                tracing::error!(%error, "what SCRAM is verified with cannot be read");
                open = None;
                waiter(None);
            }
        }
    }
    if let Some(open) = open {
        let _ = open.connection.close().await;
    }
}

async fn read(open: &mut Option<Open>, path: Arc<PathBuf>, login: &str) -> Result<Verifier, AdminError> {
    // The operator may have put another file in its place.
    let identity = identity(&path)?;
    let mut database = match open.take() {
        Some(found) if found.path == path && found.identity == identity => found,
        _ => Open::new(path, identity).await?,
    };
    let failed = |error| AdminError::database(&database.path, error);
    let stored: Option<Option<String>> = sqlx::query_scalar("SELECT scram FROM account WHERE address = ?1")
        .bind(login)
        .fetch_optional(&mut database.connection)
        .await
        .map_err(failed)?;
    let found = stored.flatten().and_then(|text| match text.parse() {
        Ok(verifier) => Some(verifier),
        Err(error) => {
            tracing::warn!(login, %error, "a user cannot log in by SCRAM");
            None
        }
    });
    let verifier = found.unwrap_or_else(|| Verifier::of_nobody(&database.salt_of_nobody(login)));
    *open = Some(database);
    Ok(verifier)
}

impl Open {
    async fn new(path: Arc<PathBuf>, identity: (u64, u64)) -> Result<Self, AdminError> {
        let failed = |error| AdminError::database(&path, error);
        let mut connection = SqliteConnection::connect_with(&options(&path)).await.map_err(failed)?;
        let row = sqlx::query("SELECT value FROM secret WHERE name = 'scram'")
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        let value: &[u8] = row.try_get(0).map_err(failed)?;
        let key = *blake3::hash(value).as_bytes();
        Ok(Self { connection, path, identity, key })
    }

    fn salt_of_nobody(&self, login: &str) -> [u8; 16] {
        let hash = blake3::keyed_hash(&self.key, login.as_bytes());
        let mut salt = [0; 16];
        salt.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
        salt
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn what_waits_is_bounded_and_told_when_the_server_ends() {
        let verifiers = Verifiers::new("/nowhere".into());
        let refused = Arc::new(AtomicUsize::new(0));
        for _ in 0..QUEUE + 3 {
            let refused = Arc::clone(&refused);
            let waiter = move |found: Option<Verifier>| {
                assert!(found.is_none());
                refused.fetch_add(1, Ordering::Relaxed);
            };
            verifiers.read("ana@ours.test", Box::new(waiter));
        }
        assert_eq!(refused.load(Ordering::Relaxed), 3, "beyond the queue nobody waits");
        verifiers.start().unwrap();
        verifiers.stop();
        assert_eq!(refused.load(Ordering::Relaxed), QUEUE + 3, "there is no database");
    }
}

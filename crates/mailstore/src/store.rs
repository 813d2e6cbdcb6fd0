//! The store: every account of this node.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use chasqui_base::fsx::create_private_dir;
use chasqui_base::{DeliveryId, EmailAddress};
use prometheus_client::registry::Registry;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::account::Account;
use crate::cabinet::Cabinet;
use crate::committer::Committer;
use crate::config::StoreConfig;
use crate::deliver::DeliverJob;
use crate::error::{MailError, OpenError};
use crate::file_name::safe_host;
use crate::folder_name::FolderName;
use crate::incoming::Incoming;
use crate::index::Indexes;
use crate::layout::Layout;
use crate::metrics::{Metrics, Queues};
use crate::reserve::Reserve;
use crate::state_file::seconds_since_epoch;
use crate::uid::Uid;
use crate::worker::{Site, Workers};
use chasqui_base::disk::Disk;

/// Folder of large messages that arrive, under the root: on the same file system as the accounts.
const INCOMING: &str = ".incoming";
/// How long to wait for a predecessor that is closing.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// The mail store of one storage node. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// One recipient of a message that arrives.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The owner's canonical address.
    pub account: EmailAddress,
    /// The folder; one other than INBOX that does not exist is an error.
    pub folder: FolderName,
    /// The id that the message got at the exchanger. A second delivery of this id to this folder is recognised and not stored.
    pub id: DeliveryId,
    /// What the account may hold.
    pub quota: Quota,
    /// The internal date.
    pub received: SystemTime,
}

/// A delivery that is on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivered {
    /// The message's UID; for a duplicate whose first copy has left the folder, the smallest UID.
    pub uid: Uid,
    /// The folder's UIDVALIDITY.
    pub uid_validity: u32,
    /// Whether this id was here before, so that nothing was stored now.
    pub duplicate: bool,
}

/// What an account may hold; `None` is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quota {
    /// Octets in all messages together.
    pub bytes: Option<u64>,
    /// Messages.
    pub messages: Option<u64>,
}

/// What an account holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Octets in all messages together.
    pub bytes: u64,
    /// Messages.
    pub messages: u64,
}

struct Inner {
    site: Arc<Site>,
    host: Arc<str>,
    incoming: Arc<PathBuf>,
    // None once closed.
    workers: Mutex<Option<Arc<Workers>>>,
    // Ends when every worker has.
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
    lock: File,
}

impl Store {
    /// Opens the store and starts its workers.
    pub fn open(config: &StoreConfig) -> Result<Store, OpenError> {
        let disk = |root: &Path| Disk::probe(root);
        Store::open_on(config, disk)
    }

    pub(crate) fn open_on(
        config: &StoreConfig,
        disk: impl FnOnce(&Path) -> io::Result<Disk>,
    ) -> Result<Store, OpenError> {
        config.check()?;
        let at_root = |source| OpenError::Root { path: config.root.clone(), source };
        create_private_dir(&config.root).map_err(at_root)?;
        let lock = lock(config)?;
        check_layout(config)?;
        let incoming = config.root.join(INCOMING);
        // Only what a crash left can be there: we hold the lock.
        match std::fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at_root(error)),
            _ => {}
        }
        create_private_dir(&incoming).map_err(at_root)?;
        let disk = disk(&incoming).map_err(at_root)?;
        let host = match config.host.as_str() {
            "" => safe_host(std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim()),
            host => safe_host(host),
        };
        let committer = Committer::new(disk.clone(), File::open(&incoming).map_err(at_root)?);
        let site = Arc::new(Site {
            config: config.clone(),
            disk,
            committer,
            reserve: Reserve::new(&config.root),
            host,
            metrics: Metrics::new(),
        });
        let (sender, ended) = mpsc::channel(1);
        let workers = Workers::start(&site, &sender).map_err(at_root)?;
        let inner = Inner {
            host: Arc::from(site.host.as_str()),
            site,
            incoming: Arc::new(incoming),
            workers: Mutex::new(Some(Arc::new(workers))),
            ended: tokio::sync::Mutex::new(ended),
            lock,
        };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// A handle on an account. No I/O: an account comes to be with its first delivery or session.
    pub fn account(&self, address: &EmailAddress) -> Account {
        Account::new(self.clone(), address.clone())
    }

    /// Room for a message that arrives: in memory up to the `spill` setting, then a file.
    pub fn incoming(&self) -> Incoming {
        let inner = &self.inner;
        Incoming::new(inner.site.disk.clone(), inner.incoming.clone(), inner.site.config.spill.as_usize())
    }

    /// Stores one message for each recipient. A result is `Ok` only when message and directory entry are on disk. Results are in
    /// the order of `to`. Several recipients share one file under several names.
    pub async fn deliver(&self, message: Incoming, to: Vec<Delivery>) -> Vec<Result<Delivered, MailError>> {
        let queued = Instant::now();
        let refused = |error: MailError| to.iter().map(|_| Err(error.again())).collect();
        let time = to.first().map_or(0, |delivery| seconds_since_epoch(delivery.received));
        let source = match message.into_source(to.len(), time).await {
            Ok(source) => source,
            Err(error) => return refused(error),
        };
        let workers = match self.workers() {
            Ok(workers) => workers,
            Err(error) => return refused(error),
        };
        let mut answers = Vec::with_capacity(to.len());
        for delivery in to {
            let (reply, answer) = oneshot::channel();
            let job = DeliverJob { source: source.clone(), delivery, reply, queued };
            answers.push(workers.deliver(job).await.map(|()| answer));
        }
        drop((source, workers));
        let mut results = Vec::with_capacity(answers.len());
        for answer in answers {
            results.push(match answer {
                Ok(answer) => answer.await.unwrap_or(Err(MailError::Busy)),
                Err(error) => Err(error),
            });
        }
        results
    }

    /// Finishes what is queued and ends the workers. Later operations answer [`MailError::Busy`].
    pub async fn close(&self) {
        drop(self.lock_workers().take());
        // Nothing is ever sent; the channel ends with the last worker.
        while self.inner.ended.lock().await.recv().await.is_some() {}
        if let Err(error) = rustix::fs::flock(&self.inner.lock, FlockOperation::Unlock) {
            warn!(%error, "the lock on the mail store could not be given back before the process ends");
        }
    }

    /// Registers the store's metrics.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("chasqui_mailstore");
        self.inner.site.metrics.register(registry);
        if let Ok(workers) = self.workers() {
            registry.register_collector(Box::new(Queues(Arc::downgrade(&workers))));
        }
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        account: &EmailAddress,
        work: impl FnOnce(&mut Cabinet, &mut Indexes) -> Result<T, MailError> + Send + 'static,
    ) -> Result<T, MailError> {
        self.workers()?.run(account, work).await
    }

    pub(crate) fn suggest(
        &self,
        account: &EmailAddress,
        work: impl FnOnce(&mut Cabinet, &mut Indexes) + Send + 'static,
    ) {
        if let Ok(workers) = self.workers() {
            workers.suggest(account, work);
        }
    }

    pub(crate) fn host(&self) -> Arc<str> {
        self.inner.host.clone()
    }

    fn workers(&self) -> Result<Arc<Workers>, MailError> {
        self.lock_workers().clone().ok_or(MailError::Busy)
    }

    fn lock_workers(&self) -> MutexGuard<'_, Option<Arc<Workers>>> {
        self.inner.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes this process the owner of the root. A predecessor that is still closing gets a moment.
fn lock(config: &StoreConfig) -> Result<File, OpenError> {
    let path = config.root.join("store.lock");
    let at_root = |source| OpenError::Root { path: config.root.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(at_root)?;
    let started = Instant::now();
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if started.elapsed() < LOCK_WAIT => {
                std::thread::sleep(LOCK_WAIT / 50)
            }
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(OpenError::InUse { path: config.root.clone() }),
            Err(errno) => return Err(at_root(errno.into())),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct StoreFile {
    version: u32,
    layout: Layout,
}

/// Accounts are found by their hash: another layout would find none of them.
fn check_layout(config: &StoreConfig) -> Result<(), OpenError> {
    let path = config.root.join("store.toml");
    let at_root = |source| OpenError::Root { path: config.root.clone(), source };
    let made: Option<StoreFile> = match std::fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text)
            .map_err(|error| at_root(io::Error::new(io::ErrorKind::InvalidData, error)))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(at_root(error)),
    };
    match made {
        Some(made) if made.layout != config.layout => {
            let (made, wanted) = (made.layout.name().to_owned(), config.layout.name().to_owned());
            Err(OpenError::Layout { path: config.root.clone(), made, wanted })
        }
        Some(_) => Ok(()),
        None => {
            let file = StoreFile { version: 1, layout: config.layout };
            let text = toml::to_string(&file).map_err(|error| at_root(io::Error::other(error)))?;
            chasqui_base::fsx::replace_file_durably(&path, text.as_bytes()).map_err(at_root)
        }
    }
}

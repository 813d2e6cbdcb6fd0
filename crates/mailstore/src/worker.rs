//! Workers: a fixed number of threads, each the one owner of its accounts.
//!
//! - An account belongs to the worker that its address hashes to: one writer an account, no locks on disk, requests in order.
//! - Requests wait in one bounded queue a worker; deliveries that wait together are committed together (see [`crate::deliver`]).
//! - Accounts and their folders are loaded on demand. Accounts without a session are forgotten, the longest unused first, once
//!   there are more than `idle_accounts`.

use std::sync::Arc;
use std::time::Duration;

use chasqui_base::EmailAddress;
use hashbrown::{HashMap, HashSet};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use crate::cabinet::Cabinet;
use crate::committer::Committer;
use crate::config::StoreConfig;
use crate::deliver::DeliverJob;
use crate::error::MailError;
use crate::index::Indexes;
use crate::metrics::Metrics;
use crate::reserve::Reserve;
use chasqui_base::disk::Disk;

/// Longest wait for a place in a worker's queue.
const QUEUE_WAIT: Duration = Duration::from_secs(30);

/// Accounts loaded between two counts of the messages in memory.
const COUNT_EVERY: u64 = 256;

/// What every worker knows.
pub(crate) struct Site {
    pub(crate) config: StoreConfig,
    pub(crate) disk: Disk,
    pub(crate) committer: Committer,
    pub(crate) reserve: Reserve,
    /// This host in file names.
    pub(crate) host: String,
    pub(crate) metrics: Metrics,
}

pub(crate) type Work = Box<dyn FnOnce(&mut Worker) + Send>;

/// A request to a worker.
pub(crate) enum Job {
    /// One delivery; committed with its neighbours.
    Deliver(DeliverJob),
    /// Anything else, for this account.
    Run(EmailAddress, Work),
}

/// The queues of all workers.
pub(crate) struct Workers {
    queues: Vec<mpsc::Sender<Job>>,
}

impl Workers {
    /// Starts the threads. They end when the last of the queues' senders is gone.
    pub(crate) fn start(site: &Arc<Site>, ended: &mpsc::Sender<()>) -> std::io::Result<Workers> {
        let mut queues = Vec::new();
        for number in 0..site.config.workers {
            let (sender, queue) = mpsc::channel(site.config.queue);
            let worker = Worker::new(site.clone());
            let ended = ended.clone();
            std::thread::Builder::new().name(format!("store-{number}")).spawn(move || {
                worker.run(queue);
                drop(ended);
            })?;
            queues.push(sender);
        }
        Ok(Workers { queues })
    }

    fn queue(&self, account: &EmailAddress) -> &mpsc::Sender<Job> {
        let hash = blake3::hash(account.as_str().as_bytes());
        let [.., a, b] = *hash.as_bytes();
        &self.queues[usize::from(u16::from_be_bytes([a, b])) % self.queues.len()]
    }

    /// Hands a delivery to the account's worker.
    pub(crate) async fn deliver(&self, job: DeliverJob) -> Result<(), MailError> {
        self.send(&job.delivery.account.clone(), Job::Deliver(job)).await
    }

    /// Runs `work` at the account's worker and waits for its result.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        account: &EmailAddress,
        work: impl FnOnce(&mut Cabinet, &mut Indexes) -> Result<T, MailError> + Send + 'static,
    ) -> Result<T, MailError> {
        let (reply, answer) = oneshot::channel();
        let address = account.clone();
        let job = Job::Run(
            account.clone(),
            Box::new(move |worker: &mut Worker| {
                let result = worker.cabinet(&address).and_then(|(cabinet, indexes)| work(cabinet, indexes));
                // The session may have gone meanwhile; the work is done all the same.
                let _ = reply.send(result);
            }),
        );
        self.send(account, job).await?;
        answer.await.map_err(|_| MailError::Busy)?
    }

    /// Asks for `work` without waiting, and without insisting when the queue is full.
    pub(crate) fn suggest(
        &self,
        account: &EmailAddress,
        work: impl FnOnce(&mut Cabinet, &mut Indexes) + Send + 'static,
    ) {
        let address = account.clone();
        let job = Job::Run(
            account.clone(),
            Box::new(move |worker: &mut Worker| {
                if let Ok((cabinet, indexes)) = worker.cabinet(&address) {
                    work(cabinet, indexes);
                }
            }),
        );
        let _ = self.queue(account).try_send(job);
    }

    async fn send(&self, account: &EmailAddress, job: Job) -> Result<(), MailError> {
        let queue = self.queue(account);
        match queue.try_send(job) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(MailError::Busy),
            Err(mpsc::error::TrySendError::Full(job)) => {
                queue.send_timeout(job, QUEUE_WAIT).await.map_err(|_| MailError::Busy)
            }
        }
    }

    /// Requests waiting in all queues.
    pub(crate) fn waiting(&self) -> usize {
        self.queues.iter().map(|queue| queue.max_capacity() - queue.capacity()).sum()
    }
}

/// One thread's accounts.
pub(crate) struct Worker {
    pub(crate) site: Arc<Site>,
    cabinets: HashMap<EmailAddress, Cabinet>,
    indexes: Indexes,
    // Counts requests, as a clock for what was used last.
    now: u64,
    // Counts accounts loaded.
    loads: u64,
}

impl Worker {
    fn new(site: Arc<Site>) -> Worker {
        let indexes = Indexes::new(site.config.open_indexes);
        Worker { site, cabinets: HashMap::new(), indexes, now: 0, loads: 0 }
    }

    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        while let Some(job) = queue.blocking_recv() {
            let mut next = Some(job);
            // Deliveries up to the first other request go together: requests to one account keep their order.
            while let Some(Job::Deliver(job)) = next {
                batch.push(job);
                next = if batch.len() < self.site.config.batch { queue.try_recv().ok() } else { None };
            }
            if !batch.is_empty() {
                let accounts: HashSet<EmailAddress> =
                    batch.iter().map(|job: &DeliverJob| job.delivery.account.clone()).collect();
                let deliveries = std::mem::take(&mut batch);
                self.guarded(accounts, |worker| worker.commit(deliveries));
            }
            if let Some(Job::Run(account, work)) = next {
                self.guarded(HashSet::from([account]), work);
            }
        }
    }

    /// A defect that panics must not take the other accounts of this worker with it. What it was working on is read anew.
    fn guarded(&mut self, accounts: HashSet<EmailAddress>, work: impl FnOnce(&mut Worker)) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(self)));
        if outcome.is_err() {
            error!("a request panicked: this is a defect; its accounts are read anew");
            for account in accounts {
                if let Some(cabinet) = self.cabinets.remove(&account) {
                    cabinet.abandon();
                }
            }
        }
    }

    /// The account, loaded.
    pub(crate) fn cabinet(
        &mut self,
        address: &EmailAddress,
    ) -> Result<(&mut Cabinet, &mut Indexes), MailError> {
        self.now += 1;
        if !self.cabinets.contains_key(address) {
            self.forget_idle();
            let loaded = Cabinet::load(self.site.clone(), address).inspect_err(|error| {
                warn!(account = %address, %error, "an account cannot be read");
            })?;
            self.cabinets.insert(address.clone(), loaded);
        }
        let cabinet = self.cabinets.get_mut(address).ok_or(MailError::Busy)?;
        cabinet.used = self.now;
        Ok((cabinet, &mut self.indexes))
    }

    /// Makes room when idle accounts, or the messages in them, are too many: an eighth more than needed goes, so that the search is
    /// rare.
    fn forget_idle(&mut self) {
        self.loads += 1;
        let (accounts, messages) = (self.site.config.idle_accounts, self.site.config.idle_messages);
        if self.cabinets.len() < accounts && !self.loads.is_multiple_of(COUNT_EVERY) {
            return;
        }
        let mut idle: Vec<(u64, usize)> = self
            .cabinets
            .values()
            .filter(|cabinet| !cabinet.in_use())
            .map(|cabinet| (cabinet.used, cabinet.messages()))
            .collect();
        let mut held: usize = idle.iter().map(|(_, messages)| messages).sum();
        if idle.len() < accounts && held <= messages {
            return;
        }
        idle.sort_unstable();
        let mut count = idle.len();
        let mut newest = 0;
        for (used, of_it) in idle {
            if count <= accounts - accounts.div_ceil(8) && held <= messages - messages / 8 {
                break;
            }
            (count, held, newest) = (count - 1, held - of_it, used);
        }
        self.cabinets.retain(|_, cabinet| cabinet.in_use() || cabinet.used > newest);
    }
}

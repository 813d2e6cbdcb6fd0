//! Messages that wait for their storage node: on disk before they are acknowledged, in memory as an index.
//!
//! One worker starts retries as they fall due, at most so many to one node at once; a retry asks the directory anew for each
//! recipient, so that it finds accounts that have moved. When a node comes back its messages fall due at once. At the start every
//! entry found on disk falls due within the first pause.

mod attempt;
mod disk;
pub(crate) mod record;

use crate::{config, metrics::Metrics};
use chasqui_base::{DeliveryId, Lifecycle};
use chasqui_courier::{AccountOutcome, Content, Courier, Envelope, Outcome, blocking};
use disk::Folder;
use record::{Record, Waiting};
use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, mpsc};

/// How often idle connections are looked through and nodes that are away are dialled.
const ROUND: Duration = Duration::from_secs(1);

pub(crate) struct Spool {
    folder: Arc<Folder>,
    settings: config::Spool,
    index: Mutex<Index>,
    wake: Notify,
    metrics: Metrics,
}

#[derive(Default)]
struct Index {
    entries: HashMap<DeliveryId, Arc<Record>>,
    /// By the node of the first recipient.
    queues: HashMap<String, Queue>,
    /// Places of entries that are being written.
    reserved: usize,
}

#[derive(Default)]
struct Queue {
    waiting: BTreeSet<(Instant, DeliveryId)>,
    running: usize,
}

/// Why a message cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error("the spool has as many entries as it may")]
    Full,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Spool {
    /// Opens the folder and takes up what waits in it.
    pub(crate) fn open(settings: &config::Spool, metrics: &Metrics) -> io::Result<Self> {
        let (folder, recovered) = Folder::open(&settings.path)?;
        for path in &recovered.damaged {
            tracing::error!(path = %path.display(), "damaged spool entry moved to `failed`");
        }
        if recovered.removed > 0 {
            tracing::info!(files = recovered.removed, "incomplete spool files removed");
        }
        let spool = Self {
            folder: Arc::new(folder),
            settings: settings.clone(),
            index: Mutex::default(),
            wake: Notify::new(),
            metrics: metrics.clone(),
        };
        for record in recovered.records {
            let due = Instant::now() + jitter(settings.first_pause.get());
            spool.insert(Arc::new(record), due);
        }
        Ok(spool)
    }

    /// Where messages go that outgrow memory.
    pub(crate) fn tmp(&self) -> &Path {
        self.folder.tmp()
    }

    /// Keeps a message for those accounts that do not have it: to be retried, or in `failed`. On disk when it returns.
    pub(crate) async fn keep(
        &self,
        envelope: &Envelope,
        content: &Arc<Content>,
        results: &[AccountOutcome],
    ) -> Result<(), KeepError> {
        let record = |pick: fn(&Outcome) -> bool| Record {
            id: envelope.id,
            reverse_path: envelope.reverse_path.clone(),
            smtputf8: envelope.smtputf8,
            body: envelope.body,
            junk: envelope.junk,
            size: content.len(),
            received: record::now().as_secs(),
            recipients: results
                .iter()
                .filter(|result| pick(&result.outcome))
                .map(|result| waiting(result, 1))
                .collect(),
        };
        let refused = record(|outcome| matches!(outcome, Outcome::Refused(_)));
        let waits = record(|outcome| matches!(outcome, Outcome::Deferred(..)));
        let wants_place = !waits.recipients.is_empty();
        if wants_place {
            self.reserve()?;
        }
        let folder = Arc::clone(&self.folder);
        let (waits, content) = (Arc::new(waits), Arc::clone(content));
        let (stored, given_up) = (Arc::clone(&waits), refused.recipients.len() as u64);
        let written = blocking(move || {
            if !refused.recipients.is_empty() {
                folder.fail(&refused, &content)?;
            }
            if stored.recipients.is_empty() { Ok(()) } else { folder.store(&stored, &content) }
        })
        .await;
        if wants_place {
            self.index().reserved -= 1;
        }
        written?;
        self.metrics.spool_failed.inc_by(given_up);
        for result in results {
            if let Outcome::Refused(reply) = &result.outcome {
                tracing::error!(delivery = %envelope.id, account = %result.account, %reply, "given up, kept in `failed`");
            }
        }
        if wants_place {
            self.insert(waits, Instant::now() + jitter(self.settings.first_pause.get()));
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Retries until `run` ends.
    pub(crate) async fn work(
        self: Arc<Self>,
        courier: Arc<Courier>,
        mut recovered: mpsc::Receiver<String>,
        run: Lifecycle,
    ) {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let next = self.start_due(&courier, &run);
            tokio::select! {
                () = run.stopped() => return,
                () = self.wake.notified() => {}
                Some(node) = recovered.recv() => self.hurry(&node),
                () = tokio::time::sleep_until(next.into()) => {}
                _ = round.tick() => self.look_after(&courier),
            }
        }
    }

    /// Dials nodes that messages wait for, and closes old connections, without being waited for.
    fn look_after(&self, courier: &Arc<Courier>) {
        let names: Vec<String> = self.index().queues.keys().cloned().collect();
        let courier = Arc::clone(courier);
        tokio::spawn(async move {
            for name in names {
                let courier = Arc::clone(&courier);
                tokio::spawn(async move { courier.nodes.probe(&name).await });
            }
            courier.nodes.close_idle().await;
        });
    }

    /// Starts what is due, and says when to look again.
    fn start_due(self: &Arc<Self>, courier: &Arc<Courier>, run: &Lifecycle) -> Instant {
        let now = Instant::now();
        let mut next = now + Duration::from_secs(3600);
        let mut started = Vec::new();
        let mut index = self.index();
        index.queues.retain(|_, queue| queue.running > 0 || !queue.waiting.is_empty());
        for (node, queue) in &mut index.queues {
            while queue.running < self.settings.per_node {
                match queue.waiting.first() {
                    Some((due, _)) if *due > now => {
                        next = next.min(*due);
                        break;
                    }
                    None => break,
                    Some(_) => {}
                }
                if let Some((_, id)) = queue.waiting.pop_first() {
                    queue.running += 1;
                    started.push((node.clone(), id));
                }
            }
        }
        drop(index);
        for (node, id) in started {
            let (spool, courier) = (Arc::clone(self), Arc::clone(courier));
            run.spawn(async move {
                spool.attempt(&courier, id).await;
                if let Some(queue) = spool.index().queues.get_mut(&node) {
                    queue.running -= 1;
                }
                spool.wake.notify_one();
            });
        }
        next
    }

    /// The node is back: what waits for it is due now.
    fn hurry(&self, node: &str) {
        let now = Instant::now();
        if let Some(queue) = self.index().queues.get_mut(node) {
            queue.waiting =
                std::mem::take(&mut queue.waiting).into_iter().map(|(due, id)| (due.min(now), id)).collect();
        }
    }

    /// A retry got through: two others of the node are due now. So a node that refused for a while (its disk was full, say)
    /// gets all that waits for it soon, and one that still refuses is asked once.
    fn pull(&self, node: &str) {
        let now = Instant::now();
        if let Some(queue) = self.index().queues.get_mut(node) {
            for _ in 0..2 {
                if let Some((due, id)) = queue.waiting.pop_last() {
                    queue.waiting.insert((due.min(now), id));
                }
            }
        }
    }

    fn reserve(&self) -> Result<(), KeepError> {
        let mut index = self.index();
        if index.entries.len() + index.reserved >= self.settings.entries {
            return Err(KeepError::Full);
        }
        index.reserved += 1;
        Ok(())
    }

    fn insert(&self, record: Arc<Record>, due: Instant) {
        let node = record.recipients.first().map_or_else(String::new, |waiting| waiting.node.clone());
        let mut index = self.index();
        index.queues.entry(node).or_default().waiting.insert((due, record.id));
        index.entries.insert(record.id, record);
        self.metrics.spool_entries.set(index.entries.len() as i64);
    }

    fn forget(&self, id: DeliveryId) {
        let mut index = self.index();
        index.entries.remove(&id);
        self.metrics.spool_entries.set(index.entries.len() as i64);
    }

    /// The pause behind that many attempts.
    fn pause(&self, attempts: u32) -> Duration {
        let first = self.settings.first_pause.get();
        let pause = first
            .saturating_mul(1 << attempts.saturating_sub(1).min(20))
            .min(self.settings.longest_pause.get());
        // Four to six fifths, so that what failed together does not return together.
        pause * 4 / 5 + jitter(pause * 2 / 5)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is written down of a recipient that is not settled.
fn waiting(result: &AccountOutcome, attempts: u32) -> Waiting {
    let last_reply = match &result.outcome {
        Outcome::Stored(reply) | Outcome::Refused(reply) | Outcome::Deferred(_, reply) => reply.to_string(),
    };
    Waiting { account: result.account.clone(), node: result.node.clone(), attempts, last_reply }
}

/// Anything from nothing up to `most`.
fn jitter(most: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness everything returns at once: worse, not wrong.
    let _ = getrandom::fill(&mut random);
    most * u32::from(u16::from_ne_bytes(random)) / u32::from(u16::MAX)
}

//! The durable queue: one file a message, acknowledged when it and its name are synced (S11).
//!
//! - `record`, `folder`: the file of a message, and where it lies.
//! - `syncer`: one sync for all messages that come together.
//! - `index`: what is due when, and whose turn it is; in memory, without I/O.
//! - `open`: a message that is being worked on.
//! - `put`: a message from memory to its file.
//! - `load`: from files to the index, when the relay starts.
//! - `work`, `settle`: jobs, and what becomes of their recipients.
//! - `operate`, `take`: what an operator does to it; messages on their way to another relay.
//!
//! # What a crash leaves
//!
//! The file is the truth: who is still to get the message is what its records leave over. They are appended, and a finished message
//! unlinked, right when a job ends; a killed relay loses nothing of that. They are synced some milliseconds later, in common with
//! the messages that come ([`syncer`]). So a power cut between a next hop's 250 and the end of that sync makes us send again, octet by
//! octet the same under the same Message-ID, as it would between that 250 and our reading it. To wait with the job for the sync would close the
//! smaller half of that window, and cost each destination its pipeline.
//!
//! A notice is queued, synced, before the record is appended that its recipient is done. Its id is made from the message's and the recipients,
//! so when a crash comes between the two, the same notice is not queued twice.

mod clock;
mod folder;
pub mod index;
mod load;
mod open;
mod operate;
mod put;
mod record;
mod settle;
mod syncer;
mod take;
#[cfg(test)]
mod tests;
mod work;

pub use open::original;
pub use operate::{Change, Found, Selection};
pub use take::{TakeAll, Taken};

use crate::{
    config,
    message::{Destination, Envelope},
};
use arc_swap::ArcSwap;
use chasqui_base::{DeliveryId, StartError};
use chasqui_courier::Content;
use chasqui_smtp::Reply;
use clock::{Clock, LAST_CHANCE_MS};
use folder::Folder;
use index::{Entry, Index, Marks};
use open::Open;
use prometheus_client::registry::Registry;
use std::{
    collections::{HashMap, HashSet},
    hash::RandomState,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use syncer::Syncer;
use tokio::sync::Notify;

/// How often the file system is asked how much room it has.
const SPACE_CHECK_MS: u64 = 200;
/// Octets of messages that are kept in memory between their arrival and their first attempt, so that they are not read back.
const FRESH: usize = 64 << 20;
/// Messages that are remembered when they are done: a role that missed our 250 hands them in again.
const REMEMBERED: usize = 32_768;

/// The durable queue.
pub struct Queue {
    folder: Arc<Folder>,
    syncer: Syncer,
    settings: ArcSwap<Settings>,
    index: Mutex<Index>,
    opened: Mutex<Opened>,
    /// Messages that are being written, so that nobody else takes up their files.
    arriving: Mutex<HashSet<DeliveryId>>,
    /// One of them has been written, or not.
    written: Notify,
    remembered: Mutex<Remembered>,
    /// Where an address goes; once work has begun.
    route: OnceLock<Route>,
    wake: Notify,
    clock: Clock,
    marks: RandomState,
    space: Space,
    draining: AtomicBool,
    loaded: AtomicBool,
    /// Files and sub-folders that could not be read at the start.
    unread: AtomicU64,
    metrics: crate::metrics::Metrics,
}

type Route = Box<dyn Fn(&str) -> Destination + Send + Sync>;

/// What the configuration says.
struct Settings {
    queue: config::Queue,
    notice: config::Notice,
    hostname: String,
}

/// Why a message is not in the queue.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// It has as many messages as it may, or the disk is full.
    #[error("the queue is full")]
    Full,
    /// The relay hands its queue over to another.
    #[error("the relay is being drained")]
    Draining,
    /// The disk failed.
    #[error("cannot write to the queue: {0}")]
    Io(#[from] io::Error),
}

impl EnqueueError {
    /// What a client is told.
    #[must_use]
    pub const fn reply(&self) -> Reply {
        match self {
            Self::Full => Reply::fixed(452, (4, 3, 1), "The queue is full, try again later"),
            Self::Draining => Reply::fixed(451, (4, 3, 2), "This relay is being emptied, use another"),
            Self::Io(_) => Reply::fixed(451, (4, 3, 0), "Cannot keep the message now, try again soon"),
        }
    }
}

/// Messages in memory, by their number in the index.
#[derive(Default)]
struct Opened {
    by_number: HashMap<u32, Arc<Open>>,
    /// Messages whose file is gone: they end when their last job does.
    doomed: HashSet<u32>,
    /// Octets of those that wait for their first attempt.
    fresh: usize,
}

/// Ids of messages that are done: the last so many, in two generations.
#[derive(Default)]
struct Remembered {
    young: HashSet<DeliveryId>,
    old: HashSet<DeliveryId>,
}

/// How much room the file system has, as it was a moment ago.
#[derive(Default)]
struct Space {
    checked: AtomicU64,
    free: AtomicU64,
}

impl Queue {
    /// Opens the folder. What is in it is taken up when work begins.
    ///
    /// # Errors
    /// When the folder cannot be used, with how to mend it.
    pub fn open(
        queue: &config::Queue,
        notice: &config::Notice,
        hostname: &str,
        registry: &mut Registry,
    ) -> Result<Arc<Self>, StartError> {
        Self::open_on(queue, notice, hostname, registry, Folder::open)
    }

    fn open_on(
        queue: &config::Queue,
        notice: &config::Notice,
        hostname: &str,
        registry: &mut Registry,
        folder: impl FnOnce(&std::path::Path) -> io::Result<Folder>,
    ) -> Result<Arc<Self>, StartError> {
        let unusable = |error: io::Error| StartError::open(&queue.path, error);
        let folder = Arc::new(folder(&queue.path).map_err(unusable)?);
        let syncer = Syncer::start(Arc::clone(&folder)).map_err(unusable)?;
        let draining = folder.draining().exists();
        Ok(Arc::new(Self {
            folder,
            syncer,
            settings: ArcSwap::from_pointee(Settings {
                queue: queue.clone(),
                notice: notice.clone(),
                hostname: hostname.to_owned(),
            }),
            index: Mutex::default(),
            opened: Mutex::default(),
            arriving: Mutex::default(),
            written: Notify::new(),
            remembered: Mutex::default(),
            route: OnceLock::new(),
            wake: Notify::new(),
            clock: Clock::new(),
            marks: RandomState::new(),
            space: Space::default(),
            draining: AtomicBool::new(draining),
            loaded: AtomicBool::new(false),
            unread: AtomicU64::new(0),
            metrics: crate::metrics::Metrics::register(registry),
        }))
    }

    /// Takes over what can change: all but the folder.
    pub fn reload(&self, queue: &config::Queue, notice: &config::Notice, hostname: &str) {
        let (queue, notice) = (queue.clone(), notice.clone());
        self.settings.store(Arc::new(Settings { queue, notice, hostname: hostname.to_owned() }));
        self.wake.notify_one();
    }

    /// Where messages go that outgrow memory while they come in.
    #[must_use]
    pub fn tmp(&self) -> PathBuf {
        self.folder.tmp()
    }

    /// Whether it takes messages. When it does not, the relay is being drained: clients are to use another.
    #[must_use]
    pub fn is_accepting(&self) -> bool {
        !self.draining.load(Ordering::Relaxed)
    }

    /// Whether there is room, so that a client need not send its text first. The last word is [`Queue::enqueue`]'s.
    ///
    /// # Errors
    /// When there is none.
    pub fn check_room(&self, size: u64) -> Result<(), EnqueueError> {
        if !self.is_accepting() {
            return Err(EnqueueError::Draining);
        }
        self.room(size)
    }

    /// Puts a message into the queue. It is on disk when this returns. The same id twice is one message, and no error.
    ///
    /// # Errors
    /// When it is not on disk; then it is not in the queue either.
    pub async fn enqueue(&self, envelope: Envelope, content: &Arc<Content>) -> Result<(), EnqueueError> {
        if !self.is_accepting() {
            return Err(EnqueueError::Draining);
        }
        self.put(envelope, content, false).await
    }

    /// Puts a message that is on disk into the index.
    fn take_up(&self, route: &Route, open: Open, from_disk: bool) {
        let entry = self.entry(route, &open, from_disk);
        let due_now = !entry.held && entry.legs.iter().any(|(_, _, due)| *due <= self.clock.now());
        let mut index = self.index();
        // It may have been delivered since its file was read.
        if self.remembered().has(entry.id) {
            return;
        }
        let Some(number) = index.insert(entry) else { return };
        // In the same breath, so that its job finds it.
        if !from_disk && due_now {
            self.opened().keep_fresh(number, open);
        }
        drop(index);
        self.wake.notify_one();
    }

    fn entry(&self, route: &Route, open: &Open, from_disk: bool) -> Entry {
        let settings = self.settings.load();
        let now = self.clock.now();
        let state = open.state();
        let envelope = &state.envelope;
        let mut marks = Marks::default();
        marks.add(&self.marks, envelope.reverse_path.as_str());
        let mut legs: Vec<(Destination, u16, u64)> = Vec::new();
        let mut known: HashMap<Destination, usize> = HashMap::new();
        for (recipient, pending) in envelope.recipients.iter().zip(&state.pending) {
            marks.add(&self.marks, &recipient.address);
            let Some(pending) = pending else { continue };
            let destination = route(&recipient.address);
            let due = match pending.last_at {
                Some(at) => (at * 1000).saturating_add(pause(&settings.queue, pending.attempts)),
                None => envelope.not_before.map_or(now, |at| (at * 1000).max(now)),
            };
            match known.get(&destination).and_then(|at| legs.get_mut(*at)) {
                Some(leg) => *leg = (destination, leg.1.max(pending.attempts), leg.2.min(due)),
                None => {
                    known.insert(destination.clone(), legs.len());
                    legs.push((destination, pending.attempts, due));
                }
            }
        }
        let delay_said = state.delay_said || !state.wants_delay();
        Entry {
            id: envelope.id,
            marks,
            size: open.content.len(),
            received: envelope.received,
            expires: envelope.expires,
            priority: envelope.priority,
            held: state.held,
            delay_said,
            unverified: from_disk,
            alarm: alarm(&settings, envelope, delay_said, now),
            legs,
        }
    }

    /// Whether there are fewer messages than so many times the limit.
    fn places(&self, times: usize) -> Result<(), EnqueueError> {
        let most = self.settings.load().queue.entries.saturating_mul(times);
        // Those on their way in are counted too, or many at once would pass the limit by their number.
        let count = self.index().count() + self.arriving().len();
        if count >= most { Err(EnqueueError::Full) } else { Ok(()) }
    }

    fn room(&self, size: u64) -> Result<(), EnqueueError> {
        self.places(1)?;
        let settings = self.settings.load();
        let now = self.clock.now();
        if self.space.checked.load(Ordering::Relaxed).abs_diff(now) >= SPACE_CHECK_MS {
            self.space.free.store(self.folder.free_space()?, Ordering::Relaxed);
            self.space.checked.store(now, Ordering::Relaxed);
        }
        let wanted = settings.queue.free_space.as_u64().saturating_add(size);
        if self.space.free.load(Ordering::Relaxed) < wanted { Err(EnqueueError::Full) } else { Ok(()) }
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }

    /// Where both are needed, the index is locked first.
    fn opened(&self) -> MutexGuard<'_, Opened> {
        lock(&self.opened)
    }

    fn arriving(&self) -> MutexGuard<'_, HashSet<DeliveryId>> {
        lock(&self.arriving)
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        lock(&self.remembered)
    }
}

impl Opened {
    /// Keeps a message in memory until its first attempt, if there is room.
    fn keep_fresh(&mut self, number: u32, open: Open) {
        let size = open.fresh_size();
        if self.fresh + size <= FRESH {
            self.fresh += size;
            self.by_number.insert(number, Arc::new(open));
        }
    }

    /// A message that is in memory, for an attempt.
    fn attempt(&mut self, number: u32) -> Option<Arc<Open>> {
        let open = self.by_number.get(&number)?;
        self.fresh = self.fresh.saturating_sub(open.no_longer_fresh());
        Some(Arc::clone(open))
    }

    /// A message that was read, unless it is there.
    fn share(&mut self, number: u32, open: Open) -> Arc<Open> {
        Arc::clone(self.by_number.entry(number).or_insert_with(|| Arc::new(open)))
    }

    /// Nothing works on a message any more.
    fn forget(&mut self, number: u32) {
        if let Some(open) = self.by_number.remove(&number) {
            self.fresh = self.fresh.saturating_sub(open.no_longer_fresh());
        }
        self.doomed.remove(&number);
    }
}

impl Remembered {
    fn has(&self, id: DeliveryId) -> bool {
        self.young.contains(&id) || self.old.contains(&id)
    }

    fn add(&mut self, id: DeliveryId) {
        if self.young.len() >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id);
    }
}

/// The pause behind that many attempts, in milliseconds: four to six fifths of what is configured, so that what failed together does not
/// return together.
fn pause(settings: &config::Queue, attempts: u16) -> u64 {
    let steps = i32::from(attempts.saturating_sub(1).min(64));
    let longest = settings.longest_pause.get().as_secs_f64();
    let pause =
        (settings.first_pause.get().as_secs_f64() * settings.factor.max(1.0).powi(steps)).min(longest);
    let mut random = [0; 2];
    // Without randomness everything returns at once: worse, not wrong.
    let _ = getrandom::fill(&mut random);
    let jitter = f64::from(u16::from_ne_bytes(random)) / f64::from(u16::MAX);
    u64::try_from(Duration::from_secs_f64(pause * (0.8 + 0.4 * jitter)).as_millis()).unwrap_or(u64::MAX)
}

/// When a message's sender is to be told that it is late, or it expires. What has expired while the relay was off gets one attempt first.
fn alarm(settings: &Settings, envelope: &Envelope, delay_said: bool, now: u64) -> u64 {
    let expires = (envelope.expires * 1000).max(now + LAST_CHANCE_MS);
    if delay_said {
        return expires;
    }
    let from = envelope.received.max(envelope.not_before.unwrap_or(0));
    let late = (from + settings.notice.delay_after.get().as_secs()) * 1000;
    late.min(expires)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

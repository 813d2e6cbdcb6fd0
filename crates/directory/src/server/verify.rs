//! Password checks: slow by design, so they have threads, a queue and a memory of their own.
//!
//! - As many checks run at once as there are threads; each takes 19 MiB while it runs. A log-in storm waits in a bounded queue, and what
//!   does not fit in it is told at once to come back. A check that waited so long that its client has given up is not begun.
//! - The same question asked again while it is open (a hedge, a retransmission) waits for the same check.
//! - An unknown user, or one without a password, costs a check against a hash that nothing matches.
//! - A right password is remembered for some minutes, so that clients that reconnect all day cost nothing. What is remembered is a
//!   BLAKE3 hash, keyed with a key of this process, over account, stored hash and password: a changed password is never found there,
//!   and the memory gives nothing away. Wrong passwords are not remembered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use chasqui_base::secret::Secret;

use super::metrics::Metrics;
use crate::config::VerifyConfig;
use crate::password::{HashMemory, StoredHash};

/// How long a thread keeps its 19 MiB when there is nothing to do.
const KEEP_MEMORY: Duration = Duration::from_secs(1);
/// Askers that wait for one check: more than hedges and retransmissions make.
const MAX_WAITERS: usize = 16;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    Right,
    Wrong,
    /// Not checked: it waited too long, or the server ends.
    Dropped,
}

/// Told when the check is done, on the thread that did it.
pub(crate) type Waiter = Box<dyn FnOnce(Checked) + Send>;

/// What became of a question.
pub(crate) enum Submitted {
    /// The password was right a short while ago.
    Remembered(Waiter),
    /// The waiter will be told.
    Waiting,
    /// The queue is full.
    Full(Waiter),
}

/// The threads that check passwords.
pub(crate) struct Verifier {
    inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Names one question: the keyed hash of account, stored hash and password.
type Ticket = [u8; 32];

struct Inner {
    config: ArcSwap<VerifyConfig>,
    key: [u8; 32],
    work: Mutex<Work>,
    arrived: Condvar,
    remembered: Mutex<Remembered>,
    metrics: Metrics,
}

#[derive(Default)]
struct Work {
    queue: VecDeque<Job>,
    waiters: HashMap<Ticket, Vec<Waiter>>,
    ending: bool,
}

struct Job {
    ticket: Ticket,
    stored: Option<StoredHash>,
    password: Secret,
    since: Instant,
}

#[derive(Default)]
struct Remembered {
    until: HashMap<Ticket, Instant>,
    /// In the order in which they expire, or nearly: the time to live may have been changed meanwhile.
    order: VecDeque<(Instant, Ticket)>,
}

impl Verifier {
    pub(crate) fn new(config: VerifyConfig, metrics: Metrics) -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        let inner = Inner {
            config: ArcSwap::from_pointee(config),
            key,
            work: Mutex::default(),
            arrived: Condvar::new(),
            remembered: Mutex::default(),
            metrics,
        };
        Ok(Self { inner: Arc::new(inner), threads: Mutex::default() })
    }

    /// Starts the threads.
    pub(crate) fn start(&self) -> std::io::Result<()> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let count = match self.inner.config.load().threads {
            0 => cores,
            given => given,
        };
        let mut threads = lock(&self.threads);
        for number in 0..count {
            let inner = self.inner.clone();
            let name = format!("directory-verify-{number}");
            threads.push(thread::Builder::new().name(name).spawn(move || inner.work())?);
        }
        Ok(())
    }

    /// Asks whether `password` is the one whose packed hash is `stored` (empty: there is none).
    pub(crate) fn submit(&self, account: &str, stored: &[u8], password: &str, waiter: Waiter) -> Submitted {
        let ticket = self.inner.ticket(account, stored, password);
        if lock(&self.inner.remembered).knows(&ticket) {
            return Submitted::Remembered(waiter);
        }
        let config = self.inner.config.load();
        let mut work = lock(&self.inner.work);
        if work.ending {
            return Submitted::Full(waiter);
        }
        if let Some(waiters) = work.waiters.get_mut(&ticket) {
            if waiters.len() >= MAX_WAITERS {
                return Submitted::Full(waiter);
            }
            waiters.push(waiter);
            return Submitted::Waiting;
        }
        if work.queue.len() >= config.queue {
            return Submitted::Full(waiter);
        }
        let password = Secret::new(password.to_owned());
        work.queue.push_back(Job {
            ticket,
            stored: StoredHash::unpack(stored),
            password,
            since: Instant::now(),
        });
        work.waiters.insert(ticket, vec![waiter]);
        drop(work);
        self.inner.arrived.notify_one();
        Submitted::Waiting
    }

    /// Checks that wait.
    pub(crate) fn queue_len(&self) -> usize {
        lock(&self.inner.work).queue.len()
    }

    /// Takes over what can change: all but the number of threads.
    pub(crate) fn configure(&self, config: VerifyConfig) {
        self.inner.config.store(Arc::new(config));
    }

    /// Ends the threads: what is being checked is finished, what waits is dropped.
    pub(crate) fn stop(&self) {
        let dropped: Vec<Job> = {
            let mut work = lock(&self.inner.work);
            work.ending = true;
            work.queue.drain(..).collect()
        };
        self.inner.arrived.notify_all();
        for job in dropped {
            self.inner.tell(&job.ticket, Checked::Dropped);
        }
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Inner {
    fn ticket(&self, account: &str, stored: &[u8], password: &str) -> Ticket {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [account.as_bytes(), stored, password.as_bytes()] {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }

    fn work(&self) {
        let mut memory = HashMemory::default();
        let dummy = StoredHash::dummy();
        while let Some(job) = self.next(&mut memory) {
            let config = self.config.load();
            let waited = job.since.elapsed();
            self.metrics.verify_waited.observe(waited.as_secs_f64());
            let checked = if waited > config.patience.get() {
                Checked::Dropped
            } else {
                let right = job.stored.as_ref().unwrap_or(&dummy).matches(&job.password, &mut memory);
                // The dummy cannot match, but nothing shall depend on that.
                if right && job.stored.is_some() { Checked::Right } else { Checked::Wrong }
            };
            if checked == Checked::Right {
                lock(&self.remembered).add(job.ticket, config.cache_ttl.get(), config.cache_entries);
            }
            self.tell(&job.ticket, checked);
        }
    }

    /// Waits for work; `None` when the server ends.
    fn next(&self, memory: &mut HashMemory) -> Option<Job> {
        let mut work = lock(&self.work);
        loop {
            if let Some(job) = work.queue.pop_front() {
                return Some(job);
            }
            if work.ending {
                return None;
            }
            let waited = self.arrived.wait_timeout(work, KEEP_MEMORY);
            let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            work = guard;
            if timeout.timed_out() && work.queue.is_empty() {
                memory.release();
            }
        }
    }

    fn tell(&self, ticket: &Ticket, checked: Checked) {
        let waiters = lock(&self.work).waiters.remove(ticket);
        for waiter in waiters.into_iter().flatten() {
            waiter(checked);
        }
    }
}

impl Remembered {
    fn knows(&self, ticket: &Ticket) -> bool {
        self.until.get(ticket).is_some_and(|until| *until > Instant::now())
    }

    fn add(&mut self, ticket: Ticket, ttl: Duration, entries: usize) {
        let now = Instant::now();
        while let Some((until, oldest)) = self.order.front().copied() {
            if until > now && self.order.len() < entries {
                break;
            }
            self.order.pop_front();
            // It may have been remembered again since, with a later end.
            if self.until.get(&oldest) == Some(&until) {
                self.until.remove(&oldest);
            }
        }
        if ttl.is_zero() || entries == 0 {
            return;
        }
        self.until.insert(ticket, now + ttl);
        self.order.push_back((now + ttl, ticket));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use chasqui_base::units::Span;

    use super::*;
    use crate::password::hash_password;

    fn verifier(config: VerifyConfig) -> Verifier {
        Verifier::new(config, Metrics::default()).unwrap()
    }

    fn stored(password: &str) -> Vec<u8> {
        let mut packed = Vec::new();
        StoredHash::parse(&hash_password(&Secret::new(password.to_owned())).unwrap())
            .unwrap()
            .pack(&mut packed);
        packed
    }

    fn check(verifier: &Verifier, stored: &[u8], password: &str) -> Option<Checked> {
        let (tell, told) = mpsc::channel();
        match verifier.submit(
            "ana@ours.test",
            stored,
            password,
            Box::new(move |checked| tell.send(checked).unwrap()),
        ) {
            Submitted::Remembered(_) => Some(Checked::Right),
            Submitted::Waiting => Some(told.recv_timeout(Duration::from_secs(20)).unwrap()),
            Submitted::Full(_) => None,
        }
    }

    #[test]
    fn right_wrong_and_unknown_are_told_apart_and_right_is_remembered() {
        let verifier = verifier(VerifyConfig::default());
        verifier.start().unwrap();
        let ana = stored("llave");
        assert_eq!(check(&verifier, &ana, "llave"), Some(Checked::Right));
        assert!(matches!(
            verifier.submit("ana@ours.test", &ana, "llave", Box::new(|_| ())),
            Submitted::Remembered(_)
        ));
        assert_eq!(check(&verifier, &ana, "llavE"), Some(Checked::Wrong));
        assert_eq!(check(&verifier, &[], "llave"), Some(Checked::Wrong));
        let changed = stored("other");
        assert_eq!(
            check(&verifier, &changed, "llave"),
            Some(Checked::Wrong),
            "the memory is bound to the hash"
        );
        verifier.stop();
    }

    #[test]
    fn a_full_queue_is_told_at_once_and_what_waited_too_long_is_dropped() {
        let verifier = verifier(VerifyConfig {
            queue: 2,
            patience: Span::millis(0),
            threads: 1,
            ..VerifyConfig::default()
        });
        let (tell, told) = mpsc::channel();
        let submit = |password: &str| {
            let tell = tell.clone();
            verifier.submit(
                "ana@ours.test",
                &[],
                password,
                Box::new(move |checked| tell.send(checked).unwrap()),
            )
        };
        assert!(matches!(submit("a"), Submitted::Waiting));
        assert!(matches!(submit("b"), Submitted::Waiting));
        assert!(matches!(submit("a"), Submitted::Waiting), "the same question does not queue again");
        assert!(matches!(submit("c"), Submitted::Full(_)));
        assert_eq!(verifier.queue_len(), 2);
        verifier.start().unwrap();
        for _ in 0..3 {
            assert_eq!(told.recv_timeout(Duration::from_secs(20)).unwrap(), Checked::Dropped);
        }
        verifier.stop();
        assert!(matches!(submit("d"), Submitted::Full(_)));
    }

    #[test]
    fn the_memory_of_right_passwords_is_bounded_and_expires() {
        let mut remembered = Remembered::default();
        for n in 0..10 {
            remembered.add([n; 32], Duration::from_secs(60), 4);
        }
        assert_eq!((remembered.until.len(), remembered.order.len()), (4, 4));
        assert!(remembered.knows(&[9; 32]) && !remembered.knows(&[5; 32]));
        remembered.add([20; 32], Duration::ZERO, 4);
        assert!(!remembered.knows(&[20; 32]));
        remembered.add([21; 32], Duration::from_nanos(1), 4);
        thread::sleep(Duration::from_millis(1));
        assert!(!remembered.knows(&[21; 32]));
    }
}

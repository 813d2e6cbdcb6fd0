//! The storage nodes: a pool of persistent connections for each, and what is known of its health.
//!
//! A session borrows a connection, runs its transaction on it without any other task in between, and puts it back.
//!
//! **What a failed connection means.** A connection that fails before anything was written for a message leaves no doubt: the
//! node does not have it. One that fails later leaves those recipients without a reply *uncertain*. When the connection had been idle (most
//! often the node was restarted meanwhile), the delivery is tried once more on a fresh one with the same delivery id, by which the
//! node recognises what it has already. What stays uncertain must be retried by us under the same id and never be refused to the
//! sender, whose own retry would come under another id and be a second copy.
//!
//! **Back-off.** A node that cannot be reached is left alone for a while, doubled each time; meanwhile deliveries to it are deferred at
//! once. When it answers again, whoever listens to [`Nodes::new`]'s channel is told.

use crate::{
    config::Delivery,
    content::Content,
    link::{Dial, Envelope, Link, LinkError},
    metrics::Metrics,
};
use chasqui_base::{EmailAddress, net::Endpoint, tls::RoleTls};
use chasqui_directory::Node;
use chasqui_smtp::Reply;
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, mpsc};

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// On the node's disk.
    Stored(Reply),
    /// The node will never take it.
    Refused(Reply),
    /// Not now.
    Deferred(Cause, Reply),
}

/// Why not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The node cannot be reached, or nobody knows which it is. It does not have the message.
    Unreachable,
    /// The node may or may not have the message.
    Uncertain,
    /// The node said so itself (4xx), of itself.
    Node,
    /// The node said so of this mailbox (4.2.x: over quota, say): no matter for us, the sender is told.
    Mailbox,
    /// The account has moved to another node.
    Moved,
}

const UNREACHABLE: Reply = Reply::fixed(451, (4, 4, 1), "The storage node cannot be reached now");
const UNCERTAIN: Reply = Reply::fixed(451, (4, 4, 2), "The storage node was lost before it answered");

impl Outcome {
    fn of(reply: Reply) -> Self {
        let enhanced = reply.enhanced().map_or((0, 0), |code| (code.subject, code.detail));
        match (reply.code(), enhanced) {
            (200..=299, _) => Self::Stored(reply),
            (500.., _) => Self::Refused(reply),
            (451, (3, 5)) => Self::Deferred(Cause::Moved, reply),
            (_, (2, _)) => Self::Deferred(Cause::Mailbox, reply),
            _ => Self::Deferred(Cause::Node, reply),
        }
    }
}

/// The pools of all nodes.
pub struct Nodes {
    pools: Mutex<HashMap<String, Arc<Pool>>>,
    settings: Delivery,
    hostname: String,
    tls: Option<RoleTls>,
    metrics: Metrics,
    recovered: mpsc::Sender<String>,
}

struct Pool {
    name: String,
    endpoint: Endpoint,
    idle: Mutex<Vec<Link>>,
    places: Semaphore,
    health: Mutex<Health>,
    /// A probe is under way.
    probed: AtomicBool,
}

#[derive(Clone, Copy, Default)]
struct Health {
    /// Not to be dialled before.
    until: Option<Instant>,
    pause: Duration,
}

impl Nodes {
    /// `recovered` is told the name of each node that answers again.
    pub fn new(
        settings: Delivery,
        hostname: String,
        tls: Option<RoleTls>,
        metrics: Metrics,
        recovered: mpsc::Sender<String>,
    ) -> Self {
        Self { pools: Mutex::default(), settings, hostname, tls, metrics, recovered }
    }

    /// Delivers one message to accounts of one node, and says for each what became of it, in their order.
    pub async fn deliver(
        &self,
        node: &Node,
        envelope: &Envelope,
        accounts: &[&EmailAddress],
        content: &Content,
    ) -> Vec<Outcome> {
        let started = Instant::now();
        let pool = self.pool(&node.name, &node.lmtp);
        let mut replies = vec![None; accounts.len()];
        let mut uncertain = false;
        let cause = self.attempt(&pool, envelope, accounts, content, &mut replies, &mut uncertain).await;
        let outcomes: Vec<_> = replies
            .into_iter()
            .map(|reply| match (reply, cause) {
                (Some(reply), _) => match Outcome::of(reply) {
                    // The first connection ended without a word and the second says "later": the first may have stored it.
                    Outcome::Deferred(_, reply) if uncertain => Outcome::Deferred(Cause::Uncertain, reply),
                    outcome => outcome,
                },
                (None, Some(Cause::Unreachable)) => Outcome::Deferred(Cause::Unreachable, UNREACHABLE),
                (None, _) => Outcome::Deferred(Cause::Uncertain, UNCERTAIN),
            })
            .collect();
        self.metrics.delivered(&node.name, &outcomes, started.elapsed());
        outcomes
    }

    /// Dials the node when its back-off is over, so that its recovery is noticed without waiting for a message.
    pub async fn probe(&self, name: &str) {
        let Some(pool) = self.pools().get(name).cloned() else { return };
        if pool.health().until.is_some_and(|until| until <= Instant::now())
            && !pool.probed.swap(true, Ordering::Relaxed)
        {
            if let Ok(_place) = pool.places.try_acquire()
                && let Ok(link) = self.connect(&pool).await
            {
                pool.idle().push(link);
            }
            pool.probed.store(false, Ordering::Relaxed);
        }
    }

    /// Closes connections that nobody used for a while.
    pub async fn close_idle(&self) {
        let limit = self.settings.idle_timeout.get();
        let pools: Vec<_> = self.pools().values().cloned().collect();
        for pool in pools {
            let old: Vec<_> = pool.idle().extract_if(.., |link| link.used.elapsed() > limit).collect();
            for link in old {
                link.quit().await;
            }
            let open =
                pool.idle().len() + self.settings.connections_per_node - pool.places.available_permits();
            self.metrics.pool(&pool.name, open);
        }
    }

    /// Closes every idle connection.
    pub async fn close(&self) {
        let links: Vec<_> =
            self.pools().values().flat_map(|pool| std::mem::take(&mut *pool.idle())).collect();
        for link in links {
            link.quit().await;
        }
    }

    /// Fills in the replies that come. `None`, or why some are missing.
    async fn attempt(
        &self,
        pool: &Pool,
        envelope: &Envelope,
        accounts: &[&EmailAddress],
        content: &Content,
        replies: &mut [Option<Reply>],
        uncertain: &mut bool,
    ) -> Option<Cause> {
        let deadline = self.settings.reply_timeout.get();
        let Ok(Ok(_place)) = tokio::time::timeout(deadline, pool.places.acquire()).await else {
            tracing::warn!(node = pool.name, delivery = %envelope.id, "no free connection in time");
            return Some(Cause::Unreachable);
        };
        // At most twice: an idle connection that turns out dead, then a fresh one.
        loop {
            let (mut link, reused) = match self.take(pool).await {
                Ok(taken) => taken,
                Err(()) => return Some(if *uncertain { Cause::Uncertain } else { Cause::Unreachable }),
            };
            let open: Vec<usize> = (0..accounts.len()).filter(|&index| replies[index].is_none()).collect();
            let asked: Vec<&EmailAddress> = open.iter().map(|&index| accounts[index]).collect();
            let (mut fresh, result) = link.deliver(envelope, &asked, content, deadline).await;
            for (index, reply) in open.into_iter().zip(fresh.drain(..)) {
                replies[index] = reply;
            }
            let Err(error) = result else {
                pool.idle().push(link);
                return None;
            };
            tracing::info!(node = pool.name, delivery = %envelope.id, reused, %error, "connection failed");
            *uncertain = true;
            if !reused {
                // A node that hangs would hold up everybody; one that died will refuse the next connection by itself.
                if matches!(&error, LinkError::Io(error) if error.kind() == io::ErrorKind::TimedOut) {
                    self.failed(pool);
                }
                return Some(Cause::Uncertain);
            }
            // The others that were idle then died of the same.
            pool.idle().clear();
        }
    }

    /// An idle connection (and true), or a fresh one.
    async fn take(&self, pool: &Pool) -> Result<(Link, bool), ()> {
        let limit = self.settings.idle_timeout.get();
        // The one that was used last, so that surplus ones grow old.
        while let Some(mut link) = pool.pop_idle() {
            if link.used.elapsed() < limit && link.is_alive().await {
                return Ok((link, true));
            }
        }
        if pool.health().until.is_some_and(|until| until > Instant::now()) {
            return Err(());
        }
        self.connect(pool).await.map(|link| (link, false)).map_err(|_| ())
    }

    async fn connect(&self, pool: &Pool) -> Result<Link, LinkError> {
        let dial = Dial {
            endpoint: &pool.endpoint,
            tls: self.tls.as_ref(),
            hostname: &self.hostname,
            timeout: self.settings.connect_timeout.get(),
        };
        match Box::pin(Link::connect(dial)).await {
            Ok(link) => {
                let was = std::mem::take(&mut *pool.health());
                if was.until.is_some() {
                    tracing::info!(node = pool.name, "storage node is back");
                    // Full: the retry worker has enough to do, and retries by the clock too.
                    let _ = self.recovered.try_send(pool.name.clone());
                }
                Ok(link)
            }
            Err(error) => {
                tracing::warn!(node = pool.name, endpoint = %pool.endpoint, %error, "storage node cannot be reached");
                self.failed(pool);
                Err(error)
            }
        }
    }

    fn failed(&self, pool: &Pool) {
        let mut health = pool.health();
        // Deliveries that fail together are one failure.
        if health.until.is_some_and(|until| until > Instant::now()) {
            return;
        }
        let pause =
            (health.pause * 2).clamp(self.settings.back_off.get(), self.settings.longest_back_off.get());
        *health = Health { until: Some(Instant::now() + pause), pause };
        self.metrics.unreachable(&pool.name);
    }

    fn pool(&self, name: &str, endpoint: &Endpoint) -> Arc<Pool> {
        let mut pools = self.pools();
        if let Some(pool) = pools.get(name).filter(|pool| pool.endpoint == *endpoint) {
            return Arc::clone(pool);
        }
        let pool = Arc::new(Pool {
            name: name.to_owned(),
            endpoint: endpoint.clone(),
            idle: Mutex::default(),
            places: Semaphore::new(self.settings.connections_per_node),
            health: Mutex::default(),
            probed: AtomicBool::new(false),
        });
        pools.insert(name.to_owned(), Arc::clone(&pool));
        pool
    }

    fn pools(&self) -> MutexGuard<'_, HashMap<String, Arc<Pool>>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop_idle(&self) -> Option<Link> {
        self.idle().pop()
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

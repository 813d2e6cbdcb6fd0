//! The addresses that mail leaves from.

use super::patterns::Patterns;
use crate::config;
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The configured pools.
#[derive(Debug, Default)]
pub(super) struct Sources {
    patterns: Patterns<Turns>,
}

/// Pools of the same sender domains, in turn.
#[derive(Debug, Default)]
struct Turns {
    pools: Vec<Arc<Pool>>,
    next: AtomicUsize,
}

/// Addresses that are used in turn.
#[derive(Debug)]
pub(super) struct Pool {
    /// Its name in logs.
    pub(super) name: Arc<str>,
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
    next: AtomicUsize,
}

/// What a connection leaves from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The system chooses.
    Any,
    /// One of these.
    Pool(Arc<Pool>),
}

impl Sources {
    /// Takes the configured pools.
    pub(super) fn new(pools: &[config::Pool]) -> Self {
        let mut patterns: Patterns<Turns> = Patterns::default();
        for pool in pools {
            let made = Arc::new(Pool {
                name: pool.name.as_str().into(),
                v4: pool.v4.iter().copied().map(IpAddr::V4).collect(),
                v6: pool.v6.iter().copied().map(IpAddr::V6).collect(),
                next: AtomicUsize::new(0),
            });
            for pattern in &pool.senders {
                if let Some(turns) = patterns.place(pattern) {
                    turns.pools.push(Arc::clone(&made));
                }
            }
        }
        Self { patterns }
    }

    /// What mail of this sender domain leaves from; notices have none.
    pub(super) fn of_sender(&self, domain: &str) -> Source {
        let Some(turns) = self.patterns.find(domain) else { return Source::Any };
        match turns.pools.get(turns.next.fetch_add(1, Ordering::Relaxed) % turns.pools.len().max(1)) {
            Some(pool) => Source::Pool(Arc::clone(pool)),
            None => Source::Any,
        }
    }
}

impl Source {
    /// Its pool's name; empty without one.
    pub(super) fn name(&self) -> Arc<str> {
        match self {
            Self::Any => Arc::from(""),
            Self::Pool(pool) => Arc::clone(&pool.name),
        }
    }

    /// Whether a remote address can be reached from it.
    pub(super) fn reaches(&self, remote: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Pool(pool) => !pool.family(remote).is_empty(),
        }
    }

    /// What to bind to before connecting to `remote`; `None` leaves it to the system.
    pub(super) fn bind_for(&self, remote: IpAddr) -> Option<SocketAddr> {
        let Self::Pool(pool) = self else { return None };
        let family = pool.family(remote);
        if family.is_empty() {
            return None;
        }
        let turn = pool.next.fetch_add(1, Ordering::Relaxed) % family.len();
        family.get(turn).map(|address| SocketAddr::new(*address, 0))
    }
}

impl Pool {
    fn family(&self, remote: IpAddr) -> &[IpAddr] {
        if remote.is_ipv4() { &self.v4 } else { &self.v6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(name: &str, senders: &[&str], v4: &[&str], v6: &[&str]) -> config::Pool {
        config::Pool {
            name: name.into(),
            senders: senders.iter().map(|text| (*text).to_owned()).collect(),
            v4: v4.iter().map(|text| text.parse().unwrap()).collect(),
            v6: v6.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn pools_and_their_addresses_take_turns() {
        let sources = Sources::new(&[
            pool("a", &["*"], &["192.0.2.1", "192.0.2.2"], &[]),
            pool("b", &["*"], &["192.0.2.3"], &["2001:db8::3"]),
            pool("news", &["news.example"], &["192.0.2.9"], &[]),
        ]);
        let names: Vec<_> = (0..4).map(|_| sources.of_sender("example.org").name()).collect();
        assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b", "a", "b"]);
        assert_eq!(&*sources.of_sender("news.example").name(), "news");

        let (v4, v6) = ("198.51.100.1".parse().unwrap(), "2001:db8::25".parse().unwrap());
        let a = sources.of_sender("");
        assert!(a.reaches(v4) && !a.reaches(v6) && a.bind_for(v6).is_none());
        let bound: Vec<_> = (0..3).filter_map(|_| a.bind_for(v4)).map(|a| a.ip().to_string()).collect();
        assert_eq!(bound, ["192.0.2.1", "192.0.2.2", "192.0.2.1"]);
    }

    #[test]
    fn without_pools_the_system_chooses() {
        let any = Sources::new(&[]).of_sender("example.org");
        assert!(any.reaches("::1".parse().unwrap()) && any.bind_for("::1".parse().unwrap()).is_none());
    }
}

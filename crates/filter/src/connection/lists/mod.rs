//! DNS lists: all asked at once, one deadline for all.

mod name;

use super::config::{ListKind, ListedName, ListsConfig};
use chasqui_base::DomainName;
use chasqui_dns::Resolver;
use name::{Codes, of_address};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// How often it is looked up whether a list lists everything.
const PROBED: Duration = Duration::from_secs(3600);

/// Characters of a list's own text that a refusal quotes.
const TEXT: usize = 200;

/// What the lists say of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// An allow list has it.
    pub allowed: bool,
    /// The block lists that have it.
    hits: Vec<Hit>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hit {
    weight: i32,
    zone: String,
    /// The name that was asked for, so that the list's text can be fetched.
    name: String,
}

impl Listing {
    /// Adds what other lists say.
    pub(crate) fn add(&mut self, other: &Self) {
        self.allowed |= other.allowed;
        self.hits.extend(other.hits.iter().cloned());
    }

    /// The sum of the weights.
    pub(crate) fn score(&self) -> i32 {
        self.hits.iter().fold(0, |sum, hit| sum.saturating_add(hit.weight))
    }

    /// The zones that list it, each once, in alphabetical order.
    pub(crate) fn zones(&self) -> Vec<&str> {
        let mut zones: Vec<&str> = self.hits.iter().map(|hit| hit.zone.as_str()).collect();
        zones.sort_unstable();
        zones.dedup();
        zones
    }

    /// The zone that weighs most.
    pub(crate) fn heaviest(&self) -> &str {
        self.heaviest_hit().map_or("", |hit| &hit.zone)
    }

    fn heaviest_hit(&self) -> Option<&Hit> {
        self.hits.iter().max_by(|a, b| (a.weight, &b.zone).cmp(&(b.weight, &a.zone)))
    }
}

pub(crate) struct Lists {
    address: Vec<Arc<List>>,
    domain: Vec<(Arc<List>, Vec<ListedName>)>,
    deadline: Duration,
    resolver: Resolver,
}

struct List {
    zone: DomainName,
    kind: ListKind,
    weight: i32,
    codes: Codes,
    probe: Mutex<Option<Probe>>,
    /// Held by the task that looks the probe up.
    probing: Arc<tokio::sync::Mutex<()>>,
}

/// Whether the list lists 127.0.0.1, and when it last said so or not (RFC 5782 §5: it must not).
#[derive(Clone, Copy)]
struct Probe {
    at: Instant,
    blind: bool,
}

impl Lists {
    /// `None` when no list is configured.
    pub(crate) fn new(config: &ListsConfig, resolver: &Resolver) -> Option<Self> {
        let list = |zone: &DomainName, kind, weight, codes| {
            Arc::new(List {
                zone: zone.clone(),
                kind,
                weight,
                codes,
                probe: Mutex::default(),
                probing: Arc::default(),
            })
        };
        let address: Vec<_> = config
            .address
            .iter()
            .map(|of| list(&of.zone, of.kind, of.weight, Codes::new(&of.codes, of.bits)))
            .collect();
        let domain: Vec<_> = config
            .domain
            .iter()
            .map(|of| {
                let codes = Codes::new(&of.codes, of.bits);
                (list(&of.zone, ListKind::Block, of.weight, codes), of.names.clone())
            })
            .collect();
        (!address.is_empty() || !domain.is_empty()).then(|| Self {
            address,
            domain,
            deadline: config.deadline.get(),
            resolver: resolver.clone(),
        })
    }

    /// Asks the lists of addresses.
    pub(crate) async fn address(&self, ip: IpAddr) -> Listing {
        // The probe of a list is in the client's own address family (RFC 5782 §5).
        let nobody: IpAddr = if ip.to_canonical().is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            // ::FFFF:7F00:1 would be taken for IPv4 by `of_address`, so its nibbles are those of ::1, which nobody can send from either.
            Ipv6Addr::LOCALHOST.into()
        };
        let questions = self.address.iter().map(|list| {
            let name = |ip| of_address(ip, list.zone.as_str());
            (Arc::clone(list), name(ip), name(nobody))
        });
        self.ask(questions.collect()).await
    }

    /// Asks the lists of domains that want this kind of name.
    pub(crate) async fn domain(&self, kind: ListedName, name: &str) -> Listing {
        if self.domain.is_empty() || !super::hello::is_fully_qualified(name) {
            return Listing::default();
        }
        let questions = self.domain.iter().filter(|(_, names)| names.contains(&kind)).map(|(list, _)| {
            // RFC 5782 §5: INVALID is never listed.
            (Arc::clone(list), format!("{name}.{}", list.zone), format!("invalid.{}", list.zone))
        });
        self.ask(questions.collect()).await
    }

    /// Whether any list wants this kind of name.
    pub(crate) fn wants(&self, kind: ListedName) -> bool {
        self.domain.iter().any(|(_, names)| names.contains(&kind))
    }

    /// What the heaviest list says about the client in words, if it says something.
    pub(crate) async fn text(&self, listing: &Listing) -> Option<String> {
        let name = &listing.heaviest_hit()?.name;
        let answer = tokio::time::timeout(self.deadline, self.resolver.txt(name)).await.ok()?.ok()?;
        let text = answer.records.first()?;
        Some(text.chars().filter(|c| !c.is_control()).take(TEXT).collect())
    }

    async fn ask(&self, questions: Vec<(Arc<List>, String, String)>) -> Listing {
        let mut asked = JoinSet::new();
        for (list, name, probe) in questions {
            let resolver = self.resolver.clone();
            asked.spawn(async move {
                let (listed, blind) =
                    tokio::join!(list.has(&resolver, &name), list.is_blind(&resolver, &probe));
                (listed == Some(true) && blind == Some(false)).then_some((list, name))
            });
        }
        let mut listing = Listing::default();
        // What is not answered in time is dropped with the set.
        let _ = tokio::time::timeout(self.deadline, async {
            while let Some(answered) = asked.join_next().await {
                match answered.ok().flatten() {
                    Some((list, _)) if list.kind == ListKind::Allow => listing.allowed = true,
                    Some((list, name)) => {
                        listing.hits.push(Hit { weight: list.weight, zone: list.zone.to_string(), name });
                    }
                    None => {}
                }
            }
        })
        .await;
        listing
    }
}

impl List {
    /// Whether it lists a name; `None` when it does not answer.
    async fn has(&self, resolver: &Resolver, name: &str) -> Option<bool> {
        match resolver.a(name).await {
            Ok(answer) => Some(self.codes.match_any(&answer.records)),
            Err(error) if error.is_temporary() => {
                tracing::debug!(zone = %self.zone, %error, "a DNS list does not answer");
                None
            }
            Err(_) => Some(false),
        }
    }

    /// Whether it lists what no list may; `None` while it has not said. Looked up once an hour, by a task of its own: a client that does
    /// not wait for it does not end it.
    async fn is_blind(self: &Arc<Self>, resolver: &Resolver, probe: &str) -> Option<bool> {
        let known = self.known();
        if known.is_none_or(|known| known.at.elapsed() >= PROBED)
            && let Ok(probing) = Arc::clone(&self.probing).try_lock_owned()
        {
            let (list, resolver, probe) = (Arc::clone(self), resolver.clone(), probe.to_owned());
            tokio::spawn(async move {
                list.look(&resolver, &probe).await;
                drop(probing);
            });
        }
        if known.is_none() {
            drop(self.probing.lock().await);
        }
        self.known().map(|known| known.blind)
    }

    async fn look(&self, resolver: &Resolver, probe: &str) {
        let Some(blind) = self.has(resolver, probe).await else { return };
        if blind {
            tracing::warn!(zone = %self.zone, "this DNS list lists everything and is left out: remove it");
        }
        let mut known = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(Probe { at: Instant::now(), blind });
    }

    fn known(&self) -> Option<Probe> {
        *self.probe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chasqui_dns::testing::{NameServer, Zone};

    #[tokio::test]
    async fn a_client_that_leaves_does_not_take_the_probe_of_a_list_with_it() {
        let Some(server) = NameServer::start(&[Zone::unsigned("blind.test", "* A 127.0.0.2\n")]) else {
            return;
        };
        let config = "[[address]]\nzone = 'blind.test'\n";
        let config: ListsConfig = chasqui_base::config::parse(config, "test").unwrap();
        let lists = Lists::new(&config, &server.resolver()).unwrap();
        let (list, resolver) = (Arc::clone(&lists.address[0]), lists.resolver.clone());
        let asking = tokio::spawn(async move { list.is_blind(&resolver, "1.0.0.127.blind.test").await });
        tokio::task::yield_now().await;
        asking.abort();
        assert!(asking.await.is_err(), "it has left");
        assert_eq!(lists.address([192, 0, 2, 1].into()).await, Listing::default());
        assert_eq!(lists.address[0].known().map(|known| known.blind), Some(true));
    }
}

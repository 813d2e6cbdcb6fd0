//! A look-up: from memory, or asked, alias after alias.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chasqui_base::StartError;
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use crate::answer::{Addresses, Answer, DnsError, Mx, Tlsa};
use crate::cache::{Cache, Outcome, Remembered};
use crate::chase::{Chase, is_server_failure, readable, target};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::transport::Transport;

/// How often it is looked whether the servers pass DNSSEC records on, while validation fails.
const DOUBT_AGAIN: Duration = Duration::from_secs(600);

/// The resolver. Cloning shares it with its memory.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    transport: Transport,
    cache: Cache,
    metrics: Metrics,
    in_flight: Semaphore,
    /// When it was last looked whether the servers pass DNSSEC records on.
    doubted: Mutex<Option<Instant>>,
    deadline: Duration,
    max_ttl: Duration,
    negative_ttl: Duration,
}

impl Resolver {
    /// Reads the system's servers or the trust anchor where the configuration says so; asks nobody yet.
    pub fn new(config: &Config) -> Result<Self, StartError> {
        config.check("dns")?;
        Ok(Self(Arc::new(Inner {
            transport: Transport::new(config)?,
            cache: Cache::new(config.cache_entries, config.serve_stale.get()),
            metrics: Metrics::new(),
            in_flight: Semaphore::new(config.in_flight.min(Semaphore::MAX_PERMITS)),
            doubted: Mutex::new(None),
            deadline: config.deadline.get(),
            max_ttl: config.max_ttl.get(),
            negative_ttl: config.negative_ttl.get(),
        })))
    }

    /// Registers its metrics under `chasqui_dns`.
    pub fn register(&self, registry: &mut Registry) {
        self.0.metrics.register(registry);
    }

    /// Forgets all outcomes.
    pub fn clear(&self) {
        self.0.cache.clear();
    }

    /// TXT records, each one's strings joined (RFC 7208 §3.3); what is not UTF-8 is replaced.
    pub async fn txt(&self, name: &str) -> Result<Answer<String>, DnsError> {
        let answer = self.look_up(parse(name)?, RecordType::TXT).await?;
        Ok(answer.filter_map(|record| match record {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        }))
    }

    /// MX records, the best preference first.
    pub async fn mx(&self, name: &str) -> Result<Answer<Mx>, DnsError> {
        let answer = self.look_up(parse(name)?, RecordType::MX).await?;
        let mut answer = answer.filter_map(|record| match record {
            RData::MX(mx) => Some(Mx { preference: mx.preference, host: text(&mx.exchange) }),
            _ => None,
        });
        answer.records.sort();
        Ok(answer)
    }

    /// A records.
    pub async fn a(&self, name: &str) -> Result<Answer<Ipv4Addr>, DnsError> {
        let answer = self.look_up(parse(name)?, RecordType::A).await?;
        Ok(answer.filter_map(|record| match record {
            RData::A(address) => Some(address.0),
            _ => None,
        }))
    }

    /// AAAA records.
    pub async fn aaaa(&self, name: &str) -> Result<Answer<Ipv6Addr>, DnsError> {
        let answer = self.look_up(parse(name)?, RecordType::AAAA).await?;
        Ok(answer.filter_map(|record| match record {
            RData::AAAA(address) => Some(address.0),
            _ => None,
        }))
    }

    /// The addresses of both families, asked for at once. One family's temporary failure counts only if the other has none.
    pub async fn addresses(&self, host: &str) -> Result<Addresses, DnsError> {
        let (v4, v6) = tokio::join!(self.a(host), self.aaaa(host));
        let secure = |absent: &DnsError| absent.is_secure();
        let (v4, v6) = match (v4, v6) {
            (Ok(v4), Ok(v6)) => {
                return Ok(Addresses {
                    v4: v4.records,
                    v6: v6.records,
                    secure: v4.secure && v6.secure,
                    name: v4.name,
                    stale: v4.stale || v6.stale,
                });
            }
            (Ok(v4), Err(error)) => {
                let secure = v4.secure && secure(&error);
                return Ok(Addresses {
                    v4: v4.records,
                    v6: Vec::new(),
                    secure,
                    name: v4.name,
                    stale: v4.stale,
                });
            }
            (Err(error), Ok(v6)) => {
                let secure = v6.secure && secure(&error);
                return Ok(Addresses {
                    v4: Vec::new(),
                    v6: v6.records,
                    secure,
                    name: v6.name,
                    stale: v6.stale,
                });
            }
            (Err(v4), Err(v6)) => (v4, v6),
        };
        Err(if v4.is_absence() && !v6.is_absence() { v6 } else { v4 })
    }

    /// The names that an address says it has; they are worth nothing until looked up themselves.
    pub async fn ptr(&self, address: IpAddr) -> Result<Answer<String>, DnsError> {
        let answer = self.look_up(Name::from(address), RecordType::PTR).await?;
        Ok(answer.filter_map(|record| match record {
            RData::PTR(name) => Some(text(&name.0)),
            _ => None,
        }))
    }

    /// The TLSA records of a TCP service (RFC 6698 §3). Only those of a secure answer may be believed.
    pub async fn tlsa(&self, port: u16, host: &str) -> Result<Answer<Tlsa>, DnsError> {
        let answer = self.look_up(parse(&format!("_{port}._tcp.{host}"))?, RecordType::TLSA).await?;
        Ok(answer.filter_map(|record| match record {
            RData::TLSA(tlsa) => Some(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data,
            }),
            _ => None,
        }))
    }

    /// The name that this one is an alias of (CNAME), not followed further.
    pub async fn alias(&self, name: &str) -> Result<Answer<String>, DnsError> {
        let answer = self.look_up(parse(name)?, RecordType::CNAME).await?;
        Ok(answer.filter_map(|record| target(&record).map(text)))
    }

    /// Whether the name exists, with whatever records.
    pub async fn exists(&self, name: &str) -> Result<bool, DnsError> {
        match self.look_up(parse(name)?, RecordType::A).await {
            Ok(_) | Err(DnsError::NoData { .. }) => Ok(true),
            Err(DnsError::NoSuchName { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// After a failed validation: whether the zone is at fault, or the servers, which then fail for every name. Looked at rarely, and
    /// nobody waits for it.
    fn doubt(&self, now: Instant) {
        let mut doubted = self.0.doubted.lock().unwrap_or_else(PoisonError::into_inner);
        if doubted.is_some_and(|at| now.duration_since(at) < DOUBT_AGAIN) {
            return;
        }
        *doubted = Some(now);
        drop(doubted);
        let resolver = self.clone();
        tokio::spawn(async move {
            let inner = &*resolver.0;
            let keys = inner.transport.ask(Query::query(Name::root(), RecordType::DNSKEY));
            let Ok(Ok(keys)) = tokio::time::timeout(inner.deadline, keys).await else { return };
            let proved = keys.answers.iter().any(|record| record.proof == Proof::Secure);
            inner.metrics.root_unproved(!proved);
            if !proved {
                tracing::error!(
                    "DNSSEC fails from the root on: the servers of `dns.servers` do not pass DNSSEC records on, or `dns.trust_anchor` is \
                     not the root's key; use other servers, or set `dns.dnssec` to false"
                );
            }
        });
    }

    async fn look_up(&self, name: Name, kind: RecordType) -> Result<Answer<RData>, DnsError> {
        let outcome = match special(&name, kind) {
            Some(outcome) => outcome,
            None => self.recall_or_ask(name, kind).await,
        };
        let label = match &outcome {
            Ok(answer) if answer.stale => "stale",
            Ok(answer) if answer.secure => "secure",
            Ok(_) => "insecure",
            Err(error) => error.label(),
        };
        self.0.metrics.ended(kind, label);
        outcome
    }

    async fn recall_or_ask(&self, name: Name, kind: RecordType) -> Outcome {
        let inner = &*self.0;
        let stale = match inner.cache.get(&name, kind, Instant::now()) {
            Remembered::Fresh(outcome) => {
                inner.metrics.remembered("hit");
                return Outcome::clone(&outcome);
            }
            Remembered::Stale { outcome, asked_lately: true } => {
                inner.metrics.remembered("stale");
                return past_its_time(&outcome);
            }
            Remembered::Stale { outcome, asked_lately: false } => Some(outcome),
            Remembered::Nothing => None,
        };
        inner.metrics.remembered("miss");
        let started = Instant::now();
        let (outcome, ttl) = tokio::time::timeout(inner.deadline, inner.ask(&name, kind))
            .await
            .unwrap_or((Err(DnsError::Timeout), Duration::ZERO));
        let now = Instant::now();
        match (&outcome, stale) {
            (Err(DnsError::Timeout | DnsError::Temporary(_)), Some(stale)) => {
                tracing::debug!(%name, %kind, "no server answers: the last answer is given again");
                inner.cache.failed(&name, kind, now);
                return past_its_time(&stale);
            }
            (Err(DnsError::Bogus), _) => {
                tracing::debug!(%name, %kind, "DNSSEC validation failed");
                self.doubt(now);
            }
            (Err(DnsError::Timeout | DnsError::Temporary(_)), None) => {}
            _ => inner.cache.put(name, kind, &Arc::new(outcome.clone()), ttl, now),
        }
        inner.metrics.asked(now - started, inner.cache.len());
        outcome
    }
}

impl Inner {
    /// Asks, and follows aliases. Also says how long the outcome may be remembered.
    async fn ask(&self, name: &Name, kind: RecordType) -> (Outcome, Duration) {
        // Closed never; and the caller's deadline bounds the wait.
        let Ok(_permit) = self.in_flight.acquire().await else {
            return (Err(DnsError::Timeout), Duration::ZERO);
        };
        let mut chase = Chase::new(name, self.max_ttl);
        loop {
            let asked = chase.at.clone();
            let mut response = self.transport.ask(Query::query(asked.clone(), kind)).await;
            // Servers that follow aliases in a circle give up with SERVFAIL: the alias by itself says more.
            if is_server_failure(&response)
                && let Ok(alias) = self.transport.ask(Query::query(asked.clone(), RecordType::CNAME)).await
                && alias.answers.iter().any(|record| record.name == asked && target(&record.data).is_some())
            {
                response = Ok(alias);
            }
            let (message, provable) = match readable(response, &asked, kind) {
                Ok(read) => read,
                Err(error) => return (Err(error), Duration::ZERO),
            };
            let provable = provable && self.transport.validates();
            let records = match chase.follow(&message, kind, provable) {
                Ok(records) => records,
                Err(error) => return (Err(error), Duration::ZERO),
            };
            if !records.is_empty() {
                let answer = Answer { records, secure: chase.secure, name: text(&chase.at), stale: false };
                return (Ok(answer), chase.ttl);
            }
            if chase.at == asked {
                return chase.absent(&message, provable, self.negative_ttl);
            }
        }
    }
}

/// Names that no server is asked for (RFC 6761 §6.3, §6.4; RFC 7686 §2).
fn special(name: &Name, kind: RecordType) -> Option<Outcome> {
    let last = name.iter().next_back()?.to_ascii_lowercase();
    match last.as_slice() {
        b"localhost" => {
            let record = match kind {
                RecordType::A => RData::A(Ipv4Addr::LOCALHOST.into()),
                RecordType::AAAA => RData::AAAA(Ipv6Addr::LOCALHOST.into()),
                _ => return Some(Err(DnsError::NoData { secure: false })),
            };
            Some(Ok(Answer { records: vec![record], secure: false, name: text(name), stale: false }))
        }
        b"invalid" | b"onion" => Some(Err(DnsError::NoSuchName { secure: false })),
        _ => None,
    }
}

fn past_its_time(outcome: &Outcome) -> Outcome {
    outcome.clone().map(|answer| Answer { secure: false, stale: true, ..answer })
}

fn parse(name: &str) -> Result<Name, DnsError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    // `\` starts an escape in a zone file's notation, which a name from a mail never means.
    if name.is_empty() || name.contains('\\') || name.bytes().any(|octet| octet <= b' ' || octet == 0x7f) {
        return Err(DnsError::BadName);
    }
    // Any octet may stand in a label (RFC 2181 §11), and SPF macros bring what stands in local parts: `+`, `=`, `/`.
    let parsed = if name.is_ascii() {
        Name::from_labels(name.split('.').map(str::as_bytes))
    } else {
        Name::from_utf8(name)
    };
    let mut parsed = parsed.map_err(|_| DnsError::BadName)?;
    parsed.set_fqdn(true);
    Ok(parsed.to_lowercase())
}

/// Lower case, without the final dot; the root is `.`. What a host's name never has is written as in zone files, and so can be no name
/// to [`parse`].
fn text(name: &Name) -> String {
    let mut text = String::new();
    for label in name.iter() {
        if !text.is_empty() {
            text.push('.');
        }
        for &octet in label {
            match octet {
                b'.' | b'\\' => text.extend(['\\', char::from(octet)]),
                0x21..=0x7e => text.push(char::from(octet.to_ascii_lowercase())),
                _ => text.push_str(&format!("\\{octet:03}")),
            }
        }
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_a_name_or_refused_without_panic(any in "\\PC{0,300}", name in "[a-zA-Z0-9_-]{1,63}(\\.[a-z0-9_-]{1,63}){0,3}\\.?") {
            let _ = parse(&any);
            if let Ok(parsed) = parse(&name) {
                prop_assert_eq!(text(&parsed), name.trim_end_matches('.').to_lowercase());
                prop_assert_eq!(parse(&text(&parsed)), Ok(parsed));
            }
        }
    }
}

//! A look-up: from memory, or asked, alias after alias.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chasqui_base::StartError;
use hickory_resolver::net::{self, NetError};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::op::{DnsResponse, Message, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use crate::answer::{Addresses, Answer, DnsError, Mx, Tlsa};
use crate::cache::{Cache, Outcome, Remembered};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::proof;
use crate::transport::Transport;

/// Aliases that are followed.
const MAX_ALIASES: usize = 16;

/// The resolver. Cloning shares it with its memory.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    transport: Transport,
    cache: Cache,
    metrics: Metrics,
    in_flight: Semaphore,
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
            (Err(DnsError::Bogus), _) => tracing::debug!(%name, %kind, "DNSSEC validation failed"),
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
        let mut chase = Chase { at: name.clone(), seen: vec![name.clone()], secure: true, ttl: self.max_ttl };
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

/// Where a look-up stands while it follows aliases.
struct Chase {
    at: Name,
    seen: Vec<Name>,
    secure: bool,
    ttl: Duration,
}

impl Chase {
    /// Follows the aliases of a response, and takes the records of the last name, if it has them.
    fn follow(
        &mut self,
        message: &Message,
        kind: RecordType,
        provable: bool,
    ) -> Result<Vec<RData>, DnsError> {
        while kind != RecordType::CNAME
            && let Some(alias) =
                message.answers.iter().find(|r| r.name == self.at && target(&r.data).is_some())
        {
            self.take(alias, provable)?;
            let Some(target) = target(&alias.data) else { break };
            if self.seen.contains(target) || self.seen.len() > MAX_ALIASES {
                return Err(DnsError::CnameLoop);
            }
            self.seen.push(target.clone());
            self.at = target.clone();
        }
        let mut records = Vec::new();
        let last = self.at.clone();
        for record in message.answers.iter().filter(|r| r.name == last && r.record_type() == kind) {
            self.take(record, provable)?;
            records.push(record.data.clone());
        }
        Ok(records)
    }

    fn take(&mut self, record: &Record, provable: bool) -> Result<(), DnsError> {
        if provable && record.proof == Proof::Bogus {
            return Err(DnsError::Bogus);
        }
        self.secure &= provable && record.proof == Proof::Secure;
        self.ttl = self.ttl.min(Duration::from_secs(record.ttl.into()));
        Ok(())
    }

    /// The response has neither records nor an alias.
    fn absent(self, message: &Message, provable: bool, negative_ttl: Duration) -> (Outcome, Duration) {
        let soa = message.authorities.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some((record, soa.minimum)),
            _ => None,
        });
        // Another zone's unsigned SOA proves nothing about this name: without this rule it would turn a signed zone's absence of
        // TLSA records into an insecure one.
        if provable && soa.is_some_and(|(record, _)| !record.name.zone_of(&self.at)) {
            return (Err(DnsError::Bogus), Duration::ZERO);
        }
        if provable && message.authorities.iter().any(|record| record.proof == Proof::Bogus) {
            return (Err(DnsError::Bogus), Duration::ZERO);
        }
        let proved = soa.is_some_and(|(record, _)| record.proof == Proof::Secure);
        let absent_name = message.response_code == ResponseCode::NXDomain;
        let secure = self.secure && provable && proved && !(absent_name && proof::opts_out(message));
        // RFC 2308 §5: the lower of the SOA's own time and its minimum; without a SOA nothing is remembered.
        let ttl = soa.map_or(0, |(record, minimum)| record.ttl.min(minimum));
        let ttl = Duration::from_secs(ttl.into()).min(negative_ttl).min(self.ttl);
        let error = if absent_name { DnsError::NoSuchName { secure } } else { DnsError::NoData { secure } };
        (Err(error), ttl)
    }
}

fn target(data: &RData) -> Option<&Name> {
    match data {
        RData::CNAME(CNAME(target)) => Some(target),
        _ => None,
    }
}

fn is_server_failure(response: &Result<DnsResponse, NetError>) -> bool {
    matches!(response, Err(NetError::Dns(net::DnsError::ResponseCode(ResponseCode::ServFail))))
}

/// The message, and whether its proofs count.
fn readable(
    response: Result<DnsResponse, NetError>,
    asked: &Name,
    kind: RecordType,
) -> Result<(Message, bool), DnsError> {
    let error = match response {
        Ok(response) => match net::DnsError::from_response(response) {
            Ok(response) => return Ok((response.into_message(), true)),
            Err(error) => error,
        },
        Err(NetError::Dns(error)) => error,
        Err(NetError::Timeout) => return Err(DnsError::Timeout),
        Err(error) => return Err(DnsError::Temporary(error.to_string())),
    };
    match error {
        // RFC 2308 §2: neither records nor an alias.
        net::DnsError::NoRecordsFound(none) => match none.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => {
                let mut message = Message::query();
                message.metadata.response_code = none.response_code;
                message.authorities = none.authorities.map(|all| all.to_vec()).unwrap_or_default();
                Ok((message, true))
            }
            code => Err(DnsError::Temporary(code.to_string())),
        },
        // The zone's proof of absence is one that proves nothing, such as opt-out (RFC 5155 §6): as from an unsigned zone.
        net::DnsError::Nsec { response, proof: Proof::Insecure, .. } => Ok((response.into_message(), false)),
        net::DnsError::Nsec { response, .. } => proof::salvage(response.into_message(), asked, kind)
            .map(|message| (message, true))
            .ok_or(DnsError::Bogus),
        net::DnsError::DnssecBogus => Err(DnsError::Bogus),
        net::DnsError::ResponseCode(code) => Err(DnsError::Temporary(code.to_string())),
        error => Err(DnsError::Temporary(error.to_string())),
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

//! DMARC aggregate reports: kept while mail comes, sent once a day, and those of others read.
//!
//! The exchanger calls [`Reports::note`] for each message; it costs a place in a queue. [`Reports::run`] sends what is due
//! through an [`Outbox`], which is the relay's door for the other roles. A destination outside the reporting domain's organization
//! must say in DNS that it wants the reports (RFC 7489 §7.1).

mod aggregate;
mod config;
mod observation;
mod read;
mod store;

pub use config::ReportsConfig;
pub use read::{ReadError, ReadLimits, Received, read};

use crate::authentication::{Action, Verdict, dmarc, lookup};
use aggregate::Report;
use chasqui_base::{EmailAddress, Lifecycle, StartError};
use chasqui_dns::Resolver;
use observation::Observation;
use std::{
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use store::{Contents, Store};

/// How often it is looked whether something is due.
const PAUSE: Duration = Duration::from_secs(600);

/// Where messages of our own go.
pub trait Outbox: Send + Sync {
    /// Takes a whole message for these recipients. When it returns, the message will not be lost.
    ///
    /// # Errors
    /// When it cannot be taken now; it is tried again later.
    fn send(
        &self,
        from: &str,
        to: &[String],
        message: Vec<u8>,
    ) -> impl Future<Output = io::Result<()>> + Send;
}

/// What became of the reports that were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Sent.
    pub sent: usize,
    /// Not sent because nobody wants them, or because they are too big or too old; forgotten.
    pub dropped: usize,
    /// To be tried again.
    pub waiting: usize,
}

/// The reports of one exchanger. Cheap to clone.
#[derive(Clone)]
pub struct Reports(Arc<Inner>);

struct Inner {
    config: ReportsConfig,
    from: EmailAddress,
    hostname: String,
    store: Store,
}

impl Reports {
    /// Opens the file of observations. Nothing when reports are not configured.
    ///
    /// # Errors
    /// When the configuration or the file cannot be used.
    pub fn open(config: &ReportsConfig, hostname: &str) -> Result<Option<Self>, StartError> {
        config.check("reports")?;
        let Some(from) = config.from.clone() else { return Ok(None) };
        let store = Store::open(config)?;
        let hostname = hostname.to_owned();
        Ok(Some(Self(Arc::new(Inner { config: config.clone(), from, hostname, store }))))
    }

    /// Counts a message. Never waits.
    pub fn note(&self, verdict: &Verdict, ip: IpAddr, action: &Action) {
        self.note_at(verdict, ip, action, SystemTime::now());
    }

    /// The same as of another time.
    pub fn note_at(&self, verdict: &Verdict, ip: IpAddr, action: &Action, at: SystemTime) {
        if let Some(observation) = Observation::of(verdict, ip, action, seconds(at)) {
            self.0.store.note(observation);
        }
    }

    /// Sends what is due, again and again, until the role ends.
    pub async fn run(self, resolver: Resolver, outbox: impl Outbox, run: Lifecycle) {
        loop {
            tokio::select! {
                () = run.stopped() => return,
                () = tokio::time::sleep(PAUSE.min(self.0.config.interval.get() / 4)) => {}
            }
            // What is under way when the role ends is sent again: the receivers know it by its id.
            tokio::select! {
                () = run.stopped() => return,
                result = self.send_due(&resolver, &outbox, SystemTime::now()) => match result {
                    Ok(Sent { sent: 0, dropped: 0, waiting: 0 }) => {}
                    Ok(Sent { sent, dropped, waiting }) => tracing::info!(sent, dropped, waiting, "DMARC reports"),
                    Err(error) => tracing::warn!(%error, "DMARC reports cannot be sent"),
                },
            }
            let missed = self.0.store.take_missed();
            if missed > 0 {
                tracing::warn!(missed, "messages are not in the DMARC reports: the disk is too slow");
            }
        }
    }

    /// Sends the reports whose time was over at `now`.
    ///
    /// # Errors
    /// When the file of observations cannot be read or written.
    pub async fn send_due(
        &self,
        resolver: &Resolver,
        outbox: &impl Outbox,
        now: SystemTime,
    ) -> io::Result<Sent> {
        let now = seconds(now);
        let mut result = Sent::default();
        for (begin, domain) in self.0.store.due(now).await? {
            match self.send_one(resolver, outbox, begin, &domain, now).await? {
                Outcome::Sent => result.sent += 1,
                Outcome::Dropped(reason) => {
                    tracing::info!(domain, reason, "a DMARC report is not sent");
                    result.dropped += 1;
                }
                Outcome::Later(reason) => {
                    let end = begin + self.0.config.interval.get().as_secs();
                    if now.saturating_sub(end) < self.0.config.max_age.get().as_secs() {
                        result.waiting += 1;
                        continue;
                    }
                    tracing::warn!(domain, reason, "a DMARC report is given up");
                    result.dropped += 1;
                }
            }
            self.0.store.forget(begin, &domain).await?;
        }
        Ok(result)
    }

    async fn send_one(
        &self,
        resolver: &Resolver,
        outbox: &impl Outbox,
        begin: u64,
        domain: &str,
        now: u64,
    ) -> io::Result<Outcome> {
        let Some(contents) = self.0.store.load(begin, domain).await? else {
            return Ok(Outcome::Dropped("it cannot be read any more".to_owned()));
        };
        let mut to = Vec::new();
        let mut later = None;
        for (address, limit) in &contents.policy.destinations {
            match wants(resolver, domain, address).await {
                Ok(true) => to.push((address.clone(), *limit)),
                Ok(false) => {}
                Err(reason) => later = Some(reason),
            }
        }
        if to.is_empty() {
            return Ok(match later {
                Some(reason) => Outcome::Later(reason.to_owned()),
                None => Outcome::Dropped("no destination wants it".to_owned()),
            });
        }
        let id = self.id(begin, domain);
        let packed = {
            let (inner, domain, id) = (Arc::clone(&self.0), domain.to_owned(), id.clone());
            chasqui_courier::blocking(move || {
                let packed = inner.report(begin, &domain, &id, &contents).compressed()?;
                Ok((packed, contents))
            })
            .await?
        };
        let (packed, contents) = packed;
        // §6.2: the limit is on what is sent; base64 makes four octets of three.
        let size = packed.len() as u64 * 4 / 3 + 4096;
        to.retain(|(_, limit)| limit.is_none_or(|limit| size <= limit));
        if to.is_empty() || size > self.0.config.size.as_u64() {
            return Ok(Outcome::Dropped(format!("{size} octets are too many")));
        }
        let to: Vec<String> = to.into_iter().map(|(address, _)| address).collect();
        let message = self.0.report(begin, domain, &id, &contents).message(&to, &packed, now);
        Ok(match outbox.send(self.0.from.as_str(), &to, message).await {
            Ok(()) => Outcome::Sent,
            Err(error) => Outcome::Later(error.to_string()),
        })
    }

    /// The same for the same report, so that one that is sent twice is known again.
    fn id(&self, begin: u64, domain: &str) -> String {
        let hash = blake3::hash(format!("{}\n{domain}\n{begin}", self.0.hostname).as_bytes()).to_hex();
        format!("{begin}.{}", &hash[..16])
    }
}

impl Inner {
    fn report<'a>(&'a self, begin: u64, domain: &'a str, id: &'a str, contents: &'a Contents) -> Report<'a> {
        Report {
            domain,
            begin,
            end: begin + self.config.interval.get().as_secs() - 1,
            id,
            hostname: &self.hostname,
            organization: self.config.organization.as_deref().unwrap_or(&self.hostname),
            from: self.from.as_str(),
            contact: self.config.contact.as_deref(),
            contents,
        }
    }
}

enum Outcome {
    Sent,
    Dropped(String),
    Later(String),
}

/// §7.1: whether a destination wants the reports about a domain.
async fn wants(resolver: &Resolver, domain: &str, address: &str) -> Result<bool, &'static str> {
    let host = address.rsplit_once('@').and_then(|(_, host)| crate::authentication::canonical_domain(host));
    let Some(host) = host else { return Ok(false) };
    if dmarc::organizational(&host) == dmarc::organizational(domain) {
        return Ok(true);
    }
    match lookup::txt(resolver, &format!("{domain}._report._dmarc.{host}")).await {
        Ok(texts) => Ok(texts.iter().any(|text| text.starts_with("v=DMARC1"))),
        Err(lookup::Miss::Nothing) => Ok(false),
        Err(lookup::Miss::Temporary(reason)) => Err(reason),
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

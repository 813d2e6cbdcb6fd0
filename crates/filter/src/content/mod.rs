//! Filters that read the text: spamd, clamd and milters, all at the same time, each with its deadline.
//!
//! [`Scanners`] is shared; a [`Session`] is one SMTP connection's part of it, which holds its connections to milters. The protocols of
//! [`spamd`] and [`clamd`] are pure; the milter's codec is as well.
//!
//! The worst verdict counts: a virus is refused before spam is, a refusal for good before one for now, and that before Junk. What is
//! refused is refused in the session: nothing that was answered 250 is ever bounced.

pub mod clamd;
pub mod config;
mod draft;
pub mod head;
pub mod milter;
mod scan;
pub mod spamd;
pub mod structure;

use crate::metrics::Metrics;
use chasqui_base::DeliveryId;
use chasqui_courier::Content;
use chasqui_smtp::{Mail, Recipient, Reply};
use clamd::Finding;
use config::{ContentConfig, Infected, WhenAway};
pub use draft::Draft;
use milter::{Chain, ChainVerdict, Milter};
pub use milter::{EnvelopeChanges, Greeting, Peer};
use scan::{Clamd, ScanError, Spamd};
use spamd::Report;
use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

const SPAM: Reply = Reply::fixed(550, (5, 7, 1), "Refused: the message looks like spam");
const UNJUDGED: Reply = Reply::fixed(451, (4, 7, 1), "The message cannot be judged now, try again later");

/// Fields that only we write: what senders put there is taken out.
const OURS: [&[u8]; 3] = [b"X-Spam-", b"X-Virus-", b"X-Chasqui-"];

/// Whether a field claims to be of our filters.
#[must_use]
pub fn is_ours(field: &head::Field) -> bool {
    let name = field.name();
    OURS.iter().any(|ours| name.get(..ours.len()).is_some_and(|start| start.eq_ignore_ascii_case(ours)))
}

/// What is to become of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// It is delivered.
    #[default]
    Accept,
    /// It is delivered into Junk.
    Junk,
    /// It is answered 250 and dropped: a milter said so, and the operator lets it.
    Drop,
    /// It is refused with this reply, for now (4xx) or for good (5xx).
    Refuse(Reply),
}

/// What the filters say of a message.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What is to become of it.
    pub action: Action,
    /// Header lines to put above it, with their CR LF.
    pub headers: String,
    /// What milters change of the envelope.
    pub envelope: EnvelopeChanges,
    /// In a word, for the log: `clean`, `spam`, `infected`, …
    pub outcome: &'static str,
}

/// The configured filters.
pub struct Scanners {
    spamd: Option<Spamd>,
    clamd: Option<Clamd>,
    milters: Vec<Arc<Milter>>,
    hostname: Box<str>,
    metrics: Metrics,
}

/// One SMTP connection's part.
pub struct Session {
    scanners: Arc<Scanners>,
    chain: Option<Chain>,
}

impl Scanners {
    /// `None` when no filter has an address. Nothing is connected to yet: a filter may start after us.
    #[must_use]
    pub fn new(config: &ContentConfig, hostname: &str, metrics: &Metrics) -> Option<Arc<Self>> {
        config.is_on().then(|| {
            Arc::new(Self {
                spamd: Spamd::new(&config.spamassassin),
                clamd: Clamd::new(&config.clamav),
                milters: config.milter.iter().map(|milter| Milter::new(milter, metrics)).collect(),
                hostname: hostname.into(),
                metrics: metrics.clone(),
            })
        })
    }

    /// A client has connected.
    #[must_use]
    pub fn session(self: &Arc<Self>, peer: Peer) -> Session {
        let chain = (!self.milters.is_empty()).then(|| Chain::new(&self.milters, peer));
        Session { scanners: Arc::clone(self), chain }
    }
}

impl Session {
    /// Whether milters want to know the name of the client's address.
    #[must_use]
    pub const fn wants_name(&self) -> bool {
        self.chain.is_some()
    }

    /// MAIL: asks the milters. `name` is the confirmed name of the client's address.
    ///
    /// # Errors
    /// The reply to MAIL.
    pub async fn mail(
        &mut self,
        name: Option<&str>,
        greeting: &Greeting,
        id: DeliveryId,
        mail: &Mail,
    ) -> Result<(), Reply> {
        match &mut self.chain {
            Some(chain) => chain.mail(name, greeting, id, mail).await,
            None => Ok(()),
        }
    }

    /// RCPT: asks the milters.
    ///
    /// # Errors
    /// The reply to RCPT.
    pub async fn recipient(&mut self, recipient: &Recipient) -> Result<(), Reply> {
        match &mut self.chain {
            Some(chain) => chain.recipient(recipient).await,
            None => Ok(()),
        }
    }

    /// The transaction ends without a message.
    pub async fn reset(&mut self) {
        if let Some(chain) = &mut self.chain {
            chain.reset().await;
        }
    }

    /// The connection has ended.
    pub async fn close(self) {
        if let Some(chain) = self.chain {
            chain.close().await;
        }
    }

    /// The text is complete: asks all filters. `user` is the account where there is only one. `draft` takes the changes of milters.
    pub async fn content(
        &mut self,
        id: DeliveryId,
        user: Option<&str>,
        content: &Content,
        draft: &mut Draft,
    ) -> Verdict {
        let scanners = &self.scanners;
        let chain = async {
            match &mut self.chain {
                Some(chain) => chain.content(id, draft, content).await,
                None => ChainVerdict::default(),
            }
        };
        let (virus, spam, chain) =
            tokio::join!(scanners.virus(id, content), scanners.spam(id, content, user), chain);
        scanners.verdict(id, virus, spam, chain)
    }
}

/// What one filter came to.
enum Judged<T> {
    /// It was not asked.
    Unasked,
    Verdict(T),
    /// It failed.
    Away,
    /// It judges as many messages as it may, and none of them was done in time.
    Busy,
}

impl Scanners {
    async fn virus(&self, id: DeliveryId, content: &Content) -> Judged<Finding> {
        let Some(clamd) = &self.clamd else { return Judged::Unasked };
        let started = Instant::now();
        let judged = clamd.ask(content).await;
        let outcome = |finding: &Finding| if *finding == Finding::Clean { "clean" } else { "infected" };
        self.judged(id, "clamav", started.elapsed(), judged, outcome)
    }

    async fn spam(&self, id: DeliveryId, content: &Content, user: Option<&str>) -> Judged<Report> {
        let Some(spamd) = &self.spamd else { return Judged::Unasked };
        if content.len() > spamd.config.max_size.as_u64() {
            return Judged::Unasked;
        }
        let started = Instant::now();
        let judged = spamd.ask(content, user.filter(|_| spamd.config.per_user)).await;
        let outcome = |report: &Report| if self.is_spam(report) { "spam" } else { "ham" };
        self.judged(id, "spamassassin", started.elapsed(), judged, outcome)
    }

    fn judged<T>(
        &self,
        id: DeliveryId,
        filter: &'static str,
        took: Duration,
        judged: Result<T, ScanError>,
        outcome: impl Fn(&T) -> &'static str,
    ) -> Judged<T> {
        match judged {
            Ok(verdict) => {
                self.metrics.content(filter, outcome(&verdict), took);
                Judged::Verdict(verdict)
            }
            Err(error) => {
                tracing::warn!(delivery = %id, filter, %error, "a filter did not judge a message");
                let busy = matches!(error, ScanError::Busy);
                self.metrics.content(filter, if busy { "busy" } else { "away" }, took);
                if busy { Judged::Busy } else { Judged::Away }
            }
        }
    }

    fn is_spam(&self, report: &Report) -> bool {
        let junk_score = self.spamd.as_ref().and_then(|spamd| spamd.config.junk_score);
        junk_score.map_or(report.spam, |score| report.score >= score)
    }

    fn verdict(
        &self,
        id: DeliveryId,
        virus: Judged<Finding>,
        spam: Judged<Report>,
        chain: ChainVerdict,
    ) -> Verdict {
        let mut verdict = Verdict { outcome: "clean", envelope: chain.envelope, ..Verdict::default() };
        let mut away: Vec<String> = Vec::new();
        // Whoever holds all places of a filter must not be able to send past it, so this defers whatever `when_away` says.
        let mut deferred = matches!(spam, Judged::Busy) || matches!(virus, Judged::Busy);
        let mut is_away = |filter: &str, when: Option<WhenAway>| {
            away.push(filter.to_owned());
            deferred |= when == Some(WhenAway::Defer);
        };
        // The mildest first: what follows is worse and takes its place.
        if let Some(reason) = &chain.quarantine {
            let _ = write!(verdict.headers, "X-Chasqui-Quarantine: {reason}\r\n");
            verdict.set(Action::Junk, "quarantined");
        }
        let mut refused_as_spam = false;
        match spam {
            Judged::Verdict(report) => {
                let is_spam = self.is_spam(&report);
                write_report(&mut verdict.headers, &report, is_spam, self.required(&report));
                let reject_score = self.spamd.as_ref().and_then(|spamd| spamd.config.reject_score);
                refused_as_spam = reject_score.is_some_and(|score| report.score >= score);
                if is_spam {
                    verdict.set(Action::Junk, "spam");
                }
                tracing::info!(delivery = %id, score = report.score, spam = is_spam, "judged by SpamAssassin");
            }
            Judged::Away => is_away("spamassassin", self.spamd.as_ref().map(|spamd| spamd.config.when_away)),
            Judged::Unasked | Judged::Busy => {}
        }
        let mut infected = None;
        match virus {
            Judged::Verdict(Finding::Clean) => {
                let _ = write!(verdict.headers, "X-Virus-Scanned: ClamAV at {}\r\n", self.hostname);
            }
            Judged::Verdict(Finding::Infected(name)) => {
                tracing::warn!(delivery = %id, virus = name, "infected");
                let _ = write!(verdict.headers, "X-Virus-Status: Infected ({name})\r\n");
                infected = Some(name);
            }
            Judged::Away => is_away("clamav", self.clamd.as_ref().map(|clamd| clamd.config.when_away)),
            Judged::Unasked | Judged::Busy => {}
        }
        // What a milter's absence means for the reply is in its own verdict.
        chain.away.iter().for_each(|name| is_away(name, None));
        if !away.is_empty() {
            let _ = write!(verdict.headers, "X-Chasqui-Unfiltered: {}\r\n", away.join(", "));
        }
        if chain.drop {
            verdict.set(Action::Drop, "dropped");
        }
        if deferred {
            verdict.set(Action::Refuse(UNJUDGED), "unjudged");
        }
        if let Some(reply) = chain.refusal {
            verdict.set(Action::Refuse(reply), "milter");
        }
        if refused_as_spam {
            verdict.set(Action::Refuse(SPAM), "spam");
        }
        if let Some(name) = infected {
            let junk = self.clamd.as_ref().is_some_and(|clamd| clamd.config.infected == Infected::Junk);
            let reply = Reply::new(550, (5, 7, 1), format!("Refused: the message has a virus, {name}"));
            if !junk {
                verdict.set(Action::Refuse(reply), "infected");
            } else if matches!(verdict.action, Action::Accept | Action::Junk) {
                verdict.set(Action::Junk, "infected");
            }
        }
        verdict
    }

    /// The score that makes spam.
    fn required(&self, report: &Report) -> f64 {
        self.spamd.as_ref().and_then(|spamd| spamd.config.junk_score).unwrap_or(report.required)
    }
}

impl Verdict {
    fn set(&mut self, action: Action, outcome: &'static str) {
        // A refusal for good is not taken back for one that is for now.
        let keep = matches!((&self.action, &action), (Action::Refuse(old), Action::Refuse(new)) if old.is_permanent() && new.is_temporary());
        if !keep {
            self.action = action;
            self.outcome = outcome;
        }
    }
}

/// The lines that SpamAssassin itself would write, by which other programs and Sieve scripts know spam.
fn write_report(out: &mut String, report: &Report, spam: bool, required: f64) {
    let (flag, word) = if spam { ("YES", "Yes") } else { ("NO", "No") };
    // Writing to a String cannot fail.
    let _ = write!(out, "X-Spam-Flag: {flag}\r\nX-Spam-Score: {:.1}\r\n", report.score);
    let _ =
        write!(out, "X-Spam-Status: {word}, score={:.1} required={required:.1}\r\n\ttests=", report.score);
    let mut column = 14;
    for (index, test) in report.tests.iter().enumerate() {
        if index > 0 {
            out.push(',');
            column += 1;
        }
        // RFC 5322 §2.1.1: lines of 78 characters.
        if column + test.len() > 76 {
            out.push_str("\r\n\t");
            column = 8;
        }
        out.push_str(test);
        column += test.len();
    }
    if report.tests.is_empty() {
        out.push_str("none");
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests;

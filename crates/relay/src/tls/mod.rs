//! What security a destination demands, and how a connection to one of its hosts is secured (S11, E19).
//!
//! ```text
//! domain ──▶ TXT _mta-sts., HTTPS policy (kept) ─┐
//!        ──▶ configured minimum ─────────────────┼─▶ DomainPolicy ──host──▶ Requirement ──secure──▶ connection, facts
//! host   ──▶ secure TLSA records (DANE) ─────────┘                                   └──note──▶ metrics, TLS reports
//! ```
//!
//! | what is known | requirement |
//! | --- | --- |
//! | MX proved, host's addresses proved, usable TLSA records (RFC 7672) | [`Requirement::Dane`]: decides alone |
//! | the same, but no record is usable | [`Requirement::Encrypted`] at least |
//! | the TLSA look-up fails, or is bogus | none: the host is passed over for now |
//! | MTA-STS `enforce`, the host is one of its (RFC 8461) | [`Requirement::WebPki`] with the host's name |
//! | MTA-STS `enforce`, the host is not | none: passed over |
//! | the message demands it (RFC 8689): MX proved by DNSSEC or MTA-STS | [`Requirement::WebPki`] |
//! | the message demands it: neither | none, for good |
//! | configured minimum | as it says |
//! | MTA-STS `testing` | [`Requirement::Tested`] |
//! | nothing | [`Requirement::Opportunistic`] |

mod config;
mod dane;
mod handshake;
mod host;
mod metrics;
pub mod report;
mod requirement;
mod sts;
mod web;

pub use config::{DomainMinimum, MinimumLevel, ReportConfig, TlsConfig};
pub use dane::Dane;
pub use requirement::{
    DomainPolicy, Failure, PolicyFailure, Requirement, TlsFacts, TlsFailure, Verified, Violation,
};
pub use sts::{Mode, Policy, PolicyError, announced};

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use chasqui_base::net::Stream;
use chasqui_base::{Lifecycle, StartError};
use chasqui_dns::Resolver;
use prometheus_client::registry::Registry;

use self::handshake::Handshakes;
use self::metrics::Metrics;
use self::report::{ReportMailer, Reports, Sender};
use self::sts::{Found, Policies};
use self::web::Web;

/// The policies of all destinations. Cloning shares them.
#[derive(Clone)]
pub struct TlsPolicies {
    config: Arc<TlsConfig>,
    resolver: Resolver,
    handshakes: Handshakes,
    sts: Arc<Policies>,
    web: Web,
    /// None: reports are off.
    reports: Option<Arc<Reports>>,
    metrics: Metrics,
}

/// A connection to a host, or the attempt to have one, as reports tell of it.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    /// The mail host's name as MX has it.
    pub host: &'a str,
    /// The host's address, if a connection was made.
    pub remote: Option<IpAddr>,
    /// Our own address, if a connection was made.
    pub local: Option<IpAddr>,
    /// What was required; none if the host was passed over.
    pub requirement: Option<&'a Requirement>,
}

/// How a session's TLS went.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The connection is secured.
    Secured(&'a TlsFacts),
    /// It is not, although STARTTLS was tried or wanted: [`TlsFailure::not_offered`] for a host without it.
    Failed(&'a TlsFailure),
    /// The host was passed over.
    Refused(&'a PolicyFailure),
}

impl TlsPolicies {
    /// Reads the CAs and what is kept on disk.
    ///
    /// # Errors
    /// A value of the configuration, a file or a folder that cannot be used.
    pub fn open(config: &TlsConfig, resolver: Resolver, registry: &mut Registry) -> Result<Self, StartError> {
        config.check("delivery_tls")?;
        let metrics = Metrics::register(registry);
        let handshakes = Handshakes::new(config.extra_ca.as_deref(), config.handshake.get())?;
        let web = Web::new(config, resolver.clone(), &handshakes)?;
        let sts = Arc::new(Policies::open(config, resolver.clone(), web.clone(), metrics.clone())?);
        let reports = match config.reports.enabled {
            true => Some(Arc::new(Reports::open(config, metrics.clone())?)),
            false => None,
        };
        Ok(Self { config: Arc::new(config.clone()), resolver, handshakes, sts, web, reports, metrics })
    }

    /// Begins to keep MTA-STS policies fresh.
    pub fn start(&self, run: &Lifecycle) {
        if self.config.mta_sts {
            run.spawn(Arc::clone(&self.sts).keep_fresh(run.clone()));
        }
    }

    /// Fetches the MTA-STS policies again that are due at this time, once. What [`start`](Self::start) does every ten minutes.
    pub async fn refresh(&self, now: SystemTime) {
        self.sts.refresh(now, &Lifecycle::new()).await;
    }

    /// Begins to send TLS reports, if they are configured. `hostname`: under which they are submitted.
    pub fn start_reports(&self, hostname: &str, mailer: Arc<dyn ReportMailer>, run: &Lifecycle) {
        let Some(reports) = &self.reports else { return };
        run.spawn(Arc::clone(reports).run(self.sender(hostname, mailer), run.clone()));
    }

    /// Sends the TLS reports that are due at this time, once. What [`start_reports`](Self::start_reports) does every hour.
    pub async fn send_reports(&self, hostname: &str, mailer: Arc<dyn ReportMailer>, now: SystemTime) {
        let Some(reports) = &self.reports else { return };
        reports.snapshot().await;
        reports.send_due(&self.sender(hostname, mailer), now, &Lifecycle::new()).await;
    }

    fn sender(&self, hostname: &str, mailer: Arc<dyn ReportMailer>) -> Sender {
        Sender::new(&self.config.reports, hostname, self.resolver.clone(), self.web.clone(), mailer)
    }

    /// What the domain demands. From memory, or with a look-up in DNS and, if its MTA-STS policy is new, a fetch.
    pub async fn domain(&self, domain: &str) -> DomainPolicy {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        // RFC 8461 §2: policies are those of domains; an address literal has none.
        let is_literal = domain.starts_with('[') || domain.parse::<IpAddr>().is_ok();
        let found = match self.config.mta_sts && !is_literal {
            true => self.sts.of_domain(&domain).await,
            false => Found::default(),
        };
        let minimum = self.config.minimum(&domain);
        DomainPolicy {
            domain: domain.into(),
            sts: found.policy,
            sts_failure: found.failure,
            minimum: minimum.map(|minimum| minimum.level).unwrap_or_default(),
            names: minimum.map(|minimum| minimum.names.as_slice()).unwrap_or_default().into(),
        }
    }

    /// Secures a connection to `host` after its positive reply to STARTTLS.
    ///
    /// # Errors
    /// Why TLS did not come about as required. The connection is lost.
    pub async fn secure(
        &self,
        stream: Stream,
        host: &str,
        requirement: &Requirement,
    ) -> Result<(Stream, TlsFacts), TlsFailure> {
        self.handshakes.secure(stream, host, requirement).await
    }

    /// Counts how a session's TLS went, for the metrics and for the domain's report.
    pub fn note(&self, domain: &DomainPolicy, session: &Session<'_>, event: Event<'_>) {
        if let Some(reports) = &self.reports {
            reports.note(domain, session, event);
        }
        match event {
            Event::Secured(facts) => self.metrics.secured(facts),
            Event::Failed(failure) => self.metrics.failed(failure.kind),
            Event::Refused(failure) => self.metrics.failed(failure.kind),
        }
    }
}

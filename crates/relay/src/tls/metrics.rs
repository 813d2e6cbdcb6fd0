//! What is counted of TLS with other sites.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::requirement::{Failure, TlsFacts, Verified};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// The metrics. Cloning shares them.
#[derive(Clone)]
pub(super) struct Metrics {
    sessions: Family<Outcome, Counter>,
    failures: Family<Outcome, Counter>,
    fetches: Family<Outcome, Counter>,
    policies: Gauge,
    dropped: Counter,
}

impl Metrics {
    /// Makes and registers them under `chasqui_relay_tls`.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            sessions: Family::default(),
            failures: Family::default(),
            fetches: Family::default(),
            policies: Gauge::default(),
            dropped: Counter::default(),
        };
        let registry = registry.sub_registry_with_prefix("chasqui_relay_tls");
        let m = metrics.clone();
        registry.register(
            "sessions",
            "Connections under TLS, by what vouched for the certificate",
            m.sessions,
        );
        registry.register("failures", "TLS that did not come about as required, by kind", m.failures);
        registry.register("policy_fetches", "Fetches of MTA-STS policies, by outcome", m.fetches);
        registry.register("policies", "Domains whose MTA-STS policy is known", m.policies);
        registry.register(
            "report_domains_dropped",
            "Domains left out of TLS reports, since there are too many",
            m.dropped,
        );
        metrics
    }

    pub(super) fn secured(&self, facts: &TlsFacts) {
        let outcome = match facts.verified {
            Verified::No => "nothing",
            Verified::Dane => "dane",
            Verified::WebPki => "ca",
        };
        self.sessions.get_or_create(&Outcome { outcome }).inc();
    }

    pub(super) fn failed(&self, kind: Failure) {
        self.failures.get_or_create(&Outcome { outcome: kind.name() }).inc();
    }

    pub(super) fn fetched(&self, outcome: &'static str) {
        self.fetches.get_or_create(&Outcome { outcome }).inc();
    }

    pub(super) fn policies(&self, known: usize) {
        self.policies.set(i64::try_from(known).unwrap_or(i64::MAX));
    }

    pub(super) fn report_dropped(&self) {
        self.dropped.inc();
    }
}

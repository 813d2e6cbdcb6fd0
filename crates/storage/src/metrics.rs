use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::node::{LogInError, Protocol};

/// Counters and latencies of the node, under `chasqui_storage_`.
#[derive(Clone)]
pub struct Metrics {
    sessions: Family<Service, Gauge>,
    log_ins: Family<LogInLabels, Counter>,
    deliveries: Family<DeliveryLabels, Counter>,
    delivery_seconds: Histogram,
    delivered_octets: Counter,
    retrieved_octets: Counter,
    retrieved: Counter,
    over_quota: Gauge,
    training: Family<TrainingLabels, Counter>,
    junk: Counter,
}

/// How a log-in or a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// As asked.
    Ok,
    /// A delivery that was recognised as one already stored.
    Duplicate,
    /// Refused for good.
    Refused,
    /// Refused for now.
    Deferred,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Service {
    service: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LogInLabels {
    service: &'static str,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TrainingLabels {
    kind: &'static str,
    outcome: &'static str,
}

/// Counts a session as open until it is dropped.
#[derive(Debug)]
pub struct OpenSession(Gauge);

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Outcome {
    /// Of a log-in.
    #[must_use]
    pub fn of<T>(result: &Result<T, LogInError>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(LogInError::NotOwner(_) | LogInError::NoDirectory) => Self::Deferred,
            Err(LogInError::NotAllowed | LogInError::Unknown | LogInError::Disabled) => Self::Refused,
        }
    }
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("chasqui_storage");
        let metrics = Self {
            sessions: Family::default(),
            log_ins: Family::default(),
            deliveries: Family::default(),
            // 0.5 ms to 16 s: a synced delivery to a disk takes milliseconds, a stuck one seconds.
            delivery_seconds: Histogram::new((0..16).map(|step| 0.000_5 * f64::from(1 << step))),
            delivered_octets: Counter::default(),
            retrieved_octets: Counter::default(),
            retrieved: Counter::default(),
            over_quota: Gauge::default(),
            training: Family::default(),
            junk: Counter::default(),
        };
        registry.register("sessions", "Open sessions by service", metrics.sessions.clone());
        registry.register("log_ins", "Log-ins by service and outcome", metrics.log_ins.clone());
        registry.register(
            "deliveries",
            "Recipients of LMTP transactions by outcome",
            metrics.deliveries.clone(),
        );
        registry.register(
            "delivery_seconds",
            "From the last octet of a message to its durable reply",
            metrics.delivery_seconds.clone(),
        );
        registry.register(
            "delivered_octets",
            "Octets of messages taken by LMTP",
            metrics.delivered_octets.clone(),
        );
        registry.register("pop3_retrieved", "Messages sent by RETR", metrics.retrieved.clone());
        registry.register(
            "pop3_retrieved_octets",
            "Octets sent by RETR and TOP",
            metrics.retrieved_octets.clone(),
        );
        registry.register("accounts_over_quota", "Accounts reported as full", metrics.over_quota.clone());
        registry.register(
            "junk_training",
            "Messages moved into Junk or out of it, by what came of learning them",
            metrics.training.clone(),
        );
        registry.register("delivered_junk", "Recipients whose message went into Junk", metrics.junk.clone());
        metrics
    }

    /// Counts an open session of `service` (`lmtp`, `imap`, `pop3`).
    #[must_use]
    pub fn session(&self, service: &'static str) -> OpenSession {
        let gauge = self.sessions.get_or_create_owned(&Service { service });
        gauge.inc();
        OpenSession(gauge)
    }

    pub(crate) fn log_in(&self, protocol: Protocol, outcome: Outcome) {
        self.log_ins.get_or_create(&LogInLabels { service: protocol.as_str(), outcome }).inc();
    }

    pub(crate) fn delivery(&self, outcome: Outcome) {
        self.deliveries.get_or_create(&DeliveryLabels { outcome }).inc();
    }

    pub(crate) fn trained(&self, kind: &'static str, outcome: &'static str) {
        self.training.get_or_create(&TrainingLabels { kind, outcome }).inc();
    }

    pub(crate) fn junk(&self, recipients: usize) {
        self.junk.inc_by(recipients as u64);
    }

    pub(crate) fn delivered(&self, octets: u64, took: Duration) {
        self.delivered_octets.inc_by(octets);
        self.delivery_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn retrieved(&self, octets: u64, whole: bool) {
        self.retrieved_octets.inc_by(octets);
        if whole {
            self.retrieved.inc();
        }
    }

    pub(crate) fn accounts_over_quota(&self, count: usize) {
        self.over_quota.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

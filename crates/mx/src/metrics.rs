//! What the exchanger counts.

use chasqui_courier::{Outcome, times};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// The exchanger's metrics. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Metrics {
    messages: Family<OutcomeLabel, Counter>,
    recipients: Family<OutcomeLabel, Counter>,
    retried: Family<OutcomeLabel, Counter>,
    pub(crate) octets: Counter,
    pub(crate) junk: Counter,
    pub(crate) sessions: Gauge,
    pub(crate) spool_entries: Gauge,
    pub(crate) spool_failed: Counter,
    pub(crate) message: Histogram,
}

impl Metrics {
    /// Makes and registers them under `chasqui_mx`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            messages: Family::default(),
            recipients: Family::default(),
            retried: Family::default(),
            octets: Counter::default(),
            junk: Counter::default(),
            sessions: Gauge::default(),
            spool_entries: Gauge::default(),
            spool_failed: Counter::default(),
            message: times(),
        };
        let registry = registry.sub_registry_with_prefix("chasqui_mx");
        let m = metrics.clone();
        registry.register("messages", "Messages received, by what they were answered", m.messages);
        registry.register("recipients", "RCPT commands, by what they were answered", m.recipients);
        registry.register("retries", "Recipients retried from the spool, by outcome", m.retried);
        registry.register_with_unit("received", "Octets of messages received", Unit::Bytes, m.octets);
        registry.register("junk", "Messages delivered into Junk", m.junk);
        registry.register("sessions", "Open SMTP sessions", m.sessions);
        registry.register("spool_entries", "Messages that wait in the spool", m.spool_entries);
        registry.register("spool_failed", "Recipients given up and kept in `failed`", m.spool_failed);
        registry.register_with_unit(
            "message",
            "Time from the end of a message to its answer",
            Unit::Seconds,
            m.message,
        );
        metrics
    }

    /// A message was answered.
    pub(crate) fn message(&self, outcome: &'static str) {
        self.messages.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// A RCPT was answered.
    pub(crate) fn recipient(&self, outcome: &'static str) {
        self.recipients.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// A recipient was retried.
    pub(crate) fn retried(&self, outcome: &Outcome) {
        self.retried.get_or_create(&OutcomeLabel { outcome: outcome.name() }).inc();
    }
}

//! What is counted of mail that comes in.

use super::rates::Over;
use chasqui_courier::times;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    door: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DoorLabel {
    door: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MechanismLabel {
    mechanism: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabel {
    scope: &'static str,
    what: &'static str,
}

/// The metrics of submission and of the inside port. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Metrics {
    messages: Family<OutcomeLabel, Counter>,
    recipients: Family<OutcomeLabel, Counter>,
    log_ins: Family<MechanismLabel, Counter>,
    limited: Family<LimitLabel, Counter>,
    sessions: Family<DoorLabel, Gauge>,
    pub(crate) octets: Counter,
    pub(crate) message: Histogram,
}

impl Metrics {
    /// Makes and registers them under `chasqui_relay_submission`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            messages: Family::default(),
            recipients: Family::default(),
            log_ins: Family::default(),
            limited: Family::default(),
            sessions: Family::default(),
            octets: Counter::default(),
            message: times(),
        };
        let registry = registry.sub_registry_with_prefix("chasqui_relay_submission");
        let m = metrics.clone();
        registry.register("messages", "Messages handed in, by what they were answered", m.messages);
        registry.register("recipients", "RCPT commands, by what they were answered", m.recipients);
        registry.register("log_ins", "AUTH commands, by mechanism and outcome", m.log_ins);
        registry.register("limited", "Refusals because a user or a domain has sent too much", m.limited);
        registry.register("sessions", "Open SMTP sessions", m.sessions);
        registry.register_with_unit("received", "Octets of messages handed in", Unit::Bytes, m.octets);
        registry.register_with_unit(
            "message",
            "Time from the end of a message to its answer",
            Unit::Seconds,
            m.message,
        );
        metrics
    }

    /// A message was answered.
    pub(crate) fn message(&self, door: &'static str, outcome: &'static str) {
        self.messages.get_or_create(&OutcomeLabel { door, outcome }).inc();
    }

    /// A RCPT was answered.
    pub(crate) fn recipient(&self, door: &'static str, outcome: &'static str) {
        self.recipients.get_or_create(&OutcomeLabel { door, outcome }).inc();
    }

    /// An AUTH was answered.
    pub(crate) fn log_in(&self, mechanism: &'static str, outcome: &'static str) {
        self.log_ins.get_or_create(&MechanismLabel { mechanism, outcome }).inc();
    }

    /// A limit was reached.
    pub(crate) fn limited(&self, over: &Over) {
        let label = LimitLabel { scope: over.scope.name(), what: over.what.name() };
        self.limited.get_or_create(&label).inc();
    }

    /// A session begins; it is counted until what is returned is dropped.
    pub(crate) fn session(&self, door: &'static str) -> Open {
        let gauge = self.sessions.get_or_create(&DoorLabel { door }).clone();
        gauge.inc();
        Open(gauge)
    }
}

/// An open session.
pub(crate) struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

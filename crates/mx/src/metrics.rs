//! What the exchanger counts.

use crate::nodes::{Cause, Outcome};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabel {
    node: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeOutcomeLabel {
    node: String,
    outcome: &'static str,
}

/// The exchanger's metrics. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Metrics {
    messages: Family<OutcomeLabel, Counter>,
    recipients: Family<OutcomeLabel, Counter>,
    deliveries: Family<NodeOutcomeLabel, Counter>,
    unreachable: Family<NodeLabel, Counter>,
    pools: Family<NodeLabel, Gauge>,
    retried: Family<OutcomeLabel, Counter>,
    pub(crate) octets: Counter,
    pub(crate) sessions: Gauge,
    pub(crate) spool_entries: Gauge,
    pub(crate) spool_failed: Counter,
    pub(crate) look_up: Histogram,
    pub(crate) message: Histogram,
    delivery: Histogram,
}

impl Metrics {
    /// Makes and registers them under `chasqui_mx`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        // 50 µs … 26 s.
        let times = || Histogram::new(exponential_buckets(50e-6, 2.0, 20));
        let metrics = Self {
            messages: Family::default(),
            recipients: Family::default(),
            deliveries: Family::default(),
            unreachable: Family::default(),
            pools: Family::default(),
            retried: Family::default(),
            octets: Counter::default(),
            sessions: Gauge::default(),
            spool_entries: Gauge::default(),
            spool_failed: Counter::default(),
            look_up: times(),
            message: times(),
            delivery: times(),
        };
        let registry = registry.sub_registry_with_prefix("chasqui_mx");
        let m = metrics.clone();
        registry.register("messages", "Messages received, by what they were answered", m.messages);
        registry.register("recipients", "RCPT commands, by what they were answered", m.recipients);
        registry.register("deliveries", "Recipients handed to storage nodes, by outcome", m.deliveries);
        registry.register("node_failures", "Connections to storage nodes that failed", m.unreachable);
        registry.register("node_connections", "Open connections to storage nodes", m.pools);
        registry.register("retries", "Recipients retried from the spool, by outcome", m.retried);
        registry.register_with_unit("received", "Octets of messages received", Unit::Bytes, m.octets);
        registry.register("sessions", "Open SMTP sessions", m.sessions);
        registry.register("spool_entries", "Messages that wait in the spool", m.spool_entries);
        registry.register("spool_failed", "Recipients given up and kept in `failed`", m.spool_failed);
        registry.register_with_unit("look_up", "Time of a directory look-up", Unit::Seconds, m.look_up);
        registry.register_with_unit(
            "message",
            "Time from the end of a message to its answer",
            Unit::Seconds,
            m.message,
        );
        registry.register_with_unit(
            "delivery",
            "Time of one delivery to one node",
            Unit::Seconds,
            m.delivery,
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
        self.retried.get_or_create(&OutcomeLabel { outcome: name(outcome) }).inc();
    }

    /// A delivery to a node ended.
    pub(crate) fn delivered(&self, node: &str, outcomes: &[Outcome], took: Duration) {
        for outcome in outcomes {
            let label = NodeOutcomeLabel { node: node.to_owned(), outcome: name(outcome) };
            self.deliveries.get_or_create(&label).inc();
        }
        self.delivery.observe(took.as_secs_f64());
    }

    /// A node cannot be reached.
    pub(crate) fn unreachable(&self, node: &str) {
        self.unreachable.get_or_create(&NodeLabel { node: node.to_owned() }).inc();
    }

    /// Connections of a pool.
    pub(crate) fn pool(&self, node: &str, open: usize) {
        self.pools
            .get_or_create(&NodeLabel { node: node.to_owned() })
            .set(i64::try_from(open).unwrap_or(i64::MAX));
    }
}

const fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Stored(_) => "stored",
        Outcome::Refused(_) => "refused",
        Outcome::Deferred(Cause::Unreachable, _) => "unreachable",
        Outcome::Deferred(Cause::Uncertain, _) => "uncertain",
        Outcome::Deferred(Cause::Node, _) => "deferred",
        Outcome::Deferred(Cause::Mailbox, _) => "mailbox",
        Outcome::Deferred(Cause::Moved, _) => "moved",
    }
}

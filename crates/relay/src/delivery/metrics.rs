//! What delivery counts.

use crate::fate::{DeliveredKind, Fate};
use chasqui_courier::times;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Made {
    family: &'static str,
    tls: &'static str,
}

/// Delivery's metrics. Cloning shares them.
#[derive(Clone)]
pub(super) struct Metrics {
    recipients: Family<Outcome, Counter>,
    connections: Family<Made, Counter>,
    failures: Family<Outcome, Counter>,
    reused: Counter,
    idle: Gauge,
    under_way: Gauge,
    attempt: Histogram,
}

impl Metrics {
    /// Makes and registers them under `chasqui_relay_delivery`.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            recipients: Family::default(),
            connections: Family::default(),
            failures: Family::default(),
            reused: Counter::default(),
            idle: Gauge::default(),
            under_way: Gauge::default(),
            attempt: times(),
        };
        let registry = registry.sub_registry_with_prefix("chasqui_relay_delivery");
        let m = metrics.clone();
        registry.register("recipients", "Recipients of attempts, by what became of them", m.recipients);
        registry.register("connections", "Connections made to other sites, by family and TLS", m.connections);
        registry.register("failures", "Hosts that could not be used, by why", m.failures);
        registry.register("reused", "Messages that went over a connection that was open already", m.reused);
        registry.register("idle_connections", "Connections that wait for a message", m.idle);
        registry.register("under_way", "Attempts under way", m.under_way);
        registry.register_with_unit("attempt", "Time of one attempt", Unit::Seconds, m.attempt);
        metrics
    }

    /// An attempt begins.
    pub(super) fn begun(&self) -> UnderWay<'_> {
        self.under_way.inc();
        UnderWay(self)
    }

    /// An attempt has ended.
    pub(super) fn ended(&self, fates: &[(u32, Fate)], took: Duration) {
        for (_, fate) in fates {
            self.recipients.get_or_create(&Outcome { outcome: name(fate) }).inc();
        }
        self.attempt.observe(took.as_secs_f64());
    }

    /// A connection was made.
    pub(super) fn connected(&self, v6: bool, tls: bool) {
        let family = if v6 { "ipv6" } else { "ipv4" };
        self.connections.get_or_create(&Made { family, tls: if tls { "yes" } else { "no" } }).inc();
    }

    /// A connection was used once more.
    pub(super) fn reused(&self) {
        self.reused.inc();
    }

    /// A host could not be used.
    pub(super) fn failed(&self, why: &'static str) {
        self.failures.get_or_create(&Outcome { outcome: why }).inc();
    }

    /// So many connections wait.
    pub(super) fn idle(&self, count: usize) {
        self.idle.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// Counts an attempt until it ends, however it does.
pub(super) struct UnderWay<'a>(&'a Metrics);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.dec();
    }
}

/// A fate's name in metrics and logs.
pub(super) const fn name(fate: &Fate) -> &'static str {
    match fate {
        Fate::Delivered { kind: DeliveredKind::Final, .. } => "stored",
        Fate::Delivered { .. } => "delivered",
        Fate::Expanded { .. } => "expanded",
        Fate::Deferred(_) => "deferred",
        Fate::Failed(_) => "failed",
    }
}

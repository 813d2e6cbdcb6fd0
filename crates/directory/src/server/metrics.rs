//! What the directory tells Prometheus.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::desk::Desk;
use crate::source::Health;

/// Counters of one result each; the hot path holds them, so that it never looks a label up.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) found: Counter,
    pub(crate) unknown: Counter,
    pub(crate) not_ours: Counter,
    pub(crate) failing: Counter,
    pub(crate) yes: Counter,
    pub(crate) remembered: Counter,
    pub(crate) no: Counter,
    pub(crate) disabled: Counter,
    pub(crate) busy: Counter,
    pub(crate) answered: Counter,
    pub(crate) replayed: Counter,
    pub(crate) stale: Counter,
    pub(crate) sessions_full: Counter,
    pub(crate) foreign: Counter,
    pub(crate) connections: Counter,
    /// Seconds from a datagram's receipt to its answer, password checks aside.
    pub(crate) answer_seconds: Histogram,
    /// Seconds that a password check waited for a thread.
    pub(crate) verify_waited: Histogram,
    families: Families,
}

#[derive(Clone, Debug, Default)]
struct Families {
    look_ups: Family<Labels, Counter>,
    verifications: Family<Labels, Counter>,
    datagrams: Family<Labels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    result: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let families = Families::default();
        let of = |family: &Family<Labels, Counter>, result| family.get_or_create(&Labels { result }).clone();
        Self {
            found: of(&families.look_ups, "found"),
            unknown: of(&families.look_ups, "unknown"),
            not_ours: of(&families.look_ups, "not_ours"),
            failing: of(&families.look_ups, "failing"),
            yes: of(&families.verifications, "yes"),
            remembered: of(&families.verifications, "remembered"),
            no: of(&families.verifications, "no"),
            disabled: of(&families.verifications, "disabled"),
            busy: of(&families.verifications, "busy"),
            answered: of(&families.datagrams, "answered"),
            replayed: of(&families.datagrams, "replayed"),
            stale: of(&families.datagrams, "stale"),
            sessions_full: of(&families.datagrams, "sessions_full"),
            foreign: of(&families.datagrams, "foreign"),
            connections: Counter::default(),
            answer_seconds: Histogram::new(exponential_buckets(1e-6, 4.0, 9)),
            verify_waited: Histogram::new(exponential_buckets(1e-4, 4.0, 9)),
            families,
        }
    }
}

impl Metrics {
    /// Adds everything under `chasqui_directory`.
    pub(crate) fn register(&self, registry: &mut Registry, desk: Arc<Desk>, health: Arc<Health>) {
        let registry = registry.sub_registry_with_prefix("chasqui_directory");
        registry.register("look_ups", "Look-ups by result", self.families.look_ups.clone());
        registry.register(
            "verifications",
            "Password checks by result; remembered is a yes without a check",
            self.families.verifications.clone(),
        );
        registry.register(
            "datagrams",
            "Datagrams by what was done with them; foreign is none of ours, or tampered with",
            self.families.datagrams.clone(),
        );
        registry.register(
            "tcp_connections",
            "Connections for answers that fit in no datagram",
            self.connections.clone(),
        );
        registry.register(
            "answer_seconds",
            "Time to answer a datagram, password checks aside",
            self.answer_seconds.clone(),
        );
        registry.register(
            "verify_wait_seconds",
            "Time that a password check waited for a thread",
            self.verify_waited.clone(),
        );
        registry.register_collector(Box::new(State { desk, health }));
    }
}

/// What is read from the server's state when the page is asked for.
struct State {
    desk: Arc<Desk>,
    health: Arc<Health>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State")
    }
}

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let view = self.desk.view();
        let age = crate::wire::now().saturating_sub(self.health.checked.load(Ordering::Relaxed));
        let overlay = view.overlay.len();
        let gauges: [(&str, &str, i64); 8] = [
            ("users", "Accounts in memory", count(view.accounts)),
            ("domains", "Domains served", count(view.domains.len())),
            ("nodes", "Storage nodes", count(view.nodes.len())),
            ("snapshot_octets", "Memory of the snapshot", count(view.base.memory() + view.overlay.memory())),
            ("overlay_entries", "Changes not yet folded into the snapshot", count(overlay)),
            ("verify_queue", "Password checks that wait", count(self.desk.verifier.queue_len())),
            ("over_quota", "Accounts reported over quota", count(self.desk.over_quota.len())),
            ("sessions", "Client processes remembered against replays", count(self.desk.replays.len())),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let gauge = ConstGauge::new(age as f64 / 1000.0);
        gauge.encode(encoder.encode_descriptor(
            "snapshot_age_seconds",
            "Time since memory and database were last known to be the same",
            None,
            gauge.metric_type(),
        )?)?;
        for (name, help, value) in [
            ("loads", "Times that all users were read", &self.health.loads),
            ("database_failures", "Attempts to read the database that failed", &self.health.failures),
        ] {
            let counter = ConstCounter::new(value.load(Ordering::Relaxed));
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

//! What the resolver tells Prometheus.

use std::time::Duration;

use hickory_resolver::proto::rr::RecordType;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookUp {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Memory {
    result: &'static str,
}

/// The resolver's metrics. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Metrics {
    look_ups: Family<LookUp, Counter>,
    memory: Family<Memory, Counter>,
    seconds: Histogram,
    entries: Gauge,
    root_unproved: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            look_ups: Family::default(),
            memory: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.001, 2.5, 11)),
            entries: Gauge::default(),
            root_unproved: Gauge::default(),
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("chasqui_dns");
        let m = self.clone();
        registry.register("look_ups", "Look-ups, by type and by what they ended in", m.look_ups);
        registry.register("memory", "Look-ups, by what was remembered: hit, miss, stale", m.memory);
        registry.register_with_unit(
            "look_up",
            "Time of look-ups that were not remembered",
            Unit::Seconds,
            m.seconds,
        );
        registry.register("entries", "Outcomes remembered", m.entries);
        registry.register(
            "root_unproved",
            "1 if the root's keys were not proved when last looked at, after a failed validation: all look-ups fail then",
            m.root_unproved,
        );
    }

    pub(crate) fn ended(&self, kind: RecordType, outcome: &'static str) {
        let kind = match kind {
            RecordType::A => "a",
            RecordType::AAAA => "aaaa",
            RecordType::MX => "mx",
            RecordType::TXT => "txt",
            RecordType::PTR => "ptr",
            RecordType::TLSA => "tlsa",
            _ => "other",
        };
        self.look_ups.get_or_create(&LookUp { kind, outcome }).inc();
    }

    pub(crate) fn root_unproved(&self, unproved: bool) {
        self.root_unproved.set(i64::from(unproved));
    }

    pub(crate) fn remembered(&self, result: &'static str) {
        self.memory.get_or_create(&Memory { result }).inc();
    }

    pub(crate) fn asked(&self, took: Duration, entries: u64) {
        self.seconds.observe(took.as_secs_f64());
        self.entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
    }
}

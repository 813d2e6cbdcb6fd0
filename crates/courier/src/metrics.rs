//! What is counted of the links to storage nodes.

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
struct NodeLabel {
    node: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeOutcomeLabel {
    node: String,
    outcome: &'static str,
}

/// Metrics of deliveries, connections and look-ups. Cloning shares them.
#[derive(Clone)]
pub struct Metrics {
    deliveries: Family<NodeOutcomeLabel, Counter>,
    unreachable: Family<NodeLabel, Counter>,
    pools: Family<NodeLabel, Gauge>,
    delivery: Histogram,
    /// Seconds of each look-up at the directory.
    pub look_up: Histogram,
}

/// Times from 50 µs to 26 s.
#[must_use]
pub fn times() -> Histogram {
    Histogram::new(exponential_buckets(50e-6, 2.0, 20))
}

impl Metrics {
    /// Makes and registers them; `registry` has the role's prefix already.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            deliveries: Family::default(),
            unreachable: Family::default(),
            pools: Family::default(),
            delivery: times(),
            look_up: times(),
        };
        let m = metrics.clone();
        registry.register("deliveries", "Recipients handed to storage nodes, by outcome", m.deliveries);
        registry.register("node_failures", "Connections to storage nodes that failed", m.unreachable);
        registry.register("node_connections", "Open connections to storage nodes", m.pools);
        registry.register_with_unit("look_up", "Time of a directory look-up", Unit::Seconds, m.look_up);
        registry.register_with_unit(
            "delivery",
            "Time of one delivery to one node",
            Unit::Seconds,
            m.delivery,
        );
        metrics
    }

    /// A delivery to a node ended.
    pub(crate) fn delivered(&self, node: &str, outcomes: &[Outcome], took: Duration) {
        for outcome in outcomes {
            let label = NodeOutcomeLabel { node: node.to_owned(), outcome: outcome.name() };
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

impl Outcome {
    /// Its name in metrics and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Stored(_) => "stored",
            Self::Refused(_) => "refused",
            Self::Deferred(Cause::Unreachable, _) => "unreachable",
            Self::Deferred(Cause::Uncertain, _) => "uncertain",
            Self::Deferred(Cause::Node, _) => "deferred",
            Self::Deferred(Cause::Mailbox, _) => "mailbox",
            Self::Deferred(Cause::Moved, _) => "moved",
        }
    }
}

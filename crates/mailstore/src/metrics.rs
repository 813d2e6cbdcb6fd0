//! What the store tells Prometheus.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Counters and histograms of one store.
pub(crate) struct Metrics {
    pub(crate) delivered: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) refused: Counter,
    pub(crate) batch: Histogram,
    pub(crate) commit_seconds: Histogram,
    pub(crate) delivery_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        // 0.1 ms … 6.5 s
        let seconds = || Histogram::new(exponential_buckets(0.0001, 2.0, 17));
        Metrics {
            delivered: Counter::default(),
            duplicates: Counter::default(),
            refused: Counter::default(),
            batch: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
            commit_seconds: seconds(),
            delivery_seconds: seconds(),
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("chasqui_mailstore");
        registry.register("delivered", "Messages stored, one a recipient", self.delivered.clone());
        registry.register(
            "duplicates",
            "Deliveries recognised as retries and not stored again",
            self.duplicates.clone(),
        );
        registry.register("refused", "Deliveries refused: quota, full disk, failure", self.refused.clone());
        registry.register("batch_size", "Deliveries in one group commit", self.batch.clone());
        registry.register(
            "commit_seconds",
            "From the first write of a group commit to its last sync",
            self.commit_seconds.clone(),
        );
        registry.register(
            "delivery_seconds",
            "From queue to acknowledgement, one delivery",
            self.delivery_seconds.clone(),
        );
    }
}

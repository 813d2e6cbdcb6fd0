//! What the store tells Prometheus.

use std::fmt;
use std::sync::Weak;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::worker::Workers;

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

/// The workers' queues, counted when somebody looks.
pub(crate) struct Queues(pub(crate) Weak<Workers>);

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queues")
    }
}

impl Collector for Queues {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let waiting = self.0.upgrade().map_or(0, |workers| workers.waiting());
        let gauge = ConstGauge::new(i64::try_from(waiting).unwrap_or(i64::MAX));
        let help = "Requests that wait for a worker";
        gauge.encode(encoder.encode_descriptor("waiting", help, None, gauge.metric_type())?)
    }
}

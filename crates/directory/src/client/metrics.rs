//! What a role tells Prometheus about its questions.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

pub(super) struct Metrics {
    pub(super) questions: Counter,
    pub(super) datagrams: Counter,
    pub(super) repeated: Counter,
    pub(super) over_tcp: Counter,
    pub(super) unavailable: Counter,
    pub(super) deaths: Counter,
    /// Seconds from a datagram's questions to their answers.
    pub(super) seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            questions: Counter::default(),
            datagrams: Counter::default(),
            repeated: Counter::default(),
            over_tcp: Counter::default(),
            unavailable: Counter::default(),
            deaths: Counter::default(),
            seconds: Histogram::new(exponential_buckets(1e-4, 4.0, 9)),
        }
    }
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("chasqui_directory_client");
        registry.register("questions", "Questions asked of the directory", self.questions.clone());
        registry.register("datagrams", "Datagrams sent", self.datagrams.clone());
        registry.register(
            "repeated",
            "Datagrams sent because an earlier one was not answered in time",
            self.repeated.clone(),
        );
        registry.register("over_tcp", "Questions whose answer fitted in no datagram", self.over_tcp.clone());
        registry.register("unavailable", "Questions that no server answered", self.unavailable.clone());
        registry.register("servers_lost", "Times that a server stopped answering", self.deaths.clone());
        registry.register("seconds", "Time from question to answer", self.seconds.clone());
    }
}

//! What is counted of the queue.

use crate::queue::index::{Standing, Totals};
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

/// Destinations that have a label of their own; labels are as few as that whatever is queued.
const SHOWN: usize = 10;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct At {
    destination: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

/// Metrics of the queue. Cloning shares them.
#[derive(Clone)]
pub struct Metrics {
    messages: Gauge,
    octets: Gauge,
    states: Family<InState, Gauge>,
    destinations: Gauge,
    troubled: Gauge,
    by_destination: Family<At, Gauge>,
    oldest: Gauge,
    enqueued: Counter,
    recipients: Family<Outcome, Counter>,
    notices: Family<Outcome, Counter>,
    damaged: Counter,
    time_in_queue: Histogram,
    attempt: Histogram,
}

impl Metrics {
    /// Makes and registers them under `chasqui_relay_queue`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            messages: Gauge::default(),
            octets: Gauge::default(),
            states: Family::default(),
            destinations: Gauge::default(),
            troubled: Gauge::default(),
            by_destination: Family::default(),
            oldest: Gauge::default(),
            enqueued: Counter::default(),
            recipients: Family::default(),
            notices: Family::default(),
            damaged: Counter::default(),
            // From 10 ms to 12 days.
            time_in_queue: Histogram::new(exponential_buckets(0.01, 4.0, 14)),
            // From 1 ms to 17 min.
            attempt: Histogram::new(exponential_buckets(0.001, 2.0, 20)),
        };
        let m = metrics.clone();
        let registry = registry.sub_registry_with_prefix("chasqui_relay_queue");
        registry.register("messages", "Messages in the queue", m.messages);
        registry.register_with_unit("size", "Octets of their texts", Unit::Bytes, m.octets);
        registry.register("deliveries", "Messages by destination, by what they do there", m.states);
        registry.register("destinations", "Destinations that messages wait for", m.destinations);
        registry.register("destinations_in_trouble", "Destinations that are left alone for now", m.troubled);
        registry.register("largest", "Messages of the ten destinations that most wait for", m.by_destination);
        registry.register_with_unit("oldest_age", "Age of the oldest message", Unit::Seconds, m.oldest);
        registry.register("enqueued", "Messages taken into the queue", m.enqueued);
        registry.register("recipients", "Recipients of attempts, by what became of them", m.recipients);
        registry.register("notices", "Notices to senders, by what they say", m.notices);
        registry.register("damaged", "Files set aside because they cannot be read", m.damaged);
        registry.register_with_unit(
            "time_in_queue",
            "Time from acknowledgement until a recipient's copy was delivered",
            Unit::Seconds,
            m.time_in_queue,
        );
        registry.register_with_unit("attempt", "Time of one attempt", Unit::Seconds, m.attempt);
        metrics
    }

    /// A message was taken.
    pub(crate) fn enqueued(&self) {
        self.enqueued.inc();
    }

    /// What became of a recipient: `delivered`, `deferred`, `failed` or `expanded`.
    pub(crate) fn recipient(&self, outcome: &'static str) {
        self.recipients.get_or_create(&Outcome { outcome }).inc();
    }

    /// A recipient's copy was delivered after so many seconds.
    pub(crate) fn delivered_after(&self, seconds: u64) {
        self.time_in_queue.observe(seconds as f64);
    }

    /// A notice was queued: `failure`, `delay` or `success`.
    pub(crate) fn notice(&self, outcome: &'static str) {
        self.notices.get_or_create(&Outcome { outcome }).inc();
    }

    /// A file was set aside.
    pub(crate) fn damaged(&self) {
        self.damaged.inc();
    }

    /// An attempt took so long.
    pub(crate) fn attempt(&self, took: Duration) {
        self.attempt.observe(took.as_secs_f64());
    }

    /// The numbers of this moment.
    pub(crate) fn totals(&self, totals: &Totals, oldest: Option<u64>) {
        let set = |gauge: &Gauge, value: usize| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.messages, totals.messages);
        self.octets.set(i64::try_from(totals.octets).unwrap_or(i64::MAX));
        set(&self.destinations, totals.destinations);
        set(&self.troubled, totals.troubled);
        for (state, value) in [
            ("waiting", totals.waiting),
            ("ready", totals.ready),
            ("running", totals.running),
            ("held", totals.held),
        ] {
            set(&self.states.get_or_create(&InState { state }), value);
        }
        self.oldest.set(oldest.map_or(0, |age| i64::try_from(age).unwrap_or(i64::MAX)));
    }

    /// The destinations that most wait for.
    pub(crate) fn largest(&self, standings: &[Standing]) {
        self.by_destination.clear();
        for standing in standings.iter().take(SHOWN) {
            let label = At { destination: standing.destination.to_string() };
            self.by_destination.get_or_create(&label).set(i64::from(standing.messages));
        }
    }
}

/// The so many destinations that most wait for, gathered piece by piece.
#[derive(Default)]
pub(crate) struct Largest(Vec<Standing>);

impl Largest {
    /// Takes what is larger than the smallest so far.
    pub(crate) fn add(&mut self, more: Vec<Standing>) {
        self.0.extend(more);
        self.0.sort_by(|a, b| b.messages.cmp(&a.messages).then_with(|| a.destination.cmp(&b.destination)));
        self.0.truncate(SHOWN);
    }

    pub(crate) fn into_inner(self) -> Vec<Standing> {
        self.0
    }
}

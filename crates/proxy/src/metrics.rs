//! What the proxy counts, under the prefix `chasqui_proxy`.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The protocol a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Protocol {
    /// IMAP.
    Imap,
    /// POP3.
    Pop3,
}

/// How a log-in ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// The session goes on at the storage node.
    Ok,
    /// Wrong password or no such user.
    Wrong,
    /// Right password, but the account or this service is switched off.
    Disabled,
    /// Refused unasked: too many have failed.
    Refused,
    /// No directory answered.
    NoDirectory,
    /// The owner node cannot be reached or does not answer.
    NodeDown,
    /// The owner node answered, but opened no session.
    NodeRefused,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Stage {
    LogIn,
    Relay,
}

/// A step of a log-in whose time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Step {
    /// The directory's answer.
    Verify,
    /// Connection to the storage node, TLS included.
    Connect,
    /// From the connection to the node's tagged OK.
    Open,
}

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Direction {
    FromClient,
    ToClient,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfProtocol {
    protocol: Protocol,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStage {
    protocol: Protocol,
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    protocol: Protocol,
    result: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStep {
    step: Step,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDirection {
    protocol: Protocol,
    direction: Direction,
}

/// The proxy's metrics.
#[derive(Clone)]
pub struct Metrics {
    sessions: Family<OfProtocol, Counter>,
    open: Family<OfStage, Gauge>,
    log_ins: Family<OfOutcome, Counter>,
    seconds: Family<OfStep, Histogram>,
    bytes: Family<OfDirection, Counter>,
    waiting: Gauge,
    delayed: Gauge,
}

/// One more, until it is dropped.
pub struct Held(Gauge);

impl Metrics {
    /// Registers all of them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            sessions: Family::default(),
            open: Family::default(),
            log_ins: Family::default(),
            seconds: Family::new_with_constructor(latencies),
            bytes: Family::default(),
            waiting: Gauge::default(),
            delayed: Gauge::default(),
        };
        let registry = registry.sub_registry_with_prefix("chasqui_proxy");
        registry.register("sessions", "Connections accepted", metrics.sessions.clone());
        registry.register("open_sessions", "Connections open, by stage", metrics.open.clone());
        registry.register("log_ins", "Log-ins tried, by result", metrics.log_ins.clone());
        let help = "Time of each step of a log-in";
        registry.register_with_unit("log_in_step", help, Unit::Seconds, metrics.seconds.clone());
        registry.register_with_unit(
            "relayed",
            "Bytes relayed after the log-in",
            Unit::Bytes,
            metrics.bytes.clone(),
        );
        registry.register(
            "log_ins_waiting",
            "Log-ins that wait for a directory or a node",
            metrics.waiting.clone(),
        );
        registry.register("log_ins_delayed", "Answers held back from guessers", metrics.delayed.clone());
        metrics
    }

    /// A connection was accepted; it counts as one that logs in until the guard is dropped.
    pub fn accepted(&self, protocol: Protocol) -> Held {
        self.sessions.get_or_create(&OfProtocol { protocol }).inc();
        self.stage(protocol, Stage::LogIn)
    }

    /// A session is relayed until the guard is dropped.
    pub fn relaying(&self, protocol: Protocol) -> Held {
        self.stage(protocol, Stage::Relay)
    }

    /// A log-in waits for somebody until the guard is dropped.
    pub fn waiting(&self) -> Held {
        Held::new(self.waiting.clone())
    }

    /// An answer is held back until the guard is dropped.
    pub fn delayed(&self) -> Held {
        Held::new(self.delayed.clone())
    }

    /// A log-in ended.
    pub fn log_in(&self, protocol: Protocol, result: Outcome) {
        self.log_ins.get_or_create(&OfOutcome { protocol, result }).inc();
    }

    /// A step of a log-in took so long.
    pub fn step(&self, step: Step, took: Duration) {
        self.seconds.get_or_create(&OfStep { step }).observe(took.as_secs_f64());
    }

    /// A relayed session ended after so many bytes.
    pub fn relayed(&self, protocol: Protocol, from_client: u64, to_client: u64) {
        let counted = [(Direction::FromClient, from_client), (Direction::ToClient, to_client)];
        for (direction, bytes) in counted {
            self.bytes.get_or_create(&OfDirection { protocol, direction }).inc_by(bytes);
        }
    }

    fn stage(&self, protocol: Protocol, stage: Stage) -> Held {
        Held::new(self.open.get_or_create_owned(&OfStage { protocol, stage }))
    }
}

impl Protocol {
    /// Its name in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
        }
    }
}

impl Held {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A log-in takes from a fraction of a millisecond (a remembered password on a near node) to seconds.
fn latencies() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0,
    ])
}

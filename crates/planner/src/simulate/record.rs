//! What the day was like, while it is played.

use serde::Serialize;

use super::histogram::Histogram;
use super::load::{Class, DAY};
use super::queue::Queue;
use crate::site::Role;

/// Length of a point of the curves, in seconds.
pub(super) const POINT: f64 = 300.0;
const POINTS: usize = (DAY / POINT) as usize;

/// What has a queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// The hosts of a role.
    Role(Role),
    /// The cores of the arrays' controllers.
    Controller,
    /// The ports of the arrays' controllers.
    Ports,
    /// The SSDs in front of the drives.
    Ssds,
    /// The drives.
    Drives,
}

impl Stage {
    /// What an array consists of.
    pub(super) const SHELF: [Self; 4] = [Self::Controller, Self::Ports, Self::Ssds, Self::Drives];

    /// All, from the internet inwards.
    pub(super) const ALL: [Self; 11] = [
        Self::Role(Role::Firewall),
        Self::Role(Role::Router),
        Self::Role(Role::Facade),
        Self::Role(Role::Proxy),
        Self::Role(Role::Mx),
        Self::Role(Role::Directory),
        Self::Role(Role::Storage),
        Self::Controller,
        Self::Ports,
        Self::Ssds,
        Self::Drives,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Role(Role::Firewall) => "firewall",
            Self::Role(Role::Router) => "router",
            Self::Role(Role::Facade) => "facade",
            Self::Role(Role::Proxy) => "proxy",
            Self::Role(Role::Mx) => "mx",
            Self::Role(Role::Directory) => "directory",
            Self::Role(_) => "storage",
            Self::Controller => "array controller",
            Self::Ports => "array ports",
            Self::Ssds => "SSDs",
            Self::Drives => "drives",
        }
    }

    fn slot(self) -> usize {
        Self::ALL.iter().position(|one| *one == self).unwrap_or_default()
    }
}

/// A tier during the day.
#[derive(Clone, Debug)]
pub(super) struct TierRecord {
    /// Times by the hour.
    pub(super) times: Vec<Histogram>,
    /// The highest load of each hour.
    pub(super) loads: Vec<f64>,
    /// The most that waited, by the hour.
    pub(super) waiting: Vec<f64>,
    /// What it was asked, by the hour.
    pub(super) asked: Vec<f64>,
    /// The highest load of each point of the curve.
    pub(super) curve: Vec<f64>,
    /// The highest load, when it was and whose.
    pub(super) peak: Peak,
    /// The same while nothing was lost.
    pub(super) usual: Peak,
    /// Whether anything was asked of it.
    pub(super) used: bool,
    now: f64,
}

/// The highest load of a tier.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Peak {
    /// Work asked for as a share of what can be done.
    pub load: f64,
    /// Second of the day.
    pub at: f64,
    /// The first server that had it.
    pub server: String,
}

/// What could not be done at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Refused {
    /// Log-ins that failed and were tried again.
    pub log_ins: f64,
    /// Requests that failed.
    pub requests: f64,
    /// Messages that senders had to bring again.
    pub deferred: f64,
    /// Messages that exchangers took into their spools.
    pub spooled: f64,
}

impl Refused {
    fn add(&mut self, other: Self) {
        self.log_ins += other.log_ins;
        self.requests += other.requests;
        self.deferred += other.deferred;
        self.spooled += other.spooled;
    }
}

/// Everything that is remembered of a day.
pub(super) struct Record {
    pub(super) tiers: Vec<TierRecord>,
    /// Whole times by class and hour.
    pub(super) whole: Vec<Vec<Histogram>>,
    /// Whole times by class and point of the curve.
    pub(super) curve: Vec<Vec<Histogram>>,
    /// Refused by the hour.
    pub(super) refused: Vec<Refused>,
    /// Refused while an event was the last one.
    pub(super) of_event: Vec<Refused>,
    /// The most people without session, messages at senders and in spools, with the time.
    pub(super) most: [(f64, f64); 3],
    /// The first that could not keep up: when, what, whose, and whether an event was the reason.
    pub(super) first: Option<(f64, Stage, String, Option<usize>)>,
    at: f64,
    event: Option<usize>,
}

impl Record {
    pub(super) fn new() -> Self {
        let tier = TierRecord {
            times: vec![Histogram::new(); 24],
            loads: vec![0.0; 24],
            waiting: vec![0.0; 24],
            asked: vec![0.0; 24],
            curve: vec![0.0; POINTS],
            peak: Peak::default(),
            usual: Peak::default(),
            used: false,
            now: 0.0,
        };
        Self {
            tiers: vec![tier; Stage::ALL.len()],
            whole: vec![vec![Histogram::new(); 24]; Class::ALL.len()],
            curve: vec![vec![Histogram::new(); POINTS]; Class::ALL.len()],
            refused: vec![Refused::default(); 24],
            of_event: Vec::new(),
            most: [(0.0, 0.0); 3],
            first: None,
            at: 0.0,
            event: None,
        }
    }

    fn hour(&self) -> usize {
        (self.at / 3_600.0) as usize % 24
    }

    fn point(&self) -> usize {
        ((self.at / POINT) as usize).min(POINTS - 1)
    }

    /// A slice begins, in which an event has its effect.
    pub(super) fn begin(&mut self, at: f64, event: Option<usize>) {
        (self.at, self.event) = (at, event);
        for tier in &mut self.tiers {
            tier.now = 0.0;
        }
    }

    /// A slice ends.
    pub(super) fn end(&mut self, without_session: f64, at_senders: f64, spooled: f64) {
        let hour = self.hour();
        for tier in &mut self.tiers {
            tier.waiting[hour] = tier.waiting[hour].max(tier.now);
        }
        for (most, now) in self.most.iter_mut().zip([without_session, at_senders, spooled]) {
            if now > most.0 {
                *most = (now, self.at);
            }
        }
    }

    /// The state of servers that are alike: what was asked of them in the slice, how many wait there; `open` if they serve.
    pub(super) fn station(
        &mut self,
        stage: Stage,
        server: &str,
        queue: &Queue,
        asked: f64,
        waiting: f64,
        open: bool,
    ) {
        let (hour, point, at, event) = (self.hour(), self.point(), self.at, self.event);
        let tier = &mut self.tiers[stage.slot()];
        tier.used |= asked > 0.0;
        tier.asked[hour] += asked;
        tier.now += waiting;
        if !open {
            return;
        }
        let load = queue.load();
        tier.loads[hour] = tier.loads[hour].max(load);
        tier.curve[point] = tier.curve[point].max(load);
        let usual = event.is_none().then_some(&mut tier.usual);
        for peak in usual.into_iter().chain([&mut tier.peak]) {
            if load > peak.load {
                peak.load = load;
                peak.at = at;
                server.clone_into(&mut peak.server);
            }
        }
        if load > 1.0 && queue.backlog() > 1.0 && self.first.is_none() {
            self.first = Some((at, stage, server.to_owned(), event));
        }
    }

    /// The time that one of `weight` took in a tier.
    pub(super) fn time(&mut self, stage: Stage, time: f64, weight: f64) {
        let hour = self.hour();
        self.tiers[stage.slot()].times[hour].add(time, weight);
    }

    /// The time that one of `weight` took in all.
    pub(super) fn whole(&mut self, class: Class, time: f64, weight: f64) {
        let (hour, point) = (self.hour(), self.point());
        self.whole[class as usize][hour].add(time, weight);
        self.curve[class as usize][point].add(time, weight);
    }

    /// What could not be done at once; messages are spooled if an exchanger has them.
    pub(super) fn refuse(&mut self, log_ins: f64, requests: f64, messages: f64, spooled: bool) {
        let (deferred, spooled) = if spooled { (0.0, messages) } else { (messages, 0.0) };
        let refused = Refused { log_ins, requests, deferred, spooled };
        let hour = self.hour();
        self.refused[hour].add(refused);
        if let Some(event) = self.event {
            if self.of_event.len() <= event {
                self.of_event.resize(event + 1, Refused::default());
            }
            self.of_event[event].add(refused);
        }
    }

    /// All of the day.
    pub(super) fn refused(&self) -> Refused {
        let mut sum = Refused::default();
        self.refused.iter().for_each(|hour| sum.add(*hour));
        sum
    }
}

//! What a simulated day was like, for people and for programs.

use serde::Serialize;

use super::costs::{Assumptions, Costs};
use super::event::{Event, minute};
use super::fleet::Fleet;
use super::histogram::Histogram;
use super::load::Class;
use super::record::{POINT, Peak, Record, Refused, Stage, TierRecord};
use super::remedy;
use crate::demand::Demand;

/// A simulated day.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The site.
    pub site: String,
    /// Its accounts.
    pub users: u64,
    /// Where the costs come from.
    pub figures: String,
    /// The seed; the same one gives the same day.
    pub seed: u64,
    /// Length of a slice in seconds.
    pub slice: f64,
    /// What nobody measured.
    pub assumptions: Assumptions,
    /// What is done for people, whole.
    pub work: Vec<Work>,
    /// The tiers, from the internet inwards.
    pub tiers: Vec<Tier>,
    /// What was lost, and what that did.
    pub events: Vec<Effect>,
    /// What could not be done at once, in all.
    pub refused: Refused,
    /// The most people at a time that had no session and tried again.
    pub without_session: Most,
    /// The most messages at a time that senders had to bring again.
    pub at_senders: Most,
    /// The most messages at a time in the exchangers' spools.
    pub spooled: Most,
    /// What fails first.
    pub bottleneck: Bottleneck,
}

/// The most of something, and when.
#[derive(Clone, Debug, Serialize)]
pub struct Most {
    /// How many.
    pub count: f64,
    /// Time of the day.
    pub at: String,
}

/// A time, half of them, the slowest twentieth, the slowest hundredth and the slowest of all, in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Times {
    /// How many it is about.
    pub count: f64,
    /// Half were quicker.
    pub p50: f64,
    /// 95 of 100 were quicker.
    pub p95: f64,
    /// 99 of 100 were quicker.
    pub p99: f64,
    /// The slowest that was followed.
    pub max: f64,
}

impl Times {
    fn of(histogram: &Histogram) -> Self {
        Self {
            count: histogram.count(),
            p50: histogram.at(0.5),
            p95: histogram.at(0.95),
            p99: histogram.at(0.99),
            max: histogram.longest(),
        }
    }

    fn day(hours: &[Histogram]) -> Self {
        let mut all = Histogram::new();
        hours.iter().for_each(|hour| all.merge(hour));
        Self::of(&all)
    }
}

/// Something that is done for people.
#[derive(Clone, Debug, Serialize)]
pub struct Work {
    /// `log-in`, `request` or `message`.
    pub name: &'static str,
    /// The whole day.
    pub day: Times,
    /// Each hour.
    pub hours: Vec<Times>,
    /// The slowest hundredth in each five minutes, in seconds.
    pub curve: Vec<f64>,
}

/// A tier during the day.
#[derive(Clone, Debug, Serialize)]
pub struct Tier {
    /// Its name.
    pub name: &'static str,
    /// Its servers.
    pub servers: usize,
    /// The highest load.
    pub peak: Peak,
    /// The highest load while nothing was lost.
    pub usual: Peak,
    /// The time in it, the whole day.
    pub day: Times,
    /// Each hour.
    pub hours: Vec<Hour>,
    /// The highest load in each five minutes.
    pub curve: Vec<f64>,
}

/// A tier in an hour.
#[derive(Clone, Debug, Serialize)]
pub struct Hour {
    /// What it was asked.
    pub asked: f64,
    /// The highest load.
    pub load: f64,
    /// The most that waited.
    pub waiting: f64,
    /// The time in it.
    pub times: Times,
}

/// What an event did.
#[derive(Clone, Debug, Serialize)]
pub struct Effect {
    /// The event, as it is written.
    pub event: String,
    /// What could not be done at once, up to a quarter of an hour after its end or until the next event.
    pub refused: Refused,
    /// The slowest hundredth of the requests in its slowest five minutes, in seconds.
    pub request_p99: f64,
}

/// What fails first, or would.
#[derive(Clone, Debug, Serialize)]
pub struct Bottleneck {
    /// The tier.
    pub tier: &'static str,
    /// A server of it.
    pub server: String,
    /// When it could not keep up; `None` if it could all day, and then it is the one with the highest load.
    pub at: Option<String>,
    /// The event that was the reason.
    pub event: Option<String>,
    /// The highest load of the tier.
    pub load: f64,
    /// About how many accounts the site holds while nothing is lost.
    pub holds: u64,
    /// What would remove it.
    pub remedy: String,
}

impl Report {
    pub(super) fn of(
        site: &str,
        demand: &Demand,
        costs: &Costs,
        options: &super::Options,
        record: &Record,
        fleet: &Fleet,
    ) -> Self {
        let most = |number: usize| {
            let (count, at) = record.most[number];
            Most { count, at: minute(at) }
        };
        let tiers: Vec<Tier> = Stage::ALL
            .into_iter()
            .zip(&record.tiers)
            .filter(|(_, tier)| tier.used)
            .map(|(stage, tier)| Tier::of(stage, tier, fleet))
            .collect();
        Self {
            site: site.to_owned(),
            users: demand.users,
            figures: costs.source.clone(),
            seed: options.seed,
            slice: options.slice,
            assumptions: options.assumptions.clone(),
            work: work(record),
            events: effects(&options.events, record, &options.assumptions),
            refused: record.refused(),
            without_session: most(0),
            at_senders: most(1),
            spooled: most(2),
            bottleneck: bottleneck(demand, options, record, fleet),
            tiers,
        }
    }
}

impl Tier {
    fn of(stage: Stage, tier: &TierRecord, fleet: &Fleet) -> Self {
        let hours = (0..24).map(|hour| Hour {
            asked: tier.asked[hour],
            load: tier.loads[hour],
            waiting: tier.waiting[hour],
            times: Times::of(&tier.times[hour]),
        });
        Self {
            name: stage.name(),
            servers: remedy::servers(stage, fleet),
            peak: tier.peak.clone(),
            usual: tier.usual.clone(),
            day: Times::day(&tier.times),
            hours: hours.collect(),
            curve: tier.curve.clone(),
        }
    }

    /// The most that waited at a time.
    pub fn most_waiting(&self) -> f64 {
        self.hours.iter().map(|hour| hour.waiting).fold(0.0, f64::max)
    }
}

fn work(record: &Record) -> Vec<Work> {
    let names = ["log-in", "request", "message"];
    let one = |class: Class| Work {
        name: names[class as usize],
        day: Times::day(&record.whole[class as usize]),
        hours: record.whole[class as usize].iter().map(Times::of).collect(),
        curve: record.curve[class as usize].iter().map(|point| point.at(0.99)).collect(),
    };
    Class::ALL.map(one).into()
}

fn effects(events: &[Event], record: &Record, assumed: &Assumptions) -> Vec<Effect> {
    let effect = |(number, event): (usize, &Event)| {
        let from = f64::from(event.at);
        let until = from + event.lasts.map_or(assumed.repair, |lasts| lasts as f64);
        let points = (from / POINT) as usize..=(until / POINT) as usize;
        let requests = &record.curve[Class::Request as usize];
        let slowest =
            points.filter_map(|point| requests.get(point)).map(|point| point.at(0.99)).fold(0.0, f64::max);
        Effect {
            event: event.to_string(),
            refused: record.of_event.get(number).copied().unwrap_or_default(),
            request_p99: slowest,
        }
    };
    events.iter().enumerate().map(effect).collect()
}

fn bottleneck(demand: &Demand, options: &super::Options, record: &Record, fleet: &Fleet) -> Bottleneck {
    let highest = |peak: &dyn Fn(&TierRecord) -> f64| {
        let tiers = Stage::ALL.into_iter().zip(&record.tiers);
        tiers.max_by(|(_, one), (_, other)| peak(one).total_cmp(&peak(other)))
    };
    let usual = highest(&|tier| tier.usual.load).map_or(1.0, |(_, tier)| tier.usual.load);
    let holds = (demand.users as f64 / usual.max(1e-9)) as u64;
    let (stage, server, at, event) = match &record.first {
        Some((at, stage, server, event)) => (*stage, server.clone(), Some(minute(*at)), *event),
        None => {
            let (stage, tier) = highest(&|tier| tier.peak.load).unwrap_or((Stage::ALL[0], &record.tiers[0]));
            (stage, tier.peak.server.clone(), None, None)
        }
    };
    let tier = Stage::ALL.iter().position(|one| *one == stage).map(|slot| &record.tiers[slot]);
    let load = tier.map_or(0.0, |tier| tier.peak.load);
    Bottleneck {
        tier: stage.name(),
        remedy: remedy::of(stage, &server, load, fleet),
        server,
        at,
        event: event.and_then(|number| options.events.get(number)).map(Event::to_string),
        load,
        holds,
    }
}

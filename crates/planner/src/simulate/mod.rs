//! A day of load through a site (E18): the log-in storm at eight, deliveries around the clock, blades and controllers that fail.
//!
//! # Method
//!
//! A discrete-event simulation that steps from event to event would need 10^10 steps for a day of ten million people. This one
//! steps through *slices* of a second and treats what comes in a slice as one number for each kind of work (log-ins, requests,
//! messages). Hosts that are alike carry the same load and are one queue. What a queue makes of a load
//! that changes, of overloads and of the time after them is in the `queue` module: a fluid backlog and Erlang's C beside it; its tests
//! compare it with M/M/c in the steady state and with every request played one by one in a day with an overload. Events
//! (something lost, something back) happen at the slice in which they fall; what is refused comes again: people after a
//! minute, senders after a quarter of an hour, spools after five minutes.
//!
//! In each slice a few log-ins, requests and messages are *followed* through the site: at each queue they draw a wait and a
//! service time. Weighed with what they stand for they give the percentiles. So the figures about tiers (load, queues, refused) do
//! not depend on chance at all, and percentiles do a little: the same `seed` gives the same day.
//!
//! What is *not* in it: the users' own lines, DNS, the time of light, memory (the plan counts it), and that a
//! server slows down in other ways than by queues. Service times are exponential, which is on the safe side for most of them.
//!
//! # Files
//!
//! `load`: the day's curves. `costs`: what each thing costs, and the assumptions. `fleet`, `shelf`: the site as queues. `event`,
//! `outage`: what is lost. `queue`: one queue. `day`: the slices. `record`, `report`, `remedy`: what it was like. `svg`: a picture.

mod costs;
mod day;
mod event;
#[cfg(test)]
mod exact;
mod fleet;
mod histogram;
mod load;
mod outage;
mod queue;
mod random;
mod record;
mod remedy;
mod report;
mod shelf;
mod svg;
#[cfg(test)]
mod tests;

pub use costs::Assumptions;
pub use event::{Event, EventError, EventKind, usual};
pub use record::{Peak, Refused};
pub use report::{Bottleneck, Effect, Hour, Most, Report, Tier, Times, Work};
pub use svg::svg;

use self::costs::Costs;
use self::day::Day;
use self::fleet::Fleet;
use self::load::Load;
use self::outage::Outages;
use crate::capacity::Measured;
use crate::demand::Demand;
use crate::site::{Role, Site};

/// How a day is played.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// What is lost, and when.
    pub events: Vec<Event>,
    /// What nobody measured.
    pub assumptions: Assumptions,
    /// The seed of chance. Default 1.
    pub seed: u64,
    /// Length of a slice in seconds. Default 1.
    pub slice: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { events: Vec::new(), assumptions: Assumptions::default(), seed: 1, slice: 1.0 }
    }
}

/// Why a day cannot be played.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SimulateError {
    /// An event is wrong.
    #[error("{0}")]
    Event(#[from] EventError),
    /// A role that everything goes through has no host.
    #[error("no host of the site has the role `{0}`: there is nothing to simulate without one")]
    Nobody(&'static str),
}

/// Plays a day; tells how far it is, from 0 to 1.
///
/// # Errors
///
/// If an event names what the site does not have, or a role that mail and people need has no host.
pub fn run(
    site: &Site,
    demand: &Demand,
    measured: &Measured,
    options: &Options,
    progress: &mut dyn FnMut(f64),
) -> Result<Report, SimulateError> {
    let needed = [
        (Role::Storage, "storage"),
        (Role::Proxy, "proxy"),
        (Role::Mx, "mx"),
        (Role::Directory, "directory"),
    ];
    for (role, name) in needed {
        if site.hosts_with(role).next().is_none() {
            return Err(SimulateError::Nobody(name));
        }
    }
    let assumptions = &options.assumptions;
    let outages = Outages::of(site, &options.events, assumptions)?;
    let costs = Costs::of(demand, measured, assumptions);
    let fleet = Fleet::of(site, demand, assumptions, &outages.touched());
    let day = Day::new(Load::of(demand), &costs, assumptions, fleet, &outages, options.seed);
    let (record, fleet) = day.play(options.slice.max(0.1), progress);
    Ok(Report::of(&site.name, demand, &costs, options, &record, &fleet))
}

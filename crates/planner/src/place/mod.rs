//! From what a demand needs to machines, guests and disks, and to the site file that says so (E10, E12, E18).
//!
//! Rules that hold in every plan, and that tests check on the site file itself:
//!
//! - Two guests of the same kind never share a machine, and they are spread over the chassis (E10).
//! - Any one machine or chassis may fail: the servers left of each kind carry the whole load. A storage node or backup host has
//!   no second server (E17); the blades that are left have room to start it again on the same LUN, and still the room that is kept free
//!   for roles that do not exist yet.
//! - Each data centre carries its own accounts, with every kind of server at least twice.

mod address;
mod blade;
mod disk;
mod host;
mod kind;
mod picture;
mod write;

pub use address::Addresses;
pub use blade::{Blade, Rack};
use chasqui_base::ByteSize;
pub use disk::{Array, Disks, Lun};
pub use kind::Kind;
pub use picture::picture;
use serde::Serialize;
pub use write::site_text;

use crate::capacity::{self, Measured, Sum, Tier, TierName};
use crate::demand::Demand;
use crate::site::Role;

/// Directory servers that a client asks at most.
const DIRECTORIES: u32 = 8;

/// Every data centre of the plan.
#[derive(Clone, Debug, Serialize)]
pub struct Fleet {
    /// In the order of the demand.
    pub datacenters: Vec<Center>,
}

/// A data centre.
#[derive(Clone, Debug, Serialize)]
pub struct Center {
    /// Its name.
    pub name: String,
    /// Accounts whose mailboxes it holds.
    pub users: u64,
    /// Kinds of guests.
    pub kinds: Vec<Kind>,
    /// Blades or servers with their guests.
    pub rack: Rack,
    /// Arrays and LUNs.
    pub disks: Disks,
    /// Firewalls and routers.
    pub edges: Vec<Edge>,
    /// What is kept free for the webmail.
    pub kept_free: Sum,
    /// Watts of all machines and drives.
    pub power: u64,
    /// Watts that there are, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_budget: Option<u64>,
}

/// A machine between the site and the internet.
#[derive(Clone, Debug, Serialize)]
pub struct Edge {
    /// Its kind: `firewall`, `router` or `edge`.
    pub kind: &'static str,
    /// Its number among them, from 1.
    pub number: u32,
    /// Speed of each of its ports in Gbit/s.
    pub speed: u32,
    /// Watts.
    pub power: u64,
}

/// Why a demand finds no place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// More blades than one data centre of the address plan has numbers for.
    #[error(
        "data centre {datacenter} would need more than {most} blades: raise `datacenters`, or `blade_cores` and `blade_memory`"
    )]
    Blades {
        /// Where.
        datacenter: String,
        /// How many fit.
        most: usize,
    },
    /// A guest that fits no blade.
    #[error(
        "a {kind} guest of {cores} cores and {memory} does not fit a blade of {blade_cores} cores and {blade_memory}: raise `blade_cores` or `blade_memory`"
    )]
    Guest {
        /// Its kind.
        kind: &'static str,
        /// Its cores.
        cores: u64,
        /// Its memory.
        memory: ByteSize,
        /// A blade's cores.
        blade_cores: u32,
        /// A blade's memory.
        blade_memory: ByteSize,
    },
    /// More servers, controllers or LUNs than there are numbers for.
    #[error(
        "data centre {datacenter} would need {count} {what}, more than {most}: raise `datacenters`, or {instead}"
    )]
    Many {
        /// Where.
        datacenter: String,
        /// How many.
        count: u64,
        /// Of what.
        what: &'static str,
        /// How many there can be.
        most: u64,
        /// What else to write.
        instead: &'static str,
    },
    /// A site that does not read back: a mistake of this planner.
    #[error("the planned site does not read back, which is a mistake of chasqui: {0}")]
    Text(#[from] chasqui_base::config::ConfigError),
}

impl Fleet {
    /// Places a demand that was checked.
    pub fn of(demand: &Demand, figures: &Measured) -> Result<Self, PlaceError> {
        let names = demand.datacenter_names();
        let center = |(number, name): (usize, String)| center(demand, figures, number, name);
        Ok(Self { datacenters: names.into_iter().enumerate().map(center).collect::<Result<_, _>>()? })
    }

    /// Systems that NixOS builds.
    pub fn hosts(&self) -> usize {
        let hosts = |center: &Center| {
            center.edges.len()
                + center.rack.blades.len()
                + center.rack.guests()
                + center.disks.controllers as usize
        };
        self.datacenters.iter().map(hosts).sum()
    }
}

fn center(demand: &Demand, figures: &Measured, number: usize, name: String) -> Result<Center, PlaceError> {
    let users = demand.users_of_datacenter(number);
    let tiers = capacity::tiers(demand, figures, users);
    let disks = disk::mail(demand, users, kind::least_storage(demand, &tiers, users));
    let disks = disks.check(&name)?;
    let kept_free = Sum::of(tiers.iter().filter(|tier| tier.name.role().is_none()));
    let sizes = |chassis: usize| kind::kinds(demand, &tiers, number, chassis, &disks);
    let (rack, kinds) = blade::place(demand, &name, kept_free, sizes)?;
    few_directories(demand, &name, &kinds)?;
    let disks = disks.with_guests(demand, &rack, &kinds).check(&name)?;
    let edges = edges(demand, users);
    let power = rack.blades.len() as u64 * u64::from(demand.blade_power)
        + u64::from(disks.controllers) * u64::from(demand.controller_power)
        + disks.drives() * u64::from(demand.drive_power)
        + edges.iter().map(|edge| edge.power).sum::<u64>();
    Ok(Center { name, users, kinds, rack, disks, edges, kept_free, power, power_budget: demand.power_budget })
}

/// Clients of the directory ask eight servers at most.
fn few_directories(demand: &Demand, datacenter: &str, kinds: &[Kind]) -> Result<(), PlaceError> {
    let most = u64::from(DIRECTORIES / demand.datacenters);
    let directories = kinds.iter().filter(|kind| kind.roles.contains(&Role::Directory));
    match directories.map(|kind| kind.count).sum() {
        count if count > most => Err(PlaceError::Many {
            datacenter: datacenter.to_owned(),
            count,
            what: "directory servers",
            most,
            instead: "a longer `log_in_window`, or a larger `blade_cores`",
        }),
        _ => Ok(()),
    }
}

/// Firewalls and routers: a pair each, each fast enough alone.
fn edges(demand: &Demand, users: u64) -> Vec<Edge> {
    let load = capacity::Load::of(demand, users);
    let gigabits = load.octets * 8.0 / 1e9;
    let least = if demand.compact() { 1 } else { 10 };
    // Single ports up to 400 Gbit/s, then bundles of those.
    let speeds = [1, 10, 25, 40, 100, 200, 400];
    let single = speeds.into_iter().find(|speed| *speed >= least && f64::from(*speed) >= gigabits);
    let speed = single.unwrap_or_else(|| 400 * (gigabits / 400.0).ceil() as u32);
    let kinds: &[&'static str] = if demand.compact() { &["edge"] } else { &["firewall", "router"] };
    let pair = |kind: &&'static str| {
        let power = demand.edge_power.into();
        [1, 2].map(|number| Edge { kind, number, speed, power })
    };
    kinds.iter().flat_map(pair).collect()
}

/// The tier of a name.
fn tier(tiers: &[Tier], name: TierName) -> Option<&Tier> {
    tiers.iter().find(|tier| tier.name == name)
}

#[cfg(test)]
mod tests;

//! In which order hosts may be rebuilt.
//!
//! Rules, of which each keeps a service: of a role in a data centre one host at a time, in groups of one a data centre one in the
//! whole site; controllers of arrays first, because the hosts of a new LUN need it; then new hosts, with what runs them, before
//! those that refer to them; a guest never before the system of its machine, and with it where that may be; those that others
//! still refer to go last. While the system of a machine is rebuilt, its guests count as being away. Within a group the first by
//! name comes last: it is the active one of a pair.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::{Host, Role, Site};
use super::{Action, HostChange};

/// Hosts that may be rebuilt at the same time.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Wave {
    /// Why now.
    pub phase: Phase,
    /// The hosts, the systems of machines before their guests.
    pub hosts: Vec<String>,
}

/// What a wave is for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Controllers of disk arrays: what they export must be there before who uses it.
    Storage,
    /// New hosts, and the systems of machines that run them.
    New,
    /// Hosts that change.
    Changed,
    /// Hosts that go away, once nobody refers to them.
    Retired,
}

impl Phase {
    /// The words for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Storage => "storage first",
            Self::New => "new hosts",
            Self::Changed => "changed hosts",
            Self::Retired => "hosts that go",
        }
    }
}

/// Something that stops for a while.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Interruption {
    /// The wave, from 1.
    pub wave: usize,
    /// The host that is away.
    pub host: String,
    /// The role that nobody else has.
    pub role: Role,
    /// What that means, in a sentence.
    pub sentence: String,
}

/// Waves, and what they interrupt.
pub(super) struct Plan {
    pub waves: Vec<Wave>,
    pub interruptions: Vec<Interruption>,
}

/// A role in a data centre, or in the whole site where a data centre has one server of it.
type Group = (Role, Option<String>);

/// Works out the order for the hosts that change.
pub(super) fn plan(old: &Site, new: &Site, changes: &[HostChange]) -> Plan {
    let sites = Sites::new(old, new);
    let actions: BTreeMap<&str, Action> = changes.iter().map(|c| (c.host.as_str(), c.action)).collect();
    let mut building: Vec<Building<'_>> = Vec::new();
    for phase in [Phase::Storage, Phase::New, Phase::Changed, Phase::Retired] {
        let first = building.len();
        for host in sites.in_order(&actions, phase) {
            let earliest = sites.system_wave(host, &building).unwrap_or(first).max(first);
            let fits = (earliest..building.len()).find(|&wave| building[wave].admits(&sites, host));
            let wave = fits.unwrap_or_else(|| {
                building.push(Building::new(phase));
                building.len() - 1
            });
            building[wave].add(&sites, host);
        }
    }
    let interruptions = sites.interruptions(&actions, &building);
    let waves = building
        .into_iter()
        .map(|wave| Wave {
            phase: wave.phase,
            hosts: wave.hosts.iter().map(|host| (*host).to_owned()).collect(),
        })
        .collect();
    Plan { waves, interruptions }
}

/// A wave while it is being filled.
struct Building<'a> {
    phase: Phase,
    hosts: Vec<&'a str>,
    /// The groups of which a member is rebuilt.
    rebuilt: BTreeSet<Group>,
    /// The groups of which members are away, with the machine that they are all on.
    away: BTreeMap<Group, &'a str>,
}

impl<'a> Building<'a> {
    fn new(phase: Phase) -> Self {
        Self { phase, hosts: Vec::new(), rebuilt: BTreeSet::new(), away: BTreeMap::new() }
    }

    /// Whether a host may be rebuilt in it: nobody of its groups is, and whoever of them is away, with it or because of it,
    /// shares its machine.
    fn admits(&self, sites: &Sites<'a>, host: &'a str) -> bool {
        let machine = sites.machine(host);
        sites.groups(host).iter().all(|group| !self.rebuilt.contains(group))
            && sites
                .away_with(host)
                .flat_map(|other| sites.groups(other))
                .all(|group| self.away.get(group).is_none_or(|place| *place == machine))
    }

    fn add(&mut self, sites: &Sites<'a>, host: &'a str) {
        self.rebuilt.extend(sites.groups(host).iter().cloned());
        let machine = sites.machine(host);
        for other in sites.away_with(host) {
            self.away.extend(sites.groups(other).iter().map(|group| (group.clone(), machine)));
        }
        self.hosts.push(host);
    }
}

/// Both sites, and what the order asks of them.
struct Sites<'a> {
    old: &'a Site,
    new: &'a Site,
    groups: BTreeMap<&'a str, Vec<Group>>,
    guests: BTreeMap<&'a str, Vec<&'a str>>,
    /// Each machine's own system.
    systems: BTreeMap<&'a str, &'a str>,
}

impl<'a> Sites<'a> {
    fn new(old: &'a Site, new: &'a Site) -> Self {
        let mut groups: BTreeMap<&str, Vec<Group>> = BTreeMap::new();
        for site in [old, new] {
            for (host, of_host) in groups_of(site) {
                let all = groups.entry(host).or_default();
                all.extend(of_host);
                all.sort();
                all.dedup();
            }
        }
        let mut guests: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut systems = BTreeMap::new();
        for site in [old, new] {
            for (name, host) in &site.hosts {
                if host.guest {
                    guests.entry(&host.machine).or_default().push(name);
                } else {
                    systems.insert(host.machine.as_str(), name.as_str());
                }
            }
        }
        Self { old, new, groups, guests, systems }
    }

    /// The host as it will be, or as it was if it goes away.
    fn host(&self, name: &str) -> Option<&'a Host> {
        self.new.hosts.get(name).or_else(|| self.old.hosts.get(name))
    }

    fn machine(&self, name: &str) -> &'a str {
        self.host(name).map_or("", |host| &host.machine)
    }

    fn groups(&self, host: &str) -> &[Group] {
        self.groups.get(host).map_or(&[], Vec::as_slice)
    }

    /// Who is away while a host is rebuilt: itself, and its guests where it is their machine's system.
    fn away_with(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let system = self.host(name).is_some_and(|host| !host.guest && host.has(Role::XenHost));
        let guests = self.guests.get(self.machine(name)).filter(|_| system);
        std::iter::once(name).chain(guests.into_iter().flatten().copied())
    }

    /// The wave in which the system of a guest's machine is, if it changes too.
    fn system_wave(&self, name: &str, waves: &[Building<'_>]) -> Option<usize> {
        let host = self.host(name).filter(|host| host.guest)?;
        let system = self.systems.get(host.machine.as_str())?;
        waves.iter().position(|wave| wave.hosts.contains(system))
    }

    fn phase(&self, actions: &BTreeMap<&str, Action>, name: &str) -> Phase {
        let Some(host) = self.host(name) else { return Phase::Changed };
        let is_new = |name: &str| matches!(actions.get(name), Some(Action::Build | Action::Move));
        match actions.get(name) {
            Some(Action::Retire) => Phase::Retired,
            _ if host.has(Role::StorageArray) => Phase::Storage,
            Some(Action::Build) => Phase::New,
            _ => {
                let guests = self.guests.get(host.machine.as_str()).filter(|_| !host.guest);
                let runs_new = guests.is_some_and(|guests| guests.iter().any(|guest| is_new(guest)));
                if runs_new { Phase::New } else { Phase::Changed }
            }
        }
    }

    /// The hosts of a phase: each machine's system and then its guests; in each, drained hosts and the last by name first.
    fn in_order(&self, actions: &BTreeMap<&'a str, Action>, phase: Phase) -> Vec<&'a str> {
        let mut hosts: Vec<&'a str> =
            actions.keys().copied().filter(|host| self.phase(actions, host) == phase).collect();
        hosts.sort_by_key(|name| {
            let host = self.host(name);
            let drained = host.is_some_and(|host| host.drain);
            (!drained, std::cmp::Reverse(*name))
        });
        let (guests, systems): (Vec<&str>, Vec<&str>) =
            hosts.into_iter().partition(|name| self.host(name).is_some_and(|host| host.guest));
        if phase == Phase::Retired {
            return guests.into_iter().chain(systems).collect();
        }
        let mut order = Vec::new();
        for system in systems {
            order.push(system);
            order.extend(guests.iter().filter(|guest| self.machine(guest) == self.machine(system)));
        }
        let placed: BTreeSet<&str> = order.iter().copied().collect();
        order.extend(guests.into_iter().filter(|guest| !placed.contains(guest)));
        order
    }

    /// What stops although the order is kept: roles that nobody else has while a host is away.
    fn interruptions(&self, actions: &BTreeMap<&str, Action>, waves: &[Building<'a>]) -> Vec<Interruption> {
        let mut found = BTreeSet::new();
        let mut serving: BTreeSet<&str> = self.old.hosts.keys().map(String::as_str).collect();
        for (number, wave) in waves.iter().enumerate() {
            let away: BTreeSet<&str> = wave
                .hosts
                .iter()
                .filter(|host| actions.get(**host) != Some(&Action::Build))
                .flat_map(|host| self.away_with(host))
                .filter(|host| serving.contains(host))
                .collect();
            for host in &away {
                for role in self.lost(host, &away, &serving) {
                    let sentence = sentence(host, role, actions.get(host) == Some(&Action::Retire));
                    found.insert(Interruption { wave: number + 1, host: (*host).to_owned(), role, sentence });
                }
            }
            for host in &wave.hosts {
                match actions.get(host) {
                    Some(Action::Retire) => serving.remove(host),
                    _ => serving.insert(host),
                };
            }
        }
        found.into_iter().collect()
    }

    /// The roles of a host that nobody serves while `away` are away.
    fn lost(&self, name: &str, away: &BTreeSet<&str>, serving: &BTreeSet<&str>) -> Vec<Role> {
        let Some(host) = self.old.hosts.get(name) else { return Vec::new() };
        let datacenter = self.old.datacenter_of(host);
        host.roles
            .iter()
            .copied()
            .filter(|role| {
                let others = serving.iter().filter(|other| !away.contains(**other)).any(|other| {
                    self.host(other).is_some_and(|other| {
                        let site =
                            if self.new.machines.contains_key(&other.machine) { self.new } else { self.old };
                        other.has(*role) && (!held_together(*role) || site.datacenter_of(other) == datacenter)
                    })
                });
                match role {
                    // Each storage node has mailboxes that no other has; a Xen host has its guests, which are judged themselves.
                    Role::Storage => true,
                    Role::XenHost => false,
                    _ => !others,
                }
            })
            .collect()
    }
}

/// Whether the servers of a role hold addresses or drives together, which they can in one data centre only.
fn held_together(role: Role) -> bool {
    matches!(role, Role::Firewall | Role::Router | Role::Facade | Role::StorageArray)
}

fn groups_of(site: &Site) -> BTreeMap<&str, Vec<Group>> {
    let mut members: BTreeMap<(Role, &str), Vec<&str>> = BTreeMap::new();
    for (name, host) in &site.hosts {
        for role in &host.roles {
            members.entry((*role, site.datacenter_of(host).unwrap_or_default())).or_default().push(name);
        }
    }
    let mut groups: BTreeMap<&str, Vec<Group>> = BTreeMap::new();
    for ((role, datacenter), hosts) in members {
        // The database's members agree by a majority of all of them, wherever they are.
        let whole = role == Role::Database || (hosts.len() == 1 && !held_together(role));
        for host in hosts {
            let groups = groups.entry(host).or_default();
            groups.push((role, Some(datacenter.to_owned())));
            if whole {
                groups.push((role, None));
            }
        }
    }
    groups
}

fn sentence(host: &str, role: Role, retired: bool) -> String {
    match (role, retired) {
        (Role::Storage, false) => {
            format!(
                "the mailboxes of {host} cannot be read while it restarts; mail for them waits at the exchangers"
            )
        }
        (Role::Storage, true) => {
            format!("move the mailboxes of {host} to another storage node before it goes")
        }
        (role, true) => format!("{host} is the last with the role {role}"),
        (role, false) => format!("{host} is the only one that serves as {role} then"),
    }
}

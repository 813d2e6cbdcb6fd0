//! The site as queues.
//!
//! A host is a queue before its cores, whatever roles share them. Hosts that no event touches and that are alike (data centre, roles,
//! cores, weight, array) carry the same load, so that one queue stands for all of them; that is why ten million users take no longer than
//! ten thousand. The same goes for arrays, each with four queues: its controller's cores, the way to it, its SSDs, its drives.

use std::collections::{BTreeMap, BTreeSet};

use super::costs::Assumptions;
use super::queue::Queue;
use super::shelf::Shelf;
use crate::demand::Demand;
use crate::site::{Array, Host, Role, Site};

/// The roles whose work is reckoned on a host's cores.
pub(super) const WORKING: [Role; 5] = [Role::Facade, Role::Proxy, Role::Directory, Role::Mx, Role::Storage];

/// Everything that can be a bottleneck.
#[derive(Clone, Debug)]
pub(super) struct Fleet {
    /// The names of the data centres that have storage nodes.
    pub(super) centres: Vec<String>,
    /// The part of the accounts that each of them has.
    pub(super) shares: Vec<f64>,
    /// Hosts by their cores.
    pub(super) hosts: Vec<Group>,
    /// Disk arrays, and local disks where a storage node has no other.
    pub(super) shelves: Vec<Shelf>,
    /// The ports of firewalls and routers, one of each pair at a time.
    pub(super) gates: Vec<Gate>,
}

/// Hosts that are alike.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Their names.
    pub(super) names: Vec<String>,
    pub(super) roles: Vec<Role>,
    pub(super) centre: usize,
    pub(super) weight: f64,
    pub(super) shelf: Option<usize>,
    pub(super) queue: Queue,
    pub(super) up: bool,
    /// Whether the volumes of a storage node can be reached from other machines.
    pub(super) movable: bool,
}

/// One of a pair through whose port everything goes.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    pub(super) role: Role,
    pub(super) names: Vec<String>,
    pub(super) centre: usize,
    /// Octets that its port carries in a second.
    pub(super) port: f64,
    pub(super) queue: Queue,
    pub(super) up: Vec<bool>,
    pub(super) closed_until: f64,
}

impl Fleet {
    /// The queues of a site; hosts in `touched` are queues of their own.
    pub(super) fn of(
        site: &Site,
        demand: &Demand,
        assumed: &Assumptions,
        touched: &BTreeSet<String>,
    ) -> Self {
        let mut centres: Vec<String> = Vec::new();
        let mut weights: Vec<f64> = Vec::new();
        for (_, host) in site.hosts_with(Role::Storage) {
            let name = site.datacenter_of(host).unwrap_or_default();
            let at = centres.iter().position(|centre| centre == name).unwrap_or_else(|| {
                centres.push(name.to_owned());
                weights.push(0.0);
                centres.len() - 1
            });
            weights[at] += f64::from(host.weight);
        }
        let all: f64 = weights.iter().sum();
        let shares = weights.iter().map(|weight| weight / all.max(1.0)).collect();
        let mut fleet = Self { centres, shares, hosts: Vec::new(), shelves: Vec::new(), gates: Vec::new() };
        let shelf_of = fleet.add_shelves(site, demand, assumed, touched, all);
        fleet.add_hosts(site, &shelf_of, touched);
        fleet.add_gates(site);
        fleet
    }

    /// The hosts of a tier in all groups.
    pub(super) fn count(&self, role: Role) -> usize {
        self.hosts.iter().filter(|group| group.roles.contains(&role)).map(|group| group.names.len()).sum()
    }

    fn centre(&self, site: &Site, host: &Host) -> usize {
        let name = site.datacenter_of(host);
        self.centres.iter().position(|centre| Some(centre.as_str()) == name).unwrap_or(0)
    }

    fn add_hosts(&mut self, site: &Site, shelf_of: &BTreeMap<&str, usize>, touched: &BTreeSet<String>) {
        let mut alike: BTreeMap<String, usize> = BTreeMap::new();
        for (name, host) in &site.hosts {
            let roles: Vec<Role> = WORKING.into_iter().filter(|role| host.has(*role)).collect();
            if roles.is_empty() || (host.drain && !host.has(Role::Storage)) {
                continue;
            }
            let machine = site.machines.get(&host.machine);
            let cores = host.cores.or(machine.map(|machine| machine.cores)).unwrap_or(1);
            let (centre, shelf) = (self.centre(site, host), shelf_of.get(name.as_str()).copied());
            // Of directory servers and balancers one does the work of a data centre: they are not alike.
            let alone = touched.contains(name) || host.has(Role::Directory) || host.has(Role::Facade);
            let key = if alone {
                name.clone()
            } else {
                format!("{centre} {roles:?} {cores} {} {shelf:?}", host.weight)
            };
            let at = *alike.entry(key).or_insert(self.hosts.len());
            if at < self.hosts.len() {
                self.hosts[at].names.push(name.clone());
                continue;
            }
            self.hosts.push(Group {
                names: vec![name.clone()],
                roles,
                centre,
                weight: f64::from(host.weight),
                shelf,
                queue: Queue::new(f64::from(cores.max(1))),
                up: true,
                movable: host.volumes.values().any(|volume| volume.lun.is_some()),
            });
        }
    }

    /// The arrays that mail lies on. Gives each storage node's.
    fn add_shelves<'a>(
        &mut self,
        site: &'a Site,
        demand: &Demand,
        assumed: &Assumptions,
        touched: &BTreeSet<String>,
        all: f64,
    ) -> BTreeMap<&'a str, usize> {
        let mut on: BTreeMap<&str, Vec<(&str, f64)>> = BTreeMap::new();
        let mut shelf_of = BTreeMap::new();
        let mut local = Vec::new();
        for (name, host) in site.hosts_with(Role::Storage) {
            let luns = host.volumes.values().filter_map(|volume| volume.lun.as_deref());
            match luns.filter_map(|lun| site.luns.get(lun)).map(|lun| lun.array.as_str()).next() {
                Some(array) => on.entry(array).or_default().push((name, f64::from(host.weight))),
                None => local.push(name),
            }
        }
        // How many of these arrays each controller runs on a usual day.
        let mut runs: BTreeMap<&str, f64> = BTreeMap::new();
        let first = |array: &'a Array| array.controllers.first().map_or("", String::as_str);
        for array in on.keys().filter_map(|array| site.arrays.get(*array)) {
            *runs.entry(first(array)).or_default() += 1.0;
        }
        let mut alike: BTreeMap<String, usize> = BTreeMap::new();
        for (name, hosts) in on {
            let Some(array) = site.arrays.get(name) else { continue };
            let weight: f64 = hosts.iter().map(|(_, weight)| weight).sum();
            let mail =
                demand.users as f64 * f64::from(demand.messages_per_day) * demand.message_size.0 as f64;
            let hot = mail * assumed.hot_days * weight / all.max(1.0);
            let part = runs.get(first(array)).copied().unwrap_or(1.0);
            let shelf = Shelf::of(site, name, array, hot, part, assumed);
            let alone = array.controllers.iter().any(|controller| touched.contains(controller))
                || hosts.iter().any(|(host, _)| touched.contains(*host));
            let centre = site.hosts.get(first(array)).map_or(0, |host| self.centre(site, host));
            let key = if alone {
                name.to_owned()
            } else {
                format!("{centre} {weight} {} {}", hosts.len(), shelf.shape())
            };
            let at = *alike.entry(key).or_insert(self.shelves.len());
            if at < self.shelves.len() {
                self.shelves[at].names.push(name.to_owned());
            } else {
                self.shelves.push(shelf);
            }
            shelf_of.extend(hosts.into_iter().map(|(host, _)| (host, at)));
        }
        if !local.is_empty() {
            shelf_of.extend(local.iter().map(|host| (*host, self.shelves.len())));
            self.shelves.push(Shelf::local(local));
        }
        shelf_of
    }

    fn add_gates(&mut self, site: &Site) {
        for role in [Role::Firewall, Role::Router] {
            for centre in 0..self.centres.len() {
                let name = self.centres[centre].clone();
                let hosts: Vec<(&str, &Host)> = site.hosts_with_in(&name, role).collect();
                let Some((_, first)) = hosts.first() else { continue };
                let ports = site.machines.get(&first.machine).map(|machine| &machine.ports);
                let port = ports.and_then(|ports| ports.values().copied().reduce(f64::max)).unwrap_or(1.0)
                    * 1e9
                    / 8.0;
                self.gates.push(Gate {
                    role,
                    up: vec![true; hosts.len()],
                    names: hosts.iter().map(|(name, _)| (*name).to_owned()).collect(),
                    centre,
                    port,
                    queue: Queue::new(1.0),
                    closed_until: 0.0,
                });
            }
        }
    }
}

impl Gate {
    /// Which of the pair holds the address.
    pub(super) fn active(&self) -> Option<usize> {
        self.up.iter().position(|up| *up)
    }
}

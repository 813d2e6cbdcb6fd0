//! Who is where, worked out once.

use std::collections::BTreeMap;

use super::{Host, Role, Site};

/// A host with its name.
pub(super) type Named<'a> = (&'a str, &'a Host);

/// A site with what checks, tables and pictures ask for worked out once: a site may have thousands of hosts.
pub(super) struct Fleet<'a> {
    pub site: &'a Site,
    /// The data centre of each host that has one.
    datacenters: BTreeMap<&'a str, &'a str>,
    /// Each machine's own system.
    pub systems: BTreeMap<&'a str, Named<'a>>,
    /// Each machine's guests.
    pub guests: BTreeMap<&'a str, Vec<Named<'a>>>,
    /// The hosts of each role in each data centre, by name.
    groups: BTreeMap<Role, BTreeMap<&'a str, Vec<Named<'a>>>>,
}

impl<'a> Fleet<'a> {
    pub fn new(site: &'a Site) -> Self {
        let mut fleet = Self {
            site,
            datacenters: BTreeMap::new(),
            systems: BTreeMap::new(),
            guests: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        for (name, host) in &site.hosts {
            if host.guest {
                fleet.guests.entry(&host.machine).or_default().push((name, host));
            } else {
                fleet.systems.entry(&host.machine).or_insert((name, host));
            }
            let Some(datacenter) = site.datacenter_of(host) else { continue };
            fleet.datacenters.insert(name, datacenter);
            let mut roles = host.roles.clone();
            roles.sort_unstable();
            roles.dedup();
            for role in roles {
                fleet.groups.entry(role).or_default().entry(datacenter).or_default().push((name, host));
            }
        }
        fleet
    }

    pub fn datacenter(&self, host: &str) -> Option<&'a str> {
        self.datacenters.get(host).copied()
    }

    /// The hosts of a role in a data centre.
    pub fn group(&self, role: Role, datacenter: &str) -> &[Named<'a>] {
        self.groups.get(&role).and_then(|of| of.get(datacenter)).map_or(&[], Vec::as_slice)
    }

    /// The hosts of a role, a data centre each.
    pub fn groups_of(&self, role: Role) -> impl Iterator<Item = (&'a str, &[Named<'a>])> {
        self.groups
            .get(&role)
            .into_iter()
            .flatten()
            .map(|(datacenter, hosts)| (*datacenter, hosts.as_slice()))
    }

    /// The hosts of a role in every data centre.
    pub fn servers(&self, role: Role) -> impl Iterator<Item = Named<'a>> {
        self.groups_of(role).flat_map(|(_, hosts)| hosts.iter().copied())
    }
}

/// A sum that stops at the largest number: a site file may say anything.
pub(super) fn total(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

/// The cores that guests have in all.
pub(super) fn cores_of(guests: &[Named<'_>]) -> u64 {
    total(guests.iter().filter_map(|(_, guest)| guest.cores).map(u64::from))
}

/// The octets of memory that guests have in all.
pub(super) fn memory_of(guests: &[Named<'_>]) -> u64 {
    total(guests.iter().filter_map(|(_, guest)| guest.memory).map(|memory| memory.as_u64()))
}

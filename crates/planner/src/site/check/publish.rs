//! What the internet may reach: by addresses that are public, of servers that exist (E1, E3, E4).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::super::finding::listed;
use super::super::{NetworkKind, Published, PublishedAt, Role, Site};
use super::names::within;
use super::{Fleet, Report, count};

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    for (name, entry) in &fleet.site.publish {
        if entry.tcp.is_empty() && entry.udp.is_empty() {
            report.error(&["publish", name], "it has no ports", "write `tcp` or `udp`");
        }
        names(fleet.site, name, entry, report);
        for (datacenter, at) in &entry.at {
            let here = Here { fleet, name, entry, datacenter, at };
            here.public(report);
            here.facade(report);
        }
        spread(fleet.site, name, entry, report);
    }
    twice(fleet.site, report);
}

fn names(site: &Site, name: &str, entry: &Published, report: &mut Report) {
    let key = ["publish", name, "names"];
    if entry.names.is_empty() {
        report.warning(&key, "it has no name, so nobody finds it by DNS", "write one");
    }
    for public in &entry.names {
        if !site.domains.keys().any(|domain| within(public.as_str(), domain)) {
            report.warning(
                &key,
                format!("`{public}` is in no domain of the site, so no zone of ours has it"),
                "write its address into the zone by hand, or take a name under one of the domains",
            );
        }
    }
}

/// A published service in one data centre.
struct Here<'a> {
    fleet: &'a Fleet<'a>,
    name: &'a str,
    entry: &'a Published,
    datacenter: &'a str,
    at: &'a PublishedAt,
}

impl Here<'_> {
    fn public(&self, report: &mut Report) {
        let Self { fleet, name, entry, datacenter, at } = self;
        let key = ["publish", name, "at", datacenter, "public"];
        let servers = fleet.group(entry.role, datacenter);
        if servers.is_empty() {
            report.error(
                &["publish", name, "at", datacenter],
                format!("no host of data centre `{datacenter}` has the role `{}`", entry.role),
                "give a host the role, or take the data centre out",
            );
            return;
        }
        let routed = !fleet.group(Role::Router, datacenter).is_empty();
        for &address in &at.public {
            if !routed && !servers.iter().any(|(_, host)| host.addresses().any(|own| own == address)) {
                report.error(
                    &key,
                    format!(
                        "{address} is of no `{}` host there, and there is no router that would hold it",
                        entry.role
                    ),
                    format!("give the address to one of {}", listed(servers.iter().map(|(host, _)| *host))),
                );
            } else if routed && !self.is_public(address) {
                report.error(
                    &key,
                    format!("{address} is in no public network of data centre `{datacenter}`"),
                    "take an address of a network of kind `public` there",
                );
            }
        }
        if !at.facade.is_empty() {
            return;
        }
        // Each address belongs to one server: the i-th to the i-th, by name.
        for six in [false, true] {
            let addresses = at.public.iter().filter(|address| address.is_ipv6() == six).count();
            if addresses > servers.len() {
                report.error(
                    &key,
                    format!(
                        "{} of IPv{} for {} of `{}`, and no façade that would spread them",
                        count(addresses as u64, "public address"),
                        if six { 6 } else { 4 },
                        count(servers.len() as u64, "server"),
                        entry.role
                    ),
                    "add `facade`, or write an address for each server",
                );
            }
        }
    }

    fn is_public(&self, address: IpAddr) -> bool {
        self.fleet.site.networks.values().any(|network| {
            matches!(network.kind, NetworkKind::Public | NetworkKind::Uplink)
                && network.datacenter.as_deref() == Some(self.datacenter)
                && network.contains(address)
        })
    }

    fn facade(&self, report: &mut Report) {
        let Self { fleet, name, datacenter, at, .. } = self;
        let key = ["publish", name, "at", datacenter, "facade"];
        if at.facade.is_empty() {
            return;
        }
        let balancers = fleet.group(Role::Facade, datacenter);
        if balancers.is_empty() {
            report.error(
                &key,
                format!("no host of data centre `{datacenter}` has the role `facade`"),
                "give it to a pair of hosts, or leave `facade` out",
            );
        }
        if fleet.group(Role::Router, datacenter).is_empty() {
            report.error(
                &key,
                format!("no host of data centre `{datacenter}` has the role `router`, which translates to the façade"),
                "give it to a pair of hosts, or leave `facade` out",
            );
        }
        for six in [false, true] {
            let of_family = |list: &[IpAddr]| list.iter().filter(|address| address.is_ipv6() == six).count();
            let family = if six { 6 } else { 4 };
            if of_family(&at.public) > 0 && of_family(&at.facade) == 0 {
                report.error(
                    &key,
                    format!("public addresses of IPv{family} have no façade address to be translated to"),
                    format!("add one of IPv{family}"),
                );
            }
        }
        for &address in &at.facade {
            self.facade_address(address, &key, report);
        }
    }

    fn facade_address(&self, address: IpAddr, key: &[&str], report: &mut Report) {
        let Self { fleet, entry, datacenter, .. } = self;
        let network = fleet.site.networks.iter().find(|(_, network)| {
            network.kind == NetworkKind::Service
                && network.datacenter.as_deref() == Some(*datacenter)
                && network.contains(address)
        });
        let Some((network, _)) = network else {
            report.error(
                key,
                format!("{address} is in no service network of data centre `{datacenter}`"),
                "take a free address of a network of kind `service` there",
            );
            return;
        };
        let both = [(entry.role, "answers there"), (Role::Facade, "balances there")];
        for (role, what) in both {
            for (host, description) in fleet.group(role, datacenter) {
                if !description.addresses_on(network).any(|own| own.is_ipv4() == address.is_ipv4()) {
                    report.error(
                        &["hosts", host, "interfaces"],
                        format!("it {what} for {address}, and has no address of that family in network `{network}`"),
                        format!("add an interface in `{network}` with an address"),
                    );
                }
            }
        }
        for (host, _) in fleet.group(Role::Facade, datacenter).iter().filter(|(_, host)| host.has(entry.role))
        {
            report.error(
                &["hosts", host, "roles"],
                format!(
                    "it would balance `{}` and answer for it, which direct routing cannot do",
                    entry.role
                ),
                "put the façade on hosts of its own",
            );
        }
    }
}

/// Each public name has three addresses at least, in different networks (E1).
fn spread(site: &Site, name: &str, entry: &Published, report: &mut Report) {
    let addresses: BTreeSet<IpAddr> = entry.at.values().flat_map(|at| at.public.iter().copied()).collect();
    let prefixes: BTreeSet<String> = addresses
        .iter()
        .filter_map(|address| {
            let of_site = site.networks.values().flat_map(|network| &network.prefixes);
            of_site.into_iter().find(|prefix| prefix.contains(*address)).map(ToString::to_string)
        })
        .collect();
    let key = ["publish", name, "at"];
    if addresses.len() < 3 {
        let has = count(addresses.len() as u64, "public address");
        report.warning(
            &key,
            format!("{has}, a public name should have three (E1)"),
            "add more, in different networks",
        );
    } else if prefixes.len() < 3 {
        report.warning(
            &key,
            format!(
                "its public addresses are in {}, they should be in three (E1)",
                count(prefixes.len() as u64, "network")
            ),
            "take addresses of different networks",
        );
    }
}

fn twice(site: &Site, report: &mut Report) {
    let mut seen: BTreeMap<(IpAddr, &str, u16), &str> = BTreeMap::new();
    for (name, entry) in &site.publish {
        for (datacenter, at) in &entry.at {
            for (protocol, ports) in [("tcp", &entry.tcp), ("udp", &entry.udp)] {
                for (key, address) in
                    at.public.iter().map(|a| ("public", a)).chain(at.facade.iter().map(|a| ("facade", a)))
                {
                    for &port in ports {
                        if let Some(other) = seen.insert((*address, protocol, port), name) {
                            report.error(
                                &["publish", name, "at", datacenter, key],
                                format!(
                                    "port {port}/{protocol} of {address} is published by `{other}` already"
                                ),
                                "take another address, or leave the port out of one of them",
                            );
                        }
                    }
                }
            }
        }
    }
}

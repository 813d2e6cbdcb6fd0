//! Addresses: each in its network, and each of one thing only.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chasqui_base::net::IpNetwork;

use super::super::finding::{listed, path};
use super::super::{Network, Role};
use super::{Fleet, Report};

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    networks(fleet, report);
    interfaces(fleet, report);
    administrators(fleet, report);
    clashes(fleet, report);
}

fn networks(fleet: &Fleet<'_>, report: &mut Report) {
    let site = fleet.site;
    let mut prefixes: Vec<(IpNetwork, &str, usize)> = Vec::new();
    for (name, network) in &site.networks {
        if network.prefixes.is_empty() {
            report.error(&["networks", name, "prefixes"], "the network has no addresses", "write its prefix");
        }
        for (number, prefix) in network.prefixes.iter().enumerate() {
            if let Some((other, owner, _)) = prefixes.iter().find(|(other, _, _)| other.overlaps(prefix)) {
                report.error(
                    &["networks", name, "prefixes"],
                    format!("prefix {number}, {prefix}, shares addresses with {other} of networks.{owner}"),
                    "give each network addresses of its own",
                );
            }
            prefixes.push((*prefix, name, number));
        }
    }
}

fn interfaces(fleet: &Fleet<'_>, report: &mut Report) {
    let site = fleet.site;
    for (host, description) in &site.hosts {
        for (name, interface) in &description.interfaces {
            let Some(network) = site.networks.get(&interface.network) else { continue };
            let key = ["hosts", host, "interfaces", name, "addresses"];
            for &address in &interface.addresses {
                belongs(&key, &interface.network, network, address, report);
            }
            for six in [false, true] {
                if interface.addresses.iter().filter(|a| a.is_ipv6() == six).count() > 1 {
                    report.error(
                        &key,
                        format!("two addresses of IPv{}", if six { 6 } else { 4 }),
                        "keep one a family: what connects to the host must know which is its",
                    );
                }
            }
        }
    }
}

/// An address is one that a host of the network may have.
pub(super) fn belongs(key: &[&str], name: &str, network: &Network, address: IpAddr, report: &mut Report) {
    let Some(prefix) = network.prefixes.iter().find(|prefix| prefix.contains(address)) else {
        report.error(
            key,
            format!("{address} is not in network `{name}`"),
            format!("take one of {}", listed(network.prefixes.iter().map(ToString::to_string))),
        );
        return;
    };
    // RFC 3021: a /31 has neither a network nor a broadcast address. IPv6 has no broadcast; its first address is that of all
    // routers (RFC 4291 §2.6.1).
    let whole = if address.is_ipv4() { 32 } else { 128 };
    if prefix.prefix_length() + 1 >= whole {
        return;
    }
    if address == prefix.address() {
        report.error(
            key,
            format!("{address} is the address of the network {prefix} itself"),
            "take another of it",
        );
    } else if address.is_ipv4() && address == prefix.last_address() {
        report.error(key, format!("{address} is the broadcast address of {prefix}"), "take another of it");
    }
}

fn administrators(fleet: &Fleet<'_>, report: &mut Report) {
    let site = fleet.site;
    for (person, administrator) in &site.administrators {
        for (name, addresses) in &administrator.addresses {
            let Some(network) = site.networks.get(name) else { continue };
            let key = ["administrators", person, "addresses", name];
            if !network.is_mesh() {
                report.error(
                    &key,
                    format!("network `{name}` is no mesh, so nobody can enter it from outside"),
                    "name a network with `over`",
                );
            }
            for &address in addresses {
                belongs(&key, name, network, address, report);
            }
        }
    }
}

/// Who has an address, and whether others may have it too.
struct Use {
    path: String,
    shared: bool,
}

fn clashes(fleet: &Fleet<'_>, report: &mut Report) {
    for (address, uses) in uses(fleet) {
        let Some(first) = uses.iter().position(|u| !u.shared) else { continue };
        for other in uses.iter().enumerate().filter(|(n, _)| *n != first).map(|(_, other)| other) {
            report.findings.push(super::Finding::error(
                &other.path,
                format!("{address} is already that of {}", uses[first].path),
                "give one of them another address",
            ));
        }
    }
}

fn uses(fleet: &Fleet<'_>) -> BTreeMap<IpAddr, Vec<Use>> {
    let site = fleet.site;
    let mut uses: BTreeMap<IpAddr, Vec<Use>> = BTreeMap::new();
    let mut add = |address: IpAddr, key: &[&str], shared| {
        uses.entry(address).or_default().push(Use { path: path(key), shared });
    };
    for (host, description) in &site.hosts {
        for (name, interface) in &description.interfaces {
            for &address in &interface.addresses {
                add(address, &["hosts", host, "interfaces", name, "addresses"], false);
            }
        }
    }
    for (name, network) in &site.networks {
        for &address in &network.gateway {
            add(address, &["networks", name, "gateway"], false);
        }
        for &address in &network.shared {
            add(address, &["networks", name, "shared"], false);
        }
    }
    for (person, administrator) in &site.administrators {
        for (network, addresses) in &administrator.addresses {
            for &address in addresses {
                add(address, &["administrators", person, "addresses", network], false);
            }
        }
    }
    for (datacenter, &address) in &site.database.at {
        add(address, &["database", "at", datacenter], false);
    }
    // Entries of `publish` may share addresses when they have different ports. Without routers the public addresses are the
    // hosts' own.
    for (name, entry) in &site.publish {
        for (datacenter, at) in &entry.at {
            if !fleet.group(Role::Router, datacenter).is_empty() {
                for &address in &at.public {
                    add(address, &["publish", name, "at", datacenter, "public"], true);
                }
            }
            for &address in &at.facade {
                add(address, &["publish", name, "at", datacenter, "facade"], true);
            }
        }
    }
    uses
}

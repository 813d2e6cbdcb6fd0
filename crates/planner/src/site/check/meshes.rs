//! WireGuard meshes: keys for every member, and a way between them.

use std::collections::BTreeMap;

use super::super::finding::listed;
use super::super::{Host, Network, Role};
use super::{Fleet, Report};

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    let site = fleet.site;
    for (name, network) in &site.networks {
        for under in &network.over {
            if site.networks.get(under).is_some_and(Network::is_mesh) {
                report.error(
                    &["networks", name, "over"],
                    format!("`{under}` is a mesh itself"),
                    "name the networks that are wires",
                );
            }
        }
        if network.is_mesh() && network.vlan.is_some() {
            report.error(&["networks", name, "vlan"], "a mesh is on no VLAN", "leave it out");
        }
    }
    let mut keys: BTreeMap<&str, String> = BTreeMap::new();
    let hosts =
        site.hosts.iter().filter_map(|(n, h)| Some((format!("hosts.{n}"), h.wireguard_key.as_deref()?)));
    let people =
        site.administrators.iter().map(|(n, a)| (format!("administrators.{n}"), a.wireguard_key.as_str()));
    for (owner, key) in hosts.chain(people) {
        if let Some(other) = keys.insert(key, owner.clone()) {
            report.findings.push(super::Finding::error(
                format!("{owner}.wireguard_key"),
                format!("it is the key of {other} too"),
                "make a key pair for each: wg genkey | tee key | wg pubkey",
            ));
        }
    }
    for (name, host) in &site.hosts {
        member(fleet, name, host, report);
    }
    administrators(fleet, report);
}

fn member(fleet: &Fleet<'_>, name: &str, host: &Host, report: &mut Report) {
    let mut ports: BTreeMap<u16, &str> = BTreeMap::new();
    for (interface, description) in &host.interfaces {
        let key = ["hosts", name, "interfaces", interface];
        let mesh = description.network.as_str();
        let Some(network) = fleet.site.networks.get(mesh).filter(|network| network.is_mesh()) else {
            continue;
        };
        if host.wireguard_key.is_none() {
            report.error(
                &["hosts", name, "wireguard_key"],
                format!("it is in mesh `{mesh}` and has no key"),
                "write the public half of its WireGuard key: wg genkey | tee key | wg pubkey",
            );
        }
        if description.addresses.is_empty() {
            report.error(&key, format!("it has no address in mesh `{mesh}`"), "write one");
        }
        if !description.bond.is_empty() || description.parent.is_some() {
            report.error(&key, "a mesh has neither ports nor VLANs", "leave `bond` and `parent` out");
        }
        if !network.over.iter().any(|under| host.addresses_on(under).next().is_some()) {
            report.error(
                &key,
                format!("the host has no address in a network that mesh `{mesh}` runs over"),
                format!("give it one in {}", listed(&network.over)),
            );
        }
        if let Some(other) = ports.insert(network.port, mesh) {
            report.error(
                &["networks", mesh, "port"],
                format!("host `{name}` would listen on UDP port {} for `{other}` too", network.port),
                "give each mesh a port of its own",
            );
        }
    }
}

/// Where administrators enter a mesh, hosts with the role `vpn` must be in it.
fn administrators(fleet: &Fleet<'_>, report: &mut Report) {
    for (person, administrator) in &fleet.site.administrators {
        for mesh in administrator.addresses.keys() {
            let entrance = |host: &Host| host.interfaces.values().any(|interface| interface.network == *mesh);
            if !fleet.servers(Role::Vpn).any(|(_, host)| entrance(host)) {
                report.error(
                    &["administrators", person, "addresses", mesh],
                    format!("no host with the role `vpn` is in mesh `{mesh}`"),
                    "give one an interface there",
                );
            }
        }
    }
    for (name, host) in &fleet.site.hosts {
        let key = ["hosts", name, "roles"];
        if host.has(Role::Knock) && !host.has(Role::Vpn) {
            report.error(&key, "`knock` without `vpn` opens nothing (E2)", "give the host both roles");
        }
        if host.has(Role::Vpn) && !host.has(Role::Knock) {
            report.warning(
                &key,
                "`vpn` without `knock` is open to everybody (E2)",
                "give the host both roles",
            );
        }
    }
}

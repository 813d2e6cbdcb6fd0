//! Interfaces: ports that exist, each used once, and VLANs on trunks.

use std::collections::BTreeMap;

use super::super::finding::listed;
use super::super::{Host, Interface, Machine};
use super::{Fleet, Report};

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    let site = fleet.site;
    for (name, host) in &site.hosts {
        placed(fleet, name, host, report);
        let Some(machine) = site.machines.get(&host.machine) else { continue };
        if !host.guest {
            ports(fleet, name, host, machine, report);
            trunks(fleet, name, host, machine, report);
        }
    }
    for (name, network) in &site.networks {
        if network.vlan.is_some_and(|vlan| !(1..=4094).contains(&vlan)) {
            report.error(
                &["networks", name, "vlan"],
                "there is no such VLAN",
                "write a number from 1 to 4094",
            );
        }
    }
}

/// Networks reach no farther than their data centre, and a host has one interface in each.
fn placed(fleet: &Fleet<'_>, name: &str, host: &Host, report: &mut Report) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (interface, description) in &host.interfaces {
        let key = ["hosts", name, "interfaces", interface, "network"];
        let network = description.network.as_str();
        if let Some(other) = seen.insert(network, interface) {
            report.error(
                &key,
                format!("`{other}` is in network `{network}` too"),
                "keep one of them; for two ports to one network, bond them",
            );
        }
        let there = fleet.site.networks.get(network).and_then(|n| n.datacenter.as_deref());
        if let (Some(there), Some(here)) = (there, fleet.datacenter(name))
            && there != here
        {
            report.error(
                &key,
                format!("network `{network}` is in data centre `{there}`, the host in `{here}`"),
                format!("take a network of `{here}`, or a mesh"),
            );
        }
    }
}

fn ports(fleet: &Fleet<'_>, name: &str, host: &Host, machine: &Machine, report: &mut Report) {
    let mut used: BTreeMap<&str, &str> = BTreeMap::new();
    for (interface, description) in &host.interfaces {
        let key = ["hosts", name, "interfaces", interface];
        let is_mesh = fleet.site.networks.get(&description.network).is_some_and(|n| n.is_mesh());
        if description.parent.is_some() || is_mesh {
            continue;
        }
        let alone = std::slice::from_ref(interface);
        let wanted = if description.bond.is_empty() { alone } else { &description.bond };
        for port in wanted {
            if !machine.ports.contains_key(port) {
                report.error(
                    &key,
                    format!("machine `{}` has no port `{port}`", host.machine),
                    format!("its ports are {}; for a VLAN write `parent`", listed(machine.ports.keys())),
                );
            } else if let Some(other) = used.insert(port, interface) {
                report.error(
                    &key,
                    format!("port `{port}` is used by `{other}` already"),
                    "use each port once",
                );
            }
        }
    }
}

fn trunks(fleet: &Fleet<'_>, name: &str, host: &Host, machine: &Machine, report: &mut Report) {
    let vlan = |interface: &Interface| fleet.site.networks.get(&interface.network).and_then(|n| n.vlan);
    let mut carried: BTreeMap<(&str, u16), &str> = BTreeMap::new();
    for (interface, description) in &host.interfaces {
        // What is not tagged on a trunk is its own network, with the number it has elsewhere.
        if let (None, Some(number)) = (&description.parent, vlan(description)) {
            carried.insert((interface, number), interface);
        }
    }
    for (interface, description) in &host.interfaces {
        let Some(parent) = &description.parent else { continue };
        let key = ["hosts", name, "interfaces", interface];
        let carrier = host.interfaces.get(parent);
        if carrier.is_none() && !machine.ports.contains_key(parent) {
            report.error(
                &key,
                format!("there is no interface `{parent}` to carry it"),
                format!("name one of {}", listed(host.interfaces.keys().filter(|other| *other != interface))),
            );
        }
        if carrier.is_some_and(|carrier| carrier.parent.is_some()) {
            report.error(&key, format!("`{parent}` is a VLAN itself"), "name the port or the bond under it");
        }
        match vlan(description) {
            None => report.error(
                &key,
                format!("network `{}` has no VLAN number to be carried by", description.network),
                "write `vlan` in the network, or leave `parent` out",
            ),
            Some(number) => {
                if let Some(other) = carried.insert((parent, number), interface) {
                    report.error(
                        &key,
                        format!("VLAN {number} is on `{parent}` twice, by `{other}` too"),
                        "give the networks different numbers, or carry one of them elsewhere",
                    );
                }
            }
        }
        if !description.bond.is_empty() {
            report.error(&key, "it is a bond and a VLAN at once", "bond the ports in the parent");
        }
    }
}

//! How mail leaves: from addresses that somebody holds, under a name that leads back to them (S1, S11).

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::super::finding::listed;
use super::super::{NetworkKind, Role};
use super::names::within;
use super::{Fleet, Report};

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    let outbound = &fleet.site.outbound;
    for (datacenter, addresses) in &outbound.at {
        addresses_in(fleet, datacenter, addresses, report);
    }
    for datacenter in fleet.site.datacenters.keys().filter(|name| !outbound.at.contains_key(*name)) {
        way_out(fleet, datacenter, report);
    }
    name(fleet, report);
    apart(fleet, report);
}

fn addresses_in(fleet: &Fleet<'_>, datacenter: &str, addresses: &[IpAddr], report: &mut Report) {
    let key = ["outbound", "at", datacenter];
    let relays = fleet.group(Role::Relay, datacenter);
    if relays.is_empty() {
        report.error(
            &key,
            format!("no host of data centre `{datacenter}` has the role `relay`"),
            "give a host the role, or take the addresses out",
        );
        return;
    }
    if addresses.is_empty() {
        report.error(&key, "it has no address", "write one, or take the data centre out");
    }
    let routed = !fleet.group(Role::Router, datacenter).is_empty();
    let mut seen = BTreeSet::new();
    for &address in addresses {
        if !seen.insert(address) {
            report.error(&key, format!("{address} stands there twice"), "write it once");
        } else if routed && !is_public(fleet, datacenter, address) {
            report.error(
                &key,
                format!("{address} is in no public network of data centre `{datacenter}`"),
                "take an address of a network of kind `public` there",
            );
        } else if !routed && !relays.iter().any(|(_, host)| host.addresses().any(|own| own == address)) {
            report.error(
                &key,
                format!("{address} is of no `relay` host there, and there is no router that would hold it"),
                format!("give the address to one of {}", listed(relays.iter().map(|(host, _)| *host))),
            );
        }
    }
}

fn is_public(fleet: &Fleet<'_>, datacenter: &str, address: IpAddr) -> bool {
    fleet.site.networks.values().any(|network| {
        matches!(network.kind, NetworkKind::Public | NetworkKind::Uplink)
            && network.datacenter.as_deref() == Some(datacenter)
            && network.contains(address)
    })
}

/// Relays behind routers have no other way out than an address that these hold.
fn way_out(fleet: &Fleet<'_>, datacenter: &str, report: &mut Report) {
    let relays = fleet.group(Role::Relay, datacenter);
    let egress = fleet.site.datacenters.get(datacenter).and_then(|described| described.egress);
    let routed = !fleet.group(Role::Router, datacenter).is_empty();
    if let (Some((relay, _)), true, None) = (relays.first(), routed, egress) {
        report.warning(
            &["hosts", relay, "roles"],
            format!(
                "data centre `{datacenter}` has no public address that its relays' mail could leave from"
            ),
            format!("write outbound.at.{datacenter}, or the data centre's `egress`"),
        );
    }
}

fn name(fleet: &Fleet<'_>, report: &mut Report) {
    let site = fleet.site;
    let key = ["outbound", "name"];
    match &site.outbound.name {
        None if !site.outbound.at.is_empty() => report.error(
            &["outbound", "at"],
            "the addresses have no name, and other sites refuse mail from such",
            "write outbound.name, and have the provider give each address that name in reverse",
        ),
        None => {}
        Some(name) => {
            if !site.domains.keys().any(|domain| within(name.as_str(), domain)) {
                report.warning(
                    &key,
                    format!("`{name}` is in no domain of the site, so no zone of ours has it"),
                    "write its addresses into the zone by hand, or take a name under one of the domains",
                );
            }
            if let Some((entry, _)) = site.publish.iter().find(|(_, entry)| entry.names.contains(name)) {
                report.error(
                    &key,
                    format!("`{name}` is published by `{entry}` already"),
                    "take a name that only outbound mail has: its addresses are others",
                );
            }
            if fleet.servers(Role::Relay).next().is_none() {
                report.error(&key, "no host has the role `relay`", "give it to a host, or take the name out");
            }
        }
    }
}

/// Mail in and mail out are on separate groups of servers (S1): a flood of one must not stop the other.
fn apart(fleet: &Fleet<'_>, report: &mut Report) {
    if !fleet.site.redundant {
        return;
    }
    for (name, _) in fleet.servers(Role::Relay).filter(|(_, host)| host.has(Role::Mx)) {
        report.warning(
            &["hosts", name, "roles"],
            "it takes the internet's mail and sends the users', and a flood of one stops the other (S1)",
            "give `relay` to hosts of its own",
        );
    }
}

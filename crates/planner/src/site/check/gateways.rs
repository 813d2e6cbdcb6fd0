//! Gateways: in their network, one a family, held by a pair that is in the network.

use super::super::{Network, NetworkKind, Role};
use super::addresses::belongs;
use super::{Fleet, Report};

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    for (name, network) in &fleet.site.networks {
        let key = ["networks", name, "gateway"];
        for &address in &network.gateway {
            belongs(&key, name, network, address, report);
        }
        for six in [false, true] {
            if network.gateway.iter().filter(|address| address.is_ipv6() == six).count() > 1 {
                report.error(
                    &key,
                    format!("two gateways of IPv{}", if six { 6 } else { 4 }),
                    "keep one a family",
                );
            }
        }
        shared(fleet, name, network, report);
        if network.is_mesh() && !network.gateway.is_empty() {
            report.error(
                &key,
                "a mesh has no gateway: its members reach each other directly",
                "leave it out",
            );
        }
        if let Some(role) = network.gateway_role {
            holders(fleet, name, role, report);
        }
    }
    for (name, datacenter) in &fleet.site.datacenters {
        let Some(egress) = datacenter.egress else { continue };
        let network = fleet.site.network_of(egress).map(|(_, network)| network);
        let public = network.is_some_and(|n| {
            matches!(n.kind, NetworkKind::Public | NetworkKind::Uplink)
                && n.datacenter.as_deref() == Some(name)
        });
        if !public {
            report.error(
                &["datacenters", name, "egress"],
                format!("{egress} is in no public network of the data centre"),
                "take an address of a network of kind `public` there",
            );
        }
        if fleet.group(Role::Router, name).is_empty() {
            report.error(
                &["datacenters", name, "egress"],
                "no host of the data centre has the role `router`, so nobody holds the address",
                "give a host the role, or leave `egress` out",
            );
        }
    }
}

/// What the active firewall holds in an uplink.
fn shared(fleet: &Fleet<'_>, name: &str, network: &Network, report: &mut Report) {
    let key = ["networks", name, "shared"];
    if network.shared.is_empty() {
        return;
    }
    for &address in &network.shared {
        belongs(&key, name, network, address, report);
    }
    for six in [false, true] {
        if network.shared.iter().filter(|address| address.is_ipv6() == six).count() > 1 {
            let family = if six { 6 } else { 4 };
            report.error(&key, format!("two shared addresses of IPv{family}"), "keep one a family");
        }
    }
    if network.kind != NetworkKind::Uplink {
        let mend = "leave it out; elsewhere the pair holds `gateway`";
        report.error(&key, "the active firewall holds shared addresses in an uplink only", mend);
    } else if network.datacenter.as_ref().is_some_and(|dc| fleet.group(Role::Firewall, dc).is_empty()) {
        let mend = "give a pair of hosts the role, or leave it out";
        report.error(
            &key,
            "no host of the data centre has the role `firewall`, so nobody holds the address",
            mend,
        );
    }
}

fn holders(fleet: &Fleet<'_>, name: &str, role: Role, report: &mut Report) {
    let network = &fleet.site.networks[name];
    let key = ["networks", name, "gateway_role"];
    if !matches!(role, Role::Firewall | Role::Router) {
        report.error(
            &key,
            format!("`{role}` does not forward packets"),
            "write `firewall` or `router`, or leave it out where the gateway is not of this site",
        );
        return;
    }
    if network.gateway.is_empty() {
        report.error(
            &key,
            "there is no gateway address for it to hold",
            "write `gateway` in the network too",
        );
    }
    let Some(datacenter) = &network.datacenter else { return };
    let group = fleet.group(role, datacenter);
    if group.is_empty() {
        report.error(
            &key,
            format!("no host of data centre `{datacenter}` has the role `{role}`"),
            "give the role to a pair of hosts there, or leave it out where the gateway is not of this site",
        );
    }
    for (host, description) in group {
        for gateway in &network.gateway {
            if !description.addresses_on(name).any(|address| address.is_ipv4() == gateway.is_ipv4()) {
                let family = if gateway.is_ipv4() { 4 } else { 6 };
                report.error(
                    &["hosts", host, "interfaces"],
                    format!("it is to hold {gateway} as `{role}`, and has no IPv{family} address in network `{name}`"),
                    format!("add an interface in `{name}` with an address"),
                );
            }
        }
    }
}

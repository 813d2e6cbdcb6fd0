//! Links that nobody can listen to (E19): iSCSI through meshes only, no plaintext to the internet.

use std::collections::BTreeSet;

use super::super::finding::listed;
use super::super::{Host, NetworkKind, Role, Site};
use super::{Fleet, Report};

/// Ports of protocols that have no encryption at all. HTTP is apart: reverse proxies answer it with a redirect.
const PLAINTEXT: [(u16, &str); 12] = [
    (20, "FTP"),
    (21, "FTP"),
    (23, "Telnet"),
    (69, "TFTP"),
    (79, "finger"),
    (111, "RPC"),
    (161, "SNMP"),
    (512, "rexec"),
    (513, "rlogin"),
    (514, "syslog"),
    (873, "rsync"),
    (3260, "iSCSI"),
];

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    for (name, network) in &fleet.site.networks {
        if network.datacenter.is_none() && !network.is_mesh() {
            report.error(
                &["networks", name, "datacenter"],
                "a network between data centres must be encrypted (E19)",
                "write where it is, or make it a mesh with `over`",
            );
        }
    }
    for (name, host) in &fleet.site.hosts {
        for (volume, description) in &host.volumes {
            if let Some(lun) = &description.lun {
                iscsi(fleet.site, (name, host), volume, lun, report);
            }
        }
    }
    published(fleet.site, report);
}

/// The storage networks of a host that are, or are not, meshes.
fn storage<'a>(site: &'a Site, host: &'a Host, mesh: bool) -> BTreeSet<&'a str> {
    let networks = host.interfaces.values().map(|interface| interface.network.as_str());
    networks
        .filter(|name| {
            site.networks.get(*name).is_some_and(|n| n.kind == NetworkKind::Storage && n.is_mesh() == mesh)
        })
        .collect()
}

fn iscsi(site: &Site, (name, host): (&str, &Host), volume: &str, lun: &str, report: &mut Report) {
    let key = ["hosts", name, "volumes", volume, "lun"];
    let Some(array) = site.luns.get(lun).and_then(|lun| site.arrays.get(&lun.array)) else { return };
    let mut paths: Option<usize> = None;
    for controller in array.controllers.iter().filter(|controller| *controller != name) {
        let Some(other) = site.hosts.get(controller) else { continue };
        let meshes = storage(site, host, true);
        let common = meshes.intersection(&storage(site, other, true)).count();
        paths = Some(paths.map_or(common, |least| least.min(common)));
        if common > 0 {
            continue;
        }
        let wires = storage(site, host, false);
        let wires: Vec<&str> = wires.intersection(&storage(site, other, false)).copied().collect();
        match wires.first() {
            Some(wire) => report.error(
                &key,
                format!("an unencrypted link (E19): `{controller}` is reached over `{wire}` in clear"),
                format!("put both into a mesh of kind `storage` with over = [\"{wire}\"]"),
            ),
            None => report.error(
                &key,
                format!("no way to `{controller}`, which has the LUN: they have no storage mesh in common"),
                format!("put the host into one of {}", listed(storage(site, other, true))),
            ),
        }
    }
    if paths == Some(1) && site.redundant {
        report.warning(
            &key,
            format!("one mesh alone leads to LUN `{lun}`"),
            "add a second one, over other switches, for multipath",
        );
    }
}

fn published(site: &Site, report: &mut Report) {
    for (name, entry) in &site.publish {
        for (list, ports) in [("tcp", &entry.tcp), ("udp", &entry.udp)] {
            let key = ["publish", name, list];
            for port in ports {
                if *port == 80 && entry.role != Role::ReverseProxy {
                    report.error(
                        &key,
                        format!("port 80 of `{}` is an unencrypted link (E19)", entry.role),
                        "publish `reverse-proxy`, which redirects it to 443",
                    );
                }
                if let Some((_, protocol)) = PLAINTEXT.iter().find(|(plain, _)| plain == port) {
                    report.error(
                        &key,
                        format!("port {port} is {protocol}, an unencrypted link (E19)"),
                        "leave it out: administrators come in by the VPN",
                    );
                }
            }
        }
    }
}

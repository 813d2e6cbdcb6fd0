//! Roles: each with a second server (E17), and what goes with it.

use std::collections::BTreeSet;

use super::super::Role;
use super::{Fleet, Report, count};

/// Roles whose servers hold addresses together, which they can in one data centre only.
const IN_EACH_DATACENTER: [Role; 4] = [Role::Firewall, Role::Router, Role::Facade, Role::StorageArray];
/// Roles that a site with domains cannot do without.
const MAIL_PATH: [Role; 5] = [Role::Mx, Role::Directory, Role::Storage, Role::Proxy, Role::Relay];
/// Directory servers that clients can be told of.
const MOST_DIRECTORIES: usize = 8;

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    for role in Role::ALL {
        if IN_EACH_DATACENTER.contains(&role) {
            for (datacenter, hosts) in fleet.groups_of(role) {
                let names: Vec<&str> = hosts.iter().map(|(name, _)| *name).collect();
                second(role, &names, &format!(" in data centre `{datacenter}`"), report);
            }
        } else {
            let names: Vec<&str> = fleet.servers(role).map(|(name, _)| name).collect();
            second(role, &names, "", report);
        }
    }
    twice(fleet, report);
    directories(fleet, report);
    database(fleet, report);
    if !fleet.site.domains.is_empty() {
        for role in MAIL_PATH.into_iter().filter(|role| fleet.servers(*role).next().is_none()) {
            report.warning(
                &["hosts"],
                format!("no host has the role `{role}`, so the domains' mail stops there"),
                "give it to a host",
            );
        }
    }
    if fleet.site.ldap.suffix.is_none()
        && let Some((name, _)) = fleet.servers(Role::Ldap).next()
    {
        report.error(
            &["hosts", name, "roles"],
            "`ldap` needs the root of its tree",
            "write ldap.suffix, such as \"dc=gob,dc=example\"",
        );
    }
}

fn second(role: Role, hosts: &[&str], place: &str, report: &mut Report) {
    match hosts {
        [] => {}
        [only] => report.redundancy(
            &["hosts", only, "roles"],
            format!("`{role}` has no second server{place} (E17): when this host fails, nobody does its work"),
            "give the role to another host, on another machine",
        ),
        [_, last] if role == Role::Database => report.redundancy(
            &["hosts", last, "roles"],
            "`database` has two servers: etcd needs three for a majority when one fails (E8)",
            "add a third server, on another machine",
        ),
        _ => {}
    }
}

fn twice(fleet: &Fleet<'_>, report: &mut Report) {
    for (name, host) in &fleet.site.hosts {
        let mut seen = BTreeSet::new();
        for role in host.roles.iter().filter(|role| !seen.insert(**role)) {
            report.error(&["hosts", name, "roles"], format!("`{role}` stands there twice"), "write it once");
        }
    }
}

fn directories(fleet: &Fleet<'_>, report: &mut Report) {
    let servers: Vec<&str> = fleet.servers(Role::Directory).map(|(name, _)| name).collect();
    if let Some(name) = servers.get(MOST_DIRECTORIES) {
        report.error(
            &["hosts", name, "roles"],
            format!(
                "{} of `directory`, clients ask {MOST_DIRECTORIES} at most",
                count(servers.len() as u64, "server")
            ),
            "take the role from some: one holds every account in memory",
        );
    }
}

fn database(fleet: &Fleet<'_>, report: &mut Report) {
    for (datacenter, &address) in &fleet.site.database.at {
        let key = ["database", "at", datacenter];
        let servers = fleet.group(Role::Database, datacenter);
        if servers.is_empty() {
            report.error(
                &key,
                format!("no host of data centre `{datacenter}` has the role `database`"),
                "give a host the role, or take the address out",
            );
        }
        let network = fleet.site.network_of(address);
        let Some((network, _)) = network.filter(|(_, n)| {
            n.kind == super::super::NetworkKind::Service && n.datacenter.as_deref() == Some(datacenter)
        }) else {
            report.error(
                &key,
                format!("{address} is in no service network of data centre `{datacenter}`"),
                "take a free address of a network of kind `service` there",
            );
            continue;
        };
        for (host, _) in servers.iter().filter(|(_, host)| host.addresses_on(network).next().is_none()) {
            report.error(
                &["hosts", host, "interfaces"],
                format!("it is to hold {address} as `database`, and has no address in network `{network}`"),
                format!("add an interface in `{network}` with an address"),
            );
        }
    }
}

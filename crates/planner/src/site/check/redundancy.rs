//! What a redundant group must not share (E10): one machine, or one chassis, may fail.

use std::collections::{BTreeMap, BTreeSet};

use super::super::finding::listed;
use super::super::{Host, Role};
use super::{Fleet, Report};

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    for role in Role::ALL {
        for (datacenter, hosts) in fleet.groups_of(role).filter(|(_, hosts)| hosts.len() > 1) {
            let said = format!("every `{role}` of data centre `{datacenter}`");
            together(fleet, datacenter, &said, hosts, report);
        }
    }
    for (name, array) in &fleet.site.arrays {
        let controllers: Vec<(&str, &Host)> = array
            .controllers
            .iter()
            .filter_map(|name| fleet.site.hosts.get_key_value(name).map(|(name, host)| (name.as_str(), host)))
            .collect();
        let datacenter = controllers.first().and_then(|(name, _)| fleet.datacenter(name));
        if let (true, Some(datacenter)) = (controllers.len() > 1, datacenter) {
            let said = format!("every controller of array `{name}`");
            together(fleet, datacenter, &said, &controllers, report);
        }
    }
    majority(fleet, report);
}

fn together(fleet: &Fleet<'_>, datacenter: &str, said: &str, hosts: &[(&str, &Host)], report: &mut Report) {
    let names = || listed(hosts.iter().map(|(name, _)| *name));
    let (last, host) = hosts[hosts.len() - 1];
    let key = ["hosts", last, "machine"];
    let machines: BTreeSet<&str> = hosts.iter().map(|(_, host)| host.machine.as_str()).collect();
    if machines.len() == 1 {
        report.redundancy(
            &key,
            format!("{said} ({}) is on machine `{}` (E10)", names(), host.machine),
            "move one of them to another machine",
        );
        return;
    }
    let chassis: BTreeSet<Option<&String>> = machines
        .iter()
        .map(|machine| fleet.site.machines.get(*machine).and_then(|machine| machine.chassis.as_ref()))
        .collect();
    let there = fleet.site.chassis.values().filter(|chassis| chassis.datacenter == datacenter).count();
    if let (1, Some(Some(chassis)), true) = (chassis.len(), chassis.first(), there > 1) {
        report.redundancy(
            &key,
            format!("{said} ({}) is in chassis `{chassis}` (E10)", names()),
            "move one of them to a blade of another chassis",
        );
    }
}

/// The database's etcd needs a majority: no machine may hold one (E8).
fn majority(fleet: &Fleet<'_>, report: &mut Report) {
    let servers: Vec<(&str, &Host)> = fleet.servers(Role::Database).collect();
    let mut machines: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, host) in &servers {
        machines.entry(&host.machine).or_default().push(name);
    }
    for (machine, hosts) in machines.iter().filter(|_| servers.len() > 2) {
        // Half of them are no majority without the other half.
        if hosts.len() * 2 >= servers.len() && hosts.len() < servers.len() {
            report.redundancy(
                &["hosts", hosts[hosts.len() - 1], "machine"],
                format!("machine `{machine}` has the majority of the database ({}): the rest cannot go on alone (E8)", listed(hosts)),
                "move one of them to another machine",
            );
        }
    }
}

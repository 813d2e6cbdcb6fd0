//! Guests: with cores, memory and a disk of their own, and bridged to networks that their machine has.

use super::super::finding::listed;
use super::super::{Host, Role};
use super::{Fleet, Report};

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    for (machine, guests) in &fleet.guests {
        let system = fleet.systems.get(machine).copied();
        for (name, guest) in guests {
            share(name, guest, report);
            interfaces(fleet, name, guest, system, report);
        }
    }
}

fn share(name: &str, guest: &Host, report: &mut Report) {
    let missing = [
        ("cores", guest.cores.is_none_or(|cores| cores == 0), "such as cores = 2"),
        ("memory", guest.memory.is_none_or(|memory| memory.as_u64() == 0), "such as memory = \"4GiB\""),
        ("disk", guest.disk.is_none_or(|disk| disk.as_u64() == 0), "such as disk = \"16GB\""),
    ];
    for (key, _, example) in missing.iter().filter(|(_, missing, _)| *missing) {
        report.error(
            &["hosts", name, key],
            format!("the guest has no {key}"),
            format!("write how much, {example}"),
        );
    }
    for role in [Role::XenHost, Role::StorageArray] {
        if guest.has(role) {
            report.error(
                &["hosts", name, "roles"],
                format!("a guest cannot be `{role}`: it has no hardware"),
                "give the role to the machine's own system",
            );
        }
    }
}

fn interfaces(
    fleet: &Fleet<'_>,
    name: &str,
    guest: &Host,
    system: Option<(&str, &Host)>,
    report: &mut Report,
) {
    for (interface, description) in &guest.interfaces {
        let key = ["hosts", name, "interfaces", interface];
        if fleet.site.networks.get(&description.network).is_some_and(|n| n.is_mesh()) {
            continue;
        }
        let number =
            interface.strip_prefix("eth").filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        if number.is_none() {
            report.error(&key, "the interfaces of a guest are eth0, eth1, …", "call it by its number");
        }
        if !description.bond.is_empty() || description.parent.is_some() {
            report.error(
                &key,
                "a guest has neither bonds nor VLANs",
                "leave `bond` and `parent` out: its machine's bridge has both",
            );
        }
        if description.addresses.is_empty() {
            report.error(
                &key,
                "the guest's interface has no address",
                "write one, or leave the interface out",
            );
        }
        if let Some((host, system)) = system
            && !system.interfaces.values().any(|other| other.network == description.network)
        {
            let bridges = system.interfaces.values().map(|other| other.network.as_str());
            report.error(
                &["hosts", name, "interfaces", interface, "network"],
                format!(
                    "`{host}`, which runs the guest, has no interface in network `{}`",
                    description.network
                ),
                format!("add one, without addresses, or take one of {}", listed(bridges)),
            );
        }
    }
}

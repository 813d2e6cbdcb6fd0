//! Machines: in a slot that exists and is free, with one system, within the power of their data centre.

use std::collections::BTreeMap;

use super::super::{Machine, Role};
use super::{Fleet, Report};

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    let mut slots = BTreeMap::new();
    for (name, machine) in &fleet.site.machines {
        place(fleet, name, machine, report);
        if let (Some(chassis), Some(slot)) = (&machine.chassis, machine.slot)
            && let Some(other) = slots.insert((chassis, slot), name)
        {
            report.error(
                &["machines", name, "slot"],
                format!("`{other}` is in slot {slot} of chassis `{chassis}` already"),
                "write the slot that the blade is in",
            );
        }
    }
    systems(fleet, report);
    power(fleet, report);
}

fn place(fleet: &Fleet<'_>, name: &str, machine: &Machine, report: &mut Report) {
    let chassis =
        machine.chassis.as_ref().and_then(|chassis| Some((chassis, fleet.site.chassis.get(chassis)?)));
    if machine.cores == 0 || machine.memory.as_u64() == 0 {
        let key = if machine.cores == 0 { "cores" } else { "memory" };
        report.error(&["machines", name, key], "a machine without it runs nothing", "write how much it has");
    }
    match (chassis, machine.slot) {
        (Some((chassis, _)), None) => report.error(
            &["machines", name, "slot"],
            format!("the blade has no slot in chassis `{chassis}`"),
            "write which one, from 1",
        ),
        (None, Some(_)) => report.error(
            &["machines", name, "slot"],
            "a slot without a chassis",
            "write `chassis`, or leave the slot out",
        ),
        (Some((chassis, description)), Some(slot)) if slot == 0 || slot > description.slots => report.error(
            &["machines", name, "slot"],
            format!("chassis `{chassis}` has no slot {slot}"),
            format!("its slots are 1 to {}", description.slots),
        ),
        _ => {}
    }
    match (chassis, &machine.datacenter) {
        (None, None) => report.error(
            &["machines", name, "datacenter"],
            "it is not said where the machine is",
            "write `datacenter`, or `chassis` and `slot` for a blade",
        ),
        (Some((chassis, description)), Some(datacenter)) if description.datacenter != *datacenter => report
            .error(
                &["machines", name, "datacenter"],
                format!("the blade's chassis `{chassis}` is in `{}`", description.datacenter),
                "leave `datacenter` out: a blade is where its chassis is",
            ),
        _ => {}
    }
}

fn systems(fleet: &Fleet<'_>, report: &mut Report) {
    for (name, host) in &fleet.site.hosts {
        if host.guest {
            continue;
        }
        let (first, _) = fleet.systems[host.machine.as_str()];
        if first != name {
            report.error(
                &["hosts", name, "machine"],
                format!("machine `{}` already has the system `{first}`", host.machine),
                "write `guest = true`, or another machine",
            );
        }
        let given = [
            ("cores", host.cores.is_some()),
            ("memory", host.memory.is_some()),
            ("disk", host.disk.is_some()),
        ];
        for (key, _) in given.iter().filter(|(_, given)| *given) {
            report.warning(
                &["hosts", name, key],
                "only a guest is given a share of its machine; this says nothing",
                format!("leave `{key}` out, or write `guest = true`"),
            );
        }
    }
    for (machine, guests) in &fleet.guests {
        let system = fleet.systems.get(machine);
        if system.is_some_and(|(_, system)| system.has(Role::XenHost)) {
            continue;
        }
        let why = match system {
            Some((system, _)) => {
                format!("the system of machine `{machine}`, `{system}`, has not the role `xen-host`")
            }
            None => format!("machine `{machine}` has no system that could run guests"),
        };
        for (guest, _) in guests {
            let mend = "give the machine a host with the role `xen-host`, or leave `guest` out";
            report.error(&["hosts", guest, "guest"], why.as_str(), mend);
        }
    }
}

fn power(fleet: &Fleet<'_>, report: &mut Report) {
    let site = fleet.site;
    let mut drawn: BTreeMap<&str, u64> = BTreeMap::new();
    for machine in site.machines.values() {
        if let (Some(datacenter), Some(power)) = (site.datacenter_of_machine(machine), machine.power) {
            let sum = drawn.entry(datacenter).or_default();
            *sum = sum.saturating_add(power);
        }
    }
    for (datacenter, drawn) in drawn {
        let Some(given) = site.datacenters.get(datacenter).and_then(|d| d.power) else { continue };
        if drawn > given {
            report.error(
                &["datacenters", datacenter, "power"],
                format!("its machines draw {drawn} W under load, it gives {given} W"),
                "take machines away, or correct the figure",
            );
        }
    }
}

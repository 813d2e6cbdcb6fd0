//! Nothing is promised twice: cores, memory, disks, drives, bays.

use super::super::finding::listed;
use super::super::fleet::{cores_of, memory_of, total};
use super::super::{Array, Host, Site, Volume};
use super::{Fleet, Report, count, octets};

/// The volume group that the guests' disks are in.
pub(super) const GUESTS: &str = "guests";
/// Octets that a Xen host keeps for itself.
const OWN_MEMORY: u64 = 1 << 30;

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    for (machine, guests) in &fleet.guests {
        if let Some(&(name, system)) = fleet.systems.get(machine) {
            share(fleet, machine, guests, report);
            disks(fleet.site, (name, system), guests, report);
        }
    }
    for name in fleet.site.arrays.keys() {
        luns(fleet.site, name, report);
    }
    bays(fleet, report);
}

fn share(fleet: &Fleet<'_>, name: &str, guests: &[(&str, &Host)], report: &mut Report) {
    let Some(machine) = fleet.site.machines.get(name) else { return };
    let cores = cores_of(guests);
    let memory = memory_of(guests);
    let who = listed(guests.iter().map(|(name, _)| *name));
    if cores > machine.cores.into() {
        report.error(
            &["machines", name, "cores"],
            format!(
                "its guests ({who}) have {}, it has {}",
                count(cores, "core"),
                count(machine.cores.into(), "core")
            ),
            "give them fewer, or move a guest to another machine",
        );
    }
    if memory.saturating_add(OWN_MEMORY) > machine.memory.as_u64() {
        report.error(
            &["machines", name, "memory"],
            format!(
                "its guests ({who}) have {} and its own system needs {}, it has {}",
                octets(memory),
                octets(OWN_MEMORY),
                octets(machine.memory.as_u64())
            ),
            "give them less, or move a guest to another machine",
        );
    }
}

/// The size of a volume, where the file says it: that of its LUN.
pub(super) fn size(site: &Site, volume: &Volume) -> Option<u64> {
    Some(site.luns.get(volume.lun.as_ref()?)?.size.as_u64())
}

fn disks(site: &Site, (name, system): (&str, &Host), guests: &[(&str, &Host)], report: &mut Report) {
    let wanted = total(guests.iter().filter_map(|(_, guest)| guest.disk).map(|disk| disk.as_u64()));
    let Some(volume) = system.volumes.get(GUESTS) else {
        report.error(
            &["hosts", name, "volumes"],
            "there is no volume group `guests` for the disks of its guests",
            "add volumes.guests with a LUN or a local device",
        );
        return;
    };
    // A local device is a part of the machine's disk.
    let local = || site.machines.get(&system.machine).map(|machine| machine.disk.as_u64());
    let given = if volume.lun.is_some() { size(site, volume) } else { local() };
    if let Some(given) = given.filter(|given| *given < wanted) {
        report.error(
            &["hosts", name, "volumes", GUESTS],
            format!("the disks of its guests are {}, the volume group has {}", octets(wanted), octets(given)),
            "give the guests smaller disks, or the volume group a larger LUN",
        );
    }
}

/// Octets that an array holds without its parity and spares.
pub(in crate::site) fn net_size(array: &Array) -> u64 {
    let data = u64::from(array.groups) * u64::from(array.group_size.saturating_sub(2));
    data.saturating_mul(array.drive_size.as_u64())
}

fn luns(site: &Site, name: &str, report: &mut Report) {
    let array = &site.arrays[name];
    let luns = || site.luns.iter().filter(|(_, lun)| lun.array == name);
    let given = total(luns().map(|(_, lun)| lun.size.as_u64()));
    // One part in a thousand is for the superblocks and LVM's own.
    let room = net_size(array) / 1000 * 999;
    if given > room {
        report.error(
            &["arrays", name],
            format!(
                "its LUNs ({}) are {}, it holds {} for them",
                listed(luns().map(|(lun, _)| lun)),
                octets(given),
                octets(room)
            ),
            "make a LUN smaller, or add a group of drives",
        );
    }
}

/// The drives of arrays are in the bays of the machine that runs them.
fn bays(fleet: &Fleet<'_>, report: &mut Report) {
    let site = fleet.site;
    for (name, machine) in &site.machines {
        let Some((system, _)) = fleet.systems.get(name.as_str()) else { continue };
        let mine = |array: &Array| array.controllers.first().is_some_and(|first| first == system);
        let arrays = || site.arrays.iter().filter(|(_, array)| mine(array));
        let drives = total(arrays().map(|(_, array)| drives(array)));
        if drives > machine.bays.into() {
            report.error(
                &["machines", name, "bays"],
                format!(
                    "the arrays of `{system}` ({}) have {}, SSDs included, the machine {}",
                    listed(arrays().map(|(array, _)| array)),
                    count(drives, "drive"),
                    count(machine.bays.into(), "bay")
                ),
                "count the bays of the shelf too, or move an array to another controller",
            );
        }
    }
}

fn drives(array: &Array) -> u64 {
    let cache = array.cache.as_ref().map_or(0, |cache| cache.count);
    let of_groups = u64::from(array.groups) * u64::from(array.group_size);
    total([of_groups, array.spares.into(), cache.into()].into_iter())
}

//! Volumes, LUNs and arrays: each volume on one thing, each LUN with one host (E12).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::super::{Array, Host, Role, Volume};
use super::capacity::GUESTS;
use super::{Fleet, Report, count};

/// Where the storage role keeps its state, mail included.
const MAIL: &str = "/var/lib/chasqui";
/// RAID 6 needs two drives for data besides two for parity.
const SMALLEST_GROUP: u32 = 4;

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    let mut luns: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, host) in &fleet.site.hosts {
        let mut mounts = BTreeSet::new();
        for (volume, description) in &host.volumes {
            let key = ["hosts", name, "volumes", volume];
            one(&key, volume, host, description, report);
            if let Some(mount) = &description.mount
                && !mounts.insert(mount)
            {
                report.error(&key, format!("another volume is mounted at {mount}"), "mount each elsewhere");
            }
            if let Some(lun) = &description.lun
                && let Some(other) = luns.insert(lun, name)
            {
                report.error(
                    &["hosts", name, "volumes", volume, "lun"],
                    format!(
                        "LUN `{lun}` is used by host `{other}` already: two would destroy its file system"
                    ),
                    "give each host a LUN of its own",
                );
            }
        }
        expected(fleet, name, host, report);
    }
    for lun in fleet.site.luns.keys().filter(|lun| !luns.contains_key(lun.as_str())) {
        report.warning(&["luns", lun], "no host has a volume on it", "use it, or take it out");
    }
    for (name, array) in &fleet.site.arrays {
        drives(name, array, report);
        controllers(fleet, name, array, report);
    }
}

/// Whether mail lies on the volume.
pub(super) fn holds_mail(volume: &Volume) -> bool {
    volume.mount.as_deref().is_some_and(|mount| {
        mount.strip_prefix(MAIL).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn one(key: &[&str], name: &str, host: &Host, volume: &Volume, report: &mut Report) {
    match (&volume.lun, &volume.device) {
        (None, None) => report.error(key, "the volume lies on nothing", "write `lun` or `device`"),
        (Some(_), Some(_)) => report.error(key, "the volume has a LUN and a device", "keep one of them"),
        (None, Some(device)) if !device.starts_with("/dev/") => {
            report.error(
                key,
                format!("`{device}` is no block device"),
                "write its path, such as /dev/disk/by-id/…",
            );
        }
        _ => {}
    }
    match &volume.mount {
        None if name != GUESTS => report.error(
            key,
            "it is not said where the volume is mounted",
            "write `mount`; only the volume group `guests` has none",
        ),
        Some(mount) if name == GUESTS => report.error(
            key,
            format!("the volume group of the guests' disks cannot be mounted at {mount}"),
            "leave `mount` out, or give the volume another name",
        ),
        Some(mount) if !mount.starts_with('/') || mount == "/" => {
            report.error(key, format!("`{mount}` is no place to mount it"), "write an absolute path below /");
        }
        _ => {}
    }
    if name == GUESTS && !host.has(Role::XenHost) {
        report.warning(key, "the host runs no guests", "give it the role `xen-host`, or take the volume out");
    }
}

/// What a role keeps must outlive the host's system disk.
fn expected(fleet: &Fleet<'_>, name: &str, host: &Host, report: &mut Report) {
    if !fleet.site.redundant {
        return;
    }
    let key = ["hosts", name, "volumes"];
    if host.has(Role::Storage) && !host.volumes.values().any(holds_mail) {
        report.warning(
            &key,
            "the storage node keeps its mail on the system disk, where nobody else can reach it",
            format!("add a volume with a LUN, mounted under {MAIL}"),
        );
    }
    let folder = fleet.site.backup.folder.as_str();
    let kept =
        |volume: &Volume| volume.mount.as_deref().is_some_and(|mount| Path::new(folder).starts_with(mount));
    if host.has(Role::Backup) && !host.volumes.values().any(kept) {
        report.warning(
            &key,
            format!("no volume holds the backups in {folder}: they fill the system disk"),
            format!("add a volume mounted at {folder}"),
        );
    }
}

fn drives(name: &str, array: &Array, report: &mut Report) {
    if array.group_size < SMALLEST_GROUP {
        report.error(
            &["arrays", name, "group_size"],
            format!("RAID 6 is not made of {}", count(array.group_size.into(), "drive")),
            format!("write {SMALLEST_GROUP} or more"),
        );
    }
    if array.groups == 0 {
        report.error(&["arrays", name, "groups"], "an array without groups holds nothing", "write 1 or more");
    }
    let cache = array.cache.as_ref();
    let lists = [Some(("drives", &array.drives)), cache.map(|cache| ("cache", &cache.drives))];
    for (key, drives) in lists.into_iter().flatten() {
        if !drives.contains("{}") {
            report.error(
                &["arrays", name, key],
                format!("`{drives}` names one device for all drives"),
                "write {} where the number stands",
            );
        }
    }
    if let Some(cache) = cache.filter(|cache| cache.count == 0 || cache.count % 2 == 1) {
        report.error(
            &["arrays", name, "cache", "count"],
            format!("{} cannot be mirrored in pairs", count(cache.count.into(), "SSD")),
            "write an even number, or leave `cache` out",
        );
    }
}

fn controllers(fleet: &Fleet<'_>, name: &str, array: &Array, report: &mut Report) {
    let key = ["arrays", name, "controllers"];
    match array.controllers.as_slice() {
        [] => report.error(
            &key,
            "nobody runs the array",
            "name the host that does, then the one that can take over",
        ),
        [_] => report.redundancy(
            &key,
            "no second controller can take the array over (E12, E17)",
            "name another host that is cabled to the drives",
        ),
        [a, b] if a == b => {
            report.error(&key, format!("`{a}` cannot take over from itself"), "name two hosts")
        }
        [_, _] => {}
        _ => report.error(&key, "three controllers are cabled to the same drives", "name two"),
    }
    let datacenter = array.controllers.first().and_then(|first| fleet.datacenter(first));
    for controller in &array.controllers {
        let Some(host) = fleet.site.hosts.get(controller) else { continue };
        if !host.has(Role::StorageArray) {
            report.error(
                &key,
                format!("`{controller}` has not the role `storage-array`"),
                "give it the role",
            );
        }
        if fleet.datacenter(controller) != datacenter {
            report.error(
                &key,
                format!("`{controller}` is in another data centre: it cannot be cabled to the same drives"),
                "name a host beside the first",
            );
        }
    }
}

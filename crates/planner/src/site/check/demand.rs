//! The site against the demand that it was planned for (E18).

use super::super::fleet::total;
use super::super::{Domain, Host, Role, Site};
use super::capacity::size;
use super::volumes::holds_mail;
use super::{Fleet, Report, octets};

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    let site = fleet.site;
    let Some(plan) = &site.plan else { return };
    let users = total(site.domains.values().map(|domain| domain.users));
    if users > plan.users {
        report.error(
            &["plan", "users"],
            format!("the domains have {users} users, the plan is for {}", plan.users),
            "plan for them, or correct the domains",
        );
    }
    let wanted = wanted(site, plan.users, plan.quota.as_u64());
    let mut given: u64 = 0;
    for (_, host) in fleet.servers(Role::Storage) {
        match room(site, host) {
            Some(room) => given = given.saturating_add(room),
            None => return, // a device whose size the file does not say
        }
    }
    if given < wanted && site.hosts_with(Role::Storage).next().is_some() {
        report.error(
            &["plan"],
            format!(
                "full mailboxes are {}, the storage nodes have room for {}",
                octets(wanted),
                octets(given)
            ),
            "make the LUNs of the mail larger, add a storage node, or plan a smaller quota",
        );
    }
}

/// Octets of all mailboxes when they are full: accounts of no domain have the plan's quota.
fn wanted(site: &Site, users: u64, quota: u64) -> u64 {
    let named = total(site.domains.values().map(|domain| domain.users));
    let full = |domain: &Domain| domain.users.saturating_mul(domain.quota.map_or(quota, |own| own.as_u64()));
    let of_domains = total(site.domains.values().map(full));
    of_domains.saturating_add(users.saturating_sub(named).saturating_mul(quota))
}

/// Octets that a storage node has for mail: its volumes', or else its system disk's.
fn room(site: &Site, host: &Host) -> Option<u64> {
    let mut volumes = host.volumes.values().filter(|volume| holds_mail(volume)).peekable();
    if volumes.peek().is_some() {
        return volumes
            .map(|volume| size(site, volume))
            .try_fold(0, |sum: u64, size| Some(sum.saturating_add(size?)));
    }
    let disk =
        if host.guest { host.disk } else { site.machines.get(&host.machine).map(|machine| machine.disk) };
    disk.map(|disk| disk.as_u64())
}

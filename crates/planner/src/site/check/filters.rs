//! What judges mail has room beside the exchangers (E14).

use super::super::Role;
use super::{Fleet, Report, octets};

/// Memory of a host with ClamAV beside the exchanger: its signatures take 1.5 GB, and while they are read anew some more.
const WITH_CLAMAV: u64 = 3 << 30;

pub(super) fn check(fleet: &Fleet<'_>, report: &mut Report) {
    let filters = &fleet.site.filters;
    if !filters.clamav && !filters.spamassassin {
        return;
    }
    if fleet.servers(Role::Mx).next().is_none() {
        report.warning(
            &["filters"],
            "no host has the role `mx`, so nobody asks them",
            "give the role to a host, or take the filters out",
        );
    }
    for (name, host) in fleet.servers(Role::Mx) {
        let memory = match host.memory {
            Some(memory) => Some(memory),
            None => fleet.site.machines.get(&host.machine).map(|machine| machine.memory),
        };
        if let Some(memory) = memory.filter(|memory| filters.clamav && memory.as_u64() < WITH_CLAMAV) {
            report.warning(
                &["hosts", name, "memory"],
                format!(
                    "{} are little for an exchanger with ClamAV beside it (E14)",
                    octets(memory.as_u64())
                ),
                "give it 3 GiB at least, or write filters.clamav = false",
            );
        }
    }
}

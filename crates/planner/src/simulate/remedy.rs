//! What would remove a bottleneck.

use super::fleet::Fleet;
use super::record::Stage;
use crate::site::Role;

/// The load at which chance no longer makes long queues.
const COMFORTABLE: f64 = 0.8;

/// How many servers a tier has.
pub(super) fn servers(stage: Stage, fleet: &Fleet) -> usize {
    let arrays = fleet.shelves.iter().filter(|shelf| shelf.is_array());
    match stage {
        Stage::Role(role @ (Role::Firewall | Role::Router)) => {
            fleet.gates.iter().filter(|gate| gate.role == role).map(|gate| gate.names.len()).sum()
        }
        Stage::Role(role) => fleet.count(role),
        Stage::Controller | Stage::Ports => {
            let mut names: Vec<&String> = arrays.flat_map(|shelf| &shelf.controllers).collect();
            names.sort();
            names.dedup();
            names.len()
        }
        Stage::Ssds => {
            fleet.shelves.iter().map(|shelf| shelf.ssds.servers() as usize * shelf.names.len()).sum()
        }
        Stage::Drives => arrays.map(|shelf| shelf.drives.servers() as usize * shelf.names.len()).sum(),
    }
}

/// What brings the tier of `server` from `load` to a comfortable one.
pub(super) fn of(stage: Stage, server: &str, load: f64, fleet: &Fleet) -> String {
    let factor = load / COMFORTABLE;
    if factor <= 1.0 {
        return format!("nothing: at {:.0} % of what it can do there is room", load * 100.0);
    }
    let more = |count: usize| ((count as f64 * factor).ceil() as usize).saturating_sub(count).max(1);
    let group = fleet.hosts.iter().find(|group| group.names.iter().any(|name| name == server));
    let cores = group.map_or(1.0, |group| group.queue.servers());
    let shelf = fleet.shelves.iter().find(|shelf| shelf.names.iter().any(|name| name == server));
    match stage {
        Stage::Role(role @ (Role::Firewall | Role::Router)) => {
            let port =
                fleet.gates.iter().find(|gate| gate.role == role).map_or(0.0, |gate| gate.port * 8.0 / 1e9);
            format!(
                "ports of {:.0} Gbit/s instead of {port:.0}: one of the pair carries everything",
                port * factor
            )
        }
        Stage::Role(Role::Facade) => format!(
            "{:.0} cores for {server} instead of {cores:.0}, and for its second: one of the pair carries everything",
            (cores * factor).ceil()
        ),
        Stage::Role(_) => {
            let count = servers(stage, fleet);
            format!("{} more {} hosts of {cores:.0} cores beside the {count}", more(count), stage.name())
        }
        Stage::Controller | Stage::Ports => {
            let what = if stage == Stage::Ports { "ports" } else { "cores" };
            format!(
                "{factor:.1} times the {what} at the controllers of {server}, or its accounts on {factor:.1} times the arrays"
            )
        }
        Stage::Ssds => format!(
            "{} more SSDs in front of each array",
            more(shelf.map_or(1, |shelf| shelf.ssds.servers() as usize))
        ),
        Stage::Drives => {
            let (drives, hit) = shelf.map_or((1, 0.0), |shelf| (shelf.drives.servers() as usize, shelf.hit));
            format!(
                "{} more drives beside the {drives} of each array, or a larger SSD cache: it answers {:.0} % of the reads",
                more(drives),
                hit * 100.0
            )
        }
    }
}

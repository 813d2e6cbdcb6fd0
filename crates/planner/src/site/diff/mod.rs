//! What changes between two site files, for which hosts, and in which order they may be rebuilt: `chasqui site diff`.
//!
//! A host is rebuilt when something that is derived for it changes ([`Topic`]): its own entry, or what it says of others, such as
//! the servers that a balancer spreads to. The order ([`Wave`]) keeps every service that has a second server.

mod keys;
#[cfg(test)]
mod tests;
mod topic;
mod wave;

use std::collections::BTreeSet;

use serde::Serialize;

pub use keys::KeyChange;
pub use topic::Topic;
pub use wave::{Interruption, Phase, Wave};

use super::Site;

/// What is to be done with a host.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is new.
    Build,
    /// It is there and changes.
    Rebuild,
    /// It goes to another machine.
    Move,
    /// It goes away.
    Retire,
}

impl Action {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Rebuild => "rebuild",
            Self::Move => "move",
            Self::Retire => "retire",
        }
    }
}

/// A host that changes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct HostChange {
    /// Its name.
    pub host: String,
    /// What is to be done.
    pub action: Action,
    /// What of it changes; empty where it is new or goes away.
    pub topics: Vec<Topic>,
}

/// What lies between two site files.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The keys that are not the same.
    pub keys: Vec<KeyChange>,
    /// The hosts that change, by name.
    pub hosts: Vec<HostChange>,
    /// In which order they may be rebuilt.
    pub waves: Vec<Wave>,
    /// What cannot be done without an interruption.
    pub interruptions: Vec<Interruption>,
}

/// What lies between two sites.
pub fn diff(old: &Site, new: &Site) -> Difference {
    let hosts = hosts(old, new);
    let plan = wave::plan(old, new, &hosts);
    Difference { keys: keys::changes(old, new), hosts, waves: plan.waves, interruptions: plan.interruptions }
}

fn hosts(old: &Site, new: &Site) -> Vec<HostChange> {
    let (before, after) = (topic::Derived::of(old), topic::Derived::of(new));
    let names: BTreeSet<&String> = old.hosts.keys().chain(new.hosts.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        let (action, topics) = match (old.hosts.get(name), new.hosts.get(name)) {
            (None, _) => (Action::Build, Vec::new()),
            (_, None) => (Action::Retire, Vec::new()),
            (Some(was), Some(is)) => {
                let topics = topic::changed(&before, &after, name);
                if topics.is_empty() {
                    continue;
                }
                (if was.machine == is.machine { Action::Rebuild } else { Action::Move }, topics)
            }
        };
        changes.push(HostChange { host: name.clone(), action, topics });
    }
    changes
}

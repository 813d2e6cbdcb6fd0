//! Which hosts are gone, and when.

use std::collections::{BTreeMap, BTreeSet};

use super::costs::Assumptions;
use super::event::{Event, EventError};
use crate::site::Site;

/// The hosts that events take away, with the times.
#[derive(Clone, Debug)]
pub(super) struct Outages {
    hosts: BTreeMap<String, Vec<Gone>>,
    /// From when until when each event lasts.
    spans: Vec<(f64, f64)>,
}

#[derive(Clone, Copy, Debug)]
struct Gone {
    from: f64,
    until: f64,
    /// When a guest with its volumes on arrays runs elsewhere.
    elsewhere: f64,
}

impl Outages {
    pub(super) fn of(site: &Site, events: &[Event], assumed: &Assumptions) -> Result<Self, EventError> {
        let mut outages = Self { hosts: BTreeMap::new(), spans: Vec::new() };
        for event in events {
            let from = f64::from(event.at);
            let lasts = event.lasts.map_or(assumed.repair, |lasts| lasts as f64);
            let moves = if event.leaves_other_machines() { assumed.restart.min(lasts) } else { lasts };
            outages.spans.push((from, from + lasts));
            for host in event.hosts(site)? {
                let gone = Gone { from, until: from + lasts, elsewhere: from + moves };
                outages.hosts.entry(host).or_default().push(gone);
            }
        }
        Ok(outages)
    }

    /// All hosts that are gone at some time.
    pub(super) fn touched(&self) -> BTreeSet<String> {
        self.hosts.keys().cloned().collect()
    }

    /// Whether a host is gone; one that is `movable` only until it runs elsewhere.
    pub(super) fn is_down(&self, host: &str, movable: bool, at: f64) -> bool {
        let until = |gone: &Gone| if movable { gone.elsewhere } else { gone.until };
        self.hosts.get(host).is_some_and(|all| all.iter().any(|gone| gone.from <= at && at < until(gone)))
    }

    /// The event that began last and whose effect is still there: a quarter of an hour longer than itself.
    pub(super) fn now(&self, at: f64) -> Option<usize> {
        let there = |(_, (from, until)): &(usize, &(f64, f64))| *from <= at && at < until + 900.0;
        let all = self.spans.iter().enumerate().filter(there);
        all.max_by(|(_, one), (_, other)| one.0.total_cmp(&other.0)).map(|(number, _)| number)
    }
}

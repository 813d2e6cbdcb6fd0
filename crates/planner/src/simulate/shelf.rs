//! A disk array as queues: the controller's cores, the way to it, the SSDs in front, the drives behind (E12).

use super::costs::Assumptions;
use super::queue::Queue;
use crate::site::{Array, Site};

/// Arrays that are alike, each with its own queues.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    /// Their names; of local disks, their hosts'.
    pub(super) names: Vec<String>,
    /// Who runs it, then who can take over; none for a local disk.
    pub(super) controllers: Vec<String>,
    /// Which of the controllers runs it now.
    pub(super) active: usize,
    /// Cores of the controller, its part for this array.
    pub(super) cores: Queue,
    /// The ports of the controller, its part for this array.
    pub(super) ports: Queue,
    /// Octets that a port carries in a second.
    pub(super) port: f64,
    /// The SSDs in front.
    pub(super) ssds: Queue,
    /// The drives behind.
    pub(super) drives: Queue,
    /// The part of the reads that the SSDs answer; all of them where there are no other drives.
    pub(super) hit: f64,
    /// Until when nobody serves it.
    pub(super) closed_until: f64,
    /// The part of its controller that it has now, against what it has on a usual day.
    pub(super) speed: f64,
    sizes: [f64; 5],
}

impl Shelf {
    /// An array on a controller that runs `part` arrays; `hot` octets of its mail are read again and again.
    pub(super) fn of(
        site: &Site,
        name: &str,
        array: &Array,
        hot: f64,
        part: f64,
        assumed: &Assumptions,
    ) -> Self {
        let controller = array.controllers.first().and_then(|name| site.hosts.get(name));
        let machine = controller.and_then(|host| site.machines.get(&host.machine));
        let cores = f64::from(machine.map_or(1, |machine| machine.cores).max(1));
        let fastest =
            machine.and_then(|machine| machine.ports.values().copied().reduce(f64::max)).unwrap_or(1.0);
        // The ports of the storage networks are the fast ones.
        let ports =
            machine.map_or(1, |machine| machine.ports.values().filter(|speed| **speed == fastest).count());
        let drives = f64::from(array.groups) * f64::from(array.group_size);
        let (ssds, cached) = array.cache.as_ref().map_or((0.0, 0.0), |cache| {
            // Mirrored in pairs.
            (f64::from(cache.count), f64::from(cache.count) * cache.size.0 as f64 / 2.0)
        });
        let hit = (cached / hot.max(1.0)).min(1.0) * assumed.best_hit;
        Self {
            names: vec![name.to_owned()],
            controllers: array.controllers.clone(),
            active: 0,
            cores: Queue::new(cores / part),
            ports: Queue::new(ports as f64 / part),
            port: fastest * 1e9 / 8.0,
            ssds: Queue::new(ssds),
            drives: Queue::new(drives),
            hit,
            closed_until: 0.0,
            speed: 1.0,
            sizes: [cores / part, ports as f64 / part, fastest, drives, ssds],
        }
    }

    /// Disks in the hosts themselves: an SSD each.
    pub(super) fn local(hosts: Vec<&str>) -> Self {
        Self {
            names: hosts.into_iter().map(str::to_owned).collect(),
            controllers: Vec::new(),
            active: 0,
            cores: Queue::new(1.0),
            ports: Queue::new(1.0),
            port: f64::INFINITY,
            ssds: Queue::new(1.0),
            drives: Queue::new(1.0),
            hit: 1.0,
            closed_until: 0.0,
            speed: 1.0,
            sizes: [1.0; 5],
        }
    }

    /// Whether it is an array and not a disk in a host.
    pub(super) fn is_array(&self) -> bool {
        !self.controllers.is_empty()
    }

    /// Whether SSDs stand in front of its drives.
    pub(super) fn has_ssds(&self) -> bool {
        self.sizes[4] > 0.0
    }

    /// What makes two arrays alike.
    pub(super) fn shape(&self) -> String {
        format!("{:?} {}", self.sizes, self.hit)
    }
}

//! Some log-ins, requests and messages of each slice, followed through the site.

use super::super::costs::HEDGE;
use super::super::fleet::Group;
use super::super::load::{Class, Rates};
use super::super::queue::Queue;
use super::super::random::Random;
use super::super::record::Stage;
use super::Day;
use crate::site::Role;

/// Requests of each class that are followed through the site in each slice.
const FOLLOWED: usize = 4;
impl Day<'_> {
    /// Follows some of each class through the site.
    pub(super) fn follow(&mut self, at: f64, seconds: f64, rates: Rates) {
        for (class, rate) in Class::ALL.into_iter().zip(rates) {
            let weight = rate * seconds / FOLLOWED as f64;
            for _ in 0..FOLLOWED {
                if let Some(time) = self.walk(at, class, weight) {
                    self.record.whole(class, time, weight);
                }
            }
        }
    }

    /// How long one takes; `None` if it is refused on the way.
    fn walk(&mut self, at: f64, class: Class, weight: f64) -> Option<f64> {
        let centre = self.any_centre();
        let mut whole = 0.0;
        for number in 0..self.fleet.gates.len() {
            let gate = &self.fleet.gates[number];
            if gate.centre != centre {
                continue;
            }
            gate.active()?;
            let service = self.costs.octets[class as usize] / gate.port;
            let closed = (gate.closed_until - at).max(0.0);
            let time = closed + passed(&gate.queue, service, &mut self.random);
            self.record.time(Stage::Role(gate.role), time, weight);
            whole += time;
        }
        let (facade, closed_until) = self.first_facade[centre];
        if let Some(facade) = facade {
            whole += (closed_until - at).max(0.0) + self.serve(facade, Role::Facade, class, weight);
        }
        let door = if class == Class::Message { Role::Mx } else { Role::Proxy };
        let door_host = self.any_host(centre, door)?;
        whole += self.serve(door_host, door, class, weight);
        if class != Class::Request {
            let servers = self.directories[centre].len();
            let chosen = (self.random.uniform() * servers as f64) as usize;
            let directory = *self.directories[centre].get(chosen)?;
            // A lost server's silence is noticed at the first question, and then remembered.
            let silence = if at - self.changed[centre] < 1.0 { HEDGE[class as usize] } else { 0.0 };
            whole += silence + self.serve(directory, Role::Directory, class, weight);
        }
        let node = self.any_host(centre, Role::Storage)?;
        whole += self.serve(node, Role::Storage, class, weight);
        if let Some(shelf) = self.fleet.hosts[node].shelf {
            if self.fleet.shelves[shelf].closed_until - at > self.assumed.patience {
                return None;
            }
            whole += self.read_and_write(at, shelf, class, weight);
        }
        Some(whole)
    }

    fn serve(&mut self, group: usize, role: Role, class: Class, weight: f64) -> f64 {
        let time = passed(&self.fleet.hosts[group].queue, self.costs.core(role, class), &mut self.random);
        self.record.time(Stage::Role(role), time, weight);
        time
    }

    fn read_and_write(&mut self, at: f64, number: usize, class: Class, weight: f64) -> f64 {
        let shelf = &self.fleet.shelves[number];
        let (class, random) = (class as usize, &mut self.random);
        let closed = (shelf.closed_until - at).max(0.0);
        let stored = self.costs.stored[class];
        let mut times = [0.0; 4];
        if shelf.is_array() {
            times[0] = closed + passed(&shelf.cores, stored / self.assumed.sealed, random);
            times[1] = passed(&shelf.ports, stored / shelf.port, random);
        }
        // One after the other: a reader needs what it read to know what comes next.
        let (fast, slow) = (1.0 / self.assumed.ssd_operations, 1.0 / self.assumed.drive_operations);
        let missed =
            (0..self.costs.reads[class].round() as u32).filter(|_| !random.happens(shelf.hit)).count();
        let hits = self.costs.reads[class] - missed as f64 + self.costs.writes[class];
        if shelf.has_ssds() {
            times[2] = passed(&shelf.ssds, fast, random) + (hits - 1.0).max(0.0) * fast;
        }
        let slow_ones = if shelf.has_ssds() { missed } else { missed + self.costs.writes[class] as usize };
        for _ in 0..slow_ones {
            times[3] += passed(&shelf.drives, slow, random);
        }
        for (stage, time) in Stage::SHELF.into_iter().zip(times) {
            if time > 0.0 {
                self.record.time(stage, time, weight);
            }
        }
        times.iter().sum()
    }

    fn any_centre(&mut self) -> usize {
        let mut left = self.random.uniform();
        for (centre, share) in self.fleet.shares.iter().enumerate() {
            left -= share;
            if left < 0.0 {
                return centre;
            }
        }
        self.fleet.shares.len() - 1
    }

    /// A host of a role by its load; `None` if it is one that is gone.
    fn any_host(&mut self, centre: usize, role: Role) -> Option<usize> {
        let of = |group: &Group, here: bool| {
            group.roles.contains(&role)
                && (group.up || role == Role::Storage)
                && (!here || group.centre == centre)
        };
        let hosts = &self.fleet.hosts;
        let here = hosts.iter().any(|group| of(group, true));
        let weight = |group: &Group| group.weight * group.names.len() as f64;
        let all: f64 = hosts.iter().filter(|group| of(group, here)).map(weight).sum();
        let mut left = self.random.uniform() * all;
        for (number, group) in hosts.iter().enumerate().filter(|(_, group)| of(group, here)) {
            left -= weight(group);
            if left <= 0.0 {
                return group.up.then_some(number);
            }
        }
        None
    }
}

/// The time in a queue and in service.
fn passed(queue: &Queue, service: f64, random: &mut Random) -> f64 {
    let (first, second) = (random.uniform(), random.uniform());
    queue.wait(service, first, second) + random.exponential(service)
}

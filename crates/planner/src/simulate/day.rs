//! The day, slice by slice: who is up, what comes, where it goes, what is refused, and a sample of what it is like.

mod follow;

use super::costs::{Assumptions, CHECK_PATIENCE, Costs};
use super::fleet::{Fleet, Group, WORKING};
use super::load::{Class, DAY, Load, Rates};
use super::outage::Outages;
use super::random::Random;
use super::record::{Record, Stage};
use crate::site::Role;

/// Operations of the drives for a write, without a cache that puts neighbours together (RAID 6).
const RAID6_WRITE: f64 = 6.0;

/// Everything that changes during the day.
pub(super) struct Day<'a> {
    load: Load,
    costs: &'a Costs,
    assumed: &'a Assumptions,
    fleet: Fleet,
    outages: &'a Outages,
    random: Random,
    record: Record,
    /// People without a session who try again.
    without_session: f64,
    /// Messages that senders will bring again.
    at_senders: f64,
    /// Messages in the exchangers' spools.
    spooled: f64,
    /// What came in this slice and has not been refused yet: nothing is refused twice.
    left: Rates,
    /// Arrivals of each group's hosts in a second, of one host, by role of [`WORKING`] and class.
    arrivals: Vec<[Rates; WORKING.len()]>,
    /// Until when the balancers still send to a group that is gone.
    noticed: Vec<f64>,
    /// When the directory servers that answer a data centre changed.
    changed: Vec<f64>,
    /// Who they are: its own that are up, each the first of as many hosts (`modules/lib/roles.nix`), or else any.
    directories: Vec<Vec<usize>>,
    first_facade: Vec<(Option<usize>, f64)>,
}

impl<'a> Day<'a> {
    pub(super) fn new(
        load: Load,
        costs: &'a Costs,
        assumed: &'a Assumptions,
        fleet: Fleet,
        outages: &'a Outages,
        seed: u64,
    ) -> Self {
        let (groups, centres) = (fleet.hosts.len(), fleet.centres.len());
        let mut day = Self {
            load,
            costs,
            assumed,
            fleet,
            outages,
            random: Random::new(seed),
            record: Record::new(),
            without_session: 0.0,
            at_senders: 0.0,
            spooled: 0.0,
            left: [0.0; 3],
            arrivals: vec![[[0.0; 3]; WORKING.len()]; groups],
            noticed: vec![0.0; groups],
            changed: vec![f64::NEG_INFINITY; centres],
            directories: vec![Vec::new(); centres],
            first_facade: vec![(None, 0.0); centres],
        };
        for centre in 0..centres {
            day.directories[centre] = day.up_with(centre, Role::Directory);
            day.first_facade[centre].0 = day.first(centre, Role::Facade);
        }
        day
    }

    /// Plays the day in slices of `slice` seconds; tells how far it is, from 0 to 1.
    pub(super) fn play(mut self, slice: f64, progress: &mut dyn FnMut(f64)) -> (Record, Fleet) {
        let slices = (DAY / slice).ceil() as u64;
        for number in 0..slices {
            let at = number as f64 * slice;
            self.step(at, slice);
            if number.is_multiple_of(512) {
                progress(number as f64 / slices as f64);
            }
        }
        progress(1.0);
        (self.record, self.fleet)
    }

    fn step(&mut self, at: f64, seconds: f64) {
        let wanted = self.load.sessions(at);
        let open = (wanted - self.without_session).max(0.0);
        self.lose_and_return(at, open, wanted);
        let mut rates = self.load.rates(at, open);
        let again = |waiting: &mut f64, after: f64| {
            let now = (*waiting / after).min(*waiting / seconds);
            *waiting -= now * seconds;
            now
        };
        rates[Class::LogIn as usize] += again(&mut self.without_session, self.assumed.log_in_again);
        rates[Class::Message as usize] += again(&mut self.at_senders, self.assumed.send_again);
        let spool = again(&mut self.spooled, self.assumed.spool_again);
        self.left = rates.map(|rate| rate * seconds);
        self.left[Class::Message as usize] += spool * seconds;
        self.record.begin(at, self.outages.now(at));
        for arrivals in &mut self.arrivals {
            *arrivals = [[0.0; 3]; WORKING.len()];
        }
        for centre in 0..self.fleet.centres.len() {
            let share = self.fleet.shares[centre];
            self.send(at, seconds, centre, rates.map(|rate| rate * share), spool * share);
        }
        self.serve_hosts(seconds);
        self.serve_shelves(at, seconds);
        self.serve_gates(at, seconds, rates);
        self.follow(at, seconds, rates);
        self.record.end(self.without_session, self.at_senders, self.spooled);
    }

    // Losses

    fn lose_and_return(&mut self, at: f64, open: f64, wanted: f64) {
        for number in 0..self.fleet.hosts.len() {
            let group = &self.fleet.hosts[number];
            let up = !self.outages.is_down(&group.names[0], group.movable, at);
            if up == group.up {
                continue;
            }
            let sessions =
                if group.roles.contains(&Role::Proxy) { open * self.part(number, Role::Proxy) } else { 0.0 };
            let mailboxes = if group.roles.contains(&Role::Storage) {
                open * self.part(number, Role::Storage)
            } else {
                0.0
            };
            // A lost proxy's sessions come again elsewhere; a lost node's when it is back.
            self.without_session = (self.without_session + if up { mailboxes } else { sessions }).min(wanted);
            self.noticed[number] = if up { 0.0 } else { at + self.assumed.detection };
            self.fleet.hosts[number].up = up;
            self.fleet.hosts[number].queue.clear();
        }
        for centre in 0..self.fleet.centres.len() {
            let directories = self.up_with(centre, Role::Directory);
            if directories != self.directories[centre] {
                self.directories[centre] = directories;
                self.changed[centre] = at;
            }
            let facade = self.first(centre, Role::Facade);
            if facade != self.first_facade[centre].0 {
                self.first_facade[centre] = (facade, at + self.assumed.pair_takeover);
            }
        }
        let takeover = self.assumed.pair_takeover;
        for gate in &mut self.fleet.gates {
            let before = gate.active();
            for (up, name) in gate.up.iter_mut().zip(&gate.names) {
                *up = !self.outages.is_down(name, false, at);
            }
            if gate.active() != before {
                gate.closed_until = at + takeover;
            }
        }
        self.move_arrays(at);
    }

    /// Arrays go to the first of their controllers that is up; a controller that has more of them than usual gives each less.
    fn move_arrays(&mut self, at: f64) {
        let mut moved = false;
        for shelf in self.fleet.shelves.iter_mut().filter(|shelf| shelf.is_array()) {
            let up = |name: &String| !self.outages.is_down(name, false, at);
            match shelf.controllers.iter().position(up) {
                Some(active) if active != shelf.active => {
                    // Back to the first one the operator moves it, without a gap.
                    shelf.closed_until = if active == 0 { at } else { at + self.assumed.array_takeover };
                    shelf.active = active;
                    moved = true;
                }
                None => shelf.closed_until = at + 1.0,
                Some(_) => {}
            }
        }
        if !moved {
            return;
        }
        let runs = |fleet: &Fleet, name: &str, usual: bool| -> f64 {
            let active = |number: usize| if usual { 0 } else { number };
            let of = fleet
                .shelves
                .iter()
                .filter(|shelf| shelf.controllers.get(active(shelf.active)).is_some_and(|c| c == name));
            of.map(|shelf| shelf.names.len() as f64).sum()
        };
        for number in 0..self.fleet.shelves.len() {
            let shelf = &self.fleet.shelves[number];
            let (Some(first), Some(now)) = (shelf.controllers.first(), shelf.controllers.get(shelf.active))
            else {
                continue;
            };
            let speed = runs(&self.fleet, first, true).max(1.0) / runs(&self.fleet, now, false).max(1.0);
            self.fleet.shelves[number].speed = speed.min(1.0);
        }
    }

    /// The part of all accounts, or of all connections, that a group has.
    fn part(&self, number: usize, role: Role) -> f64 {
        let group = &self.fleet.hosts[number];
        let weight = |group: &Group| group.weight * group.names.len() as f64;
        let like = |other: &&Group| {
            other.roles.contains(&role) && other.centre == group.centre && (other.up || role == Role::Storage)
        };
        let all: f64 = self.fleet.hosts.iter().filter(like).map(weight).sum();
        let own = weight(group) / all.max(weight(group)).max(1e-9);
        own * self.fleet.shares[group.centre]
    }

    /// The first group with a role that is up in a data centre, or else anywhere.
    fn first(&self, centre: usize, role: Role) -> Option<usize> {
        self.up_with(centre, role).first().copied()
    }

    /// The groups with a role that are up in a data centre, or else anywhere.
    fn up_with(&self, centre: usize, role: Role) -> Vec<usize> {
        let up = |here: bool| -> Vec<usize> {
            let of = self.fleet.hosts.iter().enumerate();
            of.filter(|(_, group)| {
                group.up && group.roles.contains(&role) && (group.centre == centre) == here
            })
            .map(|(number, _)| number)
            .collect()
        };
        let here = up(true);
        if here.is_empty() { up(false) } else { here }
    }

    // Where it goes

    /// What comes to a data centre in a second, and what its spools bring again.
    fn send(&mut self, at: f64, seconds: f64, centre: usize, rates: Rates, spool: f64) {
        let [log_ins, requests, messages] = rates;
        if let Some(first) = self.first_facade[centre].0 {
            add(&mut self.arrivals[first], Role::Facade, rates);
        }
        let log_ins = log_ins - self.balance(at, seconds, centre, Role::Proxy, [log_ins, requests, 0.0])[0];
        let messages = messages - self.balance(at, seconds, centre, Role::Mx, [0.0, 0.0, messages])[2];
        let asked = [log_ins, 0.0, messages];
        let servers = &self.directories[centre];
        if servers.is_empty() {
            self.refuse(Role::Directory, seconds, asked);
            return;
        }
        let each = asked.map(|rate| rate / servers.len() as f64);
        for &server in servers {
            add(&mut self.arrivals[server], Role::Directory, each);
        }
        let stored = [log_ins, requests, messages + spool];
        let of = |group: &Group| group.centre == centre && group.roles.contains(&Role::Storage);
        let all: f64 =
            self.fleet.hosts.iter().filter(|group| of(group)).map(|g| g.weight * g.names.len() as f64).sum();
        for number in 0..self.fleet.hosts.len() {
            let group = &self.fleet.hosts[number];
            if !of(group) {
                continue;
            }
            let each = stored.map(|rate| rate * group.weight / all.max(1e-9));
            if group.up {
                add(&mut self.arrivals[number], Role::Storage, each);
            } else {
                self.refuse(Role::Storage, seconds, each.map(|rate| rate * group.names.len() as f64));
            }
        }
    }

    /// Spreads over the hosts of a role; gives what went to hosts that are gone.
    fn balance(&mut self, at: f64, seconds: f64, centre: usize, role: Role, rates: Rates) -> Rates {
        let of = |group: &Group, here: bool| group.roles.contains(&role) && (!here || group.centre == centre);
        let here = self.fleet.hosts.iter().any(|group| of(group, true) && group.up);
        let weight = |group: &Group| group.weight * group.names.len() as f64;
        let (mut up, mut gone) = (0.0, 0.0);
        for (number, group) in self.fleet.hosts.iter().enumerate().filter(|(_, group)| of(group, here)) {
            if group.up {
                up += weight(group);
            } else if self.noticed[number] > at {
                gone += weight(group);
            }
        }
        // What runs in open sessions no longer goes to who is gone.
        let new = |class: usize| class != Class::Request as usize;
        let lost = if up + gone > 0.0 { gone / (up + gone) } else { 1.0 };
        let part = |class: usize| if up > 0.0 && !new(class) { 0.0 } else { lost };
        let refused: Rates = std::array::from_fn(|class| rates[class] * part(class));
        self.refuse(role, seconds, refused);
        for (number, group) in self.fleet.hosts.iter().enumerate() {
            if group.up && of(group, here) {
                let each = std::array::from_fn(|class| (rates[class] - refused[class]) * group.weight / up);
                add(&mut self.arrivals[number], role, each);
            }
        }
        refused
    }

    /// What could not be done comes again: people, senders, and what is in the spools.
    fn refuse(&mut self, role: Role, seconds: f64, rates: Rates) {
        if rates == [0.0; 3] {
            return;
        }
        let [log_ins, requests, messages] = std::array::from_fn(|class| {
            let refused = (rates[class] * seconds).min(self.left[class]);
            self.left[class] -= refused;
            refused
        });
        self.without_session += log_ins;
        match role {
            Role::Storage => self.spooled += messages,
            _ => self.at_senders += messages,
        }
        self.record.refuse(log_ins, requests, messages, role == Role::Storage);
    }

    // Work

    fn serve_hosts(&mut self, seconds: f64) {
        for number in 0..self.fleet.hosts.len() {
            let arrivals = self.arrivals[number];
            let (mut rate, mut work, mut square) = (0.0, 0.0, 0.0);
            for (role, rates) in WORKING.into_iter().zip(arrivals) {
                for (class, arriving) in Class::ALL.into_iter().zip(rates) {
                    let cost = self.costs.core(role, class);
                    rate += arriving;
                    work += arriving * cost;
                    square += arriving * cost * cost;
                }
            }
            let group = &mut self.fleet.hosts[number];
            let directory = group.roles == [Role::Directory];
            let patience = if directory { CHECK_PATIENCE } else { self.assumed.patience };
            let service = if work > 0.0 { square / work } else { 0.0 };
            let outcome = group.queue.step(seconds, work, service, 1.0, patience);
            let names = group.names.len() as f64;
            let waiting = group.queue.waiting(rate, work) * names;
            let mut lost = [0.0_f64; 3];
            // The role that works most stands first: where a host has several, it is the one that is too much.
            let mut roles = group.roles.clone();
            let work_of = |role: &Role| -> f64 {
                let slot = WORKING.iter().position(|one| one == role).unwrap_or_default();
                Class::ALL
                    .into_iter()
                    .zip(arrivals[slot])
                    .map(|(class, rate)| rate * self.costs.core(*role, class))
                    .sum()
            };
            roles.sort_by(|one, other| work_of(other).total_cmp(&work_of(one)));
            for role in roles {
                let slot = WORKING.iter().position(|one| *one == role).unwrap_or_default();
                let handled: f64 = arrivals[slot].iter().sum();
                let group = &self.fleet.hosts[number];
                let asked = handled * names * seconds;
                self.record.station(Stage::Role(role), &group.names[0], &group.queue, asked, waiting, true);
                for (lost, rate) in lost.iter_mut().zip(arrivals[slot]) {
                    // Whoever passes a host in two roles leaves it once.
                    *lost = lost.max(rate * names * outcome.refused);
                }
            }
            let node = self.fleet.hosts[number].roles == [Role::Storage];
            self.refuse(if node { Role::Storage } else { Role::Mx }, seconds, lost);
        }
    }

    fn serve_shelves(&mut self, at: f64, seconds: f64) {
        let storage = WORKING.len() - 1;
        let mut rates = vec![[0.0; 3]; self.fleet.shelves.len()];
        for (group, arrivals) in self.fleet.hosts.iter().zip(&self.arrivals) {
            let Some(shelf) = group.shelf else { continue };
            let count = self.fleet.shelves[shelf].names.len() as f64;
            for (sum, rate) in rates[shelf].iter_mut().zip(arrivals[storage]) {
                *sum += rate * group.names.len() as f64 / count;
            }
        }
        for (number, mut rates) in rates.into_iter().enumerate() {
            if self.fleet.shelves[number].closed_until - at > self.assumed.patience {
                // Nobody waits that long.
                let count = self.fleet.shelves[number].names.len() as f64;
                self.refuse(Role::Storage, seconds, rates.map(|rate| rate * count));
                rates = [0.0; 3];
            }
            let work = ShelfWork::of(&self.fleet.shelves[number], self.costs, self.assumed, rates);
            let shelf = &mut self.fleet.shelves[number];
            let open = shelf.closed_until <= at;
            let (count, is_array) = (shelf.names.len() as f64, shelf.is_array());
            let rate: f64 = rates.iter().sum();
            let mut refused: f64 = 0.0;
            let queues = [&mut shelf.cores, &mut shelf.ports, &mut shelf.ssds, &mut shelf.drives];
            for ((queue, (work, service)), stage) in queues.into_iter().zip(work.parts).zip(Stage::SHELF) {
                if work == 0.0 && queue.backlog() == 0.0 {
                    continue;
                }
                // The drives stand still with their controller; what it shares out is its cores and ports.
                let shared = matches!(stage, Stage::Controller | Stage::Ports);
                let speed = if !open {
                    0.0
                } else if shared {
                    shelf.speed
                } else {
                    1.0
                };
                let outcome = queue.step(seconds, work, service, speed, self.assumed.patience);
                refused = refused.max(outcome.refused);
                let waiting = queue.waiting(rate, work) * count;
                if is_array || stage == Stage::Ssds {
                    self.record.station(stage, &shelf.names[0], queue, rate * count * seconds, waiting, open);
                }
            }
            if refused > 0.0 {
                self.refuse(Role::Storage, seconds, rates.map(|rate| rate * count * refused));
            }
        }
    }

    fn serve_gates(&mut self, at: f64, seconds: f64, rates: Rates) {
        let mut lost = Vec::new();
        for gate in &mut self.fleet.gates {
            let share = self.fleet.shares[gate.centre];
            let (mut work, mut square) = (0.0, 0.0);
            for (rate, octets) in rates.iter().zip(self.costs.octets) {
                let time = octets / gate.port;
                work += rate * share * time;
                square += rate * share * time * time;
            }
            let speed = if gate.closed_until > at || gate.active().is_none() { 0.0 } else { 1.0 };
            let service = if work > 0.0 { square / work } else { 0.0 };
            let outcome = gate.queue.step(seconds, work, service, speed, self.assumed.patience);
            lost.push(rates.map(|rate| rate * share * outcome.refused));
            let rate = rates.iter().sum::<f64>() * share;
            let waiting = gate.queue.waiting(rate, work);
            self.record.station(
                Stage::Role(gate.role),
                &gate.names[0],
                &gate.queue,
                rate * seconds,
                waiting,
                speed > 0.0,
            );
        }
        for rates in lost {
            self.refuse(Role::Router, seconds, rates);
        }
    }
}

/// Seconds of work that come to an array in a second, and the mean of a piece, for its cores, ports, SSDs and drives.
struct ShelfWork {
    parts: [(f64, f64); 4],
}

impl ShelfWork {
    fn of(shelf: &super::shelf::Shelf, costs: &Costs, assumed: &Assumptions, rates: Rates) -> Self {
        let sum = |of: [f64; 3]| -> f64 { rates.iter().zip(of).map(|(rate, each)| rate * each).sum() };
        let (octets, reads, writes) = (sum(costs.stored), sum(costs.reads), sum(costs.writes));
        let rate: f64 = rates.iter().sum::<f64>().max(1e-12);
        let (fast, slow) = (1.0 / assumed.ssd_operations, 1.0 / assumed.drive_operations);
        let missed = reads * (1.0 - shelf.hit);
        let (quick, slower) = match (shelf.has_ssds(), shelf.is_array()) {
            // A write goes to both SSDs of a pair.
            (true, true) => (reads - missed + 2.0 * writes, missed + writes * assumed.write_back),
            (false, true) => (0.0, reads + writes * RAID6_WRITE),
            _ => (reads + writes, 0.0),
        };
        let (sealed, carried) = (octets / assumed.sealed, octets / shelf.port);
        Self {
            parts: [
                (sealed, sealed / rate),
                (carried, carried / rate),
                (quick * fast, fast),
                (slower * slow, slow),
            ],
        }
    }
}

fn add(arrivals: &mut [Rates; WORKING.len()], role: Role, rates: Rates) {
    let slot = WORKING.iter().position(|one| *one == role).unwrap_or_default();
    for (sum, rate) in arrivals[slot].iter_mut().zip(rates) {
        *sum += rate;
    }
}

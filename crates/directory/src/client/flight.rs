//! What is in flight: questions that travel together until they are answered or given up.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::Job;

/// Late answers that are still recognised, so that a slow server is not taken for a dead one.
const LATE: usize = 256;

/// Questions of one datagram.
pub(super) struct Flight {
    pub(super) jobs: Vec<Job>,
    pub(super) begun: Instant,
    /// When it is asked again if nobody has answered.
    pub(super) next: Instant,
    /// What is waited for before that; doubles.
    pub(super) interval: Duration,
    /// Bit `n`: server `n` was asked.
    pub(super) asked: u8,
    pub(super) last: Option<usize>,
    /// Server and counter of each datagram.
    pub(super) sent: Vec<(usize, u64)>,
    /// Whether a missing answer says something about the server; not so for password checks.
    pub(super) prompt: bool,
    /// Times that a server found our clock off.
    pub(super) stale: u8,
}

/// All flights, found by the counter of any of their datagrams.
#[derive(Default)]
pub(super) struct Flights {
    slots: Vec<Option<Flight>>,
    free: Vec<usize>,
    by_counter: HashMap<u64, (usize, usize)>,
    late: VecDeque<(usize, u64)>,
    /// Questions in flight.
    pub(super) questions: usize,
}

impl Flights {
    pub(super) fn add(&mut self, flight: Flight) -> usize {
        self.questions += flight.jobs.len();
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = Some(flight);
                slot
            }
            None => {
                self.slots.push(Some(flight));
                self.slots.len() - 1
            }
        }
    }

    pub(super) fn get(&mut self, slot: usize) -> Option<&mut Flight> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// Notes that a datagram of the flight went to `server`.
    pub(super) fn sent(&mut self, slot: usize, server: usize, counter: u64) {
        if let Some(flight) = self.slots.get_mut(slot).and_then(Option::as_mut) {
            flight.sent.push((server, counter));
            self.by_counter.insert(counter, (slot, server));
        }
    }

    /// The flight that `server` answers by this counter.
    pub(super) fn find(&self, server: usize, counter: u64) -> Option<usize> {
        self.by_counter.get(&counter).filter(|(_, to)| *to == server).map(|(slot, _)| *slot)
    }

    /// Whether the counter belongs to a datagram of a flight that ended before; each is recognised once.
    pub(super) fn was_late(&mut self, server: usize, counter: u64) -> bool {
        let found = self.late.iter().position(|late| *late == (server, counter));
        found.and_then(|place| self.late.remove(place)).is_some()
    }

    /// An answer to this datagram says nothing but that the server lives.
    pub(super) fn expect_late(&mut self, server: usize, counter: u64) {
        if self.late.len() == LATE {
            self.late.pop_front();
        }
        self.late.push_back((server, counter));
    }

    /// Takes a flight out; `answered` is the counter that ended it.
    pub(super) fn remove(&mut self, slot: usize, answered: Option<u64>) -> Option<Flight> {
        let flight = self.slots.get_mut(slot)?.take()?;
        self.free.push(slot);
        self.questions -= flight.jobs.len();
        for (server, counter) in &flight.sent {
            self.by_counter.remove(counter);
            if answered != Some(*counter) {
                self.expect_late(*server, *counter);
            }
        }
        Some(flight)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.questions == 0
    }

    /// The slots in use whose flight the test holds for.
    pub(super) fn select(&self, test: impl Fn(&Flight) -> bool) -> Vec<usize> {
        let hit = |(slot, flight): (usize, &Option<Flight>)| {
            flight.as_ref().filter(|flight| test(flight)).map(|_| slot)
        };
        self.slots.iter().enumerate().filter_map(hit).collect()
    }

    /// Gives memory back after a storm.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() && self.slots.len() > 64 {
            self.slots = Vec::new();
            self.free = Vec::new();
            self.by_counter = HashMap::new();
        }
    }
}

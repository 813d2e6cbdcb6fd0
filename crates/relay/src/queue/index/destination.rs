//! Destinations: what is ready for each, how many jobs it has, and its trouble.

use super::{Index, timers::What};
use crate::{carrier::Carrier, message::Destination};
use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    hash::BuildHasher as _,
};

/// A destination in memory.
#[derive(Debug)]
pub struct Place {
    pub(super) name: Destination,
    pub(super) ready: BinaryHeap<Ready>,
    pub(super) running: u32,
    /// Legs that go there.
    legs: u32,
    /// Jobs at once as long as it recovers; all of its places when it is well.
    window: u32,
    pub(super) generation: u16,
    /// Troubles since the last success.
    failures: u16,
    pub(super) in_round: bool,
    /// Milliseconds since 1970 until which nothing goes there; 0 when it is open.
    closed_until: u64,
    trouble: Option<Box<str>>,
}

/// A leg that is ready: 12 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    pub(super) priority: i8,
    pub(super) generation: u16,
    pub(super) received: u32,
    pub(super) leg: u32,
}

impl Ord for Ready {
    /// The greatest comes first: a higher priority, then a greater age.
    fn cmp(&self, other: &Self) -> Ordering {
        let key =
            |ready: &Self| (ready.priority, Reverse(ready.received), Reverse(ready.leg), ready.generation);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Ready {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How a destination stands, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub destination: Destination,
    /// Messages that go there.
    pub messages: u32,
    /// Jobs that are carried out.
    pub running: u32,
    /// Milliseconds since 1970 until which nothing goes there, and why.
    pub trouble: Option<(u64, String)>,
}

impl Place {
    pub(super) fn may_start(&self, carrier: &impl Carrier) -> bool {
        let places = u32::try_from(carrier.places(&self.name).max(1)).unwrap_or(u32::MAX);
        self.closed_until == 0 && self.running < self.window.min(places)
    }

    /// Adds one, and removes those that are void when they are many.
    pub(super) fn push(&mut self, ready: Ready, is_live: impl Fn(&Ready) -> bool) {
        if self.ready.len() > 64 + 2 * self.legs as usize {
            self.ready.retain(is_live);
        }
        self.ready.push(ready);
    }
}

impl Index {
    /// The number of a destination, with one leg more.
    pub(super) fn place(&mut self, destination: &Destination) -> u32 {
        let places = &self.places;
        let same = |number: &u32| places.get(*number).is_some_and(|place| place.name == *destination);
        let hash = self.hasher.hash_one(destination);
        if let Some(&number) = self.by_name.find(hash, same) {
            if let Some(place) = self.places.get_mut(number) {
                place.legs += 1;
            }
            return number;
        }
        let place = Place {
            name: destination.clone(),
            ready: BinaryHeap::new(),
            running: 0,
            legs: 1,
            window: u32::MAX,
            generation: 0,
            failures: 0,
            in_round: false,
            closed_until: 0,
            trouble: None,
        };
        let number = self.places.insert(place, |old, new| new.generation = old.generation.wrapping_add(1));
        let (hasher, places) = (&self.hasher, &self.places);
        self.by_name.insert_unique(hash, number, |number| {
            places.get(*number).map_or(0, |place| hasher.hash_one(&place.name))
        });
        number
    }

    /// One leg less; without any a destination is forgotten, unless it is in trouble, which is remembered until its pause ends.
    pub(super) fn leave_place(&mut self, number: u32) {
        let Some(place) = self.places.get_mut(number) else { return };
        place.legs = place.legs.saturating_sub(1);
        self.forget_place(number);
    }

    pub(super) fn forget_place(&mut self, number: u32) {
        let Some(place) = self.places.get_mut(number) else { return };
        if place.legs > 0 || place.running > 0 || place.closed_until != 0 || place.in_round {
            return;
        }
        place.generation = place.generation.wrapping_add(1);
        place.ready = BinaryHeap::new();
        let hash = self.hasher.hash_one(&place.name);
        // One that was forgotten before is not found.
        if let Ok(found) = self.by_name.find_entry(hash, |other| *other == number) {
            found.remove();
            self.places.remove(number);
        }
    }

    /// It stands in the round when it has something ready. Whether it has a free place is asked when its turn comes.
    pub(super) fn enter_round(&mut self, number: u32) {
        let Some(place) = self.places.get_mut(number) else { return };
        if place.closed_until == 0 && !place.in_round && !place.ready.is_empty() {
            place.in_round = true;
            self.round.push_back(number);
        } else {
            self.forget_place(number);
        }
    }

    /// A destination is in trouble: nothing goes there until `pause` of the number of troubles since the last success has passed. Troubles
    /// of jobs that ran at the same time count once.
    pub fn close(&mut self, destination: &Destination, why: &str, pause: impl FnOnce(u16) -> u64, now: u64) {
        let Some(number) = self.find_place(destination) else { return };
        let Some(place) = self.places.get_mut(number) else { return };
        if place.closed_until != 0 {
            return;
        }
        place.failures = place.failures.saturating_add(1);
        place.window = 1;
        place.closed_until = now.saturating_add(pause(place.failures)).max(1);
        place.trouble = Some(why.into());
        place.generation = place.generation.wrapping_add(1);
        self.totals.troubled += 1;
        let (at, generation) = (place.closed_until, place.generation);
        self.timers.push(at, What::Place, number, generation);
    }

    /// A job got through to a destination: it may have more at once.
    pub fn opened(&mut self, destination: &Destination) {
        let Some(number) = self.find_place(destination) else { return };
        let Some(place) = self.places.get_mut(number) else { return };
        place.failures = 0;
        place.trouble = None;
        let generation = place.generation;
        // Past any number of places: all of them.
        place.window = if place.window > 1 << 16 { u32::MAX } else { place.window * 2 };
        // Jobs that ran at the same time may disagree: the good news counts.
        self.reopen(number, generation);
    }

    /// Tries a destination in trouble now.
    pub fn reopen_now(&mut self, destination: &Destination) {
        if let Some(number) = self.find_place(destination)
            && let Some(generation) = self.places.get(number).map(|place| place.generation)
        {
            self.reopen(number, generation);
        }
    }

    pub(super) fn reopen(&mut self, number: u32, generation: u16) {
        let Some(place) = self.places.get_mut(number) else { return };
        if place.generation != generation || place.closed_until == 0 {
            return;
        }
        place.closed_until = 0;
        place.generation = place.generation.wrapping_add(1);
        self.totals.troubled = self.totals.troubled.saturating_sub(1);
        self.timers.forget();
        self.enter_round(number);
    }

    /// How a destination stands.
    pub fn standing(&self, destination: &Destination) -> Option<Standing> {
        self.places.get(self.find_place(destination)?).map(Place::standing)
    }

    /// How destinations stand, from a number on, at most so many numbers; with where to go on.
    pub fn standings(&self, from: u32, most: u32) -> (Vec<Standing>, Option<u32>) {
        let end = self.places.end().min(from.saturating_add(most));
        let live = |number: &u32| self.places.get(*number).is_some_and(|place| place.legs > 0);
        let found =
            (from..end).filter(live).filter_map(|number| self.places.get(number)).map(Place::standing);
        (found.collect(), (end < self.places.end()).then_some(end))
    }

    fn find_place(&self, destination: &Destination) -> Option<u32> {
        let places = &self.places;
        let same = |number: &u32| places.get(*number).is_some_and(|place| place.name == *destination);
        self.by_name.find(self.hasher.hash_one(destination), same).copied()
    }
}

impl Place {
    /// The clock was set back: its pause ends as much earlier.
    pub(super) fn set_back(&mut self, by: u64) {
        if self.closed_until != 0 {
            self.closed_until = self.closed_until.saturating_sub(by).max(1);
        }
    }

    fn standing(&self) -> Standing {
        Standing {
            destination: self.name.clone(),
            messages: self.legs,
            running: self.running,
            trouble: (self.closed_until != 0)
                .then(|| (self.closed_until, self.trouble.as_deref().unwrap_or_default().to_owned())),
        }
    }
}

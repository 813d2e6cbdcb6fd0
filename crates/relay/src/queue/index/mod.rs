//! The queue in memory: what is due when, and whose turn it is. It does no I/O and reads no clock; times are milliseconds since 1970.
//!
//! A message has one *leg* for each destination that some recipient of it goes to. A leg is
//! - *waiting*: it has a timer;
//! - *ready*: in the heap of its destination, by priority, then age;
//! - *running*: a job is carried out;
//! - *held*: nothing, until an operator releases the message.
//!
//! Destinations that have something ready and a free place stand in one round, so each gets its turn however much waits for another.
//! A destination in trouble leaves the round until its pause ends; what is ready stays ready, so that costs nothing by message. Then
//! one job is tried; when it gets through, the number of jobs doubles with each success up to the destination's places.
//!
//! Nothing here takes longer the more messages there are, but for the logarithm of a heap, and rare passes that are paid for by
//! as many steps before them.
//!
//! Memory: see the test `a_million_messages_take_at_most_300_octets_each`.

mod destination;
mod hands;
mod items;
mod marks;
mod slab;
#[cfg(test)]
mod tests;
mod timers;

pub use destination::Standing;
pub use items::{Entry, Leg, LegView, Message, Next, Started, State, Totals};
pub use marks::Marks;

use crate::{carrier::Carrier, message::Destination};
use chasqui_base::DeliveryId;
use destination::{Place, Ready};
use hashbrown::HashTable;
use items::{BUSY, DELAY_SAID, GONE, HELD, LEAVING, UNVERIFIED};
use slab::Slab;
use std::{
    collections::VecDeque,
    hash::{BuildHasher as _, RandomState},
};
use timers::{Timers, What};

/// No leg.
const NONE: u32 = u32::MAX;
/// Timers that are looked at in one go.
const AT_A_TIME: usize = 1024;

/// The queue in memory.
#[derive(Debug)]
pub struct Index {
    messages: Slab<Message>,
    legs: Slab<Leg>,
    places: Slab<Place>,
    by_id: HashTable<u32>,
    by_name: HashTable<u32>,
    timers: Timers,
    round: VecDeque<u32>,
    hasher: RandomState,
    totals: Totals,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            messages: Slab::default(),
            legs: Slab::default(),
            places: Slab::default(),
            by_id: HashTable::new(),
            by_name: HashTable::new(),
            timers: Timers::default(),
            round: VecDeque::new(),
            hasher: RandomState::new(),
            totals: Totals::default(),
        }
    }
}

impl Index {
    /// Messages.
    pub fn count(&self) -> usize {
        self.messages.len()
    }

    /// Numbers of this moment.
    pub fn totals(&self) -> Totals {
        Totals { messages: self.messages.len(), destinations: self.places.len(), ..self.totals }
    }

    /// The number of a message.
    pub fn find(&self, id: DeliveryId) -> Option<u32> {
        let messages = &self.messages;
        let same = |number: &u32| messages.get(*number).is_some_and(|message| message.id == id);
        self.by_id.find(self.hasher.hash_one(id), same).copied()
    }

    /// A message that is in the queue.
    pub fn message(&self, number: u32) -> Option<&Message> {
        self.messages.get(number).filter(|message| message.flags & GONE == 0)
    }

    /// Numbers of messages are below this.
    pub fn end(&self) -> u32 {
        self.messages.end()
    }

    /// The legs of a message.
    pub fn legs(&self, message: u32) -> impl Iterator<Item = LegView<'_>> {
        let first = self.message(message).map_or(NONE, |message| message.first);
        let mut next = first;
        std::iter::from_fn(move || {
            let number = next;
            let leg = self.legs.get(number)?;
            next = leg.next;
            let place = self.places.get(leg.place)?;
            Some(LegView {
                number,
                destination: &place.name,
                state: leg.state,
                attempts: leg.attempts,
                due: (leg.state == State::Waiting).then_some(u64::from(leg.due)),
            })
        })
    }

    /// Puts a message; its legs fall due at their times. `None` when its id is there already.
    pub fn insert(&mut self, entry: Entry) -> Option<u32> {
        if self.find(entry.id).is_some() {
            return None;
        }
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let message = Message {
            id: entry.id,
            marks: entry.marks,
            size: clamp(entry.size),
            received: clamp(entry.received),
            expires: clamp(entry.expires),
            first: NONE,
            generation: 0,
            priority: entry.priority,
            flags: flag(entry.held, HELD)
                | flag(entry.delay_said, DELAY_SAID)
                | flag(entry.unverified, UNVERIFIED),
        };
        self.totals.octets += u64::from(message.size);
        self.totals.held += usize::from(entry.held);
        let number =
            self.messages.insert(message, |old, new| new.generation = old.generation.wrapping_add(1));
        let (hasher, messages) = (&self.hasher, &self.messages);
        self.by_id.insert_unique(hasher.hash_one(entry.id), number, |number| {
            messages.get(*number).map_or(0, |message| hasher.hash_one(message.id))
        });
        self.set_alarm(number, entry.alarm);
        for (destination, attempts, due) in entry.legs {
            self.push_leg(number, &destination, attempts, due);
        }
        Some(number)
    }

    /// Gives a message one destination more, unless it has it.
    pub fn add_leg(&mut self, message: u32, destination: &Destination, attempts: u16, due: u64) {
        if !self.legs(message).any(|leg| leg.destination == destination) {
            self.push_leg(message, destination, attempts, due);
        }
    }

    fn push_leg(&mut self, message: u32, destination: &Destination, attempts: u16, due: u64) {
        let Some(entry) = self.message(message) else { return };
        let (first, held) = (entry.first, entry.flags & HELD != 0);
        let place = self.place(destination);
        let leg = Leg {
            message,
            place,
            next: first,
            cursor: 0,
            due: 0,
            attempts,
            generation: 0,
            state: State::Held,
        };
        let number = self.legs.insert(leg, |old, new| new.generation = old.generation.wrapping_add(1));
        if let Some(entry) = self.messages.get_mut(message) {
            entry.first = number;
        }
        if !held {
            self.wait(number, due);
        }
    }

    /// Removes a message and what is left of its legs. None of them may be running.
    pub fn remove(&mut self, message: u32) {
        let Some(entry) = self.messages.get_mut(message).filter(|entry| entry.flags & GONE == 0) else {
            return;
        };
        let (id, held, size) = (entry.id, entry.flags & HELD != 0, entry.size);
        let mut next = entry.first;
        entry.flags |= GONE;
        entry.generation = entry.generation.wrapping_add(1);
        while let Some(leg) = self.legs.get(next).map(|leg| (next, leg.next)) {
            next = leg.1;
            self.leave(leg.0, State::Held);
            self.free_leg(leg.0);
        }
        self.totals.octets = self.totals.octets.saturating_sub(u64::from(size));
        self.totals.held -= usize::from(held);
        let messages = &self.messages;
        let same = |number: &u32| {
            messages.get(*number).is_some_and(|message| message.id == id) && *number == message
        };
        if let Ok(found) = self.by_id.find_entry(self.hasher.hash_one(id), same) {
            found.remove();
        }
        self.messages.remove(message);
        self.timers.forget();
    }

    /// What has fallen due: legs become ready, destinations are tried again, and the messages whose alarm went are returned.
    /// It does so much at a time that nobody waits long for the lock: [`Index::next_time`] tells whether there is more.
    pub fn advance(&mut self, now: u64) -> Vec<u32> {
        let mut alarms = Vec::new();
        for _ in 0..AT_A_TIME {
            let Some(timer) = self.timers.pop(now) else { break };
            match timer.what {
                What::Leg => {
                    let waits =
                        |leg: &&Leg| leg.generation == timer.generation && leg.state == State::Waiting;
                    if self.legs.get(timer.number).filter(waits).is_some() {
                        self.make_ready(timer.number);
                    }
                }
                What::Alarm => {
                    if self.message(timer.number).is_some_and(|entry| entry.generation == timer.generation) {
                        alarms.push(timer.number);
                    }
                }
                What::Place => self.reopen(timer.number, timer.generation),
            }
        }
        let (legs, messages, places) = (&self.legs, &self.messages, &self.places);
        let live = legs.len() + messages.len() + places.len();
        self.timers.tidy(live, |timer| match timer.what {
            What::Leg => legs
                .get(timer.number)
                .is_some_and(|leg| leg.generation == timer.generation && leg.state == State::Waiting),
            What::Alarm => {
                messages.get(timer.number).is_some_and(|entry| entry.generation == timer.generation)
            }
            What::Place => places.get(timer.number).is_some_and(|place| place.generation == timer.generation),
        });
        alarms
    }

    /// When [`Index::advance`] is due again.
    pub fn next_time(&self) -> Option<u64> {
        self.timers.next()
    }

    /// The clock was set back by so many milliseconds: pauses last no longer for that. What was not tried yet keeps its time, since a
    /// sender may have named it. As many steps as there are timers.
    pub fn set_back(&mut self, by: u64) {
        let (legs, places) = (&mut self.legs, &mut self.places);
        self.timers.set_back(|timer| match timer.what {
            What::Leg => {
                let tried = |leg: &&mut Leg| leg.generation == timer.generation && leg.attempts > 0;
                let Some(leg) = legs.get_mut(timer.number).filter(tried) else { return 0 };
                leg.due = leg.due.saturating_sub(clamp(by / 1000));
                by
            }
            What::Alarm => by,
            What::Place => {
                let current = |place: &&mut Place| place.generation == timer.generation;
                if let Some(place) = places.get_mut(timer.number).filter(current) {
                    place.set_back(by);
                }
                by
            }
        });
    }

    /// Sets when [`Index::advance`] tells of a message.
    pub fn set_alarm(&mut self, message: u32, at: u64) {
        if let Some(entry) = self.message(message) {
            let generation = entry.generation;
            self.timers.push(at, What::Alarm, message, generation);
        }
    }

    /// Takes the next job, whose turn it is. `most` jobs are carried out at once.
    pub fn start(&mut self, carrier: &impl Carrier, most: usize) -> Option<Started> {
        while self.totals.running < most {
            let number = self.round.pop_front()?;
            let Some(place) = self.places.get_mut(number) else { continue };
            place.in_round = false;
            if !place.may_start(carrier) {
                self.forget_place(number);
                continue;
            }
            let leg_number = loop {
                let Some(ready) = place.ready.pop() else { break None };
                let current = |leg: &&Leg| leg.generation == ready.generation && leg.state == State::Ready;
                if self.legs.get(ready.leg).filter(current).is_some() {
                    break Some(ready.leg);
                }
            };
            if let Some(leg_number) = leg_number {
                place.running += 1;
                self.enter_round(number);
                if let Some(started) = self.begin(leg_number) {
                    return Some(started);
                }
            } else {
                self.forget_place(number);
            }
        }
        None
    }

    fn begin(&mut self, number: u32) -> Option<Started> {
        let leg = self.legs.get_mut(number)?;
        leg.state = State::Running;
        leg.generation = leg.generation.wrapping_add(1);
        self.totals.ready = self.totals.ready.saturating_sub(1);
        self.totals.running += 1;
        let message = self.messages.get_mut(leg.message)?;
        Some(Started {
            message: leg.message,
            leg: number,
            id: message.id,
            destination: self.places.get(leg.place)?.name.clone(),
            attempts: leg.attempts,
            cursor: leg.cursor,
            verify: message.flags & UNVERIFIED != 0,
        })
    }

    /// A job has ended.
    pub fn finish(&mut self, number: u32, next: Next) {
        let Some(leg) = self.legs.get_mut(number).filter(|leg| leg.state == State::Running) else { return };
        let (message, place) = (leg.message, leg.place);
        self.totals.running = self.totals.running.saturating_sub(1);
        leg.state = State::Held;
        if let Next::Wait(_) = next {
            leg.attempts = leg.attempts.saturating_add(1);
            leg.cursor = 0;
        }
        if let Next::Continue(cursor) = next {
            leg.cursor = cursor;
        }
        if let Some(place) = self.places.get_mut(place) {
            place.running = place.running.saturating_sub(1);
        }
        let held = self.message(message).is_some_and(|entry| entry.flags & HELD != 0);
        match next {
            Next::Done => {
                self.unlink_leg(message, number);
                self.free_leg(number);
            }
            _ if held => {}
            Next::Continue(_) => self.make_ready(number),
            Next::Wait(due) => self.wait(number, due),
        }
        self.enter_round(place);
    }

    fn leg_numbers(&self, message: u32) -> Vec<u32> {
        self.legs(message).map(|leg| leg.number).collect()
    }

    fn wait(&mut self, number: u32, due: u64) {
        let Some(leg) = self.legs.get_mut(number) else { return };
        leg.state = State::Waiting;
        leg.generation = leg.generation.wrapping_add(1);
        leg.due = clamp(due / 1000);
        self.totals.waiting += 1;
        let generation = leg.generation;
        self.timers.push(due, What::Leg, number, generation);
    }

    fn make_ready(&mut self, number: u32) {
        self.leave(number, State::Ready);
        let Some(leg) = self.legs.get(number) else { return };
        let Some(message) = self.messages.get(leg.message) else { return };
        self.totals.ready += 1;
        let ready = Ready {
            priority: message.priority,
            received: message.received,
            leg: number,
            generation: leg.generation,
        };
        let place = leg.place;
        if let Some(place) = self.places.get_mut(place) {
            let legs = &self.legs;
            place.push(ready, |ready| {
                legs.get(ready.leg)
                    .is_some_and(|leg| leg.generation == ready.generation && leg.state == State::Ready)
            });
        }
        self.enter_round(place);
    }

    /// Out of whatever it is in, but running.
    fn leave(&mut self, number: u32, state: State) {
        let Some(leg) = self.legs.get_mut(number) else { return };
        match leg.state {
            State::Waiting => self.totals.waiting = self.totals.waiting.saturating_sub(1),
            State::Ready => self.totals.ready = self.totals.ready.saturating_sub(1),
            State::Running | State::Held => {}
        }
        if leg.state == State::Waiting {
            self.timers.forget();
        }
        leg.state = state;
        leg.generation = leg.generation.wrapping_add(1);
    }

    fn unlink_leg(&mut self, message: u32, number: u32) {
        let after = self.legs.get(number).map_or(NONE, |leg| leg.next);
        let Some(entry) = self.messages.get_mut(message) else { return };
        if entry.first == number {
            entry.first = after;
            return;
        }
        let mut at = entry.first;
        while let Some(leg) = self.legs.get_mut(at) {
            if leg.next == number {
                leg.next = after;
                return;
            }
            at = leg.next;
        }
    }

    fn free_leg(&mut self, number: u32) {
        let Some(leg) = self.legs.get_mut(number) else { return };
        leg.generation = leg.generation.wrapping_add(1);
        leg.state = State::Held;
        let place = leg.place;
        self.legs.remove(number);
        self.leave_place(place);
    }
}

fn clamp(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

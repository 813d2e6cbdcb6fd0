//! What falls due when.

use std::{cmp::Reverse, collections::BinaryHeap};

/// Whose time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A leg becomes ready.
    Leg,
    /// A message's sender is to be told, or it has expired.
    Alarm,
    /// A destination in trouble is tried again.
    Place,
}

/// One timer: 16 octets. It counts only while what it belongs to has its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    at: u64,
    /// The number of a leg, message or place.
    pub number: u32,
    /// Of which of its uses.
    pub generation: u16,
    /// Whose.
    pub what: What,
}

/// Timers by time. Those that nothing belongs to any more stay until their time or until they are half of all.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<Timer>>,
    /// Timers that may have become void since the last time they were removed.
    void: usize,
}

impl Timers {
    /// Adds one.
    pub fn push(&mut self, at: u64, what: What, number: u32, generation: u16) {
        self.heap.push(Reverse(Timer { at, number, generation, what }));
    }

    /// Takes one whose time has come.
    pub fn pop(&mut self, now: u64) -> Option<Timer> {
        if self.heap.peek()?.0.at > now {
            return None;
        }
        self.heap.pop().map(|timer| timer.0)
    }

    /// When the next comes.
    pub fn next(&self) -> Option<u64> {
        self.heap.peek().map(|timer| timer.0.at)
    }

    /// How many there are, void ones too.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// One has become void.
    pub fn forget(&mut self) {
        self.void += 1;
    }

    /// Sets each earlier by so many milliseconds as is said of it.
    pub fn set_back(&mut self, mut by: impl FnMut(&Timer) -> u64) {
        let mut timers = std::mem::take(&mut self.heap).into_vec();
        for Reverse(timer) in &mut timers {
            timer.at = timer.at.saturating_sub(by(timer));
        }
        self.heap = timers.into();
    }

    /// Removes the void ones when they are many: more steps made them than this takes.
    pub fn tidy(&mut self, live: usize, mut is_live: impl FnMut(&Timer) -> bool) {
        if self.void > 1024 + live / 4 {
            self.heap.retain(|timer| is_live(&timer.0));
            self.heap.shrink_to(live);
            self.void = 0;
        }
    }
}

//! Messages that something else than a job works on: an operator, an alarm, draining.

use super::{BUSY, DELAY_SAID, GONE, HELD, Index, LEAVING, State, UNVERIFIED};

impl Index {
    /// Whether no leg of a message is running and nothing else works on its file.
    pub fn is_idle(&self, message: u32) -> bool {
        self.message(message).is_some_and(|entry| entry.flags & BUSY == 0)
            && self.legs(message).all(|leg| leg.state != State::Running)
    }

    /// Takes a message out of the rounds, since something else works on its file. False when it is not idle.
    pub fn take(&mut self, message: u32) -> bool {
        if !self.is_idle(message) {
            return false;
        }
        if let Some(entry) = self.messages.get_mut(message) {
            entry.flags |= BUSY;
        }
        for leg in self.leg_numbers(message) {
            self.leave(leg, State::Held);
        }
        true
    }

    /// A message that was taken goes to another relay now. False when an operator holds it back.
    pub fn leave_for_peer(&mut self, message: u32) -> bool {
        let Some(entry) = self.messages.get_mut(message).filter(|entry| entry.flags & HELD == 0) else {
            return false;
        };
        entry.flags |= LEAVING;
        true
    }

    /// Whether it goes to another relay at this moment.
    pub fn is_leaving(&self, message: u32) -> bool {
        self.message(message).is_some_and(|entry| entry.flags & LEAVING != 0)
    }

    /// Gives it back: legs that were taken are due at `due`, unless it is held.
    pub fn give_back(&mut self, message: u32, due: u64) {
        if let Some(entry) = self.messages.get_mut(message) {
            entry.flags &= !(BUSY | LEAVING);
        }
        self.hurry(message, due);
    }

    /// Legs that wait, are ready or were held fall due at `due`, unless the message is held.
    pub fn hurry(&mut self, message: u32, due: u64) {
        if self.message(message).is_none_or(|entry| entry.flags & (HELD | BUSY) != 0) {
            return;
        }
        for leg in self.leg_numbers(message) {
            let state = self.legs.get(leg).map(|leg| leg.state);
            if matches!(state, Some(State::Waiting | State::Held)) {
                self.leave(leg, State::Held);
                self.wait(leg, due);
            }
        }
    }

    /// Holds a message back, or no longer. Says whether that changes anything.
    pub fn hold(&mut self, message: u32, held: bool, now: u64) -> bool {
        let Some(entry) = self.messages.get_mut(message).filter(|entry| entry.flags & GONE == 0) else {
            return false;
        };
        if (entry.flags & HELD != 0) == held {
            return false;
        }
        entry.flags ^= HELD;
        if held {
            self.totals.held += 1;
            for leg in self.leg_numbers(message) {
                if self.legs.get(leg).is_some_and(|leg| leg.state != State::Running) {
                    self.leave(leg, State::Held);
                }
            }
        } else {
            self.totals.held = self.totals.held.saturating_sub(1);
            self.hurry(message, now);
        }
        true
    }

    /// Whether an operator holds it back.
    pub fn is_held(&self, message: u32) -> bool {
        self.message(message).is_some_and(|entry| entry.flags & HELD != 0)
    }

    /// Whether its sender was told that it is late.
    pub fn delay_said(&self, message: u32) -> bool {
        self.message(message).is_some_and(|entry| entry.flags & DELAY_SAID != 0)
    }

    /// Its sender was told that it is late, or need not be.
    pub fn set_delay_said(&mut self, message: u32) {
        if let Some(entry) = self.messages.get_mut(message) {
            entry.flags |= DELAY_SAID;
        }
    }

    /// Whether its text was not compared with its seal since the start.
    pub fn is_unverified(&self, message: u32) -> bool {
        self.message(message).is_some_and(|entry| entry.flags & UNVERIFIED != 0)
    }

    /// Its text is the one that was sealed.
    pub fn set_verified(&mut self, message: u32) {
        if let Some(entry) = self.messages.get_mut(message) {
            entry.flags &= !UNVERIFIED;
        }
    }
}

//! Which datagrams came already (S5c): see "Replays" in [`crate::wire`].

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::wire::seal::Stamp;

/// Counters below the highest one that are remembered singly: datagrams may overtake each other by so many.
const WINDOW: u64 = 1024;
const WORDS: usize = (WINDOW / 64) as usize;
/// Sessions are spread over so many locks, so that receive threads seldom meet.
const SHARDS: usize = 16;

/// What the server remembers of every client process.
pub(crate) struct Replays {
    shards: [Mutex<HashMap<[u8; 16], Session>>; SHARDS],
    sessions_per_shard: usize,
    /// Milliseconds that a clock may be off, either way.
    skew: u64,
    /// When this server began to remember, milliseconds since 1970.
    start: u64,
}

/// What to do with a datagram that is authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is new.
    Fresh,
    /// It came already, or is too far behind to tell.
    Replayed,
    /// Its time is too far off, or from before the server's start.
    Stale,
    /// Too many sessions are remembered to remember another one.
    Full,
}

struct Session {
    highest: u64,
    /// Bit `n % WINDOW` tells whether counter `n` came, for the `WINDOW` counters up to `highest`.
    seen: [u64; WORDS],
    /// The latest time that one of its datagrams bore: past that and the skew none of them can come again.
    latest: u64,
}

impl Replays {
    pub(crate) fn new(sessions: usize, skew: u64, start: u64) -> Self {
        Self { shards: Default::default(), sessions_per_shard: sessions.div_ceil(SHARDS).max(1), skew, start }
    }

    /// Judges an authentic datagram that bears `time`, at the instant `now` (both in milliseconds since 1970), and remembers it.
    pub(crate) fn admit(&self, stamp: Stamp, time: u64, now: u64) -> Admission {
        if time.abs_diff(now) > self.skew || time < self.start {
            return Admission::Stale;
        }
        let shard = &self.shards[usize::from(stamp.session[0]) % SHARDS];
        let mut sessions = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = sessions.get_mut(&stamp.session) {
            return session.admit(stamp.counter, time);
        }
        if sessions.len() >= self.sessions_per_shard {
            sessions.retain(|_, session| session.latest + self.skew >= now);
            if sessions.len() >= self.sessions_per_shard {
                return Admission::Full;
            }
        }
        let mut session = Session { highest: stamp.counter, seen: [0; WORDS], latest: time };
        session.mark(stamp.counter);
        sessions.insert(stamp.session, session);
        Admission::Fresh
    }

    /// Sessions that are remembered.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}

impl Session {
    fn admit(&mut self, counter: u64, time: u64) -> Admission {
        if counter > self.highest {
            let ahead = counter - self.highest;
            if ahead >= WINDOW {
                self.seen = [0; WORDS];
            } else {
                (self.highest + 1..=counter).for_each(|n| self.seen[word(n)] &= !bit(n));
            }
            self.highest = counter;
        } else if self.highest - counter >= WINDOW || self.seen[word(counter)] & bit(counter) != 0 {
            return Admission::Replayed;
        }
        self.mark(counter);
        self.latest = self.latest.max(time);
        Admission::Fresh
    }

    fn mark(&mut self, counter: u64) {
        self.seen[word(counter)] |= bit(counter);
    }
}

fn word(counter: u64) -> usize {
    (counter % WINDOW / 64) as usize
}

fn bit(counter: u64) -> u64 {
    1 << (counter % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp(session: u8, counter: u64) -> Stamp {
        Stamp { session: [session; 16], counter }
    }

    #[test]
    fn a_time_too_far_off_or_before_the_start_is_stale() {
        let replays = Replays::new(10, 30_000, 100_000);
        assert_eq!(replays.admit(stamp(1, 1), 99_999, 100_010), Admission::Stale);
        assert_eq!(replays.admit(stamp(1, 1), 100_000, 130_001), Admission::Stale);
        assert_eq!(replays.admit(stamp(1, 1), 160_002, 130_001), Admission::Stale);
        assert_eq!(replays.admit(stamp(1, 1), 130_000, 130_001), Admission::Fresh);
    }

    #[test]
    fn sessions_are_bounded_and_forgotten_only_when_they_cannot_come_again() {
        let replays = Replays::new(1, 30_000, 0);
        assert_eq!(replays.admit(stamp(1, 1), 100_000, 100_000), Admission::Fresh);
        assert_eq!(replays.admit(stamp(17, 1), 130_000, 130_000), Admission::Full);
        assert_eq!(replays.admit(stamp(17, 1), 130_001, 130_001), Admission::Fresh);
        assert_eq!(replays.admit(stamp(1, 1), 100_000, 130_001), Admission::Stale);
        assert_eq!(replays.len(), 1);
    }

    proptest! {
        #[test]
        fn no_counter_is_admitted_twice_and_near_ones_are_admitted_once(counters in proptest::collection::vec(0_u64..3000, 1..400)) {
            let replays = Replays::new(10, 1000, 0);
            let mut seen = std::collections::HashSet::new();
            let mut highest = 0;
            for counter in counters {
                let fresh = replays.admit(stamp(1, counter), 0, 0) == Admission::Fresh;
                let near = seen.is_empty() || counter + WINDOW > highest;
                prop_assert_eq!(fresh, near && seen.insert(counter), "{}", counter);
                highest = highest.max(counter);
            }
        }
    }
}

//! The time, in milliseconds since 1970: what envelopes and records hold, and what timers are set by.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How far the system's clock may be away before it is followed: less is its being steered, which would only make steps.
const FOLLOWED_MS: u64 = 5_000;
/// How long what has expired is left for one attempt more, when it expired while nothing could be tried.
pub(super) const LAST_CHANCE_MS: u64 = 600_000;

/// A steady clock that follows the system's when that is set: after a start without a battery, or when a machine wakes up.
pub(super) struct Clock {
    /// When it was made.
    pub from: Instant,
    /// The same, by the system's clock.
    pub started: SystemTime,
    at: u64,
    moved: AtomicI64,
    /// By how much it was set back since that was asked last.
    set_back: AtomicU64,
    /// When it was set forward the last time; 0: never.
    forward: AtomicU64,
}

impl Clock {
    pub fn new() -> Self {
        let started = SystemTime::now();
        Self {
            from: Instant::now(),
            started,
            at: since_1970(started),
            moved: AtomicI64::new(0),
            set_back: AtomicU64::new(0),
            forward: AtomicU64::new(0),
        }
    }

    /// Milliseconds since 1970.
    pub fn now(&self) -> u64 {
        self.follow(self.from.elapsed(), since_1970(SystemTime::now()))
    }

    /// Seconds since 1970.
    pub fn seconds(&self) -> u64 {
        self.now() / 1000
    }

    /// By how many milliseconds it was set back since this was asked last.
    pub fn take_set_back(&self) -> u64 {
        self.set_back.swap(0, Ordering::Relaxed)
    }

    /// Until when what has expired gets one attempt more, since the clock has leapt over its time.
    pub fn last_chance(&self) -> u64 {
        match self.forward.load(Ordering::Relaxed) {
            0 => 0,
            at => at.saturating_add(LAST_CHANCE_MS),
        }
    }

    fn follow(&self, elapsed: Duration, system: u64) -> u64 {
        let moved = self.moved.load(Ordering::Relaxed);
        let steady = self
            .at
            .saturating_add(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
            .saturating_add_signed(moved);
        if system.abs_diff(steady) <= FOLLOWED_MS {
            return steady;
        }
        let by = i64::try_from(i128::from(system) - i128::from(steady)).unwrap_or_default();
        let next = moved.saturating_add(by);
        // Of several who see it at once one tells.
        if self.moved.compare_exchange(moved, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            tracing::warn!(by_seconds = by / 1000, "the system's clock was set, the queue follows it");
            if by < 0 {
                self.set_back.fetch_add(by.unsigned_abs(), Ordering::Relaxed);
            } else {
                self.forward.store(system, Ordering::Relaxed);
            }
        }
        system
    }
}

fn since_1970(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_followed_and_one_that_is_steered_is_not() {
        let clock = Clock::new();
        let (at, hour) = (clock.at, 3_600_000);
        let minute = Duration::from_secs(60);
        assert_eq!(clock.follow(minute, at + 60_000 + FOLLOWED_MS), at + 60_000);
        assert_eq!((clock.take_set_back(), clock.last_chance()), (0, 0));
        assert_eq!(clock.follow(minute, at + hour), at + hour);
        assert_eq!(clock.last_chance(), at + hour + LAST_CHANCE_MS);
        // It goes on from there.
        assert_eq!(clock.follow(2 * minute, at + hour + 61_000), at + hour + 60_000);
        assert_eq!(clock.follow(2 * minute, at), at);
        assert_eq!((clock.take_set_back(), clock.take_set_back()), (hour + 60_000, 0));
    }
}

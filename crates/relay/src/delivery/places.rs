//! How many messages may be under way to a destination at once: few at first, more while it takes them, half when it does not.

use crate::{config::Connections, message::Destination};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Destinations that something is known of. Of further ones nothing is learnt.
const KNOWN: usize = 65_536;
/// How long after the last attempt a destination is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(900);
/// Failures within this time after one that was counted are of the same cause: they come from messages under way at once.
const ONE_FAILURE: Duration = Duration::from_secs(1);

/// What is known of the destinations.
#[derive(Debug, Default)]
pub(super) struct Places {
    known: Mutex<HashMap<Destination, Known>>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    places: f64,
    /// Something failed: from then on places grow by one for as many successes as there are places, before by one for each.
    wary: bool,
    failed: Option<Instant>,
    used: Instant,
}

impl Places {
    /// The places of a destination now.
    pub(super) fn of(&self, destination: &Destination, limits: &Connections) -> usize {
        let places = self.known().get(destination).map_or(limits.initial, |known| known.places as usize);
        places.clamp(1, limits.most.max(1))
    }

    /// A message was taken.
    pub(super) fn succeeded(&self, destination: &Destination, limits: &Connections) {
        self.change(destination, limits, |known| {
            let step = if known.wary { 1.0 / known.places.max(1.0) } else { 1.0 };
            known.places = (known.places + step).min(limits.most as f64);
        });
    }

    /// The destination could not be reached, or put us off.
    pub(super) fn failed(&self, destination: &Destination, limits: &Connections) {
        self.change(destination, limits, |known| {
            known.wary = true;
            if known.failed.is_none_or(|failed| failed.elapsed() >= ONE_FAILURE) {
                known.failed = Some(Instant::now());
                known.places = (known.places / 2.0).max(1.0);
            }
        });
    }

    /// Forgets what nobody sent to for a while.
    pub(super) fn tidy(&self) {
        self.known().retain(|_, known| known.used.elapsed() < FORGOTTEN);
    }

    fn change(&self, destination: &Destination, limits: &Connections, change: impl FnOnce(&mut Known)) {
        let mut all = self.known();
        let fresh = Known { places: limits.initial as f64, wary: false, failed: None, used: Instant::now() };
        if let Some(known) = all.get_mut(destination) {
            known.used = fresh.used;
            change(known);
        } else if all.len() < KNOWN {
            change(all.entry(destination.clone()).or_insert(fresh));
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Destination, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_grow_while_mail_is_taken_and_halve_when_it_is_not() {
        let (places, limits) = (Places::default(), Connections::default());
        let there = Destination("example.org".into());
        assert_eq!(places.of(&there, &limits), 5);
        for _ in 0..50 {
            places.succeeded(&there, &limits);
        }
        assert_eq!(places.of(&there, &limits), 20);
        // Messages that were under way together fail together.
        for _ in 0..20 {
            places.failed(&there, &limits);
        }
        assert_eq!(places.of(&there, &limits), 10);
        for _ in 0..5 {
            places.succeeded(&there, &limits);
        }
        assert_eq!(places.of(&there, &limits), 10);
        for _ in 0..10 {
            places.succeeded(&there, &limits);
        }
        assert_eq!(places.of(&there, &limits), 11);
        assert_eq!(places.of(&Destination("other.example".into()), &limits), 5);
    }

    #[test]
    fn a_destination_never_has_less_than_one_place() {
        let (places, limits) = (Places::default(), Connections { initial: 1, ..Connections::default() });
        let there = Destination("example.org".into());
        places.failed(&there, &limits);
        assert_eq!(places.of(&there, &limits), 1);
    }

    #[test]
    fn what_is_known_of_destinations_has_a_bound() {
        let (places, limits) = (Places::default(), Connections::default());
        for n in 0..KNOWN + 10 {
            places.succeeded(&Destination(format!("{n}.example").into()), &limits);
        }
        assert_eq!(places.known().len(), KNOWN);
    }
}

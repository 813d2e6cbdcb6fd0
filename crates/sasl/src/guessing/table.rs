//! A table of scores in a fixed amount of memory.
//!
//! It is set-associative: a key belongs to one bucket of eight places; when all eight are taken, the
//! one whose score has decayed furthest gives way. An attacker who sprays keys therefore pushes out
//! other small scores first, and memory never grows. A place takes 16 octets.

/// Places in a bucket.
const WAYS: usize = 8;

/// Scores by key, each halving every so many seconds.
pub struct ScoreTable {
    buckets: Vec<[Place; WAYS]>,
    half_life: f32,
}

#[derive(Clone, Copy, Default)]
struct Place {
    key: u64,
    /// Seconds on the caller's clock at which `score` held.
    at: u32,
    /// Zero marks a free place.
    score: f32,
}

impl ScoreTable {
    /// A table of at least `places` places (rounded up to a power of two of buckets) whose scores
    /// halve every `half_life` seconds.
    pub fn new(places: usize, half_life: f32) -> Self {
        let buckets = places.div_ceil(WAYS).max(1).next_power_of_two();
        Self { buckets: vec![[Place::default(); WAYS]; buckets], half_life: half_life.max(1.0) }
    }

    /// The score of `key` at `now` (seconds), zero if it is not known.
    pub fn score(&self, key: u64, now: u32) -> f32 {
        let bucket = &self.buckets[self.bucket(key)];
        bucket.iter().find(|p| p.score > 0.0 && p.key == key).map_or(0.0, |p| self.decayed(p, now))
    }

    /// Adds `points` to the score of `key` and gives the sum.
    pub fn add(&mut self, key: u64, now: u32, points: f32) -> f32 {
        let at = self.bucket(key);
        let taken = self.buckets[at].iter().position(|p| p.score > 0.0 && p.key == key);
        let place = match taken {
            Some(place) => place,
            None => self.least(at, now),
        };
        let old = if taken.is_some() { self.decayed(&self.buckets[at][place], now) } else { 0.0 };
        let score = old + points;
        self.buckets[at][place] = Place { key, at: now, score };
        score
    }

    /// Sets the score of `key` to `points`.
    pub fn set(&mut self, key: u64, now: u32, points: f32) {
        let at = self.bucket(key);
        let taken = self.buckets[at].iter().position(|p| p.score > 0.0 && p.key == key);
        let place = taken.unwrap_or_else(|| self.least(at, now));
        self.buckets[at][place] = Place { key, at: now, score: points };
    }

    /// The free place of a bucket, or the one with the least score left.
    fn least(&self, bucket: usize, now: u32) -> usize {
        let mut least = (0, f32::INFINITY);
        for (index, place) in self.buckets[bucket].iter().enumerate() {
            let score = self.decayed(place, now);
            if score < least.1 {
                least = (index, score);
            }
        }
        least.0
    }

    fn bucket(&self, key: u64) -> usize {
        // The number of buckets is a power of two, so the mask keeps the index in range.
        (key as usize) & (self.buckets.len() - 1)
    }

    fn decayed(&self, place: &Place, now: u32) -> f32 {
        let age = now.saturating_sub(place.at) as f32;
        place.score * (-age / self.half_life).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_score_halves_with_every_half_life() {
        let mut table = ScoreTable::new(64, 100.0);
        table.add(7, 0, 8.0);
        assert_eq!(table.score(7, 0), 8.0);
        assert!((table.score(7, 100) - 4.0).abs() < 0.01);
        assert!((table.score(7, 300) - 1.0).abs() < 0.01);
        assert!((table.add(7, 100, 1.0) - 5.0).abs() < 0.01);
        assert_eq!(table.score(8, 0), 0.0);
    }

    #[test]
    fn when_a_bucket_is_full_the_smallest_score_gives_way() {
        let mut table = ScoreTable::new(8, 100.0);
        for key in 1..=8 {
            table.add(key, 0, key as f32);
        }
        table.add(100, 0, 3.0);
        assert_eq!(table.score(1, 0), 0.0);
        assert_eq!(table.score(2, 0), 2.0);
        assert_eq!(table.score(100, 0), 3.0);
    }

    #[test]
    fn a_spray_of_single_failures_does_not_push_out_a_persistent_guesser() {
        let mut table = ScoreTable::new(1024, 600.0);
        for _ in 0..20 {
            table.add(42, 0, 1.0);
        }
        for key in 0..100_000u64 {
            table.add(key.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 << 63, 0, 1.0);
        }
        assert_eq!(table.score(42, 0), 20.0);
    }

    proptest! {
        #[test]
        fn memory_stays_what_it_was_and_scores_stay_finite(steps in proptest::collection::vec((any::<u64>(), any::<u32>(), 0.0f32..10.0), 0..200)) {
            let mut table = ScoreTable::new(32, 60.0);
            for (key, now, points) in steps {
                prop_assert!(table.add(key, now, points).is_finite());
                prop_assert_eq!(table.buckets.len(), 4);
            }
        }
    }
}

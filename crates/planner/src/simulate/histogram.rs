//! How long things took, weighed by how many they stand for.

/// Buckets of a power of ten: each is 4.7 % wide.
const PER_DECADE: f64 = 50.0;
/// Powers of ten from the shortest time that is told apart, a tenth of a microsecond.
const DECADES: usize = 12;
const SHORTEST: f64 = 1e-7;

/// Times in seconds, in buckets that grow geometrically.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    buckets: Vec<f64>,
    count: f64,
    longest: f64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { buckets: vec![0.0; DECADES * PER_DECADE as usize], count: 0.0, longest: 0.0 }
    }

    /// Counts `weight` things that took `seconds`.
    pub(super) fn add(&mut self, seconds: f64, weight: f64) {
        if weight <= 0.0 {
            return;
        }
        let bucket = ((seconds / SHORTEST).max(1.0).log10() * PER_DECADE) as usize;
        let bucket = bucket.min(self.buckets.len() - 1);
        self.buckets[bucket] += weight;
        self.count += weight;
        self.longest = self.longest.max(seconds);
    }

    /// Counts what another one counted.
    pub(super) fn merge(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket += more;
        }
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
    }

    /// How many were counted.
    pub(super) fn count(&self) -> f64 {
        self.count
    }

    /// The longest time.
    pub(super) fn longest(&self) -> f64 {
        self.longest
    }

    /// The time that a share of all did not exceed, to half a bucket: 2.4 %. 0 if nothing was counted.
    pub(super) fn at(&self, share: f64) -> f64 {
        let wanted = self.count * share;
        let mut sum = 0.0;
        for (number, weight) in self.buckets.iter().enumerate() {
            sum += weight;
            if sum >= wanted && *weight > 0.0 {
                let middle = SHORTEST * 10f64.powf((number as f64 + 0.5) / PER_DECADE);
                return middle.min(self.longest);
            }
        }
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_a_bucket() {
        let mut histogram = Histogram::new();
        for number in 1..=10_000 {
            histogram.add(f64::from(number) / 1000.0, 2.0);
        }
        for (share, seconds) in [(0.5, 5.0), (0.95, 9.5), (0.99, 9.9)] {
            assert!((histogram.at(share) / seconds - 1.0).abs() < 0.03, "{share}: {}", histogram.at(share));
        }
        assert_eq!((histogram.count(), histogram.longest()), (20_000.0, 10.0));
    }

    #[test]
    fn nothing_counted_took_no_time() {
        assert_eq!(Histogram::new().at(0.99), 0.0);
    }

    #[test]
    fn merged_histograms_count_as_one() {
        let (mut one, mut other) = (Histogram::new(), Histogram::new());
        one.add(1.0, 99.0);
        other.add(5.0, 1.0);
        one.merge(&other);
        assert!((one.at(0.5) - 1.0).abs() < 0.05);
        assert_eq!((one.count(), one.longest()), (100.0, 5.0));
    }
}

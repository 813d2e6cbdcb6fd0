//! Random numbers that are the same on every machine for the same seed: xoshiro256++ (Blackman and Vigna, 2019).

/// A generator.
#[derive(Clone, Debug)]
pub(super) struct Random([u64; 4]);

impl Random {
    /// A generator for a seed; its state is filled by SplitMix64, as the authors of xoshiro say.
    pub(super) fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^ (word >> 31)
        }))
    }

    fn next(&mut self) -> u64 {
        let state = &mut self.0;
        let result = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        result
    }

    /// A number from 0 up to, but not, 1.
    pub(super) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// An exponentially distributed time with this mean.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.uniform()).ln()
    }

    /// Whether something happens that has this probability.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_each_time() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            [random.uniform(), random.exponential(3.0), random.uniform()]
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }

    #[test]
    fn means_are_what_was_asked_for() {
        let mut random = Random::new(1);
        let count = 200_000;
        let uniform: f64 = (0..count).map(|_| random.uniform()).sum::<f64>() / f64::from(count);
        let exponential: f64 = (0..count).map(|_| random.exponential(3.0)).sum::<f64>() / f64::from(count);
        assert!((uniform - 0.5).abs() < 0.005 && (exponential - 3.0).abs() < 0.03, "{uniform} {exponential}");
    }
}

//! How much one network may send: token buckets in bounded memory.
//!
//! There are two generations of buckets. A network that is seen is in the young one; when that is full, it becomes the old one and what
//! was old is forgotten. So a look-up costs two hashes at most, memory has a bound, and who sends all the time is never
//! forgotten. A network that is forgotten begins with a full bucket.

use super::{config::RatesConfig, network};
use chasqui_smtp::Reply;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Connections,
    Messages,
    Recipients,
    Octets,
}

const UNITS: usize = 4;

impl Unit {
    /// What a client is told that had too many, for `ip` as the others see it.
    pub(crate) fn refusal(self) -> Reply {
        match self {
            Self::Connections => {
                Reply::fixed(421, (4, 7, 0), "Too many connections from your network, try again later")
            }
            Self::Messages => {
                Reply::fixed(450, (4, 7, 1), "Too many messages from your network, try again later")
            }
            Self::Recipients => {
                Reply::fixed(450, (4, 7, 1), "Too many recipients from your network, try again later")
            }
            Self::Octets => Reply::fixed(450, (4, 7, 1), "Too much mail from your network, try again later"),
        }
    }
}

pub(crate) struct Rates {
    /// What a minute allows, for each unit.
    minute: [Option<f64>; UNITS],
    prefixes: (u8, u8),
    /// Networks of one generation.
    most: usize,
    begun: Instant,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<IpAddr, Buckets>,
    old: HashMap<IpAddr, Buckets>,
}

#[derive(Clone, Copy)]
struct Buckets {
    /// What is left, as a share of a minute's worth: 1 is full.
    left: [f32; UNITS],
    /// Seconds since the beginning.
    at: f64,
}

impl Rates {
    pub(crate) fn new(config: &RatesConfig) -> Self {
        let minute = [
            config.connections.map(f64::from),
            config.messages.map(f64::from),
            config.recipients.map(f64::from),
            config.octets.map(|octets| octets.as_u64() as f64),
        ];
        Self {
            minute,
            prefixes: (config.ipv4_prefix, config.ipv6_prefix),
            most: (config.networks / 2).max(1),
            begun: Instant::now(),
            generations: Mutex::default(),
        }
    }

    /// Whether anything is limited.
    pub(crate) fn is_on(&self) -> bool {
        self.minute.iter().any(Option::is_some)
    }

    /// Takes `amount` from the bucket of the network of `ip`; false when there is not enough. An amount above a whole minute's worth takes a
    /// full bucket.
    pub(crate) fn take(&self, ip: IpAddr, unit: Unit, amount: u64) -> bool {
        self.take_at(ip, unit, amount, self.begun.elapsed().as_secs_f64())
    }

    fn take_at(&self, ip: IpAddr, unit: Unit, amount: u64, now: f64) -> bool {
        let index = unit as usize;
        let Some(minute) = self.minute.get(index).copied().flatten() else { return true };
        if minute < 1.0 {
            return false;
        }
        let share = (amount as f64 / minute).min(1.0) as f32;
        let network = network::of(ip, self.prefixes.0, self.prefixes.1);
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let buckets = generations.bucket(network, now, self.most);
        let refill = ((now - buckets.at).max(0.0) / 60.0) as f32;
        buckets.left.iter_mut().for_each(|left| *left = (*left + refill).min(1.0));
        buckets.at = now;
        match buckets.left.get_mut(index) {
            // A thousandth is what rounding may lose.
            Some(left) if *left + 0.001 * share >= share => {
                *left = (*left - share).max(0.0);
                true
            }
            _ => false,
        }
    }
}

impl Generations {
    fn bucket(&mut self, network: IpAddr, now: f64, most: usize) -> &mut Buckets {
        if self.young.len() >= most && !self.young.contains_key(&network) {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &self.old;
        self.young
            .entry(network)
            .or_insert_with(|| old.get(&network).copied().unwrap_or(Buckets { left: [1.0; UNITS], at: now }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(recipients: u32, networks: usize) -> Rates {
        Rates::new(&RatesConfig { recipients: Some(recipients), networks, ..RatesConfig::default() })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_may_spend_a_minutes_worth_and_then_what_comes_in() {
        let rates = rates(60, 100);
        for n in 0..60 {
            assert!(rates.take_at(ip("192.0.2.1"), Unit::Recipients, 1, 0.0), "{n}");
        }
        assert!(!rates.take_at(ip("192.0.2.200"), Unit::Recipients, 1, 0.5));
        assert!(rates.take_at(ip("192.0.2.200"), Unit::Recipients, 1, 2.0));
        assert!(rates.take_at(ip("198.51.100.1"), Unit::Recipients, 1, 2.0), "another network");
        assert!(rates.take_at(ip("192.0.2.1"), Unit::Messages, 1_000_000, 2.0), "not limited");
    }

    #[test]
    fn what_is_larger_than_a_minutes_worth_passes_alone() {
        let rates = rates(10, 100);
        assert!(rates.take_at(ip("192.0.2.1"), Unit::Recipients, 1000, 0.0));
        assert!(!rates.take_at(ip("192.0.2.1"), Unit::Recipients, 1, 1.0));
        assert!(!super::tests::rates(0, 100).take_at(ip("192.0.2.1"), Unit::Recipients, 1, 1.0));
    }

    #[test]
    fn memory_has_a_bound_and_whoever_goes_on_sending_is_not_forgotten() {
        let rates = rates(1, 1000);
        let busy = ip("198.51.100.1");
        assert!(rates.take_at(busy, Unit::Recipients, 1, 0.0));
        for n in 0..100_000_u32 {
            let other = IpAddr::from((0x0a00_0000 + (n << 8)).to_be_bytes());
            rates.take_at(other, Unit::Recipients, 1, 1.0);
            if n % 100 == 0 {
                assert!(!rates.take_at(busy, Unit::Recipients, 1, 1.0));
            }
        }
        let generations = rates.generations.lock().unwrap();
        assert!(generations.young.len() <= 500 && generations.old.len() <= 500);
    }

    proptest::proptest! {
        #[test]
        fn nobody_gets_more_than_two_minutes_worth_in_a_minute(
            limit in 1u32..100, times in proptest::collection::vec(0.0f64..60.0, 1..400),
        ) {
            let rates = rates(limit, 10);
            let mut times = times;
            times.sort_by(f64::total_cmp);
            let passed = times.iter().filter(|&&at| rates.take_at(ip("192.0.2.1"), Unit::Recipients, 1, at)).count();
            proptest::prop_assert!(passed as u32 <= 2 * limit + 1, "{passed} of {limit}");
        }
    }
}

//! Every request played, one by one: what the tests compare the simulation with.
//!
//! Stations in a row, each with servers that take requests in the order in which they come and need exponential times. Arrivals
//! are a Poisson process whose rate changes with time (thinning). Only for small loads: it takes a step for each request.

use std::collections::BinaryHeap;

use super::random::Random;

/// Servers in front of which requests wait in one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Station {
    /// How many.
    pub(super) servers: usize,
    /// Mean service time in seconds.
    pub(super) service: f64,
}

/// Plays `seconds`; gives each request's arrival and how long it took through all stations. `most` is the highest rate.
pub(super) fn play(
    stations: &[Station],
    rate: &dyn Fn(f64) -> f64,
    most: f64,
    seconds: f64,
    seed: u64,
) -> Vec<(f64, f64)> {
    let mut random = Random::new(seed);
    let mut requests = Vec::new();
    let mut now = 0.0;
    loop {
        now += random.exponential(1.0 / most);
        if now >= seconds {
            break;
        }
        if random.happens(rate(now) / most) {
            requests.push((now, now));
        }
    }
    for station in stations {
        // Requests leave a station in another order than they came.
        requests.sort_by(|one: &(f64, f64), other| one.1.total_cmp(&other.1));
        let mut free: BinaryHeap<Free> = (0..station.servers).map(|_| Free(0.0)).collect();
        for (_, time) in &mut requests {
            let Some(Free(earliest)) = free.pop() else { break };
            let done = earliest.max(*time) + random.exponential(station.service);
            free.push(Free(done));
            *time = done;
        }
    }
    requests.into_iter().map(|(arrived, done)| (arrived, done - arrived)).collect()
}

/// When a server is free; the earliest is the greatest, as the heap gives it first.
#[derive(PartialEq)]
struct Free(f64);

impl Eq for Free {}

impl PartialOrd for Free {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Free {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.0.total_cmp(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::erlang_c;
    use super::*;

    #[test]
    fn requests_played_one_by_one_wait_as_long_as_erlang_says() {
        let (servers, service, load) = (4, 0.01, 0.8);
        let rate = load * servers as f64 / service;
        let times = play(&[Station { servers, service }], &|_| rate, rate, 2000.0, 1);
        let mean = times.iter().map(|(_, time)| time).sum::<f64>() / times.len() as f64;
        let expected = service + erlang_c(4.0, load) * service / (4.0 * (1.0 - load));
        assert!((mean / expected - 1.0).abs() < 0.03, "{mean} {expected}");
    }
}

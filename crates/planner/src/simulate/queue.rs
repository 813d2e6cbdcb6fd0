//! One queue: servers, what waits before them, and how long a new arrival waits.
//!
//! Time goes in slices. In each, the arrivals of the slice are one number; no single request exists. Two quantities stand for
//! everything that waits, both in seconds that a new arrival must wait:
//!
//! - the *backlog* `b`: what came in and could not be done, a fluid: it grows by `(ρ − 1)·Δ` while the load ρ is above 1, and
//!   shrinks in the same way down to 0;
//! - the *busy wait* `v`: how long one waits that finds all servers busy. Chance makes it: with independent arrivals the wait in front
//!   of `c` servers of mean service time `s` moves by `(ρ − 1)·dt`, and randomness pushes it up by `(s/c)/v·dt`, the less the longer
//!   it is. That equation (a moment closure of the reflected diffusion) rests at `v = s / (c·(1 − ρ))`, which is exactly what M/M/c
//!   has, grows like `√t` at ρ = 1, follows the backlog above and drains after it. An implicit Euler step solves it for any Δ.
//!
//! A new arrival finds all servers busy with Erlang's probability C(c, ρ), or surely while a backlog is there. Its wait is then
//! `b` and an exponential time with mean `v − b`. Servers are shared by kinds of work whose service times differ by orders of
//! magnitude (a look-up, a password check), on a machine that gives each its turn; there a kind's mean wait is in proportion to
//! its own service time (the insensitivity of processor sharing), so the exponential time is scaled by it. With one kind
//! this is M/M/c again.

/// The shortest service time that is reckoned with, in seconds; it keeps the quotients finite.
const SHORTEST: f64 = 1e-9;

/// Servers that share one queue.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    servers: f64,
    backlog: f64,
    busy_wait: f64,
    /// Mean service time of a second of work, in seconds.
    service: f64,
    load: f64,
    delay: f64,
}

/// What became of the arrivals of a slice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    /// Offered work as a share of what the servers can do.
    pub(super) load: f64,
    /// The share of the arrivals for which the wait became too long.
    pub(super) refused: f64,
}

impl Queue {
    /// A queue before `servers` servers, empty.
    pub(super) fn new(servers: f64) -> Self {
        Self { servers, backlog: 0.0, busy_wait: 0.0, service: SHORTEST, load: 0.0, delay: 0.0 }
    }

    /// A slice of `seconds` with `work` seconds of service asked for in each second, whose mean service time, weighed by the work, is
    /// `service`. `speed` is the part of the servers that work: 0 while they are away. Who would wait longer than `patience`
    /// leaves.
    pub(super) fn step(
        &mut self,
        seconds: f64,
        work: f64,
        service: f64,
        speed: f64,
        patience: f64,
    ) -> Outcome {
        let capacity = self.servers * speed;
        self.load = work / self.servers.max(SHORTEST) / if speed > 0.0 { speed } else { 1.0 };
        if service > 0.0 {
            self.service = service;
        }
        // While nobody serves, all work waits, and the servers are needed for it later.
        let drift = if speed > 0.0 { work / capacity - 1.0 } else { work / self.servers };
        let grown = (self.backlog + drift * seconds).max(0.0);
        self.backlog = grown.min(patience.max(0.0));
        let asked = self.load * seconds;
        let refused = if asked > 0.0 { ((grown - self.backlog) / asked).min(1.0) } else { 0.0 };
        let push = self.service / self.servers.max(SHORTEST);
        let moved = self.busy_wait.min(patience + self.service) + drift * seconds;
        self.busy_wait = (moved + (moved * moved + 4.0 * seconds * push).sqrt()) / 2.0;
        self.busy_wait = self.busy_wait.max(self.backlog);
        self.delay = self.probability();
        Outcome { load: self.load, refused }
    }

    /// What a new arrival waits whose own service takes `service` on average; two random numbers from 0 to 1 decide.
    pub(super) fn wait(&self, service: f64, first: f64, second: f64) -> f64 {
        if first >= self.delay {
            return 0.0;
        }
        self.backlog - self.chance() * (service / self.service) * (1.0 - second).ln()
    }

    /// The mean wait of arrivals with the mean service time.
    #[cfg(test)]
    pub(super) fn mean_wait(&self) -> f64 {
        self.delay * (self.backlog + self.chance())
    }

    /// How many servers there are.
    pub(super) fn servers(&self) -> f64 {
        self.servers
    }

    /// How many wait on average (Little's law), of `rate` arrivals and `work` seconds of service a second.
    pub(super) fn waiting(&self, rate: f64, work: f64) -> f64 {
        self.delay * (self.backlog * rate + self.chance() * work / self.service)
    }

    /// What waits because it could not be done, in seconds.
    pub(super) fn backlog(&self) -> f64 {
        self.backlog
    }

    /// Offered work as a share of what the servers can do.
    pub(super) fn load(&self) -> f64 {
        self.load
    }

    /// Empties it: its servers are gone, and what waited there with them.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.servers);
    }

    fn chance(&self) -> f64 {
        self.busy_wait - self.backlog
    }

    /// The probability that an arrival waits: Erlang's, or more while what came before is not done.
    fn probability(&self) -> f64 {
        let busy = erlang_c(self.servers, self.load);
        let rest = self.service / (self.servers * (1.0 - self.load)).max(SHORTEST);
        if self.load >= 1.0 || self.busy_wait <= rest {
            return busy;
        }
        1.0 - (1.0 - busy) * rest / self.busy_wait
    }
}

/// Erlang's C: the probability that all of `servers` servers are busy at a load from 0 to 1 (Erlang, 1917), by the recursion for
/// Erlang's B. A fraction of a server counts as a slower one.
pub(super) fn erlang_c(servers: f64, load: f64) -> f64 {
    if load >= 1.0 {
        return 1.0;
    }
    // Of more servers the answer is the same for all that matters, and the sum below takes a step for each.
    let count = servers.ceil().clamp(1.0, 10_000.0);
    let offered = load * count;
    let mut blocked = 1.0;
    for number in 1..=count as u32 {
        blocked = offered * blocked / (f64::from(number) + offered * blocked);
    }
    blocked / (1.0 - load * (1.0 - blocked))
}

#[cfg(test)]
mod tests {
    use super::super::exact::{self, Station};
    use super::super::histogram::Histogram;
    use super::super::random::Random;
    use super::*;

    fn near(name: &str, found: f64, expected: f64, within: f64) {
        let off = (found / expected - 1.0).abs();
        assert!(off <= within, "{name}: {found} is {:.1} % off {expected}", off * 100.0);
    }

    #[test]
    fn erlang_c_agrees_with_published_tables() {
        // M/M/1: ρ. M/M/2: 2ρ²/(1+ρ). Ten servers at 0.8: 0.4092 (Gross and Harris, Fundamentals of Queueing Theory).
        near("one", erlang_c(1.0, 0.7), 0.7, 1e-12);
        near("two", erlang_c(2.0, 0.75), 2.0 * 0.5625 / 1.75, 1e-12);
        near("ten", erlang_c(10.0, 0.8), 0.4092, 1e-3);
    }

    #[test]
    fn a_steady_load_waits_as_long_as_erlang_says() {
        for servers in [1.0, 4.0, 16.0, 64.0] {
            for load in [0.5, 0.8, 0.9, 0.97] {
                let service = 0.004;
                let mut queue = Queue::new(servers);
                for _ in 0..2000 {
                    queue.step(1.0, load * servers, service, 1.0, 30.0);
                }
                let expected = erlang_c(servers, load) * service / (servers * (1.0 - load));
                near(&format!("{servers} servers at {load}"), queue.mean_wait(), expected, 0.02);
                let mut random = Random::new(3);
                let sampled = (0..400_000)
                    .map(|_| queue.wait(service, random.uniform(), random.uniform()))
                    .sum::<f64>();
                if expected > 1e-7 {
                    near("sampled", sampled / 400_000.0, expected, 0.05);
                }
            }
        }
    }

    /// A day in twenty minutes: quiet, busy, over what the servers can do, and the time in which they catch up.
    fn day(second: f64) -> f64 {
        match second {
            s if s < 300.0 => 0.4,
            s if s < 600.0 => 0.9,
            s if s < 660.0 => 1.15,
            _ => 0.6,
        }
    }

    #[test]
    fn a_day_with_an_overload_is_as_when_every_request_is_played() {
        let (servers, service) = (4.0, 0.01);
        let rate = move |second: f64| day(second) * servers / service;
        let mut queue = Queue::new(servers);
        let mut random = Random::new(11);
        let periods = [(0.0, 300.0), (300.0, 600.0), (600.0, 660.0), (660.0, 720.0), (720.0, 1200.0)];
        let mut sampled = vec![Histogram::new(); periods.len()];
        let period = |second: f64| periods.iter().position(|(from, to)| second >= *from && second < *to);
        for second in 0..1200 {
            let at = f64::from(second);
            queue.step(1.0, rate(at) * service, service, 1.0, 1e9);
            for _ in 0..200 {
                let time =
                    queue.wait(service, random.uniform(), random.uniform()) + random.exponential(service);
                sampled[period(at).unwrap()].add(time, 1.0);
            }
        }
        let mut played = vec![Histogram::new(); periods.len()];
        for seed in 0..6 {
            let stations = [Station { servers: servers as usize, service }];
            for (at, time) in exact::play(&stations, &rate, 1.15 * servers / service, 1200.0, seed) {
                played[period(at).unwrap()].add(time, 1.0);
            }
        }
        for (number, (sampled, played)) in sampled.iter().zip(&played).enumerate() {
            for share in [0.5, 0.95, 0.99] {
                let name = format!("period {number}, {share}");
                near(&name, sampled.at(share), played.at(share), 0.12);
            }
        }
    }

    #[test]
    fn whoever_would_wait_too_long_leaves() {
        let mut queue = Queue::new(2.0);
        let mut refused = 0.0;
        for _ in 0..200 {
            refused = queue.step(1.0, 3.0, 0.01, 1.0, 30.0).refused;
        }
        assert_eq!(queue.backlog(), 30.0);
        near("what is over the capacity", refused, 1.0 / 3.0, 0.01);
    }

    #[test]
    fn work_waits_while_the_servers_are_away_and_is_done_when_they_are_back() {
        let mut queue = Queue::new(2.0);
        for _ in 0..20 {
            queue.step(1.0, 1.0, 0.01, 0.0, 60.0);
        }
        near("backlog", queue.backlog(), 10.0, 1e-9);
        for _ in 0..20 {
            queue.step(1.0, 1.0, 0.01, 1.0, 60.0);
        }
        assert_eq!(queue.backlog(), 0.0);
        for _ in 0..5 {
            queue.step(1.0, 1.0, 0.01, 1.0, 60.0);
        }
        near("wait", queue.mean_wait(), erlang_c(2.0, 0.5) * 0.01, 0.05);
    }
}

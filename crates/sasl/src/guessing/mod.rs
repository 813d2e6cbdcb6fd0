//! Protection against guessed passwords.
//!
//! Every failed log-in costs one point, to the client's address (IPv4: the address; IPv6: its /64,
//! because whoever has one address of a network has all of it) and to the user name. Points halve
//! with time. Points first make the NO late, twice as late with each further one, then refuse
//! log-ins without asking the directory.
//!
//! Rules:
//! - A name that does not exist is charged like one that does: nothing here knows the difference.
//! - The charge comes before the delay, so that hanging up does not save it. Whether a right password
//!   may pass is asked again after the directory has answered, so that many guesses at once gain
//!   nothing over one after the other.
//! - Success takes no points away: else a guesser would log in to an account of its own now and then.
//! - A stranger can lock a user's name, but not its owner out: an address from which this user has
//!   logged in before is not refused for the points of the name.
//! - Memory is fixed at the start ([`table`]).

mod config;
mod table;

pub use config::GuessingConfig;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chasqui_base::EmailAddress;
use chasqui_base::net::client_network;

use table::ScoreTable;

/// How long an address stays known as one of a user's own: its mark halves every so many seconds
/// and counts down to [`KNOWN_LEAST`], which is 30 days.
const KNOWN_HALF_LIFE: f32 = 10.0 * 86_400.0;
const KNOWN_LEAST: f32 = 0.125;

/// What a session that wastes our time without a log-in costs its address, in points.
const NUISANCE: f32 = 0.5;

/// The scores of every client address and user name.
pub struct Guessing {
    config: RwLock<GuessingConfig>,
    /// Keyed at random, so that nobody can aim at another's bucket.
    hasher: RandomState,
    start: Instant,
    addresses: Mutex<ScoreTable>,
    users: Mutex<ScoreTable>,
    /// (address, user) pairs that have logged in.
    known: Mutex<ScoreTable>,
}

/// Whether a log-in may be tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The password may be asked about.
    Allowed,
    /// Too many have failed; answer after this delay, and whatever the password.
    Refused(Duration),
}

impl Guessing {
    /// Empty tables of the configured size. `start` is the zero of its clock.
    pub fn new(config: GuessingConfig, start: Instant) -> Self {
        let half_life = config.half_life.get().as_secs_f32();
        Self {
            addresses: Mutex::new(ScoreTable::new(config.addresses, half_life)),
            users: Mutex::new(ScoreTable::new(config.users, half_life)),
            known: Mutex::new(ScoreTable::new(config.users, KNOWN_HALF_LIFE)),
            config: RwLock::new(config),
            hasher: RandomState::new(),
            start,
        }
    }

    /// Takes new limits and delays; sizes and half-life stay until a restart.
    pub fn reconfigure(&self, config: GuessingConfig) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// May `login` be tried from `ip`?
    pub fn standing(&self, now: Instant, ip: IpAddr, login: &str) -> Standing {
        let now = self.seconds(now);
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        let refused = Standing::Refused(config.longest_delay.get());
        if !config.trusts(ip) {
            let score = lock(&self.addresses).score(self.address_key(ip), now);
            if reached(score, config.address_refused_after) {
                return refused;
            }
        }
        let user = self.user_key(login);
        if !reached(lock(&self.users).score(user, now), config.user_refused_after) {
            return Standing::Allowed;
        }
        let known = lock(&self.known).score(self.pair_key(ip, user), now) >= KNOWN_LEAST;
        if known { Standing::Allowed } else { refused }
    }

    /// Charges a failed log-in; gives the delay before the answer.
    pub fn failed(&self, now: Instant, ip: IpAddr, login: &str) -> Duration {
        let now = self.seconds(now);
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        let by_user = lock(&self.users).add(self.user_key(login), now, 1.0);
        let mut delay = config.delay(by_user, config.user_slowed_after);
        if !config.trusts(ip) {
            let by_address = lock(&self.addresses).add(self.address_key(ip), now, 1.0);
            delay = delay.max(config.delay(by_address, config.address_slowed_after));
        }
        delay
    }

    /// Remembers `ip` as an address of the one who logs in as `login`.
    pub fn succeeded(&self, now: Instant, ip: IpAddr, login: &str) {
        let key = self.pair_key(ip, self.user_key(login));
        lock(&self.known).set(key, self.seconds(now), 1.0);
    }

    /// Charges a session that ended without a log-in because it was too slow or full of errors.
    pub fn nuisance(&self, now: Instant, ip: IpAddr) {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        if !config.trusts(ip) {
            lock(&self.addresses).add(self.address_key(ip), self.seconds(now), NUISANCE);
        }
    }

    fn seconds(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.start).as_secs()).unwrap_or(u32::MAX)
    }

    fn address_key(&self, ip: IpAddr) -> u64 {
        self.hasher.hash_one((1u8, client_network(ip)))
    }

    /// Every spelling of a name that reaches the same account is charged as one.
    fn user_key(&self, login: &str) -> u64 {
        match EmailAddress::parse(login) {
            Ok(address) => {
                let plain = address.without_tag().map(|(user, _)| user);
                self.hasher.hash_one((2u8, plain.as_ref().unwrap_or(&address).as_str()))
            }
            Err(_) => self.hasher.hash_one((2u8, login.trim().to_lowercase())),
        }
    }

    fn pair_key(&self, ip: IpAddr, user: u64) -> u64 {
        self.hasher.hash_one((3u8, client_network(ip), user))
    }
}

impl GuessingConfig {
    fn trusts(&self, ip: IpAddr) -> bool {
        self.trusted_networks.iter().any(|network| network.contains(ip))
    }

    /// The delay at `score` points, of which `free` cost nothing.
    fn delay(&self, score: f32, free: u32) -> Duration {
        // Rounded, because a point decays a little within the second in which it was given.
        let steps = (score - free as f32).round();
        if steps < 1.0 {
            return Duration::ZERO;
        }
        // 2^30 times any first delay that is not zero is past every sensible longest one.
        let factor = 1u32 << (steps as u32 - 1).min(30);
        self.first_delay.get().saturating_mul(factor).min(self.longest_delay.get())
    }
}

/// Zero switches a refusal off.
fn reached(score: f32, limit: u32) -> bool {
    limit > 0 && score.round() >= limit as f32
}

/// Scores are numbers: whatever a panicking holder left behind is still a valid table.
fn lock(table: &Mutex<ScoreTable>) -> MutexGuard<'_, ScoreTable> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chasqui_base::Span;

    const HOME: &str = "192.0.2.7";
    const ELSEWHERE: &str = "198.51.100.9";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn guessing(change: impl FnOnce(&mut GuessingConfig)) -> (Guessing, Instant) {
        let mut config = GuessingConfig {
            first_delay: Span::millis(100),
            longest_delay: Span::secs(3),
            user_slowed_after: 0,
            user_refused_after: 5,
            address_slowed_after: 3,
            address_refused_after: 12,
            half_life: Span::secs(600),
            ..GuessingConfig::default()
        };
        change(&mut config);
        let start = Instant::now();
        (Guessing::new(config, start), start)
    }

    #[test]
    fn each_failure_delays_the_answer_twice_as_long_up_to_the_longest() {
        let (guessing, now) = guessing(|c| c.user_refused_after = 0);
        let delays: Vec<u128> =
            (0..8).map(|_| guessing.failed(now, ip(HOME), "ana@ejemplo.test").as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3000, 3000, 3000]);
    }

    #[test]
    fn a_name_is_refused_after_its_limit_from_every_address_that_is_not_its_own() {
        let (guessing, now) = guessing(|_| ());
        guessing.succeeded(now, ip(HOME), "ana@ejemplo.test");
        for n in 0..5u8 {
            let from = IpAddr::from([203, 0, 113, n]);
            assert_eq!(guessing.standing(now, from, "ana@ejemplo.test"), Standing::Allowed);
            guessing.failed(now, from, "ana@ejemplo.test");
        }
        let refused = Standing::Refused(Duration::from_secs(3));
        assert_eq!(guessing.standing(now, ip(ELSEWHERE), "ana@ejemplo.test"), refused);
        assert_eq!(guessing.standing(now, ip(HOME), "ana@ejemplo.test"), Standing::Allowed);
        assert_eq!(guessing.standing(now, ip(ELSEWHERE), "beto@ejemplo.test"), Standing::Allowed);
    }

    #[test]
    fn spellings_of_one_name_are_charged_together() {
        let (guessing, now) = guessing(|_| ());
        for login in [
            "ana@ejemplo.test",
            "ANA@Ejemplo.TEST",
            "ana+x@ejemplo.test",
            "ana+y@ejemplo.test",
            "\"ana\"@ejemplo.test",
        ] {
            guessing.failed(now, ip(ELSEWHERE), login);
        }
        assert_ne!(guessing.standing(now, ip(HOME), "ana@ejemplo.test"), Standing::Allowed);
    }

    #[test]
    fn an_address_is_refused_after_its_limit_whatever_the_names() {
        let (guessing, now) = guessing(|_| ());
        guessing.succeeded(now, ip(HOME), "ana@ejemplo.test");
        for n in 0..12 {
            guessing.failed(now, ip(HOME), &format!("user{n}@ejemplo.test"));
        }
        assert_ne!(guessing.standing(now, ip(HOME), "ana@ejemplo.test"), Standing::Allowed);
        assert_eq!(guessing.standing(now, ip(ELSEWHERE), "ana@ejemplo.test"), Standing::Allowed);
    }

    #[test]
    fn an_ipv6_client_is_its_network_of_64_bits_and_a_mapped_one_its_ipv4_address() {
        let (guessing, now) = guessing(|_| ());
        for n in 0..12 {
            guessing.failed(now, ip(&format!("2001:db8:0:1::{n:x}")), &format!("user{n}"));
        }
        assert_ne!(guessing.standing(now, ip("2001:db8:0:1:ffff::1"), "ana"), Standing::Allowed);
        assert_eq!(guessing.standing(now, ip("2001:db8:0:2::1"), "ana"), Standing::Allowed);
        assert_eq!(client_network(ip("::ffff:192.0.2.7")), ip(HOME));
    }

    #[test]
    fn points_decay_until_log_ins_are_allowed_again() {
        let (guessing, now) = guessing(|_| ());
        for _ in 0..5 {
            guessing.failed(now, ip(ELSEWHERE), "ana");
        }
        assert_ne!(guessing.standing(now, ip(HOME), "ana"), Standing::Allowed);
        let later = now + Duration::from_secs(600);
        assert_eq!(guessing.standing(later, ip(HOME), "ana"), Standing::Allowed);
    }

    #[test]
    fn success_takes_no_points_away() {
        let (guessing, now) = guessing(|_| ());
        for n in 0..12 {
            guessing.failed(now, ip(HOME), &format!("user{n}"));
            guessing.succeeded(now, ip(HOME), "mine");
        }
        assert_ne!(guessing.standing(now, ip(HOME), "other"), Standing::Allowed);
    }

    #[test]
    fn a_trusted_network_is_not_charged_but_the_name_is() {
        let (guessing, now) = guessing(|c| c.trusted_networks = vec!["192.0.2.0/24".parse().unwrap()]);
        for n in 0..40 {
            guessing.failed(now, ip(HOME), &format!("user{}", n % 10));
            guessing.nuisance(now, ip(HOME));
        }
        assert_eq!(guessing.standing(now, ip(HOME), "ana"), Standing::Allowed);
        for _ in 0..5 {
            guessing.failed(now, ip(HOME), "ana");
        }
        assert_ne!(guessing.standing(now, ip(HOME), "ana"), Standing::Allowed);
    }

    #[test]
    fn sessions_that_waste_time_are_charged_to_their_address() {
        let (guessing, now) = guessing(|_| ());
        for _ in 0..24 {
            guessing.nuisance(now, ip(HOME));
        }
        assert_ne!(guessing.standing(now, ip(HOME), "ana"), Standing::Allowed);
    }

    #[test]
    fn zero_switches_refusals_off() {
        let (guessing, now) = guessing(|c| {
            c.user_refused_after = 0;
            c.address_refused_after = 0;
        });
        for _ in 0..100 {
            guessing.failed(now, ip(HOME), "ana");
        }
        assert_eq!(guessing.standing(now, ip(HOME), "ana"), Standing::Allowed);
    }
}

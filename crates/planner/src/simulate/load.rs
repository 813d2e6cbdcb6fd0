//! What people and the world ask of the site at each second of the day.
//!
//! The curves are smooth and the same each day: everybody logs in in a window that begins at 08:00, a fifth logs out for lunch and in
//! again at 13:00, and from 17:00 on people leave. Who has a session open asks at the rate of the demand. Mail comes around the clock;
//! its busiest hour begins at 10:00 and has the demand's share of the day.

use crate::demand::Demand;

/// Seconds of a day.
pub(super) const DAY: f64 = 86_400.0;
const HOUR: f64 = 3_600.0;

/// The part of the sessions that is open at night: telephones, people on duty.
const NIGHT: f64 = 0.05;
/// The part that logs out for lunch and in again.
const LUNCH: f64 = 0.2;
/// A session lasts about so long, then its program connects again: laptops sleep, telephones change networks.
const SESSION: f64 = 4.0 * HOUR;
/// The hour in which most mail comes.
const BUSIEST: usize = 10;
/// How the rest of the day's mail is spread over its hours; the busiest is left out.
const MAIL: [f64; 24] = [
    1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 10.0, 0.0, 10.0, 7.0, 7.0, 9.0, 9.0, 8.0, 6.0, 4.0, 3.0,
    3.0, 2.0, 2.0, 1.0,
];

/// What is done for somebody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Class {
    /// A mail program connects, with TLS, and logs in.
    LogIn,
    /// It asks for something in its session.
    Request,
    /// A message comes from the internet.
    Message,
}

impl Class {
    pub(super) const ALL: [Self; 3] = [Self::LogIn, Self::Request, Self::Message];
}

/// How many come in a second, by [`Class`].
pub(super) type Rates = [f64; 3];

/// The day of a demand.
#[derive(Clone, Debug)]
pub(super) struct Load {
    sessions: f64,
    requests: f64,
    messages: f64,
    busiest: f64,
    window: f64,
}

impl Load {
    pub(super) fn of(demand: &Demand) -> Self {
        let users = demand.users as f64;
        Self {
            sessions: demand.sessions() as f64,
            requests: users * f64::from(demand.requests_per_minute) / 60.0,
            messages: users * f64::from(demand.messages_per_day),
            busiest: f64::from(demand.peak_hour_percent) / 100.0,
            window: demand.log_in_window.get().as_secs_f64().max(1.0),
        }
    }

    /// Sessions that people want to have open at this second of the day.
    pub(super) fn sessions(&self, at: f64) -> f64 {
        let lunch = ramp(at, 12.0 * HOUR, HOUR) - ramp(at, 13.0 * HOUR, HOUR);
        let day = ramp(at, 8.0 * HOUR, self.window) - ramp(at, 17.0 * HOUR, 2.0 * HOUR) - LUNCH * lunch;
        self.sessions * (NIGHT + (1.0 - NIGHT) * day)
    }

    /// What comes in a second, with `open` sessions.
    pub(super) fn rates(&self, at: f64, open: f64) -> Rates {
        let morning = slope(at, 8.0 * HOUR, self.window);
        let lunch = LUNCH * slope(at, 13.0 * HOUR, HOUR);
        let log_ins = self.sessions * (1.0 - NIGHT) * (morning + lunch) + open / SESSION;
        [log_ins, self.requests * open / self.sessions.max(1.0), self.messages(at)]
    }

    fn messages(&self, at: f64) -> f64 {
        let hour = (at / HOUR) as usize % 24;
        let rest: f64 = MAIL.iter().sum();
        let share = if hour == BUSIEST { self.busiest } else { (1.0 - self.busiest) * MAIL[hour] / rest };
        self.messages * share / HOUR
    }
}

/// From 0 to 1 in `length` seconds from `begin`, slowest at both ends.
fn ramp(at: f64, begin: f64, length: f64) -> f64 {
    let x = ((at - begin) / length).clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

/// How steep [`ramp`] is, per second.
fn slope(at: f64, begin: f64, length: f64) -> f64 {
    let x = ((at - begin) / length).clamp(0.0, 1.0);
    6.0 * x * (1.0 - x) / length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(what: impl Fn(f64) -> f64) -> f64 {
        (0..DAY as u32).map(|second| what(f64::from(second))).sum()
    }

    #[test]
    fn everybody_logs_in_and_gets_the_mail_of_the_day() {
        let load = Load::of(&Demand { users: 1_000, ..Demand::default() });
        let messages = sum(|at| load.rates(at, 0.0)[2]);
        assert!((messages - 50_000.0).abs() < 1.0, "{messages}");
        // All but those of the night in the morning, a fifth of them again after lunch.
        let log_ins = sum(|at| load.rates(at, 0.0)[0]);
        assert!((log_ins - 950.0 * 1.2).abs() < 2.0, "{log_ins}");
    }

    #[test]
    fn the_papers_requests_come_when_all_sessions_are_open() {
        let load = Load::of(&Demand::default());
        let at = 11.0 * HOUR;
        let rates = load.rates(at, load.sessions(at));
        assert!((rates[1] - 4_166.67).abs() < 0.01, "{}", rates[1]);
        let busiest = sum(|at| if at as usize / 3_600 == BUSIEST { load.rates(at, 0.0)[2] } else { 0.0 });
        assert!((busiest - 0.15 * 2_500_000.0).abs() < 1.0, "{busiest}");
    }

    #[test]
    fn sessions_are_never_fewer_than_none() {
        let load = Load::of(&Demand::default());
        assert!((0..DAY as u32).all(|second| load.sessions(f64::from(second)) >= 0.0));
    }
}

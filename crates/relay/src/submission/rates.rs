//! How much each user and each domain has sent.
//!
//! For each there are two windows, an hour and a day, with what was sent in the present one and in the one before. What counts is the
//! present one and the part of the other that is less than an hour (a day) ago, taken as spread evenly: two numbers in place of a list of
//! times, wrong by less than what evenness makes wrong.
//!
//! Memory has a bound ([`Rates::entries`]). At the bound those who have not sent since yesterday are forgotten, and then some of those who sent
//! least, who are the farthest from any limit. Across a restart the book is kept in a file, written every minute and at the end; it
//! leaves out those who sent little and have reached no limit. A kill so forgives what was sent in the last minute, nothing more.

use crate::config::{Rate, Rates};
use chasqui_base::{EmailAddress, Lifecycle, fsx};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

const HOUR: u64 = 3600;
const DAY: u64 = 86_400;

/// How often the file is written.
const PERIOD: Duration = Duration::from_secs(60);
/// Who has sent fewer messages, and to fewer recipients, than this in two days, and has reached no limit, is not written into the file.
const WORTH_KEEPING: u32 = 20;
/// Among how many the one who sent least is looked for when memory is full.
const SAMPLE: usize = 16;
/// A file that is larger than any that was written.
const LARGEST_FILE: u64 = 1 << 28;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Messages,
    Recipients,
}

impl What {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Recipients => "recipients",
        }
    }
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    User,
    Domain,
}

impl Scope {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Domain => "domain",
        }
    }
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    pub scope: Scope,
    pub what: What,
    /// The limit.
    pub most: u32,
    /// `hour` or `day`.
    pub window: &'static str,
    /// Seconds since 1970 when the next is allowed; never where nothing is.
    pub again: Option<u64>,
    /// The first time in this hour.
    pub news: bool,
}

/// The counts of all.
pub(crate) struct Book {
    rates: RwLock<Rates>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    entries: HashMap<Box<str>, Usage>,
    /// The day in which the idle were looked for last.
    swept: u64,
    changed: bool,
}

/// What one user or domain has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Usage {
    hour: Window,
    day: Window,
    /// The hour in which a limit was reached last.
    warned: u64,
}

/// Messages and recipients in two windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    /// The number of the present window since 1970.
    index: u64,
    present: [u32; 2],
    before: [u32; 2],
}

impl Window {
    fn advance(&mut self, now: u64, length: u64) {
        let index = now / length;
        // A clock that was set back by a little changes nothing; one that was far ahead has counted for another time.
        if index <= self.index && index.saturating_add(1) >= self.index {
            return;
        }
        self.before = if index == self.index.saturating_add(1) { self.present } else { [0; 2] };
        self.present = [0; 2];
        self.index = index;
    }

    /// `None` when one more is within the limit, else from when on it is.
    fn over(&self, what: What, most: u32, now: u64, length: u64) -> Option<Option<u64>> {
        let pick = |counts: [u32; 2]| u64::from(counts[what as usize]);
        let (present, before, most) = (pick(self.present), pick(self.before), u64::from(most));
        let left = length - now % length;
        // Whole numbers: one more is allowed when `present + before × left ÷ length + 1` is not above the limit.
        if (present + 1) * length + before * left <= most * length {
            return None;
        }
        let begin = now - now % length;
        if most == 0 {
            Some(None)
        } else if present < most {
            // In this window, once enough of the one before has passed. `before` is not 0, or it would be within the limit.
            let wanted = (most - present - 1) * length / before.max(1);
            Some(Some(begin + (length - wanted.min(length))))
        } else {
            // In the next one, which has this one before it.
            let wanted = (most - 1) * length / present.max(1);
            Some(Some(begin + length + (length - wanted.min(length))))
        }
    }
}

impl Usage {
    fn advance(&mut self, now: u64) {
        self.hour.advance(now, HOUR);
        self.day.advance(now, DAY);
    }

    fn add(&mut self, what: What, count: u32) {
        for window in [&mut self.hour, &mut self.day] {
            let slot = &mut window.present[what as usize];
            *slot = slot.saturating_add(count);
        }
    }

    fn remove(&mut self, what: What, count: u32) {
        for window in [&mut self.hour, &mut self.day] {
            let slot = &mut window.present[what as usize];
            *slot = slot.saturating_sub(count);
        }
    }

    fn over(&self, what: What, rate: &Rate, now: u64) -> Option<(u32, &'static str, Option<u64>)> {
        let (hour, day) = match what {
            What::Messages => (rate.messages_per_hour, rate.messages_per_day),
            What::Recipients => (rate.recipients_per_hour, rate.recipients_per_day),
        };
        let of_day = day.and_then(|most| Some((most, "day", self.day.over(what, most, now, DAY)?)));
        of_day.or_else(|| hour.and_then(|most| Some((most, "hour", self.hour.over(what, most, now, HOUR)?))))
    }

    /// In both days.
    fn sent(&self) -> u32 {
        let [messages, recipients] = self.day.present;
        let [messages_before, recipients_before] = self.day.before;
        messages.saturating_add(messages_before).max(recipients.saturating_add(recipients_before))
    }

    /// In the day before what was sent last.
    fn was_limited(&self) -> bool {
        self.warned > 0 && self.warned.saturating_add(24) >= self.hour.index
    }

    fn is_idle(&self, now: u64) -> bool {
        self.day.index + 1 < now / DAY
    }
}

impl Book {
    pub(crate) fn new(rates: Rates) -> Self {
        Self { rates: RwLock::new(rates), table: Mutex::default() }
    }

    /// Takes over other limits; what was counted stays.
    pub(crate) fn set_rates(&self, rates: Rates) {
        *self.rates.write().unwrap_or_else(PoisonError::into_inner) = rates;
    }

    /// Counts one more for a user and their domain, at `now` in seconds since 1970; or nothing, when that is over a limit of either.
    pub(crate) fn charge(&self, account: &EmailAddress, what: What, now: u64) -> Result<(), Over> {
        let rates = self.rates.read().unwrap_or_else(PoisonError::into_inner);
        let mut table = self.table();
        table.changed = true;
        let sides =
            [(Scope::User, account.as_str(), &rates.user), (Scope::Domain, account.domain(), &rates.domain)];
        for (scope, name, rate) in sides {
            let rate = rates.exceptions.get(name).unwrap_or(rate);
            let usage = table.entry(name, rates.entries, now);
            if let Some((most, window, again)) = usage.over(what, rate, now) {
                let news = std::mem::replace(&mut usage.warned, now / HOUR) != now / HOUR;
                return Err(Over { scope, what, most, window, again, news });
            }
        }
        for (_, name, _) in sides {
            table.entry(name, rates.entries, now).add(what, 1);
        }
        Ok(())
    }

    /// Takes back what was counted for a message that did not come to be.
    pub(crate) fn refund(&self, account: &EmailAddress, what: What, count: u32, now: u64) {
        let mut table = self.table();
        for name in [account.as_str(), account.domain()] {
            if let Some(usage) = table.entries.get_mut(name) {
                usage.advance(now);
                usage.remove(what, count);
            }
        }
    }

    /// Reads what an earlier run wrote; none when there is no file.
    pub(crate) fn load(&self, path: &Path) -> io::Result<()> {
        let text = match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Ok(found) if found.len() > LARGEST_FILE => return Err(io::Error::other("the file is too large")),
            _ => std::fs::read(path)?,
        };
        let read: HashMap<Box<str>, Usage> = serde_json::from_slice(&text)?;
        let most = self.rates.read().unwrap_or_else(PoisonError::into_inner).entries;
        self.table().entries = read.into_iter().take(most).collect();
        Ok(())
    }

    /// Writes the file if anything has changed. Blocks.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        let kept: HashMap<Box<str>, Usage> = {
            let mut table = self.table();
            if !std::mem::take(&mut table.changed) {
                return Ok(());
            }
            let worth = table
                .entries
                .iter()
                .filter(|(_, usage)| usage.sent() >= WORTH_KEEPING || usage.was_limited());
            worth.map(|(name, usage)| (name.clone(), *usage)).collect()
        };
        fsx::replace_file_durably(path, &serde_json::to_vec(&kept)?)
    }

    /// Writes the file every minute, and at the end.
    pub(crate) async fn work(self: Arc<Self>, path: PathBuf, run: Lifecycle) {
        loop {
            let ends = tokio::select! {
                () = tokio::time::sleep(PERIOD) => false,
                () = run.stopped() => true,
            };
            let (book, file) = (Arc::clone(&self), path.clone());
            if let Err(error) = chasqui_courier::blocking(move || book.save(&file)).await {
                tracing::warn!(path = %path.display(), %error, "cannot write what users have sent");
            }
            if ends {
                return;
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn entry(&mut self, name: &str, most: usize, now: u64) -> &mut Usage {
        if !self.entries.contains_key(name) {
            self.make_room(most, now);
        }
        let usage = self.entries.entry(name.into()).or_default();
        usage.advance(now);
        usage
    }

    fn make_room(&mut self, most: usize, now: u64) {
        if self.entries.len() >= most && self.swept != now / DAY {
            self.swept = now / DAY;
            self.entries.retain(|_, usage| !usage.is_idle(now));
        }
        while self.entries.len() >= most {
            let least = self.entries.iter().take(SAMPLE).min_by_key(|(_, usage)| usage.sent());
            let Some(name) = least.map(|(name, _)| name.clone()) else { return };
            self.entries.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The start of a day.
    const START: u64 = 20_000 * DAY;

    fn address(text: &str) -> EmailAddress {
        text.parse().unwrap()
    }

    fn limited(most: u32) -> Book {
        let user = Rate { messages_per_hour: Some(most), ..Rate::default() };
        Book::new(Rates { user, ..Rates::default() })
    }

    #[test]
    fn the_limit_is_reached_and_time_frees_it() {
        let book = limited(10);
        let ana = address("ana@example.org");
        for n in 0..10 {
            book.charge(&ana, What::Messages, START + n).unwrap();
        }
        let over = book.charge(&ana, What::Messages, START + 10).unwrap_err();
        assert_eq!((over.scope, over.most, over.window, over.news), (Scope::User, 10, "hour", true));
        assert!(!book.charge(&ana, What::Messages, START + 11).unwrap_err().news);
        // Ten in the hour before count as nine when a tenth of the next hour has passed.
        let again = over.again.unwrap();
        assert_eq!(again, START + HOUR + 360);
        assert!(book.charge(&ana, What::Messages, again - 1).is_err());
        book.charge(&ana, What::Messages, again).unwrap();
        let next = book.charge(&ana, What::Messages, again).unwrap_err().again.unwrap();
        assert_eq!(next, START + HOUR + 720);
        book.charge(&ana, What::Messages, next).unwrap();
        // Others have their own.
        book.charge(&address("beto@example.org"), What::Messages, again).unwrap();
        book.charge(&ana, What::Recipients, again).unwrap();
    }

    #[test]
    fn a_domain_has_a_limit_of_its_own_and_exceptions_have_theirs() {
        let mut rates = Rates { user: Rate::default(), ..Rates::default() };
        rates.domain.recipients_per_day = Some(2);
        rates.exceptions.insert("example.net".into(), Rate::default());
        rates
            .exceptions
            .insert("mudo@example.net".into(), Rate { recipients_per_hour: Some(0), ..Rate::default() });
        let book = Book::new(rates);
        book.charge(&address("a@example.org"), What::Recipients, START).unwrap();
        book.charge(&address("b@example.org"), What::Recipients, START).unwrap();
        let over = book.charge(&address("c@example.org"), What::Recipients, START).unwrap_err();
        assert_eq!((over.scope, over.window, over.what), (Scope::Domain, "day", What::Recipients));
        for _ in 0..5 {
            book.charge(&address("a@example.net"), What::Recipients, START).unwrap();
        }
        let never = book.charge(&address("mudo@example.net"), What::Recipients, START).unwrap_err();
        assert_eq!((never.scope, never.again), (Scope::User, None));
    }

    #[test]
    fn what_was_refused_costs_nothing_and_what_failed_is_given_back() {
        let book = limited(2);
        let ana = address("ana@example.org");
        book.charge(&ana, What::Messages, START).unwrap();
        book.charge(&ana, What::Messages, START).unwrap();
        book.refund(&ana, What::Messages, 1, START);
        book.charge(&ana, What::Messages, START).unwrap();
        assert!(book.charge(&ana, What::Messages, START).is_err());
        assert_eq!(book.table().entries["example.org"].day.present, [2, 0]);
    }

    #[test]
    fn at_the_bound_those_who_sent_least_are_forgotten() {
        let book = Book::new(Rates { entries: 8, user: Rate::default(), ..Rates::default() });
        let busy = address("ana@example.org");
        for _ in 0..50 {
            book.charge(&busy, What::Messages, START).unwrap();
        }
        for n in 0..100 {
            book.charge(&address(&format!("u{n}@example.org")), What::Messages, START).unwrap();
        }
        let table = book.table();
        assert!(table.entries.len() <= 8 && table.entries["ana@example.org"].sent() == 50);
    }

    #[test]
    fn the_book_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usage");
        let book = limited(30);
        book.load(&path).unwrap();
        let ana = address("ana@example.org");
        for _ in 0..30 {
            book.charge(&ana, What::Messages, START).unwrap();
        }
        book.charge(&address("beto@example.net"), What::Messages, START).unwrap();
        book.save(&path).unwrap();
        let next = limited(30);
        next.load(&path).unwrap();
        assert!(next.charge(&ana, What::Messages, START).is_err());
        assert!(!next.table().entries.contains_key("beto@example.net"));
        // One who has reached a limit is kept however little that was.
        let strict = limited(1);
        strict.charge(&ana, What::Messages, START).unwrap();
        assert!(strict.charge(&ana, What::Messages, START).is_err());
        strict.save(&path).unwrap();
        let next = limited(1);
        next.load(&path).unwrap();
        assert!(next.charge(&ana, What::Messages, START).is_err());
        std::fs::write(&path, "{").unwrap();
        assert!(next.load(&path).is_err());
    }

    #[tokio::test]
    async fn the_file_is_written_when_the_relay_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usage");
        let book = Arc::new(limited(1));
        book.charge(&address("ana@example.org"), What::Messages, START).unwrap();
        assert!(book.charge(&address("ana@example.org"), What::Messages, START).is_err());
        let run = Lifecycle::new();
        run.spawn(book.work(path.clone(), run.clone()));
        assert_eq!(run.drain(Duration::from_secs(10)).await, 0);
        assert!(std::fs::read_to_string(&path).unwrap().contains("ana@example.org"));
    }

    proptest! {
        /// Whatever the times, no more than twice the limit passes in any hour, and the promised time is kept.
        #[test]
        fn no_hour_sees_more_than_the_limit_allows(
            most in 1u32..20, pauses in proptest::collection::vec(0u64..900, 1..200),
        ) {
            let book = limited(most);
            let ana = address("ana@example.org");
            let mut now = START;
            let mut sent = Vec::new();
            for pause in pauses {
                now += pause;
                match book.charge(&ana, What::Messages, now) {
                    Ok(()) => sent.push(now),
                    Err(over) => {
                        let again = over.again.unwrap();
                        prop_assert!(again > now && again <= now + 2 * HOUR);
                        now = again;
                        prop_assert!(book.charge(&ana, What::Messages, now).is_ok());
                        sent.push(now);
                    }
                }
            }
            for &end in &sent {
                let in_hour = sent.iter().filter(|&&at| at <= end && at > end.saturating_sub(HOUR)).count();
                prop_assert!(in_hour <= 2 * most as usize);
            }
        }
    }
}

//! The greylist on disk: one SQLite file, one thread.
//!
//! What was asked together is written in one transaction, answered when that is on its way to disk (WAL, `synchronous = NORMAL`): a crash
//! of the process loses nothing, a power cut may lose the last moments, which costs a correspondent one more retry.
//!
//! Times are UNIX seconds. Keys are the first 16 octets of a BLAKE3 hash, so no address is readable in the file.

use super::Times;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use std::path::Path;

/// The layout of the file.
const VERSION: i64 = 1;

/// How many entries one cleaning removes at most, so that it never holds up the answers for long.
const CLEANED: i64 = 10_000;

pub(super) type Key = [u8; 16];

/// What is asked of the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub network: Key,
    pub triple: Key,
    pub now: i64,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The network is exempt, or the triple was let in before.
    Known,
    /// It came back in time: let in now.
    Passed,
    /// Seen for the first time, or again too early: so many seconds are left.
    Wait(u64),
}

pub(super) struct Store {
    connection: Connection,
    times: Times,
    entries: i64,
}

impl Store {
    pub(super) fn open(path: &Path, times: Times, entries: u64) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version != VERSION {
            // What an unknown version holds is only delays: a fresh start harms nobody.
            connection.execute_batch(&format!(
                "DROP TABLE IF EXISTS triple; DROP TABLE IF EXISTS network;
                 CREATE TABLE triple (key BLOB PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,
                     passed INTEGER NOT NULL) WITHOUT ROWID;
                 CREATE INDEX triple_last ON triple (last);
                 CREATE TABLE network (key BLOB PRIMARY KEY, passes INTEGER NOT NULL, last INTEGER NOT NULL) WITHOUT ROWID;
                 CREATE INDEX network_last ON network (last);
                 PRAGMA user_version = {VERSION};"
            ))?;
        }
        Ok(Self { connection, times, entries: i64::try_from(entries).unwrap_or(i64::MAX) })
    }

    /// Answers all questions in one transaction.
    pub(super) fn answer(&mut self, questions: &[Question]) -> rusqlite::Result<Vec<Standing>> {
        let times = self.times;
        let transaction = self.connection.transaction()?;
        let answers = questions.iter().map(|question| standing(&transaction, times, question)).collect();
        let answers: rusqlite::Result<Vec<_>> = answers;
        let answers = answers?;
        transaction.commit()?;
        Ok(answers)
    }

    /// Removes what is over: true when there may be more to remove.
    pub(super) fn clean(&mut self, now: i64) -> rusqlite::Result<bool> {
        let removed = self.connection.execute(
            "DELETE FROM triple WHERE key IN (SELECT key FROM triple WHERE last < ?1 AND passed = 0 OR last < ?2
                 ORDER BY last LIMIT ?3)",
            params![now - self.times.retry_window, now - self.times.lifetime, CLEANED],
        )?;
        let networks = self.connection.execute(
            "DELETE FROM network WHERE key IN (SELECT key FROM network WHERE last < ?1 ORDER BY last LIMIT ?2)",
            params![now - self.times.lifetime, CLEANED],
        )?;
        let mut surplus = 0;
        for table in ["triple", "network"] {
            let over = self.count(table)? - self.entries;
            if over > 0 {
                surplus += self.connection.execute(
                    &format!(
                        "DELETE FROM {table} WHERE key IN (SELECT key FROM {table} ORDER BY last LIMIT ?1)"
                    ),
                    params![over.min(CLEANED)],
                )?;
            }
        }
        Ok([removed, networks, surplus].iter().any(|&n| i64::try_from(n).unwrap_or(0) >= CLEANED))
    }

    /// Entries of a table.
    pub(super) fn count(&self, table: &str) -> rusqlite::Result<i64> {
        self.connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
    }
}

fn standing(open: &Transaction<'_>, times: Times, question: &Question) -> rusqlite::Result<Standing> {
    let now = question.now;
    let passes: Option<(i64, i64)> = open
        .prepare_cached("SELECT passes, last FROM network WHERE key = ?1")?
        .query_row([&question.network[..]], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .filter(|(_, last)| now - last <= times.lifetime);
    let exempt = times.exempt_after > 0 && passes.is_some_and(|(passes, _)| passes >= times.exempt_after);
    if exempt {
        open.prepare_cached("UPDATE network SET last = ?2 WHERE key = ?1")?
            .execute(params![&question.network[..], now])?;
        return Ok(Standing::Known);
    }
    let known: Option<(i64, i64, bool)> = open
        .prepare_cached("SELECT first, last, passed FROM triple WHERE key = ?1")?
        .query_row([&question.triple[..]], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?
        .filter(
            |(first, last, passed)| {
                if *passed { now - last <= times.lifetime } else { now - first <= times.retry_window }
            },
        );
    let standing = match known {
        Some((_, _, true)) => Standing::Known,
        Some((first, _, false)) if now - first >= times.delay => Standing::Passed,
        Some((first, _, false)) => {
            // The clock may have been set back.
            let left = (first + times.delay - now).clamp(1, times.delay.max(1));
            return Ok(Standing::Wait(u64::try_from(left).unwrap_or(1)));
        }
        None => {
            open.prepare_cached(
                "INSERT OR REPLACE INTO triple (key, first, last, passed) VALUES (?1, ?2, ?2, 0)",
            )?
            .execute(params![&question.triple[..], now])?;
            return Ok(Standing::Wait(u64::try_from(times.delay.max(1)).unwrap_or(1)));
        }
    };
    open.prepare_cached("UPDATE triple SET last = ?2, passed = 1 WHERE key = ?1")?
        .execute(params![&question.triple[..], now])?;
    if standing == Standing::Passed {
        let passes = passes.map_or(1, |(passes, _)| passes.saturating_add(1));
        open.prepare_cached("INSERT OR REPLACE INTO network (key, passes, last) VALUES (?1, ?2, ?3)")?
            .execute(params![&question.network[..], passes, now])?;
    }
    Ok(standing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times { delay: 300, retry_window: 10_000, lifetime: 1_000_000, exempt_after: 2 };

    fn key(n: u32) -> Key {
        let mut key = [0; 16];
        key[..4].copy_from_slice(&n.to_be_bytes());
        key
    }

    fn ask(store: &mut Store, network: u32, triple: u32, now: i64) -> Standing {
        store.answer(&[Question { network: key(network), triple: key(triple), now }]).unwrap()[0]
    }

    fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Store::open(&folder.path().join("g.db"), TIMES, 1000).unwrap(), folder)
    }

    #[test]
    fn a_triple_waits_passes_and_is_known_then() {
        let (mut store, _folder) = store();
        assert_eq!(ask(&mut store, 1, 1, 0), Standing::Wait(300));
        assert_eq!(ask(&mut store, 1, 1, 100), Standing::Wait(200));
        assert_eq!(ask(&mut store, 1, 1, -5), Standing::Wait(300), "the clock was set back");
        assert_eq!(ask(&mut store, 1, 1, 300), Standing::Passed);
        assert_eq!(ask(&mut store, 1, 1, 301), Standing::Known);
        assert_eq!(ask(&mut store, 1, 1, 900_000), Standing::Known);
        assert_eq!(ask(&mut store, 1, 1, 1_900_001), Standing::Wait(300), "forgotten");
    }

    #[test]
    fn who_comes_back_too_late_begins_anew() {
        let (mut store, _folder) = store();
        assert_eq!(ask(&mut store, 1, 1, 0), Standing::Wait(300));
        assert_eq!(ask(&mut store, 1, 1, 10_001), Standing::Wait(300));
        assert_eq!(ask(&mut store, 1, 1, 10_301), Standing::Passed);
    }

    #[test]
    fn a_network_that_passed_often_enough_is_exempt_until_it_falls_silent() {
        let (mut store, _folder) = store();
        for triple in [1, 2] {
            ask(&mut store, 7, triple, 0);
            assert_eq!(ask(&mut store, 7, triple, 400), Standing::Passed);
        }
        assert_eq!(ask(&mut store, 7, 3, 401), Standing::Known);
        assert_eq!(ask(&mut store, 8, 3, 401), Standing::Wait(300), "another network");
        assert_eq!(ask(&mut store, 7, 4, 1_000_500), Standing::Wait(300));
    }

    #[test]
    fn the_store_is_bounded_and_forgets_the_oldest() {
        let (mut store, _folder) = store();
        for n in 0..1500 {
            ask(&mut store, n, n, i64::from(n));
        }
        store.clean(1500).unwrap();
        assert_eq!(store.count("triple").unwrap(), 1000);
        assert_eq!(ask(&mut store, 1499, 1499, 1800), Standing::Passed);
        assert_eq!(ask(&mut store, 1, 1, 1800), Standing::Wait(300));
        store.clean(20_000).unwrap();
        assert_eq!(store.count("triple").unwrap(), 1, "only the one that passed");
    }

    #[test]
    fn it_survives_a_restart_and_an_unknown_layout() {
        let (mut store, folder) = store();
        ask(&mut store, 1, 1, 0);
        drop(store);
        let path = folder.path().join("g.db");
        let mut store = Store::open(&path, TIMES, 1000).unwrap();
        assert_eq!(ask(&mut store, 1, 1, 300), Standing::Passed);
        store.connection.pragma_update(None, "user_version", 99).unwrap();
        drop(store);
        let mut store = Store::open(&path, TIMES, 1000).unwrap();
        assert_eq!(ask(&mut store, 1, 1, 600), Standing::Wait(300));
    }
}

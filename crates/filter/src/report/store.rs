//! What was seen, on disk until it is sent: a SQLite file with one thread of its own.
//!
//! Observations come through a bounded queue and are written as many at once as wait. One that meets a full queue, or the last second
//! before a power failure, is missing in a report; that is all that hangs on it.

use super::{
    config::ReportsConfig,
    observation::{Observation, Policy, Row},
};
use chasqui_base::StartError;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{mpsc, oneshot};

/// Observations that are written in one transaction.
const BATCH: usize = 512;
const VERSION: i64 = 1;

/// One report's contents.
#[derive(Debug)]
pub(crate) struct Contents {
    pub policy: Policy,
    pub rows: Vec<(Row, u64)>,
    /// Messages whose rows came when the report was full.
    pub omitted: u64,
}

/// The way to the thread. Cheap to clone; with the last one the thread ends.
#[derive(Clone)]
pub(crate) struct Store {
    queue: mpsc::Sender<Order>,
    missed: Arc<AtomicU64>,
}

enum Order {
    Note(Box<Observation>),
    Due(u64, oneshot::Sender<rusqlite::Result<Vec<(u64, String)>>>),
    Load(u64, String, oneshot::Sender<rusqlite::Result<Option<Contents>>>),
    Forget(u64, String, oneshot::Sender<rusqlite::Result<()>>),
}

impl Store {
    /// Opens or makes the file.
    pub(crate) fn open(config: &ReportsConfig) -> Result<Self, StartError> {
        let refuse = |reason: String| StartError::Open { path: config.database.clone(), reason };
        let connection = connect(&config.database).map_err(|error| refuse(error.to_string()))?;
        let (queue, orders) = mpsc::channel(config.waiting);
        let keeper = Keeper {
            connection,
            interval: config.interval.get().as_secs().max(1),
            domains: config.domains as u64,
            rows: config.rows as u64,
        };
        std::thread::Builder::new()
            .name("dmarc-reports".into())
            .spawn(move || keeper.run(orders))
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Self { queue, missed: Arc::default() })
    }

    /// Never waits: what does not fit into the queue is counted and left out.
    pub(crate) fn note(&self, observation: Observation) {
        if self.queue.try_send(Order::Note(Box::new(observation))).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Observations that were left out since the last call.
    pub(crate) fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }

    /// The reports whose time was over at `now`: the period's begin and the domain.
    pub(crate) async fn due(&self, now: u64) -> io::Result<Vec<(u64, String)>> {
        self.ask(|reply| Order::Due(now, reply)).await
    }

    pub(crate) async fn load(&self, period: u64, domain: &str) -> io::Result<Option<Contents>> {
        self.ask(|reply| Order::Load(period, domain.to_owned(), reply)).await
    }

    pub(crate) async fn forget(&self, period: u64, domain: &str) -> io::Result<()> {
        self.ask(|reply| Order::Forget(period, domain.to_owned(), reply)).await
    }

    async fn ask<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<rusqlite::Result<T>>) -> Order,
    ) -> io::Result<T> {
        let gone = || io::Error::other("the thread of the reports has ended");
        let (reply, answer) = oneshot::channel();
        self.queue.send(order(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?.map_err(io::Error::other)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // What a power failure may take is a second of a report.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > VERSION {
        return Err(rusqlite::Error::InvalidParameterName(format!(
            "the file is of version {version}, and this program knows up to {VERSION}"
        )));
    }
    if version == 0 {
        connection.execute_batch(
            "BEGIN;
             CREATE TABLE report (
                 period INTEGER NOT NULL, domain TEXT NOT NULL, policy TEXT NOT NULL,
                 rows INTEGER NOT NULL DEFAULT 0, omitted INTEGER NOT NULL DEFAULT 0,
                 PRIMARY KEY (period, domain)) WITHOUT ROWID;
             CREATE TABLE seen (
                 period INTEGER NOT NULL, domain TEXT NOT NULL, key BLOB NOT NULL, row TEXT NOT NULL, count INTEGER NOT NULL,
                 PRIMARY KEY (period, domain, key)) WITHOUT ROWID;
             PRAGMA user_version = 1;
             COMMIT;",
        )?;
    }
    Ok(connection)
}

struct Keeper {
    connection: Connection,
    /// Seconds.
    interval: u64,
    domains: u64,
    rows: u64,
}

impl Keeper {
    fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut next = None;
        while let Some(order) = next.take().or_else(|| orders.blocking_recv()) {
            match order {
                Order::Note(first) => {
                    let mut batch = vec![first];
                    while batch.len() < BATCH {
                        match orders.try_recv() {
                            Ok(Order::Note(observation)) => batch.push(observation),
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    if let Err(error) = self.write(&batch) {
                        tracing::warn!(%error, observations = batch.len(), "DMARC observations cannot be kept");
                    }
                }
                // Whoever asked and is gone needs no answer.
                Order::Due(now, reply) => drop(reply.send(self.due(now))),
                Order::Load(period, domain, reply) => drop(reply.send(self.load(period, &domain))),
                Order::Forget(period, domain, reply) => drop(reply.send(self.forget(period, &domain))),
            }
        }
    }

    fn write(&mut self, batch: &[Box<Observation>]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        for observation in batch {
            let period = observation.at / self.interval * self.interval;
            let domain = observation.domain.as_str();
            let Ok(row) = serde_json::to_string(&observation.row) else { continue };
            let Ok(policy) = serde_json::to_string(&observation.policy) else { continue };
            let hash = blake3::hash(row.as_bytes());
            let key = &hash.as_bytes()[..16];
            let counted = transaction
                .prepare_cached(
                    "UPDATE seen SET count = count + 1 WHERE period = ?1 AND domain = ?2 AND key = ?3",
                )?
                .execute(params![sql(period), domain, key])?;
            if counted > 0 {
                continue;
            }
            let rows: Option<u64> = transaction
                .prepare_cached("SELECT rows FROM report WHERE period = ?1 AND domain = ?2")?
                .query_row(params![sql(period), domain], |row| number(row, 0))
                .optional()?;
            match rows {
                None => {
                    let domains: u64 = transaction
                        .prepare_cached("SELECT count(*) FROM report WHERE period = ?1")?
                        .query_row([sql(period)], |row| number(row, 0))?;
                    if domains >= self.domains {
                        continue;
                    }
                    transaction
                        .prepare_cached("INSERT INTO report (period, domain, policy) VALUES (?1, ?2, ?3)")?
                        .execute(params![sql(period), domain, policy])?;
                }
                Some(rows) if rows >= self.rows => {
                    transaction
                        .prepare_cached(
                            "UPDATE report SET omitted = omitted + 1 WHERE period = ?1 AND domain = ?2",
                        )?
                        .execute(params![sql(period), domain])?;
                    continue;
                }
                Some(_) => {}
            }
            transaction
                .prepare_cached(
                    "INSERT INTO seen (period, domain, key, row, count) VALUES (?1, ?2, ?3, ?4, 1)",
                )?
                .execute(params![sql(period), domain, key, row])?;
            // RFC 7489 §7.2: the policy as it was found last.
            transaction
                .prepare_cached(
                    "UPDATE report SET rows = rows + 1, policy = ?3 WHERE period = ?1 AND domain = ?2",
                )?
                .execute(params![sql(period), domain, policy])?;
        }
        transaction.commit()
    }

    fn due(&self, now: u64) -> rusqlite::Result<Vec<(u64, String)>> {
        let mut found = self
            .connection
            .prepare_cached("SELECT period, domain FROM report WHERE period + ?1 <= ?2 ORDER BY period")?;
        found
            .query_map(params![sql(self.interval), sql(now)], |row| Ok((number(row, 0)?, row.get(1)?)))?
            .collect()
    }

    fn load(&self, period: u64, domain: &str) -> rusqlite::Result<Option<Contents>> {
        let found: Option<(String, u64)> = self
            .connection
            .prepare_cached("SELECT policy, omitted FROM report WHERE period = ?1 AND domain = ?2")?
            .query_row(params![sql(period), domain], |row| Ok((row.get(0)?, number(row, 1)?)))
            .optional()?;
        let Some((policy, omitted)) = found else { return Ok(None) };
        let Ok(policy) = serde_json::from_str(&policy) else { return Ok(None) };
        let mut query = self
            .connection
            .prepare_cached("SELECT row, count FROM seen WHERE period = ?1 AND domain = ?2")?;
        let mut rows = Vec::new();
        let mut found = query.query(params![sql(period), domain])?;
        while let Some(row) = found.next()? {
            let text: String = row.get(0)?;
            // A row of another version of this program is left out rather than guessed.
            if let Ok(parsed) = serde_json::from_str(&text) {
                rows.push((parsed, number(row, 1)?));
            }
        }
        Ok(Some(Contents { policy, rows, omitted }))
    }

    fn forget(&mut self, period: u64, domain: &str) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction
            .execute("DELETE FROM seen WHERE period = ?1 AND domain = ?2", params![sql(period), domain])?;
        transaction
            .execute("DELETE FROM report WHERE period = ?1 AND domain = ?2", params![sql(period), domain])?;
        transaction.commit()
    }
}

/// SQLite's integers are signed.
fn sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(index)?.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chasqui_base::Span;

    fn observation(domain: &str, ip: [u8; 4], at: u64) -> Observation {
        Observation {
            at,
            domain: domain.into(),
            policy: Policy {
                p: "reject".into(),
                sp: None,
                strict_dkim: false,
                strict_spf: false,
                pct: 100,
                fo: None,
                destinations: vec![("d@example.org".into(), None)],
            },
            row: Row {
                ip: ip.into(),
                disposition: "none".into(),
                dkim_aligned: true,
                spf_aligned: false,
                reason: None,
                header_from: domain.into(),
                envelope_from: domain.into(),
                dkim: Vec::new(),
                spf: (domain.into(), "mfrom".into(), "pass".into()),
            },
        }
    }

    fn config(folder: &Path) -> ReportsConfig {
        ReportsConfig {
            database: folder.join("reports"),
            interval: Span::secs(100),
            domains: 2,
            rows: 2,
            waiting: 100,
            ..ReportsConfig::default()
        }
    }

    #[tokio::test]
    async fn the_same_is_counted_and_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&config(folder.path())).unwrap();
        for ip in [1, 1, 2, 1] {
            store.note(observation("a.test", [192, 0, 2, ip], 150));
        }
        assert!(store.due(199).await.unwrap().is_empty());
        drop(store);
        let store = Store::open(&config(folder.path())).unwrap();
        assert_eq!(store.due(200).await.unwrap(), [(100, "a.test".to_owned())]);
        let contents = store.load(100, "a.test").await.unwrap().unwrap();
        let mut counts: Vec<u64> = contents.rows.iter().map(|(_, count)| *count).collect();
        counts.sort_unstable();
        assert_eq!((counts, contents.omitted), (vec![1, 3], 0));
        store.forget(100, "a.test").await.unwrap();
        assert!(
            store.due(999).await.unwrap().is_empty() && store.load(100, "a.test").await.unwrap().is_none()
        );
    }

    #[tokio::test]
    async fn rows_and_domains_have_their_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&config(folder.path())).unwrap();
        for domain in ["a.test", "b.test", "c.test"] {
            for ip in 0..5 {
                store.note(observation(domain, [192, 0, 2, ip], 0));
            }
        }
        let due = store.due(1000).await.unwrap();
        assert_eq!(due.len(), 2);
        let contents = store.load(0, "a.test").await.unwrap().unwrap();
        assert_eq!((contents.rows.len(), contents.omitted), (2, 3));
    }

    #[test]
    fn a_full_queue_counts_what_it_misses_and_never_waits() {
        let (queue, _orders) = mpsc::channel(1);
        let store = Store { queue, missed: Arc::default() };
        for _ in 0..3 {
            store.note(observation("a.test", [192, 0, 2, 1], 0));
        }
        assert_eq!((store.take_missed(), store.take_missed()), (2, 0));
    }

    #[test]
    fn a_file_of_a_later_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        Connection::open(&config.database).unwrap().pragma_update(None, "user_version", 9).unwrap();
        assert!(Store::open(&config).err().unwrap().to_string().contains("version 9"));
    }
}

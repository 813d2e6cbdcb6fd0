//! The index: one SQLite file an account, a cache of summaries and nothing more.
//!
//! It is filled when a client first asks for a message's envelope or structure, never on the way of a delivery. It may be deleted at any
//! time; a damaged one is removed and begun anew. Each record has a checksum over its key and content, so that what a crash mixed up
//! is noticed: nothing here is synced. Only the account's worker opens it, and of each worker a bounded number are open.

use std::io;
use std::path::Path;

use chasqui_base::EmailAddress;
use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension, params};
use tracing::warn;

use crate::codec;
use crate::mailbox::Summary;
use crate::uid::Uid;

/// Name of the file in the account's folder.
pub(crate) const INDEX_FILE: &str = "index.sqlite";
/// Written to `user_version`; a file of another version is begun anew.
const VERSION: i64 = 1;

/// The open indexes of one worker.
pub(crate) struct Indexes {
    open: HashMap<EmailAddress, (Connection, u64)>,
    limit: usize,
    now: u64,
}

impl Indexes {
    pub(crate) fn new(limit: usize) -> Indexes {
        Indexes { open: HashMap::new(), limit, now: 0 }
    }

    /// The summaries that are there, of these messages.
    pub(crate) fn read(
        &mut self,
        account: &EmailAddress,
        dir: &Path,
        uid_validity: u32,
        uids: &[Uid],
    ) -> Vec<Summary> {
        let read = |connection: &mut Connection| {
            let mut select =
                connection.prepare_cached("SELECT record FROM summary WHERE uid_validity = ? AND uid = ?")?;
            let mut found = Vec::new();
            for uid in uids {
                let record: Option<Vec<u8>> =
                    select.query_row(params![uid_validity, uid.get()], |row| row.get(0)).optional()?;
                found.extend(record.and_then(|record| codec::decode(uid_validity, *uid, &record)));
            }
            Ok(found)
        };
        self.with(account, dir, read).unwrap_or_default()
    }

    /// Adds summaries.
    pub(crate) fn write(
        &mut self,
        account: &EmailAddress,
        dir: &Path,
        uid_validity: u32,
        summaries: &[Summary],
    ) {
        let write = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction.prepare_cached(
                    "INSERT OR REPLACE INTO summary (uid_validity, uid, record) VALUES (?, ?, ?)",
                )?;
                for summary in summaries {
                    insert.execute(params![
                        uid_validity,
                        summary.uid.get(),
                        codec::encode(uid_validity, summary)
                    ])?;
                }
            }
            transaction.commit()
        };
        self.with(account, dir, write);
    }

    /// Removes the summaries of messages that left; of all of the folder for none.
    pub(crate) fn forget(
        &mut self,
        account: &EmailAddress,
        dir: &Path,
        uid_validity: u32,
        uids: Option<&[Uid]>,
    ) {
        if !self.open.contains_key(account) && !dir.join(INDEX_FILE).exists() {
            return;
        }
        let forget = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            match uids {
                Some(uids) => {
                    let mut delete = transaction
                        .prepare_cached("DELETE FROM summary WHERE uid_validity = ? AND uid = ?")?;
                    for uid in uids {
                        delete.execute(params![uid_validity, uid.get()])?;
                    }
                }
                None => {
                    transaction
                        .execute("DELETE FROM summary WHERE uid_validity = ?", params![uid_validity])?;
                }
            }
            transaction.commit()
        };
        self.with(account, dir, forget);
    }

    /// Runs `work` on the account's index. On an error the file is begun anew once; if that fails too, there is no cache this time.
    fn with<T>(
        &mut self,
        account: &EmailAddress,
        dir: &Path,
        work: impl Fn(&mut Connection) -> rusqlite::Result<T>,
    ) -> Option<T> {
        for attempt in 0..2 {
            let outcome = self.connection(account, dir).and_then(&work);
            match outcome {
                Ok(result) => return Some(result),
                Err(error) => {
                    warn!(%account, %error, again = attempt == 0, "the index is damaged or cannot be written; it is begun anew");
                    self.open.remove(account);
                    if remove(dir).is_err() {
                        return None;
                    }
                }
            }
        }
        None
    }

    fn connection(&mut self, account: &EmailAddress, dir: &Path) -> rusqlite::Result<&mut Connection> {
        self.now += 1;
        let now = self.now;
        // Deleted under us: an open file would be written and never seen again.
        if self.open.contains_key(account) && !dir.join(INDEX_FILE).exists() {
            self.open.remove(account);
        }
        if !self.open.contains_key(account) {
            if self.open.len() >= self.limit {
                let oldest =
                    self.open.iter().min_by_key(|(_, (_, used))| *used).map(|(account, _)| account.clone());
                oldest.and_then(|account| self.open.remove(&account));
            }
            self.open.insert(account.clone(), (open(dir)?, now));
        }
        let (connection, used) = self.open.get_mut(account).ok_or(rusqlite::Error::InvalidQuery)?;
        *used = now;
        Ok(connection)
    }
}

fn open(dir: &Path) -> rusqlite::Result<Connection> {
    let path = dir.join(INDEX_FILE);
    let connection = Connection::open(&path)?;
    // A cache: no syncs. 64 KiB of pages, because many are open.
    connection.execute_batch("PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = OFF; PRAGMA cache_size = -64; PRAGMA mmap_size = 0;")?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version != VERSION {
        connection.execute_batch(
            "DROP TABLE IF EXISTS summary;
             CREATE TABLE summary (uid_validity INTEGER NOT NULL, uid INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (uid_validity, uid)) WITHOUT ROWID;",
        )?;
        connection.pragma_update(None, "user_version", VERSION)?;
    }
    Ok(connection)
}

fn remove(dir: &Path) -> io::Result<()> {
    for name in [INDEX_FILE, "index.sqlite-journal"] {
        match std::fs::remove_file(dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::{Limits, summarize};

    fn summary(uid: u32) -> Summary {
        let (envelope, body) =
            summarize(format!("Subject: {uid}\r\n\r\nx").as_bytes(), Limits::default()).unwrap();
        Summary { uid: Uid::new(uid).unwrap(), envelope, body }
    }

    #[test]
    fn a_damaged_or_deleted_index_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let account = EmailAddress::parse("a@b.test").unwrap();
        let uids: Vec<Uid> = (1..=3).filter_map(Uid::new).collect();
        let mut indexes = Indexes::new(2);
        indexes.write(&account, dir.path(), 9, &[summary(1), summary(2)]);
        assert_eq!(indexes.read(&account, dir.path(), 9, &uids), [summary(1), summary(2)]);
        assert_eq!(indexes.read(&account, dir.path(), 8, &uids), []);

        std::fs::remove_file(dir.path().join(INDEX_FILE)).unwrap();
        assert_eq!(indexes.read(&account, dir.path(), 9, &uids), []);
        indexes.write(&account, dir.path(), 9, &[summary(3)]);
        assert_eq!(indexes.read(&account, dir.path(), 9, &uids), [summary(3)]);

        let mut indexes = Indexes::new(2);
        std::fs::write(
            dir.path().join(INDEX_FILE),
            "not a database, but long enough to be looked at as one".repeat(100),
        )
        .unwrap();
        assert_eq!(indexes.read(&account, dir.path(), 9, &uids), []);
        indexes.write(&account, dir.path(), 9, &[summary(1), summary(2)]);
        indexes.forget(&account, dir.path(), 9, Some(&uids[..1]));
        assert_eq!(indexes.read(&account, dir.path(), 9, &uids), [summary(2)]);
        indexes.forget(&account, dir.path(), 9, None);
        assert_eq!(indexes.read(&account, dir.path(), 9, &uids), []);
    }

    #[test]
    fn only_so_many_are_open() {
        let dirs: Vec<_> = (0..5).map(|_| tempfile::tempdir().unwrap()).collect();
        let mut indexes = Indexes::new(2);
        for (n, dir) in dirs.iter().enumerate() {
            indexes.write(
                &EmailAddress::parse(&format!("u{n}@b.test")).unwrap(),
                dir.path(),
                1,
                &[summary(1)],
            );
            assert!(indexes.open.len() <= 2);
        }
        assert_eq!(
            indexes.read(&EmailAddress::parse("u0@b.test").unwrap(), dirs[0].path(), 1, &[Uid::MIN]),
            [summary(1)]
        );
    }
}

//! Reading everything into a new view.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use futures_core::Stream;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{OpenDatabase, Pace};
use crate::admin::{AdminError, read_node};
use crate::password::StoredHash;
use crate::record::{AccountState, Services};
use crate::snapshot::entry::{self, Account, Key};
use crate::snapshot::{ArenaFull, Builder, Delegations, Domain, Domains, Nodes, Overlay, View};

/// Octets of an account besides its address: see [`entry`]. Reserving too much costs nothing, since what is not written takes no memory.
const ACCOUNT_OCTETS: i64 = 96;

/// The view of this instant: everything is read in one transaction.
pub(super) async fn view(database: &mut OpenDatabase, pace: Pace) -> Result<View, AdminError> {
    let OpenDatabase { connection, path, .. } = database;
    let reading = read(connection, pace).await;
    // Nothing was written, so how the transaction ends does not matter, only that it does.
    let ended = sqlx::query("ROLLBACK").execute(&mut *connection).await;
    let failed = |error| match error {
        LoadError::Database(error) => AdminError::database(path, error),
        LoadError::Full(error) => AdminError::Failed { path: path.clone(), reason: error.to_string() },
    };
    let view = reading.map_err(failed)?;
    ended.map_err(|error| AdminError::database(path, error))?;
    Ok(view)
}

/// Base and overlay in one new base.
pub(super) fn fold(view: &View, mut pace: Pace) -> Result<View, ArenaFull> {
    let overlay = view.overlay.memory();
    let mut builder =
        Builder::with_capacity(view.base.len() + view.overlay.len(), view.base.arena_len() + overlay);
    let mut count = 0_u32;
    let mut keep = |packed: &[u8]| {
        count = count.wrapping_add(1);
        if count.is_multiple_of(64) {
            pace.breathe();
        }
        builder.insert(packed)
    };
    for packed in view.base.entries() {
        let replaced = entry::key(packed).is_ok_and(|key| view.overlay.find(key).is_some());
        if !replaced {
            keep(packed)?;
        }
    }
    for packed in view.overlay.entries() {
        if !matches!(entry::unpack(packed), Ok(entry::Entry::Removed) | Err(_)) {
            keep(packed)?;
        }
    }
    Ok(View { base: Arc::new(builder.finish()), overlay: Overlay::default(), ..view.clone() })
}

enum LoadError {
    Database(sqlx::Error),
    Full(ArenaFull),
}

impl From<sqlx::Error> for LoadError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<ArenaFull> for LoadError {
    fn from(error: ArenaFull) -> Self {
        Self::Full(error)
    }
}

async fn read(connection: &mut SqliteConnection, mut pace: Pace) -> Result<View, LoadError> {
    sqlx::query("BEGIN").execute(&mut *connection).await?;
    let sequence =
        sqlx::query_scalar("SELECT ifnull(max(seq), 0) FROM change").fetch_one(&mut *connection).await?;
    let domains = domains(connection).await?;
    let nodes = nodes(connection).await?;
    let delegations = delegations(connection).await?;
    let sizes = sqlx::query(
        "SELECT (SELECT count(*) FROM account), (SELECT ifnull(sum(length(address)), 0) FROM account),
                (SELECT count(DISTINCT address) FROM alias), (SELECT ifnull(sum(length(address) + length(target) + 4), 0) FROM alias)",
    );
    let sizes = sizes.fetch_one(&mut *connection).await?;
    let size = |column: usize| sizes.try_get::<i64, _>(column);
    let octets = size(1)? + size(0)? * ACCOUNT_OCTETS + size(3)?;
    let entries = size(0)? + size(2)?;
    let mut builder = Builder::with_capacity(entries.unsigned_abs() as usize, octets.unsigned_abs() as usize);
    accounts(connection, &mut builder, &mut pace).await?;
    let accounts = builder.len();
    aliases(connection, &mut builder, &mut pace).await?;
    Ok(View {
        base: Arc::new(builder.finish()),
        overlay: Overlay::default(),
        domains: Arc::new(domains),
        nodes: Arc::new(nodes),
        delegations: Arc::new(delegations),
        accounts,
        sequence,
    })
}

async fn accounts(
    connection: &mut SqliteConnection,
    builder: &mut Builder,
    pace: &mut Pace,
) -> Result<(), LoadError> {
    let query =
        sqlx::query("SELECT domain, address, password, node, quota, state, services, uid, gid FROM account");
    let mut rows = pin!(query.fetch(connection));
    let mut packed = Vec::new();
    let mut count = 0_u32;
    while let Some(row) = poll_fn(|context| rows.as_mut().poll_next(context)).await {
        packed.clear();
        pack_account(&row?, &mut packed)?;
        builder.insert(&packed)?;
        count = count.wrapping_add(1);
        if count.is_multiple_of(64) {
            pace.breathe();
        }
    }
    Ok(())
}

async fn aliases(
    connection: &mut SqliteConnection,
    builder: &mut Builder,
    pace: &mut Pace,
) -> Result<(), LoadError> {
    let query = sqlx::query("SELECT domain, address, target FROM alias ORDER BY address, place");
    let mut rows = pin!(query.fetch(connection));
    let mut gather = GatherAliases::default();
    while let Some(row) = poll_fn(|context| rows.as_mut().poll_next(context)).await {
        if let Some(packed) = gather.add(&row?)? {
            builder.insert(packed)?;
        }
        pace.breathe();
    }
    if let Some(packed) = gather.finish() {
        builder.insert(packed)?;
    }
    Ok(())
}

/// Packs a row of `domain, address, password, node, quota, state, services, uid, gid`.
pub(super) fn pack_account(row: &SqliteRow, into: &mut Vec<u8>) -> Result<(), sqlx::Error> {
    let address: &str = row.try_get(1)?;
    let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
    let small = |column: usize| {
        Ok::<_, sqlx::Error>(
            row.try_get::<Option<i64>, _>(column)?.and_then(|number| u32::try_from(number).ok()),
        )
    };
    let hash = row.try_get::<Option<&str>, _>(2)?.and_then(|phc| match StoredHash::parse(phc) {
        Ok(hash) => Some(hash),
        Err(reason) => {
            tracing::warn!(address, %reason, "a user cannot log in");
            None
        }
    });
    let account = Account {
        local,
        node: id(row, 3)?,
        quota: row.try_get::<Option<i64>, _>(4)?.and_then(|quota| u64::try_from(quota).ok()),
        // A state of a later version: the safest is to let nobody in and to lose no mail.
        state: u8::try_from(row.try_get::<i64, _>(5)?)
            .ok()
            .and_then(AccountState::from_code)
            .unwrap_or(AccountState::Suspended),
        services: Services::from_bits(u8::try_from(row.try_get::<i64, _>(6)?).unwrap_or_default()),
        uid: small(7)?,
        gid: small(8)?,
        hash: &[],
    };
    entry::pack_account(into, id(row, 0)?, &account, hash.as_ref());
    Ok(())
}

/// Makes one entry of the rows `domain, address, target` of each alias, which come one after the other.
#[derive(Default)]
pub(super) struct GatherAliases {
    current: Option<(u32, String)>,
    targets: Vec<String>,
    packed: Vec<u8>,
}

impl GatherAliases {
    /// Takes a row; when it begins another alias, the one before is complete.
    pub(super) fn add(&mut self, row: &SqliteRow) -> Result<Option<&[u8]>, sqlx::Error> {
        let (domain, address, target) =
            (id(row, 0)?, row.try_get::<&str, _>(1)?, row.try_get::<String, _>(2)?);
        if self.current.as_ref().is_some_and(|(_, current)| current == address) {
            self.targets.push(target);
            return Ok(None);
        }
        let complete = self.pack();
        self.current = Some((domain, address.to_owned()));
        self.targets = vec![target];
        Ok(complete.then_some(&self.packed))
    }

    /// The last one.
    pub(super) fn finish(&mut self) -> Option<&[u8]> {
        self.pack().then_some(&self.packed)
    }

    fn pack(&mut self) -> bool {
        let Some((domain, address)) = self.current.take() else { return false };
        let local = address.rsplit_once('@').map_or(address.as_str(), |(local, _)| local);
        self.packed.clear();
        entry::pack_alias(&mut self.packed, Key { domain, local }, &self.targets);
        true
    }
}

pub(super) async fn domains(connection: &mut SqliteConnection) -> Result<Domains, sqlx::Error> {
    let rows = sqlx::query("SELECT name, id, catch_all FROM domain").fetch_all(connection).await?;
    let read = |row: &SqliteRow| {
        let catch_all: Option<&str> = row.try_get(2)?;
        let catch_all = catch_all.and_then(|address| address.parse().ok());
        Ok((row.try_get::<&str, _>(0)?.into(), Domain { id: id(row, 1)?, catch_all }))
    };
    rows.iter().map(read).collect()
}

pub(super) async fn nodes(connection: &mut SqliteConnection) -> Result<Nodes, sqlx::Error> {
    let rows = sqlx::query("SELECT id, name, lmtp, imap, pop3 FROM node").fetch_all(connection).await?;
    rows.iter().map(|row| Ok((id(row, 0)?, Arc::new(read_node(row, 1)?)))).collect()
}

pub(super) async fn delegations(connection: &mut SqliteConnection) -> Result<Delegations, sqlx::Error> {
    let query = sqlx::query("SELECT account, sender FROM delegation ORDER BY account, sender");
    let mut rows = pin!(query.fetch(connection));
    let mut found = Delegations::default();
    while let Some(row) = poll_fn(|context| rows.as_mut().poll_next(context)).await {
        let row = row?;
        let (account, sender): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        match found.get_mut(account) {
            Some(senders) => senders.push(sender.into()),
            None => {
                found.insert(account.into(), vec![sender.into()]);
            }
        }
    }
    Ok(found)
}

/// A row's id, of which there are less than 2^32.
fn id(row: &SqliteRow, column: usize) -> Result<u32, sqlx::Error> {
    let number: i64 = row.try_get(column)?;
    u32::try_from(number)
        .map_err(|error| sqlx::Error::ColumnDecode { index: column.to_string(), source: error.into() })
}

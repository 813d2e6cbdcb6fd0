//! Applying what the change log names.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use futures_core::Stream;
use sqlx::{Row, SqliteConnection};

use super::OpenDatabase;
use super::load::{self, GatherAliases};
use crate::admin::AdminError;
use crate::snapshot::View;
use crate::snapshot::entry::{self, Entry, Key};

/// Changes applied in one step: bounds what a large import keeps in memory here.
const STEP: i64 = 20_000;

/// What the log had to say.
pub(super) enum Outcome {
    /// Nothing new.
    Current,
    /// The next view; there may be more.
    Changed(View),
    /// The log does not reach back to this view, or is another one.
    TooOld,
}

/// One step of the log onto `view`.
pub(super) async fn apply(database: &mut OpenDatabase, view: &View) -> Result<Outcome, AdminError> {
    let OpenDatabase { connection, path, .. } = database;
    let applied = step(connection, view).await;
    let ended = sqlx::query("ROLLBACK").execute(&mut *connection).await;
    let outcome = applied.map_err(|error| AdminError::database(path, error))?;
    ended.map_err(|error| AdminError::database(path, error))?;
    Ok(outcome)
}

async fn step(connection: &mut SqliteConnection, view: &View) -> Result<Outcome, sqlx::Error> {
    sqlx::query("BEGIN").execute(&mut *connection).await?;
    let range = sqlx::query("SELECT ifnull(min(seq), 0), ifnull(max(seq), 0) FROM change")
        .fetch_one(&mut *connection)
        .await?;
    let (first, last): (i64, i64) = (range.try_get(0)?, range.try_get(1)?);
    if last == view.sequence {
        return Ok(Outcome::Current);
    }
    if last < view.sequence || first > view.sequence + 1 {
        return Ok(Outcome::TooOld);
    }
    let mut next = View { sequence: last.min(view.sequence + STEP), ..view.clone() };
    let (from, to) = (view.sequence, next.sequence);

    let mut subjects = HashSet::new();
    let (mut domains_changed, mut nodes_changed, mut delegations_changed) = (false, false, false);
    let log =
        sqlx::query("SELECT kind, subject FROM change WHERE seq > ?1 AND seq <= ?2").bind(from).bind(to);
    for row in log.fetch_all(&mut *connection).await? {
        match row.try_get::<&str, _>(0)? {
            "address" => {
                subjects.insert(row.try_get::<String, _>(1)?);
            }
            "domain" => domains_changed = true,
            "node" => nodes_changed = true,
            "delegation" => delegations_changed = true,
            _ => return Ok(Outcome::TooOld),
        }
    }
    if domains_changed {
        next.domains = Arc::new(load::domains(connection).await?);
    }
    if nodes_changed {
        next.nodes = Arc::new(load::nodes(connection).await?);
    }
    if delegations_changed {
        next.delegations = Arc::new(load::delegations(connection).await?);
    }
    if !subjects.is_empty() {
        // First everything named is taken out, under the domain's id of then and of now; then what there is now is put in.
        for address in &subjects {
            let Some((local, domain)) = address.rsplit_once('@') else { continue };
            let ids = [view.domains.get(domain), next.domains.get(domain)]
                .map(|domain| domain.map(|domain| domain.id));
            for domain in ids.into_iter().flatten().collect::<HashSet<_>>() {
                let mut packed = Vec::new();
                entry::pack_removed(&mut packed, Key { domain, local });
                put(&mut next, &packed);
            }
        }
        put_accounts(connection, &mut next, from, to).await?;
        put_aliases(connection, &mut next, from, to).await?;
    }
    Ok(Outcome::Changed(next))
}

/// Puts an entry into the overlay and keeps the count of accounts.
fn put(view: &mut View, packed: &[u8]) {
    let Ok(key) = entry::key(packed) else { return };
    let was = matches!(view.find(key), Some(Entry::Account(_)));
    let is = matches!(entry::unpack(packed), Ok(Entry::Account(_)));
    view.accounts = (view.accounts + usize::from(is)).saturating_sub(usize::from(was));
    view.overlay.set(packed);
}

async fn put_accounts(
    connection: &mut SqliteConnection,
    view: &mut View,
    from: i64,
    to: i64,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(
        "SELECT domain, address, password, node, quota, state, services, uid, gid FROM account
         WHERE address IN (SELECT subject FROM change WHERE seq > ?1 AND seq <= ?2 AND kind = 'address')",
    );
    let mut rows = pin!(query.bind(from).bind(to).fetch(connection));
    let mut packed = Vec::new();
    while let Some(row) = poll_fn(|context| rows.as_mut().poll_next(context)).await {
        packed.clear();
        load::pack_account(&row?, &mut packed)?;
        put(view, &packed);
    }
    Ok(())
}

async fn put_aliases(
    connection: &mut SqliteConnection,
    view: &mut View,
    from: i64,
    to: i64,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(
        "SELECT domain, address, target FROM alias
         WHERE address IN (SELECT subject FROM change WHERE seq > ?1 AND seq <= ?2 AND kind = 'address')
         ORDER BY address, place",
    );
    let mut rows = pin!(query.bind(from).bind(to).fetch(connection));
    let mut gather = GatherAliases::default();
    while let Some(row) = poll_fn(|context| rows.as_mut().poll_next(context)).await {
        if let Some(packed) = gather.add(&row?)? {
            put(view, packed);
        }
    }
    if let Some(packed) = gather.finish() {
        put(view, packed);
    }
    Ok(())
}

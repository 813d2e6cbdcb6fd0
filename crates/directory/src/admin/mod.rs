//! The user database, and what an operator does with it: one verb, one function.
//!
//! Rules that bind this module:
//! - Every change is one transaction, begun `IMMEDIATE`, so that what is checked is still so when it is written.
//! - Whatever can be refused is refused by a check with its own sentence; a constraint of the schema is only the last line.
//! - Triggers write what changed into the log that running servers read ([`crate::source`]); nothing here tells them otherwise.

mod alias;
mod delegation;
mod domain;
mod error;
mod import;
mod node;
mod user;

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqlSafeStr, Sqlite, SqlitePool, Transaction};

pub use alias::AliasInfo;
pub use domain::DomainInfo;
pub use error::AdminError;
pub use import::{ImportFailure, ImportProgress, ImportReport};
pub use node::NodeInfo;
pub(crate) use node::read_node;
pub use user::{NewUser, UserChange, UserFilter, UserInfo};

/// The user database, opened for an operator.
pub struct Database {
    pool: SqlitePool,
    path: PathBuf,
}

impl Database {
    /// Opens the database, making it when there is none, and brings its schema up to date.
    pub async fn open(path: &Path) -> Result<Self, AdminError> {
        if !path.exists() {
            // Made here and not by SQLite, because it holds password hashes: nobody else may read it.
            let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            made.map_err(|error| AdminError::opening(path, error))?;
        }
        Self::open_existing(path).await
    }

    /// Opens a database that must be there already, and brings its schema up to date.
    pub async fn open_existing(path: &Path) -> Result<Self, AdminError> {
        if !path.exists() {
            return Err(AdminError::Missing { path: path.to_owned() });
        }
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options(path)).await;
        let pool = pool.map_err(|error| AdminError::database(path, error))?;
        if let Err(error) = migrations().run(&pool).await {
            pool.close().await;
            return Err(AdminError::migration(path, error));
        }
        Ok(Self { pool, path: path.to_owned() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the file; what was written is durable already.
    pub async fn close(self) {
        self.pool.close().await;
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, AdminError> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: sqlx::Error) -> AdminError {
        AdminError::database(&self.path, error)
    }
}

/// How the file is opened, by operators and servers alike.
pub(crate) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        // Readers are not kept waiting by a long import, and see all of it or nothing.
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10))
}

fn migrations() -> Migrator {
    let all = [
        (1, "directory", include_str!("../../migrations/0001_directory.sql")),
        (2, "submission", include_str!("../../migrations/0002_submission.sql")),
    ];
    Migrator::with_migrations(
        all.into_iter()
            .map(|(version, name, sql)| {
                Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
            })
            .collect(),
    )
}

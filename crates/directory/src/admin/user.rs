//! `chasqui user add|list|show|set|remove`.

use chasqui_base::address::{DomainName, EmailAddress};
use chasqui_base::secret::Secret;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::alias::is_alias;
use super::domain::domain_id;
use super::node::node_id;
use super::{AdminError, Database};
use crate::password::PasswordHashes;
use crate::record::{AccountState, Services};

/// A user to be added.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The canonical address.
    pub address: EmailAddress,
    /// The password; without one nobody can log in.
    pub password: Option<Secret>,
    /// Octets; `None` is unlimited.
    pub quota: Option<u64>,
    /// The owning node's name; `None` takes the one with the fewest accounts (S8).
    pub node: Option<String>,
    /// What the account may use.
    pub services: Services,
    /// Whether it may receive and log in.
    pub state: AccountState,
    /// Numeric user id, if the system is to know the user.
    pub uid: Option<u32>,
    /// Numeric group id, likewise.
    pub gid: Option<u32>,
}

impl NewUser {
    /// An active user with every service and no quota, on the node with the fewest accounts.
    pub fn new(address: EmailAddress, password: Option<Secret>) -> Self {
        Self {
            address,
            password,
            quota: None,
            node: None,
            services: Services::ALL,
            state: AccountState::Active,
            uid: None,
            gid: None,
        }
    }
}

/// What to change of a user; `None` leaves a thing as it is.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// A new password.
    pub password: Option<Secret>,
    /// A new quota in octets, or `Some(None)` for unlimited.
    pub quota: Option<Option<u64>>,
    /// Another owner. The mailbox is not moved by this.
    pub node: Option<String>,
    /// Other services.
    pub services: Option<Services>,
    /// Another state.
    pub state: Option<AccountState>,
    /// Another numeric user id.
    pub uid: Option<u32>,
    /// Another numeric group id.
    pub gid: Option<u32>,
}

/// Which users `user list` shows.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Only of this domain.
    pub domain: Option<DomainName>,
    /// Only on this node.
    pub node: Option<String>,
}

/// A user as `user list` and `user show` print it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserInfo {
    /// The canonical address.
    pub address: String,
    /// The owning node.
    pub node: String,
    /// Octets; `None` is unlimited.
    pub quota: Option<u64>,
    /// Whether it may receive and log in.
    pub state: AccountState,
    /// What it may use: `imap,pop3,submission`.
    pub services: String,
    /// Numeric user id.
    pub uid: Option<u32>,
    /// Numeric group id.
    pub gid: Option<u32>,
    /// Whether it has a password at all.
    pub password: bool,
    /// Whether the password can be proved by SCRAM: it was set as a password, by a version that knows SCRAM.
    pub scram: bool,
    /// Aliases that lead straight to it; filled by `user show` only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Addresses that it may send as, beside its own and its aliases; filled by `user show` only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delegations: Vec<String>,
}

impl Database {
    /// Adds a user. The password is hashed here, which takes some tens of milliseconds.
    pub async fn add_user(&self, user: &NewUser) -> Result<UserInfo, AdminError> {
        let hash = hash_aside(user.password.clone()).await?;
        let mut transaction = self.begin().await?;
        let node = match &user.node {
            Some(name) => {
                let id = node_id(&mut transaction, name).await.map_err(|error| self.failed(error))?;
                id.ok_or_else(|| AdminError::NoSuchNode(name.clone()))?
            }
            None => {
                let least = least_loaded(&mut transaction).await.map_err(|error| self.failed(error))?;
                least.ok_or(AdminError::NoNodes)?
            }
        };
        self.insert_user(&mut transaction, user, hash.as_ref(), node).await?;
        transaction.commit().await.map_err(|error| self.failed(error))?;
        self.user(&user.address).await
    }

    /// Inserts a user after every check, in a transaction that somebody else commits.
    pub(super) async fn insert_user(
        &self,
        connection: &mut SqliteConnection,
        user: &NewUser,
        hash: Option<&PasswordHashes>,
        node: i64,
    ) -> Result<(), AdminError> {
        let domain =
            domain_id(connection, user.address.domain()).await.map_err(|error| self.failed(error))?;
        let domain = domain.ok_or_else(|| AdminError::NoSuchDomain(user.address.domain().to_owned()))?;
        if is_alias(connection, &user.address).await.map_err(|error| self.failed(error))? {
            return Err(AdminError::IsAlias(user.address.clone()));
        }
        let adding = sqlx::query(
            "INSERT INTO account (domain, address, password, node, quota, state, services, uid, gid, scram)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (address) DO NOTHING",
        );
        let adding = adding
            .bind(domain)
            .bind(user.address.as_str())
            .bind(hash.map(|hash| hash.argon2.as_str()))
            .bind(node)
            .bind(user.quota.map(quota_column).transpose()?)
            .bind(i64::from(user.state.code()))
            .bind(i64::from(user.services.bits()))
            .bind(user.uid.map(i64::from))
            .bind(user.gid.map(i64::from))
            .bind(hash.and_then(|hash| hash.scram.as_deref()));
        let added = adding.execute(connection).await.map_err(|error| self.failed(error))?;
        if added.rows_affected() == 0 { Err(AdminError::UserExists(user.address.clone())) } else { Ok(()) }
    }

    /// The users that the filter lets through, by address.
    pub async fn users(&self, filter: &UserFilter) -> Result<Vec<UserInfo>, AdminError> {
        let listing = sqlx::query(
            "SELECT address, node.name, quota, state, services, uid, gid, password IS NOT NULL, scram IS NOT NULL
             FROM account JOIN node ON node.id = account.node JOIN domain ON domain.id = account.domain
             WHERE (?1 IS NULL OR domain.name = ?1) AND (?2 IS NULL OR node.name = ?2) ORDER BY address",
        );
        let listing =
            listing.bind(filter.domain.as_ref().map(DomainName::as_str)).bind(filter.node.as_deref());
        let rows = listing.fetch_all(&self.pool).await.map_err(|error| self.failed(error))?;
        rows.iter().map(read_user).collect::<Result<_, _>>().map_err(|error| self.failed(error))
    }

    /// One user, with the aliases that lead straight to it.
    pub async fn user(&self, address: &EmailAddress) -> Result<UserInfo, AdminError> {
        let looking = sqlx::query(
            "SELECT address, node.name, quota, state, services, uid, gid, password IS NOT NULL, scram IS NOT NULL
             FROM account JOIN node ON node.id = account.node WHERE address = ?1",
        );
        let row = looking
            .bind(address.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| self.failed(error))?;
        let row = row.ok_or_else(|| AdminError::NoSuchUser(address.clone()))?;
        let mut user = read_user(&row).map_err(|error| self.failed(error))?;
        user.delegations =
            sqlx::query_scalar("SELECT sender FROM delegation WHERE account = ?1 ORDER BY sender")
                .bind(address.as_str())
                .fetch_all(&self.pool)
                .await
                .map_err(|error| self.failed(error))?;
        user.aliases = sqlx::query_scalar("SELECT address FROM alias WHERE target = ?1 ORDER BY address")
            .bind(address.as_str())
            .fetch_all(&self.pool)
            .await
            .map_err(|error| self.failed(error))?;
        Ok(user)
    }

    /// Changes a user.
    pub async fn set_user(
        &self,
        address: &EmailAddress,
        change: &UserChange,
    ) -> Result<UserInfo, AdminError> {
        let hash = hash_aside(change.password.clone()).await?;
        let mut transaction = self.begin().await?;
        let node = match &change.node {
            Some(name) => {
                let id = node_id(&mut transaction, name).await.map_err(|error| self.failed(error))?;
                Some(id.ok_or_else(|| AdminError::NoSuchNode(name.clone()))?)
            }
            None => None,
        };
        let setting = sqlx::query(
            "UPDATE account SET password = ifnull(?2, password), node = ifnull(?3, node),
                    quota = iif(?4, ?5, quota), state = ifnull(?6, state), services = ifnull(?7, services),
                    uid = ifnull(?8, uid), gid = ifnull(?9, gid), scram = iif(?2 IS NULL, scram, ?10)
             WHERE address = ?1",
        );
        let setting = setting
            .bind(address.as_str())
            .bind(hash.as_ref().map(|hash| hash.argon2.as_str()))
            .bind(node)
            .bind(change.quota.is_some())
            .bind(change.quota.flatten().map(quota_column).transpose()?)
            .bind(change.state.map(|state| i64::from(state.code())))
            .bind(change.services.map(|services| i64::from(services.bits())))
            .bind(change.uid.map(i64::from))
            .bind(change.gid.map(i64::from))
            .bind(hash.as_ref().and_then(|hash| hash.scram.as_deref()));
        let set = setting.execute(&mut *transaction).await.map_err(|error| self.failed(error))?;
        if set.rows_affected() == 0 {
            return Err(AdminError::NoSuchUser(address.clone()));
        }
        transaction.commit().await.map_err(|error| self.failed(error))?;
        self.user(address).await
    }

    /// Removes a user. Its mail stays on its node until the operator removes that; aliases that lead to it are left dangling.
    pub async fn remove_user(&self, address: &EmailAddress) -> Result<(), AdminError> {
        let removing = sqlx::query("DELETE FROM account WHERE address = ?1").bind(address.as_str());
        let removed = removing.execute(&self.pool).await.map_err(|error| self.failed(error))?;
        if removed.rows_affected() == 0 { Err(AdminError::NoSuchUser(address.clone())) } else { Ok(()) }
    }
}

/// Hashes off the runtime's threads.
async fn hash_aside(password: Option<Secret>) -> Result<Option<PasswordHashes>, AdminError> {
    let Some(password) = password else { return Ok(None) };
    let hashed = tokio::task::spawn_blocking(move || PasswordHashes::of(&password)).await;
    Ok(Some(hashed.map_err(|_| crate::password::PasswordError::Failed)??))
}

fn quota_column(quota: u64) -> Result<i64, AdminError> {
    i64::try_from(quota).map_err(|_| AdminError::BadQuota(quota))
}

/// The node with the fewest accounts, the first by name among equals.
async fn least_loaded(connection: &mut SqliteConnection) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT id FROM node ORDER BY (SELECT count(*) FROM account WHERE account.node = node.id), name LIMIT 1",
    )
    .fetch_optional(connection)
    .await
}

fn read_user(row: &SqliteRow) -> Result<UserInfo, sqlx::Error> {
    let id = |column: usize| {
        Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.and_then(|id| u32::try_from(id).ok()))
    };
    let code = |column: usize| {
        Ok::<_, sqlx::Error>(u8::try_from(row.try_get::<i64, _>(column)?).unwrap_or_default())
    };
    Ok(UserInfo {
        address: row.try_get(0)?,
        node: row.try_get(1)?,
        quota: row.try_get::<Option<i64>, _>(2)?.map(i64::unsigned_abs),
        state: AccountState::from_code(code(3)?).unwrap_or(AccountState::Closed),
        services: Services::from_bits(code(4)?).to_string(),
        uid: id(5)?,
        gid: id(6)?,
        password: row.try_get::<i64, _>(7)? != 0,
        scram: row.try_get::<i64, _>(8)? != 0,
        aliases: Vec::new(),
        delegations: Vec::new(),
    })
}

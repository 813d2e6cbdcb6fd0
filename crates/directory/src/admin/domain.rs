//! `chasqui domain add|list|remove`, and the catch-all setting.

use chasqui_base::address::{DomainName, EmailAddress};
use serde::Serialize;
use sqlx::{Row, SqliteConnection};

use super::{AdminError, Database};

/// A domain as `domain list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DomainInfo {
    /// Its name.
    pub domain: String,
    /// Who receives what nobody else of the domain does.
    pub catch_all: Option<String>,
    /// Its users.
    pub users: u64,
    /// Its aliases.
    pub aliases: u64,
}

impl Database {
    /// Adds a domain, with the address that receives what nobody else of it does, if any.
    pub async fn add_domain(
        &self,
        domain: &DomainName,
        catch_all: Option<&EmailAddress>,
    ) -> Result<(), AdminError> {
        let mut transaction = self.begin().await?;
        match domain_id(&mut transaction, domain.as_str()).await {
            Ok(Some(_)) => return Err(AdminError::DomainExists(domain.clone())),
            Ok(None) => {}
            Err(error) => return Err(self.failed(error)),
        }
        let adding = sqlx::query("INSERT INTO domain (name, catch_all) VALUES (?1, ?2)")
            .bind(domain.as_str())
            .bind(catch_all.map(EmailAddress::as_str));
        adding.execute(&mut *transaction).await.map_err(|error| self.failed(error))?;
        transaction.commit().await.map_err(|error| self.failed(error))
    }

    /// Sets or clears a domain's catch-all address.
    pub async fn set_catch_all(
        &self,
        domain: &DomainName,
        catch_all: Option<&EmailAddress>,
    ) -> Result<(), AdminError> {
        let setting = sqlx::query("UPDATE domain SET catch_all = ?2 WHERE name = ?1")
            .bind(domain.as_str())
            .bind(catch_all.map(EmailAddress::as_str));
        let set = setting.execute(&self.pool).await.map_err(|error| self.failed(error))?;
        if set.rows_affected() == 0 { Err(AdminError::NoSuchDomain(domain.to_string())) } else { Ok(()) }
    }

    /// Every domain, by name.
    pub async fn domains(&self) -> Result<Vec<DomainInfo>, AdminError> {
        let listing = sqlx::query(
            "SELECT name, catch_all,
                    (SELECT count(*) FROM account WHERE account.domain = domain.id),
                    (SELECT count(DISTINCT address) FROM alias WHERE alias.domain = domain.id)
             FROM domain ORDER BY name",
        );
        let rows = listing.fetch_all(&self.pool).await.map_err(|error| self.failed(error))?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            Ok(DomainInfo {
                domain: row.try_get(0)?,
                catch_all: row.try_get(1)?,
                users: row.try_get::<i64, _>(2)?.unsigned_abs(),
                aliases: row.try_get::<i64, _>(3)?.unsigned_abs(),
            })
        };
        rows.iter().map(read).collect::<Result<_, sqlx::Error>>().map_err(|error| self.failed(error))
    }

    /// Removes a domain that has neither users nor aliases.
    pub async fn remove_domain(&self, domain: &DomainName) -> Result<(), AdminError> {
        let mut transaction = self.begin().await?;
        let id = domain_id(&mut transaction, domain.as_str()).await.map_err(|error| self.failed(error))?;
        let id = id.ok_or_else(|| AdminError::NoSuchDomain(domain.to_string()))?;
        let counting = sqlx::query(
            "SELECT (SELECT count(*) FROM account WHERE domain = ?1), (SELECT count(DISTINCT address) FROM alias WHERE domain = ?1)",
        );
        let counts =
            counting.bind(id).fetch_one(&mut *transaction).await.map_err(|error| self.failed(error))?;
        let (users, aliases) =
            (counts.get::<i64, _>(0).unsigned_abs(), counts.get::<i64, _>(1).unsigned_abs());
        if users > 0 || aliases > 0 {
            return Err(AdminError::DomainInUse { domain: domain.clone(), users, aliases });
        }
        let removing = sqlx::query("DELETE FROM domain WHERE id = ?1").bind(id);
        removing.execute(&mut *transaction).await.map_err(|error| self.failed(error))?;
        transaction.commit().await.map_err(|error| self.failed(error))
    }
}

pub(super) async fn domain_id(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT id FROM domain WHERE name = ?1").bind(name).fetch_optional(connection).await
}

//! `chasqui alias add|list|remove`.

use chasqui_base::address::{DomainName, EmailAddress};
use serde::Serialize;
use sqlx::{Row, SqliteConnection};

use super::domain::domain_id;
use super::{AdminError, Database};

/// An alias as `alias list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AliasInfo {
    /// The address.
    pub alias: String,
    /// Where its mail goes, in the operator's order.
    pub targets: Vec<String>,
}

impl Database {
    /// Makes an alias, or adds targets to one. A target it has already is left as it is.
    pub async fn add_alias(&self, alias: &EmailAddress, targets: &[EmailAddress]) -> Result<(), AdminError> {
        if targets.is_empty() {
            return Err(AdminError::NoTargets(alias.clone()));
        }
        let mut transaction = self.begin().await?;
        let domain = domain_id(&mut transaction, alias.domain()).await.map_err(|error| self.failed(error))?;
        let domain = domain.ok_or_else(|| AdminError::NoSuchDomain(alias.domain().to_owned()))?;
        let user: Option<i64> = sqlx::query_scalar("SELECT id FROM account WHERE address = ?1")
            .bind(alias.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(|error| self.failed(error))?;
        if user.is_some() {
            return Err(AdminError::IsUser(alias.clone()));
        }
        for target in targets {
            let adding = sqlx::query(
                "INSERT INTO alias (address, target, domain, place)
                 VALUES (?1, ?2, ?3, (SELECT ifnull(max(place), 0) + 1 FROM alias WHERE address = ?1))
                 ON CONFLICT DO NOTHING",
            );
            let adding = adding.bind(alias.as_str()).bind(target.as_str()).bind(domain);
            adding.execute(&mut *transaction).await.map_err(|error| self.failed(error))?;
        }
        transaction.commit().await.map_err(|error| self.failed(error))
    }

    /// Every alias, or those of one domain, by address.
    pub async fn aliases(&self, domain: Option<&DomainName>) -> Result<Vec<AliasInfo>, AdminError> {
        let listing = sqlx::query(
            "SELECT alias.address, target FROM alias JOIN domain ON domain.id = alias.domain
             WHERE ?1 IS NULL OR domain.name = ?1 ORDER BY alias.address, place",
        );
        let rows = listing.bind(domain.map(DomainName::as_str)).fetch_all(&self.pool).await;
        let mut aliases: Vec<AliasInfo> = Vec::new();
        for row in rows.map_err(|error| self.failed(error))? {
            let (alias, target): (String, String) = (row.get(0), row.get(1));
            match aliases.last_mut() {
                Some(last) if last.alias == alias => last.targets.push(target),
                _ => aliases.push(AliasInfo { alias, targets: vec![target] }),
            }
        }
        Ok(aliases)
    }

    /// Removes an alias, or one of its targets. An alias whose last target goes is gone.
    pub async fn remove_alias(
        &self,
        alias: &EmailAddress,
        target: Option<&EmailAddress>,
    ) -> Result<(), AdminError> {
        let mut transaction = self.begin().await?;
        if !is_alias(&mut transaction, alias).await.map_err(|error| self.failed(error))? {
            return Err(AdminError::NoSuchAlias(alias.clone()));
        }
        let removing = sqlx::query("DELETE FROM alias WHERE address = ?1 AND (?2 IS NULL OR target = ?2)");
        let removing = removing.bind(alias.as_str()).bind(target.map(EmailAddress::as_str));
        let removed = removing.execute(&mut *transaction).await.map_err(|error| self.failed(error))?;
        if let (0, Some(target)) = (removed.rows_affected(), target) {
            return Err(AdminError::NoSuchTarget { alias: alias.clone(), target: target.clone() });
        }
        transaction.commit().await.map_err(|error| self.failed(error))
    }
}

pub(super) async fn is_alias(
    connection: &mut SqliteConnection,
    address: &EmailAddress,
) -> Result<bool, sqlx::Error> {
    let looking =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM alias WHERE address = ?1)").bind(address.as_str());
    let there: i64 = looking.fetch_one(connection).await?;
    Ok(there != 0)
}

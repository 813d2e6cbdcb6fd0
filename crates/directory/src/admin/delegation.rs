//! `chasqui user delegate|undelegate`: addresses that an account may send as.

use chasqui_base::address::EmailAddress;

use super::domain::domain_id;
use super::{AdminError, Database};

impl Database {
    /// Lets an account send as these addresses, which must be of domains served here; somebody need not receive for them. Those that it
    /// may send as already are left as they are. A delegation goes with its account, and with the address when that is removed.
    pub async fn delegate(&self, account: &EmailAddress, senders: &[EmailAddress]) -> Result<(), AdminError> {
        let mut transaction = self.begin().await?;
        let user: Option<i64> = sqlx::query_scalar("SELECT id FROM account WHERE address = ?1")
            .bind(account.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(|error| self.failed(error))?;
        if user.is_none() {
            return Err(AdminError::NoSuchUser(account.clone()));
        }
        for sender in senders {
            let domain = domain_id(&mut transaction, sender.domain()).await;
            if domain.map_err(|error| self.failed(error))?.is_none() {
                return Err(AdminError::NoSuchDomain(sender.domain().to_owned()));
            }
            let adding = sqlx::query(
                "INSERT INTO delegation (account, sender) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )
            .bind(account.as_str())
            .bind(sender.as_str());
            adding.execute(&mut *transaction).await.map_err(|error| self.failed(error))?;
        }
        transaction.commit().await.map_err(|error| self.failed(error))
    }

    /// Takes delegations back; all of the account's when `senders` is empty.
    pub async fn undelegate(
        &self,
        account: &EmailAddress,
        senders: &[EmailAddress],
    ) -> Result<(), AdminError> {
        let mut transaction = self.begin().await?;
        let none = |sender: Option<&EmailAddress>| AdminError::NoSuchDelegation {
            account: account.clone(),
            sender: sender.map_or_else(|| "another address".to_owned(), ToString::to_string),
        };
        let all = [None];
        let each: Vec<Option<&EmailAddress>> = senders.iter().map(Some).collect();
        for sender in if each.is_empty() { &all[..] } else { &each[..] } {
            let removing =
                sqlx::query("DELETE FROM delegation WHERE account = ?1 AND (?2 IS NULL OR sender = ?2)")
                    .bind(account.as_str())
                    .bind(sender.map(EmailAddress::as_str));
            let removed = removing.execute(&mut *transaction).await.map_err(|error| self.failed(error))?;
            if removed.rows_affected() == 0 {
                return Err(none(*sender));
            }
        }
        transaction.commit().await.map_err(|error| self.failed(error))
    }
}

//! Does this node own the account? Asked at every RCPT and every log-in.
//!
//! A burst of deliveries to one account asks the directory once: an answer that says "yes, yours" is used again for
//! `timeouts.directory_cache` (at most a second). Refusals are never remembered, so that a new account is found at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chasqui_base::EmailAddress;
use chasqui_directory::{AccountRecord, LookUp, Target};

use crate::node::Node;

/// The short memory of owned accounts.
#[derive(Default)]
pub(crate) struct Ownership {
    recent: Mutex<HashMap<EmailAddress, (Instant, AccountRecord)>>,
}

/// Why an address is not an account of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The directory knows no account of this name.
    Unknown,
    /// The account is owned by the node of this name.
    NotOwner(String),
    /// No directory server answered.
    NoDirectory,
}

impl Ownership {
    /// The account that `address` names, asked now.
    pub(crate) async fn ask(&self, node: &Node, address: &EmailAddress) -> Result<AccountRecord, Refused> {
        let found = match node.directory.look_up(address).await {
            Ok(LookUp::Found(targets)) => targets,
            Ok(LookUp::NotOurs | LookUp::Unknown) => return Err(Refused::Unknown),
            Err(_) => return Err(Refused::NoDirectory),
        };
        let record = account_named(address, found).ok_or(Refused::Unknown)?;
        if record.node.name == node.name {
            Ok(record)
        } else {
            Err(Refused::NotOwner(record.node.name.clone()))
        }
    }

    /// The same for a delivery: an answer younger than the cache's time is used again.
    pub(crate) async fn ask_for_delivery(
        &self,
        node: &Node,
        address: &EmailAddress,
    ) -> Result<AccountRecord, Refused> {
        let settings = node.settings();
        let keep = settings.timeouts.directory_cache.get();
        if let Some(record) = self.recall(address, keep) {
            return Ok(record);
        }
        let record = self.ask(node, address).await?;
        self.remember(address, &record, keep, settings.limits.directory_cache);
        Ok(record)
    }

    fn recall(&self, address: &EmailAddress, keep: Duration) -> Option<AccountRecord> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.get(address).filter(|(since, _)| since.elapsed() < keep).map(|(_, record)| record.clone())
    }

    fn remember(&self, address: &EmailAddress, record: &AccountRecord, keep: Duration, most: usize) {
        if keep.is_zero() || most == 0 {
            return;
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= most {
            recent.retain(|_, (since, _)| since.elapsed() < keep);
            if recent.len() >= most {
                // Everything in it is young: begin again rather than search for the oldest.
                recent.clear();
            }
        }
        recent.insert(address.clone(), (Instant::now(), record.clone()));
    }
}

/// The account of that very address, or the only one that the address leads to (sub-addressing, a plain alias).
fn account_named(address: &EmailAddress, targets: Vec<Target>) -> Option<AccountRecord> {
    let mut accounts: Vec<AccountRecord> = targets
        .into_iter()
        .filter_map(|target| match target {
            Target::Account(record) => Some(record),
            Target::Remote(_) => None,
        })
        .collect();
    match accounts.iter().position(|record| record.account == *address) {
        Some(index) => Some(accounts.swap_remove(index)),
        None if accounts.len() == 1 => accounts.pop(),
        None => None,
    }
}

//! Accounts that are full: measured, reported to the directory, and reported again until they have room.
//!
//! The directory forgets a report after 60 s, so a node that dies leaves nobody locked out, and the exchangers refuse at RCPT
//! (452 4.2.2) what would be refused here anyway.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use chasqui_base::{EmailAddress, Lifecycle};
use tokio::sync::Notify;

use crate::node::Node;

/// The accounts that are or may be full.
#[derive(Default)]
pub(crate) struct OverQuota {
    accounts: Mutex<HashSet<EmailAddress>>,
    suspected: Notify,
}

impl OverQuota {
    /// A message to `account` was refused for want of space: measure it soon. At most `most` accounts are watched.
    pub(crate) fn suspect(&self, account: &EmailAddress, most: usize) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.len() < most && accounts.insert(account.clone()) {
            self.suspected.notify_one();
        }
    }

    fn watched(&self) -> Vec<EmailAddress> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn forget(&self, account: &EmailAddress) {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).remove(account);
    }
}

/// The worker: runs until the role ends.
pub(crate) async fn run(node: Arc<Node>, run: Lifecycle) {
    loop {
        let pause = node.settings().timeouts.over_quota_report.get();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = node.over_quota.suspected.notified() => {}
            () = run.stopped() => return,
        }
        for account in node.over_quota.watched() {
            if run.stopping() {
                return;
            }
            match is_full(&node, &account).await {
                Some(true) => node.directory.report_over_quota(&account, true),
                Some(false) => {
                    node.over_quota.forget(&account);
                    node.directory.report_over_quota(&account, false);
                }
                // Nothing is known now: what was said before stands until the directory forgets it.
                None => {}
            }
        }
        node.metrics.accounts_over_quota(node.over_quota.watched().len());
    }
}

async fn is_full(node: &Node, account: &EmailAddress) -> Option<bool> {
    let record = match node.ownership.ask(node, account).await {
        Ok(record) => record,
        Err(crate::ownership::Refused::NoDirectory) => return None,
        // Gone, or somebody else's to report.
        Err(_) => return Some(false),
    };
    let Some(quota) = record.quota else { return Some(false) };
    let usage = node.store.account(account).usage().await.ok()?;
    // Never so much that an empty account counts as full.
    let reserve = node.settings().limits.quota_reserve.as_u64().min(quota / 2);
    Some(usage.bytes.saturating_add(reserve) > quota)
}

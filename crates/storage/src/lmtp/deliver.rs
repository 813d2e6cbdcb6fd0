use std::sync::Arc;
use std::time::{Instant, SystemTime};

use chasqui_base::{DeliveryId, EmailAddress};
use chasqui_mailstore::{Delivery, FolderName, Incoming, MailError};
use chasqui_smtp::Reply;

use super::transaction::Owned;
use crate::imap::junk;
use crate::metrics::Outcome;
use crate::node::Node;

/// Stores one message for all its recipients, in their INBOX or, with `junk`, in the folder of that use: the replies, in their
/// order. A 250 among them is on disk.
pub(super) async fn all(
    node: &Arc<Node>,
    id: DeliveryId,
    message: Incoming,
    to: Vec<Owned>,
    junk: bool,
) -> Vec<Reply> {
    let (began, octets) = (Instant::now(), message.len());
    let received = SystemTime::now();
    let mut deliveries = Vec::with_capacity(to.len());
    for owned in &to {
        let folder = if junk { junk_folder(node, id, &owned.account).await } else { FolderName::inbox() };
        let (account, quota) = (owned.account.clone(), owned.quota);
        deliveries.push(Delivery { account, folder, id, quota, received });
    }
    if junk {
        node.metrics.junk(to.len());
    }
    let results = node.store.deliver(message, deliveries).await;
    node.metrics.delivered(octets, began.elapsed());
    let mut results = results.into_iter();
    to.iter()
        .map(|Owned { account, .. }| match results.next() {
            Some(Ok(delivered)) => {
                let outcome = if delivered.duplicate { Outcome::Duplicate } else { Outcome::Ok };
                node.metrics.delivery(outcome);
                let (uid, duplicate) = (delivered.uid.get(), delivered.duplicate);
                tracing::info!(delivery = %id, %account, octets, uid, duplicate, "stored");
                // The same words for a duplicate: to the sender its message is here.
                Reply::new(250, (2, 0, 0), format!("{id} stored"))
            }
            Some(Err(error)) => {
                node.note_refusal(account, &error);
                tracing::warn!(delivery = %id, %account, octets, %error, "not stored");
                refusal(node, &error)
            }
            // The store answers for every recipient; should it ever not, nothing is claimed to be stored.
            None => refusal(node, &MailError::Busy),
        })
        .collect()
}

/// Where an account's unwanted mail goes: into INBOX when there is no other way, since it must not be lost.
async fn junk_folder(node: &Arc<Node>, id: DeliveryId, account: &EmailAddress) -> FolderName {
    junk(&node.store.account(account)).await.unwrap_or_else(|error| {
        tracing::warn!(delivery = %id, %account, %error, "no Junk, stored in INBOX");
        FolderName::inbox()
    })
}

/// The reply for a message that was not stored. All of them are temporary: nothing about the message is wrong.
pub(super) fn refusal(node: &Node, error: &MailError) -> Reply {
    node.metrics.delivery(Outcome::Deferred);
    match error {
        MailError::OverQuota => Reply::fixed(452, (4, 2, 2), "Mailbox full"),
        MailError::LimitExceeded(_) => Reply::fixed(452, (4, 2, 2), "Mailbox holds too many messages"),
        MailError::Full => Reply::fixed(452, (4, 3, 1), "The storage is full, try again later"),
        MailError::Busy => Reply::fixed(451, (4, 3, 2), "The storage is busy, try again soon"),
        _ => Reply::fixed(451, (4, 3, 0), "The storage failed, try again later"),
    }
}

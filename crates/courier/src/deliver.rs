//! One message to all its accounts, on whatever nodes they are.

use crate::{
    content::Content,
    directory::{Directory, Owned},
    link::Envelope,
    nodes::{Cause, Nodes, Outcome},
};
use chasqui_base::EmailAddress;
use chasqui_smtp::Reply;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// Pauses before the directory is asked again about an account that has moved, and the delivery tried again: the server that is asked
/// may learn of a move up to a second after the node did.
const MOVES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(300), Duration::from_millis(1200)];

/// What sessions and retries deliver through.
pub struct Courier {
    /// The connections.
    pub nodes: Nodes,
    /// Who owns an account now.
    pub directory: Directory,
}

/// What became of one account's copy.
#[derive(Clone, Debug)]
pub struct AccountOutcome {
    /// The account.
    pub account: EmailAddress,
    /// The name of the node that owned it.
    pub node: String,
    /// What became of it.
    pub outcome: Outcome,
}

impl Courier {
    /// Delivers to every account, to several nodes at once, and follows accounts that have moved.
    pub async fn deliver(
        self: &Arc<Self>,
        envelope: &Arc<Envelope>,
        content: &Arc<Content>,
        accounts: Vec<Owned>,
    ) -> Vec<AccountOutcome> {
        let mut done = Vec::with_capacity(accounts.len());
        let mut open = accounts;
        let mut pauses = MOVES.into_iter();
        loop {
            let results = self.round(envelope, content, open).await;
            let (moved, settled): (Vec<_>, Vec<_>) = results
                .into_iter()
                .partition(|result| matches!(result.outcome, Outcome::Deferred(Cause::Moved, _)));
            done.extend(settled);
            let pause = pauses.next().filter(|_| !moved.is_empty());
            let Some(pause) = pause else {
                done.extend(moved);
                return done;
            };
            tokio::time::sleep(pause).await;
            open = Vec::with_capacity(moved.len());
            for result in moved {
                match self.directory.owners(&result.account).await {
                    // An account expands to itself alone; anything else is a matter for the retry, which looks closer.
                    Ok(owners) if owners.len() == 1 && owners[0].account == result.account => {
                        open.extend(owners)
                    }
                    _ => done.push(result),
                }
            }
        }
    }

    async fn round(
        self: &Arc<Self>,
        envelope: &Arc<Envelope>,
        content: &Arc<Content>,
        mut accounts: Vec<Owned>,
    ) -> Vec<AccountOutcome> {
        let one_node = accounts.windows(2).all(|pair| pair[0].node.name == pair[1].node.name);
        if one_node {
            // The usual case runs in the session's own task.
            return self.to_one_node(envelope, content, accounts).await;
        }
        accounts.sort_by(|a, b| a.node.name.cmp(&b.node.name));
        let mut deliveries = JoinSet::new();
        for group in accounts.chunk_by(|a, b| a.node.name == b.node.name) {
            let (courier, envelope, content) = (Arc::clone(self), Arc::clone(envelope), Arc::clone(content));
            let group = group.to_vec();
            deliveries.spawn(async move { courier.to_one_node(&envelope, &content, group).await });
        }
        let mut results = Vec::with_capacity(accounts.len());
        while let Some(joined) = deliveries.join_next().await {
            results.extend(joined.unwrap_or_default());
        }
        if results.len() < accounts.len() {
            // A delivery that panicked: of its accounts nothing is known, and silence must not pass for success.
            accounts.retain(|owned| results.iter().all(|result| result.account != owned.account));
            results.extend(accounts.into_iter().map(|owned| AccountOutcome {
                account: owned.account,
                node: owned.node.name.clone(),
                outcome: Outcome::Deferred(Cause::Uncertain, INTERRUPTED),
            }));
        }
        results
    }

    async fn to_one_node(
        &self,
        envelope: &Envelope,
        content: &Content,
        accounts: Vec<Owned>,
    ) -> Vec<AccountOutcome> {
        let Some(first) = accounts.first() else { return Vec::new() };
        let addresses: Vec<&EmailAddress> = accounts.iter().map(|owned| &owned.account).collect();
        let outcomes = self.nodes.deliver(&first.node, envelope, &addresses, content).await;
        accounts
            .into_iter()
            .zip(outcomes)
            .map(|(owned, outcome)| AccountOutcome {
                account: owned.account,
                node: owned.node.name.clone(),
                outcome,
            })
            .collect()
    }
}

/// What is known of a delivery that ended without saying how.
pub const INTERRUPTED: Reply = Reply::fixed(451, (4, 3, 0), "The delivery was interrupted");

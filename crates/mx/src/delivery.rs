//! One message to all its accounts, on whatever nodes they are, and what the sender is told.
//!
//! The rules, in the order in which they bind:
//!
//! 1. **Nothing acknowledged is lost.** 250 goes out only when each account has the message on its node's disk, or has it in our
//!    spool on ours, or is named with the reason in the spool's `failed`.
//! 2. **Nothing is doubled.** Once one account has the message, or may have it ([`Cause::Uncertain`]), the sender is not made to send
//!    it again: what is left is spooled, in the mode `refuse` too, and retried under the same delivery id.
//! 3. **The sender hears the truth where it can.** While no account has the message and all failed alike, the node's own reply is
//!    passed on: refusals as 5xx; a full mailbox as 4xx, in the mode `spool` too, since it says something of the mailbox and not of us.

use crate::{
    config::WhenUnavailable,
    content::Content,
    directory::{Directory, Owned},
    link::Envelope,
    metrics::Metrics,
    nodes::{Cause, Nodes, Outcome},
};
use chasqui_base::EmailAddress;
use chasqui_smtp::Reply;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// Pauses before the directory is asked again about an account that has moved, and the delivery tried again: the server that is asked
/// may learn of a move up to a second after the node did.
const MOVES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(300), Duration::from_millis(1200)];

/// What sessions and the retry worker deliver through.
pub(crate) struct Courier {
    pub nodes: Nodes,
    pub directory: Directory,
    pub metrics: Metrics,
}

/// What became of one account's copy.
#[derive(Clone, Debug)]
pub(crate) struct Result {
    pub account: EmailAddress,
    pub node: String,
    pub outcome: Outcome,
}

impl Courier {
    /// Delivers to every account, to several nodes at once, and follows accounts that have moved.
    pub(crate) async fn deliver(
        self: &Arc<Self>,
        envelope: &Arc<Envelope>,
        content: &Arc<Content>,
        accounts: Vec<Owned>,
    ) -> Vec<Result> {
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
                match self.directory.owners(&result.account, &self.metrics).await {
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
    ) -> Vec<Result> {
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
            results.extend(accounts.into_iter().map(|owned| Result {
                account: owned.account,
                node: owned.node.name.clone(),
                outcome: Outcome::Deferred(Cause::Uncertain, UNKNOWN),
            }));
        }
        results
    }

    async fn to_one_node(&self, envelope: &Envelope, content: &Content, accounts: Vec<Owned>) -> Vec<Result> {
        let Some(first) = accounts.first() else { return Vec::new() };
        let addresses: Vec<&EmailAddress> = accounts.iter().map(|owned| &owned.account).collect();
        let outcomes = self.nodes.deliver(&first.node, envelope, &addresses, content).await;
        accounts
            .into_iter()
            .zip(outcomes)
            .map(|(owned, outcome)| Result { account: owned.account, node: owned.node.name.clone(), outcome })
            .collect()
    }
}

const UNKNOWN: Reply = Reply::fixed(451, (4, 3, 0), "The delivery was interrupted");

/// What to do about a message after its delivery.
#[derive(Debug)]
pub(crate) enum Settlement {
    /// Answer this; nothing is left to do.
    Answer(Reply),
    /// Put these into the spool, to wait or as failed, and answer 250 then.
    Spool(Vec<Result>),
}

/// Applies the rules of this module.
pub(crate) fn settle(mode: WhenUnavailable, results: Vec<Result>) -> Settlement {
    let count =
        |matching: fn(&Outcome) -> bool| results.iter().filter(|result| matching(&result.outcome)).count();
    let all = results.len();
    let stored = count(|outcome| matches!(outcome, Outcome::Stored(_)));
    let refused = count(|outcome| matches!(outcome, Outcome::Refused(_)));
    let mailbox = count(|outcome| matches!(outcome, Outcome::Deferred(Cause::Mailbox, _)));
    let uncertain = count(|outcome| matches!(outcome, Outcome::Deferred(Cause::Uncertain, _)));
    let settled_alike = stored == all || refused == all;
    let none_has_it = stored + uncertain == 0;
    let sender_may_retry = none_has_it
        && refused < all
        && match mode {
            WhenUnavailable::Spool => mailbox == all,
            WhenUnavailable::Refuse => true,
        };
    if !settled_alike && !sender_may_retry {
        return Settlement::Spool(results);
    }
    let reply = results.into_iter().find_map(|result| match result.outcome {
        Outcome::Refused(_) if !settled_alike => None,
        Outcome::Stored(reply) | Outcome::Refused(reply) | Outcome::Deferred(_, reply) => Some(reply),
    });
    Settlement::Answer(reply.unwrap_or(UNKNOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Outcome {
        Outcome::Stored(Reply::fixed(250, (2, 0, 0), "stored"))
    }

    fn refused() -> Outcome {
        Outcome::Refused(Reply::fixed(550, (5, 1, 1), "no"))
    }

    fn deferred(cause: Cause) -> Outcome {
        Outcome::Deferred(cause, Reply::fixed(451, (4, 3, 0), "later"))
    }

    /// The code that is answered at once, or 0 when the spool is to be used.
    fn settled(mode: WhenUnavailable, outcomes: &[Outcome]) -> u16 {
        let results = outcomes.iter().map(|outcome| Result {
            account: "a@b.test".parse().unwrap(),
            node: "n".into(),
            outcome: outcome.clone(),
        });
        match settle(mode, results.collect()) {
            Settlement::Answer(reply) => reply.code(),
            Settlement::Spool(_) => 0,
        }
    }

    #[test]
    fn what_the_sender_is_told_follows_the_rules() {
        use Cause::{Mailbox, Moved, Node, Uncertain, Unreachable};
        // Outcomes, answer in the mode `spool`, answer in the mode `refuse`.
        let table: &[(&[Outcome], u16, u16)] = &[
            (&[stored()], 250, 250),
            (&[stored(), stored()], 250, 250),
            (&[refused()], 550, 550),
            (&[refused(), refused()], 550, 550),
            (&[deferred(Unreachable)], 0, 451),
            (&[deferred(Node), deferred(Unreachable)], 0, 451),
            (&[deferred(Moved)], 0, 451),
            (&[deferred(Mailbox)], 451, 451),
            (&[deferred(Mailbox), deferred(Unreachable)], 0, 451),
            (&[deferred(Uncertain)], 0, 0),
            (&[deferred(Uncertain), deferred(Unreachable)], 0, 0),
            (&[stored(), deferred(Mailbox)], 0, 0),
            (&[stored(), deferred(Unreachable)], 0, 0),
            (&[stored(), refused()], 0, 0),
            (&[refused(), deferred(Unreachable)], 0, 451),
            (&[refused(), deferred(Uncertain)], 0, 0),
        ];
        for (outcomes, spool, refuse) in table {
            assert_eq!(settled(WhenUnavailable::Spool, outcomes), *spool, "{outcomes:?}");
            assert_eq!(settled(WhenUnavailable::Refuse, outcomes), *refuse, "{outcomes:?}");
        }
    }
}

//! What the sender is told after a message was delivered to its accounts.
//!
//! The rules, in the order in which they bind:
//!
//! 1. **Nothing acknowledged is lost.** 250 goes out only when each account has the message on its node's disk, or has it in our
//!    spool on ours, or is named with the reason in the spool's `failed`.
//! 2. **Nothing is doubled.** Once one account has the message, or may have it ([`Cause::Uncertain`]), the sender is not made to send
//!    it again: what is left is spooled, in the mode `refuse` too, and retried under the same delivery id.
//! 3. **The sender hears the truth where it can.** While no account has the message and all failed alike, the node's own reply is
//!    passed on: refusals as 5xx; a full mailbox as 4xx, in the mode `spool` too, since it says something of the mailbox and not of us.

use crate::config::WhenUnavailable;
use chasqui_courier::{AccountOutcome, Cause, INTERRUPTED, Outcome};
use chasqui_smtp::Reply;

/// What to do about a message after its delivery.
#[derive(Debug)]
pub(crate) enum Settlement {
    /// Answer this; nothing is left to do.
    Answer(Reply),
    /// Put these into the spool, to wait or as failed, and answer 250 then.
    Spool(Vec<AccountOutcome>),
}

/// Applies the rules of this module.
pub(crate) fn settle(mode: WhenUnavailable, results: Vec<AccountOutcome>) -> Settlement {
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
    Settlement::Answer(reply.unwrap_or(INTERRUPTED))
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
        let results = outcomes.iter().map(|outcome| AccountOutcome {
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

//! What became of a recipient in one attempt.

use chasqui_smtp::Reply;

/// What became of a recipient in one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The next hop has it.
    Delivered {
        /// Who took it: a host name, or a storage node's name.
        remote: String,
        /// What it said.
        reply: Reply,
        /// What there is to tell a sender that asked for success notices.
        kind: DeliveredKind,
    },
    /// The address is an alias of ours: these take its place (RFC 3461 §5.2.7). Each is an address in the grammar of RFC 5321.
    Expanded {
        /// The new recipients.
        to: Vec<String>,
    },
    /// Not now. Tried again until the message expires.
    Deferred(Trouble),
    /// Never.
    Failed(Trouble),
}

/// How far a delivered copy has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveredKind {
    /// It is in the mailbox (RFC 3464 `delivered`).
    Final,
    /// The next hop offers DSN and was told what the sender wants to hear: nothing more to do here.
    PassedOn,
    /// The next hop does not offer DSN (RFC 3464 `relayed`).
    Relayed,
}

/// Why a recipient does not have the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Who said so: a host name; `None` when nobody could be asked.
    pub remote: Option<String>,
    /// What it said, or what we say in its place, with an enhanced code (RFC 3463).
    pub reply: Reply,
    /// What is at fault, which decides what else waits.
    pub whose: Whose,
}

/// What a trouble is a trouble of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// This recipient's or this message's: others of the destination are not held up.
    Message,
    /// The whole destination's (no host answers, DNS fails): its other messages wait too.
    Destination,
}

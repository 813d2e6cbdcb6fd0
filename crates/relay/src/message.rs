//! What is queued of a message beside its text.

use chasqui_base::{DeliveryId, EmailAddress};
use chasqui_courier::Content;
use chasqui_smtp::ReversePath;
use std::{fmt, sync::Arc};

/// Everything about a message but its text. What can change (attempts, what became of a recipient) is the queue's, not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Under which the message is known in every log, and to the next hop if it is a role of ours.
    pub id: DeliveryId,
    /// Where notices go.
    pub reverse_path: ReversePath,
    /// Who gets it. Never empty.
    pub recipients: Vec<Recipient>,
    /// SMTPUTF8 is needed (RFC 6531).
    pub smtputf8: bool,
    /// What the text is made of.
    pub body: BodyKind,
    /// Only over verified TLS, to hops that promise the same (RFC 8689).
    pub require_tls: bool,
    /// ENVID as the sender gave it, decoded (RFC 3461 §4.4).
    pub envelope_id: Option<String>,
    /// RET: how much of the message a failure notice returns; our default when not said (RFC 3461 §4.3).
    pub returns: Option<Returns>,
    /// From -9 to 9, 0 for ordinary (RFC 6710): what is delivered first when there is more than can be.
    pub priority: i8,
    /// Seconds since 1970 when it was acknowledged, by the relay that first did so.
    pub received: u64,
    /// Seconds since 1970 before which it is not delivered (RFC 4865).
    pub not_before: Option<u64>,
    /// Seconds since 1970 at which what is not delivered has failed.
    pub expires: u64,
    /// Who handed it in.
    pub source: Source,
    /// The Message-ID field without its brackets, for logs (S2).
    pub message_id: Option<String>,
}

/// One recipient as the sender gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// A mailbox in the grammar of RFC 5321, address literals included.
    pub address: String,
    /// Of which outcomes the sender wants to hear (RFC 3461 §4.1).
    pub notify: Notify,
    /// ORCPT as `type;address`, decoded (RFC 3461 §4.2).
    pub original: Option<String>,
}

/// NOTIFY (RFC 3461 §4.1). Without it a sender hears of failures and delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notify {
    /// SUCCESS.
    pub success: bool,
    /// FAILURE.
    pub failure: bool,
    /// DELAY.
    pub delay: bool,
    /// The sender said so; only then it is passed on to the next hop.
    pub explicit: bool,
}

impl Default for Notify {
    fn default() -> Self {
        Self { success: false, failure: true, delay: true, explicit: false }
    }
}

/// RET (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// The whole message.
    Full,
    /// Its header.
    Headers,
}

/// BODY (RFC 6152, RFC 3030).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyKind {
    /// 7BIT.
    #[default]
    SevenBit,
    /// 8BITMIME.
    EightBitMime,
    /// BINARYMIME.
    Binary,
}

/// Who handed a message in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A user, by submission.
    User(EmailAddress),
    /// Another role of the site, over the inside port.
    Role,
    /// The relay itself: a notice or a report. About it no notice is ever sent.
    Own,
}

/// Where a recipient's copy goes next, as far as the address alone tells: a domain, an address literal, or a configured route. Copies
/// of one message to one destination travel together, and limits are counted by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination(pub Arc<str>);

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One attempt at one destination: made by the queue when it is due, carried out by delivery.
#[derive(Debug)]
pub struct Job {
    /// The message.
    pub envelope: Arc<Envelope>,
    /// Its text: the part of the queue file behind the envelope.
    pub content: Arc<Content>,
    /// Where to.
    pub destination: Destination,
    /// Which of the envelope's recipients, by index. Never empty.
    pub recipients: Vec<u32>,
    /// Attempts made before this one.
    pub attempts: u32,
}

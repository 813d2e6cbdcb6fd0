//! What a server offers, and what we refuse to read without bound.

use crate::reply::{Reply, ReplyLimits};

/// Mechanisms of AUTH that are kept of what a server lists.
const MECHANISMS: usize = 20;

/// What the client side refuses to do without bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientLimits {
    /// Of each reply.
    pub reply: ReplyLimits,
}

/// The extensions that a server offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// BINARYMIME (RFC 3030), with the CHUNKING that it needs.
    pub binary_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// REQUIRETLS (RFC 8689).
    pub require_tls: bool,
    /// MT-PRIORITY (RFC 6710).
    pub priority: bool,
    /// FUTURERELEASE (RFC 4865).
    pub future_release: bool,
    /// XDELIVERYID.
    pub delivery_id: bool,
    /// XJUNK.
    pub junk: bool,
    /// XQUEUED.
    pub queued: bool,
    /// AUTH (RFC 4954): mechanisms in upper case.
    pub auth: Vec<Box<str>>,
    /// SIZE (RFC 1870): offered, and with which limit in octets (0 is none).
    pub size: Option<u64>,
    /// LIMITS RCPTMAX (RFC 9422).
    pub recipients: Option<u32>,
    /// LIMITS MAILMAX (RFC 9422).
    pub messages: Option<u32>,
}

impl Capabilities {
    /// Reads the reply to EHLO or LHLO.
    pub(super) fn read(reply: &Reply) -> Self {
        let mut found = Self::default();
        for line in reply.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next() else { continue };
            match keyword.to_ascii_uppercase().as_str() {
                "PIPELINING" => found.pipelining = true,
                "CHUNKING" => found.chunking = true,
                "8BITMIME" => found.eight_bit_mime = true,
                "BINARYMIME" => found.binary_mime = true,
                "SMTPUTF8" => found.smtputf8 = true,
                "STARTTLS" => found.starttls = true,
                "DSN" => found.dsn = true,
                "REQUIRETLS" => found.require_tls = true,
                "MT-PRIORITY" => found.priority = true,
                "FUTURERELEASE" => found.future_release = true,
                "XDELIVERYID" => found.delivery_id = true,
                "XJUNK" => found.junk = true,
                "XQUEUED" => found.queued = true,
                "AUTH" => {
                    found.auth =
                        words.take(MECHANISMS).map(|word| word.to_ascii_uppercase().into()).collect();
                }
                "SIZE" => found.size = Some(words.next().and_then(|word| word.parse().ok()).unwrap_or(0)),
                "LIMITS" => {
                    for word in words {
                        match word.split_once('=') {
                            Some(("RCPTMAX", most)) => found.recipients = most.parse().ok(),
                            Some(("MAILMAX", most)) => found.messages = most.parse().ok(),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        found.binary_mime &= found.chunking;
        found
    }
}

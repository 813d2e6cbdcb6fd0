//! What a listener offers.

use crate::{content::BareOctets, limits::Limits};
use chasqui_base::Span;

/// Which of the two protocols is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 5321.
    Smtp,
    /// RFC 2033.
    Lmtp,
}

/// What all sessions of a listener have in common.
#[derive(Clone, Debug)]
pub struct Profile {
    /// SMTP or LMTP.
    pub protocol: Protocol,
    /// Our name in the greeting.
    pub hostname: Box<str>,
    /// The limits.
    pub limits: Limits,
    /// Offer STARTTLS while the connection is plain.
    pub starttls: bool,
    /// Accept XDELIVERYID: only on links between our own roles, since whoever chooses an id can suppress a message that
    /// has the same one.
    pub delivery_id: bool,
    /// What to do with bare CR, bare LF and NUL in messages.
    pub bare_octets: BareOctets,
    /// Mechanisms of AUTH (RFC 4954) that are offered, in upper case. Those that end in `-PLUS` are offered only where
    /// [`ServerSession::bind_channel`](super::ServerSession::bind_channel) was called. Empty: AUTH does not exist.
    pub auth: Vec<&'static str>,
    /// Offer AUTH in clear text too: only on loopback.
    pub auth_in_clear: bool,
    /// Refuse transactions before AUTH with 530.
    pub auth_required: bool,
    /// Offer DSN (RFC 3461).
    pub dsn: bool,
    /// Offer BINARYMIME (RFC 3030).
    pub binary_mime: bool,
    /// Offer REQUIRETLS (RFC 8689) under TLS.
    pub require_tls: bool,
    /// Offer FUTURERELEASE (RFC 4865), and the longest wait that it may ask for.
    pub future_release: Option<Span>,
    /// Offer MT-PRIORITY (RFC 6710).
    pub priority: bool,
    /// Offer XJUNK: the exchanger says that a message is unwanted. Only on links between our own roles.
    pub junk: bool,
    /// Offer XQUEUED: a relay hands its queue over, with the age of each message. Only on links between our own roles.
    pub queued: bool,
}

impl Profile {
    /// A profile that offers nothing that can be left out, and refuses bare octets.
    #[must_use]
    pub fn new(protocol: Protocol, hostname: impl Into<Box<str>>) -> Self {
        Self {
            protocol,
            hostname: hostname.into(),
            limits: Limits::default(),
            starttls: false,
            delivery_id: false,
            bare_octets: BareOctets::default(),
            auth: Vec::new(),
            auth_in_clear: false,
            auth_required: false,
            dsn: false,
            binary_mime: false,
            require_tls: false,
            future_release: None,
            priority: false,
            junk: false,
            queued: false,
        }
    }
}

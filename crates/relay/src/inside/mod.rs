//! The inside port: mail from the site's other roles, over mutual TLS, or in clear on this host.
//!
//! What comes here is believed: no password, no limit on how much, nothing added to the header but the `Received` line. Reports and
//! notices of roles are signed as users' mail is; what another relay hands over (XQUEUED) has its signature already and keeps its age. A message
//! that is in the queue already, by its id (XDELIVERYID), is taken once and answered 250 each time, so that a hand-over that was cut
//! can be repeated.

use crate::submission::{
    Shared,
    session::{Door, Session},
};
use chasqui_base::{
    Lifecycle, Span,
    net::{Peer, Stream},
    tls::{PeerRoles, Role},
};
use chasqui_smtp::{Limits, Recipient, Reply};
use std::sync::Arc;

/// Who may hand in mail.
const ROLES: [Role; 5] = [Role::Mx, Role::Storage, Role::Webmail, Role::Relay, Role::Admin];

/// Recipients of one message. One relay hands another no more than some hundred in a transaction.
const RECIPIENTS: u32 = 10_000;
/// Octets by which a message may be longer, and its header too, than a user's: another relay has added its lines.
const LONGER: u64 = 1 << 20;
pub(crate) const HEADER_MORE: usize = 256 << 10;
/// What a message that is handed over may still have to wait.
pub(crate) const LONGEST_HOLD: Span = Span::secs(400 * 86_400);

const NO_RIGHT: Reply = Reply::fixed(554, (5, 7, 1), "This certificate may not hand in mail");

/// Serves one connection to its end. In clear it must come from this host: the configuration refuses other listeners without a
/// certificate.
pub async fn run(stream: Stream, peer: Peer, shared: Arc<Shared>, run: Lifecycle) {
    let _open = shared.metrics.session(Door::Role.name());
    let (stream, roles) = match &shared.role_tls {
        Some(tls) => match Box::pin(tls.accept(stream)).await {
            Ok(accepted) => accepted,
            Err(error) => return tracing::info!(peer = %peer.ip(), %error, "no TLS with the peer"),
        },
        None => (stream, PeerRoles::loopback()),
    };
    let policy = shared.policy.load_full();
    let encrypted = stream.is_tls();
    let mut session = Session::new(stream, peer, shared, Arc::clone(&policy.roles), policy, Door::Role);
    if encrypted {
        session.is_under_tls();
    }
    if !ROLES.into_iter().any(|role| roles.has(role)) {
        tracing::warn!(peer = %peer.ip(), "the peer's certificate may not hand in mail");
        return session.turn_away(&NO_RIGHT).await;
    }
    session.run(false, &run).await;
}

/// The limits of a role, from those of a user.
pub(crate) fn limits(user: Limits) -> Limits {
    Limits {
        message_size: user.message_size.saturating_add(LONGER),
        recipients: user.recipients.max(RECIPIENTS),
        messages: None,
        text_line_length: None,
        ..user
    }
}

/// The address that is queued for a recipient.
pub(crate) fn recipient(recipient: &Recipient, hostname: &str) -> String {
    match recipient {
        Recipient::Postmaster => format!("postmaster@{hostname}"),
        Recipient::Mailbox(mailbox) => mailbox.as_str().to_owned(),
    }
}

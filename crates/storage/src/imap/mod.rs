//! IMAP sessions (RFC 3501 and the extensions in [`chasqui_imap::CAPABILITIES`]).
//!
//! # How a session runs
//!
//! A proxy connects, names the account (SASL EXTERNAL) and from then on passes bytes. The session alternates between *work*
//! and *waiting*. Work takes everything that is there, one verb after the other, in a future that is freed when nothing is
//! left; waiting holds the stream, the view of the selected mailbox and no buffer, so that an idle session is cheap.
//!
//! # One verb, one file
//!
//! Each handler in [`verb`] goes the same way: parse (done by `chasqui_imap`), permission (a mailbox is selected, it is not
//! read-only), refresh (tell what others changed, without renumbering), act, respond.
//!
//! # Sequence numbers
//!
//! Numbers in a command are those of the view, which changes only in [`report`]. EXPUNGE is told at the end of every command
//! other than FETCH, STORE and SEARCH with sequence numbers (RFC 3501 §7.4.1), and during IDLE. A message that another session
//! removed is passed over until then (RFC 2180 §4.1).
//!
//! # Bounds
//!
//! A message is read and written in pieces, so its size costs nothing. Output is flushed at 64 KiB; a client that does not
//! take it in time loses the connection. Waiting for a command, for the rest of one and for a log-in each have a deadline.

mod content;
mod defaults;
mod log_in;
mod numbers;
mod pattern;
mod refusal;
mod report;
mod session;
mod structure;
mod verb;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use chasqui_base::Lifecycle;
use chasqui_base::net::{Peer, Stream};
use chasqui_base::tls::PeerRoles;

use crate::node::Node;
pub(crate) use defaults::junk;
use session::Session;

/// Serves one connection until it ends.
pub(crate) async fn serve(stream: Stream, peer: Peer, roles: PeerRoles, node: Arc<Node>, run: Lifecycle) {
    let _open = node.metrics.session("imap");
    let _ = peer;
    // Boxed: over soon, and its size should not stay in every idle session.
    if let Some((stream, reader, log_in)) = Box::pin(log_in::log_in(stream, roles, &node, &run)).await {
        let settings = node.settings();
        session::run(Box::new(Session::new(stream, reader, log_in, settings, node.store.clone(), node)), run)
            .await;
    }
}

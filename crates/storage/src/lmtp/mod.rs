//! LMTP in (RFC 2033): the one door through which mail arrives.
//!
//! Exchangers keep their connections open and pipeline a whole transaction in one write. Transactions of a connection are
//! taken in order; the replies of pipelined commands leave in one write as well.
//!
//! *250 means on disk*: the reply for a recipient is written after `Store::deliver` returned, which is after the file and its
//! directory entry were synced. All recipients of a message go to the store in one call, so that they share their syncs.

mod deliver;
mod session;
mod transaction;

use std::sync::Arc;

use chasqui_base::Lifecycle;
use chasqui_base::net::{Peer, Stream};
use chasqui_base::tls::{PeerRoles, Role};
use chasqui_smtp::{BareOctets, Limits, Profile, Protocol, Reply, ServerSession};

use crate::config::LimitsConfig;
use crate::connection;
use crate::node::Node;

/// Serves one connection until it ends.
pub(crate) async fn serve(mut stream: Stream, peer: Peer, roles: PeerRoles, node: Arc<Node>, run: Lifecycle) {
    let _open = node.metrics.session("lmtp");
    let settings = node.settings();
    let mut session = ServerSession::new(Arc::new(profile(&node.name, &settings.limits)));
    if !may_deliver(roles) {
        tracing::warn!(peer = %peer.ip(), "the peer's certificate may not deliver");
        session.end(&Reply::fixed(554, (5, 7, 1), "This certificate may not deliver"));
        let mut out = session.take_output();
        let _ = connection::send(&mut stream, &mut out, settings.timeouts.write.get()).await;
        connection::close(&mut stream).await;
        return;
    }
    if let Err(error) = session::run(&mut stream, session, &node, &settings.timeouts, &run).await {
        tracing::info!(peer = %peer.ip(), %error, "LMTP connection lost");
    }
    connection::close(&mut stream).await;
}

fn may_deliver(roles: PeerRoles) -> bool {
    [Role::Mx, Role::Relay, Role::Storage, Role::Admin].into_iter().any(|role| roles.has(role))
}

fn profile(name: &str, limits: &LimitsConfig) -> Profile {
    Profile {
        limits: Limits {
            line_length: limits.command_line.as_usize(),
            message_size: limits.message.as_u64(),
            recipients: limits.recipients,
            errors: limits.errors,
            ..Limits::default()
        },
        delivery_id: true,
        // RFC 3030: what a relay takes in binary is stored as it is.
        binary_mime: true,
        junk: true,
        // What an exchanger took over is stored as it is: refusing it here would only make a bounce.
        bare_octets: BareOctets::Accept,
        // TLS is implicit on this port.
        ..Profile::new(Protocol::Lmtp, name)
    }
}

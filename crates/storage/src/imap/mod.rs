//! IMAP sessions.

use std::sync::Arc;

use chasqui_base::Lifecycle;
use chasqui_base::net::{Peer, Stream};
use chasqui_base::tls::PeerRoles;

use crate::node::Node;

/// Serves one connection until it ends.
pub(crate) async fn serve(_stream: Stream, _peer: Peer, _roles: PeerRoles, _node: Arc<Node>, _run: Lifecycle) {}

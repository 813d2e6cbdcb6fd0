//! Connections to storage nodes.
//!
//! A node that cannot be reached is remembered for a moment, so that its users are told at once and it is not hammered
//! while it starts. When the moment is over one log-in tries it; the others go on being told until that one has
//! succeeded.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chasqui_base::net::{Endpoint, Stream};
use chasqui_base::tls::{Role, RoleTls, TlsError};

use crate::config::Timeouts;

/// The storage nodes as this proxy sees them.
pub struct Nodes {
    /// Our certificate; without it nodes must be on this host.
    tls: Option<RoleTls>,
    /// Nodes that failed, and when they may be tried again. Endpoints come from the directory, so there are few.
    down: Mutex<HashMap<Endpoint, Instant>>,
}

/// Why there is no connection to a node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// It failed a moment ago.
    #[error("unreachable a moment ago")]
    RememberedDown,
    /// It cannot be connected to.
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    /// Its certificate or the handshake is bad.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Not all was done within the time for it.
    #[error("no connection within {0:?}")]
    Late(Duration),
    /// The link would leave this host in the clear (E19).
    #[error("the node is on another host: the proxy needs certificates in [tls]")]
    Cleartext,
}

impl Nodes {
    /// Nodes are spoken to with this certificate, or only on this host.
    pub fn new(tls: Option<RoleTls>) -> Self {
        Self { tls, down: Mutex::default() }
    }

    /// Connects to a node and proves what both ends are. Failures are remembered.
    pub async fn connect(&self, endpoint: &Endpoint, timeouts: &Timeouts) -> Result<Stream, NodeError> {
        if !self.may_try(endpoint, Instant::now(), timeouts) {
            return Err(NodeError::RememberedDown);
        }
        let limit = timeouts.connect.get();
        let connected = tokio::time::timeout(limit, self.dial(endpoint, limit)).await;
        let connected = connected.unwrap_or(Err(NodeError::Late(limit)));
        match &connected {
            Ok(_) => self.succeeded(endpoint),
            Err(_) => self.failed(endpoint, Instant::now(), timeouts),
        }
        connected
    }

    /// Remembers that a node does not work, found out later than by connecting.
    pub fn failed(&self, endpoint: &Endpoint, now: Instant, timeouts: &Timeouts) {
        self.down().insert(endpoint.clone(), now + timeouts.node_retry.get());
    }

    async fn dial(&self, endpoint: &Endpoint, limit: Duration) -> Result<Stream, NodeError> {
        match &self.tls {
            Some(tls) => {
                let stream = endpoint.connect(limit).await?;
                Ok(tls.connect(stream, endpoint.host(), Role::Storage).await?)
            }
            None if endpoint.is_local() => Ok(endpoint.connect(limit).await?),
            None => Err(NodeError::Cleartext),
        }
    }

    fn may_try(&self, endpoint: &Endpoint, now: Instant, timeouts: &Timeouts) -> bool {
        match self.down().entry(endpoint.clone()) {
            Entry::Vacant(_) => true,
            Entry::Occupied(entry) if *entry.get() > now => false,
            Entry::Occupied(mut entry) => {
                // This one tries; should it vanish without a result, the next may after the time it could have taken.
                *entry.get_mut() = now + timeouts.connect.get();
                true
            }
        }
    }

    fn succeeded(&self, endpoint: &Endpoint) {
        let mut down = self.down();
        if !down.is_empty() {
            down.remove(endpoint);
        }
    }

    fn down(&self) -> MutexGuard<'_, HashMap<Endpoint, Instant>> {
        // Every state of the map is a valid one.
        self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chasqui_base::Span;

    fn timeouts() -> Timeouts {
        Timeouts { connect: Span::secs(5), node_retry: Span::secs(2), ..Timeouts::default() }
    }

    #[tokio::test]
    async fn a_node_that_is_down_is_not_tried_again_at_once() {
        let nodes = Nodes::new(None);
        // Nobody listens there: the port was just given back.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint: Endpoint = listener.local_addr().unwrap().to_string().parse().unwrap();
        drop(listener);
        assert!(matches!(nodes.connect(&endpoint, &timeouts()).await, Err(NodeError::Connect(_))));
        assert!(matches!(nodes.connect(&endpoint, &timeouts()).await, Err(NodeError::RememberedDown)));
    }

    #[test]
    fn when_the_moment_is_over_one_tries_and_the_others_wait_for_it() {
        let nodes = Nodes::new(None);
        let endpoint: Endpoint = "127.0.0.1:1143".parse().unwrap();
        let (now, timeouts) = (Instant::now(), timeouts());
        nodes.failed(&endpoint, now, &timeouts);
        assert!(!nodes.may_try(&endpoint, now + Duration::from_secs(1), &timeouts));
        let later = now + Duration::from_secs(3);
        assert!(nodes.may_try(&endpoint, later, &timeouts));
        assert!(!nodes.may_try(&endpoint, later, &timeouts));
        nodes.succeeded(&endpoint);
        assert!(nodes.may_try(&endpoint, later, &timeouts) && nodes.may_try(&endpoint, later, &timeouts));
    }

    #[tokio::test]
    async fn without_certificates_only_nodes_on_this_host_are_spoken_to() {
        let nodes = Nodes::new(None);
        let far: Endpoint = "192.0.2.1:143".parse().unwrap();
        assert!(matches!(nodes.connect(&far, &timeouts()).await, Err(NodeError::Cleartext)));
    }
}

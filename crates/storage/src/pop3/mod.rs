//! POP3 sessions towards the proxies (RFC 1939 and what it grew).
//!
//! The maildrop is INBOX as it was at log-in: numbers and sizes stay for the whole session, whatever other sessions do. Several
//! sessions may have one maildrop open at once: nothing is locked, since a message's UIDL is its UID, and a message that another
//! session removed is a `-ERR` when it is asked for. DELE marks in this session only; QUIT removes, durably, before its `+OK`.

mod authorization;
mod maildrop;
mod retrieve;
mod session;

use std::io;
use std::sync::Arc;

use chasqui_base::Lifecycle;
use chasqui_base::net::{Peer, Stream};
use chasqui_base::tls::PeerRoles;
use chasqui_pop3::{Limits, Reader};

use crate::config::LimitsConfig;
use crate::connection;
use crate::node::{Node, Settings};

/// Serves one connection until it ends.
pub(crate) async fn serve(stream: Stream, peer: Peer, roles: PeerRoles, node: Arc<Node>, run: Lifecycle) {
    let _open = node.metrics.session("pop3");
    let settings = node.settings();
    let reader = Reader::new(reader_limits(&settings.limits));
    let mut connection = Connection { stream, reader, out: Vec::new(), errors: 0, settings };
    // Boxed: log-in is over soon, its size should not stay in every session's.
    let logged_in = Box::pin(authorization::run(&mut connection, roles, &node, &run)).await;
    let result = match logged_in {
        Ok(Some(maildrop)) => session::run(&mut connection, maildrop, &node, &run).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        tracing::debug!(peer = %peer.ip(), %error, "POP3 connection lost");
    }
    connection::close(&mut connection.stream).await;
}

/// A connection with what was read and not yet understood, and what was answered and not yet sent.
struct Connection {
    stream: Stream,
    reader: Reader,
    out: Vec<u8>,
    /// Malformed commands after log-in.
    errors: u32,
    settings: Arc<Settings>,
}

impl Connection {
    /// Answers gather up to here before they are sent while more commands wait (RFC 2449 §6.6).
    const GATHER: usize = 16 * 1024;

    /// Sends everything that was answered.
    async fn flush(&mut self) -> io::Result<()> {
        connection::send(&mut self.stream, &mut self.out, self.settings.timeouts.write.get()).await
    }

    /// Sends when much has gathered.
    async fn flush_if_much(&mut self) -> io::Result<()> {
        if self.out.len() >= Self::GATHER { self.flush().await } else { Ok(()) }
    }

    /// Waits for more from the peer; 0 is the end. Holds no buffer meanwhile.
    async fn read(&mut self) -> io::Result<usize> {
        let space = self.reader.space();
        self.stream.read_more(self.reader.buffer_mut(), space).await
    }
}

fn reader_limits(limits: &LimitsConfig) -> Limits {
    let line = limits.command_line.as_usize();
    Limits { command: line, sasl: line, errors: limits.errors }
}

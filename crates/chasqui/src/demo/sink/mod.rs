//! The rest of the internet, as far as a demo is concerned: one SMTP server that takes mail for every domain.
//!
//! The demo's relay sends to it whatever is not for the demo's own domain, so nothing ever leaves the machine. Every message stays in
//! the folder `sink` with its envelope above it, and is named on standard output. Two mailboxes exist nowhere, so that an operator can
//! see what a queue does: mail to `nobody@…` is refused for good, and to `later@…` for now.

mod kept;
mod session;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use chasqui_base::net::{AcceptLimits, Gate, ListenAddress, Listener, serve};
use chasqui_base::service::Lifecycle;
use chasqui_base::tls::{PublicTls, PublicTlsFiles};
use serde::Serialize;

pub use kept::Kept;

/// Connections at once. More than the relay opens to one destination.
const CONNECTIONS: usize = 64;
/// What one connection more is told.
const REFUSAL: &[u8] = b"421 4.7.0 Too many connections\r\n";

/// A message that would have left the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Departure {
    /// The reverse path without brackets; empty for a notice.
    pub from: String,
    /// Every recipient.
    pub to: Vec<String>,
    /// The subject, decoded; empty if the header has none.
    pub subject: String,
    /// Octets of the message.
    pub size: u64,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Its file in the demo's folder.
    pub file: String,
}

/// Who hears of each message. It must not wait: the message is on disk already.
pub type Listening = Arc<dyn Fn(Departure) + Send + Sync>;

/// The sink, bound; it serves nobody yet.
pub struct BoundSink {
    listener: Listener,
    shared: Arc<session::Shared>,
}

impl BoundSink {
    /// Opens the folder and binds the address.
    pub fn bind(
        folder: &Path,
        address: SocketAddr,
        tls: &PublicTlsFiles,
        listening: Listening,
    ) -> anyhow::Result<Self> {
        let kept = Kept::open(folder).with_context(|| format!("{} cannot be used", folder.display()))?;
        let tls = PublicTls::load(tls)?;
        let listener = Listener::bind(&ListenAddress::Tcp(address))?;
        Ok(Self { listener, shared: Arc::new(session::Shared::new(kept, tls, listening)) })
    }

    /// Begins to serve.
    pub fn start(self) -> Sink {
        let run = Lifecycle::new();
        let gate = Gate::new(AcceptLimits { connections: CONNECTIONS, per_address: CONNECTIONS });
        let (shared, sessions) = (self.shared, run.clone());
        let handler = move |stream, _| session::run(Arc::clone(&shared), stream, sessions.clone());
        run.spawn(serve(self.listener, gate, Vec::new(), REFUSAL, run.clone(), handler));
        Sink { run }
    }
}

/// The sink, serving.
pub struct Sink {
    run: Lifecycle,
}

impl Sink {
    /// Finishes what is open.
    pub async fn stop(self) {
        self.run.drain(crate::role::DRAIN).await;
    }
}

#[cfg(test)]
mod tests;

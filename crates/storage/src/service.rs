//! The role as the binary runs it.

use std::sync::{Arc, Mutex, PoisonError};

use chasqui_base::net::{Gate, Listener, Peer, Stream, serve};
use chasqui_base::service::{Lifecycle, RoleService, StartError};
use chasqui_base::tls::{PeerRoles, RoleTls};
use chasqui_directory::DirectoryClient;
use chasqui_mailstore::Store;
use prometheus_client::registry::Registry;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::node::{Node, Settings};
use crate::{imap, lmtp, over_quota, pop3};

/// A storage node that is bound, and serves once it is started.
pub struct StorageService {
    node: Arc<Node>,
    tls: Option<RoleTls>,
    endpoints: Vec<(&'static str, String)>,
    /// Taken by `start`.
    listeners: Mutex<Option<Listeners>>,
    gates: Gates,
}

struct Listeners {
    lmtp: Listener,
    imap: Listener,
    pop3: Listener,
}

struct Gates {
    lmtp: Arc<Gate>,
    imap: Arc<Gate>,
    pop3: Arc<Gate>,
}

impl RoleService for StorageService {
    type Config = Config;
    const ROLE: &'static str = "storage";

    async fn bind(config: Config, registry: &mut Registry) -> Result<Self, StartError> {
        config.check()?;
        let tls = config.tls.as_ref().map(RoleTls::load).transpose()?;
        let listeners = Listeners {
            lmtp: Listener::bind(&config.lmtp)?,
            imap: Listener::bind(&config.imap)?,
            pop3: Listener::bind(&config.pop3)?,
        };
        let gates = Gates {
            lmtp: Gate::new(config.limits.lmtp),
            imap: Gate::new(config.limits.imap),
            pop3: Gate::new(config.limits.pop3),
        };
        let endpoints = vec![
            ("lmtp", listeners.lmtp.local_address().to_string()),
            ("imap", listeners.imap.local_address().to_string()),
            ("pop3", listeners.pop3.local_address().to_string()),
        ];
        let directory = DirectoryClient::connect(&config.directory, tls.clone()).await?;
        directory.register(registry);
        let store =
            Store::open(&config.store).map_err(|error| StartError::value("store", error.to_string()))?;
        store.register(registry);
        let settings = Settings { limits: config.limits, timeouts: config.timeouts };
        let metrics = Metrics::register(registry);
        let node = Node::new(config.name, store, directory, metrics, settings, &config.junk_training);
        Ok(Self { node, tls, endpoints, listeners: Mutex::new(Some(listeners)), gates })
    }

    fn endpoints(&self) -> Vec<(&'static str, String)> {
        self.endpoints.clone()
    }

    fn start(&self, run: &Lifecycle) {
        let taken = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Listeners { lmtp, imap, pop3 }) = taken else { return };
        self.accept(run, lmtp, &self.gates.lmtp, b"421 4.3.2 too many connections\r\n", lmtp::serve);
        self.accept(
            run,
            imap,
            &self.gates.imap,
            b"* BYE [UNAVAILABLE] too many connections\r\n",
            imap::serve,
        );
        self.accept(run, pop3, &self.gates.pop3, b"-ERR [SYS/TEMP] too many connections\r\n", pop3::serve);
        run.spawn(over_quota::run(Arc::clone(&self.node), run.clone()));
        if let Some(training) = self.node.training.clone() {
            run.spawn(training.work(self.node.store.clone(), run.clone()));
        }
    }

    async fn reload(&self, config: Config) -> Result<(), StartError> {
        config.check()?;
        if config.name != self.node.name {
            return Err(StartError::value("name", "a node's name changes only with a restart"));
        }
        match (&self.tls, &config.tls) {
            (Some(tls), Some(files)) => tls.reload(files)?,
            (None, None) => {}
            _ => return Err(StartError::value("tls", "TLS is turned on or off only with a restart")),
        }
        self.node.directory.reload().await?;
        self.gates.lmtp.set_limits(config.limits.lmtp);
        self.gates.imap.set_limits(config.limits.imap);
        self.gates.pop3.set_limits(config.limits.pop3);
        self.node.change_settings(Settings { limits: config.limits, timeouts: config.timeouts });
        Ok(())
    }

    async fn close(&self) {
        self.node.store.close().await;
    }
}

impl StorageService {
    /// What its sessions share, for tests and for the operator's commands in the same process.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    fn accept<S, F>(
        &self,
        run: &Lifecycle,
        listener: Listener,
        gate: &Arc<Gate>,
        refusal: &'static [u8],
        session: S,
    ) where
        S: Fn(Stream, Peer, PeerRoles, Arc<Node>, Lifecycle) -> F + Copy + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (node, tls, sessions) = (Arc::clone(&self.node), self.tls.clone(), run.clone());
        run.spawn(serve(
            listener,
            Arc::clone(gate),
            Vec::new(),
            refusal,
            run.clone(),
            move |stream, peer| {
                let (node, tls, run) = (Arc::clone(&node), tls.clone(), sessions.clone());
                async move {
                    let (stream, roles) = match tls {
                        // Boxed: the handshake is over soon, its size should not stay in every session's.
                        Some(tls) => match Box::pin(tls.accept(stream)).await {
                            Ok(accepted) => accepted,
                            Err(error) => return tracing::info!(peer = %peer.ip(), %error, "TLS refused"),
                        },
                        // In clear only on loopback or a UNIX socket: `Config::check` refused everything else.
                        None => (stream, PeerRoles::loopback()),
                    };
                    session(stream, peer, roles, node, run).await;
                }
            },
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that `session` returns.
    fn size_of_session<F>(_: impl Fn(Stream, Peer, PeerRoles, Arc<Node>, Lifecycle) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_waiting_session_is_small() {
        // An idle session is its future, its socket and its view: 24 KiB in all, of which these take the smallest part.
        for (service, size) in
            [("lmtp", size_of_session(lmtp::serve)), ("pop3", size_of_session(pop3::serve))]
        {
            assert!(size <= 2048, "{service}: {size}");
        }
    }
}

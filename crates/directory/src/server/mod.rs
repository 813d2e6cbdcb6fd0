//! The directory role: answers from memory (S5), over UDP and, for what fits in no datagram, TCP.
//!
//! | module | what it does |
//! | --- | --- |
//! | `desk` | questions become answers |
//! | `datagrams` | receive threads |
//! | `connections` | the TCP side |
//! | `replay` | which datagrams came already (S5c) |
//! | `verify` | password checks: threads, queue, memory |
//! | `quota` | reports of used-up quotas |
//! | `scram` | what SCRAM is verified with |

mod connections;
mod datagrams;
mod desk;
mod metrics;
mod quota;
mod replay;
mod scram;
mod verify;

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use chasqui_base::net::{BindError, Gate, ListenAddress, Listener, serve};
use chasqui_base::service::{Lifecycle, RoleService, StartError, require_tls_or_local};
use chasqui_base::tls::RoleTls;
use prometheus_client::registry::Registry;

use crate::admin::{AdminError, Database};
use crate::config::Config;
use crate::keys::KeyFile;
use crate::source::{Health, Source};
use crate::wire;
use datagrams::Datagrams;
use desk::Desk;
use metrics::Metrics;
use replay::Replays;
use scram::Verifiers;
use verify::Verifier;

/// Most receive threads that are started when the operator does not say: beyond that the socket is what they wait for.
const MOST_RECEIVE_THREADS: usize = 8;
/// Attempts to find a port that is free for UDP and for TCP, when the system may choose.
const PORT_ATTEMPTS: usize = 16;

/// The directory role.
pub struct DirectoryService {
    address: SocketAddr,
    receive_threads: usize,
    desk: Arc<Desk>,
    datagrams: Arc<Datagrams>,
    source: Source,
    tls: Option<RoleTls>,
    /// Taken by `start`.
    listener: Mutex<Option<Listener>>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

impl RoleService for DirectoryService {
    type Config = Config;
    const ROLE: &'static str = "directory";

    async fn bind(config: Config, registry: &mut Registry) -> Result<Self, StartError> {
        let tls = config.tls.as_ref().map(RoleTls::load).transpose()?;
        require_tls_or_local("listen", &ListenAddress::Tcp(config.listen), tls.is_some())?;
        check_metrics_address(&config)?;
        let keys = KeyFile::load(&config.keys)?;
        let (socket, listener) = bind_sockets(config.listen)?;
        let address = socket.local_addr().map_err(|source| bind_error(config.listen, source))?;
        // Brings the schema up to date, and says what is wrong with the file before anything else does.
        Database::open_existing(&config.database.path).await.map_err(database_error)?.close().await;
        let health = Arc::new(Health::default());
        let scram = Verifiers::new(config.database.path.clone());
        let (source, shared) =
            Source::start(config.database, health.clone()).await.map_err(database_error)?;

        let random = |error: getrandom::Error| {
            StartError::value("listen", format!("the system gives no randomness: {error}"))
        };
        let metrics = Metrics::default();
        let verifier = Verifier::new(config.verify, metrics.clone()).map_err(random)?;
        let skew = u64::try_from(config.limits.clock_skew.get().as_millis()).unwrap_or(u64::MAX);
        let replays = Replays::new(config.limits.sessions, skew, wire::now());
        let desk = Desk::new(shared, keys, config.limits, (verifier, scram), replays, metrics.clone());
        let desk = Arc::new(desk);
        metrics.register(registry, desk.clone(), health);
        let datagrams =
            Datagrams::new(socket, desk.clone()).map_err(|source| bind_error(config.listen, source))?;
        let receive_threads = match config.receive_threads {
            0 => thread::available_parallelism().map_or(1, usize::from).min(MOST_RECEIVE_THREADS),
            given => given,
        };
        Ok(Self {
            address,
            receive_threads,
            desk,
            datagrams: Arc::new(datagrams),
            source,
            tls,
            listener: Mutex::new(Some(listener)),
            threads: Mutex::default(),
        })
    }

    fn endpoints(&self) -> Vec<(&'static str, String)> {
        vec![("directory", self.address.to_string())]
    }

    fn start(&self, run: &Lifecycle) {
        let checkers = self.desk.verifier.start().and_then(|()| self.desk.scram.start());
        let started = checkers.and_then(|()| self.datagrams.start(self.receive_threads));
        match started {
            Ok(threads) => self.threads.lock().unwrap_or_else(PoisonError::into_inner).extend(threads),
            Err(error) => tracing::error!(%error, "cannot start the directory's threads"),
        }
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listener) = listener {
            let (desk, tls) = (self.desk.clone(), self.tls.clone());
            let limits = desk.limits.load().tcp;
            let handler = move |stream, peer| connections::serve(desk.clone(), tls.clone(), stream, peer);
            run.spawn(serve(listener, Gate::new(limits), Vec::new(), b"", run.clone(), handler));
        }
        let (run_on, datagrams) = (run.clone(), self.datagrams.clone());
        run.spawn(async move {
            run_on.stopped().await;
            datagrams.stop();
        });
    }

    async fn reload(&self, config: Config) -> Result<(), StartError> {
        if config.listen != self.address && config.listen.port() != 0 {
            tracing::warn!(listen = %self.address, "another address to listen on needs a restart");
        }
        // Everything that can be refused is tried before anything is taken over.
        let keys = KeyFile::load(&config.keys)?;
        config.tls.as_ref().map(RoleTls::load).transpose()?;
        let path = config.database.path.clone();
        self.source.reload(config.database).await.map_err(database_error)?;
        self.desk.scram.configure(path);
        if let (Some(tls), Some(files)) = (&self.tls, &config.tls) {
            tls.reload(files)?;
        }
        self.desk.keys.store(Arc::new(keys));
        self.desk.verifier.configure(config.verify);
        self.desk.limits.store(Arc::new(config.limits));
        Ok(())
    }

    async fn close(&self) {
        self.datagrams.stop();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let desk = self.desk.clone();
        let ending = tokio::task::spawn_blocking(move || {
            desk.verifier.stop();
            desk.scram.stop();
            for thread in threads {
                let _ = thread.join();
            }
        });
        let _ = ending.await;
        self.source.stop().await;
    }
}

fn check_metrics_address(config: &Config) -> Result<(), StartError> {
    match &config.metrics {
        Some(address) if !address.is_local() => Err(StartError::value(
            "metrics",
            format!("{address} is not loopback: metrics are for this host only"),
        )),
        _ => Ok(()),
    }
}

/// UDP and TCP on the same port.
fn bind_sockets(address: SocketAddr) -> Result<(UdpSocket, Listener), StartError> {
    let mut attempts = 0;
    loop {
        let socket = UdpSocket::bind(address).map_err(|source| bind_error(address, source))?;
        let chosen = socket.local_addr().map_err(|source| bind_error(address, source))?;
        attempts += 1;
        match Listener::bind(&ListenAddress::Tcp(chosen)) {
            Ok(listener) => return Ok((socket, listener)),
            // The system chose a port that is free for UDP only: it shall choose again.
            Err(_) if address.port() == 0 && attempts < PORT_ATTEMPTS => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn bind_error(address: SocketAddr, source: std::io::Error) -> StartError {
    StartError::Bind(BindError { address: ListenAddress::Tcp(address), source })
}

fn database_error(error: AdminError) -> StartError {
    StartError::value("database.path", error.to_string())
}

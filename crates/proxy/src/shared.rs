//! What all sessions share.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use chasqui_base::tls::{PublicTls, RoleTls};
use chasqui_base::{Secret, StartError};
use chasqui_directory::{DirectoryClient, DirectoryUnavailable, Verdict};

use crate::config::{Limits, PlaintextLogin, Timeouts};
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use chasqui_sasl::guessing::Guessing;

/// One proxy's state.
pub struct Shared {
    /// What a reload can change; each session keeps those that it began with.
    settings: RwLock<Arc<Settings>>,
    /// Towards clients.
    pub public_tls: Option<PublicTls>,
    /// Towards nodes and directory servers.
    pub role_tls: Option<RoleTls>,
    /// Who knows the passwords.
    pub directory: Arc<dyn Verifier>,
    /// The storage nodes.
    pub nodes: Nodes,
    /// Who has failed how often.
    pub guessing: Guessing,
    /// What is counted.
    pub metrics: Metrics,
    sessions: AtomicU64,
}

/// The part of the configuration that sessions read.
pub struct Settings {
    /// See [`crate::Config`].
    pub limits: Limits,
    /// See [`crate::Config`].
    pub timeouts: Timeouts,
    /// See [`crate::Config`].
    pub plaintext_login: PlaintextLogin,
}

impl Shared {
    /// The state of a proxy that has served nobody yet.
    pub fn new(
        settings: Settings,
        public_tls: Option<PublicTls>,
        role_tls: Option<RoleTls>,
        directory: Arc<dyn Verifier>,
        guessing: Guessing,
        metrics: Metrics,
    ) -> Self {
        // Ids of one run follow those of the run before, so that they are unique in a log of many.
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        Self {
            settings: RwLock::new(Arc::new(settings)),
            public_tls,
            nodes: Nodes::new(role_tls.clone()),
            role_tls,
            directory,
            guessing,
            metrics,
            sessions: AtomicU64::new(seconds << 24),
        }
    }

    /// The settings of now.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// New settings for sessions that begin from now on.
    pub fn replace_settings(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// A new session's id.
    pub fn next_session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }
}

/// What a [`Verifier`] promises.
pub type Verifying<'a> = Pin<Box<dyn Future<Output = Result<Verdict, DirectoryUnavailable>> + Send + 'a>>;

/// Checks passwords: the directory, or in tests something simpler.
pub trait Verifier: Send + Sync {
    /// May this name with this password log in?
    fn verify<'a>(&'a self, login: &'a str, password: &'a Secret) -> Verifying<'a>;

    /// Reads its keys again.
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<(), StartError>> + Send + '_>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Verifier for DirectoryClient {
    fn verify<'a>(&'a self, login: &'a str, password: &'a Secret) -> Verifying<'a> {
        Box::pin(DirectoryClient::verify(self, login, password))
    }

    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<(), StartError>> + Send + '_>> {
        Box::pin(DirectoryClient::reload(self))
    }
}

//! How a role lives: it binds everything before it starts anything, reloads on request, and drains before it ends.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::ConfigError;
use crate::net::BindError;
use crate::tls::TlsError;

/// A role of the platform, run alone by `chasqui ROLE` or beside others by `chasqui demo`.
pub trait RoleService: Sized + Send + Sync + 'static {
    /// Its configuration file.
    type Config;
    /// Its name on the command line and in certificates.
    const ROLE: &'static str;

    /// Opens everything and binds every listener, but serves nobody yet: a role that cannot start leaves nothing half started.
    fn bind(
        config: Self::Config,
        registry: &mut Registry,
    ) -> impl Future<Output = Result<Self, StartError>> + Send;

    /// What it listens on: the service's name (`smtp`, `imaps` …) and the address.
    fn endpoints(&self) -> Vec<(&'static str, String)>;

    /// Begins to serve: spawns accept loops and workers on `run`.
    fn start(&self, run: &Lifecycle);

    /// Takes over what can change without a restart: certificates, keys, limits. On an error everything stays as it was.
    fn reload(&self, config: Self::Config) -> impl Future<Output = Result<(), StartError>> + Send;

    /// Ends what is left after draining: flushes and closes stores.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// Whether a role still accepts, and the tasks that it has open.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Lifecycle {
    /// A role that runs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the role is ending: nothing new is begun.
    pub fn stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Resolves when the role is to end. Sessions wait for it only while they are idle, so that an open transaction is finished.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Asks everything to end; returns at once.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Runs a task that draining waits for.
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Tasks that are open.
    pub fn open(&self) -> usize {
        self.tasks.len()
    }

    /// Asks everything to end and waits for it, at most `deadline`. Returns how many tasks were still open then.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(deadline, self.tasks.wait()).await;
        self.tasks.len()
    }
}

/// Why a role could not start or reload: one sentence that says what to mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration file was refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A value of the configuration cannot be used.
    #[error("`{key}`: {reason}")]
    Value {
        /// The key with its tables, dotted.
        key: String,
        /// What is wrong and how to mend it.
        reason: String,
    },
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Certificates or keys cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A file or folder cannot be opened.
    #[error("{}: {reason}", path.display())]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and how to mend it.
        reason: String,
    },
}

impl StartError {
    /// A value of the configuration cannot be used.
    pub fn value(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Value { key: key.into(), reason: reason.into() }
    }

    /// A file or folder cannot be opened.
    pub fn open(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Open { path: path.into(), reason: reason.to_string() }
    }
}

/// Refuses a listener that would carry cleartext between hosts: without TLS material a role listens only on loopback or a UNIX
/// socket (E19).
pub fn require_tls_or_local(
    key: &str,
    address: &crate::net::ListenAddress,
    has_tls: bool,
) -> Result<(), StartError> {
    if has_tls || address.is_local() {
        return Ok(());
    }
    Err(StartError::value(
        key,
        format!("{address} is not loopback or a UNIX socket: give the role certificates in [tls]"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn draining_waits_for_open_tasks_up_to_the_deadline() {
        let run = Lifecycle::new();
        run.spawn(async { tokio::time::sleep(Duration::from_millis(20)).await });
        assert_eq!(run.drain(Duration::from_secs(5)).await, 0);

        let run = Lifecycle::new();
        run.spawn(std::future::pending::<()>());
        assert_eq!(run.drain(Duration::from_millis(20)).await, 1);
        assert!(run.stopping());
    }

    #[test]
    fn cleartext_between_hosts_is_refused() {
        let far = "192.0.2.1:24".parse().unwrap();
        let near = "127.0.0.1:24".parse().unwrap();
        assert!(require_tls_or_local("lmtp", &far, false).unwrap_err().to_string().contains("192.0.2.1:24"));
        assert!(
            require_tls_or_local("lmtp", &far, true).is_ok()
                && require_tls_or_local("lmtp", &near, false).is_ok()
        );
    }
}

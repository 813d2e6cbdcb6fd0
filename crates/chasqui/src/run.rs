//! One role from its configuration file: bound whole, then started, reloaded on SIGHUP, drained on SIGTERM.
//!
//! Nothing is half started: [`Bound`] holds every listener and open file of a role that serves nobody yet; dropping it leaves
//! nothing behind. Only when all is bound does [`Bound::start`] begin to serve.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chasqui_base::config;
use chasqui_base::net::Listener;
use chasqui_base::service::{Lifecycle, StartError};
use chasqui_base::telemetry::{init_logging, serve_metrics};
use prometheus_client::registry::Registry;
use tracing::{error, info, warn};

use crate::cli::RoleArguments;
use crate::role::Role;
use crate::system::{self, Signal, Signals};

/// `chasqui ROLE --config FILE`
pub async fn run<R: Role>(arguments: RoleArguments) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    init_logging(system::log_format(&arguments.log), arguments.log.log.as_deref().unwrap_or("info"))
        .map_err(anyhow::Error::msg)?;
    let config = config::load::<R::Config>(&arguments.config)?;
    let running = Bound::<R>::bind(config).await.map_err(whole)?.start();
    running.announce();
    let watchdog = system::feed_watchdog();
    system::ready();
    while signals.next().await == Signal::Reload {
        system::reloading();
        match running.reload(&arguments.config).await {
            Ok(()) => info!(role = R::ROLE, "configuration reloaded"),
            Err(error) => {
                error!(role = R::ROLE, %error, "the new configuration was refused; the old one stays in force")
            }
        }
        system::ready();
    }
    system::stopping();
    info!(role = R::ROLE, "stopping");
    tokio::select! {
        () = running.stop() => {}
        () = signals.second_stop() => warn!(role = R::ROLE, "stopped without waiting for what was open"),
    }
    watchdog.abort();
    Ok(())
}

/// Refuses what the types of the configuration let pass.
pub fn check<R: Role>(config: &R::Config) -> Result<(), StartError> {
    match R::metrics(config) {
        Some(address) if !address.is_local() => {
            Err(StartError::value("metrics", format!("{address} is not a loopback address or a UNIX socket")))
        }
        _ => R::check(config),
    }
}

/// A [`StartError`] is a whole sentence: what stands behind it would only repeat it.
pub fn whole(error: StartError) -> anyhow::Error {
    anyhow::Error::msg(error.to_string())
}

/// A role with everything open and every address bound, which serves nobody yet.
pub struct Bound<R: Role> {
    service: R,
    registry: Registry,
    metrics: Option<Listener>,
    drain: Duration,
}

impl<R: Role> Bound<R> {
    /// Opens and binds everything that the configuration names.
    pub async fn bind(config: R::Config) -> Result<Self, StartError> {
        check::<R>(&config)?;
        let page = R::metrics(&config).cloned();
        let drain = R::drain(&config);
        let mut registry = Registry::default();
        let service = R::bind(config, &mut registry).await?;
        // Last, so that who finds the page finds the role.
        let metrics = page.map(|address| Listener::bind(&address)).transpose()?;
        Ok(Self { service, registry, metrics, drain })
    }

    /// Begins to serve.
    pub fn start(self) -> Running<R> {
        let run = Lifecycle::new();
        // The metrics page has a life of its own: while a role drains, the page tells how far it is.
        let page = Lifecycle::new();
        self.service.start(&run);
        if let Some(listener) = self.metrics {
            page.spawn(serve_metrics(listener, Arc::new(self.registry), page.clone()));
        }
        Running { service: self.service, run, page, drain: self.drain }
    }
}

/// A role that serves.
pub struct Running<R: Role> {
    service: R,
    run: Lifecycle,
    page: Lifecycle,
    drain: Duration,
}

impl<R: Role> Running<R> {
    /// Logs where it listens.
    pub fn announce(&self) {
        for (service, address) in self.service.endpoints() {
            info!(role = R::ROLE, service, %address, "listening");
        }
    }

    /// Takes over what can change without a restart. On an error everything stays as it was.
    pub async fn reload(&self, file: &Path) -> Result<(), StartError> {
        self.service.reload(config::load::<R::Config>(file)?).await
    }

    /// Stops accepting, finishes what is open up to the deadline, and closes the role's stores.
    pub async fn stop(self) {
        let open = self.run.drain(self.drain).await;
        if open > 0 {
            warn!(role = R::ROLE, open, "the deadline has passed: what was still open is cut");
        }
        self.service.close().await;
        self.page.drain(Duration::from_secs(1)).await;
        info!(role = R::ROLE, "stopped");
    }
}

//! The process and its surroundings: the runtime, signals, and what systemd is told.

use std::io;
use std::time::Duration;

use anyhow::Context;
use chasqui_base::telemetry::LogFormat;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal as UnixSignal, SignalKind, signal};
use tokio::task::JoinHandle;
use tracing::warn;

use crate::cli;

/// The runtime on which everything asynchronous runs.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot start")
}

/// What the operator asks of a running process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: read the configuration and certificates again.
    Reload,
    /// SIGTERM or SIGINT: finish what is open, then end.
    Stop,
}

/// The signals of this process. From [`Signals::listen`] on, none of them ends it by itself.
pub struct Signals {
    hangup: UnixSignal,
    terminate: UnixSignal,
    interrupt: UnixSignal,
}

impl Signals {
    /// Takes the signals over.
    pub fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be received");
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next request.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::Reload,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
        }
    }

    /// Waits for a stop, whatever else comes: one that arrives while the process is already stopping means "now".
    pub async fn second_stop(&mut self) {
        while self.next().await == Signal::Reload {}
    }
}

/// Where the log goes: as asked, or to the journal when systemd connected standard error to it.
pub fn log_format(options: &cli::LogOptions) -> LogFormat {
    match options.log_format {
        Some(cli::LogFormat::Journald) => LogFormat::Journald,
        Some(cli::LogFormat::Json) => LogFormat::Json,
        Some(cli::LogFormat::Text) => LogFormat::Text,
        None if std::env::var_os("JOURNAL_STREAM").is_some() => LogFormat::Journald,
        None => LogFormat::Text,
    }
}

/// Tells systemd that the role serves (again).
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Tells systemd that the configuration is being read again. `Type=notify-reload` wants the time with it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Tells systemd that the role is ending.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells systemd's watchdog, if the unit has one, that the runtime still runs tasks: twice in each of its periods.
pub fn feed_watchdog() -> JoinHandle<()> {
    let period = sd_notify::watchdog_enabled();
    tokio::spawn(async move {
        let Some(period) = period else { return };
        let mut tick = tokio::time::interval((period / 2).max(Duration::from_millis(10)));
        loop {
            tick.tick().await;
            tell(&[NotifyState::Watchdog]);
        }
    })
}

/// Without systemd there is nobody to tell, which is no error.
fn tell(state: &[NotifyState]) {
    let told: io::Result<()> = sd_notify::notify(state);
    if let Err(error) = told {
        warn!(%error, "systemd cannot be told about the state of this process");
    }
}

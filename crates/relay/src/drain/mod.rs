//! Draining: the relay takes no more messages and hands those it has to other relays, so that it can be switched off (S1).
//!
//! That it drains, and to whom, stands in a file of the queue's folder: a restart goes on with it. Attempts that are under way end first;
//! no others begin. A message goes over the peer's inside port with its id, its age and what its sender wants to hear, and is removed here only
//! after the peer's 250; a peer that has it already, since that 250 was lost, says 250 again: of several peers a message goes to one that its id
//! chooses. A message that an operator holds back stays,
//! since holding is a decision about this queue: it is to be released or failed, and the progress says so. So does what could not be read
//! at the start: a relay that cannot know what it holds is never said to hold nothing.

mod hand_over;

use crate::{config::Config, control::protocol::Progress, queue::Queue};
use chasqui_base::{DeliveryId, Lifecycle, net::Endpoint, tls::RoleTls};
use hand_over::Untaken;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// How long nothing is tried after a pass that left something, at first and at the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Hands the queue over when an operator says so.
pub struct Drain {
    queue: Arc<Queue>,
    tls: Option<RoleTls>,
    settings: Mutex<Settings>,
    state: Mutex<Progress>,
    untaken: Mutex<HashMap<DeliveryId, Untaken>>,
    wake: Notify,
}

struct Settings {
    hostname: String,
    peers: Vec<Endpoint>,
}

/// The file `draining`.
#[derive(Serialize, Deserialize)]
struct Stored {
    to: Vec<String>,
}

impl Drain {
    /// Ready to drain; goes on with it when a restart came between.
    #[must_use]
    pub fn new(config: &Config, queue: Arc<Queue>, tls: Option<RoleTls>) -> Arc<Self> {
        let stored = queue.draining_to().and_then(|text| serde_json::from_slice::<Stored>(&text).ok());
        let state = Progress {
            draining: !queue.is_accepting(),
            to: stored.map(|stored| stored.to).unwrap_or_default(),
            ..Progress::default()
        };
        Arc::new(Self {
            queue,
            tls,
            settings: Mutex::new(Settings::of(config)),
            state: Mutex::new(state),
            untaken: Mutex::default(),
            wake: Notify::new(),
        })
    }

    /// Takes over the configured peers.
    pub fn reload(&self, config: &Config) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Settings::of(config);
    }

    /// Takes no more messages, and hands those that are here to `to`, or to the configured peers. Durable when it returns.
    ///
    /// # Errors
    /// Why not, for the operator.
    pub async fn begin(&self, to: &[String]) -> Result<(), String> {
        let endpoint = |text: &String| text.parse::<Endpoint>().map_err(|error| error.to_string());
        let mut peers = to.iter().map(endpoint).collect::<Result<Vec<_>, _>>()?;
        if peers.is_empty() {
            peers = self.settings().peers.clone();
        }
        if peers.is_empty() {
            return Err(
                "no peer: name one with --to HOST:PORT (its inside port), or set `queue.peers`".into()
            );
        }
        if let Some(far) = peers.iter().find(|peer| !peer.is_local() && self.tls.is_none()) {
            return Err(format!("{far} is not on this host, and the relay has no certificate: set [tls]"));
        }
        let to: Vec<String> = peers.iter().map(ToString::to_string).collect();
        let stored = serde_json::to_vec(&Stored { to: to.clone() }).map_err(|error| error.to_string())?;
        self.queue
            .set_draining(Some(stored))
            .await
            .map_err(|error| format!("cannot write it down: {error}"))?;
        // Its numbers of peers mean others now.
        self.untaken.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.state() = Progress { draining: true, to: to.clone(), ..Progress::default() };
        tracing::warn!(
            to = to.join(", "),
            messages = self.queue.len(),
            "draining: no more messages are taken"
        );
        self.wake.notify_one();
        Ok(())
    }

    /// Takes messages and delivers again. Durable when it returns.
    ///
    /// # Errors
    /// Why not, for the operator.
    pub async fn cancel(&self) -> Result<(), String> {
        if !self.state().draining {
            return Err("the relay is not being drained".into());
        }
        self.queue.set_draining(None).await.map_err(|error| format!("cannot write it down: {error}"))?;
        self.state().draining = false;
        tracing::warn!(messages = self.queue.len(), "draining cancelled: messages are taken again");
        Ok(())
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let mut progress = self.state().clone();
        progress.left = self.queue.len() as u64;
        progress.running = self.queue.running();
        progress.held = self.queue.held();
        progress.unread = self.queue.unread();
        progress.done = progress.draining
            && self.queue.is_loaded()
            && !self.queue.is_arriving()
            && progress.left == 0
            && progress.unread == 0
            && progress.running == 0;
        progress
    }

    /// Hands over while it is to, until `run` ends.
    pub async fn work(self: Arc<Self>, run: Lifecycle) {
        let mut pause = PAUSE.0;
        let mut said = false;
        loop {
            // Before everything is read, what was handed over could be read again.
            let active = self.state().draining && self.queue.is_loaded();
            if active && !self.queue.is_empty() {
                let before = self.state().handed;
                tokio::select! {
                    () = self.pass() => {}
                    () = run.stopped() => return,
                }
                pause = if self.state().handed > before { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
            }
            let progress = self.progress();
            if progress.done && !said {
                tracing::warn!(
                    handed = progress.handed,
                    "drained: the relay holds no message and may be switched off"
                );
            }
            said = progress.done;
            let wait = if progress.draining { pause } else { Duration::from_secs(3600) };
            tokio::select! {
                () = run.stopped() => return,
                () = self.wake.notified() => pause = PAUSE.0,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, Progress> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settings {
    fn of(config: &Config) -> Self {
        Self { hostname: config.hostname.clone(), peers: config.queue.peers.clone() }
    }
}

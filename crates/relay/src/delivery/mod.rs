//! Delivery: how a message leaves (S11).
//!
//! ```text
//! job ─▶ local ── ours ──▶ storage node (LMTP)
//!          │
//!          └─ not ours ─▶ routes ─▶ remote: one host after the other ─▶ hosts (DNS) ─▶ race ─▶ security ─▶ connection
//! ```
//!
//! - `local`: recipients of our own domains.
//! - `routes`, `sources`, `patterns`: what the configuration says of a domain.
//! - `hosts`, `race`: whom DNS names, and which of its addresses answers.
//! - `remote`, `transaction`: an attempt, and what of it fits a host.
//! - `connection`, `kept`: the wire, and connections that wait for the next message.
//! - `security`, `login`: TLS and authentication.
//! - `places`: how many messages may be under way to a destination.
//! - `trouble`: every fate that is not the other end's own word.
//!
//! Nothing here is kept on disk, and nothing waits without a deadline. What becomes of a recipient is the queue's to write down.

mod connection;
mod hosts;
mod kept;
mod local;
mod login;
mod metrics;
mod patterns;
mod places;
mod race;
mod remote;
mod routes;
mod security;
mod sources;
mod transaction;
mod trouble;

#[cfg(test)]
mod tests;

use crate::{
    carrier::Carrier,
    config::{self, Config},
    fate::Fate,
    message::{Destination, Job},
    tls::TlsPolicies,
};
use arc_swap::ArcSwap;
use chasqui_base::{EmailAddress, StartError, tls::RoleTls};
use chasqui_courier::{Courier, Directory, Nodes, Source};
use chasqui_dns::Resolver;
use metrics::Metrics;
use prometheus_client::registry::Registry;
use remote::Attempt;
use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

/// How often unused connections are looked through.
const TENDING: Duration = Duration::from_secs(1);
/// How often what is remembered of destinations is looked through.
const TIDYING: u32 = 60;

/// Carries messages to other sites and to our own mailboxes.
pub struct Delivery {
    settings: ArcSwap<Settings>,
    resolver: Resolver,
    policies: Arc<TlsPolicies>,
    courier: Arc<Courier>,
    places: places::Places,
    kept: kept::Kept,
    foreign: local::Foreign,
    metrics: Metrics,
}

/// What a reload replaces. An attempt keeps those that it began with.
struct Settings {
    hostname: String,
    postmaster: EmailAddress,
    own_names: Vec<String>,
    config: config::Delivery,
    routes: routes::Routes,
    sources: sources::Sources,
}

impl Settings {
    fn new(config: &Config) -> Result<Self, StartError> {
        let delivery = config.delivery.clone();
        delivery.check()?;
        let postmaster = match &delivery.postmaster {
            Some(postmaster) => postmaster.clone(),
            None => EmailAddress::parse(&format!("postmaster@{}", config.hostname)).map_err(|_| {
                StartError::value(
                    "delivery.postmaster",
                    "give an address, since the hostname cannot have one",
                )
            })?,
        };
        let mut own_names = delivery.own_names.clone();
        own_names.push(config.hostname.clone());
        Ok(Self {
            hostname: config.hostname.clone(),
            postmaster,
            own_names,
            routes: routes::Routes::new(&delivery.routes)?,
            sources: sources::Sources::new(&delivery.pools),
            config: delivery,
        })
    }
}

impl Delivery {
    /// Reads the passwords of routes, and registers metrics. `directory` says which domains are ours; `role_tls` is our certificate towards
    /// storage nodes. Unused connections are looked after for as long as the result lives, so this must be called within a runtime.
    ///
    /// # Errors
    /// When the configuration cannot work or a password cannot be read.
    pub fn new(
        config: &Config,
        resolver: Resolver,
        policies: Arc<TlsPolicies>,
        directory: Arc<dyn Source>,
        role_tls: Option<RoleTls>,
        registry: &mut Registry,
    ) -> Result<Arc<Self>, StartError> {
        let settings = Settings::new(config)?;
        let counted = chasqui_courier::Metrics::register(registry.sub_registry_with_prefix("chasqui_relay"));
        let directory = Directory::new(directory, counted.look_up.clone());
        // Nobody here waits for a node's return: the queue has its times.
        let (recovered, _) = tokio::sync::mpsc::channel(1);
        let nodes =
            Nodes::new(config.delivery.nodes.clone(), config.hostname.clone(), role_tls, counted, recovered);
        let delivery = Arc::new(Self {
            settings: ArcSwap::from_pointee(settings),
            resolver,
            policies,
            courier: Arc::new(Courier { nodes, directory }),
            places: places::Places::default(),
            kept: kept::Kept::default(),
            foreign: local::Foreign::default(),
            metrics: Metrics::register(registry),
        });
        tokio::spawn(tend(Arc::downgrade(&delivery)));
        Ok(delivery)
    }

    /// Takes over another configuration. Attempts under way keep theirs, and so do the connections to storage nodes.
    ///
    /// # Errors
    /// As [`Self::new`]; then everything stays.
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        self.settings.store(Arc::new(Settings::new(config)?));
        Ok(())
    }

    /// Says goodbye on all unused connections.
    pub async fn close(&self) {
        close_all(self.kept.all()).await;
        self.courier.nodes.close().await;
    }

    async fn attempt(&self, job: &Job) -> Vec<(u32, Fate)> {
        let settings = self.settings.load_full();
        let mut fates = Vec::with_capacity(job.recipients.len());
        let mut open = self.carry_here(&settings, job, &mut fates).await;
        // One way, unless the configuration has changed since the job was made.
        while let Some(&first) = open.first() {
            let way = |index: u32| {
                let recipient = job.envelope.recipients.get(index as usize);
                settings.routes.way(recipient.map_or("", |recipient| &recipient.address))
            };
            let first = way(first);
            let destination = first.destination();
            let together = open.extract_if(.., |index| way(*index).destination() == destination).collect();
            Box::pin(Attempt::new(self, &settings, job, together, &mut fates).run(&first)).await;
        }
        fates
    }

    /// Learns from an attempt how many the destination takes at once.
    fn learn(&self, job: &Job, fates: &[(u32, Fate)]) {
        let settings = self.settings.load();
        let limits = &settings.config.connections;
        let taken = |(_, fate): &(u32, Fate)| matches!(fate, Fate::Delivered { .. });
        let put_off = |(_, fate): &(u32, Fate)| matches!(fate, Fate::Deferred(_));
        if fates.iter().any(taken) {
            self.places.succeeded(&job.destination, limits);
        } else if fates.iter().any(put_off) {
            self.places.failed(&job.destination, limits);
        }
    }
}

impl Carrier for Delivery {
    fn destination(&self, address: &str) -> Destination {
        self.settings.load().routes.way(address).destination()
    }

    fn places(&self, destination: &Destination) -> usize {
        self.places.of(destination, &self.settings.load().config.connections)
    }

    async fn carry(self: Arc<Self>, job: Job) -> Vec<(u32, Fate)> {
        let began = Instant::now();
        let _under_way = self.metrics.begun();
        let fates = self.attempt(&job).await;
        self.learn(&job, &fates);
        self.metrics.ended(&fates, began.elapsed());
        fates
    }
}

/// Closes connections that nobody used for a while, as long as delivery lives.
async fn tend(delivery: Weak<Delivery>) {
    let mut clock = tokio::time::interval(TENDING);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for turn in 0_u32.. {
        clock.tick().await;
        let Some(delivery) = delivery.upgrade() else { return };
        close_all(delivery.kept.old(&delivery.settings.load().config.connections)).await;
        delivery.metrics.idle(delivery.kept.len());
        delivery.courier.nodes.close_idle().await;
        if turn.is_multiple_of(TIDYING) {
            delivery.places.tidy();
            delivery.foreign.tidy();
        }
    }
}

/// All at once: one that does not take our goodbye does not hold up the others.
async fn close_all(connections: Vec<connection::Connection>) {
    let mut closing = tokio::task::JoinSet::new();
    for connection in connections {
        closing.spawn(connection.quit());
    }
    closing.join_all().await;
}

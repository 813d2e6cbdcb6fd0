//! The role: what it opens, serves and reloads.

use crate::{
    config::{Config, WhenUnavailable},
    metrics::Metrics,
    outbox::Relays,
    session,
    spool::Spool,
};
use arc_swap::ArcSwap;
use chasqui_base::{
    EmailAddress, Lifecycle, RoleService, StartError,
    net::{AcceptLimits, Gate, Listener, serve},
    service::require_tls_or_local,
    tls::{PublicTls, RoleTls},
};
use chasqui_courier::{Courier, Directory, Nodes, Source};
use chasqui_directory::DirectoryClient;
use chasqui_dns::Resolver;
use chasqui_filter::{Filter, report::Reports};
use chasqui_smtp::{Profile, Protocol};
use prometheus_client::registry::Registry;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// Nodes whose return may wait to be noticed by the retry worker.
const RECOVERED: usize = 64;

/// What one connection more than the limit is told.
const REFUSAL: &[u8] = b"421 4.7.0 Too many connections\r\n";

/// The inbound mail exchanger.
pub struct MxService {
    exchanger: Arc<Exchanger>,
    /// Until the role starts.
    idle: Mutex<Option<Idle>>,
    gate: Arc<Gate>,
    proxy_networks: Vec<chasqui_base::net::IpNetwork>,
    endpoints: Vec<(&'static str, String)>,
    role_tls: Option<RoleTls>,
}

struct Idle {
    listeners: Vec<Listener>,
    reports: Option<(Reports, Resolver, Relays)>,
    recovered: mpsc::Receiver<String>,
}

/// What every session shares.
pub(crate) struct Exchanger {
    pub courier: Arc<Courier>,
    pub spool: Arc<Spool>,
    pub metrics: Metrics,
    pub filter: Filter,
    pub tls: Option<PublicTls>,
    pub policy: ArcSwap<Policy>,
}

/// What a reload replaces. A session keeps the one that it began with.
pub(crate) struct Policy {
    pub profile: Arc<Profile>,
    pub config: Config,
    pub postmaster: EmailAddress,
}

impl Policy {
    pub(crate) fn new(config: Config) -> Result<Self, StartError> {
        let valid_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if config.hostname.is_empty() || !config.hostname.chars().all(valid_name) {
            return Err(StartError::value(
                "hostname",
                "a host name of letters, digits, hyphens and dots is expected",
            ));
        }
        if config.limits.line_length < 512 {
            return Err(StartError::value("limits.line_length", "RFC 5321 §4.5.3.1.4 asks for 512 at least"));
        }
        if config.limits.recipients == 0 || config.limits.memory.as_u64() == 0 {
            return Err(StartError::value("limits", "`recipients` and `memory` must not be 0"));
        }
        config.filter.check()?;
        if config.filter.reports.from.is_some() && config.relay.is_empty() {
            return Err(StartError::value(
                "relay",
                "`filter.reports.from` is set, and reports leave by a relay: name one",
            ));
        }
        for address in &config.listen {
            require_tls_or_local("listen", address, config.public_tls.is_some())?;
        }
        let postmaster = match &config.postmaster {
            Some(postmaster) => postmaster.clone(),
            None => EmailAddress::parse(&format!("postmaster@{}", config.hostname)).map_err(|_| {
                StartError::value("postmaster", "give an address, since the hostname cannot have one")
            })?,
        };
        let limits = &config.limits;
        let profile = Profile {
            limits: chasqui_smtp::Limits {
                line_length: limits.line_length,
                text_line_length: limits.text_line_length,
                message_size: limits.message_size.as_u64(),
                recipients: limits.recipients,
                messages: limits.messages,
                errors: limits.errors,
                unknown_commands: limits.unknown_commands,
                idle_commands: limits.idle_commands,
                ..chasqui_smtp::Limits::default()
            },
            starttls: config.public_tls.is_some(),
            ..Profile::new(Protocol::Smtp, config.hostname.as_str())
        };
        Ok(Self { profile: Arc::new(profile), config, postmaster })
    }

    /// Whether a transaction is bound to one node.
    pub(crate) fn one_node(&self) -> bool {
        self.config.when_unavailable == WhenUnavailable::Refuse
    }
}

impl MxService {
    /// Opens everything but the directory.
    pub(crate) fn assemble(
        config: Config,
        directory: Arc<dyn Source>,
        role_tls: Option<RoleTls>,
        registry: &mut Registry,
    ) -> Result<Self, StartError> {
        let policy = Policy::new(config.clone())?;
        if config.delivery.connections_per_node == 0 || config.spool.per_node == 0 {
            return Err(StartError::value("delivery.connections_per_node, spool.per_node", "must not be 0"));
        }
        if config.listen.is_empty() {
            return Err(StartError::value("listen", "at least one address is expected"));
        }
        let tls = config.public_tls.as_ref().map(PublicTls::load).transpose()?;
        let listeners = config.listen.iter().map(Listener::bind).collect::<Result<Vec<_>, _>>()?;
        let metrics = Metrics::register(registry);
        let spool = Spool::open(&config.spool, &metrics)
            .map_err(|error| StartError::open(&config.spool.path, error))?;
        let resolver = Resolver::new(&config.dns)?;
        resolver.register(registry);
        let filter = Filter::open(&config.filter, &resolver, &config.hostname, registry)?;
        let (recovery, recovered) = mpsc::channel(RECOVERED);
        let relays = Relays {
            endpoints: config.relay.clone(),
            tls: role_tls.clone(),
            hostname: config.hostname.clone(),
        };
        let reports = filter.reports().map(|reports| (reports, resolver, relays));
        let gate = Gate::new(accept_limits(&config));
        let links = chasqui_courier::Metrics::register(registry.sub_registry_with_prefix("chasqui_mx"));
        let directory = Directory::new(directory, links.look_up.clone());
        let nodes = Nodes::new(config.delivery, config.hostname, role_tls.clone(), links, recovery);
        let endpoints =
            listeners.iter().map(|listener| ("smtp", listener.local_address().to_string())).collect();
        Ok(Self {
            exchanger: Arc::new(Exchanger {
                courier: Arc::new(Courier { nodes, directory }),
                spool: Arc::new(spool),
                metrics,
                filter,
                tls,
                policy: ArcSwap::from_pointee(policy),
            }),
            idle: Mutex::new(Some(Idle { listeners, reports, recovered })),
            gate,
            proxy_networks: config.proxy_networks,
            endpoints,
            role_tls,
        })
    }
}

impl RoleService for MxService {
    type Config = Config;
    const ROLE: &'static str = "mx";

    async fn bind(config: Config, registry: &mut Registry) -> Result<Self, StartError> {
        let role_tls = config.tls.as_ref().map(RoleTls::load).transpose()?;
        let directory = DirectoryClient::connect(&config.directory, role_tls.clone()).await?;
        let client = directory.clone();
        let service = Self::assemble(config, Arc::new(directory), role_tls, registry)?;
        client.register(registry);
        Ok(service)
    }

    fn endpoints(&self) -> Vec<(&'static str, String)> {
        self.endpoints.clone()
    }

    fn start(&self, run: &Lifecycle) {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Idle { listeners, reports, recovered }) = idle else { return };
        if let Some((reports, resolver, relays)) = reports {
            run.spawn(reports.run(resolver, relays, run.clone()));
        }
        let exchanger = &self.exchanger;
        let worker =
            Arc::clone(&exchanger.spool).work(Arc::clone(&exchanger.courier), recovered, run.clone());
        run.spawn(worker);
        for listener in listeners {
            let (exchanger, sessions) = (Arc::clone(exchanger), run.clone());
            let handler =
                move |stream, peer| session::run(Arc::clone(&exchanger), stream, peer, sessions.clone());
            let networks = self.proxy_networks.clone();
            run.spawn(serve(listener, Arc::clone(&self.gate), networks, REFUSAL, run.clone(), handler));
        }
    }

    /// Certificates, the directory's keys, limits, `hostname` in greetings, `postmaster` and `when_unavailable` change; listeners, the
    /// spool, the links to nodes, DNS and the filters need a restart.
    async fn reload(&self, config: Config) -> Result<(), StartError> {
        let policy = Policy::new(config)?;
        let (tls, files) = (&self.exchanger.tls, &policy.config.public_tls);
        if tls.is_some() != files.is_some() || self.role_tls.is_some() != policy.config.tls.is_some() {
            return Err(StartError::value("tls, public_tls", "TLS is switched on or off by a restart"));
        }
        // Everything is tried before anything is taken over.
        policy.config.tls.as_ref().map(RoleTls::load).transpose()?;
        files.as_ref().map(PublicTls::load).transpose()?;
        self.exchanger.courier.directory.reload().await?;
        if let (Some(tls), Some(files)) = (&self.role_tls, &policy.config.tls) {
            tls.reload(files)?;
        }
        if let (Some(tls), Some(files)) = (tls, files) {
            tls.reload(files)?;
        }
        self.gate.set_limits(accept_limits(&policy.config));
        self.exchanger.policy.store(Arc::new(policy));
        Ok(())
    }

    async fn close(&self) {
        self.exchanger.courier.nodes.close().await;
    }
}

fn accept_limits(config: &Config) -> AcceptLimits {
    AcceptLimits {
        connections: config.limits.connections,
        per_address: config.limits.connections_per_address,
    }
}

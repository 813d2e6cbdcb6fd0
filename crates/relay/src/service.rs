//! The role: what it opens, serves and reloads.

use crate::{
    config::Config,
    control::Control,
    delivery::Delivery,
    drain::Drain,
    inside,
    queue::Queue,
    sign::Signer,
    submission::{self, Parts, REFUSAL, Shared},
    tls::{TlsPolicies, report::Queued},
};
use chasqui_base::{
    Lifecycle, RoleService, StartError,
    net::{AcceptLimits, Gate, IpNetwork, ListenAddress, Listener, serve},
    service::require_tls_or_local,
    tls::{PublicTls, RoleTls},
};
use chasqui_directory::DirectoryClient;
use chasqui_dns::Resolver;
use prometheus_client::registry::Registry;
use std::sync::{Arc, Mutex, PoisonError};

/// The file in the queue's folder in which it is kept how much users have sent.
const USAGE: &str = "usage.json";

/// Connections of the site's own roles, in all and from one host.
const INSIDE: AcceptLimits = AcceptLimits { connections: 1000, per_address: 200 };

/// The relay.
pub struct RelayService {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    delivery: Arc<Delivery>,
    policies: Arc<TlsPolicies>,
    hostname: String,
    signer: Arc<Signer>,
    directory: DirectoryClient,
    tls: Option<PublicTls>,
    role_tls: Option<RoleTls>,
    /// Before the doors of users; that of roles has its own.
    gate: Arc<Gate>,
    proxy_networks: Vec<IpNetwork>,
    endpoints: Vec<(&'static str, String)>,
    drain: Arc<Drain>,
    /// Until the role starts.
    idle: Mutex<Vec<Door>>,
    /// Until the role starts.
    control: Mutex<Option<Control>>,
}

/// A listener, and who comes through it.
struct Door {
    listener: Listener,
    who: Who,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Users, STARTTLS.
    Submission,
    /// Users, TLS at once.
    Submissions,
    /// The site's roles.
    Inside,
}

impl Who {
    const fn name(self) -> &'static str {
        match self {
            Self::Submission => "submission",
            Self::Submissions => "submissions",
            Self::Inside => "inside",
        }
    }
}

impl RoleService for RelayService {
    type Config = Config;
    const ROLE: &'static str = "relay";

    async fn bind(config: Config, registry: &mut Registry) -> Result<Self, StartError> {
        config.check()?;
        let role_tls = config.tls.as_ref().map(RoleTls::load).transpose()?;
        let tls = config.public_tls.as_ref().map(PublicTls::load).transpose()?;
        let directory = DirectoryClient::connect(&config.directory, role_tls.clone()).await?;
        let resolver = Resolver::new(&config.dns)?;
        let signer = Arc::new(Signer::open(&config.signing)?);
        let doors = doors(&config)?;
        let queue = Queue::open(&config.queue, &config.notices, &config.hostname, registry)?;
        let policies = Arc::new(TlsPolicies::open(&config.delivery_tls, resolver.clone(), registry)?);
        let delivery = Delivery::new(
            &config,
            resolver.clone(),
            Arc::clone(&policies),
            Arc::new(directory.clone()),
            role_tls.clone(),
            registry,
        )?;
        let parts = Parts {
            users: Arc::new(directory.clone()),
            queue: queue.clone(),
            tls: tls.clone(),
            role_tls: role_tls.clone(),
            signer: Arc::clone(&signer),
            usage: config.queue.path.join(USAGE),
        };
        let shared = Arc::new(Shared::open(&config, parts, registry)?);
        directory.register(registry);
        resolver.register(registry);
        let drain = Drain::new(&config, Arc::clone(&queue), role_tls.clone());
        let control = Control::bind(&config.control, Arc::clone(&queue), Arc::clone(&drain))?;
        Ok(Self {
            gate: Gate::new(submission::accept_limits(&config)),
            endpoints: doors
                .iter()
                .map(|door| (door.who.name(), door.listener.local_address().to_string()))
                .collect(),
            proxy_networks: config.proxy_networks,
            hostname: config.hostname,
            idle: Mutex::new(doors),
            drain,
            control: Mutex::new(Some(control)),
            shared,
            queue,
            delivery,
            policies,
            signer,
            directory,
            tls,
            role_tls,
        })
    }

    fn endpoints(&self) -> Vec<(&'static str, String)> {
        self.endpoints.clone()
    }

    fn start(&self, run: &Lifecycle) {
        run.spawn(Arc::clone(&self.queue).work(Arc::clone(&self.delivery), run.clone()));
        run.spawn(Arc::clone(&self.shared).work(run.clone()));
        self.policies.start(run);
        let reports = Queued::new(Arc::clone(&self.queue), Arc::clone(&self.signer));
        self.policies.start_reports(&self.hostname, Arc::new(reports), run);
        run.spawn(Arc::clone(&self.drain).work(run.clone()));
        if let Some(control) = self.control.lock().unwrap_or_else(PoisonError::into_inner).take() {
            run.spawn(control.serve(run.clone()));
        }
        let inside = Gate::new(INSIDE);
        for Door { listener, who } in
            std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner))
        {
            let (shared, sessions) = (Arc::clone(&self.shared), run.clone());
            if who == Who::Inside {
                let handler =
                    move |stream, peer| inside::run(stream, peer, Arc::clone(&shared), sessions.clone());
                run.spawn(serve(listener, Arc::clone(&inside), Vec::new(), REFUSAL, run.clone(), handler));
                continue;
            }
            // In front of TLS a refusal in clear would only confuse.
            let (at_once, refusal) =
                (who == Who::Submissions, if who == Who::Submissions { b"" } else { REFUSAL });
            let handler = move |stream, peer| {
                submission::run(stream, peer, Arc::clone(&shared), at_once, sessions.clone())
            };
            let networks = self.proxy_networks.clone();
            run.spawn(serve(listener, Arc::clone(&self.gate), networks, refusal, run.clone(), handler));
        }
    }

    /// Certificates, the directory's keys, DKIM keys, limits, routes, times of the queue and texts of notices change; listeners, folders, DNS
    /// servers and TLS policies need a restart.
    async fn reload(&self, config: Config) -> Result<(), StartError> {
        config.check()?;
        if self.tls.is_some() != config.public_tls.is_some()
            || self.role_tls.is_some() != config.tls.is_some()
        {
            return Err(StartError::value("tls, public_tls", "TLS is switched on or off by a restart"));
        }
        // Everything is tried before anything is taken over.
        config.tls.as_ref().map(RoleTls::load).transpose()?;
        config.public_tls.as_ref().map(PublicTls::load).transpose()?;
        Signer::open(&config.signing)?;
        self.directory.reload().await?;
        self.delivery.reload(&config)?;
        self.shared.reload(&config)?;
        self.signer.reload(&config.signing)?;
        if let (Some(tls), Some(files)) = (&self.role_tls, &config.tls) {
            tls.reload(files)?;
        }
        if let (Some(tls), Some(files)) = (&self.tls, &config.public_tls) {
            tls.reload(files)?;
        }
        self.gate.set_limits(submission::accept_limits(&config));
        self.drain.reload(&config);
        self.queue.reload(&config.queue, &config.notices, &config.hostname);
        Ok(())
    }

    async fn close(&self) {
        self.delivery.close().await;
    }
}

fn doors(config: &Config) -> Result<Vec<Door>, StartError> {
    let bind = |addresses: &[ListenAddress], who| -> Result<Vec<Door>, StartError> {
        addresses.iter().map(|address| Ok(Door { listener: Listener::bind(address)?, who })).collect()
    };
    let mut doors = Vec::new();
    if config.public_tls.is_some() {
        doors.extend(bind(&config.submission, Who::Submission)?);
        doors.extend(bind(&config.submissions, Who::Submissions)?);
    }
    doors.extend(bind(&config.inside, Who::Inside)?);
    Ok(doors)
}

impl Config {
    /// Refuses values that the types let pass, with the key and how to mend it.
    ///
    /// # Errors
    /// The first such value.
    pub fn check(&self) -> Result<(), StartError> {
        let valid_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if self.hostname.is_empty() || !self.hostname.chars().all(valid_name) {
            return Err(StartError::value(
                "hostname",
                "a host name of letters, digits, hyphens and dots is expected",
            ));
        }
        if self.inside.is_empty()
            && (self.public_tls.is_none() || self.submission.is_empty() && self.submissions.is_empty())
        {
            return Err(StartError::value(
                "submission, submissions, inside",
                "at least one address is expected; those of users need public_tls",
            ));
        }
        for address in &self.inside {
            require_tls_or_local("inside", address, self.tls.is_some())?;
        }
        self.dns.check("dns")?;
        self.senders.check()?;
        self.delivery.check()?;
        self.delivery_tls.check("delivery_tls")?;
        Ok(())
    }
}

//! The role: binds, starts, reloads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chasqui_base::net::{Gate, IpNetwork, Listener, Peer, Stream, serve};
use chasqui_base::tls::{PublicTls, RoleTls};
use chasqui_base::{Lifecycle, RoleService, StartError};
use chasqui_directory::DirectoryClient;
use prometheus_client::registry::Registry;

use crate::config::Config;
use crate::dialogue::Dialogue;
use crate::imap::Imap;
use crate::metrics::Metrics;
use crate::pop3::Pop3;
use crate::session;
use crate::shared::{Settings, Shared, Verifier};
use chasqui_sasl::guessing::Guessing;

/// The proxy role.
pub struct ProxyService {
    shared: Arc<Shared>,
    /// Taken by `start`.
    listeners: Mutex<Vec<(Service, Listener, Arc<Gate>)>>,
    endpoints: Vec<(&'static str, String)>,
    /// One a listener.
    gates: Vec<Arc<Gate>>,
    proxy_networks: Vec<IpNetwork>,
}

/// What a listener offers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Service {
    Imap,
    Imaps,
    Pop3,
    Pop3s,
}

impl RoleService for ProxyService {
    type Config = Config;
    const ROLE: &'static str = "proxy";

    async fn bind(config: Config, registry: &mut Registry) -> Result<Self, StartError> {
        config.check()?;
        let role_tls = config.tls.as_ref().map(RoleTls::load).transpose()?;
        let directory = DirectoryClient::connect(&config.directory, role_tls.clone()).await?;
        directory.register(registry);
        Self::bind_with(config, role_tls, Arc::new(directory), registry)
    }

    fn endpoints(&self) -> Vec<(&'static str, String)> {
        self.endpoints.clone()
    }

    fn start(&self, run: &Lifecycle) {
        let listeners = std::mem::take(&mut *self.listeners.lock().unwrap_or_else(PoisonError::into_inner));
        for (service, listener, gate) in listeners {
            match service {
                Service::Imap => self.accept::<Imap>(listener, gate, false, run),
                Service::Imaps => self.accept::<Imap>(listener, gate, true, run),
                Service::Pop3 => self.accept::<Pop3>(listener, gate, false, run),
                Service::Pop3s => self.accept::<Pop3>(listener, gate, true, run),
            }
        }
    }

    /// Takes over certificates, directory keys, timeouts, the limits of connections, of sessions and of guessing. Listeners and
    /// the size of the guessing tables stay until a restart.
    async fn reload(&self, config: Config) -> Result<(), StartError> {
        config.check()?;
        let restart = |key: &str| StartError::value(key, "can be set or unset only by a restart");
        if config.public_tls.is_some() != self.shared.public_tls.is_some() {
            return Err(restart("public_tls"));
        }
        if config.tls.is_some() != self.shared.role_tls.is_some() {
            return Err(restart("tls"));
        }
        // Everything is tried before anything is taken over.
        config.public_tls.as_ref().map(PublicTls::load).transpose()?;
        config.tls.as_ref().map(RoleTls::load).transpose()?;
        self.shared.directory.reload().await?;
        if let (Some(tls), Some(files)) = (&self.shared.public_tls, &config.public_tls) {
            tls.reload(files)?;
        }
        if let (Some(tls), Some(files)) = (&self.shared.role_tls, &config.tls) {
            tls.reload(files)?;
        }
        self.gates.iter().for_each(|gate| gate.set_limits(config.limits.accept()));
        self.shared.guessing.reconfigure(config.guessing.clone());
        self.shared.replace_settings(Settings::of(&config));
        Ok(())
    }

    async fn close(&self) {}
}

impl ProxyService {
    /// Binds with any verifier of passwords.
    pub(crate) fn bind_with(
        config: Config,
        role_tls: Option<RoleTls>,
        directory: Arc<dyn Verifier>,
        registry: &mut Registry,
    ) -> Result<Self, StartError> {
        let public_tls = config.public_tls.as_ref().map(PublicTls::load).transpose()?;
        let configured = [
            (Service::Imap, &config.imap),
            (Service::Imaps, &config.imaps),
            (Service::Pop3, &config.pop3),
            (Service::Pop3s, &config.pop3s),
        ];
        let mut listeners = Vec::new();
        let mut endpoints = Vec::new();
        for (service, addresses) in configured {
            for address in addresses {
                let listener = Listener::bind(address)?;
                endpoints.push((service.name(), listener.local_address().to_string()));
                listeners.push((service, listener, Gate::new(config.limits.accept())));
            }
        }
        let guessing = Guessing::new(config.guessing.clone(), Instant::now());
        let metrics = Metrics::new(registry);
        let shared = Shared::new(Settings::of(&config), public_tls, role_tls, directory, guessing, metrics);
        Ok(Self {
            shared: Arc::new(shared),
            gates: listeners.iter().map(|(_, _, gate)| Arc::clone(gate)).collect(),
            listeners: Mutex::new(listeners),
            endpoints,
            proxy_networks: config.proxy_networks,
        })
    }

    fn accept<D: Dialogue>(&self, listener: Listener, gate: Arc<Gate>, tls: bool, run: &Lifecycle) {
        let (shared, sessions) = (Arc::clone(&self.shared), run.clone());
        let handler = move |stream: Stream, peer: Peer| {
            session::serve::<D>(Arc::clone(&shared), sessions.clone(), stream, peer, tls)
        };
        // Under TLS a refusal in the clear would be noise.
        let refusal = if tls { b"" } else { D::REFUSAL };
        run.spawn(serve(listener, gate, self.proxy_networks.clone(), refusal, run.clone(), handler));
    }
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Imaps => "imaps",
            Self::Pop3 => "pop3",
            Self::Pop3s => "pop3s",
        }
    }
}

impl Settings {
    /// The sessions' part of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            limits: config.limits.clone(),
            timeouts: config.timeouts.clone(),
            plaintext_login: config.plaintext_login,
        }
    }
}

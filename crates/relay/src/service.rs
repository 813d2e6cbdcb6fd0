//! The role: what it opens, serves and reloads.

use crate::config::Config;
use chasqui_base::{
    Lifecycle, RoleService, StartError,
    net::Listener,
    service::require_tls_or_local,
    tls::{PublicTls, RoleTls},
};
use chasqui_directory::DirectoryClient;
use prometheus_client::registry::Registry;

/// The relay.
pub struct RelayService {
    endpoints: Vec<(&'static str, String)>,
    directory: DirectoryClient,
}

impl RoleService for RelayService {
    type Config = Config;
    const ROLE: &'static str = "relay";

    async fn bind(config: Config, registry: &mut Registry) -> Result<Self, StartError> {
        config.check()?;
        let role_tls = config.tls.as_ref().map(RoleTls::load).transpose()?;
        let directory = DirectoryClient::connect(&config.directory, role_tls.clone()).await?;
        directory.register(registry);
        let _public = config.public_tls.as_ref().map(PublicTls::load).transpose()?;
        let mut endpoints = Vec::new();
        for (name, addresses) in [
            ("submission", &config.submission),
            ("submissions", &config.submissions),
            ("inside", &config.inside),
        ] {
            for address in addresses {
                let listener = Listener::bind(address)?;
                endpoints.push((name, listener.local_address().to_string()));
            }
        }
        Ok(Self { endpoints, directory })
    }

    fn endpoints(&self) -> Vec<(&'static str, String)> {
        self.endpoints.clone()
    }

    fn start(&self, _run: &Lifecycle) {}

    async fn reload(&self, config: Config) -> Result<(), StartError> {
        config.check()?;
        self.directory.reload().await
    }

    async fn close(&self) {}
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
        if self.submission.is_empty() && self.submissions.is_empty() && self.inside.is_empty() {
            return Err(StartError::value(
                "submission, submissions, inside",
                "at least one address is expected",
            ));
        }
        for address in &self.inside {
            require_tls_or_local("inside", address, self.tls.is_some())?;
        }
        if self.public_tls.is_none() && self.submission.iter().chain(&self.submissions).any(|a| !a.is_local())
        {
            return Err(StartError::value(
                "public_tls",
                "users' passwords are only taken over TLS: give the certificate",
            ));
        }
        Ok(())
    }
}

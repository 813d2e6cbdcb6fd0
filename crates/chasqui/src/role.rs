//! What the binary knows about each role: its configuration type and where in it the binary's own settings are.

use std::time::Duration;

use chasqui_base::net::ListenAddress;
use chasqui_base::service::{RoleService, StartError};
use chasqui_directory::DirectoryService;
use chasqui_mx::MxService;
use chasqui_proxy::ProxyService;
use chasqui_relay::RelayService;
use chasqui_storage::StorageService;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How long a role may take to finish what is open, where its configuration does not say.
pub const DRAIN: Duration = Duration::from_secs(30);

/// A role as the binary runs it.
pub trait Role: RoleService<Config: DeserializeOwned + Serialize + JsonSchema + Default + Send> {
    /// Where the metrics page is served; loopback only.
    fn metrics(config: &Self::Config) -> Option<&ListenAddress>;

    /// Refuses what the types of the configuration let pass.
    fn check(_config: &Self::Config) -> Result<(), StartError> {
        Ok(())
    }

    /// How long what is open may take to finish when the role ends.
    fn drain(_config: &Self::Config) -> Duration {
        DRAIN
    }
}

impl Role for DirectoryService {
    fn metrics(config: &Self::Config) -> Option<&ListenAddress> {
        config.metrics.as_ref()
    }
}

impl Role for MxService {
    fn metrics(config: &Self::Config) -> Option<&ListenAddress> {
        config.metrics.as_ref()
    }

    fn check(config: &Self::Config) -> Result<(), StartError> {
        config.check()
    }
}

impl Role for StorageService {
    fn metrics(config: &Self::Config) -> Option<&ListenAddress> {
        config.metrics.as_ref()
    }

    fn check(config: &Self::Config) -> Result<(), StartError> {
        config.check()
    }
}

impl Role for ProxyService {
    fn metrics(config: &Self::Config) -> Option<&ListenAddress> {
        config.metrics.as_ref()
    }

    fn check(config: &Self::Config) -> Result<(), StartError> {
        config.check()
    }
}

impl Role for RelayService {
    fn metrics(config: &Self::Config) -> Option<&ListenAddress> {
        config.metrics.as_ref()
    }

    fn check(config: &Self::Config) -> Result<(), StartError> {
        config.check()
    }
}

/// Evaluates an expression with a type parameter bound to the service of a [`crate::cli::RoleName`].
macro_rules! with_role {
    ($name:expr, $role:ident => $body:expr) => {
        match $name {
            $crate::cli::RoleName::Directory => {
                type $role = chasqui_directory::DirectoryService;
                $body
            }
            $crate::cli::RoleName::Mx => {
                type $role = chasqui_mx::MxService;
                $body
            }
            $crate::cli::RoleName::Storage => {
                type $role = chasqui_storage::StorageService;
                $body
            }
            $crate::cli::RoleName::Proxy => {
                type $role = chasqui_proxy::ProxyService;
                $body
            }
            $crate::cli::RoleName::Relay => {
                type $role = chasqui_relay::RelayService;
                $body
            }
        }
    };
}
pub(crate) use with_role;

//! The client that every role asks the directory with.

use chasqui_base::address::EmailAddress;
use chasqui_base::secret::Secret;
use chasqui_base::service::StartError;
use chasqui_base::tls::RoleTls;
use prometheus_client::registry::Registry;

use crate::config::ClientConfig;
use crate::record::{LookUp, Verdict};

/// A role's connection to the directory servers. Clones share it.
#[derive(Clone)]
pub struct DirectoryClient {}

/// No directory server answered in time, or none could: the caller answers with a temporary failure (451 4.4.3, `UNAVAILABLE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no directory server answered")]
pub struct DirectoryUnavailable;

impl DirectoryClient {
    /// Opens the sockets and reads the keys. Servers need not answer yet. `tls` is this role's identity for answers that fit in no
    /// datagram; without it those are asked for over plain TCP, on loopback only.
    pub async fn connect(_config: &ClientConfig, _tls: Option<RoleTls>) -> Result<Self, StartError> {
        Ok(Self {})
    }

    /// Adds the client's metrics (prefix `chasqui_directory_client`).
    pub fn register(&self, _registry: &mut Registry) {}

    /// Takes over new keys from the key file, for a role that reloads.
    pub async fn reload(&self) -> Result<(), StartError> {
        Ok(())
    }

    /// Who receives mail for this address?
    pub async fn look_up(&self, _recipient: &EmailAddress) -> Result<LookUp, DirectoryUnavailable> {
        Err(DirectoryUnavailable)
    }

    /// May this log-in name with this password log in?
    pub async fn verify(&self, _login: &str, _password: &Secret) -> Result<Verdict, DirectoryUnavailable> {
        Err(DirectoryUnavailable)
    }

    /// Tells every directory server that an account's quota is used up, or no longer is. Not waited for and not repeated: the
    /// servers forget it after 60 s, so the owner repeats it every 15 s while it lasts.
    pub fn report_over_quota(&self, _account: &EmailAddress, _over: bool) {}
}

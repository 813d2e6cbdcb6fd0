//! The site under test: its policies, and hosts that they are tried on.

use std::path::Path;
use std::sync::Arc;

use chasqui_base::net::Stream;
use chasqui_dns::Resolver;
use chasqui_relay::tls::{PolicyFailure, Requirement, TlsConfig, TlsFacts, TlsFailure, TlsPolicies};
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use crate::authority::Identity;

pub const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];

/// A configuration that keeps its state in `folder`.
pub fn config(folder: &Path) -> TlsConfig {
    TlsConfig { state: folder.join("state"), ..TlsConfig::default() }
}

pub fn open(config: &TlsConfig, resolver: Resolver) -> TlsPolicies {
    TlsPolicies::open(config, resolver, &mut Registry::default()).unwrap()
}

/// What the host of a domain must show.
pub async fn demand(
    policies: &TlsPolicies,
    domain: &str,
    host: &str,
    mx_secure: bool,
) -> Result<Requirement, PolicyFailure> {
    let policy = policies.domain(domain).await;
    policies.host(&policy, host, mx_secure, false).await
}

/// A handshake with a host that shows this identity.
pub async fn handshake(
    policies: &TlsPolicies,
    host: &str,
    requirement: &Requirement,
    identity: &Identity,
) -> Result<TlsFacts, TlsFailure> {
    handshake_with(policies, host, requirement, identity.server(BOTH)).await
}

pub async fn handshake_with(
    policies: &TlsPolicies,
    host: &str,
    requirement: &Requirement,
    server: Arc<ServerConfig>,
) -> Result<TlsFacts, TlsFailure> {
    let (near, far) = Stream::pair().unwrap();
    let serving = tokio::spawn(async move { TlsAcceptor::from(server).accept(far).await.map(drop) });
    let secured = policies.secure(near, host, requirement).await;
    let _ = serving.await;
    secured.map(|(stream, facts)| {
        assert!(stream.is_tls());
        facts
    })
}

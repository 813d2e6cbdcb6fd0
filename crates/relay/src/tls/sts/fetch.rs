//! The fetch of a policy (RFC 8461 §3.3): HTTPS with a certificate of the web's CAs for `mta-sts.` the domain, no redirects, one size.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use chasqui_base::StartError;
use chasqui_dns::{DnsError, Resolver};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::config::TlsConfig;
use super::super::handshake::Handshakes;
use super::super::requirement::Failure;
use super::policy::{MAX_POLICY, Policy, PolicyError};

/// Addresses of the policy host that are tried.
const MAX_ADDRESSES: usize = 4;

/// Fetches policies.
pub(super) struct Fetcher {
    resolver: Resolver,
    tls: Arc<ClientConfig>,
    server: Option<SocketAddr>,
    deadline: Duration,
}

/// Why there is no policy to be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("mta-sts host: {0}")]
    Dns(#[from] DnsError),
    #[error("connection: {0}")]
    Connect(io::Error),
    #[error("certificate: {0}")]
    Certificate(String),
    #[error("HTTP: {0}")]
    Http(String),
    #[error("no answer in time")]
    Timeout,
    #[error("policy: {0}")]
    Policy(#[from] PolicyError),
}

impl FetchError {
    /// The role ends.
    pub(super) fn closed() -> Self {
        Self::Timeout
    }

    /// What a TLS report calls it (RFC 8460 §4.3.2.2).
    pub(super) fn kind(&self) -> Failure {
        match self {
            Self::Certificate(_) => Failure::StsWebpkiInvalid,
            Self::Policy(_) => Failure::StsPolicyInvalid,
            _ => Failure::StsPolicyFetchError,
        }
    }
}

impl Fetcher {
    pub(super) fn new(
        config: &TlsConfig,
        resolver: Resolver,
        handshakes: &Handshakes,
    ) -> Result<Self, StartError> {
        let tls = handshakes.web().map_err(|error| StartError::value("delivery_tls", error.to_string()))?;
        Ok(Self {
            resolver,
            tls: Arc::new(tls),
            server: config.policy_server,
            deadline: config.fetch_deadline.get(),
        })
    }

    /// Fetches the domain's policy.
    pub(super) async fn fetch(&self, domain: &str) -> Result<Policy, FetchError> {
        let fetch = Box::pin(tokio::time::timeout(self.deadline, self.fetch_text(domain)));
        let text = fetch.await.unwrap_or(Err(FetchError::Timeout))?;
        Ok(Policy::parse(&text)?)
    }

    async fn fetch_text(&self, domain: &str) -> Result<String, FetchError> {
        let host = format!("mta-sts.{domain}");
        let stream = self.connect(&host).await?;
        let name = ServerName::try_from(host.clone()).map_err(|error| FetchError::Http(error.to_string()))?;
        let stream =
            TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.map_err(of_handshake)?;
        let http = |error: hyper::Error| FetchError::Http(error.to_string());
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(MAX_POLICY)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(http)?;
        let request = Request::get("/.well-known/mta-sts.txt")
            .header(header::HOST, &host)
            .header(header::USER_AGENT, "chasqui")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| FetchError::Http(error.to_string()))?;
        let exchange = async move {
            let response = sender.send_request(request).await.map_err(http)?;
            // §3.3: redirects are not followed, nor is any other status a policy.
            if response.status() != StatusCode::OK {
                return Err(FetchError::Http(format!("status {}", response.status())));
            }
            if !is_plain_text(response.headers()) {
                return Err(FetchError::Http("the policy is not text/plain".to_owned()));
            }
            let body = Limited::new(response.into_body(), MAX_POLICY).collect().await;
            Ok(body.map_err(|error| FetchError::Http(error.to_string()))?.to_bytes())
        };
        // The connection makes progress only while it is awaited; it ends with the exchange.
        tokio::pin!(connection, exchange);
        let body = tokio::select! {
            body = &mut exchange => body?,
            ended = &mut connection => match ended {
                Ok(()) => exchange.await?,
                Err(error) => return Err(http(error)),
            },
        };
        String::from_utf8(body.to_vec()).map_err(|_| PolicyError::Line.into())
    }

    async fn connect(&self, host: &str) -> Result<TcpStream, FetchError> {
        let addresses: Vec<SocketAddr> = match self.server {
            Some(server) => vec![server],
            None => {
                let found = self.resolver.addresses(host).await?;
                let v6 = found.v6.into_iter().map(IpAddr::V6);
                let all = v6.chain(found.v4.into_iter().map(IpAddr::V4));
                all.filter(|address| is_public(*address))
                    .take(MAX_ADDRESSES)
                    .map(|address| (address, 443).into())
                    .collect()
            }
        };
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            let patience = self.deadline / 3;
            match tokio::time::timeout(patience, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(FetchError::Connect(last))
    }
}

/// What DNS says of a foreign domain may not make us connect into the site.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.octets()[0] == 0)
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unique_local()
                || ip.is_unicast_link_local())
        }
    }
}

/// §3.2: `text/plain`, with whatever parameters.
fn is_plain_text(headers: &hyper::HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/plain"))
}

fn of_handshake(error: io::Error) -> FetchError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => FetchError::Certificate(error.to_string()),
        _ => FetchError::Connect(error),
    }
}

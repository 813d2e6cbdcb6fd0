//! The little of the web that mail needs: one request over HTTPS, with a certificate of the web's CAs, no redirects, one deadline, and
//! a bound on what comes back.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use chasqui_base::StartError;
use chasqui_dns::{DnsError, Resolver};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::config::TlsConfig;
use super::handshake::Handshakes;

/// Addresses of a host that are tried.
const MAX_ADDRESSES: usize = 4;
/// Octets of a response's header.
const MAX_HEADER: usize = 64 * 1024;

/// Makes requests. Cloning shares it.
#[derive(Clone)]
pub(super) struct Web {
    resolver: Resolver,
    tls: Arc<ClientConfig>,
    server: Option<SocketAddr>,
    deadline: Duration,
}

/// What came back.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebError {
    #[error("host: {0}")]
    Dns(#[from] DnsError),
    #[error("connection: {0}")]
    Connect(io::Error),
    #[error("certificate: {0}")]
    Certificate(String),
    #[error("HTTP: {0}")]
    Http(String),
    #[error("no answer in time")]
    Timeout,
}

impl Web {
    pub(super) fn new(
        config: &TlsConfig,
        resolver: Resolver,
        handshakes: &Handshakes,
    ) -> Result<Self, StartError> {
        let tls = handshakes.web().map_err(|error| StartError::value("delivery_tls", error.to_string()))?;
        Ok(Self {
            resolver,
            tls: Arc::new(tls),
            server: config.https_server,
            deadline: config.fetch_deadline.get(),
        })
    }

    /// Sends a request to a host, and reads at most `limit` octets of what comes back.
    pub(super) async fn send(
        &self,
        host: &str,
        port: u16,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Response, WebError> {
        let exchange =
            Box::pin(tokio::time::timeout(self.deadline, self.exchange(host, port, request, limit)));
        exchange.await.unwrap_or(Err(WebError::Timeout))
    }

    async fn exchange(
        &self,
        host: &str,
        port: u16,
        mut request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Response, WebError> {
        let stream = self.connect(host, port).await?;
        let name =
            ServerName::try_from(host.to_owned()).map_err(|error| WebError::Http(error.to_string()))?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(name, stream).await.map_err(of_handshake)?;
        let http = |error: hyper::Error| WebError::Http(error.to_string());
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(MAX_HEADER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(http)?;
        let authority = if port == 443 { host.to_owned() } else { format!("{host}:{port}") };
        for (name, value) in [
            (header::HOST, authority.as_str()),
            (header::USER_AGENT, "chasqui"),
            (header::CONNECTION, "close"),
        ] {
            let value =
                header::HeaderValue::from_str(value).map_err(|error| WebError::Http(error.to_string()))?;
            request.headers_mut().insert(name, value);
        }
        let exchange = async move {
            let (head, body) = sender.send_request(request).await.map_err(http)?.into_parts();
            let body = Limited::new(body, limit).collect().await;
            let body = body.map_err(|error| WebError::Http(error.to_string()))?.to_bytes();
            Ok(Response { status: head.status, headers: head.headers, body })
        };
        // The connection makes progress only while it is awaited; it ends with the exchange.
        tokio::pin!(connection, exchange);
        tokio::select! {
            response = &mut exchange => response,
            ended = &mut connection => match ended {
                Ok(()) => exchange.await,
                Err(error) => Err(http(error)),
            },
        }
    }

    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, WebError> {
        let addresses: Vec<SocketAddr> = match self.server {
            Some(server) => vec![server],
            None => {
                let found = self.resolver.addresses(host).await?;
                let v6 = found.v6.into_iter().map(IpAddr::V6);
                let all =
                    v6.chain(found.v4.into_iter().map(IpAddr::V4)).filter(|address| is_public(*address));
                all.take(MAX_ADDRESSES).map(|address| (address, port).into()).collect()
            }
        };
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            match tokio::time::timeout(self.deadline / 3, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(WebError::Connect(last))
    }
}

/// What DNS says of a foreign domain may not make us connect into the site.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
                || first == 0
                || (first == 100 && (64..128).contains(&second)))
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

fn of_handshake(error: io::Error) -> WebError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => WebError::Certificate(error.to_string()),
        _ => WebError::Connect(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_dns_does_not_lead_into_the_site() {
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.1.1",
            "172.16.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["192.0.2.1", "100.128.0.1", "2001:db8::1"] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }
}

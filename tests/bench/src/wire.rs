//! A line-wise client connection, plain or TLS, shared by the SMTP and IMAP loads.

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

/// No server may leave a load waiting longer than this.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both directions of a connection, whatever carries them.
pub trait Carrier: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Carrier for T {}

/// How to reach a server.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

impl Target {
    /// A server at `address`; with TLS from the first byte if `ca` names the authority to trust.
    pub fn new(address: SocketAddr, ca: Option<&Path>) -> Result<Self> {
        let tls = ca.map(|ca| {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(ca)? {
                roots.add(certificate?)?;
            }
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth();
            anyhow::Ok(TlsConnector::from(Arc::new(config)))
        });
        Ok(Self { address, tls: tls.transpose()? })
    }

    /// Connects from the loopback address numbered `source`, so that limits per client address and the supply of
    /// ephemeral ports do not decide what is measured.
    pub async fn connect(&self, source: u64) -> Result<Connection> {
        let socket = TcpSocket::new_v4()?;
        if self.address.ip().is_loopback() {
            let host = (source % 200) as u8 + 1;
            socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 7, host)), 0))?;
        }
        let stream = tokio::time::timeout(PATIENCE, socket.connect(self.address)).await??;
        stream.set_nodelay(true)?;
        let carrier: Box<dyn Carrier> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => Box::new(tls.connect(ServerName::try_from("localhost")?, stream).await?),
        };
        Ok(Connection { carrier, input: Vec::new(), taken: 0 })
    }
}

/// A client connection that reads line by line.
pub struct Connection {
    carrier: Box<dyn Carrier>,
    input: Vec<u8>,
    taken: usize,
}

impl Connection {
    /// Sends `bytes`.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.carrier.write_all(bytes).await?;
        self.carrier.flush().await.context("flush")
    }

    /// The next line, without its end.
    pub async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.input[self.taken..].iter().position(|&byte| byte == b'\n') {
                let line = &self.input[self.taken..self.taken + end];
                let line = String::from_utf8_lossy(line).trim_end().to_owned();
                self.taken += end + 1;
                if self.taken == self.input.len() {
                    self.input.clear();
                    self.taken = 0;
                }
                return Ok(line);
            }
            if tokio::time::timeout(PATIENCE, self.carrier.read_buf(&mut self.input)).await?? == 0 {
                bail!("the server closed the connection");
            }
        }
    }

    /// Reads until the server closes.
    pub async fn until_closed(&mut self) -> Result<()> {
        loop {
            self.input.clear();
            self.taken = 0;
            match tokio::time::timeout(PATIENCE, self.carrier.read_buf(&mut self.input)).await? {
                Ok(0) | Err(_) => return Ok(()),
                Ok(_) => {}
            }
        }
    }

    /// Gives the read buffer back, for a connection that will only wait.
    pub fn forget_input(&mut self) {
        self.input = Vec::new();
        self.taken = 0;
    }
}

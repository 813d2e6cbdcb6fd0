//! TLS on every link (E19): rustls with *ring*, TLS 1.3 and certificates on both ends between roles; TLS 1.2 and 1.3 towards
//! mail programs. The provider is passed explicitly, so no process-wide default decides.
//!
//! A role's certificate names what it may be in a URI subject alternative name, `urn:chasqui:role:mx`; a role accepts a peer by
//! the site's CA *and* by that name, so that a stolen exchanger's certificate cannot read mailboxes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::net::Stream;

/// Time for a whole handshake.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// A role's own certificate, and the CA that its peers' certificates come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The role's certificate with its chain, PEM.
    pub certificate: PathBuf,
    /// The role's private key, PEM; not readable by others.
    pub key: PathBuf,
    /// The site's CA, PEM: peers must hold a certificate of it.
    pub ca: PathBuf,
}

/// The certificate that mail programs see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublicTlsFiles {
    /// The public certificate with its chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM; not readable by others.
    pub key: PathBuf,
}

/// What a certificate of the site's CA lets its holder be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Answers look-ups.
    Directory,
    /// Delivers inbound mail.
    Mx,
    /// Sends mail out.
    Relay,
    /// Owns mailboxes.
    Storage,
    /// Opens mailboxes for users that the directory has verified.
    Proxy,
    /// The web application: as the proxy.
    Webmail,
    /// The operator's commands.
    Admin,
    /// A host of the site towards the services beside the roles, such as the database cluster and the log pair. No role lets it in.
    Host,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 8] = [
        Role::Directory,
        Role::Mx,
        Role::Relay,
        Role::Storage,
        Role::Proxy,
        Role::Webmail,
        Role::Admin,
        Role::Host,
    ];

    /// Its name on the command line and in certificates.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Directory => "directory",
            Role::Mx => "mx",
            Role::Relay => "relay",
            Role::Storage => "storage",
            Role::Proxy => "proxy",
            Role::Webmail => "webmail",
            Role::Admin => "admin",
            Role::Host => "host",
        }
    }

    /// The URI subject alternative name that grants it.
    pub fn urn(self) -> String {
        format!("{URN_PREFIX}{}", self.name())
    }

    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

const URN_PREFIX: &str = "urn:chasqui:role:";

/// What the other end of a link may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerRoles(u8);

impl PeerRoles {
    /// Every role: the link is plain, and so comes from this host alone.
    pub fn loopback() -> Self {
        Self(u8::MAX)
    }

    /// Whether the peer may be `role`.
    pub fn has(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }

    fn of_certificate(certificate: &CertificateDer<'_>) -> Self {
        use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Self(0) };
        let Ok(Some(names)) = parsed.subject_alternative_name() else { return Self(0) };
        let granted = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Role::from_name(uri.strip_prefix(URN_PREFIX)?),
            _ => None,
        });
        Self(granted.fold(0, |bits, role| bits | 1 << role as u8))
    }
}

/// A role's TLS towards other roles, reloadable.
#[derive(Clone)]
pub struct RoleTls(Arc<RoleConfigs>);

struct RoleConfigs {
    server: ArcSwap<ServerConfig>,
    client: ArcSwap<ClientConfig>,
}

impl RoleTls {
    /// Reads certificate, key and CA.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let (server, client) = role_configs(files)?;
        Ok(Self(Arc::new(RoleConfigs { server: ArcSwap::new(server), client: ArcSwap::new(client) })))
    }

    /// Reads the files again; open connections stay as they are. On an error everything stays.
    pub fn reload(&self, files: &TlsFiles) -> Result<(), TlsError> {
        let (server, client) = role_configs(files)?;
        self.0.server.store(server);
        self.0.client.store(client);
        Ok(())
    }

    /// Takes the server's part of the handshake; the peer must show a certificate of the site's CA.
    pub async fn accept(&self, stream: Stream) -> Result<(Stream, PeerRoles), TlsError> {
        let handshake = TlsAcceptor::from(self.0.server.load_full()).accept(stream);
        let stream = Stream::tls(TlsStream::Server(in_time(handshake).await?));
        let roles = peer_roles(&stream);
        Ok((stream, roles))
    }

    /// Takes the client's part of the handshake. The server's certificate must be of the site's CA, name `server_name`, and
    /// grant `expect`.
    pub async fn connect(&self, stream: Stream, server_name: &str, expect: Role) -> Result<Stream, TlsError> {
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| TlsError::Name(server_name.to_owned()))?;
        let handshake = TlsConnector::from(self.0.client.load_full()).connect(name, stream);
        let stream = Stream::tls(TlsStream::Client(in_time(handshake).await?));
        if !peer_roles(&stream).has(expect) {
            return Err(TlsError::Role { name: server_name.to_owned(), expected: expect.name() });
        }
        Ok(stream)
    }
}

/// TLS towards mail programs, reloadable.
#[derive(Clone)]
pub struct PublicTls(Arc<ArcSwap<ServerConfig>>);

impl PublicTls {
    /// Reads certificate and key.
    pub fn load(files: &PublicTlsFiles) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(ArcSwap::new(public_config(files)?))))
    }

    /// Reads the files again; on an error everything stays.
    pub fn reload(&self, files: &PublicTlsFiles) -> Result<(), TlsError> {
        self.0.store(public_config(files)?);
        Ok(())
    }

    /// Takes the server's part of the handshake.
    pub async fn accept(&self, stream: Stream) -> Result<Stream, TlsError> {
        let handshake = TlsAcceptor::from(self.0.load_full()).accept(stream);
        Ok(Stream::tls(TlsStream::Server(in_time(handshake).await?)))
    }
}

/// Why TLS material cannot be used, or a handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or has no PEM of the kind that is wanted.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was expected and what came.
        reason: String,
    },
    /// Certificate and key do not fit, or the CA is unusable.
    #[error("{}: {source}", path.display())]
    Material {
        /// The certificate.
        path: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// The name cannot stand in a certificate.
    #[error("`{0}` is neither a host name nor an address")]
    Name(String),
    /// The handshake failed.
    #[error("TLS handshake: {0}")]
    Handshake(#[from] io::Error),
    /// The server is not what it must be.
    #[error("the certificate of {name} does not grant the role {expected}")]
    Role {
        /// Its name.
        name: String,
        /// The role that was expected.
        expected: &'static str,
    },
}

fn peer_roles(stream: &Stream) -> PeerRoles {
    stream.peer_certificates().and_then(<[_]>::first).map_or(PeerRoles(0), PeerRoles::of_certificate)
}

async fn in_time<T>(handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    // Boxed: a handshake's future is large and short, the session's that awaits it is small and long.
    let handshake = Box::pin(tokio::time::timeout(HANDSHAKE_DEADLINE, handshake));
    handshake.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn role_configs(files: &TlsFiles) -> Result<(Arc<ServerConfig>, Arc<ClientConfig>), TlsError> {
    let material = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Material { path, source }
    };
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(&files.ca)? {
        roots.add(certificate).map_err(material(&files.ca))?;
    }
    let roots = Arc::new(roots);
    let chain = read_certificates(&files.certificate)?;
    let versions = &[&rustls::version::TLS13];

    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider())
        .build()
        .map_err(|error| TlsError::File { path: files.ca.clone(), reason: error.to_string() })?;
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(material(&files.certificate))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.clone(), read_key(&files.key)?)
        .map_err(material(&files.certificate))?;
    server.send_tls13_tickets = 1;
    server.session_storage = rustls::server::ServerSessionMemoryCache::new(4096);

    let client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(material(&files.certificate))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, read_key(&files.key)?)
        .map_err(material(&files.certificate))?;
    Ok((Arc::new(server), Arc::new(client)))
}

fn public_config(files: &PublicTlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let material = |source| TlsError::Material { path: files.certificate.clone(), source };
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(material)?
        .with_no_client_auth()
        .with_single_cert(read_certificates(&files.certificate)?, read_key(&files.key)?)
        .map_err(material)?;
    server.send_tls13_tickets = 1;
    server.session_storage = rustls::server::ServerSessionMemoryCache::new(4096);
    Ok(Arc::new(server))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |reason: String| TlsError::File { path: path.to_owned(), reason };
    let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(bad("no certificate in PEM form is in it".to_owned()))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(bad(error.to_string())),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    use std::os::unix::fs::PermissionsExt;
    let bad = |reason: String| TlsError::File { path: path.to_owned(), reason };
    let mode = std::fs::metadata(path).map_err(|error| bad(error.to_string()))?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(bad(format!(
            "the private key is open to every user (mode {:03o}): chmod 600",
            mode & 0o777
        )));
    }
    let pem = zeroize::Zeroizing::new(std::fs::read(path).map_err(|error| bad(error.to_string()))?);
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| bad(format!("no private key in PEM form: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn site() -> (tempfile::TempDir, TlsFiles, TlsFiles) {
        let dir = tempfile::tempdir().unwrap();
        let ca = pki::create_ca(dir.path(), "test").unwrap();
        let mx = ca.issue(dir.path(), "mx", &[Role::Mx], &["localhost", "127.0.0.1"]).unwrap();
        let storage = ca.issue(dir.path(), "storage", &[Role::Storage], &["localhost", "127.0.0.1"]).unwrap();
        (dir, mx, storage)
    }

    #[tokio::test]
    async fn both_ends_know_each_others_role() {
        let (_dir, mx, storage) = site();
        let (mx, storage) = (RoleTls::load(&mx).unwrap(), RoleTls::load(&storage).unwrap());
        let mut bindings = Vec::new();
        // Twice: the second handshake resumes the first one's session, and must know the roles too.
        for _ in 0..2 {
            let (near, far) = Stream::pair().unwrap();
            let server = storage.clone();
            let serving = tokio::spawn(async move {
                let (mut stream, roles) = server.accept(far).await.unwrap();
                stream.write_all(b"hola").await.unwrap();
                stream.flush().await.unwrap();
                let _ = stream.read_u8().await;
                (roles, stream.channel_binding())
            });
            let mut stream = mx.connect(near, "localhost", Role::Storage).await.unwrap();
            let mut got = [0; 4];
            stream.read_exact(&mut got).await.unwrap();
            let bound = stream.channel_binding();
            assert!(bound.is_some() && !bindings.contains(&bound));
            stream.shutdown().await.unwrap();
            let (roles, theirs) = serving.await.unwrap();
            assert_eq!(bound, theirs);
            bindings.push(bound);
            assert!(&got == b"hola" && roles.has(Role::Mx) && !roles.has(Role::Proxy));
        }
    }

    #[tokio::test]
    async fn a_server_of_another_role_name_or_ca_is_refused() {
        let (_dir, mx, storage) = site();
        let (_other_dir, _, stranger) = site();
        let mx = RoleTls::load(&mx).unwrap();
        for (server, name, expect) in [
            (&storage, "localhost", Role::Directory),
            (&storage, "else.example", Role::Storage),
            (&stranger, "localhost", Role::Storage),
        ] {
            let (near, far) = Stream::pair().unwrap();
            let server = RoleTls::load(server).unwrap();
            let serving = tokio::spawn(async move { drop(server.accept(far).await) });
            assert!(mx.connect(near, name, expect).await.is_err());
            serving.await.unwrap();
        }
    }

    #[test]
    fn an_open_key_and_a_missing_file_are_named() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, mx, _) = site();
        std::fs::set_permissions(&mx.key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = RoleTls::load(&mx).err().unwrap().to_string();
        assert!(error.contains("mx.key") && error.contains("chmod 600"), "{error}");
        let missing = TlsFiles { ca: "/nonexistent/ca.crt".into(), ..mx };
        assert!(RoleTls::load(&missing).err().unwrap().to_string().contains("/nonexistent/ca.crt"));
    }
}

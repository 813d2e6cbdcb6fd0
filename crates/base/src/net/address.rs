//! Addresses to listen on and to dial.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

use super::stream::Stream;

/// Connections that the kernel holds until they are accepted. A façade of 10,000 connections a second (E21) spread over a few
/// servers fills 1024 in a fraction of a second's pause.
const BACKLOG: u32 = 1024;

/// An address to listen on: `"127.0.0.1:25"`, `"[::]:25"` or `"unix:/run/chasqui/lmtp.sock"`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// A TCP (or, for the directory, UDP) address.
    Tcp(SocketAddr),
    /// A UNIX socket; its folder must exist.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether only this host can reach it: loopback or a UNIX socket.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

/// An address to dial: `"host:port"` or `"unix:/path"`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    text: Arc<str>,
}

impl Endpoint {
    /// The host name or address, as certificates name it; `localhost` for a UNIX socket.
    pub fn host(&self) -> &str {
        if self.unix_path().is_some() {
            return "localhost";
        }
        let host = self.text.rsplit_once(':').map_or(&*self.text, |(host, _)| host);
        host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The UNIX socket's path, if it is one.
    pub fn unix_path(&self) -> Option<&Path> {
        self.text.strip_prefix("unix:").map(Path::new)
    }

    /// Whether nobody between the two ends can listen: loopback, `localhost` or a UNIX socket. Only there may a link be in clear (E19).
    pub fn is_local(&self) -> bool {
        let host = self.host();
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    }

    /// Connects within `timeout`; TCP connections have Nagle's algorithm off.
    pub async fn connect(&self, timeout: Duration) -> io::Result<Stream> {
        let connecting = async {
            match self.unix_path() {
                Some(path) => Ok(Stream::unix(UnixStream::connect(path).await?)),
                None => {
                    let stream = TcpStream::connect(&*self.text).await?;
                    stream.set_nodelay(true)?;
                    Ok(Stream::tcp(stream))
                }
            }
        };
        tokio::time::timeout(timeout, connecting)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// A socket that listens.
pub struct Listener {
    socket: Socket,
    address: ListenAddress,
}

enum Socket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _name: UnlinkOnDrop },
}

/// Removes a UNIX socket's name when its listener ends.
struct UnlinkOnDrop(PathBuf);

impl Drop for UnlinkOnDrop {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens on `address`. A UNIX socket that nobody listens on any more is replaced.
    pub fn bind(address: &ListenAddress) -> Result<Self, BindError> {
        let failed = |source: io::Error| BindError { address: address.clone(), source };
        let socket = match address {
            ListenAddress::Tcp(tcp) => {
                let socket =
                    if tcp.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
                socket.set_reuseaddr(true).map_err(failed)?;
                socket.bind(*tcp).map_err(failed)?;
                Socket::Tcp(socket.listen(BACKLOG).map_err(failed)?)
            }
            ListenAddress::Unix(path) => {
                if is_stale_socket(path) {
                    std::fs::remove_file(path).map_err(failed)?;
                }
                let listener = UnixListener::bind(path).map_err(failed)?;
                Socket::Unix { listener, _name: UnlinkOnDrop(path.clone()) }
            }
        };
        let address = match &socket {
            Socket::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| address.clone(), ListenAddress::Tcp)
            }
            Socket::Unix { .. } => address.clone(),
        };
        Ok(Self { socket, address })
    }

    /// The address that it listens on, with the port that the kernel chose where 0 was asked for.
    pub fn local_address(&self) -> &ListenAddress {
        &self.address
    }

    /// The next connection, and where it comes from (nowhere for a UNIX socket).
    pub async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::tcp(stream), Some(SocketAddr::new(peer.ip().to_canonical(), peer.port()))))
            }
            Socket::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::unix(stream), None))
            }
        }
    }
}

/// Whether a socket is there that nobody listens on any more. Anything else of that name is not ours to remove.
fn is_stale_socket(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    is_socket
        && std::os::unix::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", say(source))]
pub struct BindError {
    /// The address.
    pub address: ListenAddress,
    /// What the system said.
    pub source: io::Error,
}

fn say(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program already listens there".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this host does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied (ports below 1024 need CAP_NET_BIND_SERVICE)".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Why a text is no address to listen on or to dial.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// Not an address to listen on.
    #[error("`{0}` is not ADDRESS:PORT or unix:/PATH")]
    Listen(String),
    /// Not an address to dial.
    #[error("`{0}` is not HOST:PORT or unix:/PATH")]
    Dial(String),
}

impl FromStr for ListenAddress {
    type Err = BadEndpoint;
    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err(BadEndpoint::Listen(text.to_owned())),
            None => text.parse().map(Self::Tcp).map_err(|_| BadEndpoint::Listen(text.to_owned())),
        }
    }
}

impl FromStr for Endpoint {
    type Err = BadEndpoint;
    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let good = match text.strip_prefix("unix:") {
            Some(path) => path.starts_with('/'),
            None => text.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty()
                    && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')))
                    && host.bytes().all(|b| b.is_ascii_graphic())
                    && port.parse::<u16>().is_ok()
            }),
        };
        if good { Ok(Self { text: Arc::from(text) }) } else { Err(BadEndpoint::Dial(text.to_owned())) }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

macro_rules! address_type {
    ($name:ident, $description:literal) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $description })
            }
        }
    };
}
address_type!(ListenAddress, "ADDRESS:PORT or unix:/PATH");
address_type!(Endpoint, "HOST:PORT or unix:/PATH");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_alike() {
        for text in ["127.0.0.1:25", "[::1]:25", "unix:/run/x.sock"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for (text, host) in
            [("mx1.ejemplo.test:24", "mx1.ejemplo.test"), ("[::1]:24", "::1"), ("unix:/run/x", "localhost")]
        {
            assert_eq!(text.parse::<Endpoint>().unwrap().host(), host);
        }
        for near in ["127.0.0.1:1", "[::1]:1", "LOCALHOST:1", "unix:/run/x"] {
            assert!(near.parse::<Endpoint>().unwrap().is_local(), "{near}");
        }
        assert!(!"192.0.2.1:143".parse::<Endpoint>().unwrap().is_local());
        for bad in ["", "host", "host:", ":25", "::1:25", "host:70000", "unix:x", "a b:25"] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
        assert!("localhost:25".parse::<ListenAddress>().is_err());
    }

    #[tokio::test]
    async fn a_port_in_use_is_one_clear_sentence() {
        let first = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let error = Listener::bind(first.local_address()).err().unwrap().to_string();
        assert_eq!(
            error,
            format!("cannot listen on {}: another program already listens there", first.local_address())
        );
    }

    #[tokio::test]
    async fn a_stale_unix_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let address = ListenAddress::Unix(dir.path().join("s"));
        drop(std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap());
        let live = Listener::bind(&address).unwrap();
        assert!(Listener::bind(&address).is_err());
        drop(live);
        std::fs::write(dir.path().join("s"), "a file that somebody needs").unwrap();
        assert!(Listener::bind(&address).is_err());
        assert!(dir.path().join("s").exists());
        std::fs::remove_file(dir.path().join("s")).unwrap();
        assert!(!dir.path().join("s").exists());
    }
}

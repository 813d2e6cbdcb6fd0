//! One connection, whatever carries it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::ProtocolVersion;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

/// What one read takes at most. Shared by a thread, so its size costs nothing a connection.
pub(super) const SCRATCH: usize = 64 * 1024;

/// RFC 9266 §2.
const CHANNEL_BINDING: &[u8] = b"EXPORTER-Channel-Binding";

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// Runs `read` with this thread's scratch buffer.
pub(super) fn with_scratch<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| read(buffer))
}

/// A connection: TCP or UNIX socket, in clear or under TLS.
pub struct Stream {
    kind: Kind,
}

enum Kind {
    Tcp(TcpStream),
    Unix(UnixStream),
    // Boxed: the TLS state is over a kilobyte, and plain connections should not carry its size.
    Tls(Box<TlsStream<Stream>>),
}

impl Stream {
    /// A TCP connection in clear.
    pub fn tcp(stream: TcpStream) -> Self {
        Self { kind: Kind::Tcp(stream) }
    }

    pub(super) fn unix(stream: UnixStream) -> Self {
        Self { kind: Kind::Unix(stream) }
    }

    pub(crate) fn tls(stream: TlsStream<Stream>) -> Self {
        Self { kind: Kind::Tls(Box::new(stream)) }
    }

    /// The client's end of a TLS session that was opened elsewhere, with a verifier of the caller's own.
    pub fn of_client(stream: tokio_rustls::client::TlsStream<Stream>) -> Self {
        Self::tls(TlsStream::Client(stream))
    }

    /// Two ends of one connection, for tests.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = UnixStream::pair()?;
        Ok((Self::unix(a), Self::unix(b)))
    }

    /// Whether TLS protects it.
    pub fn is_tls(&self) -> bool {
        matches!(self.kind, Kind::Tls(_))
    }

    /// The protocol version and cipher suite, for a `Received` line: `TLSv1_3`, `TLS13_AES_256_GCM_SHA384`.
    pub fn tls_parameters(&self) -> Option<(String, String)> {
        let Kind::Tls(stream) = &self.kind else { return None };
        let connection = stream.get_ref().1;
        let version = connection.protocol_version()?;
        let suite = connection.negotiated_cipher_suite()?;
        Some((format!("{version:?}"), format!("{:?}", suite.suite())))
    }

    /// The connection's `tls-exporter` channel binding (RFC 9266): the same at both ends of one TLS connection, and nowhere else. `None`
    /// without TLS, and below TLS 1.3, where it would be unique only with the extended master secret (RFC 9266 §3).
    pub fn channel_binding(&self) -> Option<Vec<u8>> {
        let Kind::Tls(stream) = &self.kind else { return None };
        let material = [0; 32];
        let exported = match &**stream {
            TlsStream::Client(stream) => {
                let connection = stream.get_ref().1;
                is_tls_1_3(connection.protocol_version())
                    .then(|| connection.export_keying_material(material, CHANNEL_BINDING, Some(b"")))
            }
            TlsStream::Server(stream) => {
                let connection = stream.get_ref().1;
                is_tls_1_3(connection.protocol_version())
                    .then(|| connection.export_keying_material(material, CHANNEL_BINDING, Some(b"")))
            }
        };
        exported?.ok().map(|material| material.to_vec())
    }

    /// The certificates of the other end, its own first.
    pub(crate) fn peer_certificates(&self) -> Option<&[rustls_pki_types::CertificateDer<'static>]> {
        let Kind::Tls(stream) = &self.kind else { return None };
        stream.get_ref().1.peer_certificates()
    }

    /// Waits for octets without holding a buffer, and appends what has come, at most `limit` octets. 0 means that the other end
    /// has finished sending.
    pub async fn read_more(&mut self, into: &mut Vec<u8>, limit: usize) -> io::Result<usize> {
        poll_fn(|context| self.poll_read_more(context, into, limit)).await
    }

    fn poll_read_more(
        &mut self,
        context: &mut Context<'_>,
        into: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        with_scratch(|scratch| {
            let limit = limit.min(scratch.len());
            let mut buffer = ReadBuf::new(&mut scratch[..limit]);
            ready!(Pin::new(self).poll_read(context, &mut buffer))?;
            into.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }
}

fn is_tls_1_3(version: Option<ProtocolVersion>) -> bool {
    version == Some(ProtocolVersion::TLSv1_3)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Kind::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            // A peer that closes without close_notify has finished: mail protocols say QUIT or LOGOUT themselves.
            Kind::Tls(stream) => match ready!(Pin::new(&mut **stream).poll_read(context, buffer)) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                other => Poll::Ready(other),
            },
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(stream) => Pin::new(stream).poll_write(context, data),
            Kind::Unix(stream) => Pin::new(stream).poll_write(context, data),
            Kind::Tls(stream) => Pin::new(&mut **stream).poll_write(context, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, data),
            Kind::Unix(stream) => Pin::new(stream).poll_write_vectored(context, data),
            Kind::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(context, data),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Kind::Unix(stream) => Pin::new(stream).poll_flush(context),
            Kind::Tls(stream) => Pin::new(&mut **stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Kind::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Kind::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(context),
        }
    }
}

//! The servers: their sockets, their clocks, and which of them answer.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Context;
use std::time::{Duration, Instant};

use chasqui_base::net::Endpoint;
use chasqui_base::service::StartError;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::config::ClientConfig;

/// Most servers: their set fits in an octet.
const MOST: usize = 8;
/// Look-ups in a row that a server may leave unanswered.
const PATIENCE: u32 = 3;
/// Probes of a silent server while it is asked last.
const PROBES: u32 = 5;

pub(super) struct Servers {
    pub(super) all: Vec<Server>,
    dead_for: Duration,
}

pub(super) struct Server {
    pub(super) endpoint: Endpoint,
    pub(super) address: SocketAddr,
    /// Connected, so that only this server's datagrams arrive on it, and the system tells when nobody listens there.
    pub(super) socket: UdpSocket,
    /// Milliseconds by which its clock is ahead of ours, as it told us when ours was too far off.
    pub(super) clock_ahead: i64,
    unanswered: u32,
    dead_until: Option<Instant>,
    probed: Instant,
}

impl Servers {
    pub(super) async fn open(config: &ClientConfig) -> Result<Self, StartError> {
        let count = config.servers.len();
        if count == 0 || count > MOST {
            return Err(StartError::value(
                "directory.servers",
                format!("{count} servers are listed; list one to {MOST}"),
            ));
        }
        let mut all = Vec::with_capacity(count);
        for endpoint in &config.servers {
            all.push(Server::open(endpoint).await.map_err(|error| {
                StartError::value("directory.servers", format!("{endpoint} cannot be reached: {error}"))
            })?);
        }
        Ok(Self { all, dead_for: config.dead_for.get() })
    }

    /// The server to ask next: of those in neither set the first that is alive, else the first; if all were asked, the one that was not
    /// refused and follows `last`.
    pub(super) fn choose(&self, asked: u8, refused: u8, last: Option<usize>, now: Instant) -> Option<usize> {
        let open = |set: u8| (0..self.all.len()).filter(move |n| set & (1 << n) == 0);
        let fresh = open(asked | refused).min_by_key(|n| self.all[*n].dead(now));
        let count = self.all.len();
        fresh.or_else(|| open(refused).min_by_key(|n| (n + count - 1 - last.unwrap_or(count - 1)) % count))
    }

    /// A look-up was not answered in time; whether the server is given up by this.
    pub(super) fn unanswered(&mut self, server: usize, now: Instant) -> bool {
        let dead_for = self.dead_for;
        let server = &mut self.all[server];
        server.unanswered += 1;
        if server.unanswered < PATIENCE || server.dead(now) {
            return false;
        }
        tracing::warn!(server = %server.endpoint, "a directory server does not answer");
        server.dead_until = Some(now + dead_for);
        server.probed = now;
        true
    }

    /// Its host says that nobody listens; whether this is news.
    pub(super) fn refused(&mut self, server: usize, now: Instant) -> bool {
        self.all[server].unanswered = PATIENCE;
        self.unanswered(server, now)
    }

    pub(super) fn answered(&mut self, server: usize) {
        let server = &mut self.all[server];
        server.unanswered = 0;
        if server.dead_until.take().is_some() {
            tracing::info!(server = %server.endpoint, "a directory server answers again");
        }
    }

    /// A silent server that it is time to probe.
    pub(super) fn due_for_probe(&mut self, now: Instant) -> Option<usize> {
        let interval = self.dead_for / PROBES;
        let due = |server: &Server| server.dead(now) && now.duration_since(server.probed) >= interval;
        let number = self.all.iter().position(due)?;
        self.all[number].probed = now;
        Some(number)
    }

    /// Where they are, those that are alive first.
    pub(super) fn in_order(&self, now: Instant) -> Vec<(Endpoint, SocketAddr)> {
        let (dead, alive): (Vec<&Server>, Vec<&Server>) =
            self.all.iter().partition(|server| server.dead(now));
        alive.into_iter().chain(dead).map(|server| (server.endpoint.clone(), server.address)).collect()
    }

    /// Whether anybody but `server` is thought to answer.
    pub(super) fn another_alive(&self, server: usize, now: Instant) -> bool {
        self.all.iter().enumerate().any(|(number, other)| number != server && !other.dead(now))
    }
}

impl Server {
    async fn open(endpoint: &Endpoint) -> std::io::Result<Self> {
        let mut found = tokio::net::lookup_host(endpoint.as_str()).await?;
        let address = found.next().ok_or(std::io::ErrorKind::NotFound)?;
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        let (endpoint, probed) = (endpoint.clone(), Instant::now());
        Ok(Self { endpoint, address, socket, clock_ahead: 0, unanswered: 0, dead_until: None, probed })
    }

    /// Nothing more is expected: waits for the next datagram without the system call that would say that there is none. What came
    /// unexpectedly is read along with the next one.
    pub(super) fn rest(&self, context: &mut Context<'_>) -> bool {
        let _ = self.socket.try_io(Interest::READABLE, || Err::<(), _>(ErrorKind::WouldBlock.into()));
        self.socket.poll_recv_ready(context).is_pending()
    }

    fn dead(&self, now: Instant) -> bool {
        self.dead_until.is_some_and(|until| until > now)
    }
}

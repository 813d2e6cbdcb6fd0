//! Accept loops: load is shed here, before a session costs anything.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use proxy_header::{ParseConfig, ProxyHeader};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::address::Listener;
use super::stream::Stream;
use crate::service::Lifecycle;

/// Time for a PROXY header to arrive, and for a refusal to be written.
const PREFACE_DEADLINE: Duration = Duration::from_secs(5);

/// How many connections a listener serves at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AcceptLimits {
    /// Connections in all. Default 10000.
    pub connections: usize,
    /// Connections from one address, or from one /64 of IPv6 addresses. Default 100.
    pub per_address: usize,
}

impl Default for AcceptLimits {
    fn default() -> Self {
        Self { connections: 10_000, per_address: 100 }
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client's address, as the PROXY header of a trusted balancer says if there was one; none over a UNIX socket.
    pub address: Option<SocketAddr>,
    /// Whether the connection itself came over loopback or a UNIX socket, whatever a PROXY header said.
    pub local: bool,
}

impl Peer {
    /// The client's IP address; loopback over a UNIX socket.
    pub fn ip(&self) -> IpAddr {
        self.address.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
    }
}

/// Accepts until `run` ends, and hands each connection to `handler` in a task of its own. Connections from `proxy_networks`
/// must begin with a PROXY protocol v2 header (never accepted from elsewhere). One that `gate` does not let in gets `refusal` and is
/// closed.
pub async fn serve<H, F>(
    listener: Listener,
    gate: Arc<Gate>,
    proxy_networks: Vec<IpNetwork>,
    refusal: &'static [u8],
    run: Lifecycle,
    handler: H,
) where
    H: Fn(Stream, Peer) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = run.stopped() => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: those waiting stay in the backlog until some session ends.
                tracing::warn!(address = %listener.local_address(), %error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let local = address.is_none_or(|a| a.ip().is_loopback());
        let peer = Peer { address, local };
        let behind_balancer = address.is_some_and(|a| proxy_networks.iter().any(|n| n.contains(a.ip())));
        if behind_balancer {
            let (gate, handler) = (Arc::clone(&gate), handler.clone());
            run.spawn(async move {
                let mut stream = stream;
                let header = tokio::time::timeout(PREFACE_DEADLINE, read_proxy_header(&mut stream)).await;
                let peer = match header {
                    Ok(Ok(Some(address))) => Peer { address: Some(address), local: false },
                    // LOCAL: the balancer's own health check.
                    Ok(Ok(None)) => peer,
                    Ok(Err(error)) => return tracing::info!(peer = %peer.ip(), %error, "no PROXY header"),
                    Err(_) => return tracing::info!(peer = %peer.ip(), "no PROXY header in time"),
                };
                match gate.enter(peer.ip()) {
                    Some(_place) => handler(stream, peer).await,
                    None => refuse(stream, peer, refusal).await,
                }
            });
        } else {
            match gate.enter(peer.ip()) {
                Some(place) => {
                    let session = handler(stream, peer);
                    run.spawn(async move {
                        let _place = place;
                        session.await;
                    });
                }
                None => drop(run.spawn(refuse(stream, peer, refusal))),
            }
        }
    }
}

async fn refuse(mut stream: Stream, peer: Peer, refusal: &'static [u8]) {
    tracing::info!(peer = %peer.ip(), "over the connection limit");
    let _ = tokio::time::timeout(PREFACE_DEADLINE, async {
        stream.write_all(refusal).await?;
        stream.shutdown().await
    })
    .await;
}

/// Reads exactly one PROXY v2 header and nothing of what follows it.
async fn read_proxy_header(stream: &mut Stream) -> io::Result<Option<SocketAddr>> {
    const FIXED: usize = 16;
    // The specification lets receivers bound the header; 536 octets must fit, TLVs of balancers stay far below 2 KiB.
    const MOST: usize = 2048;
    let bad = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason.to_owned());
    let mut header = vec![0; FIXED];
    stream.read_exact(&mut header).await?;
    if header[..12] != *b"\r\n\r\n\0\r\nQUIT\n" {
        return Err(bad("a PROXY protocol v2 header was expected"));
    }
    let length = FIXED + usize::from(u16::from_be_bytes([header[14], header[15]]));
    if length > MOST {
        return Err(bad("the PROXY header is too long"));
    }
    header.resize(length, 0);
    stream.read_exact(&mut header[FIXED..]).await?;
    let config = ParseConfig { include_tlvs: false, allow_v1: false, allow_v2: true };
    let (header, _) =
        ProxyHeader::parse(&header, config).map_err(|_| bad("the PROXY header is malformed"))?;
    Ok(header.proxied_address().map(|proxied| {
        let source = proxied.source;
        SocketAddr::new(source.ip().to_canonical(), source.port())
    }))
}

/// Counts open connections, in all and by address; several listeners may share it.
pub struct Gate {
    limits: ArcSwap<AcceptLimits>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Gate {
    /// A gate with nobody inside.
    pub fn new(limits: AcceptLimits) -> Arc<Self> {
        Arc::new(Self { limits: ArcSwap::from_pointee(limits), open: Mutex::default() })
    }

    /// Takes over other limits. Who is inside stays; who comes is measured by the new ones.
    pub fn set_limits(&self, limits: AcceptLimits) {
        self.limits.store(Arc::new(limits));
    }

    fn enter(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let ip = client_network(ip);
        let limits = **self.limits.load();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= limits.connections {
            return None;
        }
        let count = open.by_address.entry(ip).or_default();
        if *count >= limits.per_address {
            return None;
        }
        *count += 1;
        open.total += 1;
        Some(Place { gate: Arc::clone(self), ip })
    }
}

/// What counts as one client: an IPv4 address, or the /64 of an IPv6 address, which one host holds whole (RFC 4291 §2.5.4).
pub fn client_network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(_) => masked(ip, 64).unwrap_or(ip),
        v4 => v4,
    }
}

struct Place {
    gate: Arc<Gate>,
    ip: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.gate.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        if let Entry::Occupied(mut entry) = open.by_address.entry(self.ip) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// A network of addresses: `"10.0.0.0/8"`, `"fd00::/8"`, or a single address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpNetwork {
    base: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    /// Whether the address lies in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        masked(ip.to_canonical(), self.prefix) == Some(self.base)
            && ip.to_canonical().is_ipv4() == self.base.is_ipv4()
    }

    /// The network's own address: its first.
    pub fn address(&self) -> IpAddr {
        self.base
    }

    /// How many bits its addresses have in common.
    pub fn prefix_length(&self) -> u8 {
        self.prefix
    }

    /// Its last address, which in IPv4 is the broadcast address.
    pub fn last_address(&self) -> IpAddr {
        match self.base {
            IpAddr::V4(base) => {
                IpAddr::V4((u32::from(base) | u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0)).into())
            }
            IpAddr::V6(base) => {
                IpAddr::V6((u128::from(base) | u128::MAX.checked_shr(self.prefix.into()).unwrap_or(0)).into())
            }
        }
    }

    /// Whether an address lies in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }
}

fn masked(ip: IpAddr, prefix: u8) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32u32.checked_sub(prefix.into())?).unwrap_or(0);
            Some(IpAddr::V4((u32::from(ip) & mask).into()))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128u32.checked_sub(prefix.into())?).unwrap_or(0);
            Some(IpAddr::V6((u128::from(ip) & mask).into()))
        }
    }
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network such as 10.0.0.0/8 with no bits set behind the prefix")]
pub struct BadNetwork(String);

impl FromStr for IpNetwork {
    type Err = BadNetwork;
    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = || BadNetwork(text.to_owned());
        let (ip, prefix) = text.split_once('/').map_or((text, None), |(ip, prefix)| (ip, Some(prefix)));
        let base: IpAddr = ip.parse().map_err(|_| bad())?;
        let whole = if base.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(whole), str::parse).map_err(|_| bad())?;
        if masked(base, prefix) != Some(base) {
            return Err(bad());
        }
        Ok(Self { base, prefix })
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl fmt::Debug for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for IpNetwork {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IpNetwork {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for IpNetwork {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "IpNetwork".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "a network such as 10.0.0.0/8, or one address" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[test]
    fn networks_contain_their_addresses_and_no_others() {
        let network: IpNetwork = "10.1.0.0/16".parse().unwrap();
        assert!(
            network.contains("10.1.255.3".parse().unwrap()) && !network.contains("10.2.0.0".parse().unwrap())
        );
        assert!(network.contains("::ffff:10.1.0.1".parse().unwrap()));
        let every: IpNetwork = "::/0".parse().unwrap();
        assert!(
            every.contains("2001:db8::1".parse().unwrap()) && !every.contains("10.0.0.1".parse().unwrap())
        );
        assert!("0.0.0.0/0".parse::<IpNetwork>().unwrap().contains("1.2.3.4".parse().unwrap()));
        for bad in ["10.0.0.1/8", "10.0.0.0/33", "x/8", "10.0.0.0/", "::/129"] {
            assert!(bad.parse::<IpNetwork>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_network_knows_its_ends_and_what_it_shares() {
        let network = |text: &str| text.parse::<IpNetwork>().unwrap();
        for (text, last) in [
            ("192.0.2.0/27", "192.0.2.31"),
            ("0.0.0.0/0", "255.255.255.255"),
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff"),
        ] {
            assert_eq!(network(text).last_address(), last.parse::<IpAddr>().unwrap());
        }
        assert!(network("10.0.0.0/8").overlaps(&network("10.9.0.0/16")));
        assert!(network("10.9.0.0/16").overlaps(&network("10.0.0.0/8")));
        assert!(!network("10.0.0.0/16").overlaps(&network("10.1.0.0/16")));
        assert!(!network("::/0").overlaps(&network("0.0.0.0/0")));
    }

    #[test]
    fn a_network_of_ipv6_addresses_counts_as_one_client() {
        let gate = Gate::new(AcceptLimits { connections: 10, per_address: 1 });
        let _place = gate.enter("2001:db8::1".parse().unwrap()).unwrap();
        assert!(gate.enter("2001:db8::2".parse().unwrap()).is_none());
        assert!(gate.enter("2001:db8:0:1::1".parse().unwrap()).is_some());
        assert!(
            gate.enter("192.0.2.1".parse().unwrap()).is_some()
                && gate.enter("192.0.2.2".parse().unwrap()).is_some()
        );
    }

    async fn listen(gate: Arc<Gate>, proxies: Vec<IpNetwork>) -> (SocketAddr, Lifecycle) {
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let super::super::ListenAddress::Tcp(address) = listener.local_address().clone() else {
            unreachable!()
        };
        let run = Lifecycle::new();
        tokio::spawn(serve(
            listener,
            gate,
            proxies,
            b"421 busy\r\n",
            run.clone(),
            |mut stream, peer| async move {
                let _ = stream.write_all(format!("{}\n", peer.ip()).as_bytes()).await;
                let _ = stream.read_u8().await;
            },
        ));
        (address, run)
    }

    async fn read_line(stream: &mut TcpStream) -> String {
        let mut line = String::new();
        while !line.ends_with('\n') {
            match stream.read_u8().await {
                Ok(octet) => line.push(octet.into()),
                Err(_) => break,
            }
        }
        line
    }

    #[tokio::test]
    async fn connections_over_a_limit_are_told_and_closed() {
        let gate = Gate::new(AcceptLimits { connections: 10, per_address: 2 });
        let (address, run) = listen(Arc::clone(&gate), Vec::new()).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        assert_eq!(
            (read_line(&mut first).await, read_line(&mut second).await),
            ("127.0.0.1\n".into(), "127.0.0.1\n".into())
        );
        let mut third = TcpStream::connect(address).await.unwrap();
        assert_eq!(read_line(&mut third).await, "421 busy\r\n");
        gate.set_limits(AcceptLimits { connections: 10, per_address: 3 });
        let mut third = TcpStream::connect(address).await.unwrap();
        assert_eq!(read_line(&mut third).await, "127.0.0.1\n");
        gate.set_limits(AcceptLimits { connections: 10, per_address: 2 });
        drop((first, second));
        // The place is free once the first session has noticed.
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let mut next = TcpStream::connect(address).await.unwrap();
            if read_line(&mut next).await == "127.0.0.1\n" {
                run.drain(Duration::from_millis(1)).await;
                return;
            }
        }
        panic!("the place never became free");
    }

    #[tokio::test]
    async fn a_balancer_of_a_listed_network_names_the_client() {
        let (address, _run) =
            listen(Gate::new(AcceptLimits::default()), vec!["127.0.0.0/8".parse().unwrap()]).await;
        let header = ProxyHeader::with_address(proxy_header::ProxiedAddress::stream(
            "192.0.2.7:4711".parse().unwrap(),
            "192.0.2.1:25".parse().unwrap(),
        ));
        let mut buffer = [0; 256];
        let length = header.encode_to_slice_v2(&mut buffer).unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&buffer[..length]).await.unwrap();
        assert_eq!(read_line(&mut stream).await, "192.0.2.7\n");

        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"EHLO without.header.example\r\n").await.unwrap();
        assert_eq!(read_line(&mut stream).await, "");
    }
}

//! How questions reach the servers: UDP, TCP where an answer was cut, repetition, and DNSSEC validation on top.
//!
//! Validation asks for the same keys and delegations with every name, so these, and nothing else, are remembered below it, as raw
//! responses: they are validated each time. They are kept a minute at most, so that a forged one does no lasting harm.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chasqui_base::StartError;
use futures_util::stream::{self, Stream, StreamExt};
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::dnssec::DnssecDnsHandle;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer, RetryDnsHandle};
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::op::{DnsRequest, DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::{NameServerPool, PoolContext, ResponseCache, TlsConfig, TtlConfig, system_conf};

use crate::config::Config;

/// Keys, delegations and their proofs that are remembered, and for how long at most.
const INFRASTRUCTURE: u64 = 8192;
const INFRASTRUCTURE_TTL: Duration = Duration::from_secs(60);

type Pool = Infrastructure<RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>>;

/// No server is asked over TLS. hickory's own default would read the system's CAs, and not start on a host that has none.
fn no_tls() -> Result<TlsConfig, StartError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StartError::value("dns", error.to_string()))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(TlsConfig { config })
}

/// The servers, with or without validation.
#[derive(Clone)]
pub(crate) enum Transport {
    Plain(Pool),
    Validating(DnssecDnsHandle<Pool>),
}

impl Transport {
    pub(crate) fn new(config: &Config) -> Result<Self, StartError> {
        let options = options(config);
        let servers = servers(config)?;
        let tls = no_tls()?;
        let mut short = ResolverOpts::default();
        short.positive_max_ttl = Some(INFRASTRUCTURE_TTL);
        short.negative_max_ttl = Some(INFRASTRUCTURE_TTL);
        let attempts = options.attempts;
        let context = Arc::new(PoolContext::new(options, tls));
        let pool = NameServerPool::from_config(servers, context, TokioRuntimeProvider::default());
        let pool = Infrastructure {
            inner: RetryDnsHandle::new(pool, attempts),
            cache: ResponseCache::new(INFRASTRUCTURE, TtlConfig::from_opts(&short)),
        };
        Ok(match trust_anchors(config)? {
            Some(anchors) => Self::Validating(
                DnssecDnsHandle::with_trust_anchor(pool, Arc::new(anchors))
                    .validation_cache_size(config.cache_entries),
            ),
            None => Self::Plain(pool),
        })
    }

    /// Whether proofs are made.
    pub(crate) fn validates(&self) -> bool {
        matches!(self, Self::Validating(_))
    }

    /// One question, one response; aliases are not followed.
    pub(crate) async fn ask(&self, query: Query) -> Result<DnsResponse, NetError> {
        let mut options = DnsRequestOptions::default();
        options.use_edns = true;
        options.edns_set_dnssec_ok = self.validates();
        options.recursion_desired = true;
        match self {
            Self::Plain(pool) => pool.lookup(query, options).first_answer().await,
            Self::Validating(handle) => handle.lookup(query, options).first_answer().await,
        }
    }
}

/// The keys that validation starts from; none where it is off.
pub(crate) fn trust_anchors(config: &Config) -> Result<Option<TrustAnchors>, StartError> {
    if !config.dnssec {
        return Ok(None);
    }
    let Some(path) = &config.trust_anchor else { return Ok(Some(TrustAnchors::default())) };
    let anchors = TrustAnchors::from_file(path)
        .map_err(|error| StartError::open(path, format!("DNSKEY records are expected: {error}")))?;
    if anchors.is_empty() {
        return Err(StartError::open(path, "holds no DNSKEY record of the root zone"));
    }
    Ok(Some(anchors))
}

fn options(config: &Config) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = config.timeout.get();
    options.attempts = config.attempts;
    options.edns0 = true;
    options.validate = config.dnssec;
    options.cache_size = config.cache_entries as u64;
    options.positive_max_ttl = Some(config.max_ttl.get());
    options.negative_max_ttl = Some(config.negative_ttl.get());
    options.use_hosts_file = ResolveHosts::Never;
    options.preserve_intermediates = true;
    options.try_tcp_on_error = true;
    options.max_active_requests = config.in_flight;
    options.server_ordering_strategy = ServerOrderingStrategy::QueryStatistics;
    options
}

fn servers(config: &Config) -> Result<Vec<NameServerConfig>, StartError> {
    if !config.servers.is_empty() {
        return Ok(config.servers.iter().copied().map(server).collect());
    }
    let (system, _) = system_conf::read_system_conf().map_err(|error| {
        StartError::open("/etc/resolv.conf", format!("{error}; name the servers in `dns.servers`"))
    })?;
    if system.name_servers().is_empty() {
        return Err(StartError::open("/etc/resolv.conf", "names no server; name them in `dns.servers`"));
    }
    Ok(system.name_servers().to_vec())
}

fn server(address: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

/// A handle that remembers the responses of which validation is made.
#[derive(Clone)]
pub(crate) struct Infrastructure<H> {
    inner: H,
    cache: ResponseCache,
}

impl<H: DnsHandle> DnsHandle for Infrastructure<H> {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = H::Runtime;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let kinds = [RecordType::DNSKEY, RecordType::DS, RecordType::NS];
        let query = request.queries.first().filter(|query| kinds.contains(&query.query_type())).cloned();
        let Some(query) = query else { return self.inner.send(request).boxed() };
        if let Some(known) = self.cache.get(&query, Instant::now()) {
            let known = known.and_then(|message| DnsResponse::from_message(message).map_err(NetError::from));
            return stream::iter([known]).boxed();
        }
        let cache = self.cache.clone();
        let answer = self.inner.send(request).first_answer();
        stream::once(async move {
            let answer = match answer.await {
                // Validation looks for the zone's top by asking for NS from the name upwards. A name with an alias in a circle makes
                // servers fail; the top is then above it. What an attacker could win so, he could by answering that there is none.
                Err(NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)))
                    if query.query_type() == RecordType::NS =>
                {
                    return Err(NoRecords::new(query, ResponseCode::NoError).into());
                }
                answer => answer,
            };
            let known = match &answer {
                Ok(response) => Some(Ok(response.clone().into_message())),
                Err(error @ NetError::Dns(DnsError::NoRecordsFound(_))) => Some(Err(error.clone())),
                Err(_) => None,
            };
            if let Some(known) = known {
                cache.insert(query, known, Instant::now());
            }
            answer
        })
        .boxed()
    }
}

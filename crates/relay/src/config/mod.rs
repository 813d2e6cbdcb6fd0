//! The relay's configuration file.

mod delivery;
mod notice;
mod queue;
mod signing;
mod submission;

pub use delivery::{Connections, Delivery, Pool, Route, RouteTls, Timeouts};
pub use notice::{Language, Notice};
pub use queue::Queue;
pub use signing::Signing;
pub use submission::{Limits, Mechanism, Rate, Rates, Submission};

use crate::tls::TlsConfig;
use chasqui_base::{
    net::{IpNetwork, ListenAddress},
    tls::{PublicTlsFiles, TlsFiles},
};
use chasqui_directory::ClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The relay's configuration file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name in greetings, in `Received` lines and in EHLO to other sites; its reverse DNS should be the address that mail leaves from. Default `localhost`.
    pub hostname: String,
    /// Where users hand in mail after STARTTLS (RFC 6409). Default `["127.0.0.1:587"]`.
    pub submission: Vec<ListenAddress>,
    /// Where users hand in mail over TLS from the first octet (RFC 8314). Default `["127.0.0.1:465"]`.
    pub submissions: Vec<ListenAddress>,
    /// Where the site's other roles hand in mail, over mutual TLS, or plain on loopback. Default `["127.0.0.1:1587"]`.
    pub inside: Vec<ListenAddress>,
    /// The UNIX socket of `chasqui queue`. Default `/run/chasqui/relay.sock`.
    pub control: PathBuf,
    /// Networks of balancers, whose connections begin with a PROXY protocol v2 header. Default none.
    pub proxy_networks: Vec<IpNetwork>,
    /// Where the Prometheus page is served; loopback only. Default off.
    pub metrics: Option<ListenAddress>,
    /// The certificate for users. Without it nobody can submit, since a password is never taken in clear.
    pub public_tls: Option<PublicTlsFiles>,
    /// This host's certificate towards the site's other roles. Without it only those on loopback or on a UNIX socket are reached.
    pub tls: Option<TlsFiles>,
    /// How the directory is asked.
    pub directory: ClientConfig,
    /// What users may hand in, and how much of it.
    pub senders: Submission,
    /// DKIM signatures.
    pub signing: Signing,
    /// Messages that wait.
    pub queue: Queue,
    /// What senders are told of their messages.
    pub notices: Notice,
    /// How messages leave.
    pub delivery: Delivery,
    /// What protects them on their way.
    pub delivery_tls: TlsConfig,
    /// The DNS resolver.
    pub dns: chasqui_dns::Config,
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| vec![ListenAddress::Tcp(([127, 0, 0, 1], port).into())];
        Self {
            hostname: "localhost".into(),
            submission: local(587),
            submissions: local(465),
            inside: local(1587),
            control: "/run/chasqui/relay.sock".into(),
            proxy_networks: Vec::new(),
            metrics: None,
            public_tls: None,
            tls: None,
            directory: ClientConfig::default(),
            senders: Submission::default(),
            signing: Signing::default(),
            queue: Queue::default(),
            notices: Notice::default(),
            delivery: Delivery::default(),
            delivery_tls: TlsConfig::default(),
            dns: chasqui_dns::Config::default(),
        }
    }
}

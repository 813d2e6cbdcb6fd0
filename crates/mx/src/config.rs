//! The exchanger's configuration file.

use chasqui_base::{
    ByteSize, EmailAddress, Span, StartError,
    net::{AcceptLimits, Endpoint, IpNetwork, ListenAddress},
    tls::{PublicTlsFiles, TlsFiles},
};
use chasqui_courier::config::Delivery;
use chasqui_directory::ClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The exchanger's configuration file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name in the greeting, in `Received` lines and towards storage nodes. Default `localhost`.
    pub hostname: String,
    /// Where SMTP is served. Default `["127.0.0.1:25"]`.
    pub listen: Vec<ListenAddress>,
    /// Where mail to `postmaster` without a domain, and to the postmaster of a domain of ours that has none, goes (RFC 5321 §4.5.1).
    /// Default: `postmaster@` the hostname.
    pub postmaster: Option<EmailAddress>,
    /// What happens to a message whose storage node cannot take it now. Default `spool`.
    pub when_unavailable: WhenUnavailable,
    /// Networks of balancers, whose connections begin with a PROXY protocol v2 header. Default none.
    pub proxy_networks: Vec<IpNetwork>,
    /// Where the Prometheus page is served; loopback only. Default off.
    pub metrics: Option<ListenAddress>,
    /// The certificate for STARTTLS. Without it STARTTLS is not offered.
    pub public_tls: Option<PublicTlsFiles>,
    /// This host's certificate towards storage nodes and directory servers. Without it only those on loopback or on a UNIX
    /// socket are reached.
    pub tls: Option<TlsFiles>,
    /// How the directory is asked.
    pub directory: ClientConfig,
    /// What one client may ask for.
    pub limits: Limits,
    /// The connections to storage nodes.
    pub delivery: Delivery,
    /// Messages that wait for their storage node.
    pub spool: Spool,
    /// How names are looked up.
    pub dns: chasqui_dns::Config,
    /// What is believed of clients and messages.
    pub filter: chasqui_filter::Config,
    /// Relays that take messages of our own, `host:1587`, tried in turn: DMARC reports so far. Default none.
    pub relay: Vec<Endpoint>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hostname: "localhost".into(),
            listen: vec![ListenAddress::Tcp(([127, 0, 0, 1], 25).into())],
            postmaster: None,
            when_unavailable: WhenUnavailable::Spool,
            proxy_networks: Vec::new(),
            metrics: None,
            public_tls: None,
            tls: None,
            directory: ClientConfig::default(),
            limits: Limits::default(),
            delivery: Delivery::default(),
            spool: Spool::default(),
            dns: chasqui_dns::Config::default(),
            filter: chasqui_filter::Config::default(),
            relay: Vec::new(),
        }
    }
}

impl Config {
    /// Refuses values that the types let pass, with the key and how to mend it.
    pub fn check(&self) -> Result<(), StartError> {
        crate::service::Policy::new(self.clone()).map(|_| ())
    }
}

/// What happens to a message whose storage node cannot take it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenUnavailable {
    /// It is kept in the spool, answered 250 and retried.
    Spool,
    /// The sender is told to retry (4xx). Then one transaction takes recipients of one node only. The spool is still used where a
    /// refusal could double a message: the node's answer was lost, or another recipient has the message already.
    Refuse,
}

/// What one client may ask for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections in all. More get 421. Default 10000.
    pub connections: usize,
    /// Connections from one address. More get 421. Default 100.
    pub connections_per_address: usize,
    /// Octets of a message. More get 552 5.3.4. Default 50MB.
    pub message_size: ByteSize,
    /// Recipients of a transaction. More get 452 4.5.3. Default 1000.
    pub recipients: u32,
    /// Accounts that the recipients of a transaction may expand to through aliases. More get 452 4.5.3. Default 10000.
    pub accounts: usize,
    /// Messages of one connection. Then it is closed with 421. Default no limit.
    pub messages: Option<u32>,
    /// Octets of a command line. Longer ones get 500. Default 2048.
    pub line_length: usize,
    /// Octets of a line of message text. Messages with longer ones get 554. Default no limit.
    pub text_line_length: Option<usize>,
    /// Refusals (5xx) before a connection is closed with 421. Default 20.
    pub errors: u32,
    /// Unknown commands before a connection is closed with 421. Default 5.
    pub unknown_commands: u32,
    /// Commands without effect (NOOP, RSET, …) between two messages before a connection is closed with 421. Default 100.
    pub idle_commands: u32,
    /// `Received` lines of a message. More are taken for a loop: 554 5.4.6. Default 100.
    pub received_lines: usize,
    /// Octets of a message's header. Longer ones get 552 5.3.4. Default 512KiB.
    pub header_size: ByteSize,
    /// MIME parts and messages within each other. More get 554 5.6.0. Default 50.
    pub mime_depth: usize,
    /// How long a client may take for its next command (RFC 5321 §4.5.3.2.7). Default 5m.
    pub command_timeout: Span,
    /// How long a client may pause while it sends a message. Default 3m.
    pub data_timeout: Span,
    /// How long a client may take for a whole message. Default 1h.
    pub message_timeout: Span,
    /// Octets of a message that are held in memory; what is more goes to a file in the spool folder. Default 256KiB.
    pub memory: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        let wire = chasqui_smtp::Limits::default();
        let accept = AcceptLimits::default();
        Self {
            connections: accept.connections,
            connections_per_address: accept.per_address,
            message_size: ByteSize(50_000_000),
            recipients: 1000,
            accounts: 10_000,
            messages: None,
            line_length: wire.line_length,
            text_line_length: None,
            errors: wire.errors,
            unknown_commands: wire.unknown_commands,
            idle_commands: wire.idle_commands,
            received_lines: 100,
            header_size: ByteSize(512 * 1024),
            mime_depth: 50,
            command_timeout: Span::secs(300),
            data_timeout: Span::secs(180),
            message_timeout: Span::secs(3600),
            memory: ByteSize(256 * 1024),
        }
    }
}

/// Messages that wait for their storage node.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// The folder. Messages wait in `queue`; those that can never be delivered are kept in `failed` for the operator.
    /// Default `/var/lib/chasqui/spool`.
    pub path: PathBuf,
    /// Messages that may wait. More get 452 4.3.1. Default 100000.
    pub entries: usize,
    /// Messages that are retried to one node at once. Default 8.
    pub per_node: usize,
    /// The pause before the first retry; doubles each time, with a fifth of chance. When a node is back, its messages do not wait.
    /// Default 5s.
    pub first_pause: Span,
    /// The longest pause between two retries. Default 15m.
    pub longest_pause: Span,
    /// How long a message is retried. Then it goes to `failed`. Default 5d.
    pub max_age: Span,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            path: "/var/lib/chasqui/spool".into(),
            entries: 100_000,
            per_node: 8,
            first_pause: Span::secs(5),
            longest_pause: Span::secs(900),
            max_age: Span::secs(5 * 86_400),
        }
    }
}

//! What an operator may set: the `[directory]` section of every role that asks, and the directory role's own file.

use std::net::SocketAddr;
use std::path::PathBuf;

use chasqui_base::net::{AcceptLimits, Endpoint, ListenAddress};
use chasqui_base::tls::TlsFiles;
use chasqui_base::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a role asks the directory.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientConfig {
    /// The directory servers, `host:port`, at most eight. The first is the primary, the next ones are asked when it does not answer in time.
    pub servers: Vec<Endpoint>,
    /// The cluster's key file: the same two lines on every host of the site, readable by the role's user only.
    pub keys: PathBuf,
    /// How long the primary may take for a look-up before the secondary is asked too. Default 20ms.
    pub hedge: Span,
    /// The same for a password check, which takes long by design. Default 500ms.
    pub verify_hedge: Span,
    /// When a question is given up and the caller told that no directory answers. Default 2s.
    pub give_up: Span,
    /// How long a server that did not answer is asked second instead of first. It is probed meanwhile. Default 5s.
    pub dead_for: Span,
    /// Questions that may be open at once; more wait, at most `give_up`. Default 4096.
    pub in_flight: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            keys: PathBuf::from("/etc/chasqui/directory.keys"),
            hedge: Span::millis(20),
            verify_hedge: Span::millis(500),
            give_up: Span::secs(2),
            dead_for: Span::secs(5),
            in_flight: 4096,
        }
    }
}

/// The directory role's configuration file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where look-ups are answered: one address for UDP and, for answers that fit in no datagram, TCP. Default `127.0.0.1:1701`.
    pub listen: SocketAddr,
    /// This host's certificate for the TCP side. Without it TCP is served on loopback only.
    pub tls: Option<TlsFiles>,
    /// The cluster's key file: two lines of base64, 32 bytes each; the first seals, both open. Readable by the role's user only.
    pub keys: PathBuf,
    /// The user database.
    pub database: DatabaseConfig,
    /// Threads that answer datagrams. Default 0: as many as the machine has cores, at most 8.
    pub receive_threads: usize,
    /// The password checks.
    pub verify: VerifyConfig,
    /// Bounds that protect the server.
    pub limits: LimitsConfig,
    /// Where the Prometheus page is served; loopback only. Default none.
    pub metrics: Option<ListenAddress>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 1701)),
            tls: None,
            keys: PathBuf::from("/etc/chasqui/directory.keys"),
            database: DatabaseConfig::default(),
            receive_threads: 0,
            verify: VerifyConfig::default(),
            limits: LimitsConfig::default(),
            metrics: None,
        }
    }
}

/// Where the users are kept, and how soon a change is seen.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// The SQLite file; `chasqui domain add` creates it. Default `/var/lib/chasqui/directory.sqlite`.
    pub path: PathBuf,
    /// How often changes are looked for. Default 200ms.
    pub poll: Span,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { path: PathBuf::from("/var/lib/chasqui/directory.sqlite"), poll: Span::millis(200) }
    }
}

/// How passwords are checked.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VerifyConfig {
    /// Threads that hash, each with 19 MiB while it works. Default 0: as many as the machine has cores.
    pub threads: usize,
    /// Checks that may wait; a log-in storm beyond it is told to come back. Default 1024.
    pub queue: usize,
    /// A check that waited this long is dropped, since its client has given up. Default 2s.
    pub patience: Span,
    /// How long a right password is remembered, so that clients that reconnect all day cost nothing. 0 turns it off. Default 5m.
    pub cache_ttl: Span,
    /// Right passwords remembered at once. Default 65536.
    pub cache_entries: usize,
}

impl Default for VerifyConfig {
    fn default() -> Self {
        Self {
            threads: 0,
            queue: 1024,
            patience: Span::secs(2),
            cache_ttl: Span::secs(300),
            cache_entries: 65_536,
        }
    }
}

/// Bounds that protect the server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Destinations that one recipient may expand to; a longer list is refused as temporarily failing. Default 1000.
    pub expansion: usize,
    /// Aliases of aliases that are followed. Default 10.
    pub depth: usize,
    /// Client processes whose counters are remembered against replays; a new one beyond is not answered. Default 16384.
    pub sessions: usize,
    /// How far a client's clock may be off. Default 30s.
    pub clock_skew: Span,
    /// Accounts whose quota is remembered as used up. Default 100000.
    pub over_quota: usize,
    /// How long an owner's report that a quota is used up holds unless repeated. Default 60s.
    pub over_quota_ttl: Span,
    /// Connections for answers that fit in no datagram.
    pub tcp: AcceptLimits,
    /// How long such a connection may stay idle. Default 30s.
    pub tcp_idle: Span,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            expansion: 1000,
            depth: 10,
            sessions: 16_384,
            clock_skew: Span::secs(30),
            over_quota: 100_000,
            over_quota_ttl: Span::secs(60),
            tcp: AcceptLimits { connections: 256, per_address: 64 },
            tcp_idle: Span::secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_every_key_is_the_default() {
        let text = chasqui_base::config::example::<Config>("directory");
        let read: Config =
            chasqui_base::config::parse(&text, "example").unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(format!("{read:?}"), format!("{:?}", Config::default()));
        let error =
            chasqui_base::config::parse::<Config>("[limits]\nexpansions = 3\n", "x").unwrap_err().to_string();
        assert!(error.contains("limits"), "{error}");
    }

    #[test]
    fn the_example_of_a_client_is_the_default() {
        let text = chasqui_base::config::example::<ClientConfig>("directory");
        let read: ClientConfig =
            chasqui_base::config::parse(&text, "example").unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(format!("{read:?}"), format!("{:?}", ClientConfig::default()));
    }
}

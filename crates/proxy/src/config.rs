//! The proxy's configuration file. The doc comments are its reference.

use chasqui_base::net::{AcceptLimits, IpNetwork, ListenAddress};
use chasqui_base::service::require_tls_or_local;
use chasqui_base::tls::{PublicTlsFiles, TlsFiles};
use chasqui_base::{ByteSize, Span, StartError};
use chasqui_directory::ClientConfig;
use chasqui_sasl::guessing::GuessingConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The client-facing IMAP and POP3 proxy (S9): one host name for every user, whichever storage node owns the mailbox.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Addresses for IMAP with STARTTLS (port 143). Default: `["127.0.0.1:143"]`.
    pub imap: Vec<ListenAddress>,
    /// Addresses for IMAP inside TLS (port 993); needs `public_tls`. Default: none.
    pub imaps: Vec<ListenAddress>,
    /// Addresses for POP3 with STLS (port 110). Default: `["127.0.0.1:110"]`.
    pub pop3: Vec<ListenAddress>,
    /// Addresses for POP3 inside TLS (port 995); needs `public_tls`. Default: none.
    pub pop3s: Vec<ListenAddress>,
    /// Where the metrics page is served, on loopback only. Default: nowhere.
    pub metrics: Option<ListenAddress>,
    /// Where passwords are accepted without TLS. Default: `"loopback"`.
    pub plaintext_login: PlaintextLogin,
    /// Networks of balancers that begin each connection with a PROXY protocol v2 header; from other addresses such a
    /// header is an error. Changes take effect at a restart. Default: none.
    pub proxy_networks: Vec<IpNetwork>,
    /// How many, how long, how often. All sizes are of what one client may ask before it has logged in.
    pub limits: Limits,
    /// How long the proxy waits for whom.
    pub timeouts: Timeouts,
    /// Protection against guessed passwords.
    pub guessing: GuessingConfig,
    /// How to reach the directory.
    pub directory: ClientConfig,
    /// The certificate that clients see. Without it there is neither STARTTLS nor a listener inside TLS, and the proxy
    /// listens on loopback and UNIX sockets only. Default: unset.
    pub public_tls: Option<PublicTlsFiles>,
    /// The proxy's own certificate towards storage nodes and directory servers (role `proxy`). Without it both must be
    /// on loopback or UNIX sockets. Default: unset.
    pub tls: Option<TlsFiles>,
}

/// Where passwords are accepted without TLS. Elsewhere IMAP says LOGINDISABLED and POP3 refuses USER until the client
/// has started TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlaintextLogin {
    /// From clients on this host.
    #[default]
    Loopback,
    /// From nobody.
    Never,
    /// From everybody: only for networks that are encrypted below.
    Always,
}

/// Bounds on what clients may take up.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections of each listener, logged in or not. Default: 50000.
    pub connections: usize,
    /// Open connections of one client address at each listener. Many people may share an address.
    /// Default: 4000.
    pub per_address: usize,
    /// Longest command before the log-in, with its literals. Default: `"8KiB"`.
    pub command: ByteSize,
    /// Commands before the log-in that are wrong or out of place, after which the connection is closed. Default: 10.
    pub errors: u32,
    /// Failed log-ins in one connection, after which it is closed. Default: 5.
    pub log_ins: u32,
}

/// How long the proxy waits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For the client to log in, from its connection on, the time of TLS included. Default: `"60s"`.
    pub pre_auth: Span,
    /// For a byte in either direction after the log-in. Storage nodes close idle sessions after 30 minutes by their
    /// own (RFC 9051 §5.4); this is for peers that vanished. Default: `"31m"`.
    pub idle: Span,
    /// For a connection to a storage node, the time of TLS included. Default: `"5s"`.
    pub connect: Span,
    /// For a storage node to open the mailbox. Default: `"20s"`.
    pub open_mailbox: Span,
    /// For a storage node that could not be reached before it is tried again; until then its users are told at once.
    /// Default: `"2s"`.
    pub node_retry: Span,
}

impl Config {
    /// What the types cannot say; every role calls it at start and reload.
    pub fn check(&self) -> Result<(), StartError> {
        let public = self.public_tls.is_some();
        let listeners =
            [("imap", &self.imap), ("imaps", &self.imaps), ("pop3", &self.pop3), ("pop3s", &self.pop3s)];
        for (key, addresses) in listeners {
            if key.ends_with('s') && !addresses.is_empty() && !public {
                return Err(StartError::value(key, "needs a certificate: set [public_tls]"));
            }
            for address in addresses {
                require_tls_or_local(key, address, public)?;
            }
        }
        if listeners.iter().all(|(_, addresses)| addresses.is_empty()) {
            return Err(StartError::value(
                "imap",
                "no listener is configured: set imap, imaps, pop3 or pop3s",
            ));
        }
        if self.metrics.as_ref().is_some_and(|address| !address.is_local()) {
            return Err(StartError::value("metrics", "must be on loopback or a UNIX socket"));
        }
        let limits = [
            ("limits.connections", self.limits.connections),
            ("limits.per_address", self.limits.per_address),
            ("limits.errors", self.limits.errors as usize),
            ("limits.log_ins", self.limits.log_ins as usize),
        ];
        if let Some((key, _)) = limits.iter().find(|(_, value)| *value == 0) {
            return Err(StartError::value(*key, "must be at least 1"));
        }
        if !(512..=1 << 20).contains(&self.limits.command.as_u64()) {
            return Err(StartError::value("limits.command", "must be between 512B and 1MiB"));
        }
        let timeouts = [
            ("timeouts.pre_auth", self.timeouts.pre_auth),
            ("timeouts.idle", self.timeouts.idle),
            ("timeouts.connect", self.timeouts.connect),
            ("timeouts.open_mailbox", self.timeouts.open_mailbox),
            ("guessing.half_life", self.guessing.half_life),
        ];
        if let Some((key, _)) = timeouts.iter().find(|(_, value)| value.get().is_zero()) {
            return Err(StartError::value(*key, "must be longer than zero"));
        }
        Ok(())
    }
}

impl Limits {
    /// The part of them that the accept loop enforces.
    pub(crate) fn accept(&self) -> AcceptLimits {
        AcceptLimits { connections: self.connections, per_address: self.per_address }
    }
}

impl Default for Config {
    fn default() -> Self {
        let loopback = |port| ListenAddress::Tcp(([127, 0, 0, 1], port).into());
        Self {
            imap: vec![loopback(143)],
            imaps: Vec::new(),
            pop3: vec![loopback(110)],
            pop3s: Vec::new(),
            metrics: None,
            plaintext_login: PlaintextLogin::default(),
            proxy_networks: Vec::new(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            guessing: GuessingConfig::default(),
            directory: ClientConfig::default(),
            public_tls: None,
            tls: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 50_000, per_address: 4_000, command: ByteSize(8 << 10), errors: 10, log_ins: 5 }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            pre_auth: Span::secs(60),
            idle: Span::secs(31 * 60),
            connect: Span::secs(5),
            open_mailbox: Span::secs(20),
            node_retry: Span::secs(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chasqui_base::config;

    #[test]
    fn the_example_is_a_configuration_that_is_accepted() {
        let text = config::example::<Config>("proxy");
        for key in ["plaintext_login", "[guessing]", "first_delay", "[timeouts]", "proxy_networks"] {
            assert!(text.contains(key), "{key} in {text}");
        }
        config::parse::<Config>(&text, "example").unwrap().check().unwrap();
    }

    #[test]
    fn values_that_cannot_work_are_refused_with_their_key() {
        let refused = |change: fn(&mut Config), key: &str| {
            let mut config = Config::default();
            change(&mut config);
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")), "{key}: {error}");
        };
        refused(|config| config.limits.connections = 0, "limits.connections");
        refused(|config| config.limits.per_address = 0, "limits.per_address");
        refused(|config| config.limits.log_ins = 0, "limits.log_ins");
        refused(|config| config.limits.command = ByteSize(10), "limits.command");
        refused(|config| config.timeouts.idle = Span::secs(0), "timeouts.idle");
        refused(|config| config.guessing.half_life = Span::secs(0), "guessing.half_life");
        refused(|config| config.pop3s = vec!["127.0.0.1:995".parse().unwrap()], "pop3s");
        refused(|config| config.pop3 = vec!["192.0.2.1:110".parse().unwrap()], "pop3");
        refused(|config| (config.imap, config.pop3) = (Vec::new(), Vec::new()), "imap");
        refused(|config| config.metrics = Some("192.0.2.1:9106".parse().unwrap()), "metrics");
    }
}

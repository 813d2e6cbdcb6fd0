//! The storage role's configuration file.

use chasqui_base::net::{AcceptLimits, ListenAddress};
use chasqui_base::service::StartError;
use chasqui_base::tls::TlsFiles;
use chasqui_base::{ByteSize, Span};
use chasqui_directory::ClientConfig;
use chasqui_mailstore::StoreConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::training::TrainingConfig;

/// A storage node.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// This node's name as the directory knows it (`chasqui node list`); compared exactly. Default `storage1`.
    pub name: String,
    /// Where deliveries are taken (LMTP, RFC 2033). Default `127.0.0.1:1024`.
    pub lmtp: ListenAddress,
    /// Where proxies connect for IMAP. Default `127.0.0.1:1143`.
    pub imap: ListenAddress,
    /// Where proxies connect for POP3. Default `127.0.0.1:1110`.
    pub pop3: ListenAddress,
    /// This host's certificate. Without it the three listeners must be on loopback or UNIX sockets and speak in clear. Default none.
    pub tls: Option<TlsFiles>,
    /// The directory servers, which say which accounts this node owns.
    pub directory: ClientConfig,
    /// Where accounts are kept on disk.
    pub store: StoreConfig,
    /// Bounds that protect the node.
    pub limits: LimitsConfig,
    /// How long is waited for a peer.
    pub timeouts: TimeoutsConfig,
    /// What a spam filter is told when users sort their Junk.
    pub junk_training: TrainingConfig,
    /// Where the Prometheus page is served; loopback only. Default none.
    pub metrics: Option<ListenAddress>,
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| ListenAddress::Tcp(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
        Self {
            name: "storage1".to_owned(),
            lmtp: local(1024),
            imap: local(1143),
            pop3: local(1110),
            tls: None,
            directory: ClientConfig::default(),
            store: StoreConfig::default(),
            limits: LimitsConfig::default(),
            timeouts: TimeoutsConfig::default(),
            junk_training: TrainingConfig::default(),
            metrics: None,
        }
    }
}

/// Bounds that protect the node. Those of a session change with a reload, for the sessions that begin after it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Connections to the LMTP listener. Default 1000, 1000 from one address.
    pub lmtp: AcceptLimits,
    /// Connections to the IMAP listener; they come from few proxies. Default 60000, 60000 from one address.
    pub imap: AcceptLimits,
    /// Connections to the POP3 listener. Default 20000, 20000 from one address.
    pub pop3: AcceptLimits,
    /// Largest message that is taken, by LMTP or by IMAP APPEND. Keep it above the exchangers' own limit: they add a `Received`
    /// line to what they took, and a message that the node refuses for its size then comes too late. Default 64MB.
    pub message: ByteSize,
    /// Recipients of one LMTP transaction. Default 1000.
    pub recipients: u32,
    /// Longest command line of an LMTP or POP3 peer, octets. Default 4KiB.
    pub command_line: ByteSize,
    /// Malformed or refused commands before a session is closed. Default 20.
    pub errors: u32,
    /// An account with less space left than this is reported as over quota, so that the exchangers refuse its mail at RCPT. Default 16KiB.
    pub quota_reserve: ByteSize,
    /// Accounts over quota that are reported at once. Default 100000.
    pub over_quota: usize,
    /// Accounts whose directory record is kept for `timeouts.directory_cache`. Default 4096.
    pub directory_cache: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let both = |connections| AcceptLimits { connections, per_address: connections };
        Self {
            lmtp: both(1000),
            imap: both(60_000),
            pop3: both(20_000),
            message: ByteSize(64_000_000),
            recipients: 1000,
            command_line: ByteSize(4096),
            errors: 20,
            quota_reserve: ByteSize(16 * 1024),
            over_quota: 100_000,
            directory_cache: 4096,
        }
    }
}

/// How long is waited for a peer, and how long things are remembered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutsConfig {
    /// An LMTP connection without a command is closed after this; exchangers keep theirs open between messages. Default 10m.
    pub lmtp_idle: Span,
    /// Wait for the next octets of a message that is being sent. Default 2m.
    pub data: Span,
    /// Wait for a proxy to name the account after it connected. Default 30s.
    pub log_in: Span,
    /// A POP3 session without a command is closed after this; RFC 1939 §3 asks for 10 minutes at least. Default 10m.
    pub pop3_idle: Span,
    /// An IMAP session without a command is closed after this; RFC 9051 §5.4 asks for 30 minutes at least. Default 31m.
    pub imap_idle: Span,
    /// Wait for a peer to take what is sent to it, before each further 64 KiB. Default 2m.
    pub write: Span,
    /// How long an answer of the directory is used again for deliveries; at most 1s. 0 asks each time. Default 500ms.
    pub directory_cache: Span,
    /// How often accounts over quota are measured and reported again; the directory forgets them after 60s. Default 15s.
    pub over_quota_report: Span,
}

impl Default for TimeoutsConfig {
    fn default() -> Self {
        Self {
            lmtp_idle: Span::secs(600),
            data: Span::secs(120),
            log_in: Span::secs(30),
            pop3_idle: Span::secs(600),
            imap_idle: Span::secs(31 * 60),
            write: Span::secs(120),
            directory_cache: Span::millis(500),
            over_quota_report: Span::secs(15),
        }
    }
}

impl Config {
    /// Refuses values that cannot work, with the key and how to mend it.
    ///
    /// # Errors
    /// [`StartError::Value`].
    pub fn check(&self) -> Result<(), StartError> {
        let listeners = [("lmtp", &self.lmtp), ("imap", &self.imap), ("pop3", &self.pop3)];
        for (key, address) in listeners {
            chasqui_base::service::require_tls_or_local(key, address, self.tls.is_some())?;
        }
        if let Some(metrics) = &self.metrics
            && !metrics.is_local()
        {
            return Err(StartError::value("metrics", "must be on loopback or a UNIX socket"));
        }
        let wrong = |key: &str, reason: &str| Err(StartError::value(key, reason));
        let (limits, timeouts) = (&self.limits, &self.timeouts);
        if self.name.is_empty() {
            return wrong("name", "must be the node's name as `chasqui node list` shows it");
        }
        if limits.message.as_u64() == 0 {
            return wrong("limits.message", "must be at least 1");
        }
        if !(1..=100_000).contains(&limits.recipients) {
            return wrong("limits.recipients", "must be between 1 and 100000");
        }
        if !(512..=1 << 20).contains(&limits.command_line.as_u64()) {
            return wrong("limits.command_line", "must be between 512 octets and 1MiB");
        }
        if timeouts.directory_cache.get() > std::time::Duration::from_secs(1) {
            return wrong(
                "timeouts.directory_cache",
                "must be at most 1s: ownership may not be believed longer",
            );
        }
        self.junk_training.check()?;
        let waits = [
            ("timeouts.lmtp_idle", timeouts.lmtp_idle),
            ("timeouts.data", timeouts.data),
            ("timeouts.log_in", timeouts.log_in),
            ("timeouts.pop3_idle", timeouts.pop3_idle),
            ("timeouts.imap_idle", timeouts.imap_idle),
            ("timeouts.write", timeouts.write),
            ("timeouts.over_quota_report", timeouts.over_quota_report),
        ];
        match waits.into_iter().find(|(_, wait)| wait.get().is_zero()) {
            Some((key, _)) => wrong(key, "must be longer than nothing"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_configuration_that_is_accepted() {
        let text = chasqui_base::config::example::<Config>("storage");
        assert!(text.contains("[timeouts]") && text.contains("quota_reserve"));
        assert!(Config::default().check().is_ok());
    }

    #[test]
    fn values_that_cannot_work_are_refused_with_their_key() {
        let refused = |change: fn(&mut Config), key: &str| {
            let mut config = Config::default();
            change(&mut config);
            let error = config.check().err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(key), "{key}: {error}");
        };
        refused(|config| config.name.clear(), "name");
        refused(|config| config.limits.message = ByteSize(0), "limits.message");
        refused(|config| config.limits.recipients = 0, "limits.recipients");
        refused(|config| config.limits.command_line = ByteSize(10), "limits.command_line");
        refused(|config| config.timeouts.directory_cache = Span::secs(5), "timeouts.directory_cache");
        refused(|config| config.timeouts.write = Span::secs(0), "timeouts.write");
        refused(|config| config.imap = ListenAddress::Tcp(([192, 0, 2, 1], 1143).into()), "imap");
        refused(|config| config.metrics = Some(ListenAddress::Tcp(([192, 0, 2, 1], 9103).into())), "metrics");
    }
}

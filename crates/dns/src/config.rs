//! What an operator may set: the `[dns]` section of every role that looks names up.

use std::net::SocketAddr;
use std::path::PathBuf;

use chasqui_base::StartError;
use chasqui_base::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::transport;

/// How names are looked up.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The recursive servers, `address:port`, at most eight, asked over UDP and TCP. They must pass DNSSEC records on. Default none:
    /// those of `/etc/resolv.conf`, read at the start.
    pub servers: Vec<SocketAddr>,
    /// Whether signatures are validated. Without it no answer is secure, and so DANE is off. Default true.
    pub dnssec: bool,
    /// A file of DNSKEY records that replace the built-in keys of the root zone. Default none.
    pub trust_anchor: Option<PathBuf>,
    /// How long one question may take before it is asked again. Default 3s.
    pub timeout: Span,
    /// How often a question without an answer is asked again, 0 to 10. Default 2.
    pub attempts: usize,
    /// How long a whole look-up may take, with its aliases, keys and repetitions. Default 10s.
    pub deadline: Span,
    /// Outcomes that are remembered. One of more than 512 octets counts as several. Default 65536.
    pub cache_entries: usize,
    /// How long records are remembered at most, whatever their own time says. Default 1d.
    pub max_ttl: Span,
    /// How long it is remembered at most that a name or record does not exist. Default 15m.
    pub negative_ttl: Span,
    /// How long past its end a remembered answer is still given while no server answers (RFC 8767). Never one that DNSSEC proved, nor
    /// TLSA records. 0 turns it off. Default 1h.
    pub serve_stale: Span,
    /// Look-ups under way at once; more wait, within `deadline`. Default 1024.
    pub in_flight: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            dnssec: true,
            trust_anchor: None,
            timeout: Span::secs(3),
            attempts: 2,
            deadline: Span::secs(10),
            cache_entries: 65_536,
            max_ttl: Span::secs(86_400),
            negative_ttl: Span::secs(900),
            serve_stale: Span::secs(3600),
            in_flight: 1024,
        }
    }
}

impl Config {
    /// Refuses what cannot work; `key` is the section's name in the role's file. Reads the trust anchor, opens nothing.
    pub fn check(&self, key: &str) -> Result<(), StartError> {
        let bad = |name: &str, reason: &str| Err(StartError::value(format!("{key}.{name}"), reason));
        if self.servers.len() > 8 {
            return bad("servers", "at most eight servers can be asked");
        }
        if self.timeout.get().is_zero() {
            return bad("timeout", "must be longer than 0");
        }
        if self.deadline < self.timeout {
            return bad("deadline", "must not be shorter than `timeout`");
        }
        if self.attempts > 10 {
            return bad("attempts", "at most 10");
        }
        if self.cache_entries == 0 || self.in_flight == 0 {
            return bad("cache_entries", "`cache_entries` and `in_flight` must be at least 1");
        }
        if self.trust_anchor.is_some() && !self.dnssec {
            return bad("trust_anchor", "is of no use while `dnssec` is false: remove one of them");
        }
        transport::trust_anchors(self).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_every_key_is_the_default() {
        let text = chasqui_base::config::example::<Config>("dns");
        let read: Config =
            chasqui_base::config::parse(&text, "example").unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(format!("{read:?}"), format!("{:?}", Config::default()));
        Config::default().check("dns").unwrap();
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_key() {
        let refused = |change: fn(&mut Config), expected: &str| {
            let mut config = Config::default();
            change(&mut config);
            let error = config.check("mx.dns").unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused(|c| c.servers = vec![([127, 0, 0, 1], 53).into(); 9], "mx.dns.servers");
        refused(|c| c.timeout = Span::secs(0), "mx.dns.timeout");
        refused(|c| c.deadline = Span::secs(1), "mx.dns.deadline");
        refused(|c| c.attempts = 11, "mx.dns.attempts");
        refused(|c| c.cache_entries = 0, "mx.dns.cache_entries");
        refused(|c| c.trust_anchor = Some("/no/such/file".into()), "/no/such/file");
        refused(
            |c| {
                c.dnssec = false;
                c.trust_anchor = Some("/no/such/file".into());
            },
            "mx.dns.trust_anchor",
        );
    }
}

//! The `[delivery_tls]` section: what protects mail on its way out.

use std::net::SocketAddr;
use std::path::PathBuf;

use chasqui_base::{EmailAddress, Span, StartError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What protects mail on its way to other sites.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Whether TLSA records decide about certificates (DANE, RFC 7672). Needs `dns.dnssec`. Default true.
    pub dane: bool,
    /// Whether domains' MTA-STS policies are fetched and kept to (RFC 8461). Default true.
    pub mta_sts: bool,
    /// Whether mail may go in clear text to a host that offers no TLS, where no policy forbids it. Default true.
    pub cleartext: bool,
    /// What some domains need at least, whatever they publish. The most exact `domains` entry decides. Default none.
    pub minimums: Vec<DomainMinimum>,
    /// CAs beside those of Mozilla's list, PEM: for certificates of mail hosts and of MTA-STS policies. Default none.
    pub extra_ca: Option<PathBuf>,
    /// How long a TLS handshake may take. Default 30s.
    pub handshake: Span,
    /// Where MTA-STS policies and what TLS reports count are kept. Default `/var/lib/chasqui/relay/tls`.
    pub state: PathBuf,
    /// How long the fetch of an MTA-STS policy may take in all, and the sending of a report over HTTPS. Default 15s.
    pub fetch_deadline: Span,
    /// How long the fetch of a policy is not repeated after it failed (RFC 8461 §3.3). Default 5m.
    pub fetch_again: Span,
    /// How long a policy is used at most, whatever its own `max_age` says. Default 366d.
    pub policy_max_age: Span,
    /// Domains whose policies are remembered. Default 100000.
    pub policies: usize,
    /// Asked over HTTPS instead of every host that has a policy or takes reports; its certificate must still be that host's. For
    /// laboratories. Default none.
    pub https_server: Option<SocketAddr>,
    /// Reports to domains about the TLS that their hosts had (RFC 8460).
    pub reports: ReportConfig,
}

/// What a domain needs at least.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DomainMinimum {
    /// `example.org` for a domain, `*.example.org` for all below it, `*` for every other one.
    pub domains: Vec<String>,
    /// What it needs. Default `opportunistic`.
    pub level: MinimumLevel,
    /// For `verified`: names of which one must stand in the certificate, `mail.example.org` or `*.example.org`. Default none: the mail
    /// host's own name, which is worth little where DNS is not signed.
    pub names: Vec<String>,
}

/// What TLS a domain's hosts must have at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MinimumLevel {
    /// TLS where it is offered and works, clear text elsewhere.
    #[default]
    Opportunistic,
    /// TLS with any certificate.
    Encrypted,
    /// TLS with a certificate that a CA or DANE vouches for.
    Verified,
    /// TLS with a certificate that DANE vouches for.
    Dane,
}

/// TLS reports (RFC 8460).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReportConfig {
    /// Whether reports are collected and sent. Default false.
    pub enabled: bool,
    /// The name of this site in reports. Default none: the relay's host name.
    pub organization: Option<String>,
    /// Who answers questions about the reports, and their sender. Needed when `enabled`.
    pub contact: Option<EmailAddress>,
    /// Domains about which one day's report is collected; of further ones nothing is counted. Default 10000.
    pub domains: usize,
    /// Different failures kept of one domain and day; further ones are only counted. Default 100.
    pub failures: usize,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            dane: true,
            mta_sts: true,
            cleartext: true,
            minimums: Vec::new(),
            extra_ca: None,
            handshake: Span::secs(30),
            state: PathBuf::from("/var/lib/chasqui/relay/tls"),
            fetch_deadline: Span::secs(15),
            fetch_again: Span::secs(300),
            policy_max_age: Span::secs(366 * 86_400),
            policies: 100_000,
            https_server: None,
            reports: ReportConfig::default(),
        }
    }
}

impl Default for ReportConfig {
    fn default() -> Self {
        Self { enabled: false, organization: None, contact: None, domains: 10_000, failures: 100 }
    }
}

impl TlsConfig {
    /// Refuses values that the types let pass, with the key under `key` and how to mend it. Opens nothing.
    ///
    /// # Errors
    /// The first such value.
    pub fn check(&self, key: &str) -> Result<(), StartError> {
        let bad = |name: &str, reason: &str| Err(StartError::value(format!("{key}.{name}"), reason));
        if self.handshake.get().is_zero() || self.fetch_deadline.get().is_zero() {
            return bad("handshake, fetch_deadline", "must be longer than 0");
        }
        if self.policies == 0 || self.reports.domains == 0 || self.reports.failures == 0 {
            return bad("policies, reports.domains, reports.failures", "must not be 0");
        }
        if self.reports.enabled && self.reports.contact.is_none() {
            return bad("reports.contact", "reports need a sender: give an address that somebody reads");
        }
        for (index, minimum) in self.minimums.iter().enumerate() {
            if minimum.domains.is_empty() || !minimum.domains.iter().all(|domain| is_pattern(domain)) {
                return bad(
                    &format!("minimums[{index}].domains"),
                    "`example.org`, `*.example.org` or `*` is expected",
                );
            }
            if !minimum.names.iter().all(|name| name != "*" && is_pattern(name)) {
                return bad(
                    &format!("minimums[{index}].names"),
                    "`mail.example.org` or `*.example.org` is expected",
                );
            }
            if !minimum.names.is_empty() && minimum.level != MinimumLevel::Verified {
                return bad(&format!("minimums[{index}].names"), "are those of the level `verified`");
            }
            if minimum.level == MinimumLevel::Dane && !self.dane {
                return bad(&format!("minimums[{index}].level"), "cannot be `dane` while `dane` is false");
            }
        }
        Ok(())
    }

    /// What a domain needs at least: by its own entry, that of the nearest domain above it, or that of every other one.
    pub(super) fn minimum(&self, domain: &str) -> Option<&DomainMinimum> {
        let rank = |pattern: &str| match pattern.strip_prefix("*.") {
            _ if pattern.eq_ignore_ascii_case(domain) => Some(usize::MAX),
            Some(above) if is_below(domain, above) => Some(above.len()),
            None if pattern == "*" => Some(0),
            _ => None,
        };
        let ranked = self.minimums.iter().filter_map(|minimum| {
            Some((minimum.domains.iter().filter_map(|pattern| rank(pattern)).max()?, minimum))
        });
        ranked.max_by_key(|(rank, _)| *rank).map(|(_, minimum)| minimum)
    }
}

/// Whether a name lies below another, at whatever depth.
fn is_below(name: &str, above: &str) -> bool {
    let Some(cut) = name.len().checked_sub(above.len()) else { return false };
    match (name.get(..cut), name.get(cut..)) {
        (Some(labels), Some(end)) => {
            labels.len() > 1 && labels.ends_with('.') && end.eq_ignore_ascii_case(above)
        }
        _ => false,
    }
}

fn is_pattern(pattern: &str) -> bool {
    let name = pattern.strip_prefix("*.").unwrap_or(pattern);
    pattern == "*" || chasqui_base::DomainName::parse(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_every_key_is_the_default() {
        let text = chasqui_base::config::example::<TlsConfig>("tls");
        let read: TlsConfig =
            chasqui_base::config::parse(&text, "example").unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(format!("{read:?}"), format!("{:?}", TlsConfig::default()));
        TlsConfig::default().check("delivery_tls").unwrap();
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_key() {
        let refused = |text: &str, expected: &str| {
            let config: TlsConfig = chasqui_base::config::parse(text, "test").unwrap();
            let error = config.check("delivery_tls").unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused("handshake = 0", "delivery_tls.handshake");
        refused("policies = 0", "delivery_tls.policies");
        refused("[reports]\nenabled = true", "delivery_tls.reports.contact");
        refused("[[minimums]]\nlevel = \"encrypted\"", "minimums[0].domains");
        refused("[[minimums]]\ndomains = [\"x..y\"]", "minimums[0].domains");
        refused(
            "[[minimums]]\ndomains = [\"*\"]\nlevel = \"verified\"\nnames = [\"*\"]",
            "minimums[0].names",
        );
        refused("[[minimums]]\ndomains = [\"*\"]\nnames = [\"mx.example.org\"]", "minimums[0].names");
        refused("dane = false\n[[minimums]]\ndomains = [\"*\"]\nlevel = \"dane\"", "minimums[0].level");
    }

    #[test]
    fn the_most_exact_minimum_decides() {
        let text = "[[minimums]]\ndomains = [\"*\"]\nlevel = \"encrypted\"
[[minimums]]\ndomains = [\"*.example.org\"]\nlevel = \"verified\"
[[minimums]]\ndomains = [\"*.b.example.org\", \"a.example.org\"]\nlevel = \"dane\"";
        let config: TlsConfig = chasqui_base::config::parse(text, "test").unwrap();
        let level = |domain: &str| config.minimum(domain).unwrap().level;
        assert_eq!(level("example.org"), MinimumLevel::Encrypted);
        assert_eq!(level("x.example.org"), MinimumLevel::Verified);
        assert_eq!(level("xexample.org"), MinimumLevel::Encrypted);
        assert_eq!(level("A.example.org"), MinimumLevel::Dane);
        assert_eq!(level("x.b.example.org"), MinimumLevel::Dane);
        assert_eq!(level("ñ.b.example.org"), MinimumLevel::Dane);
        assert!(TlsConfig::default().minimum("example.org").is_none());
    }
}

//! What an operator decides about the authentication of messages.

use chasqui_base::{ByteSize, DomainName, Span, StartError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far a failed check may go. Each step includes the ones before it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The result stands in `Authentication-Results` and nothing else happens.
    None,
    /// The message is delivered with a mark in its header.
    Mark,
    /// The message is delivered into the Junk mailbox.
    Quarantine,
    /// The message is refused in session.
    #[default]
    Reject,
}

/// What happens while DNS cannot say whether a message is genuine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenUnsure {
    /// 451: the sender tries again later.
    #[default]
    Defer,
    /// The message is accepted; its header says `temperror`.
    Accept,
}

/// SPF, DKIM, DMARC and ARC: what is checked and what follows from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthenticationConfig {
    /// Whether messages are checked, and `Authentication-Results` that others wrote in our name removed. Default true.
    pub enabled: bool,
    /// The name in `Authentication-Results` (RFC 8601 §2.5), the same for all exchangers of a site. Default: the hostname.
    pub authserv_id: Option<String>,
    /// Whether all `Authentication-Results` that a message brings are removed, not only those with our name. Default false.
    pub remove_all_results: bool,
    /// How far what a sender's domain asks for with DMARC is followed, for recipients in domains that `receiving` does not name:
    /// `reject` follows it whole, `quarantine` files into Junk what it asks to refuse. Default `reject`.
    pub policy: Policy,
    /// The same for single domains of ours: `"example.org" = "mark"`. With recipients in several domains the mildest counts. Default none.
    pub receiving: BTreeMap<String, Policy>,
    /// What is done with mail that fails DMARC and names one of these domains, or one below it, as its author's: instead of what the
    /// domain publishes, and also when it publishes nothing. `receiving` and `policy` still bound it. Default none.
    pub sending: BTreeMap<String, Policy>,
    /// What an SPF `fail` by itself leads to, when DMARC does not pass. RFC 7208 §8.4: forwarded mail fails honestly. Default `none`.
    pub spf_fail: Policy,
    /// What a message without exactly one readable `From` field leads to: it names no author to check. Default `quarantine`.
    pub malformed_author: Policy,
    /// What happens when DNS fails, times out or is bogus (DNSSEC) and DMARC hangs on the answer. Default `defer`.
    pub when_unsure: WhenUnsure,
    /// Domains of ARC sealers (RFC 8617), mailing lists mostly, that are believed when they say that a message passed DMARC before they
    /// changed it. Default none.
    pub trusted_sealers: Vec<String>,
    /// Bounds on the work that one message can cause.
    pub limits: AuthenticationLimits,
}

impl Default for AuthenticationConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            authserv_id: None,
            remove_all_results: false,
            policy: Policy::Reject,
            receiving: BTreeMap::new(),
            sending: BTreeMap::new(),
            spf_fail: Policy::None,
            malformed_author: Policy::Quarantine,
            when_unsure: WhenUnsure::Defer,
            trusted_sealers: Vec::new(),
            limits: AuthenticationLimits::default(),
        }
    }
}

/// Bounds on the work that one message can cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthenticationLimits {
    /// Terms of SPF records that ask DNS, for one identity; more give `permerror` (RFC 7208 §4.6.4). Default 10.
    pub spf_lookups: usize,
    /// Questions of an SPF record that may have no answer; more give `permerror` (RFC 7208 §4.6.4). Default 2.
    pub spf_void_lookups: usize,
    /// How long SPF may take for one identity; then `temperror`. Default 20s.
    pub spf_deadline: Span,
    /// DKIM signatures that are checked, those of the author's domain first. Default 8.
    pub signatures: usize,
    /// ARC sets that are checked; a longer chain fails. Default 50, the most that RFC 8617 §4.2.1 allows.
    pub arc_sets: usize,
    /// How long all questions for DKIM, DMARC and ARC of one message may take; what is open then is `temperror`. Default 20s.
    pub deadline: Span,
    /// Octets of a message's header. A longer one is refused with 552 5.3.4. Default 512KiB.
    pub header_size: ByteSize,
}

impl Default for AuthenticationLimits {
    fn default() -> Self {
        Self {
            spf_lookups: 10,
            spf_void_lookups: 2,
            spf_deadline: Span::secs(20),
            signatures: 8,
            arc_sets: 50,
            deadline: Span::secs(20),
            header_size: ByteSize(512 * 1024),
        }
    }
}

impl AuthenticationConfig {
    /// Refuses values that the types let pass, with the key and how to mend it. `prefix` is the table's name.
    ///
    /// # Errors
    /// When a domain is no domain name, the name in `Authentication-Results` is none, or a limit is zero.
    pub fn check(&self, prefix: &str) -> Result<(), StartError> {
        let refuse = |key: &str, reason: String| StartError::Value { key: format!("{prefix}.{key}"), reason };
        let domain = |key: &str, name: &str| {
            DomainName::parse(name).map_err(|error| {
                refuse(key, format!("`{name}`: {error}; write a domain name such as example.org"))
            })
        };
        for name in self.receiving.keys() {
            domain("receiving", name)?;
        }
        for name in self.sending.keys() {
            domain("sending", name)?;
        }
        for name in &self.trusted_sealers {
            domain("trusted_sealers", name)?;
        }
        if let Some(name) = &self.authserv_id {
            domain("authserv_id", name)?;
        }
        let limits = &self.limits;
        for (key, value) in [
            ("limits.spf_lookups", limits.spf_lookups as u64),
            ("limits.signatures", limits.signatures as u64),
            ("limits.arc_sets", limits.arc_sets as u64),
            ("limits.header_size", limits.header_size.as_u64()),
        ] {
            if value == 0 {
                return Err(refuse(key, "must be at least 1".to_owned()));
            }
        }
        for (key, value) in
            [("limits.spf_deadline", limits.spf_deadline), ("limits.deadline", limits.deadline)]
        {
            if value.get().is_zero() {
                return Err(refuse(key, "must be longer than nothing, such as 20s".to_owned()));
            }
        }
        Ok(())
    }
}

/// A map from domains, canonical.
#[derive(Clone, Debug, Default)]
pub(crate) struct Domains(BTreeMap<String, Policy>);

impl Domains {
    pub(crate) fn new(map: &BTreeMap<String, Policy>) -> Self {
        Self(map.iter().filter_map(|(name, policy)| Some((canonical(name)?, *policy))).collect())
    }

    /// The entry for `domain` itself.
    pub(crate) fn exact(&self, domain: &str) -> Option<Policy> {
        self.0.get(domain).copied()
    }

    /// The entry for `domain` or the nearest above it.
    pub(crate) fn nearest(&self, domain: &str) -> Option<Policy> {
        let mut name = domain;
        loop {
            if let Some(policy) = self.0.get(name) {
                return Some(*policy);
            }
            name = name.split_once('.')?.1;
        }
    }
}

/// A domain name in lower case with A-labels, if it is one.
pub(crate) fn canonical(name: &str) -> Option<String> {
    DomainName::parse(name.strip_suffix('.').unwrap_or(name)).ok().map(|name| name.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_domain_is_refused_by_its_key() {
        let mut config = AuthenticationConfig::default();
        config.check("authentication").unwrap();
        config.sending.insert("not a domain".into(), Policy::Reject);
        let error = config.check("filter.authentication").unwrap_err().to_string();
        assert!(error.contains("filter.authentication.sending"), "{error}");
    }

    #[test]
    fn limits_of_nothing_are_refused() {
        let mut config = AuthenticationConfig::default();
        config.limits.signatures = 0;
        assert!(config.check("a").unwrap_err().to_string().contains("a.limits.signatures"));
        let mut config = AuthenticationConfig::default();
        config.limits.deadline = Span::secs(0);
        assert!(config.check("a").unwrap_err().to_string().contains("a.limits.deadline"));
    }

    #[test]
    fn the_nearest_domain_above_counts() {
        let map = [("example.org", Policy::Reject), ("list.example.org", Policy::None)];
        let domains = Domains::new(&map.map(|(name, policy)| (name.to_owned(), policy)).into());
        assert_eq!(domains.nearest("a.list.example.org"), Some(Policy::None));
        assert_eq!(domains.nearest("b.example.org"), Some(Policy::Reject));
        assert_eq!((domains.nearest("example.net"), domains.exact("b.example.org")), (None, None));
    }
}

//! SPF (RFC 7208): whether a client may use a domain.
//!
//! Both identities are checked (§2.3): the HELO name, whose `fail` decides for SPF (§2.4), and the reverse path's domain, which is
//! what DMARC looks at: a domain may well say of its hosts' names that no mail comes from them. Each has its own bounds: 10 terms that ask DNS, 2 questions without an answer (§4.6.4), and a deadline over all of it. What DNS says
//! becomes a result thus:
//!
//! | DNS | the record itself | a term's name | `include`, `redirect` |
//! | --- | --- | --- | --- |
//! | no such name, no data, a name that cannot be | none | no match | permerror |
//! | failure, timeout, bogus, CNAME loop | temperror | temperror (`ptr`: no match, §5.5) | temperror |
//! | two records | permerror | – | permerror |

mod macros;
mod record;

use self::{
    macros::{MacroString, Values},
    record::{Mechanism, Record, Target},
};
use super::{
    Sender,
    config::AuthenticationLimits,
    lookup::{self, Miss},
    verdict::{SpfCheck, SpfResult, SpfVerdict},
};
use chasqui_base::DomainName;
use chasqui_dns::Resolver;
use chasqui_smtp::ReversePath;
use std::{
    net::IpAddr,
    pin::Pin,
    time::{SystemTime, UNIX_EPOCH},
};

/// Exchangers of an `mx`, and names of a `ptr` or `%{p}`, that are looked at (§4.6.4).
const MOST_HOSTS: usize = 10;
/// Octets of an explanation: it goes into one line of a reply.
const MOST_EXPLANATION: usize = 400;

/// Checks both identities of a client.
pub(crate) async fn check(
    resolver: &Resolver,
    limits: &AuthenticationLimits,
    receiver: &str,
    sender: &Sender<'_>,
) -> SpfVerdict {
    // §5: an IPv4-mapped address is the IPv4 address.
    let ip = sender.ip.to_canonical();
    let identity = |domain: String, path: String| {
        let mut run = Run {
            resolver,
            limits,
            ip,
            hello: sender.hello,
            receiver,
            path,
            lookups: 0,
            voids: 0,
            validated: None,
        };
        async move {
            let outcome = tokio::time::timeout(limits.spf_deadline.get(), run.explained(&domain)).await;
            let (outcome, explanation) =
                outcome.unwrap_or((Outcome::because(SpfResult::TempError, "took too long"), None));
            SpfCheck { result: outcome.result, domain, explanation, reason: outcome.reason }
        }
    };
    // §2.4: without a reverse path the identity is postmaster at the HELO name, which is the HELO check.
    let hello = identity(identity_domain(sender.hello), format!("postmaster@{}", sender.hello));
    let mail_from = async {
        match sender.reverse_path {
            ReversePath::Address(mailbox) => {
                let domain = identity_domain(mailbox.domain());
                let path = format!("{}@{domain}", mailbox.local());
                Some(identity(domain, path).await)
            }
            ReversePath::Null => None,
        }
    };
    let (hello, mail_from) = tokio::join!(hello, mail_from);
    SpfVerdict { hello, mail_from }
}

/// What is known of a client whose check did not come to an end.
pub(crate) fn unknown(sender: &Sender<'_>) -> SpfVerdict {
    let check = |name: &str| SpfCheck {
        result: SpfResult::TempError,
        domain: identity_domain(name),
        explanation: None,
        reason: Some("the check was not finished"),
    };
    SpfVerdict {
        hello: check(sender.hello),
        mail_from: match sender.reverse_path {
            ReversePath::Address(mailbox) => Some(check(mailbox.domain())),
            ReversePath::Null => None,
        },
    }
}

/// Lower case, A-labels, no dot at the end.
fn identity_domain(name: &str) -> String {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    DomainName::parse(name).map_or_else(|_| name.to_owned(), |name| name.as_str().to_owned())
}

/// §4.3: a name of several labels that DNS can hold.
fn is_checkable(domain: &str) -> bool {
    domain.len() <= 253
        && domain.contains('.')
        && domain.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_graphic() && b != b'[' && b != b']')
        })
}

struct Outcome {
    result: SpfResult,
    /// Why an error is one.
    reason: Option<&'static str>,
    /// The `exp` of the record that decided, and that record's domain.
    explanation: Option<(MacroString, String)>,
}

impl Outcome {
    const fn of(result: SpfResult) -> Self {
        Self { result, reason: None, explanation: None }
    }

    const fn because(result: SpfResult, reason: &'static str) -> Self {
        Self { result, reason: Some(reason), explanation: None }
    }
}

impl From<&'static str> for Outcome {
    /// A permanent error.
    fn from(reason: &'static str) -> Self {
        Self::because(SpfResult::PermError, reason)
    }
}

/// One identity's check.
struct Run<'a> {
    resolver: &'a Resolver,
    limits: &'a AuthenticationLimits,
    ip: IpAddr,
    hello: &'a str,
    receiver: &'a str,
    /// `local@domain`.
    path: String,
    lookups: usize,
    voids: usize,
    /// `%{p}`, once it was needed.
    validated: Option<String>,
}

impl Run<'_> {
    async fn explained(&mut self, domain: &str) -> (Outcome, Option<String>) {
        let mut outcome = self.check_host(domain.to_owned()).await;
        let explanation = match outcome.explanation.take().filter(|_| outcome.result == SpfResult::Fail) {
            Some((name, domain)) => self.explanation(&name, &domain).await,
            None => None,
        };
        (outcome, explanation)
    }

    /// §4: the record of `domain` and, in turn, those that it redirects to.
    async fn check_host(&mut self, mut domain: String) -> Outcome {
        let mut redirected = false;
        loop {
            if !is_checkable(&domain) {
                return if redirected { "redirect to no name".into() } else { Outcome::of(SpfResult::None) };
            }
            let record = match self.record(&domain).await {
                Ok(Some(record)) => record,
                Ok(None) if redirected => return "redirect to a domain without SPF".into(),
                Ok(None) => return Outcome::of(SpfResult::None),
                Err(outcome) => return outcome,
            };
            for directive in &record.directives {
                match self.matches(&directive.mechanism, &domain).await {
                    Ok(true) => {
                        let explanation = record.explanation.map(|name| (name, domain));
                        return Outcome { result: directive.result, reason: None, explanation };
                    }
                    Ok(false) => {}
                    Err(outcome) => return outcome,
                }
            }
            // §4.7, §6.1.
            let Some(redirect) = &record.redirect else { return Outcome::of(SpfResult::Neutral) };
            if let Err(outcome) = self.count_lookup() {
                return outcome;
            }
            domain = self.name(redirect, &domain).await;
            redirected = true;
        }
    }

    /// §4.4, §4.5.
    async fn record(&mut self, domain: &str) -> Result<Option<Record>, Outcome> {
        let texts = match lookup::txt(self.resolver, domain).await {
            Ok(texts) => texts,
            Err(Miss::Nothing) => return Ok(None),
            Err(Miss::Temporary(reason)) => return Err(Outcome::because(SpfResult::TempError, reason)),
        };
        let mut records = texts.iter().map(String::as_bytes).filter(|text| record::is_spf(text));
        match (records.next(), records.next()) {
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err("several SPF records".into()),
            (Some(text), None) => {
                Record::parse(text).map(Some).ok_or_else(|| "syntax error in the SPF record".into())
            }
        }
    }

    async fn matches(&mut self, mechanism: &Mechanism, domain: &str) -> Result<bool, Outcome> {
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip4(network, length) => {
                Ok(matches!(self.ip, IpAddr::V4(ip) if within4(ip.to_bits(), network.to_bits(), *length)))
            }
            Mechanism::Ip6(network, length) => Ok(match self.ip {
                IpAddr::V6(ip) => within6(ip.to_bits(), network.to_bits(), *length),
                // A network of IPv4-mapped addresses is written by those who mean IPv4 clients.
                IpAddr::V4(ip) => {
                    *length >= 96
                        && network
                            .to_ipv4_mapped()
                            .is_some_and(|net| within4(ip.to_bits(), net.to_bits(), length - 96))
                }
            }),
            Mechanism::Include(name) => {
                self.count_lookup()?;
                let target = self.name(name, domain).await;
                self.include(target).await
            }
            Mechanism::A(target) => {
                self.count_lookup()?;
                let name = self.target(target, domain).await;
                self.address_matches(&name, target).await
            }
            Mechanism::Mx(target) => {
                self.count_lookup()?;
                let name = self.target(target, domain).await;
                self.exchanger_matches(&name, target).await
            }
            Mechanism::Ptr(name) => {
                self.count_lookup()?;
                let target = match name {
                    Some(name) => self.name(name, domain).await,
                    None => domain.to_owned(),
                };
                Ok(self.client_name(&target).await.is_some_and(|name| is_at_or_below(&name, &target)))
            }
            Mechanism::Exists(name) => {
                self.count_lookup()?;
                let name = self.name(name, domain).await;
                // §5.7: the A record, whatever the client's family.
                let found = if name.is_empty() {
                    Err(Miss::Nothing)
                } else {
                    lookup::addresses(self.resolver, &name, IpAddr::from([0, 0, 0, 0])).await
                };
                Ok(!self.counted(found)?.is_empty())
            }
        }
    }

    /// §5.2. Boxed: an included record may include.
    fn include(
        &mut self,
        domain: String,
    ) -> Pin<Box<dyn Future<Output = Result<bool, Outcome>> + Send + '_>> {
        Box::pin(async move {
            let outcome = self.check_host(domain).await;
            match outcome.result {
                SpfResult::Pass => Ok(true),
                SpfResult::Fail | SpfResult::SoftFail | SpfResult::Neutral => Ok(false),
                SpfResult::None => Err("include of a domain without SPF".into()),
                SpfResult::TempError | SpfResult::PermError => Err(outcome),
            }
        })
    }

    /// §5.3.
    async fn address_matches(&mut self, host: &str, target: &Target) -> Result<bool, Outcome> {
        let found = if host.is_empty() {
            Err(Miss::Nothing)
        } else {
            lookup::addresses(self.resolver, host, self.ip).await
        };
        let ip = self.ip;
        Ok(self.counted(found)?.into_iter().any(|address| match (ip, address) {
            (IpAddr::V4(ip), IpAddr::V4(net)) => within4(ip.to_bits(), net.to_bits(), target.v4),
            (IpAddr::V6(ip), IpAddr::V6(net)) => within6(ip.to_bits(), net.to_bits(), target.v6),
            _ => false,
        }))
    }

    /// §5.4.
    async fn exchanger_matches(&mut self, domain: &str, target: &Target) -> Result<bool, Outcome> {
        let found = if domain.is_empty() {
            Err(Miss::Nothing)
        } else {
            lookup::exchangers(self.resolver, domain).await
        };
        let hosts = self.counted(found)?;
        for host in hosts.iter().take(MOST_HOSTS) {
            let host = host.trim_end_matches('.');
            // RFC 7505: the null MX has no host.
            if !host.is_empty() && self.address_matches(host, target).await? {
                return Ok(true);
            }
        }
        if hosts.len() > MOST_HOSTS {
            return Err("more than 10 exchangers in an mx".into());
        }
        Ok(false)
    }

    /// §5.5: a name of the client that leads back to it; of several, one at or below `preferred` (§7.3). What DNS cannot say
    /// is no name.
    async fn client_name(&self, preferred: &str) -> Option<String> {
        let names = lookup::names(self.resolver, self.ip).await.ok()?;
        let mut any = None;
        for name in names.into_iter().take(MOST_HOSTS) {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            if !is_checkable(&name) {
                continue;
            }
            let addresses = lookup::addresses(self.resolver, &name, self.ip).await.unwrap_or_default();
            if addresses.contains(&self.ip) {
                if is_at_or_below(&name, preferred) {
                    return Some(name);
                }
                any.get_or_insert(name);
            }
        }
        any
    }

    async fn target(&mut self, target: &Target, domain: &str) -> String {
        match &target.domain {
            Some(name) => self.name(name, domain).await,
            None => domain.to_owned(),
        }
    }

    /// Expands a name; empty when there is none that DNS could hold.
    async fn name(&mut self, name: &MacroString, domain: &str) -> String {
        self.validate_for(name, domain).await;
        let name = name.expand_name(&self.values(domain));
        let possible = name.split('.').all(|label| (1..=63).contains(&label.len()));
        if possible { name.to_ascii_lowercase() } else { String::new() }
    }

    /// §6.2: an explanation that cannot be had is none.
    async fn explanation(&mut self, name: &MacroString, domain: &str) -> Option<String> {
        let name = self.name(name, domain).await;
        if name.is_empty() {
            return None;
        }
        let texts = lookup::txt(self.resolver, &name).await.ok()?;
        let [text] = texts.as_slice() else { return None };
        let text = MacroString::parse(text, true)?;
        self.validate_for(&text, domain).await;
        let text = text.expand(&self.values(domain), MOST_EXPLANATION)?;
        text.bytes().all(|b| b.is_ascii_graphic() || b == b' ').then_some(text)
    }

    /// §7.3: `%{p}` costs a look-up, once; past the limit it is `unknown`.
    async fn validate_for(&mut self, text: &MacroString, domain: &str) {
        if text.needs_validated() && self.validated.is_none() {
            let found = match self.count_lookup() {
                Ok(()) => self.client_name(domain).await,
                Err(_) => None,
            };
            self.validated = Some(found.unwrap_or_else(|| "unknown".to_owned()));
        }
    }

    fn values<'v>(&'v self, domain: &'v str) -> Values<'v> {
        Values {
            ip: self.ip,
            sender: &self.path,
            hello: self.hello,
            domain,
            validated: self.validated.as_deref().unwrap_or("unknown"),
            receiver: self.receiver,
            now: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        }
    }

    fn count_lookup(&mut self) -> Result<(), Outcome> {
        self.lookups += 1;
        if self.lookups > self.limits.spf_lookups {
            return Err("too many DNS look-ups in the SPF record".into());
        }
        Ok(())
    }

    /// What was found; nothing counts as void (§4.6.4).
    fn counted<T>(&mut self, found: Result<Vec<T>, Miss>) -> Result<Vec<T>, Outcome> {
        match found {
            Ok(found) => Ok(found),
            Err(Miss::Temporary(reason)) => Err(Outcome::because(SpfResult::TempError, reason)),
            Err(Miss::Nothing) => {
                self.voids += 1;
                if self.voids > self.limits.spf_void_lookups {
                    return Err("too many DNS look-ups without an answer in the SPF record".into());
                }
                Ok(Vec::new())
            }
        }
    }
}

/// Reads a record and expands what is in it.
#[cfg(test)]
pub(crate) fn read_record(text: &[u8]) {
    let values = Values {
        ip: IpAddr::from([192, 0, 2, 1]),
        sender: "a-b@example.org",
        hello: "mx.example.org",
        domain: "example.org",
        validated: "unknown",
        receiver: "here.test",
        now: 0,
    };
    if let Some(record) = Record::parse(text).filter(|_| record::is_spf(text)) {
        for name in record.redirect.iter().chain(&record.explanation) {
            let _ = name.expand_name(&values);
        }
    }
    if let Some(text) = MacroString::parse(&String::from_utf8_lossy(text), true) {
        let _ = text.expand_name(&values);
    }
}

fn within4(ip: u32, network: u32, length: u8) -> bool {
    (ip ^ network).checked_shr(u32::from(32 - length.min(32))).unwrap_or(0) == 0
}

fn within6(ip: u128, network: u128, length: u8) -> bool {
    (ip ^ network).checked_shr(u32::from(128 - length.min(128))).unwrap_or(0) == 0
}

fn is_at_or_below(name: &str, domain: &str) -> bool {
    let domain = domain.to_ascii_lowercase();
    name == domain || name.strip_suffix(&domain).is_some_and(|above| above.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_lengths_from_nothing_to_all_compare() {
        let [a, b] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(u32::from_be_bytes);
        assert!(within4(a, b, 0) && within4(a, b, 30) && !within4(a, b, 31) && !within4(a, b, 32));
        assert!(within4(a, a, 32) && within6(1, 2, 0) && within6(1, 2, 126) && !within6(1, 2, 128));
    }

    #[test]
    fn what_cannot_be_a_domain_is_not_asked_for() {
        for name in ["", "localhost", "a..test", ".a.test", "[192.0.2.1]", "a b.test", "x\u{f1}.test"] {
            assert!(!is_checkable(name), "{name}");
        }
        assert!(!is_checkable(&format!("{}.test", "a".repeat(64))));
        assert!(is_checkable("_spf.example.org") && is_checkable(&identity_domain("CORREO.ñandú.test.")));
    }

    #[test]
    fn below_means_at_a_label() {
        assert!(
            is_at_or_below("a.example.org", "Example.org") && is_at_or_below("example.org", "example.org")
        );
        assert!(!is_at_or_below("badexample.org", "example.org") && !is_at_or_below("org", "example.org"));
    }
}

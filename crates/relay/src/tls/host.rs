//! What one of a destination's hosts must show.

use std::sync::Arc;

use chasqui_dns::{DnsError, Resolver};
use chasqui_smtp::Reply;

use super::config::MinimumLevel;
use super::dane::Dane;
use super::requirement::{DomainPolicy, Failure, PolicyFailure, Requirement, Violation};
use super::sts::Mode;
use super::{Event, Session, TlsFailure, TlsPolicies};

/// The port of the TLSA records that count (RFC 7672 §2.1).
const SMTP: u16 = 25;

impl TlsPolicies {
    /// What a connection to the host must be. `mx_secure`: DNSSEC proved the domain's MX records, or that it has none. `require_tls`:
    /// the message demands verified TLS (RFC 8689).
    ///
    /// # Errors
    /// The host may not be used, for now or for this message.
    pub async fn host(
        &self,
        domain: &DomainPolicy,
        mx_host: &str,
        mx_secure: bool,
        require_tls: bool,
    ) -> Result<Requirement, PolicyFailure> {
        let host = mx_host.trim_end_matches('.').to_ascii_lowercase();
        // RFC 7672 §2.2.1: behind MX records that anybody could have forged DANE proves nothing.
        let tlsa = if self.config.dane && mx_secure {
            tlsa_of(&self.resolver, &host, domain.domain()).await?
        } else {
            TlsaFound::None
        };
        if let TlsaFound::Usable(dane) = tlsa {
            // RFC 8461 §2: MTA-STS does not override DANE.
            return Ok(Requirement::Dane(dane));
        }
        if domain.minimum == MinimumLevel::Dane {
            return Err(without_dane(&host));
        }
        let under_test = match &domain.sts {
            Some(policy) if policy.mode == Mode::Enforce => {
                if !policy.admits(&host) {
                    return Err(not_admitted(&host));
                }
                return Ok(Requirement::WebPki { names: vec![host] });
            }
            Some(policy) if policy.mode == Mode::Testing => Some(policy),
            _ => None,
        };
        if require_tls {
            // RFC 8689 §4.2.1: without proof of the host's name its certificate proves nothing.
            return if mx_secure {
                Ok(Requirement::WebPki { names: vec![host] })
            } else {
                Err(not_provable(&host))
            };
        }
        if domain.minimum == MinimumLevel::Verified {
            let names = if domain.names.is_empty() { vec![host] } else { domain.names.to_vec() };
            return Ok(Requirement::WebPki { names });
        }
        let encrypted = domain.minimum == MinimumLevel::Encrypted
            || !self.config.cleartext
            || matches!(tlsa, TlsaFound::Unusable);
        match under_test {
            Some(policy) if policy.admits(&host) => {
                Ok(Requirement::Tested { names: vec![host], cleartext_allowed: !encrypted })
            }
            other => {
                if other.is_some() {
                    self.note_under_test(domain, &host);
                }
                Ok(if encrypted {
                    Requirement::Encrypted
                } else {
                    Requirement::Opportunistic { cleartext_allowed: true }
                })
            }
        }
    }

    /// A policy under test would have forbidden the host.
    fn note_under_test(&self, domain: &DomainPolicy, host: &str) {
        let session = Session { host, remote: None, local: None, requirement: None };
        let PolicyFailure { kind, reply } = not_admitted(host);
        let failure = TlsFailure { kind, reason: reply.lines().collect::<Vec<_>>().join(" ") };
        self.note(domain, &session, Event::Failed(&failure));
    }
}

/// What TLSA records a host has.
#[derive(Debug)]
enum TlsaFound {
    Usable(Arc<Dane>),
    /// There are some, but none that counts for SMTP: TLS is offered for certain (RFC 7672 §2.2).
    Unusable,
    None,
}

/// The TLSA records of the host (RFC 7672 §2.2.2, §2.2.3).
async fn tlsa_of(resolver: &Resolver, host: &str, domain: &str) -> Result<TlsaFound, PolicyFailure> {
    for base in bases(resolver, host).await? {
        let answer = match resolver.tlsa(SMTP, &base).await {
            Ok(answer) => answer,
            Err(error) if error.is_temporary() => return Err(unprovable(&error, &base)),
            Err(_) => continue,
        };
        if !answer.secure {
            continue;
        }
        let mut names = vec![base];
        for name in [host, domain] {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        return Ok(Dane::usable(answer.records, names)
            .map_or(TlsaFound::Unusable, |dane| TlsaFound::Usable(Arc::new(dane))));
    }
    Ok(TlsaFound::None)
}

/// The names under which TLSA records are looked for, in this order; none where DNSSEC does not prove the host's addresses. Servers of
/// unsigned zones often fail when asked for TLSA, and their mail would wait for nothing.
async fn bases(resolver: &Resolver, host: &str) -> Result<Vec<String>, PolicyFailure> {
    let (v4, v6) = tokio::join!(resolver.a(host), resolver.aaaa(host));
    let v4 = v4.map(|answer| (answer.secure, answer.name));
    let v6 = v6.map(|answer| (answer.secure, answer.name));
    // One family's failure must not hide that the zone is signed: whoever can make it fail could turn DANE off.
    let (secure, name) = match (v4, v6) {
        (Ok((four, name)), Ok((six, _))) => (four || six, name),
        (Ok((secure, name)), Err(_)) | (Err(_), Ok((secure, name))) => (secure, name),
        (Err(four), Err(six)) => {
            let error = if four.is_temporary() { four } else { six };
            return if error.is_temporary() { Err(unprovable(&error, host)) } else { Ok(Vec::new()) };
        }
    };
    if secure {
        return Ok(if name == host { vec![name] } else { vec![name, host.to_owned()] });
    }
    if name == host {
        return Ok(Vec::new());
    }
    // An alias out of a signed zone into an unsigned one: the host's own name may have records.
    match resolver.alias(host).await {
        Ok(alias) if alias.secure => Ok(vec![host.to_owned()]),
        Err(error) if error.is_temporary() => Err(unprovable(&error, host)),
        _ => Ok(Vec::new()),
    }
}

fn unprovable(error: &DnsError, name: &str) -> PolicyFailure {
    let reply = match error {
        DnsError::Bogus => Reply::new(
            451,
            (4, 7, 5),
            format!("What DNS says of {name} is wrong by its own signatures (DNSSEC)"),
        ),
        _ => {
            Reply::new(451, (4, 4, 3), format!("DNS does not say what certificate {name} must have: {error}"))
        }
    };
    PolicyFailure { kind: Failure::DnssecInvalid, reply }
}

fn not_admitted(host: &str) -> PolicyFailure {
    let text = format!("The domain's MTA-STS policy does not name the mail host {host}");
    PolicyFailure { kind: Failure::ValidationFailure, reply: Reply::new(451, (4, 7, 5), text) }
}

fn without_dane(host: &str) -> PolicyFailure {
    let text = format!(
        "Mail to this domain needs DANE, and the mail host {host} has no TLSA records that can be used"
    );
    PolicyFailure { kind: Failure::DaneRequired, reply: Reply::new(451, (4, 7, 5), text) }
}

fn not_provable(host: &str) -> PolicyFailure {
    let text = format!(
        "The sender requires verified TLS (REQUIRETLS), and nothing proves that {host} is the domain's mail host"
    );
    PolicyFailure { kind: Failure::ValidationFailure, reply: Reply::new(550, (5, 7, 30), text) }
}

/// What a policy under test found, as a failure to report.
impl From<&Violation> for TlsFailure {
    fn from(violation: &Violation) -> Self {
        Self { kind: violation.kind, reason: violation.reason.clone() }
    }
}

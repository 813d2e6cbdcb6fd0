//! What is counted of one day: sessions by domain, policy and kind of failure, all within bounds. Its form on disk is the same.

use std::collections::HashMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::super::requirement::{DomainPolicy, Failure, Requirement};
use super::super::{Event, Session};
use super::document::{FailureDetail, PolicyReport, ReportedPolicy, Summary};

/// Policies of one domain and day: it changes its MTA-STS policy, its hosts have TLSA records each.
const MAX_POLICIES: usize = 16;

/// The form of the files. An older one is read through its own type, once there is one.
const VERSION: u32 = 1;

/// One day, UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Day {
    version: u32,
    /// Days since 1970.
    pub(super) day: u64,
    pub(super) domains: HashMap<String, Vec<Counted>>,
}

/// Sessions under one policy of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counted {
    policy: Applied,
    successes: u64,
    failures: u64,
    details: Vec<(Detail, u64)>,
}

/// A policy as it was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Applied {
    kind: Kind,
    lines: Vec<String>,
    hosts: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Tlsa,
    Sts,
    NoPolicyFound,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Detail {
    kind: Failure,
    local: Option<IpAddr>,
    host: Option<String>,
    remote: Option<IpAddr>,
    reason: Option<String>,
}

impl Day {
    pub(super) fn new(day: u64) -> Self {
        Self { version: VERSION, day, domains: HashMap::new() }
    }

    /// What was written as JSON; none if it is of another form.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok().filter(|day: &Self| day.version == VERSION)
    }

    /// Counts a session. False: it is left out, since there are `domains` already.
    pub(super) fn count(
        &mut self,
        domain: &DomainPolicy,
        session: &Session<'_>,
        event: Event<'_>,
        domains: usize,
        details: usize,
    ) -> bool {
        if self.domains.len() >= domains && !self.domains.contains_key(domain.domain()) {
            return false;
        }
        let policies = self.domains.entry(domain.domain().to_owned()).or_default();
        if let Some(kind) = domain.sts_failure {
            // RFC 8460 §4.3.2.2: that the policy could not be had is told once a session, beside how the session went.
            let missing = Applied { kind: Kind::Sts, lines: Vec::new(), hosts: Vec::new() };
            let detail = Detail { kind, local: None, host: None, remote: None, reason: None };
            add(policies, missing, Some(detail), details);
        }
        add(policies, Applied::of(domain, session), Detail::of(session, event), details);
        true
    }

    /// What a report says of one of its domains.
    pub(super) fn report(&self, domain: &str) -> Vec<PolicyReport> {
        let policies = self.domains.get(domain).map(Vec::as_slice).unwrap_or_default();
        policies.iter().map(|counted| counted.report(domain)).collect()
    }
}

fn add(policies: &mut Vec<Counted>, policy: Applied, failure: Option<Detail>, details: usize) {
    let index = policies.iter().position(|counted| counted.policy == policy);
    let index = index.unwrap_or_else(|| {
        // Beyond the bound the last policy stands for the others: the sums stay right.
        if policies.len() < MAX_POLICIES {
            policies.push(Counted { policy, successes: 0, failures: 0, details: Vec::new() });
        }
        policies.len() - 1
    });
    let Some(counted) = policies.get_mut(index) else { return };
    let Some(failure) = failure else {
        counted.successes += 1;
        return;
    };
    counted.failures += 1;
    if let Some((_, count)) = counted.details.iter_mut().find(|(known, _)| *known == failure) {
        *count += 1;
    } else if counted.details.len() < details {
        counted.details.push((failure, 1));
    }
}

impl Applied {
    fn of(domain: &DomainPolicy, session: &Session<'_>) -> Self {
        match (session.requirement, &domain.sts) {
            (Some(Requirement::Dane(dane)), _) => {
                Self { kind: Kind::Tlsa, lines: dane.lines(), hosts: vec![session.host.to_owned()] }
            }
            (_, Some(policy)) => Self { kind: Kind::Sts, lines: policy.lines(), hosts: policy.mx.clone() },
            _ => Self { kind: Kind::NoPolicyFound, lines: Vec::new(), hosts: Vec::new() },
        }
    }
}

impl Detail {
    /// None: the session satisfied its policy.
    fn of(session: &Session<'_>, event: Event<'_>) -> Option<Self> {
        let (kind, reason) = match event {
            Event::Secured(facts) => {
                let violation = facts.violation.as_ref()?;
                (violation.kind, violation.reason.clone())
            }
            Event::Failed(failure) => (failure.kind, failure.reason.clone()),
            Event::Refused(failure) => (failure.kind, failure.reply.lines().collect::<Vec<_>>().join(" ")),
        };
        Some(Self {
            kind,
            local: session.local,
            host: Some(session.host.to_owned()),
            remote: session.remote,
            reason: Some(short(&reason)),
        })
    }
}

impl Counted {
    fn report(&self, domain: &str) -> PolicyReport {
        let policy_type = match self.policy.kind {
            Kind::Tlsa => "tlsa",
            Kind::Sts => "sts",
            Kind::NoPolicyFound => "no-policy-found",
        };
        let details = self.details.iter().map(|(detail, count)| FailureDetail {
            result_type: detail.kind.name().to_owned(),
            sending_mta_ip: detail.local,
            receiving_mx_hostname: detail.host.clone(),
            receiving_mx_helo: None,
            receiving_ip: detail.remote,
            failed_session_count: *count,
            additional_information: None,
            failure_reason_code: detail.reason.clone(),
        });
        PolicyReport {
            policy: ReportedPolicy {
                policy_type: policy_type.to_owned(),
                policy_string: self.policy.lines.clone(),
                policy_domain: domain.to_owned(),
                mx_host: self.policy.hosts.clone(),
            },
            summary: Summary {
                total_successful_session_count: self.successes,
                total_failure_session_count: self.failures,
            },
            failure_details: details.collect(),
        }
    }
}

/// A reason of bounded length: some hold a certificate's list of names.
fn short(reason: &str) -> String {
    const MAX: usize = 200;
    let end = (0..=reason.len().min(MAX)).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
    reason.get(..end).unwrap_or_default().to_owned()
}

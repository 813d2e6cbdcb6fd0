//! What one message adds to a report.

use crate::authentication::{Action, DmarcResult, Verdict, dmarc::Disposition};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The policy that a report is about, as it was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Policy {
    pub p: String,
    pub sp: Option<String>,
    pub strict_dkim: bool,
    pub strict_spf: bool,
    pub pct: u8,
    pub fo: Option<String>,
    /// Addresses and their limits in octets.
    pub destinations: Vec<(String, Option<u64>)>,
}

/// What messages have in common that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub ip: IpAddr,
    pub disposition: String,
    pub dkim_aligned: bool,
    pub spf_aligned: bool,
    /// Type and comment of what overrode the policy.
    pub reason: Option<(String, String)>,
    pub header_from: String,
    pub envelope_from: String,
    /// Domain, selector, result.
    pub dkim: Vec<(String, String, String)>,
    /// Domain, scope, result.
    pub spf: (String, String, String),
}

/// A message's part in a report.
pub(crate) struct Observation {
    /// Seconds since 1970.
    pub at: u64,
    /// The domain whose policy it is.
    pub domain: String,
    pub policy: Policy,
    pub row: Row,
}

impl Observation {
    /// Nothing where DMARC reached no result, or the domain wants no reports.
    pub(crate) fn of(verdict: &Verdict, ip: IpAddr, action: &Action, at: u64) -> Option<Self> {
        let dmarc = &verdict.dmarc;
        let record = dmarc.record.as_ref().filter(|record| !record.reports.is_empty())?;
        if !matches!(dmarc.result, DmarcResult::Pass | DmarcResult::Fail) {
            return None;
        }
        // A message that was put off comes again.
        let disposition = match action {
            Action::Accept | Action::Mark => Disposition::None,
            Action::Quarantine => Disposition::Quarantine,
            Action::Reject(_) => Disposition::Reject,
            Action::Defer(_) => return None,
        };
        let asked = dmarc.published.unwrap_or(Disposition::None);
        let reason = (dmarc.result == DmarcResult::Fail && disposition != asked).then(|| {
            let (kind, comment) = if verdict.arc.vouched {
                ("local_policy", format!("arc=pass {}", verdict.arc.sealers.join(" ")))
            } else if dmarc.sampled_out {
                ("sampled_out", String::new())
            } else {
                ("local_policy", String::new())
            };
            (kind.to_owned(), comment)
        });
        let identity = verdict.spf.identity();
        let mail_from = verdict.spf.mail_from.is_some();
        Some(Self {
            at,
            domain: dmarc.policy_domain.clone(),
            policy: Policy {
                p: record.policy.to_string(),
                sp: record.subdomain_policy.map(|policy| policy.to_string()),
                strict_dkim: record.strict_dkim,
                strict_spf: record.strict_spf,
                pct: record.percent,
                fo: record.failure_options.clone(),
                destinations: record.reports.iter().map(|to| (to.address.clone(), to.limit)).collect(),
            },
            row: Row {
                ip: ip.to_canonical(),
                disposition: disposition.to_string(),
                dkim_aligned: dmarc.dkim_aligned,
                spf_aligned: dmarc.spf_aligned,
                reason,
                header_from: dmarc.author.clone(),
                envelope_from: if mail_from { identity.domain.clone() } else { String::new() },
                dkim: verdict
                    .dkim
                    .iter()
                    .filter(|dkim| !dkim.domain.is_empty())
                    .map(|dkim| (dkim.domain.clone(), dkim.selector.clone(), dkim.result.to_string()))
                    .collect(),
                spf: (
                    identity.domain.clone(),
                    if mail_from { "mfrom" } else { "helo" }.to_owned(),
                    identity.result.to_string(),
                ),
            },
        })
    }
}

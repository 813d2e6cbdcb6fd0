//! What follows from a verdict.
//!
//! DMARC decides. Its request (after `pct`) is followed as far as the receiving domain's policy goes: `none` < `mark` <
//! `quarantine` < `reject`; `mark` stands for whatever is asked. A trusted ARC chain takes the request back. SPF alone decides
//! only where the operator says so, and never against a DMARC pass. Of several authors each is judged by itself, and the worst that
//! follows for one of them follows for the message: nobody gets past a policy by naming himself beside another.

use super::{
    config::{AuthenticationConfig, Domains, Policy, WhenUnsure, canonical},
    dmarc::Disposition,
    verdict::{Action, AuthorVerdict, DmarcResult, DmarcVerdict, SpfResult, Verdict},
};
use chasqui_smtp::Reply;

/// The operator's part.
pub(crate) struct Rules {
    default: Policy,
    receiving: Domains,
    sending: Domains,
    spf_fail: Policy,
    malformed_author: Policy,
    when_unsure: WhenUnsure,
}

impl Rules {
    pub(crate) fn new(config: &AuthenticationConfig) -> Self {
        Self {
            default: config.policy,
            receiving: Domains::new(&config.receiving),
            sending: Domains::new(&config.sending),
            spf_fail: config.spf_fail,
            malformed_author: config.malformed_author,
            when_unsure: config.when_unsure,
        }
    }

    /// How far failures go for a message to these domains: as far as the mildest of them. Without any, the default.
    fn bound<'a>(&self, recipients: impl Iterator<Item = &'a str>) -> Policy {
        recipients
            .map(|domain| {
                // As the client spelt it.
                let domain = canonical(domain).unwrap_or_else(|| domain.to_lowercase());
                self.receiving.exact(&domain).unwrap_or(self.default)
            })
            .min()
            .unwrap_or(self.default)
    }

    /// What follows for recipients in these domains.
    pub(crate) fn action<'a>(&self, verdict: &Verdict, recipients: impl Iterator<Item = &'a str>) -> Action {
        if verdict.header_too_long {
            return Action::Reject(Reply::fixed(552, (5, 3, 4), "Message header too long"));
        }
        let bound = self.bound(recipients);
        if bound == Policy::None {
            return Action::Accept;
        }
        let actions = verdict.authors.iter().map(|author| self.of_author(verdict, author, bound));
        actions.max_by_key(severity).unwrap_or(Action::Accept)
    }

    /// What follows for one author, at most `bound`.
    fn of_author(&self, verdict: &Verdict, author: &AuthorVerdict, bound: Policy) -> Action {
        let dmarc = &author.dmarc;
        let own = if dmarc.author.is_empty() { None } else { self.sending.nearest(&dmarc.author) };
        let passes =
            dmarc.result == DmarcResult::Pass || (own.is_some() && (dmarc.spf_aligned || dmarc.dkim_aligned));
        if passes || author.vouched {
            return Action::Accept;
        }
        let wanted = match (own, dmarc.result) {
            (_, DmarcResult::PermError) => self.malformed_author,
            (_, result) if result == DmarcResult::TempError || (own.is_some() && dmarc.uncertain) => {
                match self.unsure(dmarc, own) {
                    Some(defer) => return defer,
                    None => Policy::None,
                }
            }
            (Some(own), _) => own,
            (None, _) => match dmarc.requested {
                None | Some(Disposition::None) => Policy::None,
                Some(Disposition::Quarantine) => Policy::Quarantine,
                Some(Disposition::Reject) => Policy::Reject,
            },
        };
        if wanted > Policy::None
            && author.would_vouch
            && let Some(defer) = self.unsure(dmarc, None)
        {
            return defer;
        }
        let spf = match verdict.spf.result() {
            SpfResult::Fail => self.spf_fail,
            // RFC 7372 §3.2. Only where something would follow from a failure.
            SpfResult::TempError if self.spf_fail > Policy::None && self.when_unsure == WhenUnsure::Defer => {
                return Action::Defer(Reply::fixed(
                    451,
                    (4, 7, 24),
                    "SPF cannot be checked now; try again later",
                ));
            }
            _ => Policy::None,
        };
        match wanted.max(spf).min(bound) {
            Policy::None => Action::Accept,
            Policy::Mark => Action::Mark,
            Policy::Quarantine => Action::Quarantine,
            Policy::Reject if wanted >= spf => Action::Reject(refusal(dmarc)),
            Policy::Reject => {
                // RFC 7372 §3.2.
                let text = match &verdict.spf.decisive().explanation {
                    Some(words) => format!("SPF check failed; the sender's domain says: {words}"),
                    None => "SPF check failed".to_owned(),
                };
                Action::Reject(Reply::new(550, (5, 7, 23), text))
            }
        }
    }

    fn unsure(&self, dmarc: &DmarcVerdict, own: Option<Policy>) -> Option<Action> {
        // Nothing hangs on it where the domain asks for nothing.
        let indifferent =
            own == Some(Policy::None) || (own.is_none() && dmarc.published == Some(Disposition::None));
        (self.when_unsure == WhenUnsure::Defer && !indifferent).then(|| {
            Action::Defer(Reply::fixed(
                451,
                (4, 4, 3),
                "DNS cannot say now whether this message is genuine; try again later",
            ))
        })
    }
}

/// Put off comes before filed: another try may end in a refusal.
fn severity(action: &Action) -> u8 {
    match action {
        Action::Accept => 0,
        Action::Mark => 1,
        Action::Quarantine => 2,
        Action::Defer(_) => 3,
        Action::Reject(_) => 4,
    }
}

fn refusal(dmarc: &DmarcVerdict) -> Reply {
    match dmarc.result {
        DmarcResult::PermError => {
            Reply::fixed(550, (5, 7, 1), "The message needs one From field that names its author")
        }
        _ => Reply::new(550, (5, 7, 1), format!("Refused by the DMARC policy of {}", dmarc.author)),
    }
}

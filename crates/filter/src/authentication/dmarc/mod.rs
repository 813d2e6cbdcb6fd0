//! DMARC (RFC 7489): whether anybody vouches for the author's domain, and what that domain asks for when nobody does.
//!
//! | DNS at `_dmarc` | result |
//! | --- | --- |
//! | no record at the author's domain or its organizational domain (public suffix list), or several | none |
//! | failure, timeout, bogus | temperror |
//! | a record; SPF or DKIM passes for an aligned domain | pass |
//! | a record; nothing aligned passes, something aligned is temperror | temperror |
//! | a record; nothing aligned passes | fail |

mod record;

pub use record::{Destination, Disposition, Record};

use super::{
    lookup::{self, Miss},
    verdict::{AuthorVerdict, DkimResult, DkimVerdict, DmarcResult, DmarcVerdict, SpfResult, SpfVerdict},
};
use chasqui_dns::Resolver;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// The policy that counts for one author.
pub(crate) struct Policy {
    pub author: String,
    found: Result<Option<Published>, &'static str>,
}

struct Published {
    /// Whose record it is.
    domain: String,
    record: Arc<Record>,
    policy: Disposition,
}

/// The organizational domain (§3.2): one label more than the public suffix.
pub(crate) fn organizational(domain: &str) -> &str {
    psl::domain_str(domain).unwrap_or(domain)
}

/// Policy discovery (§6.6.3) for all authors at once. What is open after `deadline` is a temporary failure for its author alone:
/// one whose servers are slow does not hide what another asks for.
pub(crate) async fn discover(resolver: &Resolver, authors: &[String], deadline: Duration) -> Vec<Policy> {
    let open = |author: &String| Policy { author: author.clone(), found: Err("DNS timed out") };
    let mut policies: Vec<Policy> = authors.iter().map(open).collect();
    // Dropped with the caller, it ends what is under way.
    let mut questions = JoinSet::new();
    for (index, author) in authors.iter().cloned().enumerate() {
        let resolver = resolver.clone();
        questions.spawn(async move { (index, find(&resolver, &author).await) });
    }
    let end = tokio::time::Instant::now() + deadline;
    while let Ok(Some(answer)) = tokio::time::timeout_at(end, questions.join_next()).await {
        if let Ok((index, found)) = answer
            && let Some(policy) = policies.get_mut(index)
        {
            policy.found = found;
        }
    }
    policies
}

async fn find(resolver: &Resolver, author: &str) -> Result<Option<Published>, &'static str> {
    // An address literal has no owner who could publish anything.
    if author.starts_with('[') {
        return Ok(None);
    }
    let published = |record: Record, domain: &str, policy| {
        Some(Published { domain: domain.to_owned(), record: Arc::new(record), policy })
    };
    match at(resolver, author).await? {
        At::Record(record) => {
            let policy = record.policy;
            return Ok(published(record, author, policy));
        }
        At::Several => return Ok(None),
        At::Nothing => {}
    }
    let organization = organizational(author);
    if organization == author {
        return Ok(None);
    }
    Ok(match at(resolver, organization).await? {
        At::Record(record) => {
            let policy = record.for_subdomains();
            published(record, organization, policy)
        }
        At::Several | At::Nothing => None,
    })
}

enum At {
    Record(Record),
    /// §6.6.3 step 5: then nothing applies.
    Several,
    Nothing,
}

async fn at(resolver: &Resolver, domain: &str) -> Result<At, &'static str> {
    let texts = match lookup::txt(resolver, &format!("_dmarc.{domain}")).await {
        Ok(texts) => texts,
        Err(Miss::Nothing) => return Ok(At::Nothing),
        Err(Miss::Temporary(reason)) => return Err(reason),
    };
    // §6.6.3 step 2: what begins otherwise is discarded.
    let mut records = texts.iter().filter(|text| text.starts_with("v=DMARC1"));
    Ok(match (records.next(), records.next()) {
        (None, _) => At::Nothing,
        (Some(_), Some(_)) => At::Several,
        (Some(text), None) => Record::parse(text).map_or(At::Nothing, At::Record),
    })
}

/// The verdict where there is no author to check.
pub(crate) fn unchecked(result: DmarcResult, reason: Option<&'static str>) -> DmarcVerdict {
    DmarcVerdict {
        result,
        author: String::new(),
        policy_domain: String::new(),
        record: None,
        published: None,
        requested: None,
        sampled_out: false,
        spf_aligned: false,
        dkim_aligned: false,
        uncertain: false,
        reason,
    }
}

/// Of several authors the one to tell of: the strictest of what fails (§6.6.1).
pub(crate) fn worst(authors: &[AuthorVerdict]) -> Option<&AuthorVerdict> {
    authors.iter().max_by_key(|author| match author.dmarc.result {
        DmarcResult::None => (0, None),
        DmarcResult::Pass => (1, None),
        DmarcResult::PermError => (2, None),
        DmarcResult::TempError => (3, None),
        DmarcResult::Fail => (4, author.dmarc.requested),
    })
}

impl Policy {
    /// Checks this author. `draw`, from 0 to 99, decides for `pct` and is the same when a message is tried again.
    pub(crate) fn judge(&self, spf: &SpfVerdict, dkim: &[DkimVerdict], draw: u8) -> DmarcVerdict {
        let strict = |choose: fn(&Record) -> bool| {
            self.found.as_ref().ok().and_then(Option::as_ref).is_some_and(|found| choose(&found.record))
        };
        let aligned = |domain: &str, strict: bool| {
            domain == self.author || (!strict && organizational(domain) == organizational(&self.author))
        };
        let identity = spf.identity();
        let spf_fits = aligned(&identity.domain, strict(|record| record.strict_spf));
        let strict_dkim = strict(|record| record.strict_dkim);
        let dkim_is =
            |result| dkim.iter().any(|one| one.result == result && aligned(&one.domain, strict_dkim));
        let spf_aligned = spf_fits && identity.result == SpfResult::Pass;
        let dkim_aligned = dkim_is(DkimResult::Pass);
        let unsure = (spf_fits && identity.result == SpfResult::TempError) || dkim_is(DkimResult::TempError);
        let mut verdict = DmarcVerdict {
            author: self.author.clone(),
            spf_aligned,
            dkim_aligned,
            uncertain: unsure && !spf_aligned && !dkim_aligned,
            ..unchecked(DmarcResult::None, None)
        };
        let found = match &self.found {
            Ok(Some(found)) => found,
            Ok(None) => return verdict,
            Err(reason) => {
                return DmarcVerdict { result: DmarcResult::TempError, reason: Some(*reason), ..verdict };
            }
        };
        verdict.policy_domain.clone_from(&found.domain);
        verdict.record = Some(Arc::clone(&found.record));
        verdict.published = Some(found.policy);
        if spf_aligned || dkim_aligned {
            verdict.result = DmarcResult::Pass;
        } else if verdict.uncertain {
            verdict.result = DmarcResult::TempError;
            verdict.reason = Some("SPF or DKIM could not be checked");
        } else {
            verdict.result = DmarcResult::Fail;
            // §6.6.4: those outside the sample get the next milder treatment.
            verdict.sampled_out = draw >= found.record.percent;
            verdict.requested = Some(if verdict.sampled_out { found.policy.milder() } else { found.policy });
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::verdict::SpfCheck;

    fn policy(author: &str, record: &str) -> Policy {
        let record = Record::parse(record).unwrap();
        let policy = record.policy;
        Policy {
            author: author.into(),
            found: Ok(Some(Published { domain: author.into(), record: Arc::new(record), policy })),
        }
    }

    fn spf(result: SpfResult, domain: &str) -> SpfVerdict {
        let check = |result, domain: &str| SpfCheck {
            result,
            domain: domain.into(),
            explanation: None,
            reason: None,
        };
        SpfVerdict { hello: check(SpfResult::None, "mx.test"), mail_from: Some(check(result, domain)) }
    }

    fn dkim(result: DkimResult, domain: &str) -> DkimVerdict {
        DkimVerdict {
            result,
            domain: domain.into(),
            selector: "s".into(),
            algorithm: "rsa-sha256",
            signature: String::new(),
            reason: None,
        }
    }

    fn judge(record: &str, spf: &SpfVerdict, dkim: &[DkimVerdict], draw: u8) -> DmarcVerdict {
        policy("example.org", record).judge(spf, dkim, draw)
    }

    #[test]
    fn organizations_are_below_the_public_suffix() {
        for (name, expected) in [
            ("a.b.example.org", "example.org"),
            ("a.example.co.uk", "example.co.uk"),
            ("co.uk", "co.uk"),
            ("a.b.test", "b.test"),
            ("a.gob.ve", "a.gob.ve"),
        ] {
            assert_eq!(organizational(name), expected);
        }
    }

    #[test]
    fn either_aligned_pass_is_enough() {
        let none = spf(SpfResult::Fail, "other.test");
        let pass = spf(SpfResult::Pass, "bounce.example.org");
        assert_eq!(judge("v=DMARC1; p=reject", &pass, &[], 0).result, DmarcResult::Pass);
        assert_eq!(judge("v=DMARC1; p=reject; aspf=s", &pass, &[], 0).result, DmarcResult::Fail);
        let signed = [dkim(DkimResult::Fail, "example.org"), dkim(DkimResult::Pass, "mail.example.org")];
        assert_eq!(judge("v=DMARC1; p=reject", &none, &signed, 0).result, DmarcResult::Pass);
        assert_eq!(judge("v=DMARC1; p=reject; adkim=s", &none, &signed, 0).result, DmarcResult::Fail);
        let foreign = [dkim(DkimResult::Pass, "example.net"), dkim(DkimResult::Pass, "badexample.org")];
        assert_eq!(judge("v=DMARC1; p=reject", &none, &foreign, 0).requested, Some(Disposition::Reject));
    }

    #[test]
    fn a_softfail_or_neutral_is_no_pass() {
        for result in [SpfResult::SoftFail, SpfResult::Neutral, SpfResult::None, SpfResult::PermError] {
            assert_eq!(
                judge("v=DMARC1; p=none", &spf(result, "example.org"), &[], 0).result,
                DmarcResult::Fail
            );
        }
    }

    #[test]
    fn only_an_aligned_uncertainty_makes_it_uncertain() {
        let away = spf(SpfResult::TempError, "other.test");
        assert_eq!(
            judge("v=DMARC1; p=reject", &away, &[dkim(DkimResult::TempError, "other.test")], 0).result,
            DmarcResult::Fail
        );
        assert_eq!(
            judge("v=DMARC1; p=reject", &spf(SpfResult::TempError, "example.org"), &[], 0).result,
            DmarcResult::TempError
        );
        let unsure = [dkim(DkimResult::TempError, "example.org")];
        assert_eq!(judge("v=DMARC1; p=reject", &away, &unsure, 0).result, DmarcResult::TempError);
        assert_eq!(
            judge("v=DMARC1; p=reject", &spf(SpfResult::Pass, "example.org"), &unsure, 0).result,
            DmarcResult::Pass
        );
    }

    #[test]
    fn pct_leaves_the_rest_one_step_milder() {
        let fails = spf(SpfResult::Fail, "example.org");
        let at = |draw| judge("v=DMARC1; p=reject; pct=30", &fails, &[], draw);
        assert_eq!((at(29).requested, at(29).sampled_out), (Some(Disposition::Reject), false));
        assert_eq!((at(30).requested, at(30).sampled_out), (Some(Disposition::Quarantine), true));
        assert_eq!(judge("v=DMARC1; p=quarantine; pct=0", &fails, &[], 0).requested, Some(Disposition::None));
        assert_eq!(judge("v=DMARC1; p=reject", &fails, &[], 99).requested, Some(Disposition::Reject));
    }

    #[test]
    fn of_several_authors_the_strictest_failure_is_told_of() {
        let spf = spf(SpfResult::Pass, "example.org");
        let authors = [
            ("example.org", "v=DMARC1; p=quarantine"),
            ("bank.test", "v=DMARC1; p=reject"),
            ("none.test", "v=DMARC1; p=none"),
        ]
        .map(|(author, record)| AuthorVerdict {
            dmarc: policy(author, record).judge(&spf, &[], 0),
            vouched: false,
            would_vouch: false,
        });
        let told = &worst(&authors).unwrap().dmarc;
        assert_eq!((told.author.as_str(), told.requested), ("bank.test", Some(Disposition::Reject)));
        assert_eq!(worst(&[]), None);
    }

    #[test]
    fn a_null_path_is_aligned_by_its_hello_name() {
        let mut spf = spf(SpfResult::Pass, "x");
        spf.mail_from = None;
        spf.hello.result = SpfResult::Pass;
        spf.hello.domain = "mx1.example.org".into();
        assert!(judge("v=DMARC1; p=reject", &spf, &[], 0).spf_aligned);
    }
}

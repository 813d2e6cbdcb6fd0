//! DKIM (RFC 6376, with RFC 8301 and 8463): which domains vouch for a message.
//!
//! | signature, key or DNS | result |
//! | --- | --- |
//! | holds | pass |
//! | body or header differ; expired (`x=`) | fail |
//! | SHA-1; RSA below 1024 or above 8192 bits; `l=` covers a part of the body only | policy |
//! | cannot be read; of an unknown algorithm, version or form | neutral |
//! | a required tag is missing, `From` is not signed, `i=` contradicts `d=` | permerror |
//! | no key, a revoked key, a key for other things | permerror |
//! | DNS failure, timeout, bogus | temperror |
//!
//! A key with `t=y` is only tested: what fails under it is neutral (§3.6.1); what passes does pass, as everywhere.

pub(crate) mod canonical;
pub(crate) mod key;
pub(crate) mod signature;

use self::{
    canonical::BodyHashes,
    key::{Key, KeyError},
    signature::{Flaw, Kind, Mismatch, Signature},
};
use super::{
    header::Header,
    keys::Keys,
    lookup::Miss,
    verdict::{DkimResult, DkimVerdict},
};

/// A signature field, read.
pub(crate) type Candidate = Result<Signature, DkimVerdict>;

/// Reads the signatures of a header, at most `limit`; first come, in the choice, those for which `preferred` holds, so that a
/// list's many signatures do not hide the author's.
pub(crate) fn candidates(header: &Header, limit: usize, preferred: impl Fn(&str) -> bool) -> Vec<Candidate> {
    let mut found: Vec<(usize, Candidate)> = header
        .named("DKIM-Signature")
        // Reading is cheap beside checking, and has its bound too.
        .take(limit.saturating_mul(8))
        .map(|field| (field, Signature::parse(header, field, Kind::Dkim).map_err(unread)))
        .collect();
    // Stable: within each kind the order of the header stays.
    found.sort_by_key(|(_, candidate)| match candidate {
        Ok(signature) => u8::from(!preferred(&signature.domain)),
        Err(_) => 2,
    });
    found.truncate(limit);
    found.sort_by_key(|(field, _)| *field);
    found.into_iter().map(|(_, candidate)| candidate).collect()
}

fn unread(flaw: Flaw) -> DkimVerdict {
    let (result, reason) = match flaw {
        Flaw::Syntax(reason) => (DkimResult::Neutral, reason),
        Flaw::Invalid(reason) => (DkimResult::PermError, reason),
    };
    DkimVerdict {
        result,
        domain: String::new(),
        selector: String::new(),
        algorithm: "",
        signature: String::new(),
        reason: Some(reason),
    }
}

/// Checks one signature.
pub(crate) fn verify(
    signature: &Signature,
    header: &Header,
    hashes: &BodyHashes,
    keys: &Keys,
    now: u64,
) -> DkimVerdict {
    let (result, reason) = match examine(signature, header, hashes, keys, now) {
        Ok(()) => (DkimResult::Pass, None),
        Err((result, reason)) => (result, Some(reason)),
    };
    DkimVerdict {
        result,
        domain: signature.domain.clone(),
        selector: signature.selector.clone(),
        algorithm: signature.algorithm.as_str(),
        signature: signature.excerpt.clone(),
        reason,
    }
}

fn examine(
    signature: &Signature,
    header: &Header,
    hashes: &BodyHashes,
    keys: &Keys,
    now: u64,
) -> Result<(), (DkimResult, &'static str)> {
    if signature.algorithm == key::Algorithm::RsaSha1 {
        return Err((DkimResult::Policy, "SHA-1"));
    }
    if signature.is_expired(now) {
        return Err((DkimResult::Fail, "signature expired"));
    }
    let key = keys.get(&signature.key_name()).map_err(|miss| match miss {
        Miss::Temporary(reason) => (DkimResult::TempError, reason),
        Miss::Nothing => (DkimResult::PermError, "no key"),
    })?;
    let key = key.map_err(rated)?;
    // §3.6.1 t=y.
    let failed = |result| if key.testing { DkimResult::Neutral } else { result };
    signature.check_body(hashes).map_err(|mismatch| match mismatch {
        Mismatch::Body => (failed(DkimResult::Fail), "body changed"),
        Mismatch::PartOfBody => (DkimResult::Policy, "only a part of the body is signed"),
    })?;
    signature.check_header(header, key).map_err(|error| {
        let (result, reason) = rated(error);
        (if result == DkimResult::Fail { failed(result) } else { result }, reason)
    })
}

fn rated(error: KeyError) -> (DkimResult, &'static str) {
    match error {
        KeyError::NoKey(reason) | KeyError::Unfit(reason) => (DkimResult::PermError, reason),
        KeyError::Revoked => (DkimResult::PermError, "key revoked"),
        KeyError::Weak(reason) => (DkimResult::Policy, reason),
        KeyError::Mismatch => (DkimResult::Fail, "signature does not match"),
    }
}

/// The usable key among the TXT records at a name: the first that is one, else why the first is none.
pub(crate) fn choose(records: &[String]) -> Result<Key, KeyError> {
    let mut why = None;
    for record in records.iter().take(4) {
        match Key::parse(record) {
            Ok(key) => return Ok(key),
            Err(error) => why = why.or(Some(error)),
        }
    }
    Err(why.unwrap_or(KeyError::NoKey("no key")))
}

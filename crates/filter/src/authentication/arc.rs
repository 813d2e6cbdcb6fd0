//! ARC (RFC 8617): what those who passed a message on say of it.
//!
//! The chain passes when it is complete, every seal holds, and the newest message signature holds for the message as it came
//! (§5.2). It overrides a DMARC failure only where the operator trusts: see [`Chain::vouches`].

use super::{
    dkim::{
        canonical::{BodyHashes, Form},
        key::{Algorithm, decode_base64},
        signature::{Kind, Mismatch, Signature, domain, key_name, unsigned_field},
    },
    header::{Header, Tags},
    keys::Keys,
    lookup::Miss,
    results,
    verdict::{ArcResult, ArcVerdict},
};

/// §4.2.1: instances go up to here.
const MOST_SETS: usize = 50;

/// A chain, complete in its form.
pub(crate) struct Chain {
    /// By instance, from 1.
    sets: Vec<Set>,
    /// The newest message signature.
    newest: Signature,
}

struct Set {
    results: usize,
    message_signature: usize,
    seal: Seal,
}

struct Seal {
    field: usize,
    algorithm: Algorithm,
    domain: String,
    selector: String,
    signature: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    None,
    Pass,
    Fail,
}

/// The verdict where there is no chain to check.
pub(crate) fn unchecked(result: ArcResult, reason: Option<&'static str>) -> ArcVerdict {
    ArcVerdict { result, sealers: Vec::new(), vouched: false, would_vouch: false, reason }
}

impl Chain {
    /// Reads the chain. `Ok(None)` is no chain; an error is a broken one (§5.2 steps 1 to 3).
    pub(crate) fn read(header: &Header, limit: usize) -> Result<Option<Self>, &'static str> {
        let fields = |name| -> Vec<usize> { header.named(name).take(MOST_SETS + 1).collect() };
        let seals = fields("ARC-Seal");
        let signatures = fields("ARC-Message-Signature");
        let results = fields("ARC-Authentication-Results");
        let count = seals.len();
        if count == 0 && signatures.is_empty() && results.is_empty() {
            return Ok(None);
        }
        if count > MOST_SETS.min(limit) {
            return Err("chain too long");
        }
        if signatures.len() != count || results.len() != count {
            return Err("chain incomplete");
        }
        let by_instance = |fields: Vec<usize>, first: bool| {
            let mut places: Vec<Option<usize>> = vec![None; count];
            for field in fields {
                let instance = instance(header, field, first).ok_or("no instance")?;
                match places.get_mut(instance - 1) {
                    Some(place @ None) => *place = Some(field),
                    _ => return Err("chain incomplete"),
                }
            }
            places.into_iter().collect::<Option<Vec<usize>>>().ok_or("chain incomplete")
        };
        let seals = by_instance(seals, false)?;
        let signatures = by_instance(signatures, false)?;
        let results = by_instance(results, true)?;
        let mut sets = Vec::with_capacity(count);
        for ((seal, message_signature), results) in seals.into_iter().zip(signatures).zip(results) {
            let seal = Seal::parse(header, seal).ok_or("syntax error in a seal")?;
            let expected = if sets.is_empty() { State::None } else { State::Pass };
            if seal.state == State::Fail {
                return Err("a sealer found the chain broken");
            }
            if seal.state != expected {
                return Err("contradictory chain");
            }
            sets.push(Set { results, message_signature, seal });
        }
        let last = sets.last().map(|set| set.message_signature).ok_or("chain incomplete")?;
        let newest = Signature::parse(header, last, Kind::Arc).map_err(|_| "syntax error in a signature")?;
        Ok(Some(Self { sets, newest }))
    }

    /// The names of the keys it needs.
    pub(crate) fn key_names(&self) -> impl Iterator<Item = String> {
        let seals = self.sets.iter().map(|set| key_name(&set.seal.selector, &set.seal.domain));
        std::iter::once(self.newest.key_name()).chain(seals)
    }

    /// The newest message signature.
    pub(crate) const fn newest(&self) -> &Signature {
        &self.newest
    }

    /// Checks the newest signature and all seals (§5.2 steps 4 to 6).
    pub(crate) fn verify(&self, header: &Header, hashes: &BodyHashes, keys: &Keys, now: u64) -> ArcVerdict {
        match self.examine(header, hashes, keys, now) {
            Ok(()) => ArcVerdict {
                result: ArcResult::Pass,
                sealers: self.sets.iter().map(|set| set.seal.domain.clone()).collect(),
                vouched: false,
                would_vouch: false,
                reason: None,
            },
            Err((result, reason)) => unchecked(result, Some(reason)),
        }
    }

    fn examine(
        &self,
        header: &Header,
        hashes: &BodyHashes,
        keys: &Keys,
        now: u64,
    ) -> Result<(), (ArcResult, &'static str)> {
        let fail = |reason| (ArcResult::Fail, reason);
        if self.newest.is_expired(now) {
            return Err(fail("signature expired"));
        }
        self.newest.check_body(hashes).map_err(|mismatch| {
            fail(match mismatch {
                Mismatch::Body => "body changed",
                Mismatch::PartOfBody => "only a part of the body is signed",
            })
        })?;
        let key = |name: String| match keys.get(&name) {
            Ok(Ok(key)) => Ok(key),
            Ok(Err(_)) | Err(Miss::Nothing) => Err(fail("no key")),
            Err(Miss::Temporary(reason)) => Err((ArcResult::TempError, reason)),
        };
        let newest = key(self.newest.key_name())?;
        self.newest.check_header(header, newest).map_err(|_| fail("signature does not match"))?;
        // §5.1.1: a seal covers all sets before it, and its own.
        let mut covered = Vec::new();
        for set in &self.sets {
            for field in [set.results, set.message_signature] {
                Form::Relaxed.field(header.raw(field), header.name(field), header.value(field), &mut covered);
            }
            let before = covered.len();
            unsigned_field(Form::Relaxed, header, set.seal.field, &mut covered);
            key(key_name(&set.seal.selector, &set.seal.domain))?
                .verify(set.seal.algorithm, &covered, &set.seal.signature)
                .map_err(|_| fail("seal does not match"))?;
            covered.truncate(before);
            let field = set.seal.field;
            Form::Relaxed.field(header.raw(field), header.name(field), header.value(field), &mut covered);
        }
        Ok(())
    }

    /// Whether, in a chain that passes, somebody trusted says that DMARC passed for `author`, with only trusted sealers after
    /// them: any other could have changed the message and sealed what it made of it.
    pub(crate) fn vouches(&self, header: &Header, author: &str, trusted: impl Fn(&str) -> bool) -> bool {
        self.sets
            .iter()
            .rev()
            .take_while(|set| trusted(&set.seal.domain))
            .any(|set| results::claims_dmarc_pass(header.value(set.results), author))
    }
}

/// `i=`; the results have it as a first element, without a list (§4.1.1).
fn instance(header: &Header, field: usize, first: bool) -> Option<usize> {
    let text = std::str::from_utf8(header.value(field)).ok()?;
    let value = if first {
        let (name, value) = text.split(';').next()?.split_once('=')?;
        (name.trim() == "i").then_some(value.trim())?
    } else {
        Tags::parse(text)?.get("i")?
    };
    value.parse().ok().filter(|instance| (1..=MOST_SETS).contains(instance))
}

impl Seal {
    /// §4.1.3.
    fn parse(header: &Header, field: usize) -> Option<Self> {
        let tags = Tags::parse(std::str::from_utf8(header.value(field)).ok()?)?;
        // A seal covers what it covers; `h=` would say otherwise.
        if tags.get("h").is_some() {
            return None;
        }
        let state = match tags.get("cv")?.to_ascii_lowercase().as_str() {
            "none" => State::None,
            "pass" => State::Pass,
            "fail" => State::Fail,
            _ => return None,
        };
        Some(Self {
            field,
            algorithm: Algorithm::parse(tags.get("a")?)?,
            domain: domain(tags.get("d")?)?,
            selector: domain(tags.get("s")?)?,
            signature: decode_base64(tags.get("b")?)?,
            state,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(i: usize, cv: &str) -> String {
        format!(
            "ARC-Seal: i={i}; a=rsa-sha256; cv={cv}; d=l{i}.test; s=s; b=AAAA\r\nARC-Message-Signature: i={i}; a=rsa-sha256; d=l{i}.test; s=s; h=from; bh=AAAA; b=AAAA\r\nARC-Authentication-Results: i={i}; l{i}.test; dmarc=pass header.from=a.test\r\n"
        )
    }

    fn read(text: &str) -> Result<Option<Chain>, &'static str> {
        Chain::read(&Header::new(text.as_bytes().to_vec()), 50)
    }

    #[test]
    fn a_complete_chain_is_read_in_the_order_of_its_instances() {
        let chain = read(&(set(2, "pass") + &set(1, "none"))).unwrap().unwrap();
        assert_eq!(
            chain.sets.iter().map(|set| set.seal.domain.as_str()).collect::<Vec<_>>(),
            ["l1.test", "l2.test"]
        );
        assert_eq!(chain.key_names().collect::<std::collections::BTreeSet<_>>().len(), 2);
        assert!(read("From: a\r\n").unwrap().is_none());
    }

    #[test]
    fn a_chain_with_a_gap_or_a_contradiction_is_broken() {
        for (text, expected) in [
            (set(2, "pass"), "chain incomplete"),
            (set(1, "none") + &set(1, "none"), "chain incomplete"),
            (set(1, "pass"), "contradictory chain"),
            (set(1, "none") + &set(2, "none"), "contradictory chain"),
            (set(1, "none") + &set(2, "fail"), "a sealer found the chain broken"),
            (set(1, "none").replace("ARC-Seal: i=1;", "ARC-Seal:"), "no instance"),
            (set(1, "none").replace("cv=none", "cv=none; h=from"), "syntax error in a seal"),
            (set(1, "none").replace("h=from", "h=from:arc-seal"), "syntax error in a signature"),
            ("ARC-Seal: i=1\r\n".into(), "chain incomplete"),
            ((0..51).map(|n| set(n + 1, "pass")).collect(), "chain too long"),
        ] {
            assert_eq!(read(&text).err(), Some(expected), "{text}");
        }
        assert_eq!(
            Chain::read(&Header::new((set(1, "none") + &set(2, "pass")).into_bytes()), 1).err(),
            Some("chain too long")
        );
    }

    #[test]
    fn a_stranger_after_the_trusted_sealer_ends_the_trust() {
        let text = set(1, "none") + &set(2, "pass");
        let header = Header::new(text.into_bytes());
        let chain = Chain::read(&header, 50).unwrap().unwrap();
        assert!(chain.vouches(&header, "a.test", |_| true));
        assert!(chain.vouches(&header, "a.test", |name| name == "l2.test"));
        assert!(!chain.vouches(&header, "a.test", |name| name == "l1.test"));
        assert!(!chain.vouches(&header, "b.test", |_| true));
    }

    proptest::proptest! {
        #[test]
        fn any_header_has_a_chain_or_not(parts in proptest::collection::vec(proptest::sample::select(vec![
            "ARC-Seal:", "ARC-Message-Signature:", "ARC-Authentication-Results:", " i=1;", " i=2;", " i=99999999999;", "cv=none;", "a=rsa-sha256;",
            "d=a.test;", "s=s;", "b=AAAA;", "bh=AAAA;", "h=from;", "\r\n", "\r\n ",
        ]), 0..60)) {
            let header = Header::new(parts.concat().into_bytes());
            if let Ok(Some(chain)) = Chain::read(&header, 50) {
                let verdict = chain.verify(&header, &BodyHashes::default(), &Keys::default(), 0);
                proptest::prop_assert_ne!(verdict.result, ArcResult::Pass);
            }
        }
    }
}

//! DKIM-Signature and ARC-Message-Signature fields (RFC 6376 §3.5, RFC 8617 §4.1.2), and what they are computed over.

use super::{
    canonical::{BodyHashes, Form},
    key::{Algorithm, Key, KeyError, decode_base64},
};
use crate::authentication::{
    config::canonical,
    header::{Header, Tags, is_space},
};
use std::collections::HashMap;

/// A signature as its field says it.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    /// Which field it is.
    pub field: usize,
    pub algorithm: Algorithm,
    /// `d=`, canonical.
    pub domain: String,
    /// `s=`, in lower case.
    pub selector: String,
    /// `b=`.
    pub signature: Vec<u8>,
    /// The first characters of `b=` as written.
    pub excerpt: String,
    /// `i=`'s domain.
    identity: Option<String>,
    body_hash: Vec<u8>,
    header_form: Form,
    pub body_form: Form,
    /// `h=`, in lower case.
    signed: Vec<String>,
    /// `l=`.
    body_length: Option<u64>,
    timestamp: Option<u64>,
    expires: Option<u64>,
}

/// Why a field is no signature that could hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It cannot be read.
    Syntax(&'static str),
    /// Something required is missing or contradicts itself (§6.1.1).
    Invalid(&'static str),
}

/// Which of the two fields it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Dkim,
    Arc,
}

impl Signature {
    pub(crate) fn parse(header: &Header, field: usize, kind: Kind) -> Result<Self, Flaw> {
        let text = std::str::from_utf8(header.value(field)).map_err(|_| Flaw::Syntax("not text"))?;
        let tags = Tags::parse(text).ok_or(Flaw::Syntax("syntax error in the signature"))?;
        // §3.5: v= is required and 1; RFC 8617 §4.1.2: there it is not.
        if kind == Kind::Dkim && tags.get("v") != Some("1") {
            return Err(Flaw::Syntax("unknown version"));
        }
        let required = |tag| tags.get(tag).filter(|value| !value.is_empty());
        let missing = Flaw::Invalid("a required tag is missing");
        let algorithm =
            Algorithm::parse(required("a").ok_or(missing)?).ok_or(Flaw::Syntax("unknown algorithm"))?;
        let domain = domain(required("d").ok_or(missing)?).ok_or(Flaw::Invalid("d= is no domain"))?;
        let selector = required("s").ok_or(missing)?.to_ascii_lowercase();
        let name = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if !selector.split('.').all(name) {
            return Err(Flaw::Invalid("s= is no selector"));
        }
        let encoded = required("b").ok_or(missing)?;
        let decoded = |text| decode_base64(text).ok_or(Flaw::Syntax("not base64"));
        let (header_form, body_form) =
            Form::parse(tags.get("c").unwrap_or("simple")).ok_or(Flaw::Syntax("unknown canonicalization"))?;
        let signed: Vec<String> = required("h")
            .ok_or(missing)?
            .split(':')
            .map(|name| name.trim_matches(is_space).to_ascii_lowercase())
            .filter(|name| !name.is_empty())
            .collect();
        let has = |name: &str| signed.iter().any(|signed| signed == name);
        if kind == Kind::Dkim && !has("from") {
            return Err(Flaw::Invalid("the signature does not cover From"));
        }
        // RFC 8617 §4.1.2: seals are made after it.
        if kind == Kind::Arc && has("arc-seal") {
            return Err(Flaw::Invalid("the signature covers a seal"));
        }
        let methods = tags.get("q").unwrap_or("dns/txt");
        if !methods.split(':').any(|method| method.trim_matches(is_space).eq_ignore_ascii_case("dns/txt")) {
            return Err(Flaw::Syntax("unknown query method"));
        }
        let number = |tag| match tags.get(tag) {
            None => Ok(None),
            // §3.5: up to 76 digits; more than fit are later than any time and longer than any body.
            Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(Some(text.parse().unwrap_or(u64::MAX)))
            }
            Some(_) => Err(Flaw::Syntax("not a number")),
        };
        let identity = match tags.get("i").filter(|_| kind == Kind::Dkim) {
            None => None,
            Some(identity) => {
                let (_, at) = identity.rsplit_once('@').ok_or(Flaw::Invalid("i= has no domain"))?;
                let at = self::domain(at).ok_or(Flaw::Invalid("i= has no domain"))?;
                let below =
                    at.strip_suffix(&domain).is_some_and(|above| above.is_empty() || above.ends_with('.'));
                if !below {
                    return Err(Flaw::Invalid("i= is not in d="));
                }
                Some(at)
            }
        };
        Ok(Self {
            field,
            algorithm,
            selector,
            signature: decoded(encoded)?,
            excerpt: encoded.chars().filter(|c| !is_space(*c)).take(8).collect(),
            identity,
            body_hash: decoded(required("bh").ok_or(missing)?)?,
            header_form,
            body_form,
            signed,
            body_length: number("l")?,
            timestamp: number("t")?,
            expires: number("x")?,
            domain,
        })
    }

    /// Where its key is.
    pub(crate) fn key_name(&self) -> String {
        key_name(&self.selector, &self.domain)
    }

    /// Whether it had ended at `now`, in seconds since 1970 (§3.5 x=).
    pub(crate) fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|end| end < now || self.timestamp.is_some_and(|begin| end <= begin))
    }

    /// Whether the body is the one that was signed.
    pub(crate) fn check_body(&self, hashes: &BodyHashes) -> Result<(), Mismatch> {
        let Some(hash) = hashes.get(self.body_form) else { return Err(Mismatch::Body) };
        match self.body_length {
            // Whoever may append to a message may replace what is seen of it (§8.2): a part of a body is no body.
            Some(length) if length < hash.length => return Err(Mismatch::PartOfBody),
            Some(length) if length > hash.length => return Err(Mismatch::Body),
            _ => {}
        }
        if hash.digest.as_ref() == self.body_hash { Ok(()) } else { Err(Mismatch::Body) }
    }

    /// Whether the header is the one that was signed.
    pub(crate) fn check_header(&self, header: &Header, key: &Key) -> Result<(), KeyError> {
        if let Some(identity) = self.identity.as_ref().filter(|_| key.strict)
            && *identity != self.domain
        {
            return Err(KeyError::Unfit("the key is not for sub-domains"));
        }
        key.verify(self.algorithm, &self.signed_header(header), &self.signature)
    }

    /// §3.7: the fields of `h=`, each name from the bottom up, and this field without its `b=`.
    fn signed_header(&self, header: &Header) -> Vec<u8> {
        let mut left: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for index in (0..header.len()).filter(|index| *index != self.field) {
            left.entry(header.name(index).to_ascii_lowercase()).or_default().push(index);
        }
        let mut text = Vec::with_capacity(2048);
        for name in &self.signed {
            if let Some(index) = left.get_mut(name.as_bytes()).and_then(Vec::pop) {
                self.header_form.field(header.raw(index), header.name(index), header.value(index), &mut text);
            }
        }
        unsigned_field(self.header_form, header, self.field, &mut text);
        text
    }
}

/// Why the body is not the one that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    Body,
    PartOfBody,
}

/// Where a key is (§3.6.2.1).
pub(crate) fn key_name(selector: &str, domain: &str) -> String {
    format!("{selector}._domainkey.{domain}")
}

/// `d=` as it is asked for and compared.
pub(crate) fn domain(text: &str) -> Option<String> {
    canonical(text).or_else(|| {
        // Names with an underscore are in use, and no address has one.
        let text = text.to_ascii_lowercase();
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        (text.len() <= 253 && text.split('.').all(label)).then_some(text)
    })
}

/// Appends a signature's own field: without the value of `b=` and without a CR LF at its end (§3.7).
pub(crate) fn unsigned_field(form: Form, header: &Header, field: usize, out: &mut Vec<u8>) {
    let value = header.value(field);
    let mut bare = Vec::with_capacity(value.len());
    for (index, tag) in value.split(|byte| *byte == b';').enumerate() {
        if index > 0 {
            bare.push(b';');
        }
        match tag.iter().position(|byte| *byte == b'=') {
            Some(equals) if tag[..equals].trim_ascii() == b"b" => bare.extend_from_slice(&tag[..=equals]),
            _ => bare.extend_from_slice(tag),
        }
    }
    let mut raw = Vec::new();
    if form == Form::Simple {
        let whole = header.raw(field);
        raw.extend_from_slice(&whole[..whole.len() - value.len()]);
        raw.extend_from_slice(&bare);
    }
    form.field(&raw, header.name(field), &bare, out);
    if out.ends_with(b"\r\n") {
        out.truncate(out.len() - 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(value: &str) -> Header {
        Header::new(format!("DKIM-Signature: {value}\r\nFrom: a@example.org\r\n").into_bytes())
    }

    fn parse(value: &str) -> Result<Signature, Flaw> {
        Signature::parse(&header(value), 0, Kind::Dkim)
    }

    const WHOLE: &str = "v=1; a=rsa-sha256; d=Example.org; s=S1; h=From : To;\r\n bh=AAAA; b=AA\r\n AA; x=5";

    #[test]
    fn a_field_is_read_with_its_folds() {
        let signature = parse(WHOLE).unwrap();
        assert_eq!(
            (signature.domain.as_str(), signature.key_name().as_str()),
            ("example.org", "s1._domainkey.example.org")
        );
        assert_eq!(
            (signature.signed.as_slice(), signature.excerpt.as_str()),
            (&["from".to_owned(), "to".to_owned()][..], "AAAA")
        );
        assert!(signature.is_expired(6) && !signature.is_expired(5));
    }

    #[test]
    fn what_misses_something_is_no_signature() {
        for tag in [
            "v=1; ",
            "a=rsa-sha256; ",
            "d=Example.org; ",
            "s=S1; ",
            "h=From : To;",
            "bh=AAAA; ",
            "b=AA\r\n AA; ",
        ] {
            assert!(parse(&WHOLE.replace(tag, "")).is_err(), "{tag}");
        }
        for extra in [
            "; i=a@example.net",
            "; i=a",
            "; q=other",
            "; l=x",
            "; t=",
            "; c=odd",
            "; c=relaxed/odd",
            "; d=example.org",
            "; x",
            "; i=@badexample.org",
        ] {
            assert!(parse(&format!("{WHOLE}{extra}")).is_err(), "{extra}");
        }
        assert!(
            parse(&format!("{WHOLE}; i=@sub.example.org; q=other:dns/txt; l=99999999999999999999999"))
                .is_ok()
        );
        assert_eq!(
            parse(&WHOLE.replace("From : To", "To")).unwrap_err(),
            Flaw::Invalid("the signature does not cover From")
        );
        assert!(parse(&WHOLE.replace("s=S1", "s=a..b")).is_err());
    }

    #[test]
    fn only_the_value_of_b_is_left_out() {
        let header = header("bh=b=; b = abc\r\n def\r\n ;v=1");
        let mut simple = Vec::new();
        unsigned_field(Form::Simple, &header, 0, &mut simple);
        assert_eq!(simple, b"DKIM-Signature: bh=b=; b =;v=1");
        let mut relaxed = Vec::new();
        unsigned_field(Form::Relaxed, &header, 0, &mut relaxed);
        assert_eq!(relaxed, b"dkim-signature:bh=b=; b =;v=1");
        let header = self::header("v=1; b=abc");
        let mut last = Vec::new();
        unsigned_field(Form::Simple, &header, 0, &mut last);
        assert_eq!(last, b"DKIM-Signature: v=1; b=");
    }

    #[test]
    fn fields_are_taken_from_the_bottom_and_never_the_signature_itself() {
        let signature =
            "v=1; a=rsa-sha256; d=a.test; s=s; c=relaxed; h=from:x:x:x:dkim-signature; bh=AAAA; b=AAAA";
        let header =
            Header::new(format!("X: 1\r\nDKIM-Signature: {signature}\r\nX: 2\r\nFrom: a\r\n").into_bytes());
        let parsed = Signature::parse(&header, 1, Kind::Dkim).unwrap();
        let text = String::from_utf8(parsed.signed_header(&header)).unwrap();
        assert!(text.starts_with("from:a\r\nx:2\r\nx:1\r\ndkim-signature:v=1;"), "{text}");
        assert_eq!(text.matches("dkim-signature:").count(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_field_is_a_signature_or_not(parts in proptest::collection::vec(proptest::sample::select(vec![
            "v=1", "a=", "rsa-sha256", "b=", "bh=", "AAAA", "d=", "x.test", "s=", "h=", "From", ":", ";", "; ", "\r\n ", "i=@", "l=", "99", "x=", "c=relaxed/", "=",
        ]), 0..40)) {
            let header = header(&parts.concat());
            if let Ok(signature) = Signature::parse(&header, 0, Kind::Dkim) {
                let _ = (signature.signed_header(&header), signature.is_expired(1), signature.key_name());
            }
            let mut out = Vec::new();
            unsigned_field(Form::Simple, &header, 0, &mut out);
            unsigned_field(Form::Relaxed, &header, 0, &mut out);
        }
    }
}

//! Public keys in DNS (RFC 6376 §3.6.1, RFC 8463) and signatures under them.

use super::super::header::Tags;
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ring::{
    digest,
    signature::{
        ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RsaPublicKeyComponents, UnparsedPublicKey,
    },
};

/// Bits of an RSA key below which a signature is not believed (RFC 8301 §3.2).
const LEAST_BITS: usize = 1024;
/// Bits above which none is computed (RFC 8301 §3.2 asks for 4096; ring goes up to here).
const MOST_BITS: usize = 8192;

/// How signatures are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    RsaSha256,
    Ed25519Sha256,
    /// Obsolete (RFC 8301 §3.1): read, and never believed.
    RsaSha1,
}

impl Algorithm {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "rsa-sha256" => Some(Self::RsaSha256),
            "ed25519-sha256" => Some(Self::Ed25519Sha256),
            "rsa-sha1" => Some(Self::RsaSha1),
            _ => None,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa-sha256",
            Self::Ed25519Sha256 => "ed25519-sha256",
            Self::RsaSha1 => "rsa-sha1",
        }
    }
}

/// A key record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    public: Public,
    /// `h=` allows SHA-256.
    sha256: bool,
    /// `t=s`: `i=` must be in the very domain.
    pub(crate) strict: bool,
    /// `t=y`: the domain tests DKIM.
    pub(crate) testing: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Public {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    Ed25519([u8; 32]),
}

/// Why a record is no key, or a signature not one under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// The record is of something else, or broken.
    NoKey(&'static str),
    /// `p=` is empty.
    Revoked,
    /// The key may not be used for this.
    Unfit(&'static str),
    /// The key is too short or too long.
    Weak(&'static str),
    /// The signature does not hold.
    Mismatch,
}

impl Key {
    /// Parses a TXT record.
    pub(crate) fn parse(text: &str) -> Result<Self, KeyError> {
        let tags = Tags::parse(text).ok_or(KeyError::NoKey("syntax error in the key record"))?;
        // §3.6.1: v= is optional, first, and DKIM1.
        match (tags.get("v"), tags.first()) {
            (None, _) | (Some("DKIM1"), Some(("v", _))) => {}
            _ => return Err(KeyError::NoKey("the key record is of another version")),
        }
        let listed = |tag: &str, value: &str| {
            tags.get(tag)
                .is_none_or(|list| list.split(':').any(|item| item.trim().eq_ignore_ascii_case(value)))
        };
        let flagged = |flag: &str| tags.get("t").is_some() && listed("t", flag);
        if !listed("s", "email") && !listed("s", "*") {
            return Err(KeyError::Unfit("the key is not for mail"));
        }
        let encoded = tags.get("p").ok_or(KeyError::NoKey("the key record has no key"))?;
        let bytes = decode_base64(encoded).ok_or(KeyError::NoKey("the key is not base64"))?;
        if bytes.is_empty() {
            return Err(KeyError::Revoked);
        }
        let public = match tags.get("k").unwrap_or("rsa").to_ascii_lowercase().as_str() {
            "rsa" => Public::rsa(&bytes).ok_or(KeyError::NoKey("the key is no RSA key"))?,
            "ed25519" => {
                Public::Ed25519(bytes.try_into().map_err(|_| KeyError::NoKey("the key is no Ed25519 key"))?)
            }
            _ => return Err(KeyError::NoKey("the key is of an unknown type")),
        };
        Ok(Self { public, sha256: listed("h", "sha256"), strict: flagged("s"), testing: flagged("y") })
    }

    /// Whether `signature` is one of `data` under this key.
    pub(crate) fn verify(&self, algorithm: Algorithm, data: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        if !self.sha256 {
            return Err(KeyError::Unfit("the key is not for SHA-256"));
        }
        match (&self.public, algorithm) {
            (Public::Rsa { modulus, exponent }, Algorithm::RsaSha256) => {
                let bits = bits(modulus);
                if bits < LEAST_BITS {
                    return Err(KeyError::Weak("RSA key shorter than 1024 bits"));
                }
                if bits > MOST_BITS {
                    return Err(KeyError::Weak("RSA key longer than 8192 bits"));
                }
                RsaPublicKeyComponents { n: modulus, e: exponent }
                    .verify(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, data, signature)
                    .map_err(|_| KeyError::Mismatch)
            }
            // RFC 8463 §3: Ed25519 signs the hash.
            (Public::Ed25519(key), Algorithm::Ed25519Sha256) => UnparsedPublicKey::new(&ED25519, key)
                .verify(digest::digest(&digest::SHA256, data).as_ref(), signature)
                .map_err(|_| KeyError::Mismatch),
            (_, Algorithm::RsaSha1) => Err(KeyError::Weak("SHA-1")),
            _ => Err(KeyError::Unfit("the key is of another type than the signature")),
        }
    }
}

impl Public {
    /// From a SubjectPublicKeyInfo (what is published) or a bare RSAPublicKey (what RFC 6376 says).
    fn rsa(bytes: &[u8]) -> Option<Self> {
        /// The contents of AlgorithmIdentifier: rsaEncryption, NULL (RFC 3279 §2.3.1).
        const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
        let (outer, _) = der(bytes, SEQUENCE)?;
        let inner = match der(outer, SEQUENCE) {
            Some((algorithm, rest)) if algorithm.starts_with(RSA) => {
                let (bits, _) = der(rest, BIT_STRING)?;
                // The first octet counts unused bits.
                der(bits.get(1..)?, SEQUENCE)?.0
            }
            Some(_) => return None,
            None => outer,
        };
        let (modulus, rest) = der(inner, INTEGER)?;
        let (exponent, _) = der(rest, INTEGER)?;
        let unsigned = |bytes: &[u8]| {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            bytes[zeros..].to_vec()
        };
        let (modulus, exponent) = (unsigned(modulus), unsigned(exponent));
        (!modulus.is_empty() && !exponent.is_empty()).then_some(Self::Rsa { modulus, exponent })
    }
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// The contents of a DER value of a type at the front of `bytes`, and what follows it.
fn der(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if octets.is_empty() || octets.len() > 4 {
            return None;
        }
        (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
    };
    rest.split_at_checked(length)
}

fn bits(modulus: &[u8]) -> usize {
    modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize)
}

/// Decodes base64 that may be folded and without padding.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let text: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    ENGINE.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";

    #[test]
    fn keys_are_read_with_or_without_the_outer_structure() {
        let Ok(Key { public: Public::Rsa { modulus, exponent }, .. }) = Key::parse(&format!("p={RSA}"))
        else {
            panic!("no RSA key");
        };
        assert_eq!((bits(&modulus), exponent.as_slice()), (1024, &[1, 0, 1][..]));
        let bare = "MIGJAoGBALVI635dLK4cJJAH3Lx6upo3X/Lm1tQz3mezcWTA3BUBnyIsdnRf57aD5BtNmhPrYYDlWlzw3UgnKisIxktkk5+iMQMlFtAS10JB8L3YadXNJY+JBcbeSi5TgJe4WFzNgW95FWDAuSTRXSWZfA/8xjflbTLDx0euFZOM7C4T0GwLAgMBAAE=";
        assert!(matches!(Key::parse(&format!("v=DKIM1; p={bare}")).unwrap().public, Public::Rsa { .. }));
        let short = "v=DKIM1; k=ed25519; t=y:s; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        let key = Key::parse(short).unwrap();
        assert!(matches!(key.public, Public::Ed25519(_)) && key.strict && key.testing);
    }

    #[test]
    fn a_record_that_is_no_key_says_why() {
        for (text, expected) in [
            ("v=DKIM1; p=", KeyError::Revoked),
            ("k=rsa", KeyError::NoKey("the key record has no key")),
            ("p=AAAA; v=DKIM1", KeyError::NoKey("the key record is of another version")),
            ("v=DKIM2; p=AAAA", KeyError::NoKey("the key record is of another version")),
            ("v=spf1 -all", KeyError::NoKey("the key record is of another version")),
            ("hello", KeyError::NoKey("syntax error in the key record")),
            ("p=AAAA", KeyError::NoKey("the key is no RSA key")),
            ("k=ed25519; p=AAAA", KeyError::NoKey("the key is no Ed25519 key")),
            ("k=dsa; p=AAAA", KeyError::NoKey("the key is of an unknown type")),
            ("s=tlsrpt; p=AAAA", KeyError::Unfit("the key is not for mail")),
            ("p=*", KeyError::NoKey("the key is not base64")),
        ] {
            assert_eq!(Key::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn what_may_not_be_used_is_refused_before_anything_is_computed() {
        let key = Key::parse(&format!("h=sha1; p={RSA}")).unwrap();
        assert_eq!(
            key.verify(Algorithm::RsaSha256, b"", b""),
            Err(KeyError::Unfit("the key is not for SHA-256"))
        );
        let key = Key::parse(&format!("p={RSA}")).unwrap();
        assert_eq!(key.verify(Algorithm::RsaSha1, b"", b""), Err(KeyError::Weak("SHA-1")));
        assert!(matches!(key.verify(Algorithm::Ed25519Sha256, b"", b""), Err(KeyError::Unfit(_))));
        assert_eq!(key.verify(Algorithm::RsaSha256, b"", b""), Err(KeyError::Mismatch));
        let weak = Key { public: Public::Rsa { modulus: vec![255; 96], exponent: vec![3] }, ..key.clone() };
        assert_eq!(
            weak.verify(Algorithm::RsaSha256, b"", b""),
            Err(KeyError::Weak("RSA key shorter than 1024 bits"))
        );
        let long = Key { public: Public::Rsa { modulus: vec![255; 1025], exponent: vec![3] }, ..key };
        assert_eq!(
            long.verify(Algorithm::RsaSha256, b"", b""),
            Err(KeyError::Weak("RSA key longer than 8192 bits"))
        );
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_a_key_or_not(bytes: Vec<u8>) {
            let _ = Public::rsa(&bytes);
        }

        #[test]
        fn any_record_is_a_key_or_not(text in "[vkhtsp=;: A-Za-z0-9+/]{0,80}") {
            let _ = Key::parse(&text);
        }

        #[test]
        fn a_damaged_key_is_handled(at in 0usize..160, value: u8) {
            let mut bytes = decode_base64(RSA).unwrap();
            let at = at % bytes.len();
            bytes[at] = value;
            if let Some(public) = Public::rsa(&bytes) {
                let key = Key { public, sha256: true, strict: false, testing: false };
                let _ = key.verify(Algorithm::RsaSha256, b"x", &[0; 128]);
            }
        }
    }
}

//! The TXT record of a key (RFC 6376 §3.6.1, RFC 8463 §4).

use super::Algorithm;
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Octets of one string of a TXT record (RFC 1035 §3.3.14).
const STRING: usize = 255;

/// `SEQUENCE { OBJECT IDENTIFIER rsaEncryption, NULL }`.
const RSA_ENCRYPTION: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// The text of the record. `public` is for RSA the `RSAPublicKey` of RFC 8017, for Ed25519 the 32 octets of the key.
pub(crate) fn text(algorithm: Algorithm, public: &[u8]) -> String {
    let (kind, key) = match algorithm {
        // Verifiers want a SubjectPublicKeyInfo, whatever the RFC's text says (RFC 6376 erratum 3017).
        Algorithm::Rsa => ("rsa", STANDARD.encode(public_key_info(public))),
        Algorithm::Ed25519 => ("ed25519", STANDARD.encode(public)),
    };
    format!("v=DKIM1; h=sha256; k={kind}; p={key}")
}

/// The text cut into the strings of a TXT record.
#[must_use]
pub fn strings(text: &str) -> Vec<String> {
    // Of ASCII alone, so every octet is a character.
    text.as_bytes().chunks(STRING).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

fn public_key_info(key: &[u8]) -> Vec<u8> {
    let mut bits = vec![0];
    bits.extend_from_slice(key);
    let mut inner = RSA_ENCRYPTION.to_vec();
    inner.extend(der(0x03, &bits));
    der(0x30, &inner)
}

/// Tag, length, value (X.690 §8.1). No key is longer than 64 KiB.
fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let [.., high, low] = value.len().to_be_bytes();
    match value.len() {
        ..0x80 => out.push(low),
        0x80..=0xff => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    out.extend_from_slice(value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_record_is_cut_into_strings() {
        let text = text(Algorithm::Rsa, &[7; 270]);
        let parts = strings(&text);
        assert!(parts.len() == 2 && parts[0].len() == 255 && parts.concat() == text);
    }

    #[test]
    fn lengths_are_written_in_the_shortest_form() {
        assert_eq!(der(4, &[1]), [4, 1, 1]);
        assert_eq!(der(4, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(der(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
    }
}

//! Mailbox names and modified UTF-7 (RFC 3501 §5.1).

use std::fmt;

use base64::{
    Engine,
    alphabet::Alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use thiserror::Error;

/// A mailbox name in UTF-8; `INBOX`, which knows no case, is always in capitals, also as the first level.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MailboxName(String);

/// Why octets are no mailbox name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MailboxNameError {
    /// `&` begins no valid base64 of UTF-16.
    #[error("mailbox name is not modified UTF-7")]
    Utf7,
    /// Octets over 127 that are not UTF-8.
    #[error("mailbox name is not UTF-8")]
    Utf8,
    /// Control characters.
    #[error("mailbox name has control characters")]
    Control,
}

impl MailboxName {
    /// From the wire: modified UTF-7, or raw UTF-8 as IMAP4rev2 has it (RFC 9051 §5.1).
    pub fn from_wire(octets: &[u8]) -> Result<Self, MailboxNameError> {
        let name = decode_utf7(octets)?;
        if name.chars().any(char::is_control) {
            return Err(MailboxNameError::Control);
        }
        Ok(Self::from_utf8(name))
    }

    /// From UTF-8 of our own.
    pub fn from_utf8(mut name: String) -> Self {
        let first = name.split('/').next().unwrap_or_default();
        if first.eq_ignore_ascii_case("INBOX") {
            name.replace_range(..5, "INBOX");
        }
        Self(name)
    }

    /// In UTF-8.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Modified UTF-7 to UTF-8. Names with raw UTF-8 pass as they are.
pub fn decode_utf7(octets: &[u8]) -> Result<String, MailboxNameError> {
    let text = std::str::from_utf8(octets).map_err(|_| MailboxNameError::Utf8)?;
    if !text.is_ascii() || !octets.contains(&b'&') {
        return Ok(text.to_owned());
    }
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        name.push_str(&rest[..at]);
        let end = rest[at..].find('-').ok_or(MailboxNameError::Utf7)? + at;
        let inside = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if inside.is_empty() {
            name.push('&');
            continue;
        }
        let units = ENGINE.decode(inside).map_err(|_| MailboxNameError::Utf7)?;
        if units.len() % 2 != 0 {
            return Err(MailboxNameError::Utf7);
        }
        let units = units.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        for c in char::decode_utf16(units) {
            name.push(c.map_err(|_| MailboxNameError::Utf7)?);
        }
    }
    name.push_str(rest);
    Ok(name)
}

/// UTF-8 to modified UTF-7.
pub fn encode_utf7(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut units: Vec<u8> = Vec::new();
    let flush = |units: &mut Vec<u8>, out: &mut String| {
        if !units.is_empty() {
            out.push('&');
            ENGINE.encode_string(&*units, out);
            out.push('-');
            units.clear();
        }
    };
    for c in name.chars() {
        if matches!(c, ' '..='~') {
            flush(&mut units, &mut out);
            out.push(c);
            if c == '&' {
                out.push('-');
            }
        } else {
            let mut pair = [0; 2];
            for unit in c.encode_utf16(&mut pair) {
                units.extend_from_slice(&unit.to_be_bytes());
            }
        }
    }
    flush(&mut units, &mut out);
    out
}

/// Base64 with `,` for `/` and no padding. Bits left over must be zero, so a name has one encoding.
static ENGINE: GeneralPurpose = GeneralPurpose::new(
    &MODIFIED,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

const MODIFIED: Alphabet =
    match Alphabet::new("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,") {
        Ok(alphabet) => alphabet,
        Err(_) => panic!("64 different characters"),
    };

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_the_rfc_decode() {
        let table = [
            ("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
            ("Tom &- Jerry", "Tom & Jerry"),
            ("&2D3eCA-", "😈"),
            ("Se&AO8-or", "Seïor"),
        ];
        for (wire, name) in table {
            assert_eq!(decode_utf7(wire.as_bytes()).unwrap(), name);
            assert_eq!(encode_utf7(name), wire);
        }
    }

    #[test]
    fn broken_base64_is_refused() {
        for wire in ["&", "&Jjo", "&Jjo!", "&J-", "&2D0-", "&AO9-", "a&=-"] {
            assert_eq!(decode_utf7(wire.as_bytes()), Err(MailboxNameError::Utf7), "{wire}");
        }
        assert_eq!(decode_utf7(b"\xff"), Err(MailboxNameError::Utf8));
        assert_eq!(MailboxName::from_wire(b"a\x01"), Err(MailboxNameError::Control));
    }

    #[test]
    fn inbox_has_no_case() {
        assert_eq!(MailboxName::from_wire(b"inBox").unwrap().as_str(), "INBOX");
        assert_eq!(MailboxName::from_wire(b"inbox/a").unwrap().as_str(), "INBOX/a");
        assert_eq!(MailboxName::from_wire(b"inboxes").unwrap().as_str(), "inboxes");
    }

    proptest! {
        #[test]
        fn every_name_survives_the_wire(name in "\\PC*") {
            prop_assert_eq!(decode_utf7(encode_utf7(&name).as_bytes()).unwrap(), name);
        }

        #[test]
        fn any_octets_are_a_name_or_an_error(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = MailboxName::from_wire(&octets);
        }
    }
}

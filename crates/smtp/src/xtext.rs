//! How addresses and identifiers stand in parameter values: xtext (RFC 3461 §4) and its UTF-8 forms (RFC 6533 §3).

use std::fmt::Write as _;

/// Decodes xtext. What it says must be printable US-ASCII (RFC 3461 §4.2, §4.4), so that it can be written into a report or a
/// log as it is.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => {
                let octet = hex(rest.next()?)? << 4 | hex(rest.next()?)?;
                decoded.push(printable(octet)?);
            }
            b'=' => return None,
            b'!'..=b'~' => decoded.push(char::from(byte)),
            _ => return None,
        }
    }
    Some(decoded)
}

/// Appends `text` as xtext. Characters above 127 have no place in it and are written as they are: they come only with SMTPUTF8.
pub(crate) fn encode(text: &str, out: &mut String) {
    for c in text.chars() {
        if matches!(c, '!'..='~') && !matches!(c, '+' | '=') || !c.is_ascii() {
            out.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "+{:02X}", u32::from(c));
        }
    }
}

/// Decodes an address of type `utf-8`: `utf-8-addr-xtext` or `utf-8-addr-unitext` (RFC 6533 §3).
pub(crate) fn decode_utf8(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(embedded) = rest.strip_prefix("\\x{") {
            let (point, behind) = embedded.split_once('}')?;
            if !(2..=6).contains(&point.len()) {
                return None;
            }
            let c = char::from_u32(u32::from_str_radix(point, 16).ok()?)?;
            decoded.push(Some(c).filter(|c| !c.is_control())?);
            rest = behind;
        } else if c.is_ascii() && !c.is_ascii_graphic() || c.is_control() || matches!(c, '\\' | '+' | '=') {
            return None;
        } else {
            decoded.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    Some(decoded)
}

/// Appends `text` as `utf-8-addr-xtext`, which is ASCII and so passes every server that offers DSN.
pub(crate) fn encode_utf8(text: &str, out: &mut String) {
    for c in text.chars() {
        if c.is_ascii_graphic() && !matches!(c, '\\' | '+' | '=') {
            out.push(c);
        } else {
            let _ = write!(out, "\\x{{{:02X}}}", u32::from(c));
        }
    }
}

/// Two upper-case hexadecimal digits stand behind `+` (RFC 3461 §4).
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn printable(octet: u8) -> Option<char> {
    matches!(octet, b' '..=b'~').then(|| char::from(octet))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_xtext_is_refused() {
        for text in ["a=b", "a b", "+", "+4", "+4g", "+2b", "+0A", "+80", "+FF", "ñ", "a\0"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
        assert_eq!(decode("a+2Bb+3Dc+20").as_deref(), Some("a+b=c "));
    }

    #[test]
    fn embedded_characters_are_decoded() {
        assert_eq!(decode_utf8("\\x{F1}andu@ejemplo.test").as_deref(), Some("ñandu@ejemplo.test"));
        assert_eq!(decode_utf8("ñandu@ejemplo.test").as_deref(), Some("ñandu@ejemplo.test"));
        for text in ["\\x{}", "\\x{D800}", "\\x{0A}", "\\x{1234567}", "\\y", "a+b", "\\x{F1"] {
            assert_eq!(decode_utf8(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(text in "[ -~]{0,40}", address in "[!-~ñé中\u{10ffff}]{0,20}") {
            let mut encoded = String::new();
            encode(&text, &mut encoded);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert_eq!(decode(&encoded), Some(text));
            let mut encoded = String::new();
            encode_utf8(&address, &mut encoded);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert_eq!(decode_utf8(&encoded), Some(address));
        }

        #[test]
        fn any_text_is_decoded_or_refused(text in any::<String>()) {
            for decoded in [decode(&text), decode_utf8(&text)].into_iter().flatten() {
                prop_assert!(!decoded.contains(char::is_control));
            }
        }
    }
}

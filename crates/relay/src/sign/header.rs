//! Which fields of a header are signed, and their relaxed form (RFC 6376 §3.4.2, §5.4).

use super::fields::{Field, fields};
use std::collections::HashMap;

/// Signed once more often than they are there, so that none can be added on the way (RFC 6376 §8.15).
const SEALED: [&str; 10] = [
    "From",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// Signed as often as they are there: lists and forwarders add their own.
const SIGNED: [&str; 18] = [
    "Sender",
    "In-Reply-To",
    "References",
    "Content-ID",
    "Content-Description",
    "Content-Disposition",
    "Resent-Date",
    "Resent-From",
    "Resent-Sender",
    "Resent-To",
    "Resent-Cc",
    "Resent-Message-ID",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Post",
    "Auto-Submitted",
    "TLS-Required",
];

/// The names for `h=`, and the fields that they stand for in the relaxed form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SignedHeader {
    /// In the order of `h=`.
    pub names: Vec<&'static str>,
    /// What is hashed before the signature's own field.
    pub relaxed: Vec<u8>,
}

/// Chooses. `None` when there is no `From`, which must be signed (RFC 6376 §5.4), or the header is broken.
pub(crate) fn choose(header: &[u8]) -> Option<SignedHeader> {
    let mut found: HashMap<String, Vec<Field<'_>>> = HashMap::new();
    for field in fields(header) {
        let field = field.ok()?;
        found.entry(field.name.to_ascii_lowercase()).or_default().push(field);
    }
    found.get("from")?;
    let mut signed = SignedHeader { names: Vec::new(), relaxed: Vec::with_capacity(header.len()) };
    for (names, once_more) in [(&SEALED[..], true), (&SIGNED[..], false)] {
        for name in names {
            // RFC 6376 §5.4.2: the last of several first.
            for field in found.get(&name.to_ascii_lowercase()).into_iter().flatten().rev() {
                signed.names.push(name);
                relax(field, &mut signed.relaxed);
            }
            if once_more {
                signed.names.push(name);
            }
        }
    }
    Some(signed)
}

/// Appends a field in the relaxed form.
fn relax(field: &Field<'_>, out: &mut Vec<u8>) {
    out.extend(field.name.bytes().map(|b| b.to_ascii_lowercase()));
    out.push(b':');
    relax_value(field.value, out);
    out.extend_from_slice(b"\r\n");
}

/// Appends a value without folding, each run of space as one, none at the ends.
pub(crate) fn relax_value(value: &[u8], out: &mut Vec<u8>) {
    let mut space = false;
    let mut begun = false;
    let mut rest = value;
    while let Some((&first, behind)) = rest.split_first() {
        rest = match (first, behind) {
            (b' ' | b'\t', behind) => {
                space = true;
                behind
            }
            (b'\r', [b'\n', behind @ ..]) => behind,
            (octet, behind) => {
                if std::mem::take(&mut space) && begun {
                    out.push(b' ');
                }
                begun = true;
                out.push(octet);
                behind
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relaxed_form_is_that_of_the_rfc() {
        // RFC 6376 §3.4.5, under names that are signed.
        let signed = choose(b"From: X\r\nSubject : Y\t\r\n\tZ  \r\n");
        assert_eq!(signed, None, "space before the colon is no field here");
        let signed = choose(b"From: X\r\nSubject:  Y\t\r\n\tZ  \r\n").unwrap();
        assert_eq!(signed.relaxed, b"from:X\r\nsubject:Y Z\r\n");
    }

    #[test]
    fn a_field_that_must_not_be_added_is_named_once_more() {
        let signed = choose(b"To: b\r\nFrom: a\r\nX: y\r\nSender: c\r\nTo: d\r\n").unwrap();
        assert_eq!(
            signed.names,
            [
                "From",
                "From",
                "Reply-To",
                "To",
                "To",
                "To",
                "Cc",
                "Subject",
                "Date",
                "Message-ID",
                "MIME-Version",
                "Content-Type",
                "Content-Transfer-Encoding",
                "Sender"
            ]
        );
        assert_eq!(signed.relaxed, b"from:a\r\nto:d\r\nto:b\r\nsender:c\r\n");
    }

    #[test]
    fn a_message_without_from_is_not_signed() {
        assert_eq!(choose(b"To: b\r\n"), None);
        assert_eq!(choose(b""), None);
    }
}

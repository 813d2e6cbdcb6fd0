//! Mailboxes as they stand in MAIL and RCPT (RFC 5321 §4.1.2, RFC 6531 §3.3).

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Octets of a whole path (RFC 5321 §4.5.3.1.3), without the brackets.
const PATH_LENGTH: usize = 254;

/// A mailbox in the sender's own spelling. A local part of another site keeps its case and quotes (RFC 5321 §2.4): bounce
/// addresses carry case-sensitive tokens. For an address of ours parse [`Mailbox::as_str`] as a
/// `chasqui_base::EmailAddress`, which is canonical.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    text: Box<str>,
    /// Index of the `@`.
    at: usize,
}

impl Mailbox {
    /// Parses `local@domain` without brackets.
    ///
    /// # Errors
    /// When the text is not a Mailbox of RFC 5321 §4.1.2.
    pub fn parse(text: &str) -> Result<Self, MailboxError> {
        if text.len() > PATH_LENGTH {
            return Err(MailboxError);
        }
        let bytes = text.as_bytes();
        let at = if bytes.first() == Some(&b'"') { quoted_string(bytes)? } else { dot_string(bytes)? };
        if bytes.get(at) != Some(&b'@') {
            return Err(MailboxError);
        }
        domain(&text[at + 1..])?;
        Ok(Self { text: text.into(), at })
    }

    /// The whole address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the `@`, with its quotes.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// The part behind the `@`: a domain name or an address literal in brackets.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// Whether it may be sent without SMTPUTF8.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({})", self.text)
    }
}

impl FromStr for Mailbox {
    type Err = MailboxError;

    fn from_str(text: &str) -> Result<Self, MailboxError> {
        Self::parse(text)
    }
}

/// Not a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected local-part@domain (RFC 5321 §4.1.2)")]
pub struct MailboxError;

/// Where bounces go (RFC 5321 §4.1.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: a notification, which must cause no further one (RFC 5321 §4.5.5).
    Null,
    /// An address.
    Address(Mailbox),
}

impl ReversePath {
    /// The address without brackets; empty for the null path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Null => "",
            Self::Address(mailbox) => mailbox.as_str(),
        }
    }

    /// Whether it may be sent without SMTPUTF8.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.as_str().is_ascii()
    }
}

impl fmt::Display for ReversePath {
    /// Without brackets; empty for the null path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ReversePath {
    type Err = MailboxError;

    /// The inverse of `Display`.
    fn from_str(text: &str) -> Result<Self, MailboxError> {
        if text.is_empty() { Ok(Self::Null) } else { Mailbox::parse(text).map(Self::Address) }
    }
}

/// The index behind the closing quote.
fn quoted_string(bytes: &[u8]) -> Result<usize, MailboxError> {
    let mut at = 1;
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            // quoted-pairSMTP: a backslash and one printable ASCII character.
            Some(b'\\') if matches!(bytes.get(at + 1), Some(32..=126)) => at += 2,
            Some(32..=33 | 35..=91 | 93..=126 | 0x80..) => at += 1,
            _ => return Err(MailboxError),
        }
    }
}

/// The index behind the last atom.
fn dot_string(bytes: &[u8]) -> Result<usize, MailboxError> {
    let mut at = 0;
    loop {
        let atom = bytes[at..].iter().take_while(|&&b| is_atext(b)).count();
        if atom == 0 {
            return Err(MailboxError);
        }
        at += atom;
        if bytes.get(at) != Some(&b'.') {
            return Ok(at);
        }
        at += 1;
    }
}

/// RFC 5322 §3.2.3 `atext`, and UTF-8 (RFC 6531 §3.3).
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte) || byte >= 0x80
}

/// A domain name or an address literal.
pub(crate) fn domain(text: &str) -> Result<(), MailboxError> {
    if let Some(literal) = text.strip_prefix('[') {
        let literal = literal.strip_suffix(']').ok_or(MailboxError)?;
        let valid = match literal.split_at_checked(5) {
            Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => address.parse::<Ipv6Addr>().is_ok(),
            _ => literal.parse::<Ipv4Addr>().is_ok(),
        };
        return if valid { Ok(()) } else { Err(MailboxError) };
    }
    let label = |label: &str| {
        // U-labels may pass 63 octets in UTF-8 and are measured by whoever converts them (RFC 5890 §2.3.2.1).
        let longest = if label.is_ascii() { 63 } else { 252 };
        (1..=longest).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b >= 0x80)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() <= 255 && text.split('.').all(label) { Ok(()) } else { Err(MailboxError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_of_the_grammar_are_accepted_as_spelt() {
        for text in [
            "a@b",
            "Ana.Maria+x=y@Ejemplo.Test",
            r#""a b\"@"@b.c"#,
            "ñandú@correo.example",
            "x@[192.0.2.1]",
            "x@[IPv6:2001:db8::1]",
            "x@ejemplo.été",
        ] {
            assert_eq!(Mailbox::parse(text).map(|m| m.to_string()), Ok(text.to_owned()));
        }
        let mailbox = Mailbox::parse(r#""a@b"@c.d"#).unwrap();
        assert_eq!((mailbox.local(), mailbox.domain()), (r#""a@b""#, "c.d"));
    }

    #[test]
    fn what_the_grammar_forbids_is_refused() {
        for text in [
            "",
            "a",
            "@b",
            "a@",
            "a@b.",
            "a@.b",
            "a@b..c",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a b@c",
            "a@b c",
            "a@-b",
            "a@b-",
            "\"a@b",
            "\"a\"b@c",
            "a@[300.1.1.1]",
            "a@[IPv6:zz]",
            "a@[1.2.3.4",
            "a@b_c",
            "a@b@c",
            "a\t@b",
            "a<b@c",
            "a@b\0",
            "a@ñ b",
        ] {
            assert_eq!(Mailbox::parse(text), Err(MailboxError), "{text:?}");
        }
        assert!(Mailbox::parse(&format!("{}@b", "a".repeat(300))).is_err());
    }
}

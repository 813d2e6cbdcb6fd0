//! Mail addresses and domain names. A parsed value is canonical: two addresses that reach the same
//! mailbox compare equal, so that no later code has to fold case or decode a label again.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest local part, in octets (RFC 5321 §4.5.3.1.1).
pub const MAX_LOCAL: usize = 64;
/// Longest domain, in octets (RFC 5321 §4.5.3.1.2).
pub const MAX_DOMAIN: usize = 255;

/// A mail address, canonical: the local part in lower case and without needless quotes, the domain
/// in lower case with A-labels (RFC 5890). Local parts in UTF-8 are allowed (RFC 6531).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailAddress {
    text: Arc<str>,
    at: u16,
}

impl EmailAddress {
    /// Parses `local@domain`. Quoted local parts (`"a b"@example.org`) are accepted; quotes that
    /// were not needed are removed.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let at = text.rfind('@').ok_or(AddressError::NoAt)?;
        let local = canonical_local(&text[..at])?;
        let domain = DomainName::parse(&text[at + 1..])?;
        let at = local.len() as u16; // at most 2 * MAX_LOCAL + 2
        Ok(Self { text: Arc::from(format!("{local}@{domain}")), at })
    }

    /// The address of `local` (canonical as it stands) in `domain`.
    pub fn from_parts(local: &str, domain: &DomainName) -> Result<Self, AddressError> {
        let local = canonical_local(local)?;
        let at = local.len() as u16;
        Ok(Self { text: Arc::from(format!("{local}@{domain}")), at })
    }

    /// What stands before the last `@`.
    pub fn local(&self) -> &str {
        &self.text[..usize::from(self.at)]
    }

    /// What stands after the last `@`.
    pub fn domain(&self) -> &str {
        &self.text[usize::from(self.at) + 1..]
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Splits sub-addressing (RFC 5233): `user+tag@domain` gives `user@domain` and `tag`.
    pub fn without_tag(&self) -> Option<(EmailAddress, &str)> {
        let local = self.local();
        if local.starts_with('"') {
            return None;
        }
        let (user, tag) = local.split_once('+')?;
        if user.is_empty() {
            return None;
        }
        let text = Arc::from(format!("{user}@{}", self.domain()));
        Some((Self { text, at: user.len() as u16 }, tag))
    }
}

/// A domain name in lower case with A-labels, or an address literal such as `[192.0.2.1]`
/// (RFC 5321 §4.1.3).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(Arc<str>);

impl DomainName {
    /// Parses a domain name; U-labels become A-labels (IDNA 2008 through UTS 46).
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::NoDomain);
        }
        if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            let literal = inner.strip_prefix("IPv6:").or(inner.strip_prefix("ipv6:")).unwrap_or(inner);
            return match literal.parse::<std::net::IpAddr>() {
                Ok(_) => Ok(Self(Arc::from(text.to_ascii_lowercase()))),
                Err(_) => Err(AddressError::BadDomain),
            };
        }
        let plain =
            text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-');
        let canonical = if plain && !text.contains("xn--") {
            text.to_owned()
        } else {
            idna::domain_to_ascii_strict(text).map_err(|_| AddressError::BadDomain)?
        };
        if canonical.len() > MAX_DOMAIN {
            return Err(AddressError::DomainTooLong);
        }
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if !canonical.split('.').all(label_ok) {
            return Err(AddressError::BadDomain);
        }
        Ok(Self(Arc::from(canonical)))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `@`.
    #[error("the address has no @")]
    NoAt,
    /// Nothing stands before the `@`.
    #[error("the address has nothing before the @")]
    NoLocal,
    /// The local part is over 64 octets.
    #[error("the local part is longer than 64 octets")]
    LocalTooLong,
    /// The local part has a character or a dot where none may stand.
    #[error("the local part is not a dot-atom or quoted string")]
    BadLocal,
    /// Nothing stands after the `@`.
    #[error("the address has no domain")]
    NoDomain,
    /// The domain is over 255 octets.
    #[error("the domain is longer than 255 octets")]
    DomainTooLong,
    /// The domain is not a name that DNS could hold.
    #[error("the domain is not a valid name")]
    BadDomain,
}

fn canonical_local(text: &str) -> Result<String, AddressError> {
    if text.is_empty() {
        return Err(AddressError::NoLocal);
    }
    if text.len() > 2 * MAX_LOCAL {
        return Err(AddressError::LocalTooLong);
    }
    let content = match text.strip_prefix('"') {
        Some(rest) => unquote(rest.strip_suffix('"').ok_or(AddressError::BadLocal)?)?,
        None if is_dot_atom(text) => text.to_owned(),
        None => return Err(AddressError::BadLocal),
    };
    // Lower-casing may change the length; the limit is on what other servers will see.
    let content = content.to_lowercase();
    if content.len() > MAX_LOCAL {
        return Err(AddressError::LocalTooLong);
    }
    if is_dot_atom(&content) {
        return Ok(content);
    }
    let mut quoted = String::with_capacity(content.len() + 2);
    quoted.push('"');
    for c in content.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    Ok(quoted)
}

fn is_dot_atom(text: &str) -> bool {
    // RFC 5322 §3.2.3 atext, and RFC 6532 §3.2 UTF8-non-ascii.
    let atext = |c: char| {
        c.is_ascii_alphanumeric()
            || "!#$%&'*+-/=?^_`{|}~".contains(c)
            || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
    };
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atext))
}

fn unquote(text: &str) -> Result<String, AddressError> {
    let mut content = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => chars.next().ok_or(AddressError::BadLocal)?,
            '"' => return Err(AddressError::BadLocal),
            c => c,
        };
        // RFC 5321 §4.1.2: qtextSMTP and quoted-pairSMTP are printable.
        if c.is_control() {
            return Err(AddressError::BadLocal);
        }
        content.push(c);
    }
    if content.is_empty() { Err(AddressError::NoLocal) } else { Ok(content) }
}

macro_rules! text_type {
    ($name:ident, $description:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl FromStr for $name {
            type Err = AddressError;
            fn from_str(text: &str) -> Result<Self, AddressError> {
                Self::parse(text)
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $description })
            }
        }
    };
}
text_type!(EmailAddress, "a mail address, local@domain");
text_type!(DomainName, "a domain name");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_canonical_once_parsed() {
        for (given, canonical) in [
            ("Ana@Ejemplo.TEST", "ana@ejemplo.test"),
            ("\"ana\"@ejemplo.test", "ana@ejemplo.test"),
            ("\"ana maria\"@ejemplo.test", "\"ana maria\"@ejemplo.test"),
            ("niño@españa.example", "niño@xn--espaa-rta.example"),
            ("a+b@[192.0.2.1]", "a+b@[192.0.2.1]"),
            ("\"a@b\"@ejemplo.test", "\"a@b\"@ejemplo.test"),
        ] {
            let address = EmailAddress::parse(given).unwrap();
            assert_eq!(address.as_str(), canonical);
            assert_eq!(EmailAddress::parse(canonical).unwrap(), address);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "@",
            "a@",
            "@b",
            "a",
            "a..b@c",
            ".a@c",
            "a b@c",
            "a@b..c",
            "a@-b",
            "a\u{0}@b",
            "\"a@b",
            "a@b c",
            "a@[300.1.1.1]",
            "a@b_c",
        ] {
            assert!(EmailAddress::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(EmailAddress::parse(&format!("{}@c", "a".repeat(65))), Err(AddressError::LocalTooLong));
    }

    #[test]
    fn a_tag_is_split_off() {
        let address = EmailAddress::parse("ana+listas@ejemplo.test").unwrap();
        let (user, tag) = address.without_tag().unwrap();
        assert_eq!((user.as_str(), user.local(), tag), ("ana@ejemplo.test", "ana", "listas"));
        assert!(EmailAddress::parse("ana@ejemplo.test").unwrap().without_tag().is_none());
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_is_idempotent(text in "\\PC{0,80}") {
            if let Ok(address) = EmailAddress::parse(&text) {
                prop_assert_eq!(&EmailAddress::parse(address.as_str()).unwrap(), &address);
            }
        }
    }
}

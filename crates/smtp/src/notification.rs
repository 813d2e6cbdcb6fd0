//! What a sender wants to hear about a message: the parameters of RFC 3461.

use crate::xtext;
use std::{fmt, io::Write as _, str::FromStr};

/// Octets of ENVID as it stands in MAIL (RFC 3461 §4.4).
const ENVELOPE_ID: usize = 100;
/// Octets of ORCPT as it stands in RCPT (RFC 3461 §4.2).
const ORIGINAL_RECIPIENT: usize = 500;

/// How much of the message a failure notice returns (RET, RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Its header only.
    Headers,
}

impl fmt::Display for Ret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        })
    }
}

impl FromStr for Ret {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        match text.to_ascii_uppercase().as_str() {
            "FULL" => Ok(Self::Full),
            "HDRS" => Ok(Self::Headers),
            _ => Err(ParameterError("FULL or HDRS")),
        }
    }
}

/// When to send a notice about a recipient (NOTIFY, RFC 3461 §4.1). All false is NEVER.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// It was delivered.
    pub success: bool,
    /// It cannot be delivered.
    pub failure: bool,
    /// It is late.
    pub delay: bool,
}

impl Notify {
    /// Send none, whatever happens.
    pub const NEVER: Self = Self { success: false, failure: false, delay: false };

    /// Whether no notice is wanted.
    #[must_use]
    pub fn is_never(self) -> bool {
        self == Self::NEVER
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (wanted, name) in [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")] {
            if wanted {
                write!(f, "{separator}{name}")?;
                separator = ",";
            }
        }
        if self.is_never() { f.write_str("NEVER") } else { Ok(()) }
    }
}

impl FromStr for Notify {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        if text.eq_ignore_ascii_case("NEVER") {
            return Ok(Self::NEVER);
        }
        let mut notify = Self::NEVER;
        for word in text.split(',') {
            match word.to_ascii_uppercase().as_str() {
                "SUCCESS" => notify.success = true,
                "FAILURE" => notify.failure = true,
                "DELAY" => notify.delay = true,
                _ => return Err(ParameterError("NEVER, or a list of SUCCESS, FAILURE and DELAY")),
            }
        }
        Ok(notify)
    }
}

/// The address that the sender wrote, before any alias or forward (ORCPT, RFC 3461 §4.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginalRecipient {
    kind: Box<str>,
    address: Box<str>,
}

impl OriginalRecipient {
    /// An address of type `rfc822`, or `utf-8` (RFC 6533) when it is not ASCII. `None` when it is too long to be passed on or holds a
    /// control character.
    #[must_use]
    pub fn of(address: &str) -> Option<Self> {
        let kind = if address.is_ascii() { "rfc822" } else { "utf-8" };
        Self::new(kind, address)
    }

    /// An address of a type that was stored. `None` as in [`Self::of`].
    #[must_use]
    pub fn new(kind: &str, address: &str) -> Option<Self> {
        let original = Self { kind: kind.into(), address: address.into() };
        let again: Self = original.to_string().parse().ok()?;
        (again == original).then_some(original)
    }

    /// The type of the address: `rfc822`, `utf-8`, `x400`, …, as it was spelt.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The address, decoded: printable, maybe with spaces.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Display for OriginalRecipient {
    /// As it stands in RCPT: `rfc822;ana+2Bx@ejemplo.test`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut encoded = String::with_capacity(self.address.len());
        if self.kind.eq_ignore_ascii_case("utf-8") {
            xtext::encode_utf8(&self.address, &mut encoded);
        } else {
            xtext::encode(&self.address, &mut encoded);
        }
        write!(f, "{};{encoded}", self.kind)
    }
}

impl FromStr for OriginalRecipient {
    type Err = ParameterError;

    /// The inverse of `Display`.
    fn from_str(text: &str) -> Result<Self, ParameterError> {
        let error = ParameterError("type;address in xtext, at most 500 octets");
        if text.len() > ORIGINAL_RECIPIENT {
            return Err(error);
        }
        let (kind, address) = text.split_once(';').ok_or(error)?;
        let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*-/?^_`{|}~".contains(&b);
        if kind.is_empty() || !kind.bytes().all(atom) || address.is_empty() {
            return Err(error);
        }
        let address = if kind.eq_ignore_ascii_case("utf-8") {
            xtext::decode_utf8(address)
        } else {
            xtext::decode(address)
        };
        Ok(Self { kind: kind.into(), address: address.ok_or(error)?.into() })
    }
}

/// The sender's own name for a transaction (ENVID, RFC 3461 §4.4), decoded: printable ASCII, maybe with spaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EnvelopeId(Box<str>);

impl EnvelopeId {
    /// The id of this text. `None` when it is empty, too long, or not printable ASCII.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        Self(text.into()).to_string().parse().ok().filter(|id: &Self| id.as_str() == text)
    }

    /// The text, decoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvelopeId {
    /// As it stands in MAIL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut encoded = String::with_capacity(self.0.len());
        xtext::encode(&self.0, &mut encoded);
        f.write_str(&encoded)
    }
}

impl FromStr for EnvelopeId {
    type Err = ParameterError;

    /// The inverse of `Display`.
    fn from_str(text: &str) -> Result<Self, ParameterError> {
        let error = ParameterError("1 to 100 octets of xtext");
        if text.is_empty() || text.len() > ENVELOPE_ID {
            return Err(error);
        }
        let decoded = xtext::decode(text).ok_or(error)?;
        Ok(Self(decoded.into()))
    }
}

/// The value of a parameter is not its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0} (RFC 3461 §4)")]
pub struct ParameterError(&'static str);

/// What RCPT may carry beside the address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecipientParameters {
    /// NOTIFY; `None` when not said, which asks for notices of failure (RFC 3461 §4.1) and is passed on as not said.
    pub notify: Option<Notify>,
    /// ORCPT.
    pub original: Option<OriginalRecipient>,
}

impl RecipientParameters {
    /// Appends the parameters that were said, each with a space before it.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        if let Some(notify) = self.notify {
            let _ = write!(out, " NOTIFY={notify}");
        }
        if let Some(original) = &self.original {
            let _ = write!(out, " ORCPT={original}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_written_as_they_were_read() {
        for text in ["NEVER", "SUCCESS", "SUCCESS,FAILURE,DELAY", "FAILURE,DELAY"] {
            assert_eq!(text.parse::<Notify>().unwrap().to_string(), text);
        }
        for text in ["rfc822;ana+2Bx@ejemplo.test", "utf-8;\\x{F1}@ejemplo.test", "x400;/C+3Dve/"] {
            assert_eq!(text.parse::<OriginalRecipient>().unwrap().to_string(), text);
        }
        assert_eq!("QQ+2B314".parse::<EnvelopeId>().unwrap().to_string(), "QQ+2B314");
        assert_eq!("hdrs".parse::<Ret>().unwrap().to_string(), "HDRS");
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        for text in ["", "NEVER,SUCCESS", "SUCCESS,", "SUCCESS, DELAY", "ALWAYS"] {
            assert!(text.parse::<Notify>().is_err(), "{text:?}");
        }
        for text in ["", "rfc822", ";a@b", "rfc822;", "rfc 822;a@b", "rfc822;a+0Db", "rfc822;a=b"] {
            assert!(text.parse::<OriginalRecipient>().is_err(), "{text:?}");
        }
        assert!("".parse::<EnvelopeId>().is_err() && "HEAD".parse::<Ret>().is_err());
    }

    #[test]
    fn identifiers_are_as_long_as_the_rfc_lets_them() {
        assert!("x".repeat(100).parse::<EnvelopeId>().is_ok());
        assert!("x".repeat(101).parse::<EnvelopeId>().is_err());
        let address = |octets: usize| format!("rfc822;{}", "x".repeat(octets - 7));
        assert!(address(500).parse::<OriginalRecipient>().is_ok());
        assert!(address(501).parse::<OriginalRecipient>().is_err());
        assert!(OriginalRecipient::of(&"+".repeat(200)).is_none());
        assert_eq!(
            OriginalRecipient::of("ñ@ejemplo.test").unwrap().to_string(),
            "utf-8;\\x{F1}@ejemplo.test"
        );
    }
}

//! What a client calls itself (RFC 5321 §4.1.4).

use super::config::HelloConfig;
use super::config::Measure;
use chasqui_base::DomainName;
use std::net::IpAddr;

/// What is wrong with a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// No fully qualified name and no literal.
    Invalid,
    /// Our own name or address.
    OwnName,
    /// The literal of another address.
    ForeignLiteral,
}

impl Flaw {
    /// What the operator wants done about it.
    pub(crate) const fn measure(self, config: &HelloConfig) -> Measure {
        match self {
            Self::Invalid => config.invalid,
            Self::OwnName => config.own_name,
            Self::ForeignLiteral => config.foreign_literal,
        }
    }

    /// Its name in marks and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "hello-invalid",
            Self::OwnName => "hello-own-name",
            Self::ForeignLiteral => "hello-foreign-literal",
        }
    }
}

/// Judges `hello` of a client at `ip`.
pub(crate) fn judge(hello: &str, ip: IpAddr, hostname: &str, own_names: &[DomainName]) -> Option<Flaw> {
    if let Some(literal) = hello.strip_prefix('[') {
        return match address_of(literal.strip_suffix(']')?) {
            Some(address) if address.to_canonical() == ip.to_canonical() => None,
            Some(_) => Some(Flaw::ForeignLiteral),
            None => Some(Flaw::Invalid),
        };
    }
    let name = hello.strip_suffix('.').unwrap_or(hello);
    let ours = |own: &str| !own.eq_ignore_ascii_case("localhost") && own.eq_ignore_ascii_case(name);
    if ours(hostname) || own_names.iter().any(|own| ours(own.as_str())) {
        return Some(Flaw::OwnName);
    }
    (!is_fully_qualified(name)).then_some(Flaw::Invalid)
}

/// The address in a literal without its brackets (RFC 5321 §4.1.3).
fn address_of(literal: &str) -> Option<IpAddr> {
    match literal.split_at_checked(5) {
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => address.parse().ok().map(IpAddr::V6),
        _ => literal.parse().ok().map(IpAddr::V4),
    }
}

/// A domain name of at least two labels whose last is no number: `192.0.2.1` without brackets is none.
pub(crate) fn is_fully_qualified(name: &str) -> bool {
    DomainName::parse(name).is_ok_and(|name| {
        name.as_str().rsplit_once('.').is_some_and(|(_, last)| !last.bytes().all(|b| b.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(hello: &str) -> Option<Flaw> {
        let own = ["alias.example.org".parse().unwrap()];
        judge(hello, "192.0.2.7".parse().unwrap(), "mx.example.org", &own)
    }

    #[test]
    fn honest_greetings_pass() {
        for hello in
            ["mail.example.com", "mail.example.com.", "[192.0.2.7]", "MAIL.example", "xn--bcher-kva.example"]
        {
            assert_eq!(of(hello), None, "{hello}");
        }
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(judge("[IPv6:2001:db8:0::1]", v6, "mx", &[]), None);
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(judge("[192.0.2.7]", mapped, "mx", &[]), None);
    }

    #[test]
    fn each_flaw_is_told_from_the_others() {
        for hello in ["localhost", "pc", "192.0.2.7", "a_b.example", "-", "1.2.3.4.", "a..b"] {
            assert_eq!(of(hello), Some(Flaw::Invalid), "{hello}");
        }
        for hello in ["mx.example.org", "MX.Example.ORG.", "alias.example.org"] {
            assert_eq!(of(hello), Some(Flaw::OwnName), "{hello}");
        }
        for hello in ["[192.0.2.8]", "[IPv6:2001:db8::1]"] {
            assert_eq!(of(hello), Some(Flaw::ForeignLiteral), "{hello}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_greeting_is_judged(hello in "\\PC{0,80}") {
            let _ = judge(&hello, "192.0.2.7".parse().unwrap(), "mx.example.org", &[]);
        }
    }
}

//! The grammar of SPF records (RFC 7208 §4.6, §12), strict: an error anywhere is `permerror`.

use super::macros::MacroString;
use crate::authentication::SpfResult;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A record. What stands behind `all` is left out: nothing of it is ever reached (§5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub directives: Vec<Directive>,
    pub redirect: Option<MacroString>,
    pub explanation: Option<MacroString>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directive {
    /// The result when the mechanism matches.
    pub result: SpfResult,
    pub mechanism: Mechanism,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    All,
    Include(MacroString),
    A(Target),
    Mx(Target),
    Ptr(Option<MacroString>),
    Ip4(Ipv4Addr, u8),
    Ip6(Ipv6Addr, u8),
    Exists(MacroString),
}

/// A domain-spec with prefix lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub domain: Option<MacroString>,
    pub v4: u8,
    pub v6: u8,
}

/// Octets of a record. RFC 7208 §3.4 wants them to fit into 512 with all else in the answer.
const MOST: usize = 16 * 1024;

/// Whether a TXT record is an SPF record (§4.5): `v=spf1` and then a space or nothing.
pub(crate) fn is_spf(text: &[u8]) -> bool {
    text.get(..6).is_some_and(|version| version.eq_ignore_ascii_case(b"v=spf1"))
        && matches!(text.get(6), None | Some(b' '))
}

impl Record {
    /// Parses a record for which [`is_spf`] holds; `None` is a syntax error or a record of more than 16 KiB.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > MOST {
            return None;
        }
        let text = std::str::from_utf8(text.get(6..)?).ok()?;
        let mut record = Self { directives: Vec::new(), redirect: None, explanation: None };
        let mut over = false;
        for term in text.split(' ').filter(|term| !term.is_empty()) {
            let name_length =
                term.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b)).count();
            if term.as_bytes().get(name_length) == Some(&b'=') {
                record.modifier(&term[..name_length], &term[name_length + 1..])?;
                continue;
            }
            match Directive::parse(term) {
                Some(directive) if !over => {
                    over = directive.mechanism == Mechanism::All;
                    record.directives.push(directive);
                }
                Some(_) => {}
                // §5.1: mechanisms behind `all` are ignored; so is one with an argument whose name is of no version yet.
                // Anything else that is no term is an error, wherever it stands (§4.6).
                None if over && is_foreign_mechanism(term) => {}
                None => return None,
            }
        }
        if over {
            // §5.1: `redirect` is ignored when there is an `all`.
            record.redirect = None;
        }
        Some(record)
    }

    /// §6, §12 modifier.
    fn modifier(&mut self, name: &str, value: &str) -> Option<()> {
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let value = MacroString::parse(value, false)?;
        let place = if name.eq_ignore_ascii_case("redirect") {
            &mut self.redirect
        } else if name.eq_ignore_ascii_case("exp") {
            &mut self.explanation
        } else {
            return Some(());
        };
        // §6: each at most once, with a domain-spec.
        if place.is_some() || !value.is_domain_spec() {
            return None;
        }
        *place = Some(value);
        Some(())
    }
}

impl Directive {
    fn parse(term: &str) -> Option<Self> {
        let (result, term) = match term.as_bytes().first()? {
            b'+' => (SpfResult::Pass, &term[1..]),
            b'-' => (SpfResult::Fail, &term[1..]),
            b'~' => (SpfResult::SoftFail, &term[1..]),
            b'?' => (SpfResult::Neutral, &term[1..]),
            _ => (SpfResult::Pass, term),
        };
        let end = term.find([':', '/']).unwrap_or(term.len());
        let (name, rest) = term.split_at(end);
        let argument = rest.strip_prefix(':');
        let mechanism = match name.to_ascii_lowercase().as_str() {
            "all" if rest.is_empty() => Mechanism::All,
            "include" => Mechanism::Include(domain_spec(argument?)?),
            "exists" => Mechanism::Exists(domain_spec(argument?)?),
            "ptr" if rest.is_empty() => Mechanism::Ptr(None),
            "ptr" => Mechanism::Ptr(Some(domain_spec(argument?)?)),
            "a" => Mechanism::A(Target::parse(rest)?),
            "mx" => Mechanism::Mx(Target::parse(rest)?),
            "ip4" => {
                let (address, length) = network(argument?, 32)?;
                Mechanism::Ip4(address.parse().ok()?, length)
            }
            "ip6" => {
                let (address, length) = network(argument?, 128)?;
                Mechanism::Ip6(address.parse().ok()?, length)
            }
            _ => return None,
        };
        Some(Self { result, mechanism })
    }
}

impl Target {
    /// `[":" domain-spec] [dual-cidr-length]`. A slash may stand inside a domain-spec, so lengths are digits at the end.
    fn parse(rest: &str) -> Option<Self> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (rest, v6) = match rest.rsplit_once("//") {
            Some((rest, length)) if digits(length) => (rest, prefix_length(length, 128)?),
            _ => (rest, 128),
        };
        let (rest, v4) = match rest.rsplit_once('/') {
            Some((rest, length)) if digits(length) => (rest, prefix_length(length, 32)?),
            _ => (rest, 32),
        };
        let domain = match rest.strip_prefix(':') {
            Some(text) => Some(domain_spec(text)?),
            None if rest.is_empty() => None,
            None => return None,
        };
        Some(Self { domain, v4, v6 })
    }
}

fn domain_spec(text: &str) -> Option<MacroString> {
    MacroString::parse(text, false).filter(MacroString::is_domain_spec)
}

fn network(text: &str, longest: u8) -> Option<(&str, u8)> {
    match text.split_once('/') {
        Some((address, length)) => Some((address, prefix_length(length, longest)?)),
        None => Some((text, longest)),
    }
}

/// §12: no leading zeros.
fn prefix_length(text: &str, longest: u8) -> Option<u8> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|length| canonical && *length <= longest)
}

/// `name:argument`, the name unknown here.
fn is_foreign_mechanism(term: &str) -> bool {
    let term = term.strip_prefix(['+', '-', '~', '?']).unwrap_or(term);
    term.split_once(':').is_some_and(|(name, argument)| {
        let known = ["all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"];
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric())
            && !known.iter().any(|known| known.eq_ignore_ascii_case(name))
            && MacroString::parse(argument, false).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Record> {
        Record::parse(text.as_bytes())
    }

    #[test]
    fn the_version_ends_with_the_word() {
        for text in ["v=spf1", "V=SPF1 -all", "v=spf1  mx"] {
            assert!(is_spf(text.as_bytes()), "{text}");
        }
        for text in ["", "v=spf", "v=spf10", "v=spf2.0/pra", " v=spf1", "v=spf1\t"] {
            assert!(!is_spf(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_record_that_is_too_long_is_an_error() {
        let terms = |count| format!("v=spf1{}", " ip4:192.0.2.0/24".repeat(count));
        assert!(parse(&terms(900)).is_some() && parse(&terms(1000)).is_none());
    }

    #[test]
    fn every_mechanism_is_read() {
        let record = parse(
            "v=spf1 +mx/24//64 a:%{d2}.test/8 -ptr ?include:a.test ~exists:%{i}.b.test ip4:192.0.2.0/24 ip6:2001:db8::/32 x-y=%{d} exp=e.test -ALL",
        )
        .unwrap();
        assert_eq!(record.directives.len(), 8);
        assert!(record.explanation.is_some() && record.redirect.is_none());
        assert!(
            matches!(&record.directives[0].mechanism, Mechanism::Mx(target) if (target.v4, target.v6) == (24, 64))
        );
    }

    #[test]
    fn a_slash_or_colon_may_stand_inside_a_name() {
        let record = parse("v=spf1 a:foo:bar/baz.example.com mx:%{i/}.test/24//64").unwrap();
        assert!(
            matches!(&record.directives[0].mechanism, Mechanism::A(target) if (target.v4, target.v6) == (32, 128))
        );
        assert!(
            matches!(&record.directives[1].mechanism, Mechanism::Mx(target) if (target.v4, target.v6) == (24, 64))
        );
    }

    #[test]
    fn an_error_anywhere_spoils_the_record() {
        for term in [
            "all:x",
            "all/8",
            "al",
            "ip4",
            "ip4:",
            "ip4:1.2.3",
            "ip4:1.2.3.4/33",
            "ip4:1.2.3.4/08",
            "ip4:1.2.3.4//32",
            "ip6:::1/129",
            "ip6:1.2.3.4",
            "a:",
            "a:com",
            "a:b.123",
            "a:b.test/33",
            "a/",
            "a//",
            "a//129",
            "a/24/",
            "include",
            "include:",
            "include:b.test/8",
            "exists:",
            "exists",
            "ptr:",
            "ptr/0",
            "redirect=",
            "redirect=a.test redirect=b.test",
            "exp=a.test exp=a.test",
            "=x",
            "-exp=a.test",
            "a:%{c}.test",
            "x=%{z}",
            "mx:b.test:25",
            "\u{f1}",
        ] {
            assert_eq!(parse(&format!("v=spf1 {term}")), None, "{term}");
        }
    }

    #[test]
    fn behind_all_nothing_is_reached_and_nonsense_is_still_an_error() {
        assert_eq!(parse("v=spf1 -all ip:192.0.2.1 mx").unwrap().directives.len(), 1);
        assert_eq!(parse("v=spf1 ?all redirect=a.test").unwrap().redirect, None);
        for text in ["v=spf1 -all moo", "v=spf1 -all ip4:1.2", "v=spf1 -all redirect="] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_record_is_parsed_or_refused(terms in proptest::collection::vec(
            proptest::sample::select(vec![
                "a", "mx", "all", "-", "~", ":", "/", "//", "%{", "}", "d", "2r", " ", "ip4", "ip6", "1.2.3.4", "::1", "=", "exp",
                "redirect", "include", "exists", "ptr", ".test", "24", "%", "\u{e9}",
            ]), 0..24,
        )) {
            let _ = parse(&format!("v=spf1{}", terms.concat()));
        }

        #[test]
        fn any_octets_are_parsed_or_refused(text: Vec<u8>) {
            let _ = (is_spf(&text), Record::parse(&text));
        }
    }
}

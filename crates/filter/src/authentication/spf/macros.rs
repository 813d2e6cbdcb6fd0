//! SPF macros (RFC 7208 §7): parsed when the record is, expanded when a name is asked for.

use std::{fmt::Write as _, net::IpAddr};

/// The longest name that DNS holds, in octets of text.
const NAME_LENGTH: usize = 253;
/// Macros in one text; more than a name has labels serve nobody.
const MOST_MACROS: usize = 128;

/// A text with macros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MacroString(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Expand(Expand),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Expand {
    /// In lower case.
    letter: u8,
    /// The value is URL-escaped: the letter was in upper case.
    escaped: bool,
    /// So many parts from the right; all when zero.
    digits: usize,
    reversed: bool,
    /// Each once.
    delimiters: Vec<char>,
}

/// What the letters stand for.
pub(crate) struct Values<'a> {
    pub ip: IpAddr,
    /// `local@domain`.
    pub sender: &'a str,
    pub hello: &'a str,
    /// The domain whose record is evaluated.
    pub domain: &'a str,
    /// The client's validated name, for `%{p}`.
    pub validated: &'a str,
    /// This host.
    pub receiver: &'a str,
    /// Seconds since 1970.
    pub now: u64,
}

impl MacroString {
    /// Parses the macro-string of a domain-spec or modifier. `c`, `r` and `t` are for explanations only (§7.2). One of more than
    /// 128 macros is refused.
    pub(crate) fn parse(text: &str, explanation: bool) -> Option<Self> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        let mut macros = 0usize;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            if c != '%' {
                // §7.1 macro-literal; an explanation's text has spaces too.
                let allowed = c.is_ascii_graphic() || (explanation && c == ' ');
                if !allowed {
                    return None;
                }
                literal.push(c);
                continue;
            }
            let kind = rest.chars().next()?;
            rest = &rest[kind.len_utf8()..];
            match kind {
                '%' => literal.push('%'),
                '_' => literal.push(' '),
                '-' => literal.push_str("%20"),
                '{' => {
                    let (inside, after) = rest.split_once('}')?;
                    rest = after;
                    macros += 1;
                    if macros > MOST_MACROS {
                        return None;
                    }
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Expand(Expand::parse(inside, explanation)?));
                }
                _ => return None,
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Some(Self(parts))
    }

    /// Whether it is a domain-spec (§7.1): it ends with a macro or with `.` and a top label.
    pub(crate) fn is_domain_spec(&self) -> bool {
        match self.0.last() {
            None => false,
            Some(Part::Expand(_)) => true,
            Some(Part::Literal(text)) => {
                let text = text.strip_suffix('.').unwrap_or(text);
                // `%_` and the like are part of a literal here; neither has a place in a top label.
                text.rsplit_once('.').is_some_and(|(_, label)| is_top_label(label))
            }
        }
    }

    /// Whether `%{p}` stands in it.
    pub(crate) fn needs_validated(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Expand(Expand { letter: b'p', .. })))
    }

    /// The text with its macros replaced; `None` if it has more than `most` octets.
    pub(crate) fn expand(&self, values: &Values<'_>, most: usize) -> Option<String> {
        let mut out = String::new();
        for part in &self.0 {
            part.write(values, &mut out);
            if out.len() > most {
                return None;
            }
        }
        Some(out)
    }

    /// The name to ask for: cut from the left at a dot until it fits (§7.3).
    pub(crate) fn expand_name(&self, values: &Values<'_>) -> String {
        // Only its end can stay, so it is made from there, no further than a name reaches with a dot on each side.
        let mut pieces = Vec::new();
        let mut length = 0;
        for part in self.0.iter().rev() {
            let mut piece = String::new();
            part.write(values, &mut piece);
            length += piece.len();
            pieces.push(piece);
            if length >= NAME_LENGTH + 2 {
                break;
            }
        }
        pieces.reverse();
        let mut name = pieces.concat();
        if name.ends_with('.') {
            name.pop();
        }
        if name.len() > NAME_LENGTH {
            let from = name.len() - NAME_LENGTH - 1;
            match memchr::memchr(b'.', &name.as_bytes()[from..]) {
                Some(dot) => drop(name.drain(..=from + dot)),
                None => name.clear(),
            }
        }
        name
    }
}

impl Part {
    fn write(&self, values: &Values<'_>, out: &mut String) {
        match self {
            Self::Literal(text) => out.push_str(text),
            Self::Expand(expand) => expand.write(values, out),
        }
    }
}

impl Expand {
    fn parse(inside: &str, explanation: bool) -> Option<Self> {
        let mut bytes = inside.bytes();
        let letter = bytes.next()?;
        let allowed = if explanation { &b"slodiphvcrt"[..] } else { &b"slodiphv"[..] };
        if !allowed.contains(&letter.to_ascii_lowercase()) {
            return None;
        }
        let rest = &inside[1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = rest.split_at(digits);
        let number = match number {
            "" => 0,
            // More parts than a name can have is all of them.
            text => match text.parse::<usize>().unwrap_or(usize::MAX) {
                0 => return None,
                number => number,
            },
        };
        let (reversed, rest) = match rest.strip_prefix(['r', 'R']) {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let mut delimiters = Vec::new();
        for c in rest.chars() {
            if !".-+,/_=".contains(c) {
                return None;
            }
            if !delimiters.contains(&c) {
                delimiters.push(c);
            }
        }
        Some(Self {
            letter: letter.to_ascii_lowercase(),
            escaped: letter.is_ascii_uppercase(),
            digits: number,
            reversed,
            delimiters,
        })
    }

    fn write(&self, values: &Values<'_>, out: &mut String) {
        let (local, sender_domain) = values.sender.rsplit_once('@').unwrap_or(("postmaster", values.sender));
        let value = match self.letter {
            b's' => values.sender.to_owned(),
            b'l' => local.to_owned(),
            b'o' => sender_domain.to_owned(),
            b'd' => values.domain.to_owned(),
            b'i' => dotted(values.ip),
            b'p' => values.validated.to_owned(),
            b'h' => values.hello.to_owned(),
            b'v' => if values.ip.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
            b'c' => values.ip.to_string(),
            b'r' => values.receiver.to_owned(),
            _ => values.now.to_string(),
        };
        let value = self.transform(&value);
        if !self.escaped {
            out.push_str(&value);
            return;
        }
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }

    fn transform(&self, value: &str) -> String {
        if self.digits == 0 && !self.reversed && self.delimiters.is_empty() {
            return value.to_owned();
        }
        let separates =
            |c: char| if self.delimiters.is_empty() { c == '.' } else { self.delimiters.contains(&c) };
        let mut parts: Vec<&str> = value.split(separates).collect();
        if self.reversed {
            parts.reverse();
        }
        let kept = if self.digits == 0 { parts.len() } else { self.digits.min(parts.len()) };
        parts[parts.len() - kept..].join(".")
    }
}

/// `192.0.2.1`, or the 32 nibbles of an IPv6 address, with dots (§7.3).
fn dotted(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let mut text = String::with_capacity(63);
            for byte in ip.octets() {
                for nibble in [byte >> 4, byte & 15] {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
                }
            }
            text
        }
    }
}

/// §7.1 toplabel: letters, digits and inner hyphens, not digits alone.
fn is_top_label(label: &str) -> bool {
    !label.is_empty()
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
        && !label.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values<'static> {
        Values {
            ip: "192.0.2.3".parse().unwrap(),
            sender: "strong-bad@email.example.com",
            hello: "mx.example.org",
            domain: "email.example.com",
            validated: "unknown",
            receiver: "here.test",
            now: 1,
        }
    }

    fn expand(text: &str) -> String {
        MacroString::parse(text, false).unwrap().expand(&values(), 1000).unwrap()
    }

    /// RFC 7208 §7.4.
    #[test]
    fn the_examples_of_the_rfc_expand_as_printed_there() {
        for (text, expected) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d3}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr}", "strong-bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
            ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
            ("%{S}", "strong-bad%40email.example.com"),
            ("a%%b%_c%-d", "a%b c%20d"),
        ] {
            assert_eq!(expand(text), expected, "{text}");
        }
        let six = Values { ip: "2001:db8::cb01".parse().unwrap(), ..values() };
        assert_eq!(
            MacroString::parse("%{ir}.%{v}._spf.%{d2}", false).unwrap().expand_name(&six),
            "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"
        );
    }

    #[test]
    fn what_is_no_macro_is_refused() {
        for text in ["%", "%a", "%{", "%{}", "%{x}", "%{d0}", "%{dx}", "%{c}", "a b", "ñ"] {
            assert_eq!(MacroString::parse(text, false), None, "{text}");
        }
        assert!(MacroString::parse("%{c} is not %{r}'s", true).is_some());
    }

    #[test]
    fn a_name_that_is_too_long_loses_labels_on_the_left() {
        let long = format!("{}example.com", "a123456789.".repeat(30));
        let name = MacroString::parse(&long, false).unwrap().expand_name(&values());
        assert!(name.len() <= 253 && name.ends_with(".example.com") && name.starts_with("a123"));
    }

    #[test]
    fn a_text_of_thousands_of_labels_or_macros_costs_next_to_nothing() {
        let begin = std::time::Instant::now();
        let labels = MacroString::parse(&format!("{}example.com", "a.".repeat(500_000)), false).unwrap();
        let name = labels.expand_name(&values());
        assert!(name.len() >= 252 && name.ends_with(".a.example.com"));
        let local = "a.".repeat(20_000);
        let values = Values { sender: &format!("{local}@example.com"), ..values() };
        let most = MacroString::parse(&"%{s}".repeat(MOST_MACROS), false).unwrap();
        assert!(most.expand_name(&values).ends_with(".a.@example.com"));
        assert_eq!(most.expand(&values, 400), None);
        assert_eq!(MacroString::parse(&"%{s}".repeat(MOST_MACROS + 1), false), None);
        let delimiters = MacroString::parse(&format!("%{{s1{}}}.test", ".-".repeat(5000)), false).unwrap();
        assert_eq!(delimiters.expand_name(&values), "com.test");
        assert!(begin.elapsed() < std::time::Duration::from_secs(3), "{:?}", begin.elapsed());
    }

    /// §7.3 word for word.
    fn cut(text: &str) -> &str {
        let mut name = text.strip_suffix('.').unwrap_or(text);
        while name.len() > 253 {
            name = name.split_once('.').map_or("", |(_, rest)| rest);
        }
        name
    }

    proptest::proptest! {
        #[test]
        fn a_name_is_what_remains_of_the_whole_text(
            sender in "[a-z.\u{f1}]{0,150}",
            parts in proptest::collection::vec(proptest::sample::select(vec!["%{s}", ".", "a.b", "%{l1r}", "%{d}"]), 1..9),
        ) {
            let values = Values { sender: &sender, ..values() };
            let text = MacroString::parse(&parts.concat(), false).unwrap();
            let whole = text.expand(&values, usize::MAX).unwrap();
            proptest::prop_assert_eq!(text.expand_name(&values), cut(&whole));
        }

        #[test]
        fn any_text_is_parsed_or_refused_and_expands(text in "[%{}a-z0-9A-Z.+=_-]{0,40}") {
            if let Some(parsed) = MacroString::parse(&text, true) {
                let _ = (parsed.is_domain_spec(), parsed.needs_validated());
                proptest::prop_assert!(parsed.expand_name(&values()).len() <= 253);
            }
        }
    }
}

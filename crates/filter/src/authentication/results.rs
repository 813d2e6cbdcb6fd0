//! `Authentication-Results` (RFC 8601): written so that nothing a sender chose can break out of its value, and removed where
//! somebody else wrote it in our name (§5).

use super::verdict::{ArcVerdict, DkimVerdict, DmarcVerdict, SpfCheck, SpfVerdict};
use chasqui_smtp::ReversePath;
use std::{fmt::Write as _, net::IpAddr};

const NAME: &str = "Authentication-Results";
/// Octets of a value; no name or address that is valid has more.
const MOST_VALUE: usize = 255;
/// Columns before a line is folded.
const WIDTH: usize = 76;

/// Where what a field tells of comes from.
pub(crate) struct Facts<'a> {
    pub authserv_id: &'a str,
    pub ip: IpAddr,
    pub hello: &'a str,
    pub reverse_path: &'a ReversePath,
    pub spf: &'a SpfVerdict,
    pub dkim: &'a [DkimVerdict],
    pub dmarc: &'a DmarcVerdict,
    pub arc: &'a ArcVerdict,
}

/// The whole field with its CR LF.
pub(crate) fn write(facts: &Facts<'_>) -> String {
    let mut field = Field::new(facts.authserv_id);
    let spf = |field: &mut Field, check: &SpfCheck, property: &str, text: &str| {
        field.method("spf", check.result.as_str(), check.reason);
        field.property(property, text);
    };
    spf(&mut field, &facts.spf.hello, "smtp.helo", facts.hello);
    if let Some(check) = &facts.spf.mail_from {
        spf(&mut field, check, "smtp.mailfrom", facts.reverse_path.as_str());
    }
    if facts.dkim.is_empty() {
        field.method("dkim", "none", None);
    }
    for dkim in facts.dkim {
        field.method("dkim", dkim.result.as_str(), dkim.reason);
        for (property, text) in [
            ("header.d", dkim.domain.as_str()),
            ("header.s", &dkim.selector),
            ("header.a", dkim.algorithm),
            ("header.b", &dkim.signature),
        ] {
            if !text.is_empty() {
                field.property(property, text);
            }
        }
    }
    let dmarc = facts.dmarc;
    field.method("dmarc", dmarc.result.as_str(), dmarc.reason);
    if let Some(published) = dmarc.published {
        let sampled = if dmarc.sampled_out { " not sampled" } else { "" };
        field.comment(&format!("p={published}{sampled}"));
    }
    if !dmarc.author.is_empty() {
        field.property("header.from", &dmarc.author);
    }
    field.method("arc", facts.arc.result.as_str(), facts.arc.reason);
    if facts.arc.vouched {
        field.comment("trusted");
    }
    // RFC 8617 §10.1.
    field.property("smtp.remote-ip", &facts.ip.to_canonical().to_string());
    field.finish()
}

/// The field of a site that checks nothing (§2.2 no-result).
pub(crate) fn write_none(authserv_id: &str) -> String {
    format!("{NAME}: {}; none\r\n", value(authserv_id))
}

struct Field {
    text: String,
    /// Where the last line begins.
    line: usize,
}

impl Field {
    fn new(authserv_id: &str) -> Self {
        Self { text: format!("{NAME}: {}", value(authserv_id)), line: 0 }
    }

    fn method(&mut self, method: &str, result: &str, reason: Option<&str>) {
        self.text.push_str(";\r\n\t");
        self.line = self.text.len();
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{method}={result}");
        if let Some(reason) = reason {
            self.item(&format!("reason={}", value(reason)));
        }
    }

    fn property(&mut self, name: &str, text: &str) {
        self.item(&format!("{name}={}", value(text)));
    }

    /// `text` is made here of words that are fixed.
    fn comment(&mut self, text: &str) {
        self.item(&format!("({text})"));
    }

    fn item(&mut self, item: &str) {
        if self.text.len() - self.line + item.len() > WIDTH {
            self.text.push_str("\r\n\t ");
            self.line = self.text.len();
        } else {
            self.text.push(' ');
        }
        self.text.push_str(item);
    }

    fn finish(mut self) -> String {
        self.text.push_str("\r\n");
        self.text
    }
}

/// §2.2 pvalue: a token, or an address of such; anything else as a quoted string without control characters.
fn value(text: &str) -> String {
    let plain =
        |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-^_`{|}~.".contains(&b));
    let token = |text: &str| !text.is_empty() && plain(text);
    let address =
        |text: &str| text.split_once('@').is_some_and(|(local, domain)| token(local) && token(domain));
    if text.len() <= MOST_VALUE && (token(text) || address(text)) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if quoted.len() >= MOST_VALUE {
            break;
        }
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() || is_line_break(c) => quoted.push('?'),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// What some readers take for the end of a line.
const fn is_line_break(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{85}')
}

/// Whether a field claims to be ours, or, with `all`, is one.
pub(crate) fn is_foreign(field: &[u8], authserv_id: &str, all: bool) -> bool {
    let Some(colon) = memchr::memchr(b':', field) else { return false };
    let (name, value) = (&field[..colon], &field[colon + 1..]);
    name.trim_ascii_end().eq_ignore_ascii_case(NAME.as_bytes())
        && (all
            || match authserv_of(value) {
                Some(id) => same_host(&id, authserv_id),
                // What we cannot read, another may read as ours.
                None => true,
            })
}

fn same_host(a: &str, b: &str) -> bool {
    let plain = |name: &str| {
        super::config::canonical(name).unwrap_or_else(|| name.trim_end_matches('.').to_lowercase())
    };
    a.eq_ignore_ascii_case(b) || plain(a) == plain(b)
}

fn authserv_of(value: &[u8]) -> Option<String> {
    words(value)?.into_iter().next()?.into_iter().next()
}

/// Whether a set's results say that DMARC passed for `author` (RFC 8617 §4.1.1).
pub(crate) fn claims_dmarc_pass(value: &[u8], author: &str) -> bool {
    let Some(segments) = words(value) else { return false };
    // The instance and the name of who says it come first.
    segments.iter().skip(2).any(|words| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let method = matches!(words.as_slice(), [method, "=", result, ..]
            if method.eq_ignore_ascii_case("dmarc") && result.eq_ignore_ascii_case("pass"));
        method
            && words.windows(3).any(|three| {
                matches!(three, [name, "=", from]
                    if name.eq_ignore_ascii_case("header.from") && same_host(from.rsplit('@').next().unwrap_or(from), author))
            })
    })
}

/// A structured field: segments between `;`, each as words, quoted strings and `=`; comments are left out. `None` when a quoted
/// string or comment does not end.
fn words(value: &[u8]) -> Option<Vec<Vec<String>>> {
    let text = String::from_utf8_lossy(value);
    let mut segments = vec![Vec::new()];
    let mut word = String::new();
    let mut chars = text.chars();
    let mut depth = 0usize;
    let end = |segments: &mut Vec<Vec<String>>, word: &mut String| {
        if let Some(segment) = segments.last_mut().filter(|_| !word.is_empty()) {
            segment.push(std::mem::take(word));
        }
    };
    while let Some(c) = chars.next() {
        match c {
            '\\' if depth > 0 => drop(chars.next()?),
            '(' => {
                end(&mut segments, &mut word);
                depth += 1;
            }
            ')' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            '"' => loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => word.push(chars.next()?),
                    c => word.push(c),
                }
            },
            ';' => {
                end(&mut segments, &mut word);
                segments.push(Vec::new());
            }
            '=' => {
                end(&mut segments, &mut word);
                word.push('=');
                end(&mut segments, &mut word);
            }
            c if c.is_whitespace() || c.is_control() => end(&mut segments, &mut word),
            c => word.push(c),
        }
    }
    end(&mut segments, &mut word);
    (depth == 0).then_some(segments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::header::Header;

    #[test]
    fn a_value_cannot_end_itself() {
        assert_eq!(value("ana@example.org"), "ana@example.org");
        assert_eq!(value("192.0.2.1"), "192.0.2.1");
        assert_eq!(value(""), "\"\"");
        assert_eq!(value("a;b"), "\"a;b\"");
        assert_eq!(value("a\"; dkim=pass\r\nX: y\\"), "\"a\\\"; dkim=pass??X: y\\\\\"");
        assert!(value(&"\"".repeat(1000)).len() < 300);
        assert_eq!(value("\"a b\"@example.org"), "\"\\\"a b\\\"@example.org\"");
    }

    fn foreign(field: &str, all: bool) -> bool {
        is_foreign(format!("{field}\r\n").as_bytes(), "mx.example.org", all)
    }

    #[test]
    fn fields_with_our_name_are_found_however_they_are_written() {
        for field in [
            "Authentication-Results: mx.example.org; spf=pass",
            "authentication-results:MX.Example.Org. 1; none",
            "Authentication-Results: (a (nested\\) ;) comment) mx.example.org; none",
            "Authentication-Results: \"mx.example.org\"; none",
            "Authentication-Results : \r\n\tmx.example.org\r\n\t; none",
            "Authentication-Results: (unclosed mx.example.org; none",
            "Authentication-Results:",
        ] {
            assert!(foreign(field, false), "{field}");
        }
        for field in [
            "Authentication-Results: mx.example.net; none",
            "Authentication-Results: notmx.example.org; none",
            "X-Authentication-Results: mx.example.org; none",
        ] {
            assert!(!foreign(field, false), "{field}");
        }
        assert!(foreign("Authentication-Results: mx.example.net; none", true));
        assert!(!foreign("X-Authentication-Results: mx.example.net; none", true) && !foreign("", true));
    }

    #[test]
    fn only_a_pass_for_the_author_is_a_claim() {
        let claims = |text: &str| claims_dmarc_pass(text.as_bytes(), "a.test");
        assert!(claims(" i=1; l.test;\r\n spf=fail; dmarc=pass (p=reject) header.from=A.test; arc=none"));
        assert!(claims(" i=1; l.test; DMARC = pass header.from=\"x@a.test\""));
        for text in [
            " i=1; l.test; dmarc=fail header.from=a.test",
            " i=1; l.test; dmarc=pass header.from=b.test",
            " i=1; l.test; dmarc=pass",
            " i=1; l.test; xdmarc=pass header.from=a.test",
            " i=1; l.test; spf=pass (dmarc=pass header.from=a.test)",
            " i=1; l.test; spf=pass reason=\"; dmarc=pass header.from=a.test\"",
            " i=1; dmarc=pass header.from=a.test",
            " i=1; l.test; dmarc=pass header.from=a.test (",
        ] {
            assert!(!claims(text), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_sender_chose_stays_one_value(text in "\\PC{0,40}", control in proptest::collection::vec(0u8..32, 0..4)) {
            let text = format!("{text}{}", String::from_utf8_lossy(&control));
            let written = format!("{NAME}: id; spf=pass smtp.mailfrom={}; end=x\r\n", value(&text));
            let header = Header::new(written.into_bytes());
            proptest::prop_assert_eq!(header.len(), 1);
            let segments = words(header.value(0)).unwrap();
            proptest::prop_assert_eq!(segments.len(), 3);
            proptest::prop_assert!(segments[1].len() >= 5 && segments[2] == ["end", "=", "x"]);
        }

        #[test]
        fn any_octets_have_words_or_not(text: Vec<u8>) {
            let _ = (words(&text), claims_dmarc_pass(&text, "a.test"), is_foreign(&text, "a.test", false));
        }
    }
}

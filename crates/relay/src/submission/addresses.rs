//! The addresses of `From` and `Sender` (RFC 5322 §3.4), read strictly: what could be read as another address elsewhere is refused.
//!
//! Display names, quoted or not, comments and folding are accepted, with the dots that many write into names without quotes (§4.1). Groups,
//! routes and space inside an address are not.

use chasqui_base::EmailAddress;

/// How deep comments may stand in comments.
const DEPTH: usize = 10;

/// The value is no list of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no list of addresses (RFC 5322 §3.4)")]
pub(crate) struct NoAddresses;

/// Reads the value of a field, folding included. At least one address, and at most `most`.
pub(crate) fn parse(value: &str, most: usize) -> Result<Vec<EmailAddress>, NoAddresses> {
    let tokens = tokens(value)?;
    let mut found = Vec::new();
    for entry in tokens.split(|token| token.kind == Kind::Comma) {
        if entry.is_empty() {
            // RFC 5322 §4.4 has lists with nothing between two commas.
            continue;
        }
        if found.len() == most {
            return Err(NoAddresses);
        }
        found.push(mailbox(entry)?);
    }
    if found.is_empty() { Err(NoAddresses) } else { Ok(found) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Atom,
    Quoted,
    Literal,
    Dot,
    At,
    Open,
    Close,
    Comma,
}

#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    /// Space or a comment stands before it.
    apart: bool,
}

/// `[display-name] <address>`, or an address alone.
fn mailbox(entry: &[Token<'_>]) -> Result<EmailAddress, NoAddresses> {
    let Some(open) = entry.iter().position(|token| token.kind == Kind::Open) else {
        return address(entry);
    };
    let (name, rest) = entry.split_at_checked(open).ok_or(NoAddresses)?;
    let in_name = |token: &Token<'_>| matches!(token.kind, Kind::Atom | Kind::Quoted | Kind::Dot);
    match rest {
        [_, inner @ .., Token { kind: Kind::Close, apart: false, .. }] if name.iter().all(in_name) => {
            if inner.first().is_none_or(|token| token.apart) {
                return Err(NoAddresses);
            }
            address(inner)
        }
        _ => Err(NoAddresses),
    }
}

fn address(tokens: &[Token<'_>]) -> Result<EmailAddress, NoAddresses> {
    // The first may stand apart from what was before it.
    if tokens.iter().skip(1).any(|token| token.apart) {
        return Err(NoAddresses);
    }
    let at = tokens.iter().position(|token| token.kind == Kind::At).ok_or(NoAddresses)?;
    let (local, domain) = tokens.split_at_checked(at).ok_or(NoAddresses)?;
    let dotted = |tokens: &[Token<'_>]| {
        tokens.len() % 2 == 1
            && tokens
                .iter()
                .enumerate()
                .all(|(index, token)| token.kind == if index % 2 == 0 { Kind::Atom } else { Kind::Dot })
    };
    let domain = domain.get(1..).unwrap_or_default();
    let quoted = matches!(local, [Token { kind: Kind::Quoted, .. }]);
    let literal = matches!(domain, [Token { kind: Kind::Literal, .. }]);
    if !(quoted || dotted(local)) || !(literal || dotted(domain)) {
        return Err(NoAddresses);
    }
    let text: String = tokens.iter().map(|token| token.text).collect();
    EmailAddress::parse(&text).map_err(|_| NoAddresses)
}

fn tokens(value: &str) -> Result<Vec<Token<'_>>, NoAddresses> {
    let mut found = Vec::new();
    let mut rest = value;
    let mut apart = false;
    while let Some(first) = rest.chars().next() {
        let (kind, length) = match first {
            ' ' | '\t' | '\r' | '\n' => {
                rest = rest.get(1..).unwrap_or_default();
                apart = true;
                continue;
            }
            '(' => {
                rest = behind_comment(rest)?;
                apart = true;
                continue;
            }
            '"' => (Kind::Quoted, closed(rest, '"')?),
            '[' => (Kind::Literal, closed(rest, ']')?),
            '.' => (Kind::Dot, 1),
            '@' => (Kind::At, 1),
            '<' => (Kind::Open, 1),
            '>' => (Kind::Close, 1),
            ',' => (Kind::Comma, 1),
            _ => {
                let end = rest.find(|c| !is_atext(c)).unwrap_or(rest.len());
                (Kind::Atom, end)
            }
        };
        // An octet that no token begins with: a colon or semicolon of a group, a backslash, a control character.
        if length == 0 {
            return Err(NoAddresses);
        }
        let (text, behind) = rest.split_at_checked(length).ok_or(NoAddresses)?;
        found.push(Token { kind, text, apart });
        apart = false;
        rest = behind;
    }
    Ok(found)
}

/// Octets of a quoted string or a literal, its ends included.
fn closed(text: &str, end: char) -> Result<usize, NoAddresses> {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == end => return Ok(index + c.len_utf8()),
            '[' if end == ']' => return Err(NoAddresses),
            _ => {}
        }
    }
    Err(NoAddresses)
}

fn behind_comment(text: &str) -> Result<&str, NoAddresses> {
    let mut depth = 0;
    let mut escaped = false;
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text.get(index + 1..).ok_or(NoAddresses);
        }
        if depth > DEPTH {
            return Err(NoAddresses);
        }
    }
    Err(NoAddresses)
}

/// RFC 5322 §3.2.3, RFC 6532 §3.2.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii() && !c.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(value: &str) -> Option<Vec<String>> {
        parse(value, 3).ok().map(|found| found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_mail_programs_write_is_read() {
        for (value, expected) in [
            (" ana@example.org\r\n", vec!["ana@example.org"]),
            (" Ana <ana@example.org>\r\n", vec!["ana@example.org"]),
            (" \"Pérez, Ana\"\r\n\t<Ana@Example.Org>\r\n", vec!["ana@example.org"]),
            (" Juan P. Pérez (Ventas (Sur)) <juan@example.org> (x)", vec!["juan@example.org"]),
            (" =?UTF-8?Q?Ana_P=C3=A9rez?= <ana@example.org>", vec!["ana@example.org"]),
            (" a@example.org, B <b@example.net>,\r\n ,", vec!["a@example.org", "b@example.net"]),
            (" \"a b\"@example.org", vec!["\"a b\"@example.org"]),
            (" <a@[192.0.2.1]>", vec!["a@[192.0.2.1]"]),
            (" \"jefe@example.org\" <ana@example.org>", vec!["ana@example.org"]),
        ] {
            assert_eq!(read(value), Some(expected.iter().map(ToString::to_string).collect()), "{value:?}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for value in [
            "",
            " ,",
            " Ana",
            " ana@example.org jefe@example.org",
            " jefe@example.org <ana@example.org>",
            " <ana@example.org> <jefe@example.org>",
            " <ana@example.org> jefe@example.org",
            " Ana <ana@example.org",
            " Ana <>",
            " Ana < ana@example.org >",
            " <@a.example:ana@example.org>",
            " Jefes: jefe@example.org;",
            " undisclosed-recipients:;",
            " ana @example.org",
            " ana@ example.org",
            " ana@example.(x)org",
            " \"ana@example.org",
            " (ana@example.org",
            " ana..b@example.org",
            " ana\\@example.org",
            " ana@example.org\0",
            " a@b.c, a@b.c, a@b.c, a@b.c",
            " ((((((((((((x)))))))))))) ana@example.org",
        ] {
            assert_eq!(read(value), None, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn any_value_is_read_or_refused(parts in proptest::collection::vec(proptest::sample::select(vec![
            "ana", "@", "example.org", "<", ">", ",", "\"", "(", ")", "\\", " ", "\r\n ", ".", ":", ";", "[", "]", "ñ", "\0",
        ]), 0..20)) {
            let value = parts.concat();
            if let Ok(found) = parse(&value, 5) {
                prop_assert!(!found.is_empty() && found.len() <= 5);
                // Each address that was read stands in the value, but for case and needless quotes.
                for address in found {
                    prop_assert!(value.to_lowercase().contains(address.domain()));
                }
            }
        }
    }
}

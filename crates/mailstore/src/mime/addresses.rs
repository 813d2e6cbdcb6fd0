//! Address lists of header fields (RFC 5322 §3.4), forgiving: whatever is written, an envelope comes of it.

use super::Address;

/// Most addresses of one envelope field.
const MAX_ADDRESSES: usize = 2000;

/// Adds the addresses of a field's value to `all`.
pub(super) fn parse_addresses(text: &str, all: &mut Vec<Address>) {
    let mut list = List { all, words: Vec::new(), comment: None, in_group: false };
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if list.all.len() >= MAX_ADDRESSES {
            return;
        }
        match c {
            ' ' | '\t' => rest = &rest[1..],
            ',' => {
                list.flush();
                rest = &rest[1..];
            }
            ';' => {
                list.flush();
                list.end_group();
                rest = &rest[1..];
            }
            ':' => {
                list.start_group();
                rest = &rest[1..];
            }
            '"' => {
                let (word, after) = quoted(&rest[1..]);
                rest = after;
                list.word(word, rest);
            }
            '(' => {
                let (comment, after) = comment(&rest[1..]);
                list.comment = Some(comment);
                rest = after;
            }
            '<' => {
                let (inside, after) = angle(&rest[1..]);
                list.mailbox(inside);
                rest = after;
            }
            _ => {
                let end = rest.find([' ', '\t', ',', ';', ':', '"', '(', '<']).unwrap_or(rest.len());
                // A stray `:` of an address literal, `[IPv6:…]`, is no group.
                let end = match rest[..end].rfind('[') {
                    Some(_) => rest.find(']').map_or(end, |close| close + 1),
                    None => end,
                };
                let word = rest[..end].to_owned();
                rest = &rest[end..];
                list.word(word, rest);
            }
        }
    }
    list.flush();
    if list.in_group {
        list.end_group();
    }
}

/// A word, and whether the next one follows without white space.
struct Word {
    text: String,
    joined: bool,
}

struct List<'a> {
    all: &'a mut Vec<Address>,
    words: Vec<Word>,
    comment: Option<String>,
    in_group: bool,
}

impl List<'_> {
    fn word(&mut self, text: String, rest: &str) {
        let joined = !rest.is_empty() && !rest.starts_with([' ', '\t', '<', ',', ';', '(']);
        self.words.push(Word { text, joined });
    }

    /// The words, those without white space between them as one.
    fn tokens(&mut self) -> Vec<String> {
        let mut tokens: Vec<String> = Vec::new();
        let mut joined = false;
        for word in self.words.drain(..) {
            match tokens.last_mut() {
                Some(last) if joined => last.push_str(&word.text),
                _ => tokens.push(word.text),
            }
            joined = word.joined;
        }
        tokens
    }

    fn phrase(&mut self) -> Option<String> {
        let phrase = self.tokens().join(" ");
        (!phrase.is_empty()).then_some(phrase)
    }

    /// `phrase <inside>`
    fn mailbox(&mut self, inside: &str) {
        let comment = self.comment.take();
        let name = self.phrase().or(comment);
        let inside = inside.trim();
        // RFC 5322 §4.4: an obsolete route, `@a,@b:`.
        let (route, address) = match inside.strip_prefix('@').and_then(|_| inside.split_once(':')) {
            Some((route, address)) => (Some(route.to_owned()), address.trim()),
            None => (None, inside),
        };
        let (local, host) = address.rsplit_once('@').unwrap_or((address, ""));
        let local = match local.strip_prefix('"') {
            Some(rest) => quoted(rest).0,
            None => local.to_owned(),
        };
        self.all.push(Address { name, route, mailbox: Some(local), host: Some(host.to_owned()) });
    }

    /// An address without angle brackets.
    fn flush(&mut self) {
        let name = self.comment.take();
        let mut tokens = self.tokens();
        let Some(last) = tokens.pop() else { return };
        // `Some Body some@body`: only the last word is the address.
        let (before, bare) = if last.contains('@') {
            (tokens.join(" "), last)
        } else {
            tokens.push(last);
            (String::new(), tokens.join(" "))
        };
        let (local, host) = bare.rsplit_once('@').unwrap_or((&bare, ""));
        let name = name.or((!before.is_empty()).then_some(before));
        self.all.push(Address {
            name,
            route: None,
            mailbox: Some(local.to_owned()),
            host: Some(host.to_owned()),
        });
    }

    fn start_group(&mut self) {
        self.comment = None;
        if let Some(name) = self.phrase()
            && !self.in_group
        {
            self.in_group = true;
            self.all.push(Address { mailbox: Some(name), ..Address::default() });
        }
    }

    fn end_group(&mut self) {
        if std::mem::take(&mut self.in_group) {
            self.all.push(Address::default());
        }
    }
}

/// A quoted string after its first quote: its content, and what follows.
fn quoted(text: &str) -> (String, &str) {
    let mut content = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (content, &text[at + 1..]),
            '\\' => content.extend(chars.next().map(|(_, c)| c)),
            c => content.push(c),
        }
    }
    (content, "")
}

/// A comment after its first parenthesis.
fn comment(text: &str) -> (String, &str) {
    let mut content = String::new();
    let mut depth = 1usize;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '(' => depth += 1,
            ')' => {
                depth -= 1;
                if depth == 0 {
                    return (content.trim().to_owned(), &text[at + 1..]);
                }
            }
            '\\' => {
                content.extend(chars.next().map(|(_, c)| c));
                continue;
            }
            _ => {}
        }
        content.push(c);
    }
    (content.trim().to_owned(), "")
}

/// What stands between angle brackets, after the first.
fn angle(text: &str) -> (&str, &str) {
    let mut in_quotes = false;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => in_quotes = !in_quotes,
            '\\' if in_quotes => {
                chars.next();
            }
            '>' if !in_quotes => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        parse_addresses(text, &mut all);
        let show = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
        all.iter()
            .map(|a| format!("{}|{}|{}|{}", show(&a.name), show(&a.route), show(&a.mailbox), show(&a.host)))
            .collect()
    }

    #[test]
    fn address_lists_of_every_kind() {
        for (text, expected) in [
            ("ana@ejemplo.test", vec!["-|-|ana|ejemplo.test"]),
            (
                "Ana María <ana@ejemplo.test>, beto@b.test",
                vec!["Ana María|-|ana|ejemplo.test", "-|-|beto|b.test"],
            ),
            ("\"Pérez, Ana\" <ana@b.test>", vec!["Pérez, Ana|-|ana|b.test"]),
            ("ana@b.test (Ana (la) P)", vec!["Ana (la) P|-|ana|b.test"]),
            ("=?utf-8?q?A=C3=B1o?= <a@b>", vec!["=?utf-8?q?A=C3=B1o?=|-|a|b"]),
            ("<@r.test,@s.test:a@b>", vec!["-|@r.test,@s.test|a|b"]),
            ("Lista: a@b, C <c@d>; e@f", vec!["-|-|Lista|-", "-|-|a|b", "C|-|c|d", "-|-|-|-", "-|-|e|f"]),
            ("undisclosed-recipients:;", vec!["-|-|undisclosed-recipients|-", "-|-|-|-"]),
            ("\"a b\"@c.test", vec!["-|-|a b|c.test"]),
            ("<\"a@b\"@c.test>", vec!["-|-|a@b|c.test"]),
            ("a@[IPv6:::1]", vec!["-|-|a|[IPv6:::1]"]),
            ("root", vec!["-|-|root|"]),
            ("", vec![]),
            (",,;;", vec![]),
            ("<", vec!["-|-||"]),
        ] {
            assert_eq!(parsed(text), expected, "{text:?}");
        }
    }
}

//! Whose mail it says it is: the domains in `From` (RFC 5322 §3.6.2).

use super::{
    config::canonical,
    header::{Header, is_space},
};

/// Domains of a `From` that are checked; a message by more is nobody's.
const MOST: usize = 8;

/// The domains of the authors, canonical, each once, in order.
///
/// # Errors
/// When there is no `From`, or several, or one that cannot be read for certain: another reader might see another author.
pub(crate) fn domains(header: &Header) -> Result<Vec<String>, &'static str> {
    let mut fields = header.named("From");
    let field = fields.next().ok_or("no From")?;
    if fields.next().is_some() {
        return Err("several From");
    }
    let text = String::from_utf8_lossy(header.value(field));
    let addresses = addresses(&text).ok_or("From cannot be read")?;
    if addresses.is_empty() {
        return Err("From has no address");
    }
    let mut domains = Vec::new();
    for address in &addresses {
        let (_, domain) = address.rsplit_once('@').ok_or("From has no address")?;
        let domain = canonical(domain)
            .or_else(|| super::dkim::signature::domain(domain))
            .ok_or("From has no domain")?;
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    if domains.len() > MOST { Err("From has too many domains") } else { Ok(domains) }
}

/// The addr-specs of an address list, comments and white space removed, quoted strings as `x`.
fn addresses(text: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut plain = String::new();
    let mut angle: Option<String> = None;
    let mut inside = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let bracketed = angle.is_some();
        let target = match &mut angle {
            Some(address) if inside => address,
            _ => &mut plain,
        };
        match c {
            '(' => skip_comment(&mut chars)?,
            '"' => {
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => drop(chars.next()?),
                        _ => {}
                    }
                }
                // What it says matters to nobody here; that it is there does.
                target.push('x');
            }
            '<' if bracketed => return None,
            '<' => {
                inside = true;
                plain.clear();
                angle = Some(String::new());
            }
            '>' if inside => inside = false,
            '>' => return None,
            // obs-route (RFC 5322 §4.4): `<@a,@b:c@d>`.
            ',' if inside => target.push(','),
            ':' if inside => {
                if !target.starts_with('@') {
                    return None;
                }
                target.clear();
            }
            // Literals have colons.
            '[' => {
                target.push('[');
                loop {
                    let c = chars.next()?;
                    target.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            // A group's name.
            ':' if !bracketed => plain.clear(),
            ',' | ';' => finish(&mut found, &mut plain, &mut angle)?,
            c if is_space(c) => {}
            c => target.push(c),
        }
    }
    if inside {
        return None;
    }
    finish(&mut found, &mut plain, &mut angle)?;
    Some(found)
}

/// Ends one mailbox.
fn finish(found: &mut Vec<String>, plain: &mut String, angle: &mut Option<String>) -> Option<()> {
    let address = match angle.take() {
        // Something behind the brackets: which of the two is the address?
        Some(_) if !plain.is_empty() => return None,
        Some(address) => address,
        None if plain.is_empty() => return Some(()),
        None => std::mem::take(plain),
    };
    plain.clear();
    let (local, domain) = address.split_once('@')?;
    // A bound against lists that are there to be long.
    if local.is_empty()
        || domain.is_empty()
        || domain.contains('@')
        || address.contains(',')
        || found.len() == 100
    {
        return None;
    }
    found.push(address);
    Some(())
}

/// Behind `(`. Comments nest (RFC 5322 §3.2.2).
fn skip_comment(chars: &mut std::str::Chars<'_>) -> Option<()> {
    let mut depth = 1u32;
    while depth > 0 {
        match chars.next()? {
            '(' => depth += 1,
            ')' => depth -= 1,
            '\\' => drop(chars.next()?),
            _ => {}
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains_of(from: &str) -> Result<Vec<String>, &'static str> {
        domains(&Header::new(format!("From: {from}\r\n").into_bytes()))
    }

    #[test]
    fn the_author_is_in_the_brackets_whatever_the_name_says() {
        for from in [
            "ana@example.org",
            "Ana <ana@example.org>",
            "\"bank@bank.test\" <ana@example.org>",
            "bank@bank.test <ana@example.org>",
            "\"a, <x@bank.test>\" <ana@EXAMPLE.org> (Ana \\) (x))",
            "(c) ana (c) @ (c) example.org",
            "\"x@bank.test\"@example.org",
            "<@relay.test,@b.test:ana@example.org>",
            "Group: ana@example.org;",
            "ana@example.org,",
            "ana\r\n\t@example.org",
        ] {
            assert_eq!(domains_of(from), Ok(vec!["example.org".to_owned()]), "{from}");
        }
        assert_eq!(domains_of("a@one.test, B <b@two.test>, c@one.test").unwrap(), ["one.test", "two.test"]);
        assert_eq!(domains_of("a@ñandú.test").unwrap(), ["xn--and-6ma2c.test"]);
        assert_eq!(domains_of("a@[192.0.2.1]").unwrap(), ["[192.0.2.1]"]);
        assert_eq!(domains_of("a@_x.example.org").unwrap(), ["_x.example.org"]);
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_nobodys() {
        for from in [
            "",
            "<>",
            "ana",
            "a@b@example.org",
            "<a@one.test> <b@two.test>",
            "<a@one.test",
            "a@one.test>",
            "\"a@one.test",
            "(a@one.test",
            "<a@one.test> b@two.test",
            "undisclosed:;",
            "<b:a@one.test>",
            "a@[192.0.2.1",
            "@one.test",
            "a@",
            "<<a@one.test>>",
        ] {
            assert!(domains_of(from).is_err(), "{from}");
        }
        let header = Header::new(b"From: a@one.test\r\nFROM: b@two.test\r\n".to_vec());
        assert_eq!(domains(&header), Err("several From"));
        let many: Vec<String> = (0..9).map(|n| format!("a@d{n}.test")).collect();
        assert_eq!(domains_of(&many.join(",")), Err("From has too many domains"));
    }

    proptest::proptest! {
        #[test]
        fn any_from_has_authors_or_not(parts in proptest::collection::vec(proptest::sample::select(vec![
            "a@b.test", "<", ">", "(", ")", "\"", "\\", ",", ";", ":", "@", "[", "]", " ", "x", "\u{f1}",
        ]), 0..30)) {
            if let Ok(domains) = domains_of(&parts.concat()) {
                proptest::prop_assert!(!domains.is_empty() && domains.len() <= MOST);
            }
        }
    }
}

//! Data on the wire (RFC 3501 §9).

use crate::{Flag, MailboxName, Section, SectionText, encode_utf7, parse::is_astring_char};

/// Longest string that is quoted; longer ones are literals, which no client has to unescape.
const QUOTED: usize = 1000;

/// Appends a number.
pub fn number(out: &mut Vec<u8>, n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = n;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a string: quoted if it is short, 7 bit and on one line, else a literal. NUL, which no string can hold, is written as a space.
pub fn string(out: &mut Vec<u8>, octets: &[u8]) {
    if octets.len() > QUOTED || octets.iter().any(|&b| matches!(b, b'\r' | b'\n') || b >= 0x80) {
        literal_start(out, octets.len() as u64);
        out.extend(octets.iter().map(|&b| if b == 0 { b' ' } else { b }));
        return;
    }
    out.push(b'"');
    for &b in octets {
        match b {
            0 => out.push(b' '),
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
            b => out.push(b),
        }
    }
    out.push(b'"');
}

/// Appends `NIL` or a string.
pub fn nstring(out: &mut Vec<u8>, octets: Option<&[u8]>) {
    match octets {
        Some(octets) => string(out, octets),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Appends an astring: an atom if it can be one.
pub fn astring(out: &mut Vec<u8>, octets: &[u8]) {
    // NIL as an atom could be taken for no string at all.
    if !octets.is_empty()
        && octets.iter().all(|&b| is_astring_char(b))
        && !octets.eq_ignore_ascii_case(b"NIL")
    {
        out.extend_from_slice(octets);
    } else {
        string(out, octets);
    }
}

/// Appends `{size}` CRLF; the octets must follow.
pub fn literal_start(out: &mut Vec<u8>, size: u64) {
    out.push(b'{');
    number(out, size);
    out.extend_from_slice(b"}\r\n");
}

/// Appends a mailbox name in modified UTF-7. Always quoted when it is more than letters, digits and the like: some programs read nothing else.
pub fn mailbox(out: &mut Vec<u8>, name: &MailboxName) {
    astring(out, encode_utf7(name.as_str()).as_bytes());
}

/// Appends flags in parentheses, `\Recent` at the end if wanted.
pub fn flags<'a>(out: &mut Vec<u8>, flags: impl IntoIterator<Item = &'a str>, recent: bool) {
    let start = out.len();
    out.push(b'(');
    for flag in flags.into_iter().chain(recent.then_some("\\Recent")) {
        if out.len() > start + 1 {
            out.push(b' ');
        }
        out.extend_from_slice(flag.as_bytes());
    }
    out.push(b')');
}

/// The flags of a list by their wire names.
pub fn flag_names(flags: &[Flag]) -> impl Iterator<Item = &str> {
    flags.iter().map(Flag::as_str)
}

/// Appends `BODY[section]<origin>` as FETCH replies name it (RFC 3501 §7.4.2).
pub fn section(out: &mut Vec<u8>, section: &Section, origin: Option<u32>) {
    out.extend_from_slice(b"BODY[");
    for (i, part) in section.part.iter().enumerate() {
        if i > 0 {
            out.push(b'.');
        }
        number(out, u64::from(*part));
    }
    if let Some(text) = &section.text {
        if !section.part.is_empty() {
            out.push(b'.');
        }
        let names = match text {
            SectionText::Header => {
                out.extend_from_slice(b"HEADER");
                None
            }
            SectionText::Text => {
                out.extend_from_slice(b"TEXT");
                None
            }
            SectionText::Mime => {
                out.extend_from_slice(b"MIME");
                None
            }
            SectionText::HeaderFields(names) => {
                out.extend_from_slice(b"HEADER.FIELDS (");
                Some(names)
            }
            SectionText::HeaderFieldsNot(names) => {
                out.extend_from_slice(b"HEADER.FIELDS.NOT (");
                Some(names)
            }
        };
        if let Some(names) = names {
            for (i, name) in names.iter().enumerate() {
                if i > 0 {
                    out.push(b' ');
                }
                astring(out, name);
            }
            out.push(b')');
        }
    }
    out.push(b']');
    if let Some(origin) = origin {
        out.push(b'<');
        number(out, u64::from(origin));
        out.push(b'>');
    }
}

/// Appends text for people: one line of printable US-ASCII, never empty.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    if text.is_empty() {
        return out.extend_from_slice(b"-");
    }
    out.extend(text.chars().map(|c| match c {
        ' '..='~' => c as u8,
        c if c.is_control() => b' ',
        _ => b'?',
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(f: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        f(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_take_the_form_that_can_hold_them() {
        assert_eq!(printed(|o| astring(o, b"abc]")), "abc]");
        assert_eq!(printed(|o| astring(o, b"nil")), "\"nil\"");
        assert_eq!(printed(|o| astring(o, b"")), "\"\"");
        assert_eq!(printed(|o| string(o, b"a\"\\b")), "\"a\\\"\\\\b\"");
        assert_eq!(printed(|o| string(o, "ñ".as_bytes())), "{2}\r\nñ");
        assert_eq!(printed(|o| string(o, b"a\r\nb")), "{4}\r\na\r\nb");
        assert_eq!(printed(|o| nstring(o, None)), "NIL");
        assert_eq!(printed(|o| number(o, u64::MAX)), "18446744073709551615");
        assert_eq!(
            printed(|o| mailbox(o, &MailboxName::from_utf8("Buzón de voz".into()))),
            "\"Buz&APM-n de voz\""
        );
        assert_eq!(printed(|o| flags(o, ["\\Seen", "$Junk"], true)), "(\\Seen $Junk \\Recent)");
        assert_eq!(printed(|o| flags(o, [], false)), "()");
    }
}

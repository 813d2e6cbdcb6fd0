//! Reports of others: bounded before anything is built from them.
//!
//! A report comes as a message with an attachment, as the attachment, or as what is in it; gzip and zip are told by their first
//! octets, whatever their names say. What unpacks to more than [`ReadLimits::unpacked`] is a bomb and is left at that
//! point. Elements, their depth, parts and their nesting are counted before the parsers of mail-auth and mail-parser, which have no such
//! bounds, see them; a document type, which could define entities, is refused.

use flate2::read::{DeflateDecoder, GzDecoder};
use mail_auth::report::{Report as DmarcReport, tlsrpt::TlsReport};
use mail_parser::{MessageParser, MimeHeaders as _, PartType};
use memchr::{memchr_iter, memmem};
use std::io::Read;

/// Bounds of one report.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Octets as it comes.
    pub size: usize,
    /// Octets unpacked.
    pub unpacked: usize,
    /// Elements of the XML, or values of the JSON.
    pub elements: usize,
    /// Elements or values within each other.
    pub depth: usize,
    /// Parts of the message.
    pub parts: usize,
    /// Parts of the message within each other.
    pub nesting: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            size: 20_000_000,
            unpacked: 100_000_000,
            elements: 2_000_000,
            depth: 32,
            parts: 100,
            nesting: 8,
        }
    }
}

/// A report.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// An aggregate report of DMARC (RFC 7489 §7.2).
    Dmarc(Box<DmarcReport>),
    /// A report of SMTP TLS (RFC 8460).
    Tls(Box<TlsReport>),
}

/// Why a text is no report that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It has more octets than [`ReadLimits::size`].
    #[error("the report is larger than {0} octets")]
    TooLarge(usize),
    /// It unpacks to more octets than [`ReadLimits::unpacked`].
    #[error("the report unpacks to more than {0} octets")]
    Bomb(usize),
    /// It has more elements, parts or levels than allowed.
    #[error("the report has too many {0}")]
    TooMany(&'static str),
    /// It cannot be unpacked.
    #[error("the report cannot be unpacked: {0}")]
    Packed(String),
    /// It is neither.
    #[error("expected a report of DMARC (XML) or of SMTP TLS (JSON), found {0}")]
    NoReport(String),
}

/// Reads a report.
///
/// # Errors
/// When it is none, or exceeds a bound.
pub fn read(text: &[u8], limits: &ReadLimits) -> Result<Received, ReadError> {
    if text.len() > limits.size {
        return Err(ReadError::TooLarge(limits.size));
    }
    if let Some(found) = unpacked(text, limits) {
        return found;
    }
    message(text, limits)
}

/// What is no message: XML, JSON, or either in gzip or zip.
fn unpacked(text: &[u8], limits: &ReadLimits) -> Option<Result<Received, ReadError>> {
    if text.starts_with(&[0x1f, 0x8b]) {
        return Some(inflate(GzDecoder::new(text), limits).and_then(|text| plain(&text, limits)));
    }
    if text.starts_with(b"PK\x03\x04") {
        return Some(unzip(text, limits).and_then(|text| plain(&text, limits)));
    }
    let start = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    matches!(start.first(), Some(b'<' | b'{')).then(|| plain(start, limits))
}

fn plain(text: &[u8], limits: &ReadLimits) -> Result<Received, ReadError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    match text.first() {
        Some(b'<') => {
            check_xml(text, limits)?;
            DmarcReport::parse_xml(text)
                .map(|report| Received::Dmarc(Box::new(report)))
                .map_err(ReadError::NoReport)
        }
        Some(b'{') => {
            check_json(text, limits)?;
            TlsReport::parse_json(text)
                .map(|report| Received::Tls(Box::new(report)))
                .map_err(|error| ReadError::NoReport(format!("{error:?}")))
        }
        _ => Err(ReadError::NoReport("something else".to_owned())),
    }
}

fn inflate(reader: impl Read, limits: &ReadLimits) -> Result<Vec<u8>, ReadError> {
    let mut text = Vec::new();
    let most = limits.unpacked as u64;
    reader
        .take(most.saturating_add(1))
        .read_to_end(&mut text)
        .map_err(|error| ReadError::Packed(error.to_string()))?;
    if text.len() > limits.unpacked { Err(ReadError::Bomb(limits.unpacked)) } else { Ok(text) }
}

/// The first file of a zip archive, which is all that a report's has. Its sizes are not believed: what is compressed says itself
/// where it ends.
fn unzip(text: &[u8], limits: &ReadLimits) -> Result<Vec<u8>, ReadError> {
    let packed = |reason: &str| ReadError::Packed(reason.to_owned());
    let number = |at: usize| {
        text.get(at..at + 2)
            .map(|two| usize::from(two[0]) | usize::from(two[1]) << 8)
            .ok_or_else(|| packed("cut short"))
    };
    let (flags, method) = (number(6)?, number(8)?);
    if flags & 1 != 0 {
        return Err(packed("encrypted"));
    }
    let start = 30 + number(26)? + number(28)?;
    let data = text.get(start..).ok_or_else(|| packed("cut short"))?;
    match method {
        8 => inflate(DeflateDecoder::new(data), limits),
        0 if flags & 8 == 0 => {
            let size = number(22)? | number(24)? << 16;
            let stored = data.get(..size).ok_or_else(|| packed("cut short"))?;
            if size > limits.unpacked { Err(ReadError::Bomb(limits.unpacked)) } else { Ok(stored.to_vec()) }
        }
        _ => Err(packed("unknown method")),
    }
}

fn message(text: &[u8], limits: &ReadLimits) -> Result<Received, ReadError> {
    let count = |needle: &[u8], most: usize| memmem::find_iter(text, needle).take(most + 1).count() > most;
    if count(b"\n--", limits.parts.saturating_mul(2)) {
        return Err(ReadError::TooMany("parts"));
    }
    let lower = text.to_ascii_lowercase();
    if memmem::find_iter(&lower, b"boundary").take(limits.nesting * 2 + 1).count() > limits.nesting * 2
        || memmem::find_iter(&lower, b"message/").take(limits.nesting + 1).count() > limits.nesting
    {
        return Err(ReadError::TooMany("levels"));
    }
    drop(lower);
    let none = || ReadError::NoReport("a message without one".to_owned());
    let message = MessageParser::new().parse(text).ok_or_else(none)?;
    let mut error = none();
    for part in message.parts.iter().take(limits.parts) {
        let found = match &part.body {
            PartType::Binary(body) | PartType::InlineBinary(body) => unpacked(body, limits),
            // Text that somebody only wrote is no report: it needs a type or name that says so.
            PartType::Text(body) => {
                let named = |ending: &str| {
                    part.attachment_name().is_some_and(|name| name.to_ascii_lowercase().ends_with(ending))
                        || part
                            .content_type()
                            .and_then(|kind| kind.subtype())
                            .is_some_and(|kind| kind.to_ascii_lowercase().ends_with(&ending[1..]))
                };
                if named(".xml") || named(".json") { unpacked(body.as_bytes(), limits) } else { None }
            }
            _ => None,
        };
        match found {
            None => {}
            Some(Err(reason)) => error = reason,
            Some(found) => return found,
        }
    }
    Err(error)
}

fn check_xml(text: &[u8], limits: &ReadLimits) -> Result<(), ReadError> {
    let (mut depth, mut elements) = (0usize, 0usize);
    for at in memchr_iter(b'<', text) {
        let rest = &text[at + 1..];
        match rest.first() {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(b'!') if rest.get(1..8).is_some_and(|name| name.eq_ignore_ascii_case(b"DOCTYPE")) => {
                return Err(ReadError::NoReport("a document type".to_owned()));
            }
            Some(b'!' | b'?') => {}
            _ => {
                elements += 1;
                let end = memchr::memchr(b'>', rest).unwrap_or(rest.len());
                if end == 0 || rest.get(end - 1) != Some(&b'/') {
                    depth += 1;
                }
            }
        }
        if depth > limits.depth {
            return Err(ReadError::TooMany("levels"));
        }
        if elements > limits.elements {
            return Err(ReadError::TooMany("elements"));
        }
    }
    Ok(())
}

fn check_json(text: &[u8], limits: &ReadLimits) -> Result<(), ReadError> {
    let (mut depth, mut values) = (0usize, 0usize);
    let mut octets = text.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b'"' => {
                while let Some(octet) = octets.next() {
                    match octet {
                        b'"' => break,
                        b'\\' => drop(octets.next()),
                        _ => {}
                    }
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        if depth > limits.depth {
            return Err(ReadError::TooMany("levels"));
        }
        if values > limits.elements {
            return Err(ReadError::TooMany("elements"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    const XML: &str = "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>a</org_name><report_id>1</report_id></report_metadata><policy_published><domain>a.test</domain><p>none</p></policy_published></feedback>";

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::best());
        out.write_all(text).unwrap();
        out.finish().unwrap()
    }

    fn zip(text: &[u8]) -> Vec<u8> {
        let mut out = b"PK\x03\x04\x14\0\x08\0\x08\0".to_vec();
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(&[5, 0, 0, 0]);
        out.extend_from_slice(b"a.xml");
        let mut deflate = flate2::write::DeflateEncoder::new(out, Compression::best());
        deflate.write_all(text).unwrap();
        deflate.finish().unwrap()
    }

    #[test]
    fn a_report_is_read_however_it_is_packed() {
        let limits = ReadLimits::default();
        let encoded = {
            use base64::{Engine as _, engine::general_purpose::STANDARD};
            STANDARD.encode(gzip(XML.as_bytes()))
        };
        let message = format!(
            "From: a@b.test\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nHello <b>\r\n--x\r\nContent-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n--x--\r\n"
        );
        for text in [XML.as_bytes().to_vec(), gzip(XML.as_bytes()), zip(XML.as_bytes()), message.into_bytes()]
        {
            let Received::Dmarc(report) = read(&text, &limits).unwrap() else { panic!("no DMARC report") };
            assert_eq!(report.domain(), "a.test");
        }
    }

    #[test]
    fn a_bomb_is_left_at_the_limit() {
        let limits = ReadLimits { unpacked: 1_000_000, ..ReadLimits::default() };
        let bomb = vec![b' '; 50_000_000];
        for packed in [gzip(&bomb), zip(&bomb)] {
            assert!(packed.len() < 60_000);
            assert_eq!(read(&packed, &limits), Err(ReadError::Bomb(1_000_000)));
        }
        // A bomb in a bomb is not a report, and is not opened.
        assert!(matches!(read(&gzip(&gzip(XML.as_bytes())), &limits), Err(ReadError::NoReport(_))));
    }

    #[test]
    fn depth_elements_and_parts_have_their_bounds() {
        let limits = ReadLimits { size: 100_000, elements: 1000, ..ReadLimits::default() };
        let deep = "<a>".repeat(10_000);
        assert_eq!(read(deep.as_bytes(), &limits), Err(ReadError::TooMany("levels")));
        let wide = format!("<feedback>{}</feedback>", "<record/>".repeat(5000));
        assert_eq!(read(wide.as_bytes(), &limits), Err(ReadError::TooMany("elements")));
        let json = format!("{}1", "{\"a\":".repeat(10_000));
        assert_eq!(read(json.as_bytes(), &limits), Err(ReadError::TooMany("levels")));
        let json = format!("{{\"a\":[{}1]}}", "1,".repeat(5000));
        assert_eq!(read(json.as_bytes(), &limits), Err(ReadError::TooMany("elements")));
        let parts =
            format!("Content-Type: multipart/mixed; boundary=x\r\n\r\n{}", "--x\r\n\r\n".repeat(5000));
        assert_eq!(read(parts.as_bytes(), &limits), Err(ReadError::TooMany("parts")));
        let nested: String = (0..100)
            .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"))
            .collect();
        assert_eq!(read(nested.as_bytes(), &limits), Err(ReadError::TooMany("levels")));
        assert_eq!(read(&[b'x'; 100_001], &limits), Err(ReadError::TooLarge(100_000)));
        let entities = "<!DOCTYPE f [<!ENTITY a \"aaaa\">]><feedback>&a;</feedback>";
        assert!(matches!(read(entities.as_bytes(), &limits), Err(ReadError::NoReport(_))));
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        let limits = ReadLimits::default();
        let (gzip, zip) = (gzip(XML.as_bytes()), zip(XML.as_bytes()));
        for cut in 0..gzip.len() {
            assert!(read(&gzip[..cut], &limits).is_err(), "{cut}");
        }
        for cut in 0..zip.len() - 20 {
            assert!(read(&zip[..cut], &limits).is_err(), "{cut}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_a_report_or_not(text: Vec<u8>, kind in 0usize..4) {
            let start: [&[u8]; 4] = [b"", b"\x1f\x8b\x08\0", b"PK\x03\x04", b"<feedback>"];
            let _ = read(&[start[kind], &text].concat(), &ReadLimits { unpacked: 100_000, ..ReadLimits::default() });
        }

        #[test]
        fn any_markup_is_a_report_or_not(parts in proptest::collection::vec(proptest::sample::select(vec![
            "<feedback>", "</feedback>", "<record>", "</record>", "<row/>", "<!--", "-->", "<?", "&amp;", "&x;", "<source_ip>", "1", "<", ">", "/", "\"",
        ]), 0..40)) {
            let _ = read(format!("<feedback>{}", parts.concat()).as_bytes(), &ReadLimits::default());
        }
    }
}

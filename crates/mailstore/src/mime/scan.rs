//! The structure of a message, line by line.

use std::io::{self, Read};

use super::fields::{describe, envelope, fields};
use super::{BodyPart, Envelope, Nested};

/// Octets of a line that matter: a boundary has at most 70 (RFC 2046 §5.1.1), some programs write more.
const KEEP: usize = 320;
/// Longest boundary taken for one.
const MAX_BOUNDARY: usize = 250;

/// What a message may cost. Beyond a limit the structure is coarser: what is too deep is one opaque part, headers are cut, parts
/// over the number belong to the last one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Octets of one header that are read. Default 128 KiB.
    pub header: usize,
    /// Multiparts and messages inside each other. Default 50.
    pub depth: usize,
    /// Parts in all. Default 2000.
    pub parts: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { header: 128 << 10, depth: 50, parts: 2000 }
    }
}

/// Reads a message to its end.
pub fn summarize(mut message: impl Read, limits: Limits) -> io::Result<(Envelope, BodyPart)> {
    let mut scanner = Scanner::new(limits);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match message.read(&mut buffer) {
            Ok(0) => return Ok(scanner.finish()),
            Ok(length) => scanner.feed(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Finds the parts of a message that comes in pieces.
pub struct Scanner {
    limits: Limits,
    /// The parts that are open, the message itself first.
    open: Vec<Open>,
    parts: usize,
    /// Octets before the line being read.
    offset: u64,
    /// Line ends before it.
    line_ends: u64,
    /// Octets of the line end just before it.
    last_end: u64,
    // The line being read: what of it matters, how long it is, and its last octet.
    line: Vec<u8>,
    length: u64,
    last: u8,
    done: Option<(Envelope, BodyPart)>,
}

struct Open {
    part: BodyPart,
    /// A whole message rather than a part of one.
    envelope: Option<Envelope>,
    in_digest: bool,
    header: Vec<u8>,
    kind: Kind,
    lines_before: u64,
}

enum Kind {
    Header,
    Leaf,
    Message,
    Multipart { boundary: Vec<u8>, digest: bool, ended: bool },
}

impl Scanner {
    /// A scanner at the start of a message.
    pub fn new(limits: Limits) -> Scanner {
        let mut scanner = Scanner {
            limits,
            open: Vec::new(),
            parts: 0,
            offset: 0,
            line_ends: 0,
            last_end: 0,
            line: Vec::new(),
            length: 0,
            last: 0,
            done: None,
        };
        scanner.start(0, true, false);
        scanner
    }

    /// The next octets.
    pub fn feed(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let (piece, ends) = match octets.iter().position(|&b| b == b'\n') {
                Some(at) => (&octets[..=at], true),
                None => (octets, false),
            };
            octets = &octets[piece.len()..];
            let room = self.keep().saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            let before_end =
                if ends { piece.len().checked_sub(2).map(|at| piece[at]) } else { piece.last().copied() };
            self.length += piece.len() as u64;
            if ends {
                let carriage_return = before_end.unwrap_or(self.last) == b'\r' && self.length >= 2;
                self.end_line(if carriage_return { 2 } else { 1 });
            } else {
                self.last = before_end.unwrap_or_default();
            }
        }
    }

    /// The envelope and structure, the message being at its end.
    pub fn finish(mut self) -> (Envelope, BodyPart) {
        if self.length > 0 {
            self.end_line(0);
        }
        let end = self.offset;
        while !self.open.is_empty() {
            self.close(end, 0);
        }
        self.done.unwrap_or_default()
    }

    fn keep(&self) -> usize {
        match self.open.last() {
            Some(Open { kind: Kind::Header, header, .. }) => {
                self.limits.header.saturating_sub(header.len()).max(KEEP)
            }
            _ => KEEP,
        }
    }

    /// A line is whole; it ends with so many octets of line end.
    fn end_line(&mut self, end_octets: u64) {
        let mut line = std::mem::take(&mut self.line);
        let length = std::mem::take(&mut self.length);
        self.last = 0;
        let next = self.offset + length;
        let content_length = (length - end_octets) as usize;
        let content = &line[..line.len().min(content_length)];
        match self.boundary(content) {
            Some((at, closing)) => {
                // RFC 2046 §5.1.1: the line end before a boundary belongs to the boundary.
                let end = self.offset - self.last_end;
                let end_lines = u64::from(self.last_end > 0);
                while self.open.len() > at + 1 {
                    self.close(end, end_lines);
                }
                let room = self.parts < self.limits.parts;
                if let Some(Open { kind: Kind::Multipart { ended, digest, .. }, .. }) = self.open.last_mut() {
                    let digest = *digest;
                    *ended = closing || !room;
                    if !*ended {
                        self.start(next, false, digest);
                    }
                }
                self.line_ends += u64::from(end_octets > 0);
            }
            None => {
                self.line_ends += u64::from(end_octets > 0);
                let limit = self.limits.header;
                if let Some(open) = self.open.last_mut()
                    && matches!(open.kind, Kind::Header)
                {
                    if content.is_empty() {
                        self.end_header(next);
                    } else if open.header.len() + line.len() <= limit {
                        open.header.extend_from_slice(content);
                        open.header.extend_from_slice(b"\r\n");
                    }
                }
            }
        }
        self.offset = next;
        self.last_end = end_octets;
        // Keep the room for the next line, unless a long header line made it large.
        line.clear();
        if line.capacity() <= 4 * KEEP {
            self.line = line;
        }
    }

    /// Which open multipart this line is a boundary of, and whether it closes it.
    fn boundary(&self, line: &[u8]) -> Option<(usize, bool)> {
        let rest = line.strip_prefix(b"--")?;
        for (at, open) in self.open.iter().enumerate().rev() {
            if let Kind::Multipart { boundary, ended: false, .. } = &open.kind
                && let Some(after) = rest.strip_prefix(boundary.as_slice())
            {
                let blank = |text: &[u8]| text.iter().all(|&b| b == b' ' || b == b'\t');
                if blank(after) {
                    return Some((at, false));
                }
                if after.strip_prefix(b"--").is_some_and(blank) {
                    return Some((at, true));
                }
            }
        }
        None
    }

    /// A part starts, or a message.
    fn start(&mut self, offset: u64, message: bool, in_digest: bool) {
        self.parts += 1;
        let part =
            BodyPart { header_start: offset, body_start: offset, body_end: offset, ..BodyPart::default() };
        let envelope = message.then(Envelope::default);
        self.open.push(Open {
            part,
            envelope,
            in_digest,
            header: Vec::new(),
            kind: Kind::Header,
            lines_before: 0,
        });
    }

    /// The innermost header is whole; its body starts here.
    fn end_header(&mut self, body_start: u64) {
        let (depth, deepest, line_ends) = (self.open.len(), self.limits.depth, self.line_ends);
        let Some(open) = self.open.last_mut() else { return };
        let part = &mut open.part;
        (part.body_start, part.body_end) = (body_start, body_start);
        open.lines_before = line_ends;
        let fields = fields(&std::mem::take(&mut open.header));
        describe(&fields, open.in_digest, part);
        if let Some(slot) = &mut open.envelope {
            *slot = envelope(&fields);
        }
        let identity = matches!(part.encoding.as_str(), "7bit" | "8bit" | "binary");
        open.kind = Kind::Leaf;
        if part.media_type == "multipart" {
            let boundary = part
                .parameters
                .iter()
                .find(|(name, _)| name == "boundary")
                .map(|(_, value)| value.trim_end());
            match boundary {
                Some(boundary)
                    if !boundary.is_empty() && boundary.len() <= MAX_BOUNDARY && depth < deepest =>
                {
                    let (boundary, digest) = (boundary.as_bytes().to_vec(), part.subtype == "digest");
                    open.kind = Kind::Multipart { boundary, digest, ended: false };
                }
                _ => opaque(part),
            }
        } else if part.media_type == "message" && (part.subtype == "rfc822" || part.subtype == "global") {
            if identity && depth < deepest {
                open.kind = Kind::Message;
                self.start(body_start, true, false);
            } else {
                opaque(part);
            }
        }
    }

    /// The innermost part ends here; `line_ends` of the line ends so far belong to the boundary after it.
    fn close(&mut self, end: u64, line_ends: u64) {
        if matches!(self.open.last(), Some(Open { kind: Kind::Header, .. })) {
            // No empty line: the part is all header. What ends it may take the last line end, or the header keeps it.
            let start = self.open.last().map_or(end, |open| open.part.header_start);
            self.end_header(end.max(start));
            if let Some(Open { kind: Kind::Header, .. }) = self.open.last() {
                // The header was a message/rfc822's, whose message then starts and ends here too.
                return self.close(end, line_ends);
            }
        }
        let Some(Open { mut part, envelope, kind, lines_before, .. }) = self.open.pop() else { return };
        // An empty part inside may start where the line end before the boundary would have counted as its own.
        let inside = part
            .parts
            .last()
            .or(part.message.as_ref().map(|nested| &nested.body))
            .map_or(0, |inner| inner.body_end);
        part.body_end = end.max(part.body_start).max(inside);
        part.lines = self.line_ends.saturating_sub(lines_before).saturating_sub(line_ends);
        if matches!(kind, Kind::Multipart { .. }) && part.parts.is_empty() {
            // RFC 9051 §9, body-type-mpart: at least one body.
            let mut empty = BodyPart {
                header_start: part.body_end,
                body_start: part.body_end,
                body_end: part.body_end,
                ..BodyPart::default()
            };
            describe(&[], false, &mut empty);
            part.parts.push(empty);
        }
        match (self.open.last_mut(), envelope) {
            (Some(parent), Some(envelope)) => {
                parent.part.message = Some(Box::new(Nested { envelope, body: part }))
            }
            (Some(parent), None) => parent.part.parts.push(part),
            (None, envelope) => self.done = Some((envelope.unwrap_or_default(), part)),
        }
    }
}

/// What cannot be looked into.
fn opaque(part: &mut BodyPart) {
    (part.media_type, part.subtype) = ("application".to_owned(), "octet-stream".to_owned());
    part.parameters.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NESTED: &str = "From: Ana <ana@ejemplo.test>\r\nSubject: =?utf-8?q?hol=C3=A1?=\r\nContent-Type: multipart/mixed; boundary=\"b1\"\r\n\r\n\
        preamble\r\n--b1\r\n\r\none\r\ntwo\r\n--b1\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Type: multipart/alternative; boundary=b2\r\n\r\n\
        --b2\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ninner text\r\n--b2\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: Base64\r\n\r\nPGI+\r\n--b2--\r\n\
        --b1\r\nContent-Type: image/png; name=x.png\r\nContent-Disposition: attachment; filename=x.png\r\nContent-ID: <1@x>\r\n\r\n\r\n--b1--\r\nepilogue\r\n";

    fn scan(message: &[u8]) -> (Envelope, BodyPart) {
        summarize(message, Limits::default()).unwrap()
    }

    fn octets<'a>(message: &'a str, part: &BodyPart) -> &'a str {
        &message[part.body_start as usize..part.body_end as usize]
    }

    #[test]
    fn every_part_is_found_at_its_place() {
        let (envelope, body) = scan(NESTED.as_bytes());
        assert_eq!(envelope.subject.as_deref(), Some("=?utf-8?q?hol=C3=A1?="));
        assert_eq!(body.parts.len(), 3);
        let one = body.find(&[1]).unwrap();
        assert_eq!((octets(NESTED, one), one.lines, one.size()), ("one\r\ntwo", 1, 8));
        let message = body.find(&[2]).unwrap();
        let nested = message.message.as_ref().unwrap();
        assert_eq!(nested.envelope.subject.as_deref(), Some("inner"));
        assert!(
            octets(NESTED, message).starts_with("Subject: inner")
                && octets(NESTED, message).ends_with("--b2--")
        );
        assert_eq!(octets(NESTED, body.find(&[2, 1]).unwrap()), "inner text");
        let html = body.find(&[2, 2]).unwrap();
        assert_eq!((octets(NESTED, html), html.encoding.as_str()), ("PGI+", "base64"));
        let image = body.find(&[3]).unwrap();
        assert_eq!((image.size(), image.lines, image.id.as_deref()), (0, 0, Some("<1@x>")));
        assert_eq!(image.disposition, Some(("attachment".into(), vec![("filename".into(), "x.png".into())])));
        assert!(body.find(&[4]).is_none() && body.find(&[1, 1]).is_none() && body.find(&[0]).is_none());
        assert!(octets(NESTED, &body).ends_with("epilogue\r\n"));
    }

    #[test]
    fn a_plain_message_is_its_own_part_1() {
        let (_, body) = scan(b"Subject: x\r\n\r\none\r\ntwo\r\n");
        assert_eq!((body.media_type.as_str(), body.lines, body.size(), body.body_start), ("text", 2, 10, 14));
        assert_eq!(body.find(&[1]), Some(&body));
        assert_eq!(body.find(&[]), Some(&body));
        assert_eq!(body.find(&[1, 1]), None);
    }

    #[test]
    fn odd_messages_have_a_structure_too() {
        for (message, media_type, size) in [
            ("", "text", 0),
            ("\r\n", "text", 0),
            ("no header", "text", 0),
            ("Subject: x", "text", 0),
            ("Content-Type: multipart/mixed; boundary=b\r\n\r\nnothing here", "multipart", 12),
            ("Content-Type: multipart/mixed\r\n\r\n--b", "application", 3),
            ("Content-Type: message/rfc822", "message", 0),
            (
                "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nabc",
                "application",
                3,
            ),
            (
                "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: y\r\n\r\nz\r\n--b--",
                "multipart",
                29,
            ),
        ] {
            let (_, body) = scan(message.as_bytes());
            assert_eq!((body.media_type.as_str(), body.size()), (media_type, size), "{message:?}");
            assert_eq!(body.media_type == "multipart", body.is_multipart());
        }
        let (_, digest) = scan(
            b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: y\r\n\r\nz\r\n--b--",
        );
        assert_eq!(digest.parts[0].message.as_ref().unwrap().envelope.subject.as_deref(), Some("y"));
    }

    #[test]
    fn limits_make_the_structure_coarser_and_hold() {
        let mut deep = String::new();
        for level in 0..200 {
            deep.push_str(&format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"));
        }
        let (_, body) = scan(deep.as_bytes());
        let (mut part, mut depth) = (&body, 1);
        while let Some(inner) = part.parts.first() {
            (part, depth) = (inner, depth + 1);
        }
        assert_eq!((depth, part.subtype.as_str()), (Limits::default().depth, "octet-stream"));

        let many =
            format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", "--b\r\n\r\nx\r\n".repeat(10_000));
        assert_eq!(scan(many.as_bytes()).1.parts.len(), Limits::default().parts - 1);

        let long = format!("X: {}\r\nSubject: seen\r\n\r\nbody", "x".repeat(10 << 20));
        assert_eq!(octets(&long, &scan(long.as_bytes()).1), "body");
    }

    #[test]
    fn the_number_of_parts_agrees_with_mail_parser() {
        fn leaves(part: &BodyPart) -> usize {
            if part.is_multipart() { part.parts.iter().map(leaves).sum::<usize>() + 1 } else { 1 }
        }
        for message in [
            NESTED,
            "Subject: x\r\n\r\nbody\r\n",
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\r\n",
        ] {
            let parsed = mail_parser::MessageParser::default().parse(message.as_bytes()).unwrap();
            assert_eq!(leaves(&scan(message.as_bytes()).1), parsed.parts.len(), "{message}");
            for part in &parsed.parts {
                assert!(part.raw_body_offset() as usize <= message.len());
            }
        }
    }

    fn line() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("--b".to_owned()),
            Just("--b--".to_owned()),
            Just("--c".to_owned()),
            Just("Content-Type: multipart/mixed; boundary=b".to_owned()),
            Just("Content-Type: multipart/alternative; boundary=c".to_owned()),
            Just("Content-Type: message/rfc822".to_owned()),
            Just("From: a@b, c".to_owned()),
            Just(String::new()),
            "[ -~]{0,30}",
        ]
    }

    fn check(part: &BodyPart, within: std::ops::RangeInclusive<u64>) {
        assert!(part.header_start <= part.body_start && part.body_start <= part.body_end);
        assert!(
            within.contains(&part.header_start) && within.contains(&part.body_end),
            "{part:?} in {within:?}"
        );
        let inside = part.body_start..=part.body_end;
        part.parts.iter().for_each(|inner| check(inner, inside.clone()));
        part.message.iter().for_each(|nested| check(&nested.body, inside.clone()));
    }

    proptest! {
        #[test]
        fn the_structure_does_not_depend_on_the_pieces(lines in prop::collection::vec(line(), 0..40), ends in prop::collection::vec(0..3usize, 40), size in 1..20usize) {
            let mut message = String::new();
            for (line, end) in lines.iter().zip(ends) {
                message.push_str(line);
                message.push_str(["\r\n", "\n", "\r\n"][end]);
            }
            let whole = scan(message.as_bytes());
            let mut scanner = Scanner::new(Limits::default());
            message.as_bytes().chunks(size).for_each(|piece| scanner.feed(piece));
            prop_assert_eq!(&scanner.finish(), &whole);
            check(&whole.1, 0..=message.len() as u64);
        }
    }
}

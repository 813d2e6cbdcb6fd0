//! The nesting of MIME parts, bounded before anything parses it: a message of a thousand multiparts within each other costs its readers
//! a thousand levels of recursion or memory.
//!
//! No MIME parser is needed for the bound: a level is only as deep as there are boundary lines that open it. So what is counted is
//! boundaries that were declared and not closed yet, and `message/rfc822` parts, in one pass over lines that begin with `--` or
//! declare a type.
//!
//! Readers differ in what they take for the boundary where it is written in an odd way. Such a multipart counts as a level without a
//! name: it is open until a part around it ends, and meanwhile every line that begins with `--` may begin a part.

/// Octets of a boundary (RFC 2046 §5.1.1 allows 70).
const BOUNDARY: usize = 256;

/// Reads a message block by block.
#[derive(Debug)]
pub struct Nesting {
    most: usize,
    /// Multiparts that are open, the innermost last: the boundary, `None` where readers may differ, and the level.
    open: Vec<(Option<Vec<u8>>, usize)>,
    deepest: usize,
    /// Within a header: of the message, or of a part.
    in_header: bool,
    /// The field that is being read, unfolded, if it is a `Content-Type`.
    field: Vec<u8>,
    /// A line that the last block did not end.
    rest: Vec<u8>,
    /// Messages within each other in the innermost part.
    enclosed: usize,
    /// The header that is being read is that of a message within: another header follows it.
    encloses: bool,
}

/// Octets of a line that are looked at.
const LINE: usize = 4096;

impl Nesting {
    /// Up to `most` levels are allowed.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            open: Vec::new(),
            deepest: 0,
            in_header: true,
            field: Vec::new(),
            rest: Vec::new(),
            enclosed: 0,
            encloses: false,
        }
    }

    /// Reads on; false once there are more levels than allowed.
    pub fn read(&mut self, mut block: &[u8]) -> bool {
        while self.deepest <= self.most {
            if self.is_over() {
                return true;
            }
            let Some(end) = memchr::memchr(b'\n', block) else {
                let room = LINE.saturating_sub(self.rest.len()).min(block.len());
                self.rest.extend_from_slice(block.get(..room).unwrap_or_default());
                return true;
            };
            let (line, behind) = block.split_at(end);
            block = behind.get(1..).unwrap_or_default();
            if self.rest.is_empty() {
                self.line(line.get(..line.len().min(LINE)).unwrap_or_default());
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                let room = LINE.saturating_sub(whole.len()).min(line.len());
                whole.extend_from_slice(line.get(..room).unwrap_or_default());
                self.line(&whole);
            }
        }
        false
    }

    /// Whether nothing that follows can nest: the header is over, and no boundary is open.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        !self.in_header && self.open.is_empty()
    }

    /// The deepest level so far: 0 for plain text.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.deepest
    }

    fn line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // A boundary ends a header too.
        if line.starts_with(b"--") && self.boundary(line) {
            return;
        }
        if !self.in_header {
            return;
        }
        if line.is_empty() {
            self.field_end();
            self.in_header = std::mem::take(&mut self.encloses);
            return;
        }
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            if !self.field.is_empty() && self.field.len() < LINE {
                self.field.extend_from_slice(line);
            }
            return;
        }
        self.field_end();
        const NAME: &[u8] = b"content-type";
        if line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)) {
            self.field.extend_from_slice(line);
        }
    }

    /// A line that may be a boundary: true when it is one.
    fn boundary(&mut self, line: &[u8]) -> bool {
        let name = line.get(2..).unwrap_or_default().trim_ascii_end();
        let inner = name.strip_suffix(b"--");
        let found = self
            .open
            .iter()
            .rposition(|(open, _)| open.as_deref().is_some_and(|open| name == open || inner == Some(open)));
        let Some(found) = found else {
            if !self.in_header && self.open.iter().any(|(open, _)| open.is_none()) {
                // Maybe one of a multipart without a name. Within a header it is no reason to forget what that has said.
                self.in_header = true;
                return true;
            }
            return false;
        };
        // Those within are over, closed or not.
        self.open.truncate(found + 1);
        self.enclosed = 0;
        self.field.clear();
        self.encloses = false;
        let closes = self.open.last().is_some_and(|(open, _)| open.as_deref() != Some(name));
        if closes {
            self.open.pop();
        }
        self.in_header = !closes;
        true
    }

    /// A `Content-Type` is complete.
    fn field_end(&mut self) {
        let field = std::mem::take(&mut self.field);
        let Some(value) = memchr::memchr(b':', &field).and_then(|at| field.get(at + 1..)) else { return };
        let cut = field.len() >= LINE;
        match Kind::of(value, cut) {
            Kind::Message => {
                self.enclosed += 1;
                self.encloses = true;
                self.deepest = self.deepest.max(self.level());
            }
            Kind::Multipart => {
                let level = self.level() + 1;
                self.open.push((if cut { None } else { boundary(value) }, level));
                self.enclosed = 0;
                self.deepest = self.deepest.max(level);
            }
            Kind::Other => {}
        }
    }

    fn level(&self) -> usize {
        self.open.last().map_or(0, |(_, level)| *level) + self.enclosed
    }
}

/// What a `Content-Type` declares.
enum Kind {
    Multipart,
    Message,
    Other,
}

impl Kind {
    /// Of a field's value. When in doubt it is a multipart.
    fn of(value: &[u8], cut: bool) -> Self {
        let (mut kind, mut clear) = without_comments(value);
        kind.make_ascii_lowercase();
        match memchr::memchr(b';', &kind) {
            Some(end) if clear => kind.truncate(end),
            found => clear &= found.is_some() || !cut,
        }
        let has = |word: &[u8]| memchr::memmem::find(&kind, word).is_some();
        if !clear && cut || has(b"multipart") {
            Self::Multipart
        } else if has(b"message") && (has(b"rfc822") || has(b"global")) {
            Self::Message
        } else {
            Self::Other
        }
    }
}

/// A value without its comments (RFC 5322 §3.2.2); as it is, and false, when they are not closed.
fn without_comments(value: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(value.len());
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut octets = value.iter();
    while let Some(&octet) = octets.next() {
        match octet {
            b'\\' if depth > 0 || quoted => {
                let escaped = octets.next();
                if depth == 0 {
                    out.push(octet);
                    out.extend(escaped);
                }
                continue;
            }
            b'"' if depth == 0 => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if depth > 0 => {
                depth -= 1;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            out.push(octet);
        }
    }
    if depth == 0 { (out, true) } else { (value.to_vec(), false) }
}

/// The boundary in the value of a multipart's `Content-Type`, where it is written so that all readers read the same.
fn boundary(value: &[u8]) -> Option<Vec<u8>> {
    const NAME: &[u8] = b"boundary";
    let mut found = None;
    let mut quoted = false;
    let mut parameters = value
        .split(|&b| {
            quoted ^= b == b'"';
            b == b';' && !quoted
        })
        .skip(1);
    let plain = |parameter: &[u8]| {
        let mut quoted = false;
        parameter.iter().all(|&b| {
            quoted ^= b == b'"';
            b != b'\\' && (quoted || b != b'(' && b != b')')
        }) && !quoted
    };
    parameters.try_for_each(|parameter| {
        let lower = parameter.to_ascii_lowercase();
        let (name, given) = match memchr::memchr(b'=', parameter) {
            Some(at) => (lower.get(..at)?, parameter.get(at + 1..)?.trim_ascii()),
            None => (&lower[..], &b""[..]),
        };
        if !plain(parameter) {
            return None;
        }
        if name.trim_ascii() != NAME {
            // `boundary*0`, or one behind a semicolon that was left out.
            return memchr::memmem::find(&lower, NAME).is_none().then_some(());
        }
        let bare = match given.strip_prefix(b"\"") {
            Some(rest) => rest.strip_suffix(b"\"")?.trim_ascii_end(),
            None => given,
        };
        let odd = |b: &u8| *b == b'"' || bare.len() == given.len() && b.is_ascii_whitespace();
        let fits = (1..=BOUNDARY).contains(&bare.len());
        if !fits || bare.iter().any(odd) || bare.starts_with(b" ") || found.replace(bare.to_vec()).is_some() {
            return None;
        }
        Some(())
    })?;
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(text: &str) -> usize {
        let mut whole = Nesting::new(1000);
        assert!(whole.read(text.as_bytes()));
        let mut parts = Nesting::new(1000);
        for part in text.as_bytes().chunks(3) {
            assert!(parts.read(part));
        }
        assert_eq!(whole.depth(), parts.depth(), "in parts as in whole");
        whole.depth()
    }

    fn nested(levels: usize) -> String {
        let mut text = String::new();
        for level in 0..levels {
            text +=
                &format!("Content-Type: multipart/mixed;\r\n\tboundary=\"b{level}\"\r\n\r\n--b{level}\r\n");
        }
        text + "\r\ntext\r\n"
    }

    #[test]
    fn levels_are_counted() {
        assert_eq!(depth("Subject: x\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"), 0);
        assert_eq!(depth(&nested(1)), 1);
        assert_eq!(depth(&nested(30)), 30);
        let siblings = "Content-Type: multipart/mixed; boundary=a\r\n\r\n".to_owned()
            + &"--a\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"
                .repeat(50)
            + "--a--\r\n";
        assert_eq!(depth(&siblings), 2);
        let unclosed = "Content-Type: multipart/mixed; boundary=a\r\n\r\n".to_owned()
            + &"--a\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nx\r\n".repeat(50);
        assert_eq!(depth(&unclosed), 2);
        let both = "Content-Type: message/rfc822\r\nX: y\r\n\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n";
        assert_eq!(depth(&(0..4).map(|n| both.replace('B', &format!("b{n}"))).collect::<String>()), 8);
        assert_eq!(depth(&("Content-Type: message/rfc822\r\n\r\n".repeat(7) + "Subject: x\r\n\r\n")), 7);
    }

    #[test]
    fn levels_whose_boundary_is_written_in_an_odd_way_are_counted() {
        let long = format!("; boundary={}", "x".repeat(300));
        let far = format!("; x={}; boundary=B", "x".repeat(2 * LINE));
        let types = [
            "multipart/mixed; boundary=\"a\\\"B\"",
            "multipart/mixed; boundary*0=a; boundary*1=B",
            "multipart/mixed; boundary*=us-ascii''B",
            "multipart/mixed; boundary=x; boundary=B",
            "multipart/mixed; x=\";\" boundary=x; boundary=B",
            "multipart/mixed; boundary=a(x)B",
            "multipart/mixed; boundary=a B",
            "multipart/mixed; boundary=\" B\"",
            "multipart/mixed; boundary=",
            "multipart/mixed boundary=B",
            "multipart/mixed",
            "(a \\) comment (;)) multipart/mixed; boundary=B",
            "multipart (x) / mixed; boundary=B",
            "( multipart/mixed; boundary=B",
            &("multipart/mixed".to_owned() + &long),
            &("multipart/mixed".to_owned() + &far),
            &format!("({}) multipart/mixed; boundary=B", "x".repeat(LINE)),
        ];
        for kind in types {
            let part = |n: usize| {
                let kind = kind.replace('B', &format!("b{n}"));
                format!("Content-Type: {kind}\r\n\r\n--any{n}\r\n--b{n}\r\n")
            };
            let text = (0..30).map(part).collect::<String>() + "\r\ntext\r\n";
            assert_eq!(depth(&text), 30, "{}", &kind[..kind.len().min(80)]);
        }
        let message = "Content-Type: (x) message / rfc822\r\n\r\n";
        assert_eq!(depth(&(message.repeat(7) + "Subject: x\r\n\r\n")), 7);
        let within = "Content-Type: multipart/mixed\r\n\r\n--b\r\n".to_owned()
            + &"Content-Type: message/rfc822\r\n\r\n--odd\r\n".repeat(7);
        assert_eq!(depth(&within), 8);
    }

    #[test]
    fn what_is_written_as_usual_counts_no_more_than_it_has() {
        for kind in [
            "multipart/mixed; boundary=\"=_(a, b):/?\"",
            "Multipart/Related; type=\"text/html\"; Boundary = a--=_b ; charset=x",
            "multipart/report; report-type=delivery-status;\r\n boundary=\"a b\"",
        ] {
            let value = kind.replace("\r\n", "");
            let boundary = String::from_utf8(boundary(value.as_bytes()).unwrap()).unwrap();
            let text = format!("Content-Type: {kind}\r\n\r\n")
                + &format!("--{boundary}\r\n\r\n--x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n")
                    .repeat(5)
                + &format!("--{boundary}--\r\n");
            assert_eq!(depth(&text), 1);
        }
        // One without a name is over with the part that it is in.
        let siblings = "Content-Type: multipart/mixed; boundary=a\r\n\r\n".to_owned()
            + &"--a\r\nContent-Type: multipart/mixed; boundary*0=b\r\n\r\n--b\r\n\r\nx\r\n".repeat(50);
        assert_eq!(depth(&siblings), 2);
        let named = "Content-Type: multipart/mixed; boundary*0=b\r\n\r\n".to_owned()
            + &"--b\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n".repeat(50);
        assert_eq!(depth(&named), 2);
        let long = format!("Content-Type: application/pdf; name=\"{}\"\r\n\r\n--x\r\n", "x".repeat(9000));
        assert_eq!(depth(&long), 0);
    }

    #[test]
    fn reading_ends_once_there_are_too_many() {
        let mut nesting = Nesting::new(20);
        assert!(nesting.read(nested(20).as_bytes()));
        assert!(!Nesting::new(20).read(nested(21).as_bytes()));
        assert!(!Nesting::new(20).read(nested(100_000).as_bytes()));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_in_bounded_memory(parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "Content-Type:", " multipart/mixed;", "boundary=", "a", "\"", "\r\n", "\n", "--a", "--", " message/rfc822", "x", "(", ")", "\\", ";", "*0",
            ]), 0..200,
        )) {
            let mut nesting = Nesting::new(5);
            for part in &parts {
                nesting.read(part.as_bytes());
            }
            proptest::prop_assert!(nesting.open.len() <= 6 && nesting.rest.len() <= LINE && nesting.field.len() <= 2 * LINE);
        }
    }
}

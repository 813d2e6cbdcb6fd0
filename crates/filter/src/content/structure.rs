//! The nesting of MIME parts, bounded before anything parses it: a message of a thousand multiparts within each other costs its readers
//! a thousand levels of recursion or memory.
//!
//! No MIME parser is needed for the bound: a level is only as deep as there are boundary lines that open it. So what is counted is
//! boundaries that were declared and not closed yet, and `message/rfc822` parts, in one pass over lines that begin with `--` or
//! declare a type.

/// Octets of a boundary (RFC 2046 §5.1.1 allows 70).
const BOUNDARY: usize = 256;

/// Reads a message block by block.
#[derive(Debug)]
pub struct Nesting {
    most: usize,
    /// Boundaries that are open, the innermost last, each with the level that it opens.
    open: Vec<(Vec<u8>, usize)>,
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
        let found = self.open.iter().rposition(|(open, _)| {
            name == open.as_slice() || name.strip_suffix(b"--").is_some_and(|name| name == open.as_slice())
        });
        let Some(found) = found else { return false };
        // Those within are over, closed or not.
        self.open.truncate(found + 1);
        self.enclosed = 0;
        self.field.clear();
        self.encloses = false;
        let closes = self.open.last().is_some_and(|(open, _)| name.len() > open.len());
        if closes {
            self.open.pop();
        }
        self.in_header = !closes;
        true
    }

    /// A `Content-Type` is complete.
    fn field_end(&mut self) {
        let field = std::mem::take(&mut self.field);
        let lower = field.to_ascii_lowercase();
        let Some(kind) = memchr::memchr(b':', &lower).and_then(|at| lower.get(at + 1..)) else { return };
        let kind = kind.trim_ascii();
        if kind.starts_with(b"message/rfc822") || kind.starts_with(b"message/global") {
            self.enclosed += 1;
            self.encloses = true;
            self.deepest = self.deepest.max(self.level());
        } else if kind.starts_with(b"multipart/")
            && let Some(boundary) = parameter(&field, &lower, b"boundary")
        {
            let level = self.level() + 1;
            self.open.push((boundary, level));
            self.deepest = self.deepest.max(level);
        }
    }

    fn level(&self) -> usize {
        self.open.last().map_or(0, |(_, level)| *level) + self.enclosed
    }
}

/// The value of a parameter in a field, quoted or not.
fn parameter(field: &[u8], lower: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let mut from = 0;
    loop {
        let at = from + memchr::memmem::find(lower.get(from..)?, name)?;
        let rest = field.get(at + name.len()..)?.trim_ascii_start();
        from = at + name.len();
        let Some(value) = rest.strip_prefix(b"=") else { continue };
        let value = value.trim_ascii_start();
        let value = match value.strip_prefix(b"\"") {
            Some(quoted) => quoted.get(..memchr::memchr(b'"', quoted)?)?,
            None => value.split(|&b| b == b';' || b.is_ascii_whitespace()).next()?,
        };
        return (1..=BOUNDARY).contains(&value.len()).then(|| value.trim_ascii_end().to_vec());
    }
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
                "Content-Type:", " multipart/mixed;", "boundary=", "a", "\"", "\r\n", "\n", "--a", "--", " message/rfc822", "x",
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

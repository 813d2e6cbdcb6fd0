//! Canonical forms of header and body (RFC 6376 §3.4). Bodies come in pieces of any size and are never held whole.

use memchr::{memchr, memchr3};
use ring::digest::{Context, Digest, SHA256};

/// Octets that are gathered before they are hashed.
const GATHERED: usize = 16 * 1024;

/// How what is insignificant is told from what is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Simple,
    Relaxed,
}

impl Form {
    /// `c=`: header form, body form (§3.5).
    pub(crate) fn parse(text: &str) -> Option<(Self, Self)> {
        let one = |text: &str| match text.trim().to_ascii_lowercase().as_str() {
            "simple" => Some(Self::Simple),
            "relaxed" => Some(Self::Relaxed),
            _ => None,
        };
        match text.split_once('/') {
            Some((header, body)) => Some((one(header)?, one(body)?)),
            None => Some((one(text)?, Self::Simple)),
        }
    }

    /// Appends a field; `raw` is the whole field, `name` and `value` its parts.
    pub(crate) fn field(self, raw: &[u8], name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Simple => out.extend_from_slice(raw),
            Self::Relaxed => {
                out.extend(name.iter().map(u8::to_ascii_lowercase));
                out.push(b':');
                let mut space = false;
                let start = out.len();
                for &byte in value {
                    match byte {
                        b' ' | b'\t' => space = true,
                        b'\r' | b'\n' => {}
                        byte => {
                            if space && out.len() > start {
                                out.push(b' ');
                            }
                            space = false;
                            out.push(byte);
                        }
                    }
                }
                out.extend_from_slice(b"\r\n");
            }
        }
    }
}

/// The hash of a body in one form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyHash {
    pub digest: Digest,
    /// Octets in that form.
    pub length: u64,
}

/// The hashes of a body in the forms that are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BodyHashes {
    pub simple: Option<BodyHash>,
    pub relaxed: Option<BodyHash>,
}

impl BodyHashes {
    pub(crate) const fn get(&self, form: Form) -> Option<BodyHash> {
        match form {
            Form::Simple => self.simple,
            Form::Relaxed => self.relaxed,
        }
    }
}

/// Hashes a body in up to two forms at once.
pub(crate) struct BodyHasher {
    simple: Option<Body>,
    relaxed: Option<Body>,
}

impl BodyHasher {
    pub(crate) fn new(simple: bool, relaxed: bool) -> Self {
        Self { simple: simple.then(Body::new), relaxed: relaxed.then(Body::new) }
    }

    /// Whether no form is wanted.
    pub(crate) const fn is_idle(&self) -> bool {
        self.simple.is_none() && self.relaxed.is_none()
    }

    pub(crate) fn update(&mut self, text: &[u8]) {
        if let Some(body) = &mut self.simple {
            body.simple(text);
        }
        if let Some(body) = &mut self.relaxed {
            body.relaxed(text);
        }
    }

    pub(crate) fn finish(self) -> BodyHashes {
        BodyHashes {
            simple: self.simple.map(|body| body.finish(Form::Simple)),
            relaxed: self.relaxed.map(|body| body.finish(Form::Relaxed)),
        }
    }
}

/// One form's state.
struct Body {
    hash: Context,
    gathered: Vec<u8>,
    length: u64,
    /// Line ends since the last octet that counts: they count when another follows (§3.4.3).
    line_ends: u64,
    /// The last octet was CR, and whether it begins a line end is not known.
    cr: bool,
    /// White space since the last octet that counts, in this line.
    space: bool,
}

impl Body {
    fn new() -> Self {
        Self {
            hash: Context::new(&SHA256),
            gathered: Vec::with_capacity(GATHERED + 256),
            length: 0,
            line_ends: 0,
            cr: false,
            space: false,
        }
    }

    fn simple(&mut self, mut text: &[u8]) {
        while let Some(&first) = text.first() {
            if self.cr {
                text = self.after_cr(first, text);
                continue;
            }
            match memchr(b'\r', text) {
                Some(0) => {
                    self.cr = true;
                    text = &text[1..];
                }
                found => {
                    let (run, rest) = text.split_at(found.unwrap_or(text.len()));
                    self.signed(run);
                    text = rest;
                }
            }
        }
    }

    fn relaxed(&mut self, mut text: &[u8]) {
        while let Some(&first) = text.first() {
            if self.cr {
                text = self.after_cr(first, text);
                continue;
            }
            match first {
                b' ' | b'\t' => {
                    self.space = true;
                    text = &text[1..];
                }
                b'\r' => {
                    self.cr = true;
                    text = &text[1..];
                }
                _ => {
                    let end = memchr3(b' ', b'\t', b'\r', text).unwrap_or(text.len());
                    let (run, rest) = text.split_at(end);
                    self.signed(run);
                    text = rest;
                }
            }
        }
    }

    /// Decides about a CR by what follows it.
    fn after_cr<'a>(&mut self, next: u8, text: &'a [u8]) -> &'a [u8] {
        self.cr = false;
        if next == b'\n' {
            // §3.4.4: white space at the end of a line does not count.
            self.space = false;
            self.line_ends += 1;
            return &text[1..];
        }
        self.signed(b"\r");
        text
    }

    /// Octets that count, and so does what was put off before them.
    fn signed(&mut self, run: &[u8]) {
        while self.line_ends > 0 {
            self.line_ends -= 1;
            self.put(b"\r\n");
        }
        if self.space {
            self.space = false;
            self.put(b" ");
        }
        self.put(run);
    }

    fn put(&mut self, text: &[u8]) {
        self.length += text.len() as u64;
        if self.gathered.len() + text.len() > GATHERED {
            self.hash.update(&self.gathered);
            self.gathered.clear();
        }
        if text.len() > GATHERED {
            self.hash.update(text);
        } else {
            self.gathered.extend_from_slice(text);
        }
    }

    fn finish(mut self, form: Form) -> BodyHash {
        if self.cr {
            self.signed(b"\r");
        }
        // §3.4.3: a body in simple form has at least a line end; §3.4.4: an empty one in relaxed form has not.
        if form == Form::Simple || self.length > 0 {
            self.put(b"\r\n");
        }
        self.hash.update(&self.gathered);
        BodyHash { digest: self.hash.finish(), length: self.length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(text: &[u8], piece: usize) -> BodyHashes {
        let mut hasher = BodyHasher::new(true, true);
        for piece in text.chunks(piece.max(1)) {
            hasher.update(piece);
        }
        hasher.finish()
    }

    fn is(hash: Option<BodyHash>, text: &[u8]) -> bool {
        hash.is_some_and(|hash| {
            hash.digest.as_ref() == ring::digest::digest(&SHA256, text).as_ref()
                && hash.length == text.len() as u64
        })
    }

    /// RFC 6376 §3.4.5.
    #[test]
    fn the_examples_of_the_rfc_canonicalise_as_printed_there() {
        let body = b" C \r\nD \t E\r\n\r\n\r\n";
        for piece in 1..=body.len() {
            let hashes = hashes(body, piece);
            assert!(is(hashes.relaxed, b" C\r\nD E\r\n"), "{piece}");
            assert!(is(hashes.simple, b" C \r\nD \t E\r\n"), "{piece}");
        }
        let mut relaxed = Vec::new();
        Form::Relaxed.field(b"", b"A", b" X\r\n", &mut relaxed);
        Form::Relaxed.field(b"", b"B", b"\t Y\t\r\n\tZ  \r\n", &mut relaxed);
        assert_eq!(relaxed, b"a:X\r\nb:Y Z\r\n");
    }

    #[test]
    fn nothing_and_white_space_alone_have_their_forms() {
        for body in [&b""[..], b"\r\n", b"\r\n\r\n"] {
            let hashes = hashes(body, 1);
            assert!(is(hashes.simple, b"\r\n") && is(hashes.relaxed, b""), "{body:?}");
        }
        assert!(is(hashes(b" \t\r\n \r\n", 2).relaxed, b""));
        assert!(is(hashes(b"a", 1).relaxed, b"a\r\n") && is(hashes(b"a", 1).simple, b"a\r\n"));
    }

    #[test]
    fn a_bare_cr_is_no_line_end() {
        assert!(is(hashes(b"a\r\rb\r", 1).simple, b"a\r\rb\r\r\n"));
        assert!(is(hashes(b"a\nb\r\n", 1).simple, b"a\nb\r\n"));
    }

    proptest::proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same_hash(
            parts in proptest::collection::vec(proptest::sample::select(vec!["\r\n", "\r", "\n", " ", "\t", "a", "bc"]), 0..60),
            piece in 1usize..9,
        ) {
            let text = parts.concat();
            let (whole, pieces) = (hashes(text.as_bytes(), usize::MAX), hashes(text.as_bytes(), piece));
            for form in [Form::Simple, Form::Relaxed] {
                let [whole, pieces] = [&whole, &pieces].map(|hashes| hashes.get(form).map(|hash| (hash.digest.as_ref().to_vec(), hash.length)));
                proptest::prop_assert_eq!(whole, pieces);
            }
        }
    }
}

//! The hash of a body in the relaxed form (RFC 6376 §3.4.4), taken as the octets come: the memory is the same for every size.

use ring::digest::{Context, Digest, SHA256};
use std::fmt;

/// Ends of lines that are hashed at once.
const LINE_ENDS: &[u8] = &{
    let mut octets = [b'\r'; 2048];
    let mut at = 1;
    while at < octets.len() {
        octets[at] = b'\n';
        at += 2;
    }
    octets
};

/// A body that is being hashed.
pub(crate) struct BodyHash {
    context: Context,
    /// Ends of lines that count only if something follows them.
    line_ends: usize,
    /// Spaces and tabs that count, as one, only if something follows them in the line.
    space: bool,
    /// A CR that may be the first half of an end of line.
    cr: bool,
    /// Something has been hashed.
    begun: bool,
}

impl fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyHash")
    }
}

impl BodyHash {
    pub(crate) fn new() -> Self {
        Self { context: Context::new(&SHA256), line_ends: 0, space: false, cr: false, begun: false }
    }

    /// Takes the next part.
    pub(crate) fn push(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while let Some((&first, behind)) = rest.split_first() {
            if std::mem::take(&mut self.cr) {
                if first == b'\n' {
                    // Space before the end of a line does not count.
                    self.space = false;
                    self.line_ends = self.line_ends.saturating_add(1);
                    rest = behind;
                    continue;
                }
                // A bare CR, which only a binary text has, is an octet like others.
                self.text(b"\r");
            }
            match first {
                b'\r' => {
                    self.cr = true;
                    rest = behind;
                }
                b' ' | b'\t' => {
                    self.space = true;
                    rest = behind;
                }
                _ => {
                    let end = memchr::memchr3(b'\r', b' ', b'\t', rest).unwrap_or(rest.len());
                    let (text, behind) = rest.split_at(end);
                    self.text(text);
                    rest = behind;
                }
            }
        }
    }

    /// The hash. A body ends with one CR LF, unless nothing is in it.
    pub(crate) fn finish(mut self) -> Digest {
        if self.cr {
            self.text(b"\r");
        }
        if self.begun {
            self.context.update(b"\r\n");
        }
        self.context.finish()
    }

    fn text(&mut self, text: &[u8]) {
        let mut ends = std::mem::take(&mut self.line_ends).saturating_mul(2);
        while ends > 0 {
            let now = ends.min(LINE_ENDS.len());
            self.context.update(LINE_ENDS.get(..now).unwrap_or_default());
            ends -= now;
        }
        if std::mem::take(&mut self.space) {
            self.context.update(b" ");
        }
        self.context.update(text);
        self.begun = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same by the letter of RFC 6376 §3.4.4, on the whole body.
    fn plainly(body: &str) -> String {
        let mut lines: Vec<String> = body
            .split("\r\n")
            .map(|line| {
                let mut out = String::new();
                let mut space = false;
                for c in line.chars() {
                    if c == ' ' || c == '\t' {
                        space = true;
                        continue;
                    }
                    if std::mem::take(&mut space) {
                        out.push(' ');
                    }
                    out.push(c);
                }
                out
            })
            .collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect()
    }

    fn hash(parts: &[&str]) -> Vec<u8> {
        let mut hash = BodyHash::new();
        for part in parts {
            hash.push(part.as_bytes());
        }
        hash.finish().as_ref().to_vec()
    }

    #[test]
    fn the_example_of_the_rfc_is_hashed_as_it_says() {
        // RFC 6376 §3.4.5.
        let expected = ring::digest::digest(&SHA256, b" C\r\nD E\r\n");
        assert_eq!(hash(&[" C \r\nD \t E\r\n\r\n\r\n"]), expected.as_ref());
        // RFC 6376 §3.4.4: the hash of an empty body.
        let empty = ring::digest::digest(&SHA256, b"");
        assert_eq!(hash(&["\r\n \t\r\n"]), empty.as_ref());
    }

    #[test]
    fn many_empty_lines_are_counted_and_not_kept() {
        let body = format!("a{}b", "\r\n".repeat(5000));
        let expected = ring::digest::digest(&SHA256, format!("{body}\r\n").as_bytes());
        assert_eq!(hash(&[&body]), expected.as_ref());
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_hash_is_that_of_the_relaxed_form(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec!["\r\n", "\r", " ", "\t", "a", "ñ", "\n"]), 0..40),
            cut in 0usize..60,
        ) {
            let body = pieces.concat();
            let expected = ring::digest::digest(&SHA256, plainly(&body).as_bytes());
            let mut hash = BodyHash::new();
            let cut = cut.min(body.len());
            hash.push(&body.as_bytes()[..cut]);
            hash.push(&body.as_bytes()[cut..]);
            prop_assert_eq!(hash.finish().as_ref().to_vec(), expected.as_ref().to_vec());
        }
    }
}

//! Message text as DATA wants it (RFC 5321 §4.5.2).

/// Doubles the dots that begin lines, and ends the text: octets in, octets out, in parts of any size.
///
/// A bare CR or LF becomes CR LF: a client must not send one (RFC 5321 §2.3.8), and a dot behind it would be the end of the
/// message to some servers and not to others.
#[derive(Clone, Debug)]
pub struct DotStuffer {
    line_start: bool,
    /// The last octet was CR, which is not written yet.
    cr: bool,
}

impl Default for DotStuffer {
    fn default() -> Self {
        Self { line_start: true, cr: false }
    }
}

impl DotStuffer {
    /// At the start of a message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `text` to `out` as it goes over the wire.
    pub fn push(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let mut rest = text;
        if self.cr && !rest.is_empty() {
            self.end_line(out);
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(&first) = rest.first() {
            if self.line_start && first == b'.' {
                out.push(b'.');
            }
            let Some(at) = memchr::memchr2(b'\r', b'\n', rest) else {
                out.extend_from_slice(rest);
                self.line_start = false;
                return;
            };
            let (line, end) = rest.split_at(at);
            out.extend_from_slice(line);
            if end == b"\r" {
                self.cr = true;
                return;
            }
            self.end_line(out);
            rest = end.strip_prefix(b"\r\n").or_else(|| end.get(1..)).unwrap_or_default();
        }
    }

    /// Appends the end of the text, with the end of its last line where that is missing, and is ready for another message.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.cr || !self.line_start {
            self.end_line(out);
        }
        out.extend_from_slice(b".\r\n");
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        self.line_start = true;
        self.cr = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{BareOctets, Piece, Scanner};
    use proptest::prelude::*;

    fn stuffed(text: &[u8], chunk: usize) -> Vec<u8> {
        let (mut stuffer, mut out) = (DotStuffer::new(), Vec::new());
        text.chunks(chunk).for_each(|part| stuffer.push(part, &mut out));
        stuffer.finish(&mut out);
        out
    }

    #[test]
    fn dots_are_doubled_and_lines_ended_at_every_cut() {
        for chunk in 1..30 {
            for (text, wire) in [
                (&b""[..], &b".\r\n"[..]),
                (b".", b"..\r\n.\r\n"),
                (b".\r\n", b"..\r\n.\r\n"),
                (b"a.\r\n..b\r\nc", b"a.\r\n...b\r\nc\r\n.\r\n"),
                (b"\r\n.\r\nQUIT\r\n", b"\r\n..\r\nQUIT\r\n.\r\n"),
                (b"a\n.\nb\r.\r", b"a\r\n..\r\nb\r\n..\r\n.\r\n"),
                (b"\r\r\n\n", b"\r\n\r\n\r\n.\r\n"),
            ] {
                assert_eq!(stuffed(text, chunk), wire, "{text:?} {chunk}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_server_reads_what_was_sent(
            text in proptest::collection::vec(
                prop_oneof![Just(b'.'), Just(b'\r'), Just(b'\n'), Just(b'a')], 0..60),
            chunk in 1_usize..20,
        ) {
            let wire = stuffed(&text, chunk);
            let mut scanner = Scanner::new(BareOctets::Refuse, None);
            let (mut read, mut rest) = (Vec::new(), &wire[..]);
            let ended = loop {
                let (used, piece) = scanner.stuffed(rest);
                rest = &rest[used..];
                match piece {
                    Piece::Text(octets) => read.extend_from_slice(octets),
                    Piece::End => break true,
                    Piece::More => break false,
                }
            };
            prop_assert!(ended && rest.is_empty() && scanner.flaw().is_none());
            let text = String::from_utf8(text).unwrap();
            let mut lines = text.replace("\r\n", "\n").replace('\r', "\n");
            if !lines.is_empty() && !lines.ends_with('\n') {
                lines.push('\n');
            }
            prop_assert_eq!(String::from_utf8(read).unwrap(), lines.replace('\n', "\r\n"));
        }
    }
}

/// Makes a message's octets into a multi-line reply as they pass, chunk by chunk (RFC 1939 §3).
///
/// A dot at the start of a line is doubled. A lone LF becomes CRLF: a file that another program put in the Maildir may
/// have Unix line ends, and readers disagree on whether a lone LF starts a line, so that `LF . CR LF` inside a message
/// could end it early for some of them.
#[derive(Debug, Clone, Copy)]
pub struct DotStuffer {
    last: u8,
}

/// Passes a message's header, the blank line and the first lines of its body (`TOP`, RFC 1939 §7).
#[derive(Debug, Clone, Copy)]
pub struct TopCutter {
    in_body: bool,
    /// Body lines still to pass.
    lines: u32,
    /// Nothing but an optional CR since the last line end.
    blank: bool,
}

impl Default for DotStuffer {
    fn default() -> Self {
        Self { last: b'\n' }
    }
}

impl DotStuffer {
    /// Appends `chunk`, stuffed, to `out`: at most two octets for each of the chunk's.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        out.reserve(chunk.len() + chunk.len() / 32);
        for line in chunk.split_inclusive(|&octet| octet == b'\n') {
            if self.last == b'\n' && line[0] == b'.' {
                out.push(b'.');
            }
            match line.strip_suffix(b"\n") {
                Some(text) => {
                    out.extend_from_slice(text);
                    if text.last().copied().unwrap_or(self.last) != b'\r' {
                        out.push(b'\r');
                    }
                    out.push(b'\n');
                    self.last = b'\n';
                }
                None => {
                    out.extend_from_slice(line);
                    self.last = line[line.len() - 1];
                }
            }
        }
    }

    /// Appends the end: a line end if the message has none, and the dot.
    pub fn finish(self, out: &mut Vec<u8>) {
        match self.last {
            b'\n' => {}
            b'\r' => out.push(b'\n'),
            _ => out.extend_from_slice(b"\r\n"),
        }
        out.extend_from_slice(b".\r\n");
    }
}

impl TopCutter {
    /// For the header and `lines` lines of the body.
    #[must_use]
    pub fn new(lines: u32) -> Self {
        Self { in_body: false, lines, blank: true }
    }

    /// The part of `chunk` to pass on. Shorter than the chunk when the last wanted line ends inside.
    pub fn cut<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let mut passed = 0;
        for line in chunk.split_inclusive(|&octet| octet == b'\n') {
            if self.is_done() {
                break;
            }
            passed += line.len();
            let text = line.strip_suffix(b"\n");
            let content = text.unwrap_or(line);
            self.blank = self.blank && (content.is_empty() || content == b"\r");
            if text.is_some() {
                if self.in_body {
                    self.lines -= 1;
                } else if self.blank {
                    self.in_body = true;
                }
                self.blank = true;
            }
        }
        &chunk[..passed]
    }

    /// Whether everything wanted has passed.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.in_body && self.lines == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stuff(message: &[u8], chunk: usize) -> Vec<u8> {
        let mut stuffer = DotStuffer::default();
        let mut out = Vec::new();
        for part in message.chunks(chunk.max(1)) {
            stuffer.push(part, &mut out);
        }
        stuffer.finish(&mut out);
        out
    }

    /// What a client makes of it.
    fn unstuff(reply: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        for line in reply.split_inclusive(|&octet| octet == b'\n') {
            if line == b".\r\n" {
                break;
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
        message
    }

    #[test]
    fn dots_are_doubled_and_the_end_is_marked() {
        assert_eq!(stuff(b"a\r\n.\r\n..b\r\n", 100), b"a\r\n..\r\n...b\r\n.\r\n");
        assert_eq!(stuff(b"", 1), b".\r\n");
        assert_eq!(stuff(b"no end", 2), b"no end\r\n.\r\n");
        assert_eq!(stuff(b"odd end\r", 2), b"odd end\r\n.\r\n");
    }

    #[test]
    fn a_lone_line_feed_cannot_end_a_message_early() {
        assert_eq!(stuff(b"a\n.\nb\n", 1), b"a\r\n..\r\nb\r\n.\r\n");
    }

    #[test]
    fn top_passes_the_header_the_blank_line_and_the_lines_asked_for() {
        let message = b"A: 1\r\nB: 2\r\n\r\none\r\ntwo\r\nthree\r\n";
        let top = |lines, chunk| {
            let mut cutter = TopCutter::new(lines);
            message.chunks(chunk).flat_map(|part| cutter.cut(part).to_vec()).collect::<Vec<u8>>()
        };
        for chunk in [1, 2, 3, 7, 100] {
            assert_eq!(top(0, chunk), b"A: 1\r\nB: 2\r\n\r\n");
            assert_eq!(top(2, chunk), b"A: 1\r\nB: 2\r\n\r\none\r\ntwo\r\n");
            assert_eq!(top(9, chunk), message);
        }
    }

    proptest! {
        #[test]
        fn a_client_gets_back_what_was_stored(
            lines in prop::collection::vec("[.a ]{0,5}", 0..20), chunk in 1_usize..9,
        ) {
            let message = lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect::<Vec<u8>>();
            prop_assert_eq!(unstuff(&stuff(&message, chunk)), message);
        }

        #[test]
        fn the_chunks_make_no_difference(message in prop::collection::vec(
            prop::sample::select(vec![b'.', b'\r', b'\n', b'x']), 0..40), chunk in 1_usize..9,
        ) {
            prop_assert_eq!(stuff(&message, chunk), stuff(&message, 1000));
            prop_assert!(stuff(&message, chunk).ends_with(b".\r\n"));
        }
    }
}

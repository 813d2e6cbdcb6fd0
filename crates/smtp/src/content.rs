//! Message text on the wire: the end of DATA, dot-stuffing, and octets that no message may hold.
//!
//! Text is scanned for CR, LF and NUL at once by `memchr3` and handed on as slices of the input as long as possible: a
//! slice is cut only where a stuffed dot is taken out.

use crate::reply::{Reply, replies};

/// What to do with a message that holds a bare CR, a bare LF or a NUL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BareOctets {
    /// Read it to its real end, refuse it with 550 5.6.11 and end the session.
    #[default]
    Refuse,
    /// Hand it on as it is. For links between our own roles.
    Accept,
}

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Bare CR, bare LF or NUL.
    BareOctet,
    /// A line over the limit.
    LineTooLong,
}

impl Flaw {
    pub(crate) const fn reply(self) -> Reply {
        match self {
            Self::BareOctet => replies::BARE_OCTETS,
            Self::LineTooLong => replies::TEXT_LINE_TOO_LONG,
        }
    }
}

/// Where in a line the next octet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Behind CR LF, or at the very start.
    LineStart,
    /// Inside a line.
    Line,
    /// Behind a CR inside a line.
    Cr,
    /// Behind a dot at the start of a line; the dot is withheld.
    Dot,
    /// Behind dot and CR at the start of a line; both are withheld.
    DotCr,
}

/// Reads the text of one message across any number of inputs.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    place: Place,
    /// Octets of the present line that were in earlier inputs, kept when lines have a limit.
    line: usize,
    longest: Option<usize>,
    bare: BareOctets,
    flaw: Option<Flaw>,
}

/// What [`Scanner::stuffed`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Text of the message.
    Text(&'a [u8]),
    /// The end of the message.
    End,
    /// All input is used.
    More,
}

impl Scanner {
    pub(crate) fn new(bare: BareOctets, longest: Option<usize>) -> Self {
        Self { place: Place::LineStart, line: 0, longest, bare, flaw: None }
    }

    /// The first thing that was wrong with the text so far.
    pub(crate) fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    /// Scans text of DATA: the octets used, and what they are.
    pub(crate) fn stuffed<'a>(&mut self, input: &'a [u8]) -> (usize, Piece<'a>) {
        let mut start = 0;
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.place {
                Place::LineStart if byte == b'.' => {
                    self.place = Place::Dot;
                    if at > start {
                        return (at + 1, Piece::Text(&input[start..at]));
                    }
                    at += 1;
                    start = at;
                }
                Place::Dot if byte == b'\r' => {
                    self.place = Place::DotCr;
                    at += 1;
                    start = at;
                }
                // RFC 5321 §4.5.2: a dot that does not stand alone on its line is taken out.
                Place::Dot => self.place = Place::Line,
                Place::DotCr if byte == b'\n' => return (at + 1, Piece::End),
                Place::DotCr => {
                    // CR LF . CR without LF: the dot was stuffing and the CR is a bare one, which is text.
                    self.found(Flaw::BareOctet);
                    self.place = Place::Line;
                    return (at, Piece::Text(b"\r"));
                }
                Place::LineStart | Place::Line | Place::Cr => at = self.line(input, at),
            }
        }
        if at > start { (at, Piece::Text(&input[start..at])) } else { (at, Piece::More) }
    }

    /// Scans text of BDAT, which has no dots and no end of its own.
    pub(crate) fn counted(&mut self, input: &[u8]) {
        let mut at = 0;
        while at < input.len() {
            at = self.line(input, at);
        }
    }

    /// The text of BDAT is complete.
    pub(crate) fn finish(&mut self) {
        if self.place == Place::Cr {
            self.found(Flaw::BareOctet);
        }
    }

    /// Scans from `at` to the end of a line, to something that needs a look, or to the end of the input.
    fn line(&mut self, input: &[u8], mut at: usize) -> usize {
        let begin = at;
        if self.place == Place::Cr {
            if input[at] == b'\n' {
                self.place = Place::LineStart;
                self.measure(1);
                self.line = 0;
                return at + 1;
            }
            self.found(Flaw::BareOctet);
        }
        self.place = Place::Line;
        loop {
            let Some(found) = memchr::memchr3(b'\r', b'\n', 0, &input[at..]) else {
                self.measure(input.len() - begin);
                return input.len();
            };
            at += found + 1;
            if input[at - 1] == b'\r' {
                match input.get(at) {
                    Some(b'\n') => {
                        self.place = Place::LineStart;
                        self.measure(at + 1 - begin);
                        self.line = 0;
                        return at + 1;
                    }
                    Some(_) => {}
                    None => {
                        self.place = Place::Cr;
                        self.measure(at - begin);
                        return at;
                    }
                }
            }
            self.found(Flaw::BareOctet);
        }
    }

    fn measure(&mut self, octets: usize) {
        if let Some(longest) = self.longest {
            self.line = self.line.saturating_add(octets);
            if self.line > longest {
                self.found(Flaw::LineTooLong);
            }
        }
    }

    fn found(&mut self, flaw: Flaw) {
        if flaw == Flaw::BareOctet && self.bare == BareOctets::Accept {
            return;
        }
        self.flaw.get_or_insert(flaw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Text, whether the end was found, flaw, unused input.
    fn scan(input: &[u8], chunk: usize) -> (Vec<u8>, bool, Option<Flaw>, usize) {
        let mut scanner = Scanner::new(BareOctets::Refuse, None);
        let mut text = Vec::new();
        let mut used = 0;
        while used < input.len() {
            let end = (used + chunk).min(input.len());
            let mut part = &input[used..end];
            loop {
                let (octets, piece) = scanner.stuffed(part);
                used += octets;
                part = &part[octets..];
                match piece {
                    Piece::Text(octets) => text.extend_from_slice(octets),
                    Piece::End => return (text, true, scanner.flaw(), input.len() - used),
                    Piece::More => break,
                }
            }
        }
        (text, false, scanner.flaw(), 0)
    }

    /// RFC 5321 §4.5.2, written as plainly as possible.
    fn plain(input: &[u8]) -> (Vec<u8>, bool) {
        let mut text = Vec::new();
        let mut rest = input;
        let mut start = true;
        while !rest.is_empty() {
            if start && rest.starts_with(b".\r\n") {
                return (text, true);
            }
            if start && rest[0] == b'.' {
                rest = &rest[1..];
                start = false;
                continue;
            }
            start = rest.starts_with(b"\r\n");
            let octets = if start { 2 } else { 1 };
            text.extend_from_slice(&rest[..octets]);
            rest = &rest[octets..];
        }
        (text, false)
    }

    #[test]
    fn dots_are_unstuffed_and_the_end_is_found_at_every_cut() {
        let input = b"..a\r\n.b\r\nc.\r\n...\r\n\r\n.\r\nQUIT\r\n";
        for chunk in 1..=input.len() {
            let (text, end, flaw, rest) = scan(input, chunk);
            assert_eq!(
                (text.as_slice(), end, flaw, rest),
                (&b".a\r\nb\r\nc.\r\n..\r\n\r\n"[..], true, None, 6),
                "{chunk}"
            );
        }
        assert_eq!(scan(b".\r\n", 1), (Vec::new(), true, None, 0));
    }

    #[test]
    fn slices_are_as_long_as_the_input() {
        let mut scanner = Scanner::new(BareOctets::Refuse, None);
        let input = b"one\r\ntwo\r\nthree";
        assert_eq!(scanner.stuffed(input), (input.len(), Piece::Text(input)));
    }

    #[test]
    fn a_line_over_the_limit_is_a_flaw_whatever_the_cuts() {
        for chunk in 1..12 {
            for (text, flaw) in [(&b"12345678\r\n"[..], None), (b"123456789\r\n", Some(Flaw::LineTooLong))] {
                let mut scanner = Scanner::new(BareOctets::Refuse, Some(10));
                text.chunks(chunk).for_each(|part| scanner.counted(part));
                assert_eq!(scanner.flaw(), flaw, "{chunk}");
            }
        }
    }

    #[test]
    fn a_chunked_message_that_ends_with_cr_is_flawed() {
        let mut scanner = Scanner::new(BareOctets::Refuse, None);
        scanner.counted(b"a\r");
        assert_eq!(scanner.flaw(), None);
        scanner.finish();
        assert_eq!(scanner.flaw(), Some(Flaw::BareOctet));
    }

    proptest! {
        #[test]
        fn scanning_agrees_with_the_plain_reading(
            input in proptest::collection::vec(
                prop_oneof![Just(b'.'), Just(b'\r'), Just(b'\n'), Just(b'a'), Just(0)], 0..60),
            breaks in any::<bool>(), chunk in 1_usize..20,
        ) {
            // Half of the inputs get real line ends, so that ends of messages occur often.
            let input: Vec<u8> = if breaks {
                input.iter().flat_map(|&b| if b == b'\n' { b"\r\n".to_vec() } else { vec![b] }).collect()
            } else {
                input
            };
            let (text, end, flaw, _) = scan(&input, chunk);
            let (mut expected, expected_end) = plain(&input);
            if !expected_end {
                // What may yet become the end is withheld.
                for withheld in [&b"\r"[..], b""] {
                    if expected.len() == text.len() + withheld.len() && expected.ends_with(withheld) {
                        expected.truncate(text.len());
                    }
                }
            }
            prop_assert_eq!(&text, &expected);
            prop_assert_eq!(end, expected_end);
            let mut clean = text.clone();
            if clean.last() == Some(&b'\r') && !end { clean.pop(); }
            let stripped = String::from_utf8_lossy(&clean).replace("\r\n", "");
            if flaw.is_none() {
                prop_assert!(!stripped.contains(['\r', '\n', '\0']), "{:?}", stripped);
            } else {
                prop_assert!(stripped.contains(['\r', '\n', '\0']), "{:?}", stripped);
            }
        }
    }
}

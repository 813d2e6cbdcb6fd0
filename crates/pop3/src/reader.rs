use crate::command::{Command, CommandError};
use crate::limits::Limits;

/// Cuts what arrives into lines, and lines into commands.
///
/// The driver reads into [`Reader::buffer_mut`] at most [`Reader::space`] octets at a time (or calls
/// [`Reader::feed`]), then takes lines out until there is none. Whatever was not taken yet is kept, so a pipelining
/// client (RFC 2449 §6.6) needs nothing special. When the last octet has been taken the memory is given back.
///
/// A line ends with CRLF; a lone LF is accepted as well, as every server does.
#[derive(Debug)]
pub struct Reader {
    buffer: Vec<u8>,
    /// Octets at the front of `buffer` that were taken already.
    taken: usize,
    /// Octets at the front of `buffer` known to hold no LF after `taken`.
    searched: usize,
    /// The line being received is over its limit: throw it away up to its end.
    discarding: bool,
    limits: Limits,
}

/// A line was longer than its limit; the whole of it has been thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line longer than {limit} octets")]
pub struct LineTooLong {
    /// The limit in octets.
    pub limit: usize,
}

impl Reader {
    /// An empty reader, which holds no memory.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { buffer: Vec::new(), taken: 0, searched: 0, discarding: false, limits }
    }

    /// The limits given to [`Reader::new`].
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How many octets may be appended now. Never zero after [`Reader::next_line`] returned `None`.
    #[must_use]
    pub fn space(&self) -> usize {
        self.limits.buffered().saturating_sub(self.buffer.len() - self.taken)
    }

    /// Where to append what was read from the connection: at most [`Reader::space`] octets.
    pub fn buffer_mut(&mut self) -> &mut Vec<u8> {
        self.compact();
        &mut self.buffer
    }

    /// Appends as much of `bytes` as there is space for and returns how much that was.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.space());
        self.buffer_mut().extend_from_slice(&bytes[..count]);
        count
    }

    /// Octets received and not yet taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len() - self.taken
    }

    /// Whether nothing is waiting to be taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes everything not yet taken: after log-in a proxy passes these octets to the storage node.
    #[must_use]
    pub fn take_rest(&mut self) -> Vec<u8> {
        self.compact();
        self.searched = 0;
        std::mem::take(&mut self.buffer)
    }

    /// The next line without its line end, or `None` until one is complete.
    ///
    /// `limit` is that of the line expected here (a command or a SASL answer).
    pub fn next_line(&mut self, limit: usize) -> Option<Result<Vec<u8>, LineTooLong>> {
        let from = self.searched.max(self.taken);
        let Some(at) = self.buffer[from..].iter().position(|&octet| octet == b'\n') else {
            self.searched = self.buffer.len();
            // One octet more than the limit may still be the CR of the line end.
            if self.discarding || self.len() > limit.saturating_add(1) || self.space() == 0 {
                self.discarding = true;
                self.release();
            }
            return None;
        };
        let end = from + at;
        let line = &self.buffer[self.taken..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let result = if self.discarding || line.len() > limit {
            Err(LineTooLong { limit })
        } else {
            Ok(line.to_vec())
        };
        self.discarding = false;
        self.taken = end + 1;
        self.searched = self.taken;
        if self.is_empty() {
            self.release();
        }
        Some(result)
    }

    /// The next command, or `None` until its line is complete.
    pub fn next_command(&mut self) -> Option<Result<Command, CommandError>> {
        let line = self.next_line(self.limits.command)?;
        Some(line.map_err(CommandError::from).and_then(|line| Command::parse(&line)))
    }

    fn compact(&mut self) {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.searched -= self.taken.min(self.searched);
            self.taken = 0;
        }
    }

    fn release(&mut self) {
        self.buffer = Vec::new();
        self.taken = 0;
        self.searched = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reader(command: usize) -> Reader {
        Reader::new(Limits { command, sasl: 8, errors: 3 })
    }

    #[test]
    fn lines_are_cut_wherever_the_chunks_end() {
        let mut reader = reader(16);
        assert_eq!(reader.feed(b"NO"), 2);
        assert!(reader.next_line(16).is_none());
        assert_eq!(reader.feed(b"OP\r\nSTAT\nQ"), 10);
        assert_eq!(reader.next_line(16), Some(Ok(b"NOOP".to_vec())));
        assert_eq!(reader.next_line(16), Some(Ok(b"STAT".to_vec())));
        assert!(reader.next_line(16).is_none());
        assert_eq!(reader.take_rest(), b"Q");
        assert!(reader.is_empty());
    }

    #[test]
    fn a_line_over_the_limit_is_thrown_away_whole_and_reported_once() {
        let mut reader = reader(8);
        let mut input: &[u8] = &[b'x'; 1000];
        while !input.is_empty() {
            let count = reader.feed(input);
            assert!(count > 0);
            input = &input[count..];
            assert!(reader.next_line(8).is_none());
            assert!(reader.len() <= 10);
        }
        reader.feed(b"\r\nNOOP\r\n");
        assert_eq!(reader.next_line(8), Some(Err(LineTooLong { limit: 8 })));
        assert_eq!(reader.next_line(8), Some(Ok(b"NOOP".to_vec())));
    }

    #[test]
    fn a_line_of_exactly_the_limit_passes_and_one_octet_more_does_not() {
        let mut reader = reader(8);
        reader.feed(b"12345678\r\n");
        assert_eq!(reader.next_line(8), Some(Ok(b"12345678".to_vec())));
        reader.feed(b"123456789\n");
        assert_eq!(reader.next_line(8), Some(Err(LineTooLong { limit: 8 })));
    }

    #[test]
    fn an_empty_reader_holds_no_memory() {
        let mut reader = reader(64);
        reader.feed(b"NOOP\r\n");
        assert!(reader.next_line(64).is_some());
        assert_eq!(reader.buffer.capacity(), 0);
    }

    proptest! {
        #[test]
        fn the_chunks_make_no_difference(
            text in "([A-Z]{0,9} ?[a-z]{0,9}\r?\n){0,9}[A-Z]{0,9}", chunks in prop::collection::vec(1_usize..9, 1..50),
        ) {
            let lines = |sizes: &[usize]| {
                let (mut reader, mut rest, mut lines) = (reader(12), text.as_bytes(), Vec::new());
                for size in sizes.iter().cycle() {
                    if rest.is_empty() {
                        break;
                    }
                    let count = reader.feed(&rest[..(*size).min(rest.len())]);
                    rest = &rest[count..];
                    lines.extend(std::iter::from_fn(|| reader.next_line(12)));
                }
                (lines, reader.take_rest())
            };
            prop_assert_eq!(lines(&chunks), lines(&[1000]));
        }
    }
}

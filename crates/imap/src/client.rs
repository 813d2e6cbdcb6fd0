//! What a server says, as far as a proxy reads it: the greeting, continuation requests, and replies to the commands with
//! which it logs in.

use std::borrow::Cow;

/// Cuts a server's bytes into responses. Literals within a response are kept, within the limit.
#[derive(Debug)]
pub struct ResponseReader {
    buffer: Vec<u8>,
    head: usize,
    /// Octets of the response in progress that are known to hold no more line end to look at.
    scanned: usize,
    limit: usize,
}

/// One response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// `+ text`
    Continue(Vec<u8>),
    /// `tag OK|NO|BAD …`
    Tagged {
        /// The tag.
        tag: String,
        /// What it says.
        status: Status,
    },
    /// `* OK|NO|BAD|PREAUTH|BYE …`: also the greeting.
    Status(Status),
    /// `* …` with anything else, without line end: capabilities, data.
    Data(Vec<u8>),
}

/// A status response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What happened.
    pub condition: crate::Condition,
    /// The response code, without brackets: `CAPABILITY IMAP4rev1 …`.
    pub code: Option<String>,
    /// Text for people.
    pub text: String,
}

/// Why a server is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// A response over the limit.
    #[error("response of the server is too long")]
    TooLong,
    /// Not a response of the grammar.
    #[error("response of the server is not IMAP")]
    Syntax,
}

impl ResponseReader {
    /// A reader that keeps at most `limit` octets of one response.
    pub fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), head: 0, scanned: 0, limit }
    }

    /// Where to append what was read.
    pub fn input(&mut self) -> &mut Vec<u8> {
        if self.head > 0 {
            self.buffer.drain(..self.head);
            self.head = 0;
        }
        &mut self.buffer
    }

    /// Takes what was read and not used.
    pub fn take_input(&mut self) -> Vec<u8> {
        self.scanned = 0;
        std::mem::take(self.input())
    }

    /// The next response; `None`: read more.
    pub fn next_response(&mut self) -> Result<Option<Response>, ResponseError> {
        loop {
            let pending = &self.buffer[self.head..];
            let Some(at) = pending.get(self.scanned..).and_then(|rest| rest.iter().position(|&b| b == b'\n'))
            else {
                return if pending.len() > self.limit { Err(ResponseError::TooLong) } else { Ok(None) };
            };
            let end = self.scanned + at + 1;
            if end > self.limit {
                return Err(ResponseError::TooLong);
            }
            let line = &pending[..end - 1];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Some(size) = literal(&line[self.scanned.min(line.len())..]) {
                let after = usize::try_from(size)
                    .ok()
                    .and_then(|size| end.checked_add(size))
                    .filter(|&n| n <= self.limit);
                let after = after.ok_or(ResponseError::TooLong)?;
                if pending.len() < after {
                    return Ok(None);
                }
                self.scanned = after;
                continue;
            }
            let response = response(line);
            self.head += end;
            self.scanned = 0;
            return response.map(Some);
        }
    }
}

fn response(line: &[u8]) -> Result<Response, ResponseError> {
    if let Some(rest) = line.strip_prefix(b"+") {
        return Ok(Response::Continue(rest.strip_prefix(b" ").unwrap_or(rest).to_vec()));
    }
    if let Some(rest) = line.strip_prefix(b"* ") {
        return Ok(status(rest).map_or_else(|| Response::Data(rest.to_vec()), Response::Status));
    }
    let space = line.iter().position(|&b| b == b' ').ok_or(ResponseError::Syntax)?;
    let tag = std::str::from_utf8(&line[..space]).map_err(|_| ResponseError::Syntax)?.to_owned();
    let status = status(&line[space + 1..]).ok_or(ResponseError::Syntax)?;
    if tag.is_empty() { Err(ResponseError::Syntax) } else { Ok(Response::Tagged { tag, status }) }
}

fn status(rest: &[u8]) -> Option<Status> {
    use crate::Condition::{Bad, Bye, No, Ok, PreAuth};
    let text = String::from_utf8_lossy(rest);
    let (word, text) = match text.split_once(' ') {
        Some((word, text)) => (word.to_owned(), text.to_owned()),
        None => (text.into_owned(), String::new()),
    };
    let condition =
        [Ok, No, Bad, PreAuth, Bye].into_iter().find(|c| c.as_str().eq_ignore_ascii_case(&word))?;
    let inside = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (code, text) = match inside {
        Some((code, text)) => (Some(code.to_owned()), text.strip_prefix(' ').unwrap_or(text).to_owned()),
        None => (None, text),
    };
    Some(Status { condition, code, text })
}

/// Size of the literal that ends a line, `{n}`.
fn literal(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"}")?;
    let at = line.iter().rposition(|&b| b == b'{')?;
    let digits = std::str::from_utf8(&line[at + 1..]).ok()?;
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// `AUTHENTICATE EXTERNAL` with its initial response (RFC 4959), the authorization identity in base64.
pub fn authenticate_external(tag: &str, identity: &str) -> Vec<u8> {
    use base64::Engine;
    let encoded = match identity {
        "" => Cow::Borrowed("="),
        identity => Cow::Owned(base64::engine::general_purpose::STANDARD.encode(identity)),
    };
    format!("{tag} AUTHENTICATE EXTERNAL {encoded}\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Condition;

    fn all(text: &[u8], step: usize) -> Vec<Response> {
        let mut reader = ResponseReader::new(1000);
        let mut found = Vec::new();
        for piece in text.chunks(step) {
            reader.input().extend_from_slice(piece);
            while let Some(response) = reader.next_response().unwrap() {
                found.push(response);
            }
        }
        found
    }

    #[test]
    fn greeting_and_log_in_are_understood_in_any_pieces() {
        let text = b"* OK [CAPABILITY IMAP4rev1] Hello\r\n* ID (\"name\" {3}\r\na\nb)\r\n+ \r\na1 NO [UNAVAILABLE] Later\r\na2 OK\r\n";
        for step in [1, 7, 1000] {
            let found = all(text, step);
            assert_eq!(found.len(), 5);
            assert_eq!(
                found[0],
                Response::Status(Status {
                    condition: Condition::Ok,
                    code: Some("CAPABILITY IMAP4rev1".into()),
                    text: "Hello".into()
                })
            );
            assert_eq!(found[1], Response::Data(b"ID (\"name\" {3}\r\na\nb)".to_vec()));
            assert_eq!(found[2], Response::Continue(vec![]));
            let status =
                Status { condition: Condition::No, code: Some("UNAVAILABLE".into()), text: "Later".into() };
            assert_eq!(found[3], Response::Tagged { tag: "a1".into(), status });
        }
    }

    #[test]
    fn endless_responses_are_refused() {
        let mut reader = ResponseReader::new(10);
        reader.input().extend_from_slice(b"* 0123456789");
        assert_eq!(reader.next_response(), Err(ResponseError::TooLong));
        let mut reader = ResponseReader::new(10);
        reader.input().extend_from_slice(b"* {99}\r\n");
        assert_eq!(reader.next_response(), Err(ResponseError::TooLong));
    }

    #[test]
    fn external_carries_the_identity() {
        assert_eq!(
            authenticate_external("p1", "ana@ejemplo.test"),
            b"p1 AUTHENTICATE EXTERNAL YW5hQGVqZW1wbG8udGVzdA==\r\n"
        );
    }
}

//! The client's side, as far as a proxy needs it: the greeting, one command, one status line at a time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::reader::{LineTooLong, Reader};
use crate::reply::{self, ResponseCode};

/// Longest line of a server that is read, in octets. RFC 2449 §4 allows 512 for a status line.
pub const REPLY_LINE: usize = 1024;

/// A status line: `+OK …` or `-ERR …` (RFC 1939 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `+OK`.
    pub ok: bool,
    /// The response code of a `-ERR`, where it is a known one (RFC 2449 §8).
    pub code: Option<ResponseCode>,
    /// The text, without the code.
    pub text: String,
}

/// Why a server's line is not a status line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The line was over [`REPLY_LINE`].
    #[error(transparent)]
    TooLong(#[from] LineTooLong),
    /// Neither `+OK` nor `-ERR`.
    #[error("expected +OK or -ERR")]
    NotAStatus,
}

impl Status {
    /// Parses one line without its line end.
    ///
    /// # Errors
    /// [`ReplyError::NotAStatus`].
    pub fn parse(line: &[u8]) -> Result<Self, ReplyError> {
        let line = String::from_utf8_lossy(line);
        let (word, text) = line.split_once(' ').unwrap_or((&line, ""));
        let ok = match word {
            "+OK" => true,
            "-ERR" => false,
            _ => return Err(ReplyError::NotAStatus),
        };
        let text = text.trim();
        if !ok && let Some((code, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
            return Ok(Self { ok, code: ResponseCode::parse(code), text: rest.trim().to_owned() });
        }
        Ok(Self { ok, code: None, text: text.to_owned() })
    }

    /// Appends the line again, to pass it on to a client.
    pub fn write(&self, out: &mut Vec<u8>) {
        match (self.ok, self.code) {
            (true, _) => reply::ok(out, &self.text),
            (false, Some(code)) => reply::err_code(out, code, &self.text),
            (false, None) => reply::err(out, &self.text),
        }
    }
}

/// The next status line (the greeting, or the reply to a command), or `None` until it is complete.
pub fn next_status(reader: &mut Reader) -> Option<Result<Status, ReplyError>> {
    let line = reader.next_line(REPLY_LINE)?;
    Some(line.map_err(ReplyError::from).and_then(|line| Status::parse(&line)))
}

/// The next line of a multi-line reply with its dot-stuffing undone: `Some(Ok(None))` is the end of the reply.
pub fn next_line(reader: &mut Reader) -> Option<Result<Option<Vec<u8>>, LineTooLong>> {
    let line = reader.next_line(REPLY_LINE)?;
    Some(line.map(|mut line| match line.as_slice() {
        b"." => None,
        [b'.', ..] => {
            line.remove(0);
            Some(line)
        }
        _ => Some(line),
    }))
}

/// Appends `AUTH EXTERNAL` with the identity to act as (RFC 5034 §4): an account's canonical address.
pub fn auth_external(out: &mut Vec<u8>, authorize: &str) {
    let encoded = if authorize.is_empty() { "=".to_owned() } else { STANDARD.encode(authorize) };
    reply::line(out, format_args!("AUTH EXTERNAL {encoded}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn status_lines_are_understood_and_written_again() {
        for line in ["+OK ready", "-ERR [SYS/TEMP] later", "-ERR no", "+OK"] {
            let status = Status::parse(line.as_bytes()).unwrap_or_else(|_| panic!("{line}"));
            let mut out = Vec::new();
            status.write(&mut out);
            assert_eq!(out, format!("{line}\r\n").as_bytes());
        }
        assert_eq!(
            Status::parse(b"-ERR [SYS/TEMP] x").map(|status| status.code),
            Ok(Some(ResponseCode::SysTemp))
        );
        assert_eq!(Status::parse(b"* OK imap"), Err(ReplyError::NotAStatus));
    }

    #[test]
    fn a_multi_line_reply_is_read_to_its_dot() {
        let mut reader = Reader::new(Limits::default());
        reader.feed(b"+OK list\r\nTOP\r\n..x\r\n.\r\nrest");
        assert!(matches!(next_status(&mut reader), Some(Ok(Status { ok: true, .. }))));
        assert_eq!(next_line(&mut reader), Some(Ok(Some(b"TOP".to_vec()))));
        assert_eq!(next_line(&mut reader), Some(Ok(Some(b".x".to_vec()))));
        assert_eq!(next_line(&mut reader), Some(Ok(None)));
        assert_eq!(reader.take_rest(), b"rest");
    }

    #[test]
    fn the_command_for_a_storage_node_is_what_its_server_side_reads() {
        let mut out = Vec::new();
        auth_external(&mut out, "ana@ejemplo.test");
        assert_eq!(out, b"AUTH EXTERNAL YW5hQGVqZW1wbG8udGVzdA==\r\n");
    }
}

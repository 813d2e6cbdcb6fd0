//! Replies (RFC 5321 §4.2) with enhanced status codes (RFC 3463): written by servers, parsed by clients.

use std::{borrow::Cow, fmt, io::Write as _};

/// The longest line of a reply that is written, with its CR LF (RFC 5321 §4.5.3.1.5).
const WRITTEN_LINE: usize = 512;

/// An enhanced status code, `class.subject.detail` (RFC 3463 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Enhanced {
    /// 2 success, 4 persistent transient failure, 5 permanent failure.
    pub class: u8,
    /// What the status is about: 1 addressing, 2 mailbox, 3 mail system, …
    pub subject: u16,
    /// The detail within the subject.
    pub detail: u16,
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl Enhanced {
    /// Parses `5.1.1`. The detail and subject have at most three digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
        let short = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if parts.next().is_some() || !matches!(class, "2" | "4" | "5") || !short(subject) || !short(detail) {
            return None;
        }
        Some(Self {
            class: class.parse().ok()?,
            subject: subject.parse().ok()?,
            detail: detail.parse().ok()?,
        })
    }
}

/// A reply of one or more lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<Enhanced>,
    /// Lines separated by LF: most replies are one fixed line, which then costs no allocation.
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply with a fixed text, usable in constants. `enhanced` is `(class, subject, detail)`.
    #[must_use]
    pub const fn fixed(code: u16, enhanced: (u8, u16, u16), text: &'static str) -> Self {
        let (class, subject, detail) = enhanced;
        Self { code, enhanced: Some(Enhanced { class, subject, detail }), text: Cow::Borrowed(text) }
    }

    /// A reply with a text made at run time. Lines are separated by LF; control characters are written as `?`.
    #[must_use]
    pub fn new(code: u16, enhanced: (u8, u16, u16), text: impl Into<Cow<'static, str>>) -> Self {
        let (class, subject, detail) = enhanced;
        Self { code, enhanced: Some(Enhanced { class, subject, detail }), text: text.into() }
    }

    /// A reply without enhanced code: greetings, EHLO and 354 (RFC 2034 §4).
    #[must_use]
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, enhanced: None, text: text.into() }
    }

    /// The three-digit code.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code, if it has one.
    #[must_use]
    pub const fn enhanced(&self) -> Option<Enhanced> {
        self.enhanced
    }

    /// The lines without codes; at least one, maybe empty.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }

    /// 2xx or 3xx.
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// 4xx: the same may succeed later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        self.code >= 400 && self.code < 500
    }

    /// 5xx: the same will fail again.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// Appends the reply as it goes over the wire. A line that would exceed 512 octets is cut at a character.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut lines = self.lines().peekable();
        while let Some(line) = lines.next() {
            let start = out.len();
            let digit = |value: u16| b'0' + (value % 10) as u8;
            let separator = if lines.peek().is_some() { b'-' } else { b' ' };
            out.extend_from_slice(&[
                digit(self.code / 100),
                digit(self.code / 10),
                digit(self.code),
                separator,
            ]);
            if let Some(enhanced) = self.enhanced {
                // Writing to a Vec cannot fail.
                let _ = write!(out, "{enhanced} ");
            }
            let mut room = (WRITTEN_LINE - 2).saturating_sub(out.len() - start).min(line.len());
            while !line.is_char_boundary(room) {
                room -= 1;
            }
            // A control character here could only come from a peer's text; a CR LF among it would forge a reply.
            out.extend(line.as_bytes()[..room].iter().map(|&b| if b < 0x20 || b == 0x7f { b'?' } else { b }));
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    /// One line, for logs: `550 5.1.1 No such user`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for (index, line) in self.lines().enumerate() {
            write!(f, "{}{line}", if index == 0 { " " } else { " / " })?;
        }
        Ok(())
    }
}

/// How much a client reads of one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyLimits {
    /// Octets of one line with its CR LF.
    pub line_length: usize,
    /// Lines of one reply.
    pub lines: usize,
}

impl Default for ReplyLimits {
    fn default() -> Self {
        // Twice what RFC 5321 §4.5.3.1.5 allows; EHLO has about ten lines with any server.
        Self { line_length: 1024, lines: 100 }
    }
}

/// What a peer sent is no reply, and the connection is of no more use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line does not begin with a code, or not with the code of the lines before it.
    #[error("expected a reply line with a code, got {0:?}")]
    Malformed(String),
    /// A line is longer than [`ReplyLimits::line_length`].
    #[error("a reply line is longer than {0} octets")]
    LineTooLong(usize),
    /// The reply has more than [`ReplyLimits::lines`] lines.
    #[error("a reply has more than {0} lines")]
    TooManyLines(usize),
}

impl Reply {
    /// Parses one reply from the front of `input`: the reply and its length, or `None` while it is incomplete.
    ///
    /// # Errors
    /// When the input cannot become a reply, or exceeds a limit: so incomplete input is never more than
    /// `line_length × lines` octets.
    pub fn parse(input: &[u8], limits: ReplyLimits) -> Result<Option<(Self, usize)>, ReplyError> {
        let mut at = 0;
        let mut code = None;
        let mut enhanced = None;
        let mut text = String::new();
        for count in 0.. {
            if count == limits.lines {
                return Err(ReplyError::TooManyLines(limits.lines));
            }
            let rest = &input[at..];
            let Some(end) = memchr::memmem::find(rest, b"\r\n") else {
                if rest.len() >= limits.line_length {
                    return Err(ReplyError::LineTooLong(limits.line_length));
                }
                return Ok(None);
            };
            if end + 2 > limits.line_length {
                return Err(ReplyError::LineTooLong(limits.line_length));
            }
            let line = &rest[..end];
            at += end + 2;
            let (line_code, last, tail) = split_line(line).ok_or_else(|| malformed(line))?;
            if code.is_some_and(|code| code != line_code) {
                return Err(malformed(line));
            }
            let tail = String::from_utf8_lossy(tail);
            let (line_enhanced, tail) = split_enhanced(&tail, line_code);
            if count == 0 {
                enhanced = line_enhanced;
            } else {
                text.push('\n');
            }
            text.push_str(tail);
            code = Some(line_code);
            if last {
                break;
            }
        }
        Ok(code.map(|code| (Self { code, enhanced, text: Cow::Owned(text) }, at)))
    }
}

/// `250-text` → (250, not last, text). RFC 5321 §4.2: the separator is a hyphen, a space, or absent with the text.
fn split_line(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, tail) = line.split_at_checked(3)?;
    if !matches!(digits[0], b'2'..=b'5') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match tail.split_first() {
        None => Some((code, true, tail)),
        Some((b' ', tail)) => Some((code, true, tail)),
        Some((b'-', tail)) => Some((code, false, tail)),
        Some(_) => None,
    }
}

fn split_enhanced(tail: &str, code: u16) -> (Option<Enhanced>, &str) {
    let (first, rest) = tail.split_once(' ').unwrap_or((tail, ""));
    match Enhanced::parse(first) {
        // RFC 2034 §4: the class agrees with the first digit; `250 5.1.1` is text.
        Some(enhanced) if u16::from(enhanced.class) == code / 100 => (Some(enhanced), rest),
        _ => (None, tail),
    }
}

fn malformed(line: &[u8]) -> ReplyError {
    ReplyError::Malformed(String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned())
}

/// The replies that more than one place gives.
pub mod replies {
    use super::Reply;

    /// To MAIL.
    pub const SENDER_OK: Reply = Reply::fixed(250, (2, 1, 0), "Sender ok");
    /// To RCPT.
    pub const RECIPIENT_OK: Reply = Reply::fixed(250, (2, 1, 5), "Recipient ok");
    /// To RSET.
    pub const RESET: Reply = Reply::fixed(250, (2, 0, 0), "Reset");
    /// To NOOP.
    pub const NOOP: Reply = Reply::fixed(250, (2, 0, 0), "Ok");
    /// To QUIT.
    pub const BYE: Reply = Reply::fixed(221, (2, 0, 0), "Bye");
    /// To STARTTLS.
    pub const START_TLS: Reply = Reply::fixed(220, (2, 0, 0), "Ready to start TLS");
    /// To VRFY (RFC 5321 §7.3: an address is not confirmed to a stranger).
    pub const VRFY: Reply = Reply::fixed(252, (2, 5, 0), "Send some mail and see");
    /// To HELP.
    pub const HELP: Reply = Reply::fixed(214, (2, 0, 0), "See RFC 5321");
    /// A command of another protocol, or of none.
    pub const UNKNOWN_COMMAND: Reply = Reply::fixed(500, (5, 5, 1), "Command not recognised");
    /// A command that exists and is not offered.
    pub const NOT_IMPLEMENTED: Reply = Reply::fixed(502, (5, 5, 1), "Command not implemented");
    /// A command line with octets that no command holds.
    pub const BAD_OCTETS: Reply =
        Reply::fixed(500, (5, 5, 2), "A command is one line of printable characters that ends with CR LF");
    /// A command line over the limit.
    pub const LINE_TOO_LONG: Reply = Reply::fixed(500, (5, 5, 2), "Line too long");
    /// Arguments that are not the command's.
    pub const BAD_ARGUMENTS: Reply = Reply::fixed(501, (5, 5, 4), "Syntax error in arguments");
    /// A reverse path that is no address.
    pub const BAD_SENDER: Reply = Reply::fixed(501, (5, 1, 7), "Malformed sender address");
    /// A forward path that is no address.
    pub const BAD_RECIPIENT: Reply = Reply::fixed(501, (5, 1, 3), "Malformed recipient address");
    /// A parameter that was not offered.
    pub const UNKNOWN_PARAMETER: Reply = Reply::fixed(555, (5, 5, 4), "Unsupported parameter");
    /// A parameter given twice or with a value that is not its own.
    pub const BAD_PARAMETER: Reply = Reply::fixed(501, (5, 5, 4), "Malformed parameter");
    /// A non-ASCII address without the SMTPUTF8 parameter (RFC 6531 §3.5).
    pub const NEEDS_SMTPUTF8: Reply = Reply::fixed(553, (5, 6, 7), "Address needs SMTPUTF8");
    /// A transaction command before the greeting command.
    pub const HELLO_FIRST: Reply = Reply::fixed(503, (5, 5, 1), "Say hello first");
    /// MAIL inside a transaction.
    pub const NESTED_MAIL: Reply = Reply::fixed(503, (5, 5, 1), "A transaction is already open");
    /// RCPT, DATA or BDAT outside a transaction.
    pub const MAIL_FIRST: Reply = Reply::fixed(503, (5, 5, 1), "MAIL first");
    /// DATA or BDAT without an accepted recipient, SMTP (RFC 5321 §3.3).
    pub const NO_RECIPIENTS: Reply = Reply::fixed(554, (5, 5, 1), "No valid recipients");
    /// DATA or BDAT without an accepted recipient, LMTP (RFC 2033 §4.2).
    pub const LMTP_NO_RECIPIENTS: Reply = Reply::fixed(503, (5, 5, 1), "No valid recipients");
    /// RCPT or DATA behind BDAT.
    pub const CHUNKS_STARTED: Reply = Reply::fixed(503, (5, 5, 1), "The message has begun with BDAT");
    /// One recipient more than the limit.
    pub const TOO_MANY_RECIPIENTS: Reply = Reply::fixed(452, (4, 5, 3), "Too many recipients");
    /// One transaction more than the limit.
    pub const TOO_MANY_MESSAGES: Reply = Reply::fixed(421, (4, 3, 2), "Too many messages in one session");
    /// A message over the limit.
    pub const TOO_BIG: Reply = Reply::fixed(552, (5, 3, 4), "Message too big");
    /// A line of message text over the limit.
    pub const TEXT_LINE_TOO_LONG: Reply = Reply::fixed(554, (5, 6, 0), "A line of the message is too long");
    /// Bare CR, bare LF or NUL in a message.
    pub const BARE_OCTETS: Reply =
        Reply::fixed(550, (5, 6, 11), "The message holds a bare CR, a bare LF or a NUL");
    /// Too many errors.
    pub const TOO_MANY_ERRORS: Reply = Reply::fixed(421, (4, 7, 0), "Too many errors");
    /// Too many commands without effect.
    pub const TOO_MANY_COMMANDS: Reply = Reply::fixed(421, (4, 7, 0), "Too many commands without a message");
    /// DATA for a message that holds any octets (RFC 3030 §3).
    pub const BINARY_NEEDS_BDAT: Reply = Reply::fixed(503, (5, 5, 1), "BINARYMIME is sent by BDAT");
    /// REQUIRETLS over a connection without TLS (RFC 8689 §2).
    pub const REQUIRETLS_NEEDS_TLS: Reply =
        Reply::fixed(530, (5, 7, 10), "REQUIRETLS needs TLS here already");
    /// A wait beyond what FUTURERELEASE offered (RFC 4865 §5).
    pub const HELD_TOO_LONG: Reply = Reply::fixed(501, (5, 5, 4), "The message would be held for too long");
    /// AUTH has succeeded (RFC 4954 §6).
    pub const AUTHENTICATED: Reply = Reply::fixed(235, (2, 7, 0), "Authenticated");
    /// The user name or the password is wrong, or may not be used here (RFC 4954 §6).
    pub const NOT_AUTHENTICATED: Reply = Reply::fixed(535, (5, 7, 8), "User name or password is wrong");
    /// Whether the password is right cannot be found out now (RFC 4954 §6).
    pub const CANNOT_AUTHENTICATE: Reply =
        Reply::fixed(454, (4, 7, 0), "Cannot check passwords now, try again soon");
    /// A second AUTH (RFC 4954 §4).
    pub const AUTHENTICATED_ALREADY: Reply = Reply::fixed(503, (5, 5, 1), "You are authenticated already");
    /// AUTH inside a transaction (RFC 4954 §4).
    pub const AUTH_IN_TRANSACTION: Reply = Reply::fixed(503, (5, 5, 1), "Not while a transaction is open");
    /// A mechanism that is not offered (RFC 4954 §4).
    pub const UNKNOWN_MECHANISM: Reply = Reply::fixed(504, (5, 5, 4), "That mechanism is not offered");
    /// AUTH in clear (RFC 4954 §6).
    pub const AUTH_NEEDS_TLS: Reply = Reply::fixed(538, (5, 7, 11), "Passwords are taken under TLS only");
    /// A transaction without AUTH where it is needed (RFC 4954 §6).
    pub const AUTH_FIRST: Reply = Reply::fixed(530, (5, 7, 0), "Authenticate first");
    /// A transaction without TLS where AUTH, and so TLS, is needed (RFC 3207 §4).
    pub const TLS_FIRST: Reply = Reply::fixed(530, (5, 7, 0), "Must issue a STARTTLS command first");
    /// A response that is no base64 of UTF-8 (RFC 4954 §4).
    pub const BAD_RESPONSE: Reply = Reply::fixed(501, (5, 5, 2), "Cannot decode the response");
    /// The client took AUTH back (RFC 4954 §4).
    pub const AUTH_CANCELLED: Reply = Reply::fixed(501, (5, 7, 0), "Authentication cancelled");
    /// A response over the limit (RFC 4954 §4).
    pub const RESPONSE_TOO_LONG: Reply =
        Reply::fixed(500, (5, 5, 6), "Authentication exchange line is too long");
    /// The role is stopping.
    pub const SHUTTING_DOWN: Reply = Reply::fixed(421, (4, 3, 2), "Shutting down, try again soon");
    /// A wait passed its deadline.
    pub const TIMED_OUT: Reply = Reply::fixed(421, (4, 4, 2), "Waited too long");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn several_lines_repeat_code_and_enhanced_code() {
        assert_eq!(wire(&Reply::new(550, (5, 1, 1), "one\ntwo")), "550-5.1.1 one\r\n550 5.1.1 two\r\n");
    }

    #[test]
    fn text_from_elsewhere_cannot_forge_a_second_reply() {
        assert_eq!(wire(&Reply::new(451, (4, 0, 0), "a\r250 ok\0")), "451 4.0.0 a?250 ok?\r\n");
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let written = wire(&Reply::new(250, (2, 0, 0), "ñ".repeat(600)));
        assert!(written.len() <= 512 && written.ends_with("ñ\r\n"));
    }

    #[test]
    fn incomplete_input_is_asked_for_again() {
        let whole = b"250-2.0.0 a\r\n250 2.0.0 b\r\n250 next";
        for cut in 0..26 {
            assert_eq!(Reply::parse(&whole[..cut], ReplyLimits::default()).unwrap(), None, "{cut}");
        }
        let (reply, used) = Reply::parse(whole, ReplyLimits::default()).unwrap().unwrap();
        assert_eq!((reply, used), (Reply::new(250, (2, 0, 0), "a\nb"), 26));
    }

    #[test]
    fn an_enhanced_code_of_another_class_is_text() {
        let (reply, _) = Reply::parse(b"250 5.1.1 x\r\n", ReplyLimits::default()).unwrap().unwrap();
        assert_eq!((reply.enhanced(), reply.lines().next()), (None, Some("5.1.1 x")));
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        let limits = ReplyLimits { line_length: 20, lines: 2 };
        for bad in ["hello\r\n", "25\r\n", "250_x\r\n", "150 x\r\n", "250-a\r\n550 b\r\n", "250 a\n"] {
            let result = Reply::parse(bad.as_bytes(), limits);
            assert!(matches!(result, Err(ReplyError::Malformed(_)) | Ok(None)), "{bad:?} {result:?}");
        }
        assert_eq!(Reply::parse(&[b'2'; 20], limits), Err(ReplyError::LineTooLong(20)));
        assert_eq!(Reply::parse(b"250-a\r\n250-a\r\n250-", limits), Err(ReplyError::TooManyLines(2)));
    }
}

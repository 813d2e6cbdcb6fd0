//! Writers of replies. Each appends to `out`; texts are made safe, so nothing given here can forge a second line.

/// An extended response code, sent in brackets after `-ERR` (RFC 2449 §8, RFC 3206).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseCode {
    /// The maildrop is in use by another session (RFC 2449 §8.1.2).
    InUse,
    /// Too soon after the last log-in (RFC 2449 §8.1.1).
    LoginDelay,
    /// The credentials are wrong (RFC 3206 §5).
    Auth,
    /// Something is wrong with the system; trying later may help (RFC 3206 §4).
    SysTemp,
    /// Something is wrong with the system; somebody has to act (RFC 3206 §4).
    SysPerm,
}

impl ResponseCode {
    /// What stands between the brackets.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "IN-USE",
            Self::LoginDelay => "LOGIN-DELAY",
            Self::Auth => "AUTH",
            Self::SysTemp => "SYS/TEMP",
            Self::SysPerm => "SYS/PERM",
        }
    }

    /// The code of this name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::InUse, Self::LoginDelay, Self::Auth, Self::SysTemp, Self::SysPerm]
            .into_iter()
            .find(|code| code.as_str().eq_ignore_ascii_case(name))
    }
}

/// Longest text of a reply in octets, so that no reply is over the 512 of RFC 1939 §3.
const TEXT: usize = 480;

/// `+OK text`.
pub fn ok(out: &mut Vec<u8>, message: &str) {
    out.extend_from_slice(b"+OK");
    text(out, message);
}

/// `-ERR text`.
pub fn err(out: &mut Vec<u8>, message: &str) {
    out.extend_from_slice(b"-ERR");
    text(out, message);
}

/// `-ERR [CODE] text`.
pub fn err_code(out: &mut Vec<u8>, code: ResponseCode, message: &str) {
    out.extend_from_slice(b"-ERR [");
    out.extend_from_slice(code.as_str().as_bytes());
    out.push(b']');
    text(out, message);
}

/// `+ challenge` of a SASL exchange (RFC 5034 §4); `challenge` is base64 already.
pub fn challenge(out: &mut Vec<u8>, challenge: &str) {
    out.extend_from_slice(b"+ ");
    out.extend_from_slice(challenge.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// One line of a multi-line reply that needs no dot-stuffing because of what it is (a number, a capability).
pub fn line(out: &mut Vec<u8>, content: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{content}\r\n");
}

/// The last line of a multi-line reply (RFC 1939 §3).
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b".\r\n");
}

fn text(out: &mut Vec<u8>, message: &str) {
    if !message.is_empty() {
        out.push(b' ');
        let mut end = message.len().min(TEXT);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        out.extend(
            message.as_bytes()[..end]
                .iter()
                .map(|&octet| if octet.is_ascii_control() { b' ' } else { octet }),
        );
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_one_line_whatever_its_text() {
        let mut out = Vec::new();
        err_code(&mut out, ResponseCode::SysTemp, "try\r\n+OK later");
        assert_eq!(out, b"-ERR [SYS/TEMP] try  +OK later\r\n");
        out.clear();
        ok(&mut out, &"ñ".repeat(1000));
        assert!(out.len() <= 512 && out.ends_with(b"\r\n"));
        assert!(std::str::from_utf8(&out).is_ok());
    }
}

//! SpamAssassin by the protocol of spamd: one connection a message, as the protocol wants it.
//!
//! `SYMBOLS` is asked for: a verdict, a score, and the names of the rules that matched. The message is not sent back, since nothing
//! of it is to be changed.

use std::io::Write as _;

/// The most that an answer may have: names of rules by the hundred.
const ANSWER: usize = 64 * 1024;

/// What spamd says.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Whether it takes the message for spam.
    pub spam: bool,
    /// The message's score.
    pub score: f64,
    /// The score from which it takes messages for spam.
    pub required: f64,
    /// The names of the rules that matched: letters, digits, underscores.
    pub tests: Vec<String>,
}

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpamdError {
    /// Not the protocol.
    #[error("expected an answer of spamd, got {0:?}")]
    Malformed(String),
    /// spamd refused: its code and word (`74 EX_IOERR`).
    #[error("spamd failed: {0}")]
    Failed(String),
    /// More than 64 KiB.
    #[error("an answer of more than 65536 octets")]
    TooLong,
}

/// The head of a question; `size` octets of message follow.
#[must_use]
pub fn question(size: u64, user: Option<&str>) -> Vec<u8> {
    let mut head = Vec::with_capacity(96);
    // Writing to a Vec cannot fail.
    let _ = write!(head, "SYMBOLS SPAMC/1.5\r\nContent-length: {size}\r\n");
    if let Some(user) = user.filter(|user| !user.bytes().any(|b| b.is_ascii_control())) {
        let _ = write!(head, "User: {user}\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Reads an answer that ends with the connection; `Ok(None)` while it may go on.
///
/// # Errors
/// When it cannot become one.
pub fn answer(input: &[u8], ended: bool) -> Result<Option<Report>, SpamdError> {
    if input.len() > ANSWER {
        return Err(SpamdError::TooLong);
    }
    let malformed = |octets: &[u8]| {
        let octets = octets.get(..octets.len().min(80)).unwrap_or_default();
        SpamdError::Malformed(String::from_utf8_lossy(octets).into_owned())
    };
    let Some(end) = memchr::memmem::find(input, b"\r\n\r\n") else {
        return if ended { Err(malformed(input)) } else { Ok(None) };
    };
    let (head, body) = input.split_at(end);
    let body = body.get(4..).unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(|_| malformed(head))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let (_, code) = status
        .strip_prefix("SPAMD/")
        .and_then(|rest| rest.split_once(' '))
        .ok_or_else(|| malformed(status.as_bytes()))?;
    if code.split(' ').next() != Some("0") {
        return Err(SpamdError::Failed(code.chars().filter(|c| !c.is_control()).take(80).collect()));
    }
    let mut verdict = None;
    let mut length = None;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("Spam") {
            verdict = Some(spam_line(value).ok_or_else(|| malformed(line.as_bytes()))?);
        } else if name.eq_ignore_ascii_case("Content-length") {
            length = value.trim().parse::<usize>().ok();
        }
    }
    if !ended && length.is_none_or(|length| body.len() < length) {
        return Ok(None);
    }
    let (spam, score, required) = verdict.ok_or_else(|| malformed(head.as_bytes()))?;
    let word = |test: &&str| !test.is_empty() && test.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let tests =
        String::from_utf8_lossy(body).split([',', '\r', '\n', ' ']).filter(word).map(str::to_owned).collect();
    Ok(Some(Report { spam, score, required, tests }))
}

/// ` True ; 15.0 / 5.0`.
fn spam_line(value: &str) -> Option<(bool, f64, f64)> {
    let (verdict, scores) = value.split_once(';')?;
    let (score, required) = scores.split_once('/')?;
    let finite = |text: &str| text.trim().parse().ok().filter(|number: &f64| number.is_finite());
    let spam = match verdict.trim() {
        "True" | "Yes" => true,
        "False" | "No" => false,
        _ => return None,
    };
    Some((spam, finite(score)?, finite(required)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAM: &[u8] =
        b"SPAMD/1.1 0 EX_OK\r\nContent-length: 17\r\nSpam: True ; 1000.0 / 5.0\r\n\r\nGTUBE,NO_RECEIVED";

    #[test]
    fn the_question_names_size_and_user() {
        assert_eq!(
            String::from_utf8(question(12, Some("ana@example.org"))).unwrap(),
            "SYMBOLS SPAMC/1.5\r\nContent-length: 12\r\nUser: ana@example.org\r\n\r\n"
        );
        assert!(!question(12, Some("a\r\nB: c")).windows(4).any(|w| w == b"User"));
    }

    #[test]
    fn answers_are_read_as_spamd_writes_them() {
        let report = answer(SPAM, false).unwrap().unwrap();
        assert_eq!((report.spam, report.score, report.required), (true, 1000.0, 5.0));
        assert_eq!(report.tests, ["GTUBE", "NO_RECEIVED"]);
        let ham = answer(b"SPAMD/1.5 0 EX_OK\r\nSpam: False ; -0.1 / 5.0\r\n\r\n", true).unwrap().unwrap();
        assert_eq!((ham.spam, ham.score, ham.tests.len()), (false, -0.1, 0));
        for end in 0..SPAM.len() {
            assert_eq!(answer(&SPAM[..end], false), Ok(None), "{end}");
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(
            matches!(answer(b"SPAMD/1.1 74 EX_IOERR\r\n\r\n", true), Err(SpamdError::Failed(why)) if why == "74 EX_IOERR")
        );
        for bad in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"SPAMD/1.1 0 EX_OK\r\n\r\n",
            b"SPAMD/1.1 0 EX_OK\r\nSpam: Maybe ; 1 / 2\r\n\r\n",
            b"SPAMD/1.1 0 EX_OK\r\nSpam: True ; NaN / 2\r\n\r\n",
            b"\xff\r\n\r\n",
        ] {
            assert!(matches!(answer(bad, true), Err(SpamdError::Malformed(_))), "{bad:?}");
        }
        assert_eq!(answer(&vec![b'x'; ANSWER + 1], false), Err(SpamdError::TooLong));
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_read_or_refused(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "SPAMD/", "1.1", " ", "0", " EX_OK", "\r\n", "Spam:", " True", " ; ", "5", "/", "-", "e9", "Content-length: 3", "A,B", "\u{e9}",
            ]), 0..40),
            ended: bool,
        ) {
            let _ = answer(parts.concat().as_bytes(), ended);
        }
    }
}

//! ClamAV by clamd's `INSTREAM`, within a session (`IDSESSION`) so that a connection serves many messages.

/// The most that an answer may have.
const ANSWER: usize = 4096;

/// Opens a session: what follows are numbered answers to commands. `z`: each ends with NUL.
pub const SESSION: &[u8] = b"zIDSESSION\0";

/// Announces a message as chunks.
pub const STREAM: &[u8] = b"zINSTREAM\0";

/// Ends the chunks.
pub const END: [u8; 4] = [0; 4];

/// What precedes a chunk. A chunk is at most 4 GiB and never empty.
#[must_use]
pub fn chunk_head(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// What clamd says of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing.
    Clean,
    /// A virus of this name: printable ASCII, 100 octets at most.
    Infected(String),
}

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClamdError {
    /// Not the protocol.
    #[error("expected an answer of clamd, got {0:?}")]
    Malformed(String),
    /// clamd says that it failed; `INSTREAM size limit exceeded` say.
    #[error("clamd failed: {0}")]
    Failed(String),
}

/// Reads one answer from the front of `input`: the finding and the octets used, or `None` while it is incomplete.
///
/// # Errors
/// When it is none, or says that the message could not be read.
pub fn answer(input: &[u8]) -> Result<Option<(Finding, usize)>, ClamdError> {
    let shown = |octets: &[u8]| {
        let text =
            String::from_utf8_lossy(octets.get(..octets.len().min(120)).unwrap_or_default()).into_owned();
        text.chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>()
    };
    let Some(end) = memchr::memchr(0, input) else {
        return if input.len() > ANSWER { Err(ClamdError::Malformed(shown(input))) } else { Ok(None) };
    };
    let line = input.get(..end).unwrap_or_default();
    let text = std::str::from_utf8(line).map_err(|_| ClamdError::Malformed(shown(line)))?.trim_end();
    // `7: stream: OK` within a session, `stream: OK` outside of one.
    let numbered =
        text.split_once(": ").filter(|(id, _)| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()));
    let text = numbered.map_or(text, |(_, rest)| rest);
    if text.ends_with("ERROR") {
        return Err(ClamdError::Failed(shown(text.as_bytes())));
    }
    let finding = match text.strip_prefix("stream: ") {
        Some("OK") => Finding::Clean,
        Some(found) => match found.strip_suffix(" FOUND") {
            Some(name) if !name.is_empty() => Finding::Infected(
                name.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(100).collect(),
            ),
            _ => return Err(ClamdError::Malformed(shown(line))),
        },
        None => return Err(ClamdError::Malformed(shown(line))),
    };
    Ok(Some((finding, end + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_clamd_writes_them() {
        assert_eq!(answer(b"1: stream: OK\0"), Ok(Some((Finding::Clean, 14))));
        assert_eq!(answer(b"stream: OK\0more"), Ok(Some((Finding::Clean, 11))));
        let infected = Finding::Infected("Eicar-Test-Signature".into());
        assert_eq!(answer(b"12: stream: Eicar-Test-Signature FOUND\0"), Ok(Some((infected, 39))));
        assert_eq!(answer(b"1: stream: O"), Ok(None));
        let odd = Finding::Infected("a_b_".into());
        assert_eq!(answer("stream: a b\u{e9} FOUND\0".as_bytes()).unwrap().unwrap().0, odd);
    }

    #[test]
    fn failures_and_nonsense_are_errors() {
        assert!(matches!(answer(b"INSTREAM size limit exceeded. ERROR\0"), Err(ClamdError::Failed(_))));
        for bad in [&b"\0"[..], b"stream: \0", b"stream:  FOUND\0", b"HTTP/1.1 400\0", b"\xff\0"] {
            assert!(matches!(answer(bad), Err(ClamdError::Malformed(_))), "{bad:?}");
        }
        assert!(matches!(answer(&[b'x'; ANSWER + 1]), Err(ClamdError::Malformed(_))));
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_read_or_refused(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "1: ", "stream: ", "OK", " FOUND", "Eicar", "ERROR", "\0", "\u{e9}", ":",
            ]), 0..20),
        ) {
            let text = parts.concat();
            if let Ok(Some((finding, used))) = answer(text.as_bytes()) {
                proptest::prop_assert!(used <= text.len());
                if let Finding::Infected(name) = finding {
                    proptest::prop_assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()));
                }
            }
        }
    }
}

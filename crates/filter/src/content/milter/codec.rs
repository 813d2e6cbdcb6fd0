//! Packets of the milter protocol, version 6, as libmilter's `mfdef.h` numbers them: without I/O.
//!
//! A packet is a length of four octets, a command, and what follows it. Texts end with NUL. libmilter holds the data of a packet to
//! 65,535 octets, so no larger one is made; what a milter sends may have a little more.

/// The version that is spoken.
pub const VERSION: u32 = 6;

/// The oldest version that is understood: 2 lacks no command that is needed.
const OLDEST: u32 = 2;

/// The most data that a packet made here has (`MILTER_CHUNK_SIZE`).
pub const CHUNK: usize = 65_535;

/// The longest packet that is taken from a milter, its command included.
const LONGEST: usize = 128 * 1024;

/// What a milter may do with messages (`SMFIF_…`), all offered: add headers (0x01), change the body (0x02), add and delete recipients
/// (0x04, 0x08), change headers (0x10), quarantine (0x20), change the sender (0x40), add recipients with parameters (0x80), choose macros (0x100).
pub const ACTIONS: u32 = 0x1ff;

/// Steps that a milter does without (`SMFIP_NO…`), or does not answer (`SMFIP_NR_…`).
pub mod steps {
    /// No connection information.
    pub const NO_CONNECT: u32 = 0x01;
    /// No HELO.
    pub const NO_HELO: u32 = 0x02;
    /// No MAIL.
    pub const NO_MAIL: u32 = 0x04;
    /// No RCPT.
    pub const NO_RCPT: u32 = 0x08;
    /// No body.
    pub const NO_BODY: u32 = 0x10;
    /// No headers.
    pub const NO_HEADERS: u32 = 0x20;
    /// No end of headers.
    pub const NO_END_OF_HEADERS: u32 = 0x40;
    /// No answer to headers.
    pub const MUTE_HEADER: u32 = 0x80;
    /// No DATA.
    pub const NO_DATA: u32 = 0x200;
    /// No answer to CONNECT.
    pub const MUTE_CONNECT: u32 = 0x1000;
    /// No answer to HELO.
    pub const MUTE_HELO: u32 = 0x2000;
    /// No answer to MAIL.
    pub const MUTE_MAIL: u32 = 0x4000;
    /// No answer to RCPT.
    pub const MUTE_RCPT: u32 = 0x8000;
    /// No answer to DATA.
    pub const MUTE_DATA: u32 = 0x1_0000;
    /// No answer to the end of headers.
    pub const MUTE_END_OF_HEADERS: u32 = 0x4_0000;
    /// No answer to parts of the body.
    pub const MUTE_BODY: u32 = 0x8_0000;
    /// Header values come with the space behind the colon.
    pub const LEADING_SPACE: u32 = 0x10_0000;
    /// All that are offered, those for unknown commands (0x100, 0x2_0000) and for skipping the rest of a body (0x400) among them: every one but
    /// `SMFIP_RCPT_REJ` (0x800), since milters are not told of recipients that are refused here.
    pub const OFFERED: u32 = 0x1f_ffff & !0x800;
}

/// Stages for which a milter may choose macros (`SMFIM_…`).
pub const STAGES: usize = 7;

/// Why a milter's packet cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Its length is 0 or above the bound.
    #[error("a packet of {0} octets")]
    Length(u32),
    /// A command that milters do not send.
    #[error("an unknown answer {0:?}")]
    Unknown(char),
    /// What follows the command is not what it should be.
    #[error("the data of an answer {0:?} is malformed")]
    Malformed(char),
}

/// What a milter answers or asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What it speaks, wants to do and does without.
    Negotiated(Negotiated),
    /// Go on.
    Continue,
    /// Accept without asking it further.
    Accept,
    /// Drop without a word.
    Discard,
    /// Refuse for good.
    Reject,
    /// Refuse for now.
    TempFail,
    /// Refuse, or close, with this reply: code, enhanced code and text, lines ended by CR LF.
    Custom(String),
    /// It goes on working.
    Progress,
    /// Send no more of the body.
    Skip,
    /// It wants to be left alone.
    Shutdown,
    /// A change of the message.
    Change(Change),
}

/// The answer to the negotiation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiated {
    /// The version that it speaks.
    pub version: u32,
    /// What it may do.
    pub actions: u32,
    /// What it does without.
    pub steps: u32,
    /// For each stage the macros that it wants, if it chose.
    pub macros: [Option<Vec<String>>; STAGES],
}

/// A change that a milter wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Add a header behind all others.
    AddHeader {
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// Insert a header before the one of this index, from 0.
    InsertHeader {
        /// Its place.
        index: u32,
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// Change one of the headers of this name, or delete it where the value is empty.
    ChangeHeader {
        /// Which of them, from 1.
        index: u32,
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// A part of the new body.
    Body(Vec<u8>),
    /// Quarantine, with the reason.
    Quarantine(Vec<u8>),
    /// Another sender, in brackets or not.
    Sender(Vec<u8>),
    /// One more recipient.
    AddRecipient(Vec<u8>),
    /// One recipient less.
    DeleteRecipient(Vec<u8>),
}

/// Appends a packet. `data` beyond [`CHUNK`] is cut.
pub fn put(out: &mut Vec<u8>, command: u8, data: &[u8]) {
    let data = data.get(..data.len().min(CHUNK)).unwrap_or_default();
    let length = u32::try_from(data.len() + 1).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.push(command);
    out.extend_from_slice(data);
}

/// Appends a packet of texts, each with its NUL. A NUL within one ends it. What is beyond [`CHUNK`] is cut from the texts, the last
/// first, and never a NUL: a milter takes a text without one for an error of ours.
pub fn put_texts<'a>(out: &mut Vec<u8>, command: u8, texts: impl IntoIterator<Item = &'a [u8]>) {
    let texts: Vec<&[u8]> = texts.into_iter().collect();
    let mut room = CHUNK.saturating_sub(texts.len());
    let mut data = Vec::new();
    for text in texts {
        let text = text.split(|&b| b == 0).next().unwrap_or_default();
        let text = text.get(..text.len().min(room)).unwrap_or_default();
        room -= text.len();
        data.extend_from_slice(text);
        data.push(0);
    }
    put(out, command, &data);
}

/// Appends the offer.
pub fn put_offer(out: &mut Vec<u8>) {
    let data: Vec<u8> =
        [VERSION, ACTIONS, steps::OFFERED].iter().flat_map(|number| number.to_be_bytes()).collect();
    put(out, b'O', &data);
}

/// Reads one answer from the front of `input`: it and the octets used, or `None` while it is incomplete.
///
/// # Errors
/// When it is none.
pub fn answer(input: &[u8]) -> Result<Option<(Answer, usize)>, CodecError> {
    let Some((length, rest)) = input.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length);
    let size = length as usize;
    if size == 0 || size > LONGEST {
        return Err(CodecError::Length(length));
    }
    let Some((command, data)) = rest.get(..size).and_then(<[u8]>::split_first) else { return Ok(None) };
    Ok(Some((read(*command, data)?, size + 4)))
}

fn read(command: u8, data: &[u8]) -> Result<Answer, CodecError> {
    let malformed = CodecError::Malformed(char::from(command));
    let text = || text(data).map(|(text, _)| text.to_vec()).ok_or_else(|| malformed.clone());
    Ok(match command {
        b'O' => Answer::Negotiated(negotiated(data).ok_or(malformed)?),
        b'c' => Answer::Continue,
        b'a' => Answer::Accept,
        b'd' => Answer::Discard,
        b'r' => Answer::Reject,
        b't' => Answer::TempFail,
        b'p' => Answer::Progress,
        b's' => Answer::Skip,
        // Shutdown (421), and failure of the connection: both mean that it does no more.
        b'4' | b'f' => Answer::Shutdown,
        b'y' => Answer::Custom(String::from_utf8_lossy(&text()?).into_owned()),
        b'h' => {
            let (name, value) = pair(data).ok_or(malformed)?;
            Answer::Change(Change::AddHeader { name, value })
        }
        b'i' | b'm' => {
            let (index, rest) = data.split_first_chunk::<4>().ok_or_else(|| malformed.clone())?;
            let index = u32::from_be_bytes(*index);
            let (name, value) = pair(rest).ok_or(malformed)?;
            Answer::Change(if command == b'i' {
                Change::InsertHeader { index, name, value }
            } else {
                Change::ChangeHeader { index, name, value }
            })
        }
        b'b' => Answer::Change(Change::Body(data.to_vec())),
        b'q' => Answer::Change(Change::Quarantine(text()?)),
        b'e' => Answer::Change(Change::Sender(text()?)),
        // `2` is `+` with ESMTP parameters behind, which nothing here needs.
        b'+' | b'2' => Answer::Change(Change::AddRecipient(text()?)),
        b'-' => Answer::Change(Change::DeleteRecipient(text()?)),
        other => return Err(CodecError::Unknown(char::from(other))),
    })
}

fn negotiated(data: &[u8]) -> Option<Negotiated> {
    let (version, rest) = data.split_first_chunk::<4>()?;
    let (actions, rest) = rest.split_first_chunk::<4>()?;
    let (steps, mut rest) = rest.split_first_chunk::<4>()?;
    let mut found = Negotiated {
        version: u32::from_be_bytes(*version),
        actions: u32::from_be_bytes(*actions),
        steps: u32::from_be_bytes(*steps),
        macros: Default::default(),
    };
    if !(OLDEST..=VERSION).contains(&found.version) {
        return None;
    }
    while let Some((stage, after)) = rest.split_first_chunk::<4>() {
        let (names, after) = text(after)?;
        let names = String::from_utf8_lossy(names);
        if let Some(place) = found.macros.get_mut(u32::from_be_bytes(*stage) as usize) {
            *place =
                Some(names.split([' ', ',']).filter(|name| !name.is_empty()).map(str::to_owned).collect());
        }
        rest = after;
    }
    rest.is_empty().then_some(found)
}

/// A text up to its NUL, and what follows.
fn text(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(0, data)?;
    Some((data.get(..end)?, data.get(end + 1..)?))
}

fn pair(data: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (name, rest) = text(data)?;
    let (value, _) = text(rest)?;
    Some((name.to_vec(), value.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(command: u8, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, command, data);
        out
    }

    fn one(command: u8, data: &[u8]) -> Result<Answer, CodecError> {
        let packet = packet(command, data);
        for end in 0..packet.len() {
            assert_eq!(answer(&packet[..end]), Ok(None));
        }
        answer(&packet).map(|found| {
            let (answer, used) = found.unwrap();
            assert_eq!(used, packet.len());
            answer
        })
    }

    #[test]
    fn packets_are_length_command_and_data() {
        assert_eq!(packet(b'Q', b""), b"\0\0\0\x01Q");
        let mut out = Vec::new();
        put_texts(&mut out, b'M', [&b"<a@b>"[..], b"SIZE=1\0x"]);
        assert_eq!(out, b"\0\0\0\x0eM<a@b>\0SIZE=1\0");
        let mut out = Vec::new();
        put_offer(&mut out);
        assert_eq!(out, b"\0\0\0\x0dO\0\0\0\x06\0\0\x01\xff\0\x1f\xf7\xff");
        assert_eq!(packet(b'B', &[0; CHUNK + 1]).len(), CHUNK + 5);
    }

    #[test]
    fn texts_that_are_too_long_are_cut_and_keep_their_ends() {
        for long in [CHUNK - 10, CHUNK - 3, CHUNK - 2, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let value = vec![b'v'; long];
            let mut out = Vec::new();
            put_texts(&mut out, b'L', [&b"X"[..], &value]);
            let (name, value) = out[5..].split_at(2);
            assert_eq!(name, b"X\0");
            assert_eq!(value.len(), (CHUNK - 2).min(long + 1), "{long}");
            assert_eq!(memchr::memchr(0, value), Some(value.len() - 1));
            assert_eq!(out[..4], u32::try_from(out.len() - 4).unwrap().to_be_bytes());
        }
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(one(b'c', b""), Ok(Answer::Continue));
        assert_eq!(one(b'y', b"550 5.7.1 no\0"), Ok(Answer::Custom("550 5.7.1 no".into())));
        assert_eq!(
            one(b'i', b"\0\0\0\x02X-A\0 b\n\tc\0"),
            Ok(Answer::Change(Change::InsertHeader {
                index: 2,
                name: b"X-A".into(),
                value: b" b\n\tc".into()
            }))
        );
        assert_eq!(
            one(b'm', b"\0\0\0\x01Subject\0\0"),
            Ok(Answer::Change(Change::ChangeHeader { index: 1, name: b"Subject".into(), value: b"".into() }))
        );
        assert_eq!(
            one(b'2', b"<a@b>\0NOTIFY=NEVER\0"),
            Ok(Answer::Change(Change::AddRecipient(b"<a@b>".into())))
        );
        let negotiated =
            one(b'O', b"\0\0\0\x06\0\0\0\x11\0\0\0\x01\0\0\0\x02i {auth_type}\0\0\0\0\x63x\0").unwrap();
        let Answer::Negotiated(found) = negotiated else { panic!("{negotiated:?}") };
        assert_eq!((found.actions, found.steps), (0x11, 1));
        assert_eq!(found.macros[2], Some(vec!["i".to_owned(), "{auth_type}".to_owned()]));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert_eq!(answer(b"\0\0\0\0"), Err(CodecError::Length(0)));
        assert_eq!(answer(b"\xff\0\0\0"), Err(CodecError::Length(0xff00_0000)));
        assert_eq!(one(b'!', b""), Err(CodecError::Unknown('!')));
        for (command, data) in [
            (b'O', &b"\0\0\0\x06"[..]),
            (b'O', b"\0\0\0\x01\0\0\0\0\0\0\0\0"),
            (b'O', b"\0\0\0\x06\0\0\0\0\0\0\0\0\0\0"),
            (b'y', b"no end"),
            (b'h', b"X\0"),
            (b'm', b"\0\0"),
        ] {
            assert_eq!(one(command, data), Err(CodecError::Malformed(char::from(command))), "{data:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_read_or_refused(
            command in proptest::sample::select(b"Ocadrtpsfyhimbqe+2-4!\0".to_vec()),
            data in proptest::collection::vec(proptest::sample::select(vec![0u8, 1, 2, 6, b'a', b' ', 255]), 0..60),
            cut in 0usize..70,
        ) {
            let packet = packet(command, &data);
            let _ = answer(&packet[..cut.min(packet.len())]);
            if let Ok(Some((_, used))) = answer(&packet) {
                proptest::prop_assert_eq!(used, packet.len());
            }
        }
    }
}

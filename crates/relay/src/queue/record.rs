//! What stands in a queue file beside the message's text. Versioned: a later version reads what this one wrote.
//!
//! Every line is JSON, a space, and 16 hexadecimal digits of BLAKE3 over the message's id and the JSON, so that a line that was cut, or
//! that belongs to another file, is told from a whole one. An operator can read it all.

use crate::{
    fate::Trouble,
    message::{BodyKind, Envelope, Notify, Recipient, Returns, Source},
};
use chasqui_base::DeliveryId;
use chasqui_smtp::{Reply, ReplyLimits};
use serde::{Deserialize, Serialize};

/// The version that is written.
const VERSION: u32 = 1;

/// Octets of a checksum with the space before it.
const SUM: usize = 17;

/// The file holds no envelope of a version that is known.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The line was cut or changed.
    #[error("the envelope's checksum is wrong")]
    Sum,
    /// It is no JSON of ours.
    #[error("the envelope is malformed: {0}")]
    Json(#[from] serde_json::Error),
    /// A later program wrote it.
    #[error("version {0} is newer than this program")]
    Version(u32),
    /// A value is not its own.
    #[error("`{0}` is malformed")]
    Field(&'static str),
}

/// The first line of a queue file.
#[derive(Serialize, Deserialize)]
struct Front {
    chasqui_queue: u32,
    id: String,
    /// Octets of the text behind this line.
    length: u64,
    received: u64,
    expires: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<u64>,
    reverse_path: String,
    recipients: Vec<StoredRecipient>,
    #[serde(default, skip_serializing_if = "is_default")]
    smtputf8: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    body: StoredBody,
    #[serde(default, skip_serializing_if = "is_default")]
    require_tls: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    envelope_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    returns: Option<StoredReturns>,
    #[serde(default, skip_serializing_if = "is_default")]
    priority: i8,
    source: StoredSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredRecipient {
    address: String,
    /// As RFC 3461 writes it; absent when the sender did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notify: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredBody {
    #[default]
    SevenBit,
    EightBitMime,
    Binary,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredReturns {
    Full,
    Headers,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredSource {
    User(String),
    Role,
    Own,
}

/// What is appended behind the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// The text is complete: its BLAKE3. Written with it; without it the file was never acknowledged.
    Sealed(String),
    /// Recipients, by index, that need no more attempts.
    Done {
        /// Seconds since 1970.
        at: u64,
        /// Which of the recipients.
        recipients: Vec<u32>,
        /// What was said, for who reads the file.
        reply: String,
    },
    /// Recipients that were put off.
    Deferred {
        /// Seconds since 1970.
        at: u64,
        /// Which of the recipients.
        recipients: Vec<u32>,
        /// Who said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remote: Option<String>,
        /// What was said.
        reply: String,
    },
    /// A recipient whose place others take; they get the indices behind all that there are.
    Expanded {
        /// Seconds since 1970.
        at: u64,
        /// Which of the recipients.
        recipient: u32,
        /// Addresses.
        to: Vec<String>,
    },
    /// The sender was told that the message is late.
    Delayed {
        /// Seconds since 1970.
        at: u64,
    },
    /// An operator holds the message back, or no longer does.
    Held {
        /// Seconds since 1970.
        at: u64,
        /// Whether it is held from now.
        held: bool,
    },
}

/// The first line of a message's file, with its end.
pub fn encode_envelope(envelope: &Envelope, length: u64) -> Vec<u8> {
    let front = Front {
        chasqui_queue: VERSION,
        id: envelope.id.to_string(),
        length,
        received: envelope.received,
        expires: envelope.expires,
        not_before: envelope.not_before,
        reverse_path: envelope.reverse_path.to_string(),
        recipients: envelope.recipients.iter().map(StoredRecipient::of).collect(),
        smtputf8: envelope.smtputf8,
        body: match envelope.body {
            BodyKind::SevenBit => StoredBody::SevenBit,
            BodyKind::EightBitMime => StoredBody::EightBitMime,
            BodyKind::Binary => StoredBody::Binary,
        },
        require_tls: envelope.require_tls,
        envelope_id: envelope.envelope_id.clone(),
        returns: envelope.returns.map(|returns| match returns {
            Returns::Full => StoredReturns::Full,
            Returns::Headers => StoredReturns::Headers,
        }),
        priority: envelope.priority,
        source: match &envelope.source {
            Source::User(user) => StoredSource::User(user.to_string()),
            Source::Role => StoredSource::Role,
            Source::Own => StoredSource::Own,
        },
        message_id: envelope.message_id.clone(),
    };
    line(envelope.id, &front)
}

/// The envelope and the length of the text from a file's first line, without its end.
///
/// # Errors
/// When the line is not whole, or of a later version.
pub fn decode_envelope(id: DeliveryId, text: &[u8]) -> Result<(Envelope, u64), RecordError> {
    let front: Front = serde_json::from_slice(checked(id, text).ok_or(RecordError::Sum)?)?;
    if front.chasqui_queue > VERSION {
        return Err(RecordError::Version(front.chasqui_queue));
    }
    let field = RecordError::Field;
    let envelope = Envelope {
        id: front.id.parse().map_err(|_| field("id"))?,
        reverse_path: front.reverse_path.parse().map_err(|_| field("reverse_path"))?,
        recipients: front
            .recipients
            .into_iter()
            .map(StoredRecipient::recipient)
            .collect::<Option<_>>()
            .ok_or(field("recipients"))?,
        smtputf8: front.smtputf8,
        body: match front.body {
            StoredBody::SevenBit => BodyKind::SevenBit,
            StoredBody::EightBitMime => BodyKind::EightBitMime,
            StoredBody::Binary => BodyKind::Binary,
        },
        require_tls: front.require_tls,
        envelope_id: front.envelope_id,
        returns: front.returns.map(|returns| match returns {
            StoredReturns::Full => Returns::Full,
            StoredReturns::Headers => Returns::Headers,
        }),
        priority: front.priority,
        received: front.received,
        not_before: front.not_before,
        expires: front.expires,
        source: match front.source {
            StoredSource::User(user) => Source::User(user.parse().map_err(|_| field("source"))?),
            StoredSource::Role => Source::Role,
            StoredSource::Own => Source::Own,
        },
        message_id: front.message_id,
    };
    if envelope.id != id {
        return Err(field("id"));
    }
    Ok((envelope, front.length))
}

impl Record {
    /// The line with its end, and an empty one before it, so that what a cut left before it is not taken for its beginning.
    pub fn encode(&self, id: DeliveryId) -> Vec<u8> {
        let mut whole = vec![b'\n'];
        whole.extend(line(id, self));
        whole
    }

    /// The records in what stands behind the text. Lines that are not whole are passed over: a cut left them, and nothing that was
    /// acknowledged hung on them.
    pub fn decode_all(id: DeliveryId, text: &[u8]) -> Vec<Self> {
        text.split(|&byte| byte == b'\n')
            .filter_map(|line| serde_json::from_slice(checked(id, line)?).ok())
            .collect()
    }
}

impl StoredRecipient {
    fn of(recipient: &Recipient) -> Self {
        let Notify { success, failure, delay, explicit } = recipient.notify;
        let notify = chasqui_smtp::Notify { success, failure, delay };
        Self {
            address: recipient.address.clone(),
            notify: explicit.then(|| notify.to_string()),
            original: recipient.original.clone(),
        }
    }

    fn recipient(self) -> Option<Recipient> {
        let notify = match self.notify {
            None => Notify::default(),
            Some(text) => {
                let chasqui_smtp::Notify { success, failure, delay } = text.parse().ok()?;
                Notify { success, failure, delay, explicit: true }
            }
        };
        Some(Recipient { address: self.address, notify, original: self.original })
    }
}

/// A reply as it was written down.
pub fn reply(text: &str) -> Option<Reply> {
    Reply::parse(format!("{text}\r\n").as_bytes(), ReplyLimits { line_length: 1 << 20, lines: 1 })
        .ok()
        .flatten()
        .map(|(reply, _)| reply)
}

/// The reply as it is written down: cut, since a server that says a novel each time shall not fill the disk.
pub fn reply_text(reply: &Reply) -> String {
    let mut text = reply.to_string().replace(char::is_control, "?");
    if text.len() > 500 {
        text.truncate(text.floor_char_boundary(500));
    }
    text
}

impl Trouble {
    /// Whether nothing about it differs that is written down.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.remote == other.remote && self.reply == other.reply
    }
}

fn line(id: DeliveryId, value: &impl Serialize) -> Vec<u8> {
    // Texts, numbers and lists of them: this cannot fail.
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    let sum = sum(id, &text);
    text.push(b' ');
    text.extend_from_slice(&sum);
    text.push(b'\n');
    text
}

/// The JSON of a line whose checksum is right.
fn checked(id: DeliveryId, line: &[u8]) -> Option<&[u8]> {
    let (text, end) = line.split_at_checked(line.len().checked_sub(SUM)?)?;
    (end.first() == Some(&b' ') && end.get(1..) == Some(&sum(id, text)[..])).then_some(text)
}

fn sum(id: DeliveryId, text: &[u8]) -> [u8; SUM - 1] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&id.to_bytes()).update(text);
    let mut digits = [0; SUM - 1];
    for (digit, source) in digits.iter_mut().zip(hasher.finalize().to_hex().bytes()) {
        *digit = source;
    }
    digits
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn envelope() -> Envelope {
        Envelope {
            id: DeliveryId::from_bytes([7; 16]),
            reverse_path: "ana@example.org".parse().unwrap(),
            recipients: vec![
                Recipient {
                    address: "ñandú@ejemplo.test".into(), notify: Notify::default(), original: None
                },
                Recipient {
                    address: "\"a b\"@[192.0.2.1]".into(),
                    notify: Notify { success: true, failure: false, delay: false, explicit: true },
                    original: Some("rfc822;x y@example.org".into()),
                },
            ],
            smtputf8: true,
            body: BodyKind::EightBitMime,
            require_tls: true,
            envelope_id: Some("QQ 314".into()),
            returns: Some(Returns::Full),
            priority: -4,
            received: 1_700_000_000,
            not_before: Some(1_700_000_100),
            expires: 1_700_432_000,
            source: Source::User("ana@example.org".parse().unwrap()),
            message_id: Some("1\n2\"@example.org".into()),
        }
    }

    fn read(text: &[u8]) -> Result<(Envelope, u64), RecordError> {
        decode_envelope(DeliveryId::from_bytes([7; 16]), text.strip_suffix(b"\n").unwrap_or(text))
    }

    #[test]
    fn an_envelope_is_one_line_and_is_read_as_it_was_written() {
        let mut one = envelope();
        for source in [one.source.clone(), Source::Role, Source::Own] {
            one.source = source;
            let text = encode_envelope(&one, 99);
            assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(read(&text).unwrap(), (one.clone(), 99));
        }
        one.reverse_path = chasqui_smtp::ReversePath::Null;
        assert_eq!(read(&encode_envelope(&one, 0)).unwrap().0, one);
    }

    #[test]
    fn a_file_of_version_1_stays_readable_and_a_later_one_is_not_guessed_at() {
        let id = DeliveryId::from_bytes([7; 16]);
        let front = |version: u32| {
            let json = format!(
                r#"{{"chasqui_queue":{version},"id":"{id}","length":5,"received":1,"expires":2,"reverse_path":"","recipients":[{{"address":"a@b.test"}}],"source":"own"}}"#
            );
            [json.as_bytes(), b" ", &sum(id, json.as_bytes())].concat()
        };
        let (envelope, length) = read(&front(1)).unwrap();
        assert_eq!(
            (envelope.recipients[0].notify, envelope.source, length),
            (Notify::default(), Source::Own, 5)
        );
        assert!(matches!(read(&front(2)), Err(RecordError::Version(2))));
    }

    #[test]
    fn a_reply_is_read_as_it_was_written_and_a_long_one_is_cut() {
        let long = Reply::new(550, (5, 1, 1), format!("no\n{}", "ñ".repeat(1000)));
        let text = reply_text(&long);
        assert!(text.len() <= 500 && text.starts_with("550 5.1.1 no / ñ"));
        assert_eq!(reply(&text).unwrap().to_string(), text);
        assert_eq!(reply("nonsense"), None);
    }

    proptest! {
        #[test]
        fn a_damaged_line_is_never_taken_for_a_whole_one(at in 0_usize..2000, with in any::<u8>(), cut in any::<bool>()) {
            let whole = encode_envelope(&envelope(), 9);
            let mut text = whole.clone();
            let at = at % text.len();
            if cut { text.truncate(at) } else { text[at] = with }
            prop_assert!(read(&text).is_err() || text == whole || text == whole[..whole.len() - 1]);
            let id = DeliveryId::from_bytes([7; 16]);
            let record = Record::Deferred { at: 1, recipients: vec![0, 1], remote: None, reply: "451 4.0.0 no".into() };
            let mut records = [Record::Held { at: 1, held: true }.encode(id), record.encode(id)].concat();
            let at = at % records.len();
            records[at] = with;
            let found = Record::decode_all(id, &records);
            let held = Record::Held { at: 1, held: true };
            prop_assert!(found.iter().all(|one| *one == record || *one == held));
            prop_assert!(!found.is_empty());
        }

        #[test]
        fn any_octets_are_read_without_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&octets);
            Record::decode_all(DeliveryId::from_bytes([7; 16]), &octets);
        }
    }
}

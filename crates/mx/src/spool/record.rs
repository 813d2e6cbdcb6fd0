//! What the spool writes down of a message. Versioned: a later version reads what this one wrote.

use chasqui_base::{DeliveryId, EmailAddress};
use chasqui_smtp::{Body, ReversePath};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The version that is written.
const VERSION: u32 = 1;

/// The envelope of one message, `<delivery id>.json` beside `<delivery id>.eml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub id: DeliveryId,
    pub reverse_path: ReversePath,
    pub smtputf8: bool,
    pub body: Body,
    /// It goes into the accounts' mailbox for unwanted mail.
    pub junk: bool,
    /// Octets of the message.
    pub size: u64,
    /// Seconds since 1970.
    pub received: u64,
    pub recipients: Vec<Waiting>,
}

/// One recipient that is not settled, or that failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    /// The account, as it was when the message was accepted.
    pub account: EmailAddress,
    /// The node that owned it at the last attempt.
    pub node: String,
    pub attempts: u32,
    /// What was said at the last attempt.
    pub last_reply: String,
}

/// The form on disk. Ids and paths are texts there, so that an operator can read and mend it.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    id: String,
    reverse_path: String,
    smtputf8: bool,
    eight_bit_mime: bool,
    /// The first records lack it, and the next: false.
    #[serde(default)]
    binary_mime: bool,
    #[serde(default)]
    junk: bool,
    size: u64,
    received: u64,
    recipients: Vec<Waiting>,
}

/// The file is no envelope of a version that is known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("version {0} is newer than this program")]
    Version(u32),
    #[error("`{0}` is malformed")]
    Field(&'static str),
}

impl Record {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let stored = Stored {
            version: VERSION,
            id: self.id.to_string(),
            reverse_path: self.reverse_path.to_string(),
            smtputf8: self.smtputf8,
            eight_bit_mime: self.body == Body::EightBitMime,
            binary_mime: self.body == Body::BinaryMime,
            junk: self.junk,
            size: self.size,
            received: self.received,
            recipients: self.recipients.clone(),
        };
        // Texts and numbers only: this cannot fail.
        serde_json::to_vec_pretty(&stored).unwrap_or_default()
    }

    pub(crate) fn decode(text: &[u8]) -> Result<Self, RecordError> {
        let stored: Stored = serde_json::from_slice(text)?;
        if stored.version > VERSION {
            return Err(RecordError::Version(stored.version));
        }
        Ok(Self {
            id: stored.id.parse().map_err(|_| RecordError::Field("id"))?,
            reverse_path: stored.reverse_path.parse().map_err(|_| RecordError::Field("reverse_path"))?,
            smtputf8: stored.smtputf8,
            body: match (stored.binary_mime, stored.eight_bit_mime) {
                (true, _) => Body::BinaryMime,
                (false, true) => Body::EightBitMime,
                (false, false) => Body::SevenBit,
            },
            junk: stored.junk,
            size: stored.size,
            received: stored.received,
            recipients: stored.recipients,
        })
    }

    /// How long ago it was received.
    pub(crate) fn age(&self) -> Duration {
        now().saturating_sub(Duration::from_secs(self.received))
    }

    /// The attempts of the recipient that was tried most.
    pub(crate) fn attempts(&self) -> u32 {
        self.recipients.iter().map(|waiting| waiting.attempts).max().unwrap_or(0)
    }
}

/// Time since 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn record(accounts: &[&str]) -> Record {
        let waiting = |account: &&str| Waiting {
            account: account.parse().unwrap(),
            node: "one".into(),
            attempts: 0,
            last_reply: "451 4.4.1 later".into(),
        };
        Record {
            id: DeliveryId::generate(),
            reverse_path: "sender@example.org".parse().unwrap(),
            smtputf8: false,
            body: Body::EightBitMime,
            junk: true,
            size: 5,
            received: now().as_secs(),
            recipients: accounts.iter().map(waiting).collect(),
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let mut record = record(&["ana@ejemplo.test", "ñandú@ejemplo.test"]);
        assert_eq!(Record::decode(&record.encode()).unwrap(), record);
        record.reverse_path = ReversePath::Null;
        (record.body, record.junk) = (Body::BinaryMime, false);
        assert_eq!(Record::decode(&record.encode()).unwrap(), record);
    }

    #[test]
    fn a_record_of_version_1_stays_readable() {
        let text = r#"{"version":1,"id":"00000000000000000000000000","reverse_path":"a@b","smtputf8":true,
            "eight_bit_mime":false,"size":9,"received":1,"recipients":[{"account":"c@d.test","node":"n","attempts":3,"last_reply":"x"}]}"#;
        let record = Record::decode(text.as_bytes()).unwrap();
        assert_eq!((record.attempts(), record.size, record.smtputf8), (3, 9, true));
        assert_eq!((record.body, record.junk), (Body::SevenBit, false));
    }

    #[test]
    fn a_record_of_a_later_version_is_not_guessed_at() {
        let text = String::from_utf8(record(&["a@b.test"]).encode())
            .unwrap()
            .replace("\"version\": 1", "\"version\": 2");
        assert!(matches!(Record::decode(text.as_bytes()), Err(RecordError::Version(2))));
    }

    proptest! {
        #[test]
        fn damaged_records_are_errors_and_never_panics(at in 0_usize..200, with in any::<u8>(), cut in any::<bool>()) {
            let mut text = record(&["a@b.test"]).encode();
            let at = at % text.len();
            if cut { text.truncate(at) } else { text[at] = with }
            let _ = Record::decode(&text);
        }
    }
}

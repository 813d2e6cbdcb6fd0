//! Summaries as octets, for the index. Versioned: what another build wrote counts as missing and is made anew from the files.

use crate::mailbox::Summary;
use crate::mime::{Address, BodyPart, Envelope, Nested};
use crate::uid::Uid;

/// The version that this build writes and reads.
const VERSION: u8 = 1;
/// Deepest nesting that is read; the scanner's own limit is lower.
const MAX_DEPTH: usize = 200;

/// The record of a message's summary: version, checksum over key and content, content.
pub(crate) fn encode(uid_validity: u32, summary: &Summary) -> Vec<u8> {
    let mut content = Vec::with_capacity(256);
    put_envelope(&mut content, &summary.envelope);
    put_part(&mut content, &summary.body);
    let mut record = Vec::with_capacity(content.len() + 9);
    record.push(VERSION);
    record.extend_from_slice(&checksum(uid_validity, summary.uid, &content));
    record.extend_from_slice(&content);
    record
}

/// Reads a record; none for one of another version, of another message, or damaged.
pub(crate) fn decode(uid_validity: u32, uid: Uid, record: &[u8]) -> Option<Summary> {
    let (&version, rest) = record.split_first()?;
    let (sum, content) = rest.split_at_checked(8)?;
    if version != VERSION || sum != checksum(uid_validity, uid, content) {
        return None;
    }
    let mut reader = Reader { rest: content };
    let summary = Summary { uid, envelope: reader.envelope()?, body: reader.part(0)? };
    reader.rest.is_empty().then_some(summary)
}

fn checksum(uid_validity: u32, uid: Uid, content: &[u8]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&uid_validity.to_be_bytes()).update(&uid.get().to_be_bytes()).update(content);
    let mut sum = [0; 8];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    sum
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// None is 0, a text its length and one.
fn put_optional(out: &mut Vec<u8>, text: &Option<String>) {
    match text {
        None => out.push(0),
        Some(text) => {
            put_number(out, text.len() as u64 + 1);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

fn put_list<T>(out: &mut Vec<u8>, list: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    put_number(out, list.len() as u64);
    list.iter().for_each(|each| put(out, each));
}

fn put_pair(out: &mut Vec<u8>, (name, value): &(String, String)) {
    put_text(out, name);
    put_text(out, value);
}

fn put_envelope(out: &mut Vec<u8>, envelope: &Envelope) {
    for text in [&envelope.date, &envelope.subject, &envelope.in_reply_to, &envelope.message_id] {
        put_optional(out, text);
    }
    for list in
        [&envelope.from, &envelope.sender, &envelope.reply_to, &envelope.to, &envelope.cc, &envelope.bcc]
    {
        put_list(out, list, |out, address| {
            for text in [&address.name, &address.route, &address.mailbox, &address.host] {
                put_optional(out, text);
            }
        });
    }
}

fn put_part(out: &mut Vec<u8>, part: &BodyPart) {
    for text in [&part.media_type, &part.subtype, &part.encoding] {
        put_text(out, text);
    }
    put_list(out, &part.parameters, put_pair);
    for text in [&part.id, &part.description, &part.md5, &part.location] {
        put_optional(out, text);
    }
    put_optional(out, &part.disposition.as_ref().map(|(value, _)| value.clone()));
    put_list(out, part.disposition.as_ref().map_or(&[], |(_, parameters)| parameters), put_pair);
    put_list(out, &part.language, |out, text| put_text(out, text));
    for number in [part.header_start, part.body_start, part.body_end, part.lines] {
        put_number(out, number);
    }
    put_list(out, &part.parts, put_part);
    out.push(u8::from(part.message.is_some()));
    if let Some(nested) = &part.message {
        put_envelope(out, &nested.envelope);
        put_part(out, &nested.body);
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&octet, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(octet & 0x7f).checked_shl(shift)?;
            if octet < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn octets(&mut self, length: u64) -> Option<String> {
        let (text, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn text(&mut self) -> Option<String> {
        let length = self.number()?;
        self.octets(length)
    }

    fn optional(&mut self) -> Option<Option<String>> {
        match self.number()? {
            0 => Some(None),
            length => self.octets(length - 1).map(Some),
        }
    }

    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.number()?;
        // Every element takes an octet at least, so a wrong length cannot ask for memory.
        if length > self.rest.len() as u64 {
            return None;
        }
        (0..length).map(|_| read(self)).collect()
    }

    fn pair(&mut self) -> Option<(String, String)> {
        Some((self.text()?, self.text()?))
    }

    fn address(&mut self) -> Option<Address> {
        Some(Address {
            name: self.optional()?,
            route: self.optional()?,
            mailbox: self.optional()?,
            host: self.optional()?,
        })
    }

    fn envelope(&mut self) -> Option<Envelope> {
        let (date, subject, in_reply_to, message_id) =
            (self.optional()?, self.optional()?, self.optional()?, self.optional()?);
        let mut addresses = || self.list(Self::address);
        Some(Envelope {
            date,
            subject,
            in_reply_to,
            message_id,
            from: addresses()?,
            sender: addresses()?,
            reply_to: addresses()?,
            to: addresses()?,
            cc: addresses()?,
            bcc: addresses()?,
        })
    }

    fn part(&mut self, depth: usize) -> Option<BodyPart> {
        if depth > MAX_DEPTH {
            return None;
        }
        let (media_type, subtype, encoding) = (self.text()?, self.text()?, self.text()?);
        let parameters = self.list(Self::pair)?;
        let (id, description, md5, location) =
            (self.optional()?, self.optional()?, self.optional()?, self.optional()?);
        let disposition = self.optional()?;
        let disposition_parameters = self.list(Self::pair)?;
        let language = self.list(Self::text)?;
        let (header_start, body_start, body_end, lines) =
            (self.number()?, self.number()?, self.number()?, self.number()?);
        let parts = self.list(|reader| reader.part(depth + 1))?;
        let (&has_message, rest) = self.rest.split_first()?;
        self.rest = rest;
        let message = match has_message {
            0 => None,
            _ => Some(Box::new(Nested { envelope: self.envelope()?, body: self.part(depth + 1)? })),
        };
        let disposition = disposition.map(|value| (value, disposition_parameters));
        (header_start <= body_start && body_start <= body_end).then_some(BodyPart {
            media_type,
            subtype,
            parameters,
            id,
            description,
            encoding,
            md5,
            disposition,
            language,
            location,
            header_start,
            body_start,
            body_end,
            lines,
            parts,
            message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::{Limits, summarize};
    use proptest::prelude::*;

    fn summary(message: &str) -> Summary {
        let (envelope, body) = summarize(message.as_bytes(), Limits::default()).unwrap();
        Summary { uid: Uid::new(7).unwrap(), envelope, body }
    }

    #[test]
    fn a_record_is_read_back_and_no_other_messages() {
        let summary = summary(
            "From: A <a@b>, l: c@d;\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\
             Content-Disposition: inline; x=y\r\nContent-Language: es, en\r\n\r\nSubject: x\r\n\r\nb\r\n--b--\r\n",
        );
        let record = encode(5, &summary);
        assert_eq!(decode(5, summary.uid, &record), Some(summary.clone()));
        assert_eq!(decode(6, summary.uid, &record), None);
        assert_eq!(decode(5, Uid::MIN, &record), None);
        for at in 0..record.len() {
            let mut damaged = record.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(5, summary.uid, &damaged), None);
            assert_eq!(decode(5, summary.uid, &record[..at]), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_no_record_is_refused_without_panic(mut content in prop::collection::vec(any::<u8>(), 0..200)) {
            // With a right checksum, so that the content is looked at.
            let uid = Uid::MIN;
            let mut record = vec![VERSION];
            record.extend_from_slice(&checksum(1, uid, &content));
            record.append(&mut content);
            let _ = decode(1, uid, &record);
        }
    }
}

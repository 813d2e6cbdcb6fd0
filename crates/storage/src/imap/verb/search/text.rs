//! Texts of a message as a search sees them: decoded, in lower case.

use chasqui_imap::Date;
use chasqui_mailstore::{BodyPart, MailError};
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::parsers::MessageStream;
use mail_parser::{DateTime, HeaderValue};

use super::super::super::content::{Octets, each_field, field_name};

/// Octets of text that are looked at in one message; a search does not read 50 MB into memory for one.
const TEXT: u64 = 4 << 20;

/// A header's fields.
pub(super) struct Header(Vec<(String, String)>, Option<Date>);

impl Header {
    pub(super) fn new(header: &[u8]) -> Self {
        let mut fields = Vec::new();
        let mut date = None;
        for field in each_field(header) {
            let name = field_name(field);
            let value = field.get(name.len()..).unwrap_or_default();
            let value = value.iter().position(|&b| b == b':').map_or(&b""[..], |colon| &value[colon + 1..]);
            if date.is_none() && name.eq_ignore_ascii_case(b"Date") {
                date = sent(value);
            }
            fields.push((String::from_utf8_lossy(name).into_owned(), decoded(value)));
        }
        Self(fields, date)
    }

    /// The day of the Date field, in its own zone.
    pub(super) fn date(&self) -> Option<Date> {
        self.1
    }

    /// Whether a field of that name holds the text; empty text: whether there is one.
    pub(super) fn field_contains(&self, name: &str, text: &str) -> bool {
        self.0.iter().any(|(field, value)| field.eq_ignore_ascii_case(name) && value.contains(text))
    }

    /// Whether any line of the header holds the text.
    pub(super) fn contains(&self, text: &str) -> bool {
        self.0.iter().any(|(name, value)| {
            // A text such as `subject: hello` spans name and value.
            value.contains(text) || format!("{}: {value}", name.to_lowercase()).contains(text)
        })
    }
}

/// The text parts of a message.
pub(super) async fn of(octets: &mut Octets, body: &BodyPart) -> Result<String, MailError> {
    let mut text = String::new();
    let mut parts = vec![body];
    while let Some(part) = parts.pop() {
        parts.extend(part.parts.iter().rev());
        parts.extend(part.message.iter().map(|nested| &nested.body));
        let left = TEXT.saturating_sub(text.len() as u64);
        if part.media_type != "text" || left == 0 {
            continue;
        }
        let raw = octets.collect(part.body_start..part.body_end, left).await?;
        let plain = match &*part.encoding {
            "base64" => base64_decode(&raw).unwrap_or(raw),
            "quoted-printable" => quoted_printable_decode(&raw).unwrap_or(raw),
            _ => raw,
        };
        let charset =
            part.parameters.iter().find(|(name, _)| name == "charset").map(|(_, value)| value.as_bytes());
        let decoder = charset.and_then(charset_decoder);
        let plain =
            decoder.map_or_else(|| String::from_utf8_lossy(&plain).into_owned(), |decode| decode(&plain));
        text.push_str(&plain.to_lowercase());
        text.push('\n');
    }
    Ok(text)
}

/// A field's value: unfolded, encoded words (RFC 2047) decoded.
fn decoded(value: &[u8]) -> String {
    let mut line = value.trim_ascii_end().to_vec();
    // The parser reads to the end of the line.
    line.push(b'\n');
    match MessageStream::new(&line).parse_unstructured() {
        HeaderValue::Text(text) => text.to_lowercase(),
        _ => String::new(),
    }
}

fn sent(value: &[u8]) -> Option<Date> {
    let mut line = value.trim_ascii_end().to_vec();
    line.push(b'\n');
    let DateTime { year, month, day, .. } = DateTime::parse_rfc822(std::str::from_utf8(&line).ok()?)?;
    Date::new(year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_texts_are_decoded() {
        let header = Header::new(
            b"Subject: =?UTF-8?Q?Canci=C3=B3n?=\r\n del d=C3=ADa\r\nDate: Mon, 7 Feb 1994 21:52:25 -0800\r\nX-Empty:\r\n\r\n",
        );
        assert!(header.field_contains("SUBJECT", "canción"));
        assert!(header.field_contains("x-empty", ""));
        assert!(!header.field_contains("x-none", ""));
        assert!(header.contains("subject: canción"));
        assert_eq!(header.date(), Date::new(1994, 2, 7));
    }
}

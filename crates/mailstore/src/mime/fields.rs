//! Header fields: unfolding, and values with parameters.

use super::addresses::parse_addresses;
use super::{BodyPart, Envelope};

/// Most parameters of one field.
const MAX_PARAMETERS: usize = 100;
/// Most languages of Content-Language.
const MAX_LANGUAGES: usize = 50;

/// The fields of a header block, names in lower case, values unfolded and trimmed.
pub(super) fn fields(header: &[u8]) -> Vec<(String, String)> {
    let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
    for line in header.split_inclusive(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.first().is_some_and(|&b| b == b' ' || b == b'\t') {
            // RFC 5322 §2.2.3: the line end goes, the white space stays.
            if let Some((_, value)) = fields.last_mut() {
                value.extend_from_slice(line);
            }
        } else if let Some(colon) = line.iter().position(|&b| b == b':') {
            let name = String::from_utf8_lossy(&line[..colon]).trim_end().to_ascii_lowercase();
            fields.push((name, line[colon + 1..].to_vec()));
        }
    }
    fields.into_iter().map(|(name, value)| (name, text(&value))).collect()
}

/// A value as text: no NUL, which no IMAP string can hold, and no stray line end.
fn text(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let text: String = text.chars().map(|c| if matches!(c, '\0' | '\r' | '\n') { ' ' } else { c }).collect();
    text.trim_matches([' ', '\t']).to_owned()
}

/// The envelope of a message with this header.
pub(super) fn envelope(fields: &[(String, String)]) -> Envelope {
    // Of a field that may stand once, the first counts.
    let first = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
    let addresses = |name: &str| {
        let mut all = Vec::new();
        for (_, value) in fields.iter().filter(|(field, _)| field == name) {
            parse_addresses(value, &mut all);
        }
        all
    };
    Envelope {
        date: first("date"),
        subject: first("subject"),
        from: addresses("from"),
        sender: addresses("sender"),
        reply_to: addresses("reply-to"),
        to: addresses("to"),
        cc: addresses("cc"),
        bcc: addresses("bcc"),
        in_reply_to: first("in-reply-to"),
        message_id: first("message-id"),
    }
}

/// What a part's header says of it. `digest`: the part stands in a multipart/digest.
pub(super) fn describe(fields: &[(String, String)], digest: bool, part: &mut BodyPart) {
    let first = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    let filled = |name: &str| first(name).filter(|value| !value.is_empty()).map(str::to_owned);
    let content_type = first("content-type").and_then(|value| {
        let (kind, parameters) = value_and_parameters(value);
        let (media_type, subtype) = kind.split_once('/')?;
        let (media_type, subtype) = (media_type.trim(), subtype.trim());
        (is_token(media_type) && is_token(subtype))
            .then(|| (media_type.to_owned(), subtype.to_owned(), parameters))
    });
    (part.media_type, part.subtype, part.parameters) = content_type.unwrap_or_else(|| {
        if digest {
            // RFC 2046 §5.1.5
            ("message".to_owned(), "rfc822".to_owned(), Vec::new())
        } else {
            // RFC 2045 §5.2
            ("text".to_owned(), "plain".to_owned(), vec![("charset".to_owned(), "us-ascii".to_owned())])
        }
    });
    let encoding = first("content-transfer-encoding")
        .map(|value| value_and_parameters(value).0)
        .filter(|value| is_token(value));
    part.encoding = encoding.unwrap_or_else(|| "7bit".to_owned());
    part.id = filled("content-id");
    part.description = filled("content-description");
    part.md5 = filled("content-md5");
    part.location = filled("content-location");
    part.disposition =
        first("content-disposition").map(value_and_parameters).filter(|(value, _)| is_token(value));
    part.language = first("content-language").map_or_else(Vec::new, |value| {
        let languages = value.split(',').map(|each| each.trim().to_owned()).filter(|each| !each.is_empty());
        languages.take(MAX_LANGUAGES).collect()
    });
}

fn is_token(text: &str) -> bool {
    // RFC 2045 §5.1
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
}

/// Splits `value; name=value; name="value"` (RFC 2045 §5.1). Value and names come in lower case.
fn value_and_parameters(text: &str) -> (String, Vec<(String, String)>) {
    let mut pieces = split_outside_quotes(text).into_iter();
    let value = pieces.next().unwrap_or_default().trim().to_ascii_lowercase();
    let mut parameters = Vec::new();
    for piece in pieces.take(MAX_PARAMETERS) {
        if let Some((name, value)) = piece.split_once('=') {
            let name = name.trim().to_ascii_lowercase();
            if is_token(&name) {
                parameters.push((name, unquote(value.trim())));
            }
        }
    }
    (value, parameters)
}

/// The pieces between semicolons, comments left out.
fn split_outside_quotes(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let (mut quoted, mut depth) = (false, 0usize);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let mut escaped = None;
        match c {
            '\\' if quoted || depth > 0 => escaped = chars.next(),
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth > 0 => {
                depth -= 1;
                continue;
            }
            ';' if !quoted && depth == 0 => {
                pieces.push(String::new());
                continue;
            }
            _ => {}
        }
        if depth == 0
            && let Some(piece) = pieces.last_mut()
        {
            piece.push(c);
            piece.extend(escaped);
        }
    }
    pieces
}

fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"') else { return text.to_owned() };
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => plain.extend(chars.next()),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_split_and_unquoted() {
        let (value, parameters) =
            value_and_parameters("Text/Plain (a; comment); Charset=\"utf-8\" ; name=\"a;b \\\"c\\\"\"; x");
        assert_eq!(value, "text/plain");
        assert_eq!(parameters, [("charset".into(), "utf-8".into()), ("name".into(), "a;b \"c\"".into())]);
    }

    #[test]
    fn fields_are_unfolded() {
        let fields = fields(b"Subject: one\r\n\ttwo\r\n three\r\nX:\r\nbroken\r\nTo : a@b\r\n");
        assert_eq!(
            fields,
            [
                ("subject".into(), "one\ttwo three".into()),
                ("x".into(), "".into()),
                ("to".into(), "a@b".into())
            ]
        );
    }

    #[test]
    fn a_senseless_content_type_is_plain_text() {
        for value in ["", "text", "/", "text/", "a b/c", "text/pl\"ain"] {
            let mut part = BodyPart::default();
            describe(&[("content-type".into(), value.into())], false, &mut part);
            assert_eq!((part.media_type.as_str(), part.subtype.as_str()), ("text", "plain"), "{value:?}");
        }
    }
}

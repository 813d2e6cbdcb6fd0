//! One entry of a log, in whatever form it was kept: our text, our JSON, `journalctl -o json` or `-o export`, each also as a
//! syslog server wrote it behind its own prefix.

use chrono::DateTime;
use serde_json::Value;

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Microseconds since 1970; none where the entry does not say.
    pub at: Option<i64>,
    /// The host, where the log says it.
    pub host: Option<String>,
    /// The role or the program.
    pub role: String,
    /// What happened.
    pub event: String,
    /// With which particulars, in their order.
    pub fields: Vec<(String, String)>,
}

impl Entry {
    /// A particular, the first of that name: what a peer said cannot overrule what we wrote before it.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// One line of text or JSON.
    pub fn parse(line: &str) -> Option<Self> {
        let line = line.trim_end();
        match line.find('{') {
            // JSON, maybe behind a syslog prefix. A text line may have a brace too.
            Some(at) if line.ends_with('}') => json(line.get(at..)?, line.get(..at)?).or_else(|| text(line)),
            _ => text(line),
        }
    }

    /// One entry of `journalctl -o export`: names and values.
    pub fn of_journal(fields: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut entry = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "__REALTIME_TIMESTAMP" => entry.at = value.parse().ok(),
                "_HOSTNAME" => entry.host = Some(value),
                "MESSAGE" => entry.event = value,
                "TARGET" => entry.role = role(&value),
                "SYSLOG_IDENTIFIER" if entry.role.is_empty() => entry.role = value,
                // The journal's own.
                name if name.starts_with('_') || matches!(name, "PRIORITY" | "CODE_FILE" | "CODE_LINE") => {}
                _ => entry.fields.push((name.to_ascii_lowercase(), value)),
            }
        }
        entry
    }
}

/// The role whose code wrote it: `chasqui_mx::session` is `mx`.
fn role(target: &str) -> String {
    let own = target.split("::").next().unwrap_or(target);
    own.strip_prefix("chasqui_").unwrap_or(own).to_owned()
}

fn json(text: &str, prefix: &str) -> Option<Entry> {
    let Value::Object(object) = serde_json::from_str(text).ok()? else { return None };
    let plain = |value: Value| match value {
        Value::String(text) => text,
        // journalctl writes what is not UTF-8 as numbers.
        Value::Array(octets) => {
            let octets: Vec<u8> =
                octets.iter().filter_map(|octet| u8::try_from(octet.as_u64()?).ok()).collect();
            String::from_utf8_lossy(&octets).into_owned()
        }
        other => other.to_string(),
    };
    if object.contains_key("__REALTIME_TIMESTAMP") || object.contains_key("MESSAGE") {
        return Some(Entry::of_journal(object.into_iter().map(|(name, value)| (name, plain(value)))));
    }
    let mut entry = Entry { host: host(prefix), ..Entry::default() };
    for (name, value) in object {
        let value = plain(value);
        match name.as_str() {
            "timestamp" => entry.at = time(&value),
            "level" | "threadName" | "threadId" | "span" | "spans" => {}
            "target" => entry.role = role(&value),
            "message" => entry.event = value,
            _ => entry.fields.push((name, value)),
        }
    }
    Some(entry)
}

/// `2026-01-01T00:00:00.000000Z  INFO chasqui_mx::session: message delivery=… reply=250 2.0.0 Ok`
fn text(line: &str) -> Option<Entry> {
    // A syslog server's own time may stand before ours.
    let (level_at, level) = ["INFO ", "WARN ", "ERROR ", "DEBUG ", "TRACE "]
        .into_iter()
        .filter_map(|level| Some((line.find(&format!(" {level}"))? + 1, level)))
        .min()?;
    let before = line.get(..level_at)?.trim_end();
    let (prefix, stamp) = before.rsplit_once(' ').unwrap_or(("", before));
    let rest = line.get(level_at + level.len()..)?.trim_start();
    let (target, rest) = rest.split_once(": ")?;
    let mut entry = Entry { at: time(stamp), host: host(prefix), role: role(target), ..Entry::default() };
    let mut fields = field_starts(rest).into_iter().peekable();
    entry.event = rest.get(..fields.peek().map_or(rest.len(), |field| field.0))?.trim().to_owned();
    while let Some((start, equals)) = fields.next() {
        let end = fields.peek().map_or(rest.len(), |next| next.0);
        let name = rest.get(start..equals)?.trim();
        entry.fields.push((name.to_owned(), unquoted(rest.get(equals + 1..end)?.trim())));
    }
    Some(entry)
}

/// Where fields begin, and where their equals signs are. What stands in quotes is no field.
fn field_starts(text: &str) -> Vec<(usize, usize)> {
    let mut starts = Vec::new();
    let (mut word, mut quoted, mut escaped, mut in_name) = (0, false, false, true);
    for (at, c) in text.char_indices() {
        if quoted {
            quoted = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            ' ' => (word, in_name) = (at + 1, true),
            '=' if in_name && at > word => {
                starts.push((word, at));
                in_name = false;
                quoted = text.get(at + 1..).is_some_and(|value| value.starts_with('"'));
                // The quote itself comes next, and must not end what it begins.
                escaped = quoted;
            }
            c => in_name &= c.is_ascii_lowercase() || matches!(c, '_' | '.') || c.is_ascii_digit(),
        }
    }
    starts
}

/// A value as `Debug` wrote it, or as it stands.
fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some('n' | 'r' | 't') => plain.push(' '),
                Some(c) => plain.push(c),
                None => {}
            },
            c => plain.push(c),
        }
    }
    plain
}

/// The host in what a syslog server put before: `Jan  1 00:00:00 mx1 chasqui-mx[1]:` or `2026-01-01T00:00:00+00:00 mx1 chasqui-mx[1]:`.
fn host(prefix: &str) -> Option<String> {
    let words: Vec<&str> = prefix.split_whitespace().collect();
    let tag = words.iter().position(|word| word.ends_with(':'))?;
    words.get(tag.checked_sub(1)?).map(|host| (*host).to_owned())
}

fn time(stamp: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(stamp).ok().map(|at| at.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "2026-11-22T11:00:00.123456Z  INFO chasqui_mx::session: message delivery=0123456789abcdefghjkmnpqrs \
                        message_id=\"a b=c \\\"d\\\"@example.org\" peer=192.0.2.1 reply=250 2.0.0 Ok, id=7 accepted outcome=\"stored\"";

    #[test]
    fn our_text_is_read_with_and_without_a_syslog_prefix() {
        let entry = Entry::parse(TEXT).unwrap();
        assert_eq!((entry.role.as_str(), entry.event.as_str(), entry.host.clone()), ("mx", "message", None));
        assert_eq!(entry.field("message_id"), Some("a b=c \"d\"@example.org"));
        assert_eq!(entry.field("outcome"), Some("stored"));
        assert!(entry.field("reply").unwrap().starts_with("250 2.0.0 Ok"));
        assert_eq!(entry.at, Some(1_795_345_200_123_456));
        for prefix in ["Nov 22 11:00:01 mx1 chasqui-mx[77]: ", "2026-11-22T11:00:01+00:00 mx1 chasqui[77]: "]
        {
            let behind = Entry::parse(&format!("{prefix}{TEXT}")).unwrap();
            assert_eq!(behind, Entry { host: Some("mx1".into()), ..entry.clone() });
        }
    }

    #[test]
    fn our_json_and_the_journals_say_the_same() {
        let ours = r#"{"timestamp":"2026-11-22T11:00:00.123456Z","level":"INFO","message":"stored","delivery":"x","uid":7,"target":"chasqui_storage::lmtp"}"#;
        let journal = r#"{"__REALTIME_TIMESTAMP":"1795345200123456","_HOSTNAME":"s1","MESSAGE":"stored","TARGET":"chasqui_storage::lmtp","DELIVERY":"x","UID":[55],"PRIORITY":"6"}"#;
        let (ours, journal) = (Entry::parse(ours).unwrap(), Entry::parse(journal).unwrap());
        assert_eq!(journal, Entry { host: Some("s1".into()), ..ours.clone() });
        assert_eq!((ours.field("uid"), ours.role.as_str()), (Some("7"), "storage"));
    }

    #[test]
    fn what_a_peer_said_does_not_overrule_what_we_wrote() {
        let line = "2026-11-22T11:00:00Z  INFO chasqui_relay::queue::settle: delivered delivery=mine reply=250 ok delivery=yours";
        assert_eq!(Entry::parse(line).unwrap().field("delivery"), Some("mine"));
    }

    proptest! {
        #[test]
        fn any_line_is_an_entry_or_none(line in "\\PC{0,200}", cut in 0_usize..300) {
            let _ = Entry::parse(&line);
            let cut = TEXT.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(TEXT.len());
            let _ = Entry::parse(&format!("{}{line}", &TEXT[..cut]));
        }
    }
}

//! The header of a message that a user hands in: bounds, what must be there, what is added and removed (RFC 6409 §8).

use super::addresses;
use crate::sign::fields::{Field, fields};
use chasqui_base::{DeliveryId, EmailAddress};
use chasqui_smtp::Reply;
use chrono::{DateTime, Utc};

/// Addresses in `From`: each is asked about at the directory.
const AUTHORS: usize = 10;
/// Octets of a Message-ID that logs show.
const SHOWN: usize = 250;

/// Never more than once (RFC 5322 §3.6). Those who receive the message would choose differently among several.
const ONCE: [&str; 10] =
    ["From", "Sender", "Reply-To", "To", "Cc", "Message-ID", "In-Reply-To", "References", "Subject", "Date"];

/// Not for the recipients' eyes (RFC 5322 §3.6.3), or only the last hop's to write (RFC 5321 §4.4).
const REMOVED: [&str; 3] = ["Bcc", "Resent-Bcc", "Return-Path"];

const NO_FROM: Reply = Reply::fixed(554, (5, 6, 0), "The message has no From field (RFC 5322 §3.6)");
const BAD_FROM: Reply =
    Reply::fixed(554, (5, 6, 0), "The From or Sender field is no list of addresses (RFC 5322 §3.4)");
const NO_SENDER: Reply =
    Reply::fixed(554, (5, 6, 0), "A message with several authors needs a Sender field (RFC 5322 §3.6.2)");
const EIGHT_BIT: Reply =
    Reply::fixed(554, (5, 6, 9), "The header has octets above 127, which need SMTPUTF8 (RFC 6531)");
const BARE: Reply = Reply::fixed(550, (5, 6, 11), "The header holds a bare CR, a bare LF or a NUL");
const NOT_UTF8: Reply = Reply::fixed(554, (5, 6, 9), "The header is not UTF-8 (RFC 6532)");

/// What completing needs to know.
pub(crate) struct Facts<'a> {
    /// Ours, for a new Message-ID.
    pub hostname: &'a str,
    /// The message's.
    pub id: DeliveryId,
    /// Now.
    pub at: DateTime<Utc>,
    /// The transaction has SMTPUTF8.
    pub smtputf8: bool,
    /// Fields that a header may have.
    pub most: usize,
}

/// A completed header.
#[derive(Debug)]
pub(crate) struct Completed {
    /// The fields, each with its CR LF; not the empty line.
    pub octets: Vec<u8>,
    /// The addresses of `From` and `Sender`, all of which must belong to the user. The first is the first author's.
    pub senders: Vec<EmailAddress>,
    /// The Message-ID without its brackets, for logs.
    pub message_id: String,
}

/// Checks and completes `header`, which ends before the empty line. On an error, what the client is told.
pub(crate) fn complete(header: &[u8], facts: &Facts<'_>) -> Result<Completed, Reply> {
    // A text in BINARYMIME may have such octets, but no header: others take them for ends of lines.
    if has_bare_octets(header) {
        return Err(BARE);
    }
    if !header.is_ascii() {
        if !facts.smtputf8 {
            return Err(EIGHT_BIT);
        }
        std::str::from_utf8(header).map_err(|_| NOT_UTF8)?;
    }
    let mut completed = Completed {
        octets: Vec::with_capacity(header.len() + 160),
        senders: Vec::new(),
        message_id: String::new(),
    };
    let mut seen = [false; ONCE.len()];
    let mut dated = false;
    for (index, field) in fields(header).enumerate() {
        let field = field.map_err(|error| Reply::new(554, (5, 6, 0), capital(&error.to_string())))?;
        if index == facts.most {
            return Err(Reply::new(
                554,
                (5, 6, 0),
                format!("The header has more than {} fields", facts.most),
            ));
        }
        if let Some((name, seen)) = ONCE.iter().zip(&mut seen).find(|(name, _)| field.is(name))
            && std::mem::replace(seen, true)
        {
            return Err(Reply::new(
                554,
                (5, 6, 0),
                format!("The header has more than one {name} field (RFC 5322 §3.6)"),
            ));
        }
        if REMOVED.iter().any(|name| field.is(name)) {
            continue;
        }
        let empty = field.value.iter().all(u8::is_ascii_whitespace);
        if field.is("Date") {
            dated = !empty;
        } else if field.is("Message-ID") {
            completed.message_id = shown(&field);
        }
        // An empty one says nothing, and could not stand beside the one that is added.
        if !(empty && (field.is("Date") || field.is("Message-ID"))) {
            completed.octets.extend_from_slice(field.whole);
        }
    }
    completed.senders = senders(header)?;
    if !completed.octets.ends_with(b"\r\n") {
        completed.octets.extend_from_slice(b"\r\n");
    }
    if !dated {
        let date = format!("Date: {}\r\n", facts.at.format("%a, %d %b %Y %H:%M:%S +0000"));
        completed.octets.extend_from_slice(date.as_bytes());
    }
    if completed.message_id.is_empty() {
        completed.message_id = format!("{}@{}", facts.id, facts.hostname);
        completed.octets.extend_from_slice(format!("Message-ID: <{}>\r\n", completed.message_id).as_bytes());
    }
    Ok(completed)
}

fn has_bare_octets(header: &[u8]) -> bool {
    let mut before = 0;
    for &octet in header {
        if octet == 0 || (octet == b'\n') != (before == b'\r') {
            return true;
        }
        before = octet;
    }
    before == b'\r'
}

/// The Message-ID of a header that is passed on as it is, for logs.
pub(crate) fn message_id(header: &[u8]) -> Option<String> {
    let field = fields(header).map_while(Result::ok).find(|field| field.is("Message-ID"))?;
    Some(shown(&field)).filter(|id| !id.is_empty())
}

/// The first address of `From` of a header that is passed on as it is.
pub(crate) fn author(header: &[u8]) -> Option<EmailAddress> {
    let field = fields(header).map_while(Result::ok).find(|field| field.is("From"))?;
    let found = addresses::parse(std::str::from_utf8(field.value).ok()?, AUTHORS).ok()?;
    found.into_iter().next()
}

fn senders(header: &[u8]) -> Result<Vec<EmailAddress>, Reply> {
    let list = |name: &str, most: usize| {
        let field = fields(header).map_while(Result::ok).find(|field| field.is(name))?;
        let value = std::str::from_utf8(field.value).map_err(|_| BAD_FROM);
        Some(value.and_then(|value| addresses::parse(value, most).map_err(|_| BAD_FROM)))
    };
    let mut senders = list("From", AUTHORS).ok_or(NO_FROM)??;
    match list("Sender", 1).transpose()? {
        Some(sender) => senders.extend(sender),
        None if senders.len() > 1 => return Err(NO_SENDER),
        None => {}
    }
    Ok(senders)
}

/// A Message-ID as logs show it: without brackets, printable, not too long.
fn shown(field: &Field<'_>) -> String {
    let text = String::from_utf8_lossy(field.value);
    let text = text.trim();
    let inner = text.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(text, |(id, _)| id);
    inner.chars().filter(|c| !c.is_control() && !c.is_whitespace()).take(SHOWN).collect()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts() -> Facts<'static> {
        Facts {
            hostname: "relay.example.org",
            id: DeliveryId::from_bytes([0; 16]),
            at: DateTime::from_timestamp(1_000_000_000, 0).unwrap(),
            smtputf8: false,
            most: 20,
        }
    }

    fn completed(header: &str) -> String {
        String::from_utf8(complete(header.as_bytes(), &facts()).unwrap().octets).unwrap()
    }

    fn refused(header: &[u8]) -> String {
        complete(header, &facts()).unwrap_err().to_string()
    }

    #[test]
    fn date_and_message_id_are_added_where_they_lack() {
        assert_eq!(
            completed("From: ana@example.org\r\nSubject: x\r\n"),
            "From: ana@example.org\r\nSubject: x\r\nDate: Sun, 09 Sep 2001 01:46:40 +0000\r\n\
             Message-ID: <00000000000000000000000000@relay.example.org>\r\n"
        );
        let whole = "From: ana@example.org\r\nDATE: yesterday\r\nmessage-id:\r\n <x@y>\r\n";
        assert_eq!(completed(whole), whole);
        assert_eq!(complete(whole.as_bytes(), &facts()).unwrap().message_id, "x@y");
        let empty = completed("Date: \r\nFrom: ana@example.org\r\nMessage-ID:\r\n\t\r\n");
        assert!(empty.starts_with("From:") && empty.matches("Date:").count() == 1, "{empty}");
    }

    #[test]
    fn blind_copies_and_return_paths_are_removed() {
        let header = "Return-Path: <x@y>\r\nBcc: secreto@example.org,\r\n otro@example.org\r\nFrom: a@example.org\r\nresent-bcc: b@c\r\n";
        let done = completed(header);
        assert!(done.starts_with("From: a@example.org\r\nDate:"), "{done}");
        assert!(!done.contains("secreto") && !done.contains("otro") && !done.contains("b@c"), "{done}");
    }

    #[test]
    fn everybody_in_from_and_sender_is_named() {
        let header = b"From: a@example.org, B <b@example.org>\r\nSender: c@example.org\r\n";
        let senders = complete(header, &facts()).unwrap().senders;
        assert_eq!(
            senders.iter().map(EmailAddress::as_str).collect::<Vec<_>>(),
            ["a@example.org", "b@example.org", "c@example.org"]
        );
        assert_eq!(author(header).unwrap().as_str(), "a@example.org");
    }

    #[test]
    fn a_header_that_nobody_could_answer_for_is_refused() {
        for (header, says) in [
            ("", "no From"),
            ("Subject: x\r\n", "no From"),
            ("From: \r\n", "no list"),
            ("From: Ana\r\n", "no list"),
            ("From: a@b.example\r\nfrom: c@d.example\r\n", "more than one From"),
            ("From: a@b.example\r\nSubject: x\r\nSubject: y\r\n", "more than one Subject"),
            ("From: a@b.example, c@d.example\r\n", "needs a Sender"),
            ("From: a@b.example\r\nSender: a@b.example, c@d.example\r\n", "no list"),
            ("From: a@b.example\r\nhola\r\n", "554 5.6.0 Line 2 of the header is no field"),
            ("From : a@b.example\r\n", "Line 1"),
            ("From: Ñ <a@b.example>\r\n", "554 5.6.9 The header has octets above 127"),
            ("From: a@b.example\nBcc: x\r\n", "bare"),
            ("From: a@b.example\rBcc: x\r\n", "bare"),
            ("From: a@b.example\0\r\n", "bare"),
            ("From: a@b.example\r", "bare"),
        ] {
            let says_so = refused(header.as_bytes());
            assert!(says_so.contains(says), "{header:?}: {says_so}");
        }
        let many = format!("From: a@b.example\r\n{}", "X: y\r\n".repeat(20));
        assert!(refused(many.as_bytes()).contains("more than 20 fields"));
    }

    #[test]
    fn with_smtputf8_a_header_is_utf8() {
        let facts = Facts { smtputf8: true, ..facts() };
        let done = complete("From: Ñandú <ñandú@example.org>\r\n".as_bytes(), &facts).unwrap();
        assert_eq!(done.senders[0].as_str(), "ñandú@example.org");
        assert_eq!(complete(b"From: \xff <a@example.org>\r\n", &facts).unwrap_err(), NOT_UTF8);
    }

    proptest! {
        #[test]
        fn what_is_completed_is_complete_and_stays_so(parts in proptest::collection::vec(proptest::sample::select(vec![
            "From: ana@example.org\r\n", "Date: x\r\n", "Message-ID: <a@b>\r\n", "Bcc: b@c\r\n", "Subject: x\r\n y\r\n",
            "Return-Path:\r\n", " folded\r\n", "X:\r\n", "\r\n", "\n", "ñ", ":", "Sender: Ana <a@b.example>\r\n", "\0",
        ]), 0..12)) {
            let header = parts.concat();
            let facts = Facts { smtputf8: true, ..facts() };
            if let Ok(done) = complete(header.as_bytes(), &facts) {
                let names: Vec<_> = fields(&done.octets).map(|field| field.unwrap().name.to_ascii_lowercase()).collect();
                for name in ["from", "date", "message-id"] {
                    prop_assert_eq!(names.iter().filter(|found| *found == name).count(), 1);
                }
                prop_assert!(!names.iter().any(|name| name == "bcc" || name == "return-path"));
                let again = complete(&done.octets, &facts).unwrap();
                prop_assert_eq!(again.octets, done.octets);
                prop_assert_eq!(again.message_id, done.message_id);
            }
        }
    }
}

//! ENVELOPE and BODYSTRUCTURE: what a message looks like (RFC 3501 §7.4.2).
//!
//! The types borrow, so that a caller can print from whatever form it keeps.

use std::borrow::Cow;

use crate::write::{nstring, number, string};

/// Names and values, in their order.
pub type Parameters<'a> = Vec<(Cow<'a, [u8]>, Cow<'a, [u8]>)>;

/// The envelope structure. Texts are as in the header, RFC 2047 words not decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The Date field.
    pub date: Option<Cow<'a, [u8]>>,
    /// The Subject field.
    pub subject: Option<Cow<'a, [u8]>>,
    /// The From field.
    pub from: Vec<Address<'a>>,
    /// The Sender field; empty: printed as `from` (RFC 3501 §7.4.2).
    pub sender: Vec<Address<'a>>,
    /// The Reply-To field; empty: printed as `from`.
    pub reply_to: Vec<Address<'a>>,
    /// The To field.
    pub to: Vec<Address<'a>>,
    /// The Cc field.
    pub cc: Vec<Address<'a>>,
    /// The Bcc field.
    pub bcc: Vec<Address<'a>>,
    /// The In-Reply-To field.
    pub in_reply_to: Option<Cow<'a, [u8]>>,
    /// The Message-ID field.
    pub message_id: Option<Cow<'a, [u8]>>,
}

/// An address structure. A group begins with one that has a mailbox (its name) and no host, and ends with one that has neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address<'a> {
    /// The personal name.
    pub name: Option<Cow<'a, [u8]>>,
    /// The local part.
    pub mailbox: Option<Cow<'a, [u8]>>,
    /// The domain.
    pub host: Option<Cow<'a, [u8]>>,
}

/// One body part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyStructure<'a> {
    /// What is in it.
    pub kind: PartKind<'a>,
    /// Media subtype.
    pub subtype: Cow<'a, [u8]>,
    /// Parameters of Content-Type.
    pub parameters: Parameters<'a>,
    /// Content-ID.
    pub id: Option<Cow<'a, [u8]>>,
    /// Content-Description.
    pub description: Option<Cow<'a, [u8]>>,
    /// Content-Transfer-Encoding; `7BIT` if there is none.
    pub encoding: Cow<'a, [u8]>,
    /// Octets of the body, encoded.
    pub size: u64,
    /// Content-MD5.
    pub md5: Option<Cow<'a, [u8]>>,
    /// Content-Disposition.
    pub disposition: Option<Disposition<'a>>,
    /// Content-Language.
    pub language: Vec<Cow<'a, [u8]>>,
    /// Content-Location.
    pub location: Option<Cow<'a, [u8]>>,
}

/// What kind of part it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartKind<'a> {
    /// `text/*`: lines of the body.
    Text {
        /// Lines.
        lines: u64,
    },
    /// `message/rfc822` (and `message/global`).
    Message {
        /// Envelope of the message within.
        envelope: Box<Envelope<'a>>,
        /// Its structure.
        body: Box<BodyStructure<'a>>,
        /// Lines.
        lines: u64,
    },
    /// `multipart/*`; printed as one empty text part if it has none, as the grammar wants at least one.
    Multipart(Vec<BodyStructure<'a>>),
    /// Anything else, by its media type.
    Basic(Cow<'a, [u8]>),
}

/// A content disposition with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposition<'a> {
    /// `attachment`, `inline`, …
    pub kind: Cow<'a, [u8]>,
    /// Parameters.
    pub parameters: Parameters<'a>,
}

impl Envelope<'_> {
    /// Appends the wire form.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'(');
        nstring(out, self.date.as_deref());
        out.push(b' ');
        nstring(out, self.subject.as_deref());
        let or_from = |list: &'_ Vec<Address<'_>>| list.is_empty();
        for list in [
            &self.from,
            if or_from(&self.sender) { &self.from } else { &self.sender },
            if or_from(&self.reply_to) { &self.from } else { &self.reply_to },
            &self.to,
            &self.cc,
            &self.bcc,
        ] {
            out.push(b' ');
            addresses(out, list);
        }
        out.push(b' ');
        nstring(out, self.in_reply_to.as_deref());
        out.push(b' ');
        nstring(out, self.message_id.as_deref());
        out.push(b')');
    }
}

fn addresses(out: &mut Vec<u8>, list: &[Address<'_>]) {
    if list.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    out.push(b'(');
    for address in list {
        out.push(b'(');
        nstring(out, address.name.as_deref());
        // addr-adl: source routes are obsolete (RFC 5322 §4.4) and not kept.
        out.extend_from_slice(b" NIL ");
        nstring(out, address.mailbox.as_deref());
        out.push(b' ');
        nstring(out, address.host.as_deref());
        out.push(b')');
    }
    out.push(b')');
}

impl BodyStructure<'_> {
    /// Appends the wire form: with extension data for `BODYSTRUCTURE`, without for `BODY`. Depth is the caller's concern: a message is
    /// parsed with a limit on nesting.
    pub fn write(&self, out: &mut Vec<u8>, extended: bool) {
        out.push(b'(');
        match &self.kind {
            PartKind::Multipart(parts) => {
                for part in parts {
                    part.write(out, extended);
                }
                if parts.is_empty() {
                    out.extend_from_slice(b"(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 0 0)");
                }
                out.push(b' ');
                string(out, &self.subtype);
                if extended {
                    out.push(b' ');
                    parameters(out, &self.parameters);
                    self.tail(out);
                }
            }
            kind => {
                let media = match kind {
                    PartKind::Text { .. } => &b"text"[..],
                    PartKind::Message { .. } => b"message",
                    PartKind::Basic(media) => media,
                    PartKind::Multipart(_) => b"multipart",
                };
                string(out, media);
                out.push(b' ');
                string(out, &self.subtype);
                out.push(b' ');
                parameters(out, &self.parameters);
                out.push(b' ');
                nstring(out, self.id.as_deref());
                out.push(b' ');
                nstring(out, self.description.as_deref());
                out.push(b' ');
                string(out, &self.encoding);
                out.push(b' ');
                number(out, self.size);
                match kind {
                    PartKind::Text { lines } => {
                        out.push(b' ');
                        number(out, *lines);
                    }
                    PartKind::Message { envelope, body, lines } => {
                        out.push(b' ');
                        envelope.write(out);
                        out.push(b' ');
                        body.write(out, extended);
                        out.push(b' ');
                        number(out, *lines);
                    }
                    _ => {}
                }
                if extended {
                    out.push(b' ');
                    nstring(out, self.md5.as_deref());
                    self.tail(out);
                }
            }
        }
        out.push(b')');
    }

    /// Disposition, language, location: the extension data that every part has.
    fn tail(&self, out: &mut Vec<u8>) {
        match &self.disposition {
            None => out.extend_from_slice(b" NIL"),
            Some(disposition) => {
                out.extend_from_slice(b" (");
                string(out, &disposition.kind);
                out.push(b' ');
                parameters(out, &disposition.parameters);
                out.push(b')');
            }
        }
        match &self.language[..] {
            [] => out.extend_from_slice(b" NIL"),
            languages => {
                for (i, language) in languages.iter().enumerate() {
                    out.extend_from_slice(if i == 0 { b" (" } else { b" " });
                    string(out, language);
                }
                out.push(b')');
            }
        }
        out.push(b' ');
        nstring(out, self.location.as_deref());
    }
}

fn parameters(out: &mut Vec<u8>, list: &Parameters<'_>) {
    if list.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    for (i, (name, value)) in list.iter().enumerate() {
        out.push(if i == 0 { b'(' } else { b' ' });
        string(out, name);
        out.push(b' ');
        string(out, value);
    }
    out.push(b')');
}

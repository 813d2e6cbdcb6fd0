//! Envelope and body structure of a message: what IMAP's ENVELOPE and BODYSTRUCTURE need, and where each part's octets lie.
//!
//! [`Scanner`] takes a message in pieces of any size and holds only headers and the open boundaries, never the content: the
//! structure of a 50 MB message costs no 50 MB. Header texts stay as they are on the wire (encoded words, RFC 2231 parameters),
//! because that is what IMAP hands to the client. `mail-parser` decodes all of it and needs the whole message in memory, so it
//! is what the tests compare with, not what runs here.

mod addresses;
mod fields;
mod scan;

pub use scan::{Limits, Scanner, summarize};

/// An address of an envelope (RFC 9051 §7.5.2). Texts are as in the header: encoded words (RFC 2047) are not decoded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Address {
    /// The display name.
    pub name: Option<String>,
    /// The source route, obsolete.
    pub route: Option<String>,
    /// The local part. In a group's start it is the group's name, in a group's end it is none.
    pub mailbox: Option<String>,
    /// The domain; none marks a group's start or end.
    pub host: Option<String>,
}

/// The envelope of a message (RFC 9051 §7.5.2). Texts are unfolded and otherwise as in the header. `sender` and `reply_to` are
/// those of the header; when empty, IMAP takes `from` for them (see [`Envelope::sender_or_from`]).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Envelope {
    /// The Date field.
    pub date: Option<String>,
    /// The Subject field.
    pub subject: Option<String>,
    /// The From field.
    pub from: Vec<Address>,
    /// The Sender field.
    pub sender: Vec<Address>,
    /// The Reply-To field.
    pub reply_to: Vec<Address>,
    /// The To field.
    pub to: Vec<Address>,
    /// The Cc field.
    pub cc: Vec<Address>,
    /// The Bcc field.
    pub bcc: Vec<Address>,
    /// The In-Reply-To field.
    pub in_reply_to: Option<String>,
    /// The Message-ID field.
    pub message_id: Option<String>,
}

impl Envelope {
    /// The Sender, or From where there is none (RFC 9051 §7.5.2).
    pub fn sender_or_from(&self) -> &[Address] {
        if self.sender.is_empty() { &self.from } else { &self.sender }
    }

    /// The Reply-To, or From where there is none (RFC 9051 §7.5.2).
    pub fn reply_to_or_from(&self) -> &[Address] {
        if self.reply_to.is_empty() { &self.from } else { &self.reply_to }
    }
}

/// A part of a message, or the message itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BodyPart {
    /// Media type in lower case: `text`.
    pub media_type: String,
    /// Media subtype in lower case: `plain`.
    pub subtype: String,
    /// Parameters of Content-Type; names in lower case.
    pub parameters: Vec<(String, String)>,
    /// Content-ID.
    pub id: Option<String>,
    /// Content-Description.
    pub description: Option<String>,
    /// Content-Transfer-Encoding in lower case; `7bit` where there is none.
    pub encoding: String,
    /// Content-MD5.
    pub md5: Option<String>,
    /// Content-Disposition: the type in lower case, and its parameters.
    pub disposition: Option<(String, Vec<(String, String)>)>,
    /// Content-Language.
    pub language: Vec<String>,
    /// Content-Location.
    pub location: Option<String>,
    /// Where the part's header starts in the message file, in octets. The header ends, with its empty line, at `body_start`.
    pub header_start: u64,
    /// Where the part's body starts.
    pub body_start: u64,
    /// Where the part's body ends (exclusive); without the line end that belongs to the next boundary (RFC 2046 §5.1.1).
    pub body_end: u64,
    /// Line ends in the body: of a text or a message.
    pub lines: u64,
    /// The parts of a multipart, in order; never empty for one.
    pub parts: Vec<BodyPart>,
    /// The message that a message/rfc822 or message/global part holds.
    pub message: Option<Box<Nested>>,
}

impl BodyPart {
    /// Octets of the body, as encoded.
    pub fn size(&self) -> u64 {
        self.body_end - self.body_start
    }

    /// Whether this is a multipart.
    pub fn is_multipart(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The part of this IMAP part number, `&[1, 2]` for `1.2` (RFC 9051 §6.4.5.1), where `self` is the body of a whole message.
    /// The parts of a multipart count; of a message/rfc822 the parts of the message inside; a message whose body is no multipart
    /// has that body as its part 1. An empty number is the body itself.
    pub fn find(&self, number: &[u32]) -> Option<&BodyPart> {
        let mut part = self;
        let mut level = self.as_level();
        for &n in number {
            part = level.get((n as usize).checked_sub(1)?)?;
            level = match &part.message {
                Some(nested) => nested.body.as_level(),
                None => &part.parts,
            };
        }
        Some(part)
    }

    fn as_level(&self) -> &[BodyPart] {
        if self.is_multipart() { &self.parts } else { std::slice::from_ref(self) }
    }
}

/// A message inside a message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Nested {
    /// Its envelope.
    pub envelope: Envelope,
    /// Its structure; `header_start` is where the inner message starts.
    pub body: BodyPart,
}

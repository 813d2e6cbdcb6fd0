//! The store's view of a message's structure in the form that the wire prints.

use std::borrow::Cow;

use chasqui_imap as wire;
use chasqui_mailstore::{Address, BodyPart, Envelope};

type Text<'a> = Cow<'a, [u8]>;

pub(super) fn envelope(envelope: &Envelope) -> wire::Envelope<'_> {
    wire::Envelope {
        date: optional(&envelope.date),
        subject: optional(&envelope.subject),
        from: addresses(&envelope.from),
        sender: addresses(&envelope.sender),
        reply_to: addresses(&envelope.reply_to),
        to: addresses(&envelope.to),
        cc: addresses(&envelope.cc),
        bcc: addresses(&envelope.bcc),
        in_reply_to: optional(&envelope.in_reply_to),
        message_id: optional(&envelope.message_id),
    }
}

pub(super) fn body(part: &BodyPart) -> wire::BodyStructure<'_> {
    let mut subtype = text(&part.subtype);
    let kind = if part.is_multipart() {
        wire::PartKind::Multipart(part.parts.iter().map(body).collect())
    } else if let Some(nested) = &part.message {
        wire::PartKind::Message {
            envelope: Box::new(envelope(&nested.envelope)),
            body: Box::new(body(&nested.body)),
            lines: part.lines,
        }
    } else if part.media_type == "text" {
        wire::PartKind::Text { lines: part.lines }
    } else if part.media_type == "message" && matches!(&*part.subtype, "rfc822" | "global") {
        // A message that was nested too deeply to be looked into: its type would promise an envelope.
        subtype = text("octet-stream");
        wire::PartKind::Basic(text("application"))
    } else {
        wire::PartKind::Basic(text(&part.media_type))
    };
    wire::BodyStructure {
        kind,
        subtype,
        parameters: parameters(&part.parameters),
        id: optional(&part.id),
        description: optional(&part.description),
        encoding: text(&part.encoding),
        size: part.size(),
        md5: optional(&part.md5),
        disposition: part
            .disposition
            .as_ref()
            .map(|(kind, list)| wire::Disposition { kind: text(kind), parameters: parameters(list) }),
        language: part.language.iter().map(|language| text(language)).collect(),
        location: optional(&part.location),
    }
}

fn addresses(list: &[Address]) -> Vec<wire::Address<'_>> {
    list.iter().map(address).collect()
}

fn address(Address { name, mailbox, host, .. }: &Address) -> wire::Address<'_> {
    wire::Address { name: optional(name), mailbox: optional(mailbox), host: optional(host) }
}

fn parameters(list: &[(String, String)]) -> Vec<(Text<'_>, Text<'_>)> {
    list.iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn optional(value: &Option<String>) -> Option<Text<'_>> {
    value.as_deref().map(text)
}

fn text(value: &str) -> Text<'_> {
    Cow::Borrowed(value.as_bytes())
}

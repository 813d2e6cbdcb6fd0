//! Notices to senders: failed, delayed, delivered (RFC 3461, RFC 3462, RFC 3464, RFC 6533).
//!
//! A notice is a message of its own: from `MAILER-DAEMON`, with the null reverse path, so that nothing is ever sent about it, and with an id
//! made from the message's and its recipients, so that it is the same message however often it is made.

mod parts;
mod text;

use crate::{
    config,
    message::{BodyKind, Envelope, Recipient, Returns, Source},
    queue::original,
};
use chasqui_base::DeliveryId;
use chasqui_courier::Content;
use chasqui_smtp::{Reply, ReversePath};
use std::{fmt::Write as _, io, time::Duration};

/// What a notice is about.
pub struct About<'a> {
    /// The message's.
    pub envelope: &'a Envelope,
    /// The message's text.
    pub content: &'a Content,
    /// Ours.
    pub hostname: &'a str,
    /// How notices are written.
    pub settings: &'a config::Notice,
    /// Seconds since 1970.
    pub now: u64,
    /// How long the notice is tried.
    pub lifetime: Duration,
}

/// Why a notice is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Recipients will not get the message.
    Failure,
    /// They do not have it yet.
    Delay {
        /// Seconds since 1970 until which it is tried.
        until: u64,
    },
    /// They have it, and the sender wanted to hear of that.
    Success,
}

/// What became of a recipient (RFC 3464 §2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It will not get the message.
    Failed,
    /// It does not have it yet.
    Delayed,
    /// It is in its mailbox.
    Delivered,
    /// It went to a host that tells nothing of deliveries.
    Relayed,
    /// It stands for several others, to whom it went.
    Expanded,
}

/// What the sender is told of one recipient.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its index in the envelope.
    pub number: u32,
    /// Who.
    pub recipient: Recipient,
    /// What became of it.
    pub action: Action,
    /// What is said of it: its enhanced code is the status.
    pub status: Reply,
    /// What the other side said last.
    pub said: Option<Reply>,
    /// Who that was.
    pub remote: Option<String>,
    /// Seconds since 1970 of the last attempt.
    pub last_attempt: Option<u64>,
}

impl Kind {
    /// Its name in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Delay { .. } => "delay",
            Self::Success => "success",
        }
    }
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }
}

/// The header of a message, cut where it is very long.
///
/// # Errors
/// When the message cannot be read.
pub async fn header_of(content: &Content) -> io::Result<Vec<u8>> {
    parts::header(content).await
}

/// Writes the notice.
///
/// # Errors
/// When the message cannot be read.
pub async fn compose(about: &About<'_>, kind: Kind, told: &[Told]) -> io::Result<(Envelope, Content)> {
    let envelope = about.envelope;
    let id = notice_id(envelope.id, kind, told);
    let whole = kind == Kind::Failure
        && envelope.returns == Some(Returns::Full)
        && envelope.body != BodyKind::Binary
        && about.content.len() <= about.settings.full_up_to.as_u64();
    let original =
        if whole { parts::whole(about.content).await? } else { parts::header(about.content).await? };
    // Who sent SMTPUTF8 is asked whether it can be answered so (RFC 6533 §4).
    let utf8 = envelope.smtputf8;

    let boundary = format!("{id}/{}", about.hostname);
    let mut head = String::new();
    let sender = envelope.reverse_path.as_str();
    // Writing to a String cannot fail.
    let _ = write!(
        head,
        "Date: {}\r\nFrom: Mail Delivery System <MAILER-DAEMON@{host}>\r\nTo: <{sender}>\r\n\
         Subject: {}\r\nMessage-ID: <{id}@{host}>\r\n",
        parts::date(about.now),
        text::subject(kind, &about.settings.languages),
        host = about.hostname,
    );
    if let Some(message_id) = envelope.message_id.as_deref().filter(|id| parts::is_message_id(id)) {
        let _ = write!(head, "In-Reply-To: <{message_id}>\r\nReferences: <{message_id}>\r\n");
    }
    // RFC 3834 §5; RFC 3462 §1.
    let _ = write!(
        head,
        "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n\r\n"
    );
    let mut body = head.into_bytes();
    let part = |body: &mut Vec<u8>, kind: &str, encoding: &str| {
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n")
                .as_bytes(),
        );
    };
    part(&mut body, "text/plain; charset=utf-8", "quoted-printable");
    parts::quoted_printable(&text::explain(about, kind, told), &mut body);
    body.extend_from_slice(b"\r\n");

    let report = if utf8 { "message/global-delivery-status" } else { "message/delivery-status" };
    part(&mut body, report, if utf8 { "8bit" } else { "7bit" });
    body.extend_from_slice(status_fields(about, kind, told, utf8).as_bytes());
    body.extend_from_slice(b"\r\n");

    let eight_bit = !original.is_ascii();
    let (media, original) = match (whole, utf8) {
        (true, true) => ("message/global", original),
        (true, false) => ("message/rfc822", original),
        (false, true) => ("message/global-headers", original),
        // What is not ASCII in a header without SMTPUTF8 is in no known charset.
        (false, false) => ("text/rfc822-headers", parts::to_ascii(original)),
    };
    part(&mut body, media, if eight_bit && (whole || utf8) { "8bit" } else { "7bit" });
    body.extend_from_slice(&original);
    if !body.ends_with(b"\r\n") {
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());

    let eight_bit = !body.is_ascii();
    let notice = Envelope {
        id,
        reverse_path: ReversePath::Null,
        recipients: vec![Recipient {
            address: sender.to_owned(),
            notify: crate::message::Notify { success: false, failure: false, delay: false, explicit: true },
            original: None,
        }],
        smtputf8: utf8 && eight_bit || !envelope.reverse_path.is_ascii(),
        body: if eight_bit { BodyKind::EightBitMime } else { BodyKind::SevenBit },
        // RFC 8689 §5: a notice about such a message returns its header only under the same promise.
        require_tls: envelope.require_tls,
        envelope_id: None,
        returns: None,
        priority: envelope.priority,
        received: about.now,
        not_before: None,
        expires: about.now.saturating_add(about.lifetime.as_secs()),
        source: Source::Own,
        message_id: Some(format!("{id}@{}", about.hostname)),
    };
    Ok((notice, Content::Memory(body)))
}

/// The same for the same message, kind and recipients.
fn notice_id(message: DeliveryId, kind: Kind, told: &[Told]) -> DeliveryId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&message.to_bytes()).update(kind.name().as_bytes());
    for told in told {
        hasher.update(&told.number.to_be_bytes());
    }
    // The message's time stays in front, so that it sorts where it belongs.
    let mut bytes = message.to_bytes();
    let digest = hasher.finalize();
    for (byte, chance) in bytes.iter_mut().skip(6).zip(digest.as_bytes()) {
        *byte = *chance;
    }
    DeliveryId::from_bytes(bytes)
}

/// The fields for machines (RFC 3464 §2.2, §2.3).
fn status_fields(about: &About<'_>, kind: Kind, told: &[Told], utf8: bool) -> String {
    let mut fields = String::new();
    if let Some(id) = &about.envelope.envelope_id {
        let _ = write!(fields, "Original-Envelope-Id: {}\r\n", parts::one_line(id));
    }
    let _ = write!(
        fields,
        "Reporting-MTA: dns; {}\r\nArrival-Date: {}\r\n",
        about.hostname,
        parts::date(about.envelope.received)
    );
    for told in told {
        let recipient = &told.recipient;
        fields.push_str("\r\n");
        if let Some(original) = &recipient.original {
            let _ = write!(fields, "Original-Recipient: {}\r\n", parts::typed_address(original, utf8));
        }
        let address = parts::typed_address(&original(&recipient.address), utf8);
        let _ = write!(fields, "Final-Recipient: {address}\r\nAction: {}\r\n", told.action.name());
        let _ = write!(fields, "Status: {}\r\n", parts::status(&told.status, told.action));
        if let Some(remote) = &told.remote {
            let _ = write!(fields, "Remote-MTA: dns; {}\r\n", parts::one_line(remote));
        }
        if let Some(said) = &told.said {
            let said = parts::diagnostic(said, utf8);
            let _ = write!(fields, "Diagnostic-Code: smtp; {said}\r\n");
        }
        if let Some(at) = told.last_attempt {
            let _ = write!(fields, "Last-Attempt-Date: {}\r\n", parts::date(at));
        }
        if let Kind::Delay { until } = kind {
            let _ = write!(fields, "Will-Retry-Until: {}\r\n", parts::date(until));
        }
    }
    fields
}

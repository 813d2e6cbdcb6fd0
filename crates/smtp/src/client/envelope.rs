//! A transaction as it goes over the wire: the commands before the text.

use super::{Capabilities, ClientError};
use crate::{
    command::Body,
    mailbox::ReversePath,
    notification::{EnvelopeId, RecipientParameters, Ret},
};
use chasqui_base::DeliveryId;
use std::io::Write as _;

/// Everything of a transaction but its text.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a, R> {
    /// Where bounces go.
    pub reverse_path: &'a ReversePath,
    /// SMTPUTF8 is needed.
    pub smtputf8: bool,
    /// What the text is made of.
    pub body: Body,
    /// Octets of text that follow, before dots are doubled.
    pub size: u64,
    /// Sent when the server offers DSN.
    pub ret: Option<Ret>,
    /// Sent when the server offers DSN.
    pub envelope_id: Option<&'a EnvelopeId>,
    /// REQUIRETLS is needed.
    pub require_tls: bool,
    /// Sent when the server offers MT-PRIORITY.
    pub priority: Option<i8>,
    /// Seconds for which the server is to keep the message before it delivers it; sent when it offers FUTURERELEASE (RFC 4865).
    pub hold_for: Option<u64>,
    /// Sent when the server offers XDELIVERYID.
    pub delivery_id: Option<DeliveryId>,
    /// Sent when the server offers XJUNK.
    pub junk: bool,
    /// Sent when the server offers XQUEUED: seconds since 1970.
    pub queued: Option<u64>,
    /// Addresses without brackets. Never empty.
    pub recipients: &'a [R],
    /// For each recipient what is sent when the server offers DSN; may be shorter than `recipients`.
    pub parameters: &'a [RecipientParameters],
}

impl<'a, R> Envelope<'a, R> {
    /// An ASCII message of `size` octets without wishes.
    #[must_use]
    pub const fn new(reverse_path: &'a ReversePath, recipients: &'a [R], size: u64) -> Self {
        Self {
            reverse_path,
            smtputf8: false,
            body: Body::SevenBit,
            size,
            ret: None,
            envelope_id: None,
            require_tls: false,
            priority: None,
            hold_for: None,
            delivery_id: None,
            junk: false,
            queued: None,
            recipients,
            parameters: &[],
        }
    }

    /// Whether the server can take the message.
    pub(super) fn check(&self, offered: &Capabilities) -> Result<(), ClientError> {
        let lacks = |offered, name| if offered { Ok(()) } else { Err(ClientError::Lacks(name)) };
        lacks(offered.smtputf8 || !self.smtputf8, "SMTPUTF8")?;
        lacks(offered.eight_bit_mime || self.body != Body::EightBitMime, "8BITMIME")?;
        lacks(offered.binary_mime || self.body != Body::BinaryMime, "BINARYMIME")?;
        lacks(offered.require_tls || !self.require_tls, "REQUIRETLS")
    }

    /// Appends MAIL.
    pub(super) fn write_mail(&self, offered: &Capabilities, out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "MAIL FROM:<{}>", self.reverse_path);
        match self.body {
            Body::SevenBit => {}
            Body::EightBitMime => out.extend_from_slice(b" BODY=8BITMIME"),
            Body::BinaryMime => out.extend_from_slice(b" BODY=BINARYMIME"),
        }
        if self.smtputf8 {
            out.extend_from_slice(b" SMTPUTF8");
        }
        if offered.size.is_some() {
            let _ = write!(out, " SIZE={}", self.size);
        }
        if self.require_tls {
            out.extend_from_slice(b" REQUIRETLS");
        }
        if offered.dsn {
            if let Some(ret) = self.ret {
                let _ = write!(out, " RET={ret}");
            }
            if let Some(id) = self.envelope_id {
                let _ = write!(out, " ENVID={id}");
            }
        }
        if let Some(priority) = self.priority.filter(|_| offered.priority) {
            let _ = write!(out, " MT-PRIORITY={priority}");
        }
        if let Some(seconds) = self.hold_for.filter(|_| offered.future_release) {
            let _ = write!(out, " HOLDFOR={seconds}");
        }
        if let Some(id) = self.delivery_id.filter(|_| offered.delivery_id) {
            let _ = write!(out, " XDELIVERYID={id}");
        }
        if self.junk && offered.junk {
            out.extend_from_slice(b" XJUNK");
        }
        if let Some(since) = self.queued.filter(|_| offered.queued) {
            let _ = write!(out, " XQUEUED={since}");
        }
        out.extend_from_slice(b"\r\n");
    }
}

impl<R: AsRef<str>> Envelope<'_, R> {
    /// Appends RCPT of every recipient.
    pub(super) fn write_recipients(&self, offered: &Capabilities, out: &mut Vec<u8>) {
        for (index, recipient) in self.recipients.iter().enumerate() {
            let _ = write!(out, "RCPT TO:<{}>", recipient.as_ref());
            if let Some(parameters) = self.parameters.get(index).filter(|_| offered.dsn) {
                parameters.write_to(out);
            }
            out.extend_from_slice(b"\r\n");
        }
    }
}

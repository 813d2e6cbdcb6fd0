//! What of a message goes into one transaction with one host, by what the host offers.
//!
//! - **SIZE**: what the host said is too big for it is not sent (RFC 1870 §6.1).
//! - **BINARYMIME**: a binary message needs it, with CHUNKING; it is not converted, since that would break its signatures (RFC 3030 §3).
//! - **8BITMIME**: text with octets above 127 goes as it is to a host that does not offer it, without saying so. Converting it would break
//!   its DKIM signatures, and hosts that cannot take it have not been seen for decades; Exim and others do the same.
//! - **SMTPUTF8**: said where an address or the header needs it. A message handed in with SMTPUTF8 whose addresses and header turn
//!   out ASCII goes to any host. A domain with non-ASCII letters goes as A-labels to a host without SMTPUTF8 (RFC 5891).
//! - **DSN**: passed on where offered (RFC 3461 §5.2).
//! - **REQUIRETLS**: the host must offer it (RFC 8689 §4.2.1).

use super::{
    connection::{Connection, Patience, Sent},
    trouble,
};
use crate::{
    config::Delivery as Config,
    message::{BodyKind, Job, Recipient, Returns},
};
use chasqui_base::DomainName;
use chasqui_courier::Content;
use chasqui_smtp::{
    Body, Capabilities, Envelope, EnvelopeId, Mailbox, Notify, OriginalRecipient, RecipientParameters, Reply,
    Ret, ReversePath,
};
use std::borrow::Cow;

/// RFC 8689 §4.2.1.
const NEEDS_REQUIRETLS: Reply =
    Reply::fixed(550, (5, 7, 30), "The message demands REQUIRETLS, which the host does not offer");

/// One transaction.
pub(super) struct Batch<'a> {
    /// Whose it is, by index in the envelope.
    pub(super) recipients: Vec<u32>,
    addresses: Vec<Cow<'a, str>>,
    parameters: Vec<RecipientParameters>,
    reverse_path: Cow<'a, ReversePath>,
    smtputf8: bool,
    body: Body,
    envelope_id: Option<EnvelopeId>,
    ret: Option<Ret>,
    job: &'a Job,
}

/// Recipients whose message the host cannot be given.
#[derive(Debug)]
pub(super) struct Unfit {
    /// Which.
    pub(super) recipients: Vec<u32>,
    /// What their sender is told.
    pub(super) reply: Reply,
}

impl<'a> Batch<'a> {
    /// The next transaction for the open recipients.
    ///
    /// # Errors
    /// Those of them that the host cannot be given.
    pub(super) async fn of(
        job: &'a Job,
        open: &[u32],
        offers: &Capabilities,
        config: &Config,
    ) -> Result<Self, Unfit> {
        let all = |reply| Err(Unfit { recipients: open.to_vec(), reply });
        let envelope = &job.envelope;
        if offers.size.is_some_and(|most| most > 0 && job.content.len() > most) {
            return all(trouble::TOO_BIG);
        }
        if envelope.body == BodyKind::Binary && !offers.binary_mime {
            return all(trouble::NEEDS_BINARY);
        }
        if envelope.require_tls && !offers.require_tls {
            return all(NEEDS_REQUIRETLS);
        }
        let most =
            offers.recipients.map_or(usize::MAX, |n| n as usize).clamp(1, config.connections.recipients);
        let mut smtputf8 = envelope.smtputf8 && offers.smtputf8;
        if envelope.smtputf8 && !offers.smtputf8 && !header_is_ascii(&job.content).await {
            return all(trouble::NEEDS_SMTPUTF8);
        }
        let Some(reverse_path) = reverse_path(&envelope.reverse_path, offers) else {
            return all(trouble::NEEDS_SMTPUTF8);
        };
        smtputf8 |= !reverse_path.is_ascii();

        let mut batch = Self {
            recipients: Vec::with_capacity(open.len().min(most)),
            addresses: Vec::with_capacity(open.len().min(most)),
            parameters: Vec::new(),
            reverse_path,
            smtputf8,
            body: match envelope.body {
                BodyKind::EightBitMime if offers.eight_bit_mime => Body::EightBitMime,
                BodyKind::SevenBit | BodyKind::EightBitMime => Body::SevenBit,
                BodyKind::Binary => Body::BinaryMime,
            },
            envelope_id: envelope.envelope_id.as_deref().and_then(EnvelopeId::new),
            ret: envelope.returns.map(|returns| match returns {
                Returns::Full => Ret::Full,
                Returns::Headers => Ret::Headers,
            }),
            job,
        };
        let mut unfit = Vec::new();
        for &index in open {
            let Some(recipient) = envelope.recipients.get(index as usize) else {
                unfit.push(index);
                continue;
            };
            match ascii_or_offered(&recipient.address, offers) {
                Some(_) if batch.recipients.len() == most => {}
                Some(address) => batch.add(index, address, recipient, offers),
                None => unfit.push(index),
            }
        }
        if unfit.is_empty() {
            Ok(batch)
        } else {
            Err(Unfit { recipients: unfit, reply: trouble::NEEDS_SMTPUTF8 })
        }
    }

    fn add(&mut self, index: u32, address: Cow<'a, str>, recipient: &Recipient, offers: &Capabilities) {
        self.smtputf8 |= !address.is_ascii();
        self.recipients.push(index);
        self.addresses.push(address);
        if offers.dsn {
            self.parameters.push(parameters(recipient));
        }
    }

    /// Sends it.
    pub(super) async fn send(
        &self,
        connection: &mut Connection,
        content: &Content,
        patience: &Patience<'_>,
    ) -> Sent {
        let envelope = Envelope {
            smtputf8: self.smtputf8,
            body: self.body,
            ret: self.ret,
            envelope_id: self.envelope_id.as_ref(),
            require_tls: self.job.envelope.require_tls,
            priority: Some(self.job.envelope.priority).filter(|priority| *priority != 0),
            parameters: &self.parameters,
            ..Envelope::new(&self.reverse_path, &self.addresses, content.len())
        };
        connection.send(&envelope, content, patience).await
    }
}

fn parameters(recipient: &Recipient) -> RecipientParameters {
    let notify = recipient.notify;
    let wanted = Notify { success: notify.success, failure: notify.failure, delay: notify.delay };
    RecipientParameters {
        notify: notify.explicit.then_some(wanted),
        // RFC 3461 §5.2.1: the one that we were given, else none.
        original: recipient.original.as_deref().and_then(original),
    }
}

/// `type;address`, decoded.
fn original(text: &str) -> Option<OriginalRecipient> {
    let (kind, address) = text.split_once(';')?;
    OriginalRecipient::new(kind, address)
}

/// The sender as the host can take it.
fn reverse_path<'a>(path: &'a ReversePath, offers: &Capabilities) -> Option<Cow<'a, ReversePath>> {
    if path.is_ascii() || offers.smtputf8 {
        return Some(Cow::Borrowed(path));
    }
    Mailbox::parse(&with_a_labels(path.as_str())?).ok().map(|made| Cow::Owned(ReversePath::Address(made)))
}

fn ascii_or_offered<'a>(address: &'a str, offers: &Capabilities) -> Option<Cow<'a, str>> {
    if address.is_ascii() || offers.smtputf8 {
        return Some(Cow::Borrowed(address));
    }
    with_a_labels(address).map(Cow::Owned)
}

/// The address with its domain in ASCII; none when its local part is not.
fn with_a_labels(address: &str) -> Option<String> {
    let (local, domain) = address.rsplit_once('@').filter(|(local, _)| local.is_ascii())?;
    let domain = DomainName::parse(domain).ok()?;
    Some(format!("{local}@{domain}"))
}

/// Whether the header can go without SMTPUTF8. One that cannot be read, or does not end within the first block, cannot.
async fn header_is_ascii(content: &Content) -> bool {
    let mut blocks = content.blocks();
    let Ok(Some(block)) = blocks.next().await else { return false };
    let end = memchr::memmem::find(block, b"\r\n\r\n")
        .or_else(|| (block.len() as u64 == content.len()).then_some(block.len()));
    end.and_then(|end| block.get(..end)).is_some_and(<[u8]>::is_ascii)
}

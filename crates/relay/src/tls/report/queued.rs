//! Reports as mail go the way of all mail: signed, and into the queue.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chasqui_base::{DeliveryId, DomainName};
use chasqui_courier::Content;
use chasqui_smtp::{Mailbox, ReversePath};

use super::send::{ReportMail, ReportMailer};
use crate::message::{BodyKind, Envelope, Notify, Recipient, Source};
use crate::queue::Queue;
use crate::sign::Signer;

/// Seconds for which a report is tried to be delivered (RFC 8460 §5.5).
const LIFETIME: u64 = 86_400;

/// Signs reports and queues them.
pub struct Queued {
    queue: Arc<Queue>,
    signer: Arc<Signer>,
}

impl Queued {
    /// With the relay's own queue and keys.
    pub fn new(queue: Arc<Queue>, signer: Arc<Signer>) -> Self {
        Self { queue, signer }
    }

    async fn enqueue(&self, mail: ReportMail) -> Result<(), String> {
        let domain = DomainName::parse(mail.from.domain()).map_err(|error| error.to_string())?;
        // RFC 8460 §3: a report without a signature is not believed; it is for the operator to have a key for its domain.
        let mut text = self.signer.sign(&domain, &mail.message).map_err(|error| error.to_string())?;
        text.extend_from_slice(&mail.message);
        let reverse_path = Mailbox::parse(mail.from.as_str()).map_err(|error| error.to_string())?;
        let received = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let envelope = Envelope {
            id: DeliveryId::generate(),
            reverse_path: ReversePath::Address(reverse_path),
            recipients: vec![Recipient {
                address: mail.to.as_str().to_owned(),
                notify: Notify { success: false, failure: false, delay: false, explicit: true },
                original: None,
            }],
            smtputf8: !mail.message.is_ascii(),
            body: if mail.message.is_ascii() { BodyKind::SevenBit } else { BodyKind::EightBitMime },
            require_tls: false,
            envelope_id: None,
            returns: None,
            priority: -4,
            received,
            not_before: None,
            expires: received.saturating_add(LIFETIME),
            source: Source::Own,
            message_id: Some(mail.message_id),
        };
        self.queue
            .enqueue(envelope, &Arc::new(Content::Memory(text)))
            .await
            .map_err(|error| error.to_string())
    }
}

impl ReportMailer for Queued {
    fn hand_in(&self, mail: ReportMail) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(self.enqueue(mail))
    }
}

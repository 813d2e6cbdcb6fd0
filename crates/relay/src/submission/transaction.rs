//! One transaction: what was said of a message before its text, and its text.

use super::{
    intake::Intake,
    rates::{Book, What},
};
use crate::message::{BodyKind, Envelope, Notify, Recipient, Returns, Source};
use chasqui_base::{DeliveryId, EmailAddress, Span};
use chasqui_smtp::{Body, Mail, RecipientParameters, Ret};
use std::{collections::HashSet, sync::Arc};

/// One transaction.
pub(crate) struct Transaction {
    pub id: DeliveryId,
    pub mail: Mail,
    pub recipients: Vec<Recipient>,
    /// A recipient who was named twice gets one copy.
    seen: HashSet<String>,
    pub text: Option<Intake>,
    pub message_id: Option<String>,
    pub charge: Option<Charge>,
}

impl Transaction {
    pub(crate) fn new(mail: Mail, charge: Option<Charge>) -> Box<Self> {
        Box::new(Self {
            id: mail.delivery_id.unwrap_or_else(DeliveryId::generate),
            mail,
            recipients: Vec::new(),
            seen: HashSet::new(),
            text: None,
            message_id: None,
            charge,
        })
    }

    /// Takes a recipient.
    pub(crate) fn add(&mut self, address: String, parameters: RecipientParameters) {
        // What is one mailbox at most sites may be two at some: only what is spelt alike is one.
        if !self.seen.insert(address.clone()) {
            return;
        }
        let notify = parameters.notify.map_or_else(Notify::default, |notify| Notify {
            success: notify.success,
            failure: notify.failure,
            delay: notify.delay,
            explicit: true,
        });
        let original =
            parameters.original.map(|original| format!("{};{}", original.kind(), original.address()));
        self.recipients.push(Recipient { address, notify, original });
    }

    /// Whether its text is being received.
    pub(crate) fn has_begun(&self) -> bool {
        self.text.is_some()
    }

    /// What is queued beside the text. `now` in seconds since 1970; what is not delivered within `lifetime` has failed.
    pub(crate) fn envelope(self, source: Source, eight_bit: bool, now: u64, lifetime: Span) -> Envelope {
        let Self { id, mail, recipients, message_id, .. } = self;
        let received = mail.queued.unwrap_or(now).min(now);
        // `now` is cut to whole seconds: from the next one on, so that nothing goes too early.
        let not_before = mail.hold.map(|hold| hold.release_at(now + 1)).filter(|&at| at > now);
        // RFC 4865 §4.3: the time that a message is held does not count.
        let begins = not_before.unwrap_or(received);
        Envelope {
            id,
            reverse_path: mail.reverse_path,
            recipients,
            smtputf8: mail.smtputf8,
            body: match mail.body {
                Body::BinaryMime => BodyKind::Binary,
                Body::EightBitMime => BodyKind::EightBitMime,
                // Who said nothing is believed where it is true.
                Body::SevenBit if eight_bit => BodyKind::EightBitMime,
                Body::SevenBit => BodyKind::SevenBit,
            },
            require_tls: mail.require_tls,
            envelope_id: mail.envelope_id.map(|id| id.as_str().to_owned()),
            returns: mail.ret.map(|ret| match ret {
                Ret::Full => Returns::Full,
                Ret::Headers => Returns::Headers,
            }),
            priority: mail.priority.unwrap_or(0),
            received,
            not_before,
            expires: begins.saturating_add(lifetime.get().as_secs()),
            source,
            message_id,
        }
    }
}

/// What a transaction was counted for so far; given back unless the message is queued.
pub(crate) struct Charge {
    pub book: Arc<Book>,
    pub account: EmailAddress,
    pub recipients: u32,
    pub kept: bool,
}

impl Drop for Charge {
    fn drop(&mut self) {
        if !self.kept {
            let now = super::now();
            self.book.refund(&self.account, What::Messages, 1, now);
            self.book.refund(&self.account, What::Recipients, self.recipients, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chasqui_smtp::{Hold, ReversePath};

    fn made(change: impl FnOnce(&mut Mail)) -> Envelope {
        let mut mail = Mail::new(ReversePath::Null);
        change(&mut mail);
        let mut transaction = Transaction::new(mail, None);
        transaction.add("b@example.net".into(), RecipientParameters::default());
        transaction.add("b@example.net".into(), RecipientParameters::default());
        transaction.envelope(Source::Role, true, 1000, Span::secs(100))
    }

    #[test]
    fn a_recipient_who_is_named_twice_gets_one_copy() {
        assert_eq!(made(|_| {}).recipients.len(), 1);
    }

    #[test]
    fn a_message_that_is_held_lives_as_long_as_others_from_then_on() {
        let held = made(|mail| mail.hold = Some(Hold::For(50)));
        assert_eq!((held.received, held.not_before, held.expires), (1000, Some(1051), 1151));
        let past = made(|mail| mail.hold = Some(Hold::Until(900)));
        assert_eq!((past.not_before, past.expires), (None, 1100));
        let handed_over = made(|mail| mail.queued = Some(940));
        assert_eq!((handed_over.received, handed_over.expires), (940, 1040));
        assert_eq!(made(|mail| mail.queued = Some(2000)).received, 1000);
    }

    #[test]
    fn octets_above_127_are_noticed_where_nobody_said_so() {
        assert_eq!(made(|_| {}).body, BodyKind::EightBitMime);
        assert_eq!(made(|mail| mail.body = Body::BinaryMime).body, BodyKind::Binary);
    }
}

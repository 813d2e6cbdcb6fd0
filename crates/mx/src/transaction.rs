//! One transaction from MAIL to the end of its text.

use crate::service::Policy;
use chasqui_base::{DeliveryId, EmailAddress};
use chasqui_courier::{Incoming, Owned};
use chasqui_smtp::{Mail, Mailbox, Recipient, Reply, replies};
use std::collections::HashSet;

const ANOTHER_NODE: Reply =
    Reply::fixed(452, (4, 5, 3), "One storage node a transaction: send this recipient the next");
const TOO_MANY_ACCOUNTS: Reply = Reply::fixed(452, (4, 5, 3), "The recipients stand for too many accounts");

pub(crate) struct Transaction {
    pub id: DeliveryId,
    pub mail: Mail,
    /// The first accepted recipient as the client wrote it, and how many there are.
    pub first: Option<Recipient>,
    pub accepted: usize,
    pub accounts: Vec<Owned>,
    seen: HashSet<EmailAddress>,
    /// Each accepted recipient with its accounts, where filters want to know.
    pub recipients: Option<Vec<(Recipient, Vec<EmailAddress>)>>,
    pub text: Option<Incoming>,
    /// The text cannot be kept: this will be answered at its end.
    pub failure: Option<Reply>,
}

impl Transaction {
    pub(crate) fn new(mail: Mail) -> Box<Self> {
        Box::new(Self {
            id: DeliveryId::generate(),
            mail,
            first: None,
            accepted: 0,
            accounts: Vec::new(),
            seen: HashSet::new(),
            recipients: None,
            text: None,
            failure: None,
        })
    }

    /// Remembers which recipient stands for which accounts.
    pub(crate) fn keep_recipients(&mut self) {
        self.recipients = Some(Vec::new());
    }

    /// Takes an accepted recipient's accounts, each once however many recipients stand for it.
    pub(crate) fn add(
        &mut self,
        recipient: Recipient,
        owned: Vec<Owned>,
        policy: &Policy,
    ) -> (Reply, &'static str) {
        if self.accounts.len() + owned.len() > policy.config.limits.accounts.max(owned.len()) {
            return (TOO_MANY_ACCOUNTS, "too_many");
        }
        if policy.one_node()
            && let Some(first) = self.accounts.first()
            && owned.iter().any(|owned| owned.node.name != first.node.name)
        {
            return (ANOTHER_NODE, "another_node");
        }
        if let Some(recipients) = &mut self.recipients {
            recipients.push((recipient.clone(), owned.iter().map(|owned| owned.account.clone()).collect()));
        }
        self.accounts.extend(owned.into_iter().filter(|owned| self.seen.insert(owned.account.clone())));
        self.accepted += 1;
        self.first.get_or_insert(recipient);
        (replies::RECIPIENT_OK, "accepted")
    }

    /// Takes a recipient out, and those of its accounts for which no other stands.
    pub(crate) fn remove(&mut self, mailbox: &Mailbox) {
        let Some(recipients) = &mut self.recipients else { return };
        recipients.retain(|(recipient, _)| match recipient {
            Recipient::Mailbox(other) => !other.as_str().eq_ignore_ascii_case(mailbox.as_str()),
            Recipient::Postmaster => !mailbox.as_str().eq_ignore_ascii_case("postmaster"),
        });
        let left: HashSet<&EmailAddress> = recipients.iter().flat_map(|(_, accounts)| accounts).collect();
        self.accounts.retain(|owned| left.contains(&owned.account));
        self.seen.retain(|account| left.contains(account));
    }

    /// Whether its text is being received.
    pub(crate) fn has_begun(&self) -> bool {
        self.text.is_some() || self.failure.is_some()
    }

    /// Takes text; true when memory is full.
    pub(crate) fn push(&mut self, octets: &[u8]) -> bool {
        self.text.as_mut().is_some_and(|text| {
            text.push(octets);
            text.is_full()
        })
    }
}

use std::sync::Arc;

use chasqui_base::{DeliveryId, EmailAddress};
use chasqui_directory::{AccountRecord, AccountState};
use chasqui_mailstore::{Incoming, MailError, Quota};
use chasqui_smtp::{Mail, Recipient, Reply, replies};

use super::deliver;
use crate::metrics::Outcome;
use crate::node::{Node, quota_of};
use crate::ownership::Refused;

/// One message on its way in: from MAIL to the last reply.
pub(super) struct Transaction {
    pub(super) id: DeliveryId,
    pub(super) recipients: Vec<Owned>,
    reverse_path: String,
    /// The exchanger says that it is unwanted (XJUNK).
    junk: bool,
    message: Option<Incoming>,
    /// Why the message cannot be kept; told at its end.
    failure: Option<MailError>,
    /// No directory server answered for an earlier recipient: the next ones are not made to wait for that again.
    no_directory: bool,
}

/// A recipient that this node owns.
pub(super) struct Owned {
    pub(super) account: EmailAddress,
    pub(super) quota: Quota,
}

impl Transaction {
    /// Opens a transaction. Without an id from the exchanger it gets one of its own, and a retry is then a new message.
    pub(super) fn begin(mail: Mail) -> Self {
        Self {
            id: mail.delivery_id.unwrap_or_else(DeliveryId::generate),
            reverse_path: mail.reverse_path.as_str().to_owned(),
            junk: mail.junk,
            recipients: Vec::new(),
            message: None,
            failure: None,
            no_directory: false,
        }
    }

    /// Takes a recipient, or says why not.
    pub(super) async fn add(&mut self, node: &Arc<Node>, recipient: Recipient) -> Result<(), Reply> {
        let result = self.check(node, &recipient).await;
        match &result {
            Ok(_) => {}
            Err(refusal) => {
                let outcome = if refusal.is_temporary() { Outcome::Deferred } else { Outcome::Refused };
                node.metrics.delivery(outcome);
                tracing::info!(delivery = %self.id, ?recipient, %refusal, "recipient refused");
            }
        }
        let record = result?;
        self.recipients.push(Owned { quota: quota_of(&record), account: record.account });
        Ok(())
    }

    async fn check(&mut self, node: &Arc<Node>, recipient: &Recipient) -> Result<AccountRecord, Reply> {
        let Recipient::Mailbox(mailbox) = recipient else { return Err(UNKNOWN) };
        let address = EmailAddress::parse(mailbox.as_str()).map_err(|_| replies::BAD_RECIPIENT)?;
        let record =
            node.ownership.ask_for_delivery(node, &address).await.map_err(|refused| match refused {
                Refused::Unknown => UNKNOWN,
                // 4xx, so that the sender asks the directory again and comes to the right node.
                Refused::NotOwner(owner) => Reply::new(451, (4, 3, 5), format!("owner is now {owner}")),
                Refused::NoDirectory => {
                    self.no_directory = true;
                    NO_DIRECTORY
                }
            })?;
        match record.state {
            AccountState::Active | AccountState::Suspended => Ok(record),
            AccountState::Closed => Err(Reply::fixed(550, (5, 2, 1), "Mailbox closed")),
        }
    }

    /// The message begins: with the trace of final delivery (RFC 5321 §4.4).
    pub(super) async fn start_message(&mut self, node: &Arc<Node>) {
        self.message = Some(node.store.incoming());
        let trace = format!("Return-Path: <{}>\r\n", self.reverse_path);
        self.write(trace.as_bytes()).await;
    }

    /// Takes a part of the message. After a failure the rest is only read.
    pub(super) async fn write(&mut self, text: &[u8]) {
        let Some(message) = &mut self.message else { return };
        if let Err(error) = message.write(text).await {
            tracing::warn!(delivery = %self.id, %error, "the message cannot be kept");
            self.message = None;
            self.failure = Some(error);
        }
    }

    /// Stores the message and gives one reply for each recipient, in their order (RFC 2033 §4.2).
    pub(super) async fn deliver(self, node: &Arc<Node>) -> Vec<Reply> {
        match self.message {
            Some(message) => deliver::all(node, self.id, message, self.recipients, self.junk).await,
            None => {
                let failure = self.failure.unwrap_or(MailError::Busy);
                self.recipients.iter().map(|_| deliver::refusal(node, &failure)).collect()
            }
        }
    }
}

const NO_DIRECTORY: Reply = Reply::fixed(451, (4, 4, 3), "No directory server answers");
const UNKNOWN: Reply = Reply::fixed(550, (5, 1, 1), "No such mailbox");

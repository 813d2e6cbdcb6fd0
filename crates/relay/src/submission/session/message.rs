//! A message's text: from its header to the queue.

use super::{Door, LOCAL_ERROR, Session};
use crate::{
    message::Source,
    submission::{
        header,
        header::Facts,
        intake::{Front, Split},
        now,
        trace::UserTrace,
        transaction::Transaction,
    },
};
use chasqui_base::EmailAddress;
use chasqui_courier::received::Trace;
use chasqui_smtp::{Reply, ReversePath, replies};
use chrono::Utc;
use std::{sync::Arc, time::Instant};

impl Session {
    /// The header is complete: refuses the message, or begins its body.
    pub(super) async fn header(&mut self, split: Split) {
        let Some(mut transaction) = self.transaction.take() else { return };
        let judged = self.front(&mut transaction, &split.header).await;
        let memory = self.policy.config.senders.limits.memory.as_usize();
        let expected = transaction.mail.size;
        if let Some(intake) = &mut transaction.text {
            match judged {
                Ok((trace, header, author)) => {
                    // A queue that is handed over was signed when it came in.
                    let handed_over = transaction.mail.queued.is_some();
                    let draft = author.filter(|_| !handed_over).and_then(|author| {
                        let domain = author.domain().parse().ok()?;
                        self.shared.signer.begin(&domain, &header)
                    });
                    let front = Front { trace: &trace, header: &header, draft };
                    intake.begin(front, &split.body, memory, expected);
                }
                Err(reply) => intake.refuse(reply),
            }
        }
        self.transaction = Some(transaction);
    }

    /// The `Received` line, the header as it is passed on, and whose domain signs it.
    async fn front(
        &self,
        transaction: &mut Transaction,
        given: &[u8],
    ) -> Result<(String, Vec<u8>, Option<EmailAddress>), Reply> {
        let tls = self.stream.tls_parameters();
        let (config, at) = (&self.policy.config, Utc::now());
        let (id, smtputf8) = (transaction.id, transaction.mail.smtputf8);
        let senders = &config.senders;
        match (self.door, self.user()) {
            (Door::User, None) => Err(replies::AUTH_FIRST),
            (Door::User, Some(user)) => {
                let most = senders.limits.header_fields;
                let facts = Facts { hostname: &config.hostname, id, at, smtputf8, most };
                // Who names no sender in the envelope answers with the header's.
                let check = senders.check_header || transaction.mail.reverse_path == ReversePath::Null;
                let completed = user.header(given, &facts, check).await?;
                transaction.message_id = Some(completed.message_id);
                let trace = UserTrace {
                    client: senders.show_client.then(|| (&*self.hello, self.peer.ip())),
                    account: self.account.as_ref().filter(|_| senders.show_account),
                    hostname: &config.hostname,
                    smtputf8,
                    tls: tls.as_ref(),
                    id,
                    at,
                };
                Ok((trace.line(), completed.octets, completed.senders.into_iter().next()))
            }
            (Door::Role, _) => {
                transaction.message_id = header::message_id(given);
                let trace = Trace {
                    hello: &self.hello,
                    address: self.peer.ip(),
                    hostname: &config.hostname,
                    extended: self.wire.is_extended(),
                    smtputf8,
                    tls: tls.as_ref(),
                    id,
                    only_recipient: None,
                    at,
                };
                Ok((trace.line(), given.to_vec(), header::author(given)))
            }
        }
    }

    pub(super) async fn spill(&mut self) {
        let Some(transaction) = &mut self.transaction else { return };
        let id = transaction.id;
        if let Some(intake) = transaction.text.as_mut().filter(|intake| intake.is_full()) {
            Box::pin(intake.spill(&self.shared.queue.folder(), id)).await;
        }
    }

    /// The message is complete: queues it, and says what the client is told.
    pub(super) async fn finish_message(&mut self) -> Reply {
        // A message without an empty line is a header alone.
        let rest = self.transaction.as_mut().and_then(|transaction| transaction.text.as_mut()?.end());
        if let Some(split) = rest {
            self.header(split).await;
        }
        let Some(transaction) = self.transaction.take() else { return LOCAL_ERROR };
        let (id, recipients) = (transaction.id, transaction.recipients.len());
        let (from, message_id) = (transaction.mail.reverse_path.clone(), transaction.message_id.clone());
        let started = Instant::now();
        let (reply, size) = match self.enqueue(*transaction).await {
            Ok(size) => (Reply::new(250, (2, 0, 0), format!("{id} queued")), size),
            Err(reply) => (reply, 0),
        };
        let outcome = match reply.code() {
            ..400 => "queued",
            400..500 => "deferred",
            _ => "refused",
        };
        let metrics = &self.shared.metrics;
        metrics.message(self.door.name(), outcome);
        metrics.message.observe(started.elapsed().as_secs_f64());
        tracing::info!(
            delivery = %id, message_id = message_id.unwrap_or_default(), peer = %self.peer.ip(),
            account = self.account.as_ref().map(EmailAddress::as_str).unwrap_or_default(),
            from = %from, recipients, size, %reply, outcome,
            milliseconds = started.elapsed().as_millis() as u64, "message"
        );
        reply
    }

    async fn enqueue(&self, mut transaction: Transaction) -> Result<u64, Reply> {
        let Some(intake) = transaction.text.take() else { return Err(LOCAL_ERROR) };
        let queue = &self.shared.queue;
        let received_lines = self.policy.config.senders.limits.received_lines;
        let complete = intake.finish(&queue.folder(), transaction.id, received_lines).await?;
        let size = complete.content.len();
        self.shared.metrics.octets.inc_by(size);
        let source = match (self.door, &self.account) {
            (Door::User, Some(account)) => Source::User(account.clone()),
            (Door::User, None) => return Err(replies::AUTH_FIRST),
            (Door::Role, _) => Source::Role,
        };
        let mut charge = transaction.charge.take();
        let lifetime = self.policy.config.queue.lifetime;
        let envelope = transaction.envelope(source, complete.eight_bit, now(), lifetime);
        let id = envelope.id;
        if let Err(error) = queue.enqueue(envelope, Arc::new(complete.content)).await {
            tracing::error!(delivery = %id, %error, "the queue does not take the message");
            return Err(error.reply());
        }
        if let Some(charge) = &mut charge {
            charge.kept = true;
        }
        Ok(size)
    }
}

//! One retry of one message.

use super::{Record, Spool, Waiting, waiting};
use chasqui_base::{DeliveryId, EmailAddress};
use chasqui_courier::{AccountOutcome, Cause, Content, Courier, Envelope, Outcome, blocking};
use chasqui_smtp::Reply;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

const EXPIRED: Reply = Reply::fixed(554, (5, 4, 7), "Retried for as long as the exchanger is told to");

impl Spool {
    /// Delivers what can be delivered, writes down what became of it, and schedules the rest.
    pub(super) async fn attempt(&self, courier: &Arc<Courier>, id: DeliveryId) {
        let Some(record) = self.index().entries.get(&id).cloned() else { return };
        let content =
            Arc::new(Content::Stored { path: self.folder.message(id), offset: 0, length: record.size });
        let attempts: HashMap<&EmailAddress, u32> =
            record.recipients.iter().map(|waiting| (&waiting.account, waiting.attempts)).collect();
        let most = record.attempts();

        let mut rest = Vec::new();
        let mut given_up = Vec::new();
        let mut stored = 0_usize;
        for result in self.retry(courier, &record, &content).await {
            self.metrics.retried(&result.outcome);
            // An account that a recipient has been renamed to starts where that recipient was.
            let attempts = attempts.get(&result.account).copied().unwrap_or(most).saturating_add(1);
            let waiting = waiting(&result, attempts);
            match result.outcome {
                Outcome::Stored(reply) => {
                    stored += 1;
                    self.pull(&result.node);
                    tracing::info!(delivery = %id, account = %result.account, node = result.node, %reply, "delivered from the spool");
                }
                Outcome::Refused(reply) => {
                    tracing::error!(delivery = %id, account = %result.account, %reply, "given up, kept in `failed`");
                    given_up.push(waiting);
                }
                Outcome::Deferred(cause, reply) => {
                    tracing::debug!(delivery = %id, account = %result.account, node = result.node, ?cause, %reply, attempts, "deferred");
                    rest.push(waiting);
                }
            }
        }
        // Attempts that reached nobody are not worth a sync each: after a restart they count anew.
        let changed = stored > 0 || !given_up.is_empty();
        self.write_down(&record, rest, given_up, content, changed).await;
    }

    async fn retry(
        &self,
        courier: &Arc<Courier>,
        record: &Record,
        content: &Arc<Content>,
    ) -> Vec<AccountOutcome> {
        let result = |waiting: &Waiting, outcome| AccountOutcome {
            account: waiting.account.clone(),
            node: waiting.node.clone(),
            outcome,
        };
        if record.age() > self.settings.max_age.get() {
            return record
                .recipients
                .iter()
                .map(|waiting| result(waiting, Outcome::Refused(EXPIRED)))
                .collect();
        }
        let mut results = Vec::new();
        let mut owned = Vec::new();
        let mut seen = HashSet::new();
        for waiting in &record.recipients {
            match courier.directory.owners(&waiting.account).await {
                Ok(owners) => {
                    owned.extend(owners.into_iter().filter(|owned| seen.insert(owned.account.clone())))
                }
                Err(no) if no.reply.is_permanent() => {
                    results.push(result(waiting, Outcome::Refused(no.reply)))
                }
                Err(no) => results.push(result(waiting, Outcome::Deferred(Cause::Unreachable, no.reply))),
            }
        }
        let envelope = Arc::new(Envelope {
            id: record.id,
            reverse_path: record.reverse_path.clone(),
            smtputf8: record.smtputf8,
            body: record.body,
            junk: record.junk,
        });
        results.extend(courier.deliver(&envelope, content, owned).await);
        results
    }

    async fn write_down(
        &self,
        record: &Record,
        mut rest: Vec<Waiting>,
        given_up: Vec<Waiting>,
        content: Arc<Content>,
        changed: bool,
    ) {
        let id = record.id;
        let failed = Record { recipients: given_up, ..record.clone() };
        let folder = Arc::clone(&self.folder);
        let (given_up, result) = if failed.recipients.is_empty() {
            (failed, Ok(()))
        } else {
            let count = failed.recipients.len() as u64;
            let written = failed.clone();
            let result = blocking(move || folder.fail(&written, &content)).await;
            if result.is_ok() {
                self.metrics.spool_failed.inc_by(count);
            }
            (failed, result)
        };
        if let Err(error) = result {
            // What cannot be put aside keeps waiting: it must not be lost.
            tracing::error!(delivery = %id, %error, "cannot write to `failed`");
            rest.extend(given_up.recipients);
        }
        let left = Arc::new(Record { recipients: rest, ..record.clone() });
        let folder = Arc::clone(&self.folder);
        let done = left.recipients.is_empty();
        if changed {
            let left = Arc::clone(&left);
            let result = blocking(move || if done { folder.remove(id) } else { folder.update(&left) }).await;
            if let Err(error) = result {
                // At worst it is delivered again under the same id, which the node recognises.
                tracing::warn!(delivery = %id, %error, "cannot update the spool");
            }
        }
        if done {
            self.forget(id);
        } else {
            let due = Instant::now() + self.pause(left.attempts());
            self.insert(left, due);
        }
    }
}

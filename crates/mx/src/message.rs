//! The end of a message: what its filters say, and where it goes.
//!
//! Whatever refuses a message does so here, while the client waits. What is answered 250 is delivered or kept, and never bounced.

use crate::{
    delivery::{Settlement, settle},
    examine::examine,
    service::{Exchanger, Policy},
    spool::KeepError,
    transaction::Transaction,
};
use chasqui_courier::{Content, Envelope};
use chasqui_filter::{
    Judged, Message, Screen,
    content::{Action, EnvelopeChanges},
};
use chasqui_smtp::{Recipient, Reply};
use std::{io, sync::Arc};

const LOOP: Reply = Reply::fixed(554, (5, 4, 6), "Routing loop: too many Received lines");
const NO_SPACE: Reply = Reply::fixed(452, (4, 3, 1), "No space for the message now, try again later");
pub(crate) const LOCAL_ERROR: Reply = Reply::fixed(451, (4, 3, 0), "Local error, try again later");

const UNADDRESSED: Reply =
    Reply::fixed(451, (4, 3, 0), "A filter sends the message to nobody that we know, try again later");

/// What became of a message.
pub(crate) struct Finished {
    pub reply: Reply,
    /// Its name in the metrics.
    pub outcome: &'static str,
    /// The `Message-ID`, as far as it was read.
    pub message_id: String,
}

/// Delivers a complete message, keeps it, or refuses it.
pub(crate) async fn finish(
    exchanger: &Exchanger,
    policy: &Policy,
    screen: Option<&mut Screen>,
    mut transaction: Transaction,
) -> Finished {
    let mut message_id = String::new();
    let (reply, outcome) = match receive(exchanger, policy, &mut transaction, &mut message_id).await {
        Err(refused) => refused,
        Ok(content) => match screened(exchanger, policy, screen, &mut transaction, content).await {
            Err(refused) => refused,
            Ok((content, junk)) => deliver(exchanger, policy, transaction, content, junk).await,
        },
    };
    Finished { reply, outcome, message_id }
}

type Refused = (Reply, &'static str);

/// The text as a whole, within its bounds.
async fn receive(
    exchanger: &Exchanger,
    policy: &Policy,
    transaction: &mut Transaction,
    message_id: &mut String,
) -> Result<Content, Refused> {
    let limits = &policy.config.limits;
    let (id, tmp) = (transaction.id, exchanger.spool.tmp());
    let text = match (transaction.text.take(), transaction.failure.take()) {
        (Some(text), None) => text,
        (_, failure) => return Err((failure.unwrap_or(LOCAL_ERROR), "deferred")),
    };
    // RFC 5321 §6.3. Our own line is one of them.
    let looping = text.received_lines() > limits.received_lines + 1;
    let content = text.finish(tmp, id).await.map_err(|error| unwritten(transaction, &error))?;
    exchanger.metrics.octets.inc_by(content.len());
    let examined = examine(&content, limits.header_size.as_usize(), limits.mime_depth).await;
    let examined = examined.map_err(|error| unwritten(transaction, &error))?;
    *message_id = examined.message_id;
    if looping {
        return Err((LOOP, "loop"));
    }
    examined.refusal.map_or(Ok(content), Err)
}

/// What the filters leave of a message, and whether it goes to Junk.
async fn screened(
    exchanger: &Exchanger,
    policy: &Policy,
    screen: Option<&mut Screen>,
    transaction: &mut Transaction,
    content: Content,
) -> Result<(Content, bool), Refused> {
    let Some(screen) = screen else { return Ok((content, false)) };
    let user = match transaction.accounts.as_slice() {
        [only] => Some(only.account.as_str()),
        _ => None,
    };
    let mut domains: Vec<&str> = Vec::new();
    for (recipient, _) in transaction.recipients.iter().flatten() {
        let domain = match recipient {
            Recipient::Postmaster => policy.postmaster.domain(),
            Recipient::Mailbox(mailbox) => mailbox.domain(),
        };
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    let message = Message {
        id: transaction.id,
        mail: &transaction.mail,
        user,
        domains: &domains,
        memory: policy.config.limits.memory.as_usize(),
        folder: exchanger.spool.tmp(),
    };
    let judged = Box::pin(screen.content(&message, content)).await;
    let Judged { action, content, envelope, outcome } =
        judged.map_err(|error| unwritten(transaction, &error))?;
    let mut junk = match action {
        Action::Accept => false,
        Action::Junk => true,
        Action::Drop => return Err((accepted(transaction), "dropped")),
        Action::Refuse(reply) => return Err((reply, outcome)),
    };
    match readdress(exchanger, policy, transaction, envelope).await? {
        Readdressed::Some => {}
        Readdressed::Junk => junk = true,
        Readdressed::Nobody => return Err((accepted(transaction), "dropped")),
    }
    if junk {
        exchanger.metrics.junk.inc();
    }
    Ok((content, junk))
}

/// Who is to have a message once milters have changed its envelope.
enum Readdressed {
    /// The accounts of the transaction.
    Some,
    /// The same, in Junk: whoever took out all recipients may have nothing dropped.
    Junk,
    /// Nobody: a milter took out the last recipient, which is its way to drop a message.
    Nobody,
}

/// Makes the changes that milters want of the envelope. What they add is looked up before anything is taken out, so that a message
/// that was to go to somebody else does not end up with nobody.
async fn readdress(
    exchanger: &Exchanger,
    policy: &Policy,
    transaction: &mut Transaction,
    envelope: EnvelopeChanges,
) -> Result<Readdressed, Refused> {
    let id = transaction.id;
    let EnvelopeChanges { sender, added, deleted, keeps } = envelope;
    if let Some(sender) = sender {
        transaction.mail.reverse_path = sender;
    }
    let mut found = Vec::with_capacity(added.len());
    let mut refused = false;
    for mailbox in added {
        let recipient = Recipient::Mailbox(mailbox);
        match exchanger.courier.directory.accounts(&recipient, &policy.postmaster).await {
            Ok(owned) => found.push((recipient, owned)),
            Err(no) => {
                tracing::warn!(delivery = %id, reply = %no.reply, "cannot add a recipient for a milter");
                if no.reply.is_temporary() {
                    return Err((no.reply, "deferred"));
                }
                // Only ours can be added: the sender, who was not told of it, is not refused for it.
                refused = true;
            }
        }
    }
    let before = transaction.accounts.clone();
    for mailbox in &deleted {
        transaction.remove(mailbox);
    }
    for (recipient, owned) in found {
        let (reply, _) = transaction.add(recipient, owned, policy);
        if !reply.is_positive() {
            tracing::warn!(delivery = %id, %reply, "cannot add a recipient for a milter");
            return Err((reply, "deferred"));
        }
    }
    if !transaction.accounts.is_empty() {
        return Ok(Readdressed::Some);
    }
    if refused {
        return Err((UNADDRESSED, "deferred"));
    }
    if !keeps {
        return Ok(Readdressed::Nobody);
    }
    transaction.accounts = before;
    Ok(Readdressed::Junk)
}

async fn deliver(
    exchanger: &Exchanger,
    policy: &Policy,
    transaction: Transaction,
    content: Content,
    junk: bool,
) -> (Reply, &'static str) {
    let Transaction { id, mail, accounts, .. } = transaction;
    let content = Arc::new(content);
    let envelope = Arc::new(Envelope {
        id,
        smtputf8: mail.smtputf8,
        body: mail.body,
        junk,
        reverse_path: mail.reverse_path,
    });
    let results = exchanger.courier.deliver(&envelope, &content, accounts).await;
    match settle(policy.config.when_unavailable, results) {
        Settlement::Answer(reply) => {
            let outcome = match reply.code() {
                ..400 => "delivered",
                400..500 => "deferred",
                _ => "refused",
            };
            (reply, outcome)
        }
        Settlement::Spool(results) => match exchanger.spool.keep(&envelope, &content, &results).await {
            Ok(()) => (Reply::new(250, (2, 0, 0), format!("{id} accepted")), "spooled"),
            // Should some account have the message already, the sender's retry doubles it there: still better than to lose it for
            // the others.
            Err(error) => {
                tracing::error!(delivery = %id, %error, "cannot keep the message in the spool");
                (of_keep(&error), "deferred")
            }
        },
    }
}

fn accepted(transaction: &Transaction) -> Reply {
    Reply::new(250, (2, 0, 0), format!("{} accepted", transaction.id))
}

fn unwritten(transaction: &Transaction, error: &io::Error) -> Refused {
    tracing::error!(delivery = %transaction.id, %error, "cannot write the message to the spool folder");
    (of_io(error), "deferred")
}

pub(crate) fn of_io(error: &io::Error) -> Reply {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => NO_SPACE,
        _ => LOCAL_ERROR,
    }
}

fn of_keep(error: &KeepError) -> Reply {
    match error {
        KeepError::Full => NO_SPACE,
        KeepError::Io(error) => of_io(error),
    }
}

//! SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2).

use chasqui_imap::{Code, MailboxName, Reply};
use chasqui_mailstore::{Access, Mailbox};

use super::super::defaults;
use super::super::refusal::{Outcome, folder};
use super::super::report::{known_flags, numbered};
use super::super::session::Session;

pub(super) async fn run(session: &mut Session, name: &MailboxName, access: Access) -> Outcome {
    // The mailbox selected before is left, also if this one cannot be opened.
    if let Some(before) = session.selected.take() {
        before.close().await;
        Reply::ok("Previous mailbox is closed").with(Code::Closed).untagged(&mut session.out);
    }
    let folder = folder(name)?;
    let account = session.account();
    let mailbox = defaults::or_made(account, &folder, || account.open(&folder, access)).await?;
    session.keywords = describe(&mailbox, &mut session.out);
    session.selected = Some(mailbox);
    Ok(match access {
        Access::ReadWrite => Reply::ok("SELECT completed").with(Code::ReadWrite),
        Access::ReadOnly => Reply::ok("EXAMINE completed").with(Code::ReadOnly),
    })
}

/// Appends what a client must know of a mailbox. Gives the number of its keywords.
fn describe(mailbox: &Mailbox, out: &mut Vec<u8>) -> usize {
    let keywords = known_flags(mailbox, out);
    numbered(out, mailbox.exists() as u64, "EXISTS");
    numbered(out, mailbox.recent() as u64, "RECENT");
    let unread = |uid: &_| mailbox.message(*uid).is_some_and(|message| !message.flags.seen());
    if let Some(first) = mailbox.uids().iter().position(unread) {
        Reply::ok("First unseen").with(Code::Unseen(first as u32 + 1)).untagged(out);
    }
    Reply::ok("UIDs valid").with(Code::UidValidity(mailbox.uid_validity())).untagged(out);
    Reply::ok("Predicted next UID").with(Code::UidNext(mailbox.uid_next().get())).untagged(out);
    keywords
}

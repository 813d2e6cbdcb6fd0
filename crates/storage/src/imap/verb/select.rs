//! SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2).

use chasqui_imap::{Code, MailboxName, Reply, write};
use chasqui_mailstore::{Access, Mailbox};

use super::super::defaults;
use super::super::refusal::{Outcome, folder};
use super::super::report::numbered;
use super::super::session::Session;

/// Keywords that one folder can hold; with fewer, a client may make new ones (`\*`).
const KEYWORDS: usize = 26;

const SYSTEM: [&str; 5] = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"];

pub(super) async fn run(session: &mut Session, name: &MailboxName, access: Access) -> Outcome {
    // The mailbox selected before is left, also if this one cannot be opened.
    if let Some(before) = session.selected.take() {
        before.close().await;
        Reply::ok("Previous mailbox is closed").with(Code::Closed).untagged(&mut session.out);
    }
    let folder = folder(name)?;
    let account = session.account();
    let mailbox = defaults::or_made(account, &folder, || account.open(&folder, access)).await?;
    describe(&mailbox, access, &mut session.out);
    session.selected = Some(mailbox);
    Ok(match access {
        Access::ReadWrite => Reply::ok("SELECT completed").with(Code::ReadWrite),
        Access::ReadOnly => Reply::ok("EXAMINE completed").with(Code::ReadOnly),
    })
}

fn describe(mailbox: &Mailbox, access: Access, out: &mut Vec<u8>) {
    let keywords = mailbox.keywords();
    let known = || SYSTEM.into_iter().chain(keywords.iter().map(String::as_str));
    out.extend_from_slice(b"* FLAGS ");
    write::flags(out, known(), false);
    out.extend_from_slice(b"\r\n");
    numbered(out, mailbox.exists() as u64, "EXISTS");
    numbered(out, mailbox.recent() as u64, "RECENT");
    let unread = |uid: &_| mailbox.message(*uid).is_some_and(|message| !message.flags.seen());
    if let Some(first) = mailbox.uids().iter().position(unread) {
        Reply::ok("First unseen").with(Code::Unseen(first as u32 + 1)).untagged(out);
    }
    Reply::ok("UIDs valid").with(Code::UidValidity(mailbox.uid_validity())).untagged(out);
    Reply::ok("Predicted next UID").with(Code::UidNext(mailbox.uid_next().get())).untagged(out);
    let mut permanent = Vec::new();
    match access {
        Access::ReadWrite => {
            write::flags(&mut permanent, known().chain((keywords.len() < KEYWORDS).then_some("\\*")), false)
        }
        Access::ReadOnly => write::flags(&mut permanent, [], false),
    }
    let permanent = String::from_utf8_lossy(&permanent).into_owned();
    Reply::ok("Flags that are kept").with(Code::PermanentFlags(permanent)).untagged(out);
}

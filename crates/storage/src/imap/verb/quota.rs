//! GETQUOTA and GETQUOTAROOT (RFC 9208). An account has one quota, whose root has the empty name.

use chasqui_imap::{Code, MailboxName, Reply, write};

use super::super::refusal::{Outcome, Stop, folder, refused};
use super::super::session::Session;
use super::done;

pub(super) async fn get(session: &mut Session, root: &[u8]) -> Outcome {
    if !root.is_empty() {
        return Err(Reply::no("No such quota root").with(Code::NonExistent).into());
    }
    respond(session).await?;
    done("GETQUOTA")
}

pub(super) async fn root(session: &mut Session, name: &MailboxName) -> Outcome {
    let folder = folder(name)?;
    // RFC 9208 §4.1.2: the mailbox need not exist, but saying NO helps who mistyped it.
    if !folder.is_inbox() {
        session.account().status(&folder).await.map_err(|error| refused(&error))?;
    }
    session.out.extend_from_slice(b"* QUOTAROOT ");
    write::mailbox(&mut session.out, name);
    session.out.extend_from_slice(b" \"\"\r\n");
    respond(session).await?;
    done("GETQUOTAROOT")
}

async fn respond(session: &mut Session) -> Result<(), Stop> {
    let (usage, quota) = (session.account().usage().await?, session.quota());
    // RFC 9208 §5.1: STORAGE counts in units of 1024 octets.
    let storage = quota.bytes.map(|limit| ("STORAGE", usage.bytes.div_ceil(1024), limit / 1024));
    let messages = quota.messages.map(|limit| ("MESSAGE", usage.messages, limit));
    let list: Vec<String> = storage
        .into_iter()
        .chain(messages)
        .map(|(name, used, limit)| format!("{name} {used} {limit}"))
        .collect();
    session.out.extend_from_slice(format!("* QUOTA \"\" ({})\r\n", list.join(" ")).as_bytes());
    Ok(())
}

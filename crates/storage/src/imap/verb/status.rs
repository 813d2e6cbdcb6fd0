//! STATUS (RFC 3501 §6.3.10).

use chasqui_imap::{MailboxName, StatusItem, write};
use chasqui_mailstore::Status;

use super::super::defaults;
use super::super::refusal::{Outcome, folder};
use super::super::session::Session;
use super::done;

pub(super) async fn run(session: &mut Session, name: &MailboxName, items: &[StatusItem]) -> Outcome {
    let folder = folder(name)?;
    let account = session.account();
    let status = defaults::or_made(account, &folder, || account.status(&folder)).await?;
    respond(&mut session.out, name, &status, items);
    done("STATUS")
}

/// Appends the untagged response.
pub(super) fn respond(out: &mut Vec<u8>, name: &MailboxName, status: &Status, items: &[StatusItem]) {
    out.extend_from_slice(b"* STATUS ");
    write::mailbox(out, name);
    out.extend_from_slice(b" (");
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(item.as_str().as_bytes());
        out.push(b' ');
        let value = match item {
            StatusItem::Messages => u64::from(status.messages),
            StatusItem::Recent => u64::from(status.recent),
            StatusItem::UidNext => u64::from(status.uid_next.get()),
            StatusItem::UidValidity => u64::from(status.uid_validity),
            StatusItem::Unseen => u64::from(status.unseen),
            StatusItem::Deleted => u64::from(status.deleted),
            StatusItem::Size => status.size,
            StatusItem::HighestModSeq => status.highest_mod_seq,
        };
        write::number(out, value);
    }
    out.extend_from_slice(b")\r\n");
}

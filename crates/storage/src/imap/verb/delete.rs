//! DELETE (RFC 3501 §6.3.4).

use chasqui_imap::{Code, MailboxName, Reply};

use super::super::refusal::{Outcome, folder};
use super::super::session::Session;
use super::done;

pub(super) async fn run(session: &mut Session, name: &MailboxName) -> Outcome {
    let folder = folder(name)?;
    if folder.is_inbox() {
        return Err(Reply::no("INBOX cannot be deleted").with(Code::Cannot).into());
    }
    // A client that deletes what it has selected is left with nothing selected, rather than with a mailbox that is gone.
    if session.selected.as_ref().is_some_and(|mailbox| *mailbox.name() == folder)
        && let Some(mailbox) = session.selected.take()
    {
        mailbox.close().await;
    }
    session.account().delete(&folder).await?;
    done("DELETE")
}

//! CLOSE (RFC 3501 §6.4.2) and UNSELECT (RFC 3691).

use chasqui_mailstore::Access;

use super::super::refusal::Outcome;
use super::super::session::Session;
use super::done;

/// Leaves the mailbox; CLOSE removes what is marked `\Deleted` and says nothing of it.
pub(super) async fn run(session: &mut Session, expunge: bool) -> Outcome {
    let mailbox = session.mailbox()?;
    if expunge && mailbox.access() == Access::ReadWrite {
        // If the removal fails the mailbox stays selected, so that the client can see it.
        mailbox.expunge(None).await?;
    }
    if let Some(mailbox) = session.selected.take() {
        mailbox.close().await;
    }
    done(if expunge { "CLOSE" } else { "UNSELECT" })
}

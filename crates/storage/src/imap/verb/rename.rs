//! RENAME (RFC 3501 §6.3.5).

use chasqui_imap::MailboxName;

use super::super::refusal::{Outcome, folder};
use super::super::session::Session;
use super::done;

pub(super) async fn run(session: &mut Session, from: &MailboxName, to: &MailboxName) -> Outcome {
    let (from, to) = (folder(from)?, folder(to)?);
    session.account().rename(&from, &to).await?;
    done("RENAME")
}

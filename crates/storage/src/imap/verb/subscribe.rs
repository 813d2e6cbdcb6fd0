//! SUBSCRIBE and UNSUBSCRIBE (RFC 3501 §6.3.6, §6.3.7).

use chasqui_imap::MailboxName;

use super::super::refusal::{Outcome, folder};
use super::super::session::Session;
use super::done;

pub(super) async fn run(session: &mut Session, name: &MailboxName, subscribed: bool) -> Outcome {
    let folder = folder(name)?;
    session.account().subscribe(&folder, subscribed).await?;
    done(if subscribed { "SUBSCRIBE" } else { "UNSUBSCRIBE" })
}

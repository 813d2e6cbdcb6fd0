//! EXPUNGE (RFC 3501 §6.4.3) and UID EXPUNGE (RFC 4315 §2.1). What left is told with the reply.

use chasqui_imap::{Numbering, SequenceSet};

use super::super::numbers;
use super::super::refusal::Outcome;
use super::super::session::Session;
use super::done;

pub(super) async fn run(session: &mut Session, only: Option<&SequenceSet>) -> Outcome {
    let mailbox = session.mailbox()?;
    match only {
        None => mailbox.expunge(None).await?,
        Some(set) => {
            let uids: Vec<_> =
                numbers::lenient(mailbox, Numbering::Uid, set).into_iter().map(|(_, uid)| uid).collect();
            mailbox.expunge(Some(&uids)).await?;
        }
    }
    done("EXPUNGE")
}

//! COPY (RFC 3501 §6.4.7) and MOVE (RFC 6851), with COPYUID (RFC 4315 §3).

use chasqui_imap::{Code, MailboxName, Numbering, Reply, SequenceSet};
use chasqui_mailstore::{Copied, Uid};

use super::super::refusal::{Outcome, Stop, folder, target_refused};
use super::super::session::Session;
use super::super::{defaults, numbers};

pub(super) async fn copy(
    session: &mut Session,
    by: Numbering,
    set: &SequenceSet,
    to: &MailboxName,
) -> Outcome {
    let uids = named(session, by, set)?;
    let folder = folder(to)?;
    if uids.is_empty() {
        return Ok(Reply::ok("COPY completed: no such messages"));
    }
    let (account, quota) = (session.account().clone(), session.quota());
    let mailbox = session.mailbox()?;
    match defaults::or_made(&account, &folder, || mailbox.copy(&uids, &folder, quota)).await {
        Ok(copied) if copied.pairs.is_empty() => Ok(Reply::ok("COPY completed: no such messages")),
        Ok(copied) => {
            session.sorted(false, &folder, &arrived(&copied)).await;
            Ok(Reply::ok("COPY completed").with(code(&copied)))
        }
        Err(error) => {
            session.note(&error);
            Err(target_refused(&error).into())
        }
    }
}

pub(super) async fn move_to(
    session: &mut Session,
    by: Numbering,
    set: &SequenceSet,
    to: &MailboxName,
) -> Outcome {
    let uids = named(session, by, set)?;
    let folder = folder(to)?;
    if uids.is_empty() {
        return Ok(Reply::ok("MOVE completed: no such messages"));
    }
    let account = session.account().clone();
    let mailbox = session.mailbox()?;
    let mut moved = mailbox.move_to(&uids, &folder).await;
    if matches!(moved, Err(chasqui_mailstore::MailError::NoSuchFolder))
        && defaults::made_for(&account, &folder).await
    {
        moved = mailbox.move_to(&uids, &folder).await;
    }
    let moved = moved.map_err(|error| target_refused(&error))?;
    if !moved.pairs.is_empty() {
        // RFC 6851 §4.3: COPYUID comes untagged, before the EXPUNGE responses, which the end of the command tells.
        Reply::ok("Moved").with(code(&moved)).untagged(&mut session.out);
        session.sorted(false, &folder, &arrived(&moved)).await;
    }
    Ok(Reply::ok("MOVE completed"))
}

fn named(session: &mut Session, by: Numbering, set: &SequenceSet) -> Result<Vec<Uid>, Stop> {
    session.refresh(by)?;
    let messages = numbers::messages(session.mailbox()?, by, set)?;
    Ok(messages.into_iter().map(|(_, uid)| uid).collect())
}

fn arrived(copied: &Copied) -> Vec<Uid> {
    copied.pairs.iter().map(|(_, to)| *to).collect()
}

fn code(copied: &Copied) -> Code {
    let (from, to) = copied.pairs.iter().map(|(from, to)| (from.get(), to.get())).unzip();
    Code::CopyUid { uid_validity: copied.uid_validity, from, to }
}

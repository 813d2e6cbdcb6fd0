//! STORE (RFC 3501 §6.4.6).

use chasqui_imap::{Code, Flag, FlagMode, Numbering, Reply, StoreRequest};
use chasqui_mailstore::{Access, Change, Flags, FlagsMode, MailError, Uid};

use super::super::numbers;
use super::super::refusal::Outcome;
use super::super::report::{changed_keywords, fetched_flags, told};
use super::super::session::Session;
use super::done;

pub(super) async fn run(session: &mut Session, request: &StoreRequest) -> Outcome {
    let given = flags(&request.flags)?;
    if session.mailbox()?.access() == Access::ReadOnly {
        return Err(MailError::ReadOnly.into());
    }
    session.refresh(request.by)?;
    let (selected, keywords, out) = (&mut session.selected, &mut session.keywords, &mut session.out);
    let Some(mailbox) = selected else { return done("STORE") };
    let named = numbers::messages(mailbox, request.by, &request.set)?;
    let uids: Vec<Uid> = named.iter().map(|&(_, uid)| uid).collect();
    let mode = match request.mode {
        FlagMode::Replace => FlagsMode::Replace,
        FlagMode::Add => FlagsMode::Add,
        FlagMode::Remove => FlagsMode::Remove,
    };
    // What each message should have afterwards; if it has something else, another session was at it too, and the client
    // must be told in spite of .SILENT.
    let expected: Vec<Option<Flags>> = uids
        .iter()
        .map(|uid| mailbox.message(*uid).map(|message| combined(message.flags, mode, &given)))
        .collect();
    mailbox.store_flags(&uids, mode, &given).await?;
    let changes = mailbox.sync(false);
    changed_keywords(mailbox, keywords, &changes, out);
    for change in &changes {
        let own = matches!(change, Change::Flags { uid, .. } if uids.binary_search(uid).is_ok());
        if !own {
            told(mailbox, change, request.by, out);
        }
    }
    let mut gone = false;
    for (&(seq, uid), expected) in named.iter().zip(&expected) {
        let Some(message) = mailbox.message(uid) else {
            gone = true;
            continue;
        };
        if !request.silent || expected.as_ref() != Some(&message.flags) {
            fetched_flags(out, seq, uid, &message.flags, message.recent, request.by);
        }
    }
    if gone && request.by == Numbering::Sequence && !request.silent {
        // RFC 2180 §4.2.1.
        return Err(Reply::no("Some of the messages no longer exist").with(Code::ExpungeIssued).into());
    }
    done("STORE")
}

/// The store's form of a flag list.
pub(super) fn flags(list: &[Flag]) -> Result<Flags, Reply> {
    let mut flags = Flags::NONE;
    for flag in list {
        match flag {
            Flag::Seen => flags.insert(&Flags::SEEN),
            Flag::Answered => flags.insert(&Flags::ANSWERED),
            Flag::Flagged => flags.insert(&Flags::FLAGGED),
            Flag::Deleted => flags.insert(&Flags::DELETED),
            Flag::Draft => flags.insert(&Flags::DRAFT),
            Flag::Keyword(word) => {
                flags.insert_keyword(word).map_err(|_| Reply::no("Not a keyword").with(Code::Cannot))?;
            }
        }
    }
    Ok(flags)
}

fn combined(mut flags: Flags, mode: FlagsMode, given: &Flags) -> Flags {
    match mode {
        FlagsMode::Replace => return given.clone(),
        FlagsMode::Add => flags.insert(given),
        FlagsMode::Remove => flags.remove(given),
    }
    flags
}

//! Telling the client what changed in the selected mailbox: the only place where sequence numbers change.

use chasqui_imap::{Numbering, write};
use chasqui_mailstore::{Change, Flags, Mailbox, Uid};

/// Brings the view up to date and appends the untagged responses. With `expunges` numbers may change. The UID is told with
/// flags when the command in progress came with `UID` (RFC 3501 §6.4.8).
pub(super) fn report(mailbox: &mut Mailbox, expunges: bool, by: Numbering, out: &mut Vec<u8>) {
    for change in mailbox.sync(expunges) {
        told(mailbox, &change, by, out);
    }
}

/// Appends one change.
pub(super) fn told(mailbox: &Mailbox, change: &Change, by: Numbering, out: &mut Vec<u8>) {
    match change {
        Change::Expunged { seq, .. } => numbered(out, u64::from(*seq), "EXPUNGE"),
        Change::Exists(count) => numbered(out, u64::from(*count), "EXISTS"),
        Change::Recent(count) => numbered(out, u64::from(*count), "RECENT"),
        Change::Flags { seq, uid, flags } => {
            // FLAGS replaces all that the client knew, so `\Recent` must be repeated.
            let recent = mailbox.message(*uid).is_some_and(|message| message.recent);
            fetched_flags(out, *seq, *uid, flags, recent, by);
        }
    }
}

/// Appends `* n FETCH ([UID u] FLAGS (…))`.
pub(super) fn fetched_flags(
    out: &mut Vec<u8>,
    seq: u32,
    uid: Uid,
    flags: &Flags,
    recent: bool,
    by: Numbering,
) {
    out.extend_from_slice(b"* ");
    write::number(out, u64::from(seq));
    out.extend_from_slice(b" FETCH (");
    if by == Numbering::Uid {
        out.extend_from_slice(b"UID ");
        write::number(out, u64::from(uid.get()));
        out.push(b' ');
    }
    out.extend_from_slice(b"FLAGS ");
    flag_list(out, flags, recent);
    out.extend_from_slice(b")\r\n");
}

/// Appends flags in parentheses.
pub(super) fn flag_list(out: &mut Vec<u8>, flags: &Flags, recent: bool) {
    write::flags(out, system(flags).chain(flags.keywords()), recent);
}

fn system(flags: &Flags) -> impl Iterator<Item = &str> {
    let named = [
        (flags.answered(), "\\Answered"),
        (flags.flagged(), "\\Flagged"),
        (flags.deleted(), "\\Deleted"),
        (flags.seen(), "\\Seen"),
        (flags.draft(), "\\Draft"),
    ];
    named.into_iter().filter(|(set, _)| *set).map(|(_, name)| name)
}

/// Appends `* n WORD`.
pub(super) fn numbered(out: &mut Vec<u8>, n: u64, word: &str) {
    out.extend_from_slice(b"* ");
    write::number(out, n);
    out.push(b' ');
    out.extend_from_slice(word.as_bytes());
    out.extend_from_slice(b"\r\n");
}

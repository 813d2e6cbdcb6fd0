//! Telling the client what changed in the selected mailbox: the only place where sequence numbers change.

use chasqui_imap::{Code, Numbering, Reply, write};
use chasqui_mailstore::{Access, Change, Flags, Mailbox, Uid};

/// Keywords that one folder can hold; with fewer, a client may make new ones (`\*`).
const KEYWORDS: usize = 26;

const SYSTEM: [&str; 5] = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"];

/// Brings the view up to date and appends the untagged responses. With `expunges` numbers may change. The UID is told with
/// flags when the command in progress came with `UID` (RFC 3501 §6.4.8). `keywords` is how many keywords the client knows.
pub(super) fn report(
    mailbox: &mut Mailbox,
    keywords: &mut usize,
    expunges: bool,
    by: Numbering,
    out: &mut Vec<u8>,
) {
    let changes = mailbox.sync(expunges);
    changed_keywords(mailbox, keywords, &changes, out);
    for change in &changes {
        told(mailbox, change, by, out);
    }
}

/// Tells the mailbox's flags again if keywords have come (RFC 3501 §7.2.6): a client must know a flag before it meets it.
pub(super) fn changed_keywords(
    mailbox: &Mailbox,
    keywords: &mut usize,
    changes: &[Change],
    out: &mut Vec<u8>,
) {
    let may_bring = |change: &Change| match change {
        Change::Flags { flags, .. } => flags.keywords().next().is_some(),
        Change::Exists(_) => true,
        Change::Expunged { .. } | Change::Recent(_) => false,
    };
    if changes.iter().any(may_bring) && mailbox.keywords().len() != *keywords {
        *keywords = known_flags(mailbox, out);
    }
}

/// Appends FLAGS and PERMANENTFLAGS. Gives the number of keywords.
pub(super) fn known_flags(mailbox: &Mailbox, out: &mut Vec<u8>) -> usize {
    let keywords = mailbox.keywords();
    let known = || SYSTEM.into_iter().chain(keywords.iter().map(String::as_str));
    out.extend_from_slice(b"* FLAGS ");
    write::flags(out, known(), false);
    out.extend_from_slice(b"\r\n");
    let mut permanent = Vec::new();
    match mailbox.access() {
        Access::ReadWrite => {
            write::flags(&mut permanent, known().chain((keywords.len() < KEYWORDS).then_some("\\*")), false);
        }
        Access::ReadOnly => write::flags(&mut permanent, [], false),
    }
    let permanent = String::from_utf8_lossy(&permanent).into_owned();
    Reply::ok("Flags that are kept").with(Code::PermanentFlags(permanent)).untagged(out);
    keywords.len()
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

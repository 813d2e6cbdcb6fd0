//! From a client's set of numbers to messages of the view.

use chasqui_imap::{Numbering, Reply, SequenceSet};
use chasqui_mailstore::{Mailbox, Uid};

/// The messages that a set names: sequence number and UID, rising. UIDs that are not there are passed over (RFC 3501 §6.4.8);
/// a sequence number beyond the mailbox is BAD (§9 `seq-number`).
pub(super) fn messages(
    mailbox: &Mailbox,
    by: Numbering,
    set: &SequenceSet,
) -> Result<Vec<(u32, Uid)>, Reply> {
    let exists = mailbox.exists() as u32;
    if by == Numbering::Sequence && set.largest_written().is_some_and(|largest| largest > exists) {
        return Err(Reply::bad("No message has that number"));
    }
    Ok(lenient(mailbox, by, set))
}

/// The same, numbers beyond the mailbox passed over: in SEARCH they match nothing.
pub(super) fn lenient(mailbox: &Mailbox, by: Numbering, set: &SequenceSet) -> Vec<(u32, Uid)> {
    let uids = mailbox.uids();
    let mut found = Vec::new();
    match by {
        Numbering::Sequence => {
            for (first, last) in set.resolve(uids.len() as u32) {
                let last = (last as usize).min(uids.len());
                let first = first as usize - 1;
                let named = uids.get(first..last).unwrap_or_default();
                found.extend(named.iter().enumerate().map(|(i, &uid)| ((first + i) as u32 + 1, uid)));
            }
        }
        Numbering::Uid => {
            for (first, last) in set.resolve(uids.last().map_or(0, |uid| uid.get())) {
                let start = uids.partition_point(|uid| uid.get() < first);
                let named = uids[start..].iter().take_while(|uid| uid.get() <= last);
                found.extend(named.enumerate().map(|(i, &uid)| ((start + i) as u32 + 1, uid)));
            }
        }
    }
    found
}

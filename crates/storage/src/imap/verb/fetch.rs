//! FETCH (RFC 3501 §6.4.5).
//!
//! Messages are taken in batches: structures come from the store a batch at a time, `\Seen` is set a batch at a time, before
//! its messages are sent. A message is written only after everything that can fail has been read, except its octets: if those
//! cannot be read to their promised end, the connection is closed, as nothing else would be understood.

use std::io;
use std::ops::Range;
use std::time::SystemTime;

use chasqui_imap::{Code, DateTime, FetchItem, FetchRequest, Numbering, Reply, write};
use chasqui_mailstore::{Access, Change, Flags, FlagsMode, MailError, Message, Summary, Uid};

use super::super::content::{HEADER_PIECE, Octets, PIECE, Piece};
use super::super::refusal::{Outcome, Stop, refused};
use super::super::report::{changed_keywords, flag_list, told};
use super::super::session::Session;
use super::super::{numbers, structure};
use super::done;

/// Messages in a batch.
const BATCH: usize = 100;

/// Lists of header fields in one FETCH: each is put together in memory.
const HEADER_LISTS: usize = 64;

/// Octets of header fields that are put together for one message.
const TEXTS: usize = 4 << 20;

/// What the items need.
struct Needs {
    /// Envelope or structure.
    summary: bool,
    /// Octets, and how many are read at once.
    octets: Option<u64>,
    /// An item sets `\Seen`.
    seen: bool,
    /// FLAGS is asked for.
    flags: bool,
}

/// What happened along the way.
#[derive(Default)]
struct Misses {
    /// A message was removed by another session.
    gone: bool,
    /// Why a message could not be read.
    failed: Option<Reply>,
}

pub(super) async fn run(session: &mut Session, request: &FetchRequest) -> Outcome {
    if request.items.iter().filter(|item| is_header_list(item)).count() > HEADER_LISTS {
        return Err(Reply::no("Too many lists of header fields in one FETCH").with(Code::Limit).into());
    }
    session.refresh(request.by)?;
    let mailbox = session.mailbox()?;
    let named = numbers::messages(mailbox, request.by, &request.set)?;
    let mut needs = Needs::of(&request.items);
    needs.seen &= mailbox.access() == Access::ReadWrite;
    let mut misses = Misses::default();
    for batch in named.chunks(BATCH) {
        let now_seen = if needs.seen { mark_seen(session, batch, request.by).await? } else { Vec::new() };
        let summaries =
            if needs.summary { summaries(session, batch, &mut misses).await? } else { Vec::new() };
        for &(seq, uid) in batch {
            let summary =
                summaries.binary_search_by_key(&uid, |summary| summary.uid).ok().map(|at| &summaries[at]);
            let tell_flags = !needs.flags && now_seen.binary_search(&uid).is_ok();
            one(session, request, &needs, (seq, uid), summary, tell_flags, &mut misses).await?;
            session.flush_if_large().await?;
        }
    }
    misses.outcome(request.by)
}

fn is_header_list(item: &FetchItem) -> bool {
    use chasqui_imap::SectionText as T;
    let FetchItem::Section { section, .. } = item else { return false };
    matches!(section.text, Some(T::HeaderFields(_) | T::HeaderFieldsNot(_)))
}

impl Needs {
    fn of(items: &[FetchItem]) -> Self {
        let mut needs = Self { summary: false, octets: None, seen: false, flags: false };
        for item in items {
            needs.seen |= item.marks_seen();
            let octets = match item {
                FetchItem::Flags => {
                    needs.flags = true;
                    continue;
                }
                FetchItem::Envelope | FetchItem::Body | FetchItem::BodyStructure => {
                    needs.summary = true;
                    continue;
                }
                FetchItem::Uid | FetchItem::InternalDate | FetchItem::Size => continue,
                FetchItem::Rfc822Header => HEADER_PIECE,
                FetchItem::Section { section, .. } => {
                    needs.summary |= !section.part.is_empty();
                    use chasqui_imap::SectionText as T;
                    match &section.text {
                        Some(T::Header | T::HeaderFields(_) | T::HeaderFieldsNot(_)) => HEADER_PIECE,
                        _ => PIECE,
                    }
                }
                FetchItem::Rfc822 | FetchItem::Rfc822Text => PIECE,
            };
            needs.octets = needs.octets.max(Some(octets));
        }
        needs
    }
}

/// Sets `\Seen` and gives those that did not have it. If it cannot be set, the messages are sent all the same: to read
/// is what was asked for.
async fn mark_seen(session: &mut Session, batch: &[(u32, Uid)], by: Numbering) -> Result<Vec<Uid>, Stop> {
    let (selected, keywords, out) = (&mut session.selected, &mut session.keywords, &mut session.out);
    let Some(mailbox) = selected else { return Ok(Vec::new()) };
    let unseen = |uid: &Uid| mailbox.message(*uid).is_some_and(|message| !message.flags.seen());
    let uids: Vec<Uid> = batch.iter().map(|&(_, uid)| uid).filter(unseen).collect();
    if uids.is_empty() {
        return Ok(uids);
    }
    if let Err(error) = mailbox.store_flags(&uids, FlagsMode::Add, &Flags::SEEN).await {
        tracing::warn!(%error, "\\Seen could not be set");
        return Ok(Vec::new());
    }
    let changes = mailbox.sync(false);
    changed_keywords(mailbox, keywords, &changes, out);
    for change in &changes {
        // What this command set is told with the message.
        let own = matches!(change, Change::Flags { uid, .. } if uids.binary_search(uid).is_ok());
        if !own {
            told(mailbox, change, by, out);
        }
    }
    Ok(uids)
}

async fn summaries(
    session: &mut Session,
    batch: &[(u32, Uid)],
    misses: &mut Misses,
) -> Result<Vec<Summary>, Stop> {
    let uids: Vec<Uid> = batch.iter().map(|&(_, uid)| uid).collect();
    match session.mailbox()?.summaries(&uids).await {
        Ok(mut summaries) => {
            summaries.sort_unstable_by_key(|summary| summary.uid);
            Ok(summaries)
        }
        Err(error) => {
            misses.note(&error);
            Ok(Vec::new())
        }
    }
}

/// Tells one message.
async fn one(
    session: &mut Session,
    request: &FetchRequest,
    needs: &Needs,
    (seq, uid): (u32, Uid),
    summary: Option<&Summary>,
    tell_flags: bool,
    misses: &mut Misses,
) -> Result<(), Stop> {
    let mailbox = session.mailbox()?;
    let Some(message) = mailbox.message(uid) else {
        misses.gone = true;
        return Ok(());
    };
    if needs.summary && summary.is_none() {
        misses.gone |= misses.failed.is_none();
        return Ok(());
    }
    let prepared = match needs.octets {
        None => Ok((None, Vec::new())),
        Some(at_once) => match Octets::open(mailbox, uid, at_once).await {
            Ok(octets) => prepare(octets, request, summary).await,
            Err(error) => Err(error),
        },
    };
    let (mut octets, pieces) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            misses.note(&error);
            return Ok(());
        }
    };
    let mut pieces = pieces.into_iter();
    numbered(&mut session.out, seq);
    for (i, item) in request.items.iter().enumerate() {
        if i > 0 {
            session.out.push(b' ');
        }
        if !small(&mut session.out, item, &message, summary) {
            let piece = pieces.next().unwrap_or(Piece::Nil);
            send(session, item, piece, octets.as_mut()).await?;
        }
        session.flush_if_large().await?;
    }
    if tell_flags {
        session.out.extend_from_slice(b" FLAGS ");
        flag_list(&mut session.out, &message.flags, message.recent);
    }
    session.out.extend_from_slice(b")\r\n");
    Ok(())
}

impl Misses {
    fn note(&mut self, error: &MailError) {
        match error {
            MailError::Gone => self.gone = true,
            error => self.failed = Some(refused(error)),
        }
    }

    fn outcome(self, by: Numbering) -> Outcome {
        if let Some(reply) = self.failed {
            return Err(reply.into());
        }
        if self.gone && by == Numbering::Sequence {
            // RFC 2180 §4.1.2: the rest is told, and the reply says that something is missing.
            return Err(Reply::no("Some of the messages no longer exist").with(Code::ExpungeIssued).into());
        }
        done("FETCH")
    }
}

/// Finds the pieces of the items that are octets, in their order.
async fn prepare(
    mut octets: Octets,
    request: &FetchRequest,
    summary: Option<&Summary>,
) -> Result<(Option<Octets>, Vec<Piece>), MailError> {
    use chasqui_imap::{Section, SectionText};
    let whole = |text| Section { part: Vec::new(), text };
    let mut pieces = Vec::new();
    let mut texts = 0;
    for item in &request.items {
        let piece = match item {
            FetchItem::Rfc822 => octets.section(&whole(None), None).await?,
            FetchItem::Rfc822Header => octets.section(&whole(Some(SectionText::Header)), None).await?,
            FetchItem::Rfc822Text => octets.section(&whole(Some(SectionText::Text)), None).await?,
            FetchItem::Section { section, partial, .. } => {
                octets.section(section, summary.map(|summary| &summary.body)).await?.cut(*partial)
            }
            _ => continue,
        };
        if let Piece::Text(text) = &piece {
            texts += text.len();
            if texts > TEXTS {
                return Err(MailError::LimitExceeded("the header fields asked for are too large together"));
            }
        }
        pieces.push(piece);
    }
    Ok((Some(octets), pieces))
}

/// Appends an item that needs no octets. False: it does.
fn small(out: &mut Vec<u8>, item: &FetchItem, message: &Message, summary: Option<&Summary>) -> bool {
    match (item, summary) {
        (FetchItem::Uid, _) => {
            out.extend_from_slice(b"UID ");
            write::number(out, u64::from(message.uid.get()));
        }
        (FetchItem::Flags, _) => {
            out.extend_from_slice(b"FLAGS ");
            flag_list(out, &message.flags, message.recent);
        }
        (FetchItem::InternalDate, _) => {
            out.extend_from_slice(b"INTERNALDATE ");
            DateTime::utc(unix(message.internal_date)).write(out);
        }
        (FetchItem::Size, _) => {
            out.extend_from_slice(b"RFC822.SIZE ");
            write::number(out, message.size);
        }
        (FetchItem::Envelope, Some(summary)) => {
            out.extend_from_slice(b"ENVELOPE ");
            structure::envelope(&summary.envelope).write(out);
        }
        (FetchItem::Body, Some(summary)) => {
            out.extend_from_slice(b"BODY ");
            structure::body(&summary.body).write(out, false);
        }
        (FetchItem::BodyStructure, Some(summary)) => {
            out.extend_from_slice(b"BODYSTRUCTURE ");
            structure::body(&summary.body).write(out, true);
        }
        _ => return false,
    }
    true
}

/// Appends an item that is octets, and sends them as they are read.
async fn send(
    session: &mut Session,
    item: &FetchItem,
    piece: Piece,
    octets: Option<&mut Octets>,
) -> Result<(), Stop> {
    match item {
        FetchItem::Rfc822 => session.out.extend_from_slice(b"RFC822"),
        FetchItem::Rfc822Header => session.out.extend_from_slice(b"RFC822.HEADER"),
        FetchItem::Rfc822Text => session.out.extend_from_slice(b"RFC822.TEXT"),
        FetchItem::Section { section, partial, .. } => {
            write::section(&mut session.out, section, partial.map(|(origin, _)| origin));
        }
        _ => {}
    }
    session.out.push(b' ');
    match (piece, octets) {
        (Piece::Text(text), _) => {
            write::literal_start(&mut session.out, text.len() as u64);
            session.out.extend_from_slice(&text);
        }
        (Piece::Range(range), Some(octets)) => {
            write::literal_start(&mut session.out, range.end - range.start);
            stream(session, octets, range).await?;
        }
        _ => session.out.extend_from_slice(b"NIL"),
    }
    Ok(())
}

/// Copies octets to the client, at most a piece and the output limit in memory.
async fn stream(session: &mut Session, octets: &mut Octets, range: Range<u64>) -> Result<(), Stop> {
    let mut at = range.start;
    while at < range.end {
        let piece = octets.read(at..range.end).await.map_err(|error| {
            tracing::error!(%error, "a message could not be read to its end");
            Stop::Broken(io::ErrorKind::InvalidData.into())
        })?;
        at += piece.len() as u64;
        session.out.extend_from_slice(&piece);
        session.flush_if_large().await?;
    }
    Ok(())
}

fn numbered(out: &mut Vec<u8>, seq: u32) {
    out.extend_from_slice(b"* ");
    write::number(out, u64::from(seq));
    out.extend_from_slice(b" FETCH (");
}

/// Seconds since 1970, also before it.
pub(super) fn unix(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_there_but_not_at_hand_is_never_left_out_silently() {
        for by in [Numbering::Sequence, Numbering::Uid] {
            let mut misses = Misses::default();
            misses.note(&MailError::Busy);
            let Err(Stop::Refused(reply)) = misses.outcome(by) else { panic!("{by:?} was completed") };
            assert_eq!(reply.condition, chasqui_imap::Condition::No);
        }
    }
}

//! APPEND (RFC 3501 §6.3.11, RFC 3502, RFC 4315 §3): the message goes from the wire to the store in pieces.

use std::io;
use std::time::{Duration, SystemTime};

use chasqui_imap::{AppendMessage, Code, DateTime, Event, MailboxName, Numbering, Reply, Tag};
use chasqui_mailstore::{Append, Flags, Incoming, MailError, Quota, Usage};

use super::super::defaults;
use super::super::refusal::{Outcome, Stop, folder, target_refused};
use super::super::session::{After, Session, Telling};

/// Messages in one APPEND. Each may hold the store's spill size in memory.
const MESSAGES: usize = 32;

pub(in super::super) async fn run(
    session: &mut Session,
    tag: Tag,
    mailbox: MailboxName,
    first: AppendMessage,
) -> io::Result<After> {
    let outcome = append(session, &mailbox, first).await;
    session.finish(&tag, outcome, Telling::Everything(Numbering::Sequence))
}

async fn append(session: &mut Session, mailbox: &MailboxName, first: AppendMessage) -> Outcome {
    let target = folder(mailbox).inspect_err(|_| session.reader.refuse())?;
    let messages = receive(session, first).await?;
    // A new account has its Sent and Drafts before the first message goes there.
    defaults::made_for(session.account(), &target).await;
    match session.account().append(&target, messages, session.quota()).await {
        Ok(appended) => {
            session.sorted(true, &target, &appended.uids).await;
            let uids = appended.uids.iter().map(|uid| uid.get()).collect();
            Ok(Reply::ok("APPEND completed")
                .with(Code::AppendUid { uid_validity: appended.uid_validity, uids }))
        }
        Err(error) => {
            session.note(&error);
            Err(target_refused(&error).into())
        }
    }
}

/// Takes every message of the command. After a failure the rest is read and dropped, so that the stream stays in step.
async fn receive(session: &mut Session, first: AppendMessage) -> Result<Vec<Append>, Stop> {
    let mut messages = Vec::new();
    let mut failed: Option<MailError> = None;
    let mut announced = Announced::default();
    let mut current = begin(session, &first, &mut announced).await?;
    session.reader.accept();
    loop {
        match session.reader.next_event() {
            Event::NeedInput => session.read_more().await?,
            Event::Continue => session.out.extend_from_slice(b"+ OK\r\n"),
            Event::Chunk(octets) if failed.is_none() => failed = current.message.write(octets).await.err(),
            Event::Chunk(_) => {}
            Event::AppendNext(next) => {
                if messages.len() + 1 == MESSAGES {
                    session.reader.refuse();
                    return Err(Reply::no("Too many messages in one APPEND").with(Code::Limit).into());
                }
                let following = begin(session, &next, &mut announced).await?;
                messages.push(std::mem::replace(&mut current, following));
                session.reader.accept();
            }
            Event::AppendEnd => break,
            Event::Refused { reply, .. } => return Err(reply.into()),
            Event::Fatal { .. } | Event::Command(_) | Event::Append { .. } => {
                return Err(io::Error::from(io::ErrorKind::InvalidData).into());
            }
        }
    }
    match failed {
        Some(error) => {
            session.note(&error);
            Err(error.into())
        }
        None => {
            messages.push(current);
            Ok(messages)
        }
    }
}

/// What the messages of the command need together.
#[derive(Default)]
struct Announced {
    bytes: u64,
    messages: u64,
    /// What the account held when the command began; not asked for without a quota.
    held: Option<Usage>,
}

/// Room for one message, or a reply and the message refused.
async fn begin(
    session: &mut Session,
    message: &AppendMessage,
    announced: &mut Announced,
) -> Result<Append, Stop> {
    let flags = match super::store::flags(&message.flags) {
        Ok(flags) => announced.take(session, message.size).await.map(|()| flags),
        Err(reply) => Err(reply.into()),
    };
    match flags {
        Ok(flags) => Ok(appended(session.store.incoming(), flags, message.date)),
        Err(stop) => {
            session.reader.refuse();
            Err(stop)
        }
    }
}

impl Announced {
    /// Counts one more message, or refuses it before it comes: what cannot be stored takes no room on disk meanwhile. The
    /// store looks at the quota again at the end, as others may fill the account.
    async fn take(&mut self, session: &Session, size: u64) -> Result<(), Stop> {
        if size == 0 {
            return Err(Reply::no("The message is empty").into());
        }
        self.bytes = self.bytes.saturating_add(size);
        self.messages += 1;
        if self.bytes > session.settings.limits.message.as_u64() {
            return Err(Reply::no("The messages are too large together").with(Code::TooBig).into());
        }
        let quota = session.quota();
        if quota == Quota::default() {
            return Ok(());
        }
        let held = match self.held {
            Some(held) => held,
            None => session.account().usage().await?,
        };
        self.held = Some(held);
        let fits = |held: u64, more, limit: Option<u64>| {
            limit.is_none_or(|limit| held.saturating_add(more) <= limit)
        };
        if fits(held.bytes, self.bytes, quota.bytes) && fits(held.messages, self.messages, quota.messages) {
            return Ok(());
        }
        session.note(&MailError::OverQuota);
        Err(MailError::OverQuota.into())
    }
}

fn appended(message: Incoming, flags: Flags, date: Option<DateTime>) -> Append {
    Append { message, flags, internal_date: date.and_then(moment) }
}

fn moment(date: DateTime) -> Option<SystemTime> {
    let seconds = Duration::from_secs(date.unix.unsigned_abs());
    if date.unix < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(seconds)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(seconds)
    }
}

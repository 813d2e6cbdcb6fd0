//! One session that is logged in: work, wait, work.

use std::io;
use std::sync::Arc;

use chasqui_base::net::Stream;
use chasqui_base::{EmailAddress, Lifecycle};
use chasqui_imap::{CAPABILITIES, Code, CommandReader, Event, Limits, LineEvent, Numbering, Reply, Tag};
use chasqui_mailstore::{Account, FolderName, MailError, Mailbox, Quota, Store, Uid};
use tokio::time::Instant;

use super::refusal::{Outcome, Stop};
use super::report::report;
use super::verb;
use crate::connection::{close, send};
use crate::node::{LogIn, Node, Settings};
use crate::training::Training;

/// Output is sent when it reaches this many octets.
const FLUSH: usize = 64 << 10;

/// Who hears that an account is full, and what users make of their Junk. A trait, so that a session runs without a directory in tests.
pub(super) trait Refusals: Send + Sync {
    /// The store refused a message of this account.
    fn note_refusal(&self, account: &EmailAddress, error: &MailError);

    /// What takes lessons for a spam filter, if one is to learn.
    fn training(&self) -> Option<&Training> {
        None
    }
}

impl Refusals for Node {
    fn note_refusal(&self, account: &EmailAddress, error: &MailError) {
        Node::note_refusal(self, account, error);
    }

    fn training(&self) -> Option<&Training> {
        self.training.as_deref()
    }
}

/// A session.
pub(super) struct Session {
    stream: Stream,
    pub(super) reader: CommandReader,
    /// Replies that are not sent yet.
    pub(super) out: Vec<u8>,
    log_in: LogIn,
    pub(super) store: Store,
    pub(super) selected: Option<Mailbox>,
    /// Keywords of the selected mailbox that the client was told.
    pub(super) keywords: usize,
    /// The tag of IDLE while it lasts.
    pub(super) idling: Option<Tag>,
    pub(super) settings: Arc<Settings>,
    refusals: Arc<dyn Refusals>,
    /// Commands that were BAD.
    errors: u32,
    /// When the client was last heard, or its last command was done: from here its silence counts.
    heard: Instant,
}

/// What follows a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// More may be there.
    Go,
    /// The client has logged out, or was told goodbye.
    End,
}

/// What is told of the selected mailbox before the tagged reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// Nothing.
    Nothing,
    /// What renumbers nothing.
    NoExpunges,
    /// Everything.
    Everything(Numbering),
}

enum Woken {
    Ready,
    Gone,
    Goodbye(Reply),
}

/// Runs a session to its end.
pub(super) async fn run(mut session: Box<Session>, run: Lifecycle) {
    loop {
        // Boxed, so that an idle session does not hold the room that the largest verb needs.
        match Box::pin(session.work()).await {
            Ok(After::Go) => {}
            Ok(After::End) => break,
            Err(error) => {
                tracing::debug!(account = %session.log_in.address, %error, "connection lost");
                session.out = Vec::new();
                break;
            }
        }
        match session.wait(&run).await {
            Woken::Ready => {}
            Woken::Gone => break,
            Woken::Goodbye(reply) => {
                reply.untagged(&mut session.out);
                break;
            }
        }
    }
    Box::pin(session.end()).await;
}

impl Session {
    pub(super) fn new(
        stream: Stream,
        reader: CommandReader,
        log_in: LogIn,
        settings: Arc<Settings>,
        store: Store,
        refusals: Arc<dyn Refusals>,
    ) -> Self {
        Self {
            stream,
            reader,
            out: Vec::new(),
            log_in,
            store,
            selected: None,
            keywords: 0,
            idling: None,
            settings,
            refusals,
            errors: 0,
            heard: Instant::now(),
        }
    }

    pub(super) fn account(&self) -> &Account {
        &self.log_in.account
    }

    pub(super) fn quota(&self) -> Quota {
        self.log_in.quota
    }

    /// The selected mailbox; without one the command is BAD (RFC 3501 §3).
    pub(super) fn mailbox(&mut self) -> Result<&mut Mailbox, Stop> {
        self.selected.as_mut().ok_or_else(|| Stop::Refused(Reply::bad("No mailbox is selected")))
    }

    /// Tells what others did, without renumbering: the first thing a verb on messages does.
    pub(super) fn refresh(&mut self, by: Numbering) -> Result<(), Stop> {
        let Self { selected, keywords, out, .. } = self;
        let mailbox = selected.as_mut().ok_or_else(|| Stop::Refused(Reply::bad("No mailbox is selected")))?;
        report(mailbox, keywords, false, by, out);
        Ok(())
    }

    /// Tells the node of a refused message.
    pub(super) fn note(&self, error: &MailError) {
        self.refusals.note_refusal(&self.log_in.address, error);
    }

    /// Messages came into `to`, from the selected mailbox or, with `from_outside`, from the client: a spam filter may learn from it.
    pub(super) async fn sorted(&self, from_outside: bool, to: &FolderName, uids: &[Uid]) {
        let Some(training) = self.refusals.training() else { return };
        let from = self.selected.as_ref().filter(|_| !from_outside).map(Mailbox::name);
        training.moved(&self.log_in.account, from, to, uids).await;
    }

    /// Ends a command: what changed, then the tagged reply.
    pub(super) fn finish(&mut self, tag: &Tag, outcome: Outcome, telling: Telling) -> io::Result<After> {
        let reply = match outcome {
            Ok(reply) | Err(Stop::Refused(reply)) => reply,
            Err(Stop::Broken(error)) => return Err(error),
        };
        if let Some(mailbox) = &mut self.selected {
            match telling {
                Telling::Nothing => {}
                Telling::NoExpunges => {
                    report(mailbox, &mut self.keywords, false, Numbering::Sequence, &mut self.out)
                }
                Telling::Everything(by) => report(mailbox, &mut self.keywords, true, by, &mut self.out),
            }
        }
        self.reply(Some(tag), &reply)
    }

    /// Writes a reply and counts it if it is BAD.
    fn reply(&mut self, tag: Option<&Tag>, reply: &Reply) -> io::Result<After> {
        reply.answer(tag, &mut self.out);
        if reply.condition == chasqui_imap::Condition::Bad {
            self.errors += 1;
            if self.errors >= self.settings.limits.errors {
                Reply::bye("Too many errors").untagged(&mut self.out);
                return Ok(After::End);
            }
        }
        Ok(After::Go)
    }

    /// Sends what is written, if it is much.
    pub(super) async fn flush_if_large(&mut self) -> io::Result<()> {
        if self.out.len() >= FLUSH { self.flush().await } else { Ok(()) }
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        send(&mut self.stream, &mut self.out, self.settings.timeouts.write.get()).await
    }

    /// Reads more in the middle of a command; replies so far are sent first.
    pub(super) async fn read_more(&mut self) -> io::Result<()> {
        self.flush().await?;
        let room = self.reader.room();
        let read = self.stream.read_more(self.reader.input(), room);
        let octets = crate::connection::in_time(self.settings.timeouts.data.get(), read).await?;
        if octets == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.heard = Instant::now();
        Ok(())
    }

    /// Does everything that is there.
    async fn work(&mut self) -> io::Result<After> {
        let mut worked = false;
        loop {
            if self.idling.is_some() {
                if self.idle_goes_on() {
                    break;
                }
                worked = true;
                continue;
            }
            let after = match self.reader.next_event() {
                Event::NeedInput => break,
                Event::Continue => {
                    self.out.extend_from_slice(b"+ OK\r\n");
                    After::Go
                }
                Event::Command(command) => verb::run(self, command).await?,
                Event::Append { tag, mailbox, message } => {
                    verb::append::run(self, tag, mailbox, message).await?
                }
                Event::Refused { tag, reply } => self.reply(tag.as_ref(), &reply)?,
                Event::Fatal { tag, reply } => {
                    reply.answer(tag.as_ref(), &mut self.out);
                    Reply::bye("Goodbye").untagged(&mut self.out);
                    After::End
                }
                // Only while APPEND takes its message.
                Event::AppendNext(_) | Event::Chunk(_) | Event::AppendEnd => {
                    return Err(io::ErrorKind::InvalidData.into());
                }
            };
            if after == After::End {
                return Ok(After::End);
            }
            worked = true;
            self.flush_if_large().await?;
        }
        self.flush().await?;
        if worked {
            // The client was not silent while it waited for a long command. Changes told in IDLE are not its doing.
            self.heard = Instant::now();
        }
        Ok(After::Go)
    }

    /// Looks for the end of IDLE. True: it lasts, and what changed is written.
    fn idle_goes_on(&mut self) -> bool {
        match self.reader.next_line() {
            LineEvent::NeedInput => {
                if let Some(mailbox) = &mut self.selected {
                    report(mailbox, &mut self.keywords, true, Numbering::Sequence, &mut self.out);
                }
                true
            }
            LineEvent::Line(line) => {
                let done = line.eq_ignore_ascii_case(b"DONE");
                let reply = if done { Reply::ok("IDLE completed") } else { Reply::bad("Expected DONE") };
                self.end_idle(reply);
                false
            }
            LineEvent::TooLong => {
                self.reader.discard_input();
                self.end_idle(Reply::bad("Expected DONE"));
                false
            }
        }
    }

    fn end_idle(&mut self, reply: Reply) {
        if let Some(mailbox) = &mut self.selected {
            report(mailbox, &mut self.keywords, true, Numbering::Sequence, &mut self.out);
        }
        if let Some(tag) = self.idling.take() {
            reply.tagged(&tag, &mut self.out);
        }
    }

    /// Waits without buffers: for the client, in IDLE also for changes.
    async fn wait(&mut self, run: &Lifecycle) -> Woken {
        let timeouts = &self.settings.timeouts;
        let patience = if self.reader.has_input() { timeouts.data } else { timeouts.imap_idle };
        let until = self.heard + patience.get();
        let room = self.reader.room();
        let changing = self.selected.as_ref().filter(|_| self.idling.is_some());
        tokio::select! {
            read = self.stream.read_more(self.reader.input(), room) => match read {
                Ok(0) | Err(_) => Woken::Gone,
                Ok(_) => {
                    self.heard = Instant::now();
                    Woken::Ready
                }
            },
            () = changed(changing) => Woken::Ready,
            () = run.stopped() => {
                Woken::Goodbye(Reply::bye("Server is closing, connect again").with(Code::Unavailable))
            }
            () = tokio::time::sleep_until(until) => Woken::Goodbye(Reply::bye("Autologout: idle for too long")),
        }
    }

    async fn end(mut self: Box<Self>) {
        if let Some(mailbox) = self.selected.take() {
            mailbox.close().await;
        }
        if self.flush().await.is_ok() {
            close(&mut self.stream).await;
        }
    }
}

async fn changed(mailbox: Option<&Mailbox>) {
    match mailbox {
        Some(mailbox) => mailbox.changed().await,
        None => std::future::pending().await,
    }
}

/// The capabilities of a session.
pub(super) fn capabilities(settings: &Settings) -> String {
    // RFC 7889 §2.
    format!("{CAPABILITIES} APPENDLIMIT={}", settings.limits.message.as_u64())
}

/// What a session's client may say.
pub(super) fn message_limits(settings: &Settings) -> Limits {
    Limits { message: settings.limits.message.as_u64(), ..Limits::default() }
}

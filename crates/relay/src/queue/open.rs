//! A message that is being worked on: its envelope, its text, and what is known of each recipient.

use super::{
    folder::Stored,
    record::{self, Record},
};
use crate::{
    fate::{Trouble, Whose},
    message::{Envelope, Notify, Recipient},
};
use chasqui_courier::Content;
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Recipients that one message may come to have by aliases.
const MOST_RECIPIENTS: usize = 100_000;

/// A message that is being worked on.
pub struct Open {
    /// Its text.
    pub content: Arc<Content>,
    state: Mutex<State>,
    /// Octets that count as fresh, until the first attempt.
    fresh: AtomicUsize,
}

/// What is known of a message.
pub struct State {
    /// What was queued, with the recipients that took the place of aliases behind all others.
    pub envelope: Arc<Envelope>,
    /// By recipient: what is known of it while it does not have the message; nothing when it is done.
    pub pending: Vec<Option<Pending>>,
    /// By recipient: the alias whose place it took.
    parents: Vec<Option<u32>>,
    /// An operator holds it back.
    pub held: bool,
    /// The sender was told that it is late.
    pub delay_said: bool,
    /// A recipient has failed whose sender cannot be told.
    pub untold: bool,
}

/// A recipient that does not have the message.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    /// Attempts that were made.
    pub attempts: u16,
    /// Seconds since 1970 of the last.
    pub last_at: Option<u64>,
    /// What was said then.
    pub last: Option<Arc<Trouble>>,
}

impl Open {
    /// A message that has just come.
    pub fn fresh(
        envelope: Arc<Envelope>,
        content: &Arc<Content>,
        path: impl FnOnce() -> PathBuf,
        offset: u64,
    ) -> Self {
        let (content, fresh) = match &**content {
            Content::Memory(text) => (Arc::clone(content), text.capacity() + 1024),
            // What it came in is removed when its reader is done with it.
            other => (Arc::new(Content::Stored { path: path(), offset, length: other.len() }), 1024),
        };
        Self { content, state: Mutex::new(State::new(envelope)), fresh: AtomicUsize::new(fresh) }
    }

    /// A message from its file.
    pub fn stored(path: &Path, stored: Stored) -> Self {
        let Stored { envelope, offset, length, records, text } = stored;
        let content = match text {
            Some(text) => Content::Memory(text),
            None => Content::Stored { path: path.to_owned(), offset, length },
        };
        let mut state = State::new(Arc::new(envelope));
        for record in records {
            state.replay(record);
        }
        Self { content: Arc::new(content), state: Mutex::new(state), fresh: AtomicUsize::new(0) }
    }

    /// What is known of it.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Octets that it holds in memory before its first attempt.
    pub fn fresh_size(&self) -> usize {
        self.fresh.load(Ordering::Relaxed)
    }

    /// Its first attempt begins: says how many octets counted until now.
    pub fn no_longer_fresh(&self) -> usize {
        self.fresh.swap(0, Ordering::Relaxed)
    }
}

impl State {
    fn new(envelope: Arc<Envelope>) -> Self {
        let count = envelope.recipients.len();
        Self {
            envelope,
            pending: vec![Some(Pending::default()); count],
            parents: vec![None; count],
            held: false,
            delay_said: false,
            untold: false,
        }
    }

    /// Whether somebody is still to get it.
    pub fn is_done(&self) -> bool {
        self.pending.iter().all(Option::is_none)
    }

    /// Whether the sender wants to hear that it is late for any that are still to get it.
    pub fn wants_delay(&self) -> bool {
        self.envelope
            .recipients
            .iter()
            .zip(&self.pending)
            .any(|(to, pending)| pending.is_some() && to.notify.delay)
    }

    /// A recipient needs no more attempts.
    pub fn done(&mut self, recipient: u32) -> Option<Pending> {
        self.pending.get_mut(recipient as usize)?.take()
    }

    /// A recipient was put off.
    pub fn deferred(&mut self, recipient: u32, at: u64, trouble: &Arc<Trouble>) {
        if let Some(Some(pending)) = self.pending.get_mut(recipient as usize) {
            pending.attempts = pending.attempts.saturating_add(1);
            pending.last_at = Some(at);
            pending.last = Some(Arc::clone(trouble));
        }
    }

    /// Others take the place of a recipient (RFC 3461 §5.2.7). Those that have the message on their way already are left out. Says which
    /// indices they got.
    ///
    /// # Errors
    /// When an alias leads back to itself, or to too many.
    pub fn expand(&mut self, recipient: u32, to: &[String]) -> Result<Vec<u32>, &'static str> {
        self.may_expand(recipient, to)?;
        let Some(alias) = self.envelope.recipients.get(recipient as usize).cloned() else {
            return Ok(Vec::new());
        };
        // With several, what the sender wants to hear of success is said of the alias (RFC 3461 §5.2.7.3).
        let notify = Notify { success: alias.notify.success && to.len() == 1, ..alias.notify };
        let envelope = Arc::make_mut(&mut self.envelope);
        let mut known: HashSet<String> =
            envelope.recipients.iter().map(|known| canonical(&known.address)).collect();
        let mut new = Vec::new();
        for address in to {
            if known.insert(canonical(address)) {
                new.push(self.pending.len() as u32);
                let original = alias.original.clone().or_else(|| Some(original(&alias.address)));
                envelope.recipients.push(Recipient { address: address.clone(), notify, original });
                self.pending.push(Some(Pending::default()));
                self.parents.push(Some(recipient));
            }
        }
        self.done(recipient);
        Ok(new)
    }

    /// Whether an alias leads neither back to itself nor to too many.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn may_expand(&self, recipient: u32, to: &[String]) -> Result<(), &'static str> {
        let targets: HashSet<String> = to.iter().map(|to| canonical(to)).collect();
        let mut chain = Some(recipient);
        while let Some(step) = chain {
            let address = self.envelope.recipients.get(step as usize).map(|to| canonical(&to.address));
            if address.is_some_and(|address| targets.contains(&address)) {
                return Err("The alias leads back to itself");
            }
            chain = self.parents.get(step as usize).copied().flatten();
        }
        if self.pending.len() + to.len() > MOST_RECIPIENTS {
            return Err("The alias leads to too many recipients");
        }
        Ok(())
    }

    fn replay(&mut self, record: Record) {
        match record {
            Record::Sealed(_) => {}
            Record::Done { recipients, reply, .. } => {
                for recipient in recipients {
                    self.done(recipient);
                }
                self.untold |= reply.starts_with('5') && self.envelope.reverse_path.as_str().is_empty();
            }
            Record::Deferred { at, recipients, remote, reply } => {
                let Some(reply) = record::reply(&reply) else { return };
                let trouble = Arc::new(Trouble { remote, reply, whose: Whose::Message });
                for recipient in recipients {
                    self.deferred(recipient, at, &trouble);
                }
            }
            Record::Expanded { recipient, to, .. } => {
                // What was written down was allowed.
                let _ = self.expand(recipient, &to);
            }
            Record::Delayed { .. } => self.delay_said = true,
            Record::Held { held, .. } => self.held = held,
        }
    }
}

/// Two addresses that reach the same mailbox, as far as one can tell from here: the local part of other sites keeps its case
/// (RFC 5321 §2.4).
fn canonical(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_lowercase()),
        None => address.to_owned(),
    }
}

/// ORCPT of a recipient that the sender gave none for (RFC 3461 §5.2.1, RFC 6533 §3).
pub fn original(address: &str) -> String {
    format!("{};{address}", if address.is_ascii() { "rfc822" } else { "utf-8" })
}

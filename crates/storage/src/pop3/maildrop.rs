use chasqui_base::EmailAddress;
use chasqui_mailstore::{Access, Content, FolderName, MailError, Mailbox, Uid};
use chasqui_pop3::MessageNumber;

use crate::node::LogIn;

/// INBOX as one session sees it (RFC 1939 §4): frozen at log-in but for the marks of DELE.
pub(super) struct Maildrop {
    pub(super) address: EmailAddress,
    mailbox: Mailbox,
    /// Eight octets a message, since thousands of sessions are idle at once.
    messages: Box<[Entry]>,
    /// Indexes into `messages`, in order. Empty, and without memory, until the first DELE.
    deleted: Vec<u32>,
}

/// A message of the maildrop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) uid: Uid,
    /// Octets. Messages of 4 GiB and more, which no limit lets in, count as 4 GiB.
    pub(super) size: u32,
}

impl Maildrop {
    /// Takes the snapshot.
    pub(super) async fn open(log_in: &LogIn) -> Result<Self, MailError> {
        let mailbox = log_in.account.open(&FolderName::inbox(), Access::ReadWrite).await?;
        let messages = mailbox
            .uids()
            .iter()
            .filter_map(|&uid| mailbox.message(uid))
            .map(|message| Entry { uid: message.uid, size: u32::try_from(message.size).unwrap_or(u32::MAX) })
            .collect();
        Ok(Self { address: log_in.address.clone(), mailbox, messages, deleted: Vec::new() })
    }

    /// Messages not marked, and their octets.
    pub(super) fn totals(&self) -> (usize, u64) {
        self.listed().fold((0, 0), |(count, octets), (_, entry)| (count + 1, octets + u64::from(entry.size)))
    }

    /// The messages not marked, with their numbers.
    pub(super) fn listed(&self) -> impl Iterator<Item = (u32, Entry)> {
        (0_u32..)
            .zip(self.messages.iter())
            .filter(|(index, _)| !self.is_deleted(*index))
            .map(|(index, entry)| (index + 1, *entry))
    }

    /// The message of this number unless it does not exist or is marked.
    pub(super) fn get(&self, number: MessageNumber) -> Option<Entry> {
        let entry = self.messages.get(number.index())?;
        (!self.is_deleted(number.get() - 1)).then_some(*entry)
    }

    /// The message's unique id (RFC 1939 §7): at most 21 characters, never given to another message of this maildrop.
    pub(super) fn unique_id(&self, entry: Entry) -> impl std::fmt::Display + use<> {
        struct UniqueId(u32, Uid);
        impl std::fmt::Display for UniqueId {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "{}-{}", self.0, self.1)
            }
        }
        UniqueId(self.mailbox.uid_validity(), entry.uid)
    }

    /// Marks a message; the caller has checked that it is there.
    pub(super) fn mark(&mut self, number: MessageNumber) {
        if let Err(place) = self.deleted.binary_search(&(number.get() - 1)) {
            self.deleted.insert(place, number.get() - 1);
        }
    }

    /// Takes all marks back (RSET).
    pub(super) fn unmark_all(&mut self) {
        self.deleted = Vec::new();
    }

    /// Opens a message.
    pub(super) async fn content(&self, entry: Entry) -> Result<Content, MailError> {
        self.mailbox.content(entry.uid).await
    }

    /// The UPDATE state (RFC 1939 §6): removes what is marked, durably, and ends the view. How many were marked.
    pub(super) async fn update(mut self) -> Result<usize, MailError> {
        let marked: Vec<Uid> = self
            .deleted
            .iter()
            .filter_map(|&index| self.messages.get(index as usize))
            .map(|entry| entry.uid)
            .collect();
        let result = if marked.is_empty() { Ok(()) } else { self.mailbox.remove(&marked).await };
        self.mailbox.close().await;
        result.map(|()| marked.len())
    }

    /// Ends the view and removes nothing.
    pub(super) async fn abandon(self) {
        self.mailbox.close().await;
    }

    fn is_deleted(&self, index: u32) -> bool {
        !self.deleted.is_empty() && self.deleted.binary_search(&index).is_ok()
    }
}

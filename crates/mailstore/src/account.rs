//! One account: its folders.

use std::sync::Arc;
use std::time::SystemTime;

use chasqui_base::EmailAddress;

use crate::cabinet::Cabinet;
use crate::error::MailError;
use crate::flags::Flags;
use crate::folder_name::FolderName;
use crate::incoming::Incoming;
use crate::index::Indexes;
use crate::mailbox::Mailbox;
use crate::op::Appending;
use crate::state_file::seconds_since_epoch;
use crate::store::{Quota, Store, Usage};
use crate::uid::Uid;

/// A handle on one account. Cheap to clone. Every async method runs at the account's worker, in order.
#[derive(Clone)]
pub struct Account {
    store: Store,
    address: EmailAddress,
}

/// How a view is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// EXAMINE: nothing changes, also not what is recent.
    ReadOnly,
    /// SELECT.
    ReadWrite,
}

/// The use of a folder (RFC 6154 §2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpecialUse {
    /// `\All`
    All,
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Flagged`
    Flagged,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    const ALL: [(SpecialUse, &'static str); 7] = [
        (SpecialUse::All, "\\All"),
        (SpecialUse::Archive, "\\Archive"),
        (SpecialUse::Drafts, "\\Drafts"),
        (SpecialUse::Flagged, "\\Flagged"),
        (SpecialUse::Junk, "\\Junk"),
        (SpecialUse::Sent, "\\Sent"),
        (SpecialUse::Trash, "\\Trash"),
    ];

    /// As IMAP writes it: `\Sent`.
    pub fn as_str(self) -> &'static str {
        SpecialUse::ALL.iter().find(|(each, _)| *each == self).map_or("", |(_, name)| name)
    }

    /// Reads `\Sent`, in any case.
    pub fn parse(text: &str) -> Option<SpecialUse> {
        SpecialUse::ALL.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(each, _)| *each)
    }
}

/// A folder in a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FolderInfo {
    /// Its name.
    pub name: FolderName,
    /// Whether the account subscribed to it.
    pub subscribed: bool,
    /// Its use, if one was given.
    pub special_use: Option<SpecialUse>,
    /// False for a level that exists only because folders lie below it, and for a subscribed name without folder.
    pub exists: bool,
    /// Whether folders lie below it.
    pub has_children: bool,
}

/// What STATUS tells of a folder (RFC 9051 §6.3.11).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// Messages.
    pub messages: u32,
    /// Messages that no session has seen yet.
    pub recent: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// Octets in all messages.
    pub size: u64,
    /// The next message's UID.
    pub uid_next: Uid,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// The highest modification sequence (RFC 7162).
    pub highest_mod_seq: u64,
}

/// One message of APPEND.
pub struct Append {
    /// The message.
    pub message: Incoming,
    /// Its flags.
    pub flags: Flags,
    /// Its internal date; none is now.
    pub internal_date: Option<SystemTime>,
}

/// Messages that APPEND stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Appended {
    /// The folder's UIDVALIDITY.
    pub uid_validity: u32,
    /// Their UIDs, in the order given.
    pub uids: Vec<Uid>,
}

impl Account {
    pub(crate) fn new(store: Store, address: EmailAddress) -> Account {
        Account { store, address }
    }

    /// The account's address.
    pub fn address(&self) -> &EmailAddress {
        &self.address
    }

    /// Every folder, every level above one, and every subscribed name, in order of names with INBOX first.
    pub async fn folders(&self) -> Result<Vec<FolderInfo>, MailError> {
        self.run(|cabinet, _| cabinet.folders()).await
    }

    /// Makes a folder and the levels above it. Without `special_use`, the usual English names get theirs.
    pub async fn create(&self, name: &FolderName, special_use: Option<SpecialUse>) -> Result<(), MailError> {
        let name = name.clone();
        self.run(move |cabinet, _| cabinet.create(&name, special_use)).await
    }

    /// Removes a folder with its messages; folders below it stay (RFC 9051 §6.3.5).
    pub async fn delete(&self, name: &FolderName) -> Result<(), MailError> {
        let name = name.clone();
        let work = move |cabinet: &mut Cabinet, indexes: &mut Indexes| {
            if let Some(uid_validity) = cabinet.delete(&name)? {
                indexes.forget(&cabinet.address, &cabinet.dir, uid_validity, None);
            }
            Ok(())
        };
        self.run(work).await
    }

    /// Renames a folder and those below it. Of INBOX, the messages move and an empty INBOX stays (RFC 9051 §6.3.6).
    pub async fn rename(&self, from: &FolderName, to: &FolderName) -> Result<(), MailError> {
        let (from, to) = (from.clone(), to.clone());
        self.run(move |cabinet, _| cabinet.rename(&from, &to)).await
    }

    /// Subscribes or unsubscribes a name, whether or not a folder has it.
    pub async fn subscribe(&self, name: &FolderName, subscribed: bool) -> Result<(), MailError> {
        let name = name.clone();
        self.run(move |cabinet, _| cabinet.subscribe(&name, subscribed)).await
    }

    /// What STATUS tells.
    pub async fn status(&self, name: &FolderName) -> Result<Status, MailError> {
        let name = name.clone();
        self.run(move |cabinet, _| Ok(cabinet.drawer(&name)?.folder.lock().status())).await
    }

    /// Opens a view of a folder.
    pub async fn open(&self, name: &FolderName, access: Access) -> Result<Mailbox, MailError> {
        let (account, name) = (self.clone(), name.clone());
        let open = move |cabinet: &mut Cabinet, _: &mut Indexes| {
            let folder = cabinet.drawer(&name)?.folder.clone();
            let (mailbox, unsettled) = Mailbox::new(account, folder.clone(), name, access);
            if unsettled {
                cabinet.settle(&folder);
            }
            Ok(mailbox)
        };
        self.run(open).await
    }

    /// What the account holds in all folders.
    pub async fn usage(&self) -> Result<Usage, MailError> {
        self.run(|cabinet, _| cabinet.usage()).await
    }

    /// Stores messages in a folder: all of them or, on an error, none. On disk when it returns.
    pub async fn append(
        &self,
        name: &FolderName,
        messages: Vec<Append>,
        quota: Quota,
    ) -> Result<Appended, MailError> {
        let now = SystemTime::now();
        let mut appending = Vec::with_capacity(messages.len());
        for Append { message, flags, internal_date } in messages {
            let time = seconds_since_epoch(internal_date.unwrap_or(now));
            appending.push(Appending { source: message.into_source(1, time).await?, flags, time });
        }
        let name = name.clone();
        self.run(move |cabinet, _| cabinet.append(&name, &appending, quota)).await
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Cabinet, &mut Indexes) -> Result<T, MailError> + Send + 'static,
    ) -> Result<T, MailError> {
        self.store.run(&self.address, work).await
    }

    /// Asks the worker for something that nobody waits for.
    pub(crate) fn suggest(&self, work: impl FnOnce(&mut Cabinet, &mut Indexes) + Send + 'static) {
        self.store.suggest(&self.address, work);
    }

    pub(crate) fn host(&self) -> Arc<str> {
        self.store.host()
    }
}

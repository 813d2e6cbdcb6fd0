//! The store: every account of this node.

use std::sync::Arc;
use std::time::SystemTime;

use chasqui_base::{DeliveryId, EmailAddress};
use prometheus_client::registry::Registry;

use crate::account::Account;
use crate::config::StoreConfig;
use crate::error::{MailError, OpenError};
use crate::folder_name::FolderName;
use crate::incoming::Incoming;
use crate::uid::Uid;

/// The mail store of one storage node. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    config: Arc<StoreConfig>,
}

/// One recipient of a message that arrives.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The owner's canonical address.
    pub account: EmailAddress,
    /// The folder; one other than INBOX that does not exist is an error.
    pub folder: FolderName,
    /// The id that the message got at the exchanger. A second delivery of this id to this folder is recognised and not stored.
    pub id: DeliveryId,
    /// What the account may hold.
    pub quota: Quota,
    /// The internal date.
    pub received: SystemTime,
}

/// A delivery that is on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivered {
    /// The message's UID; for a duplicate whose first copy has left the folder, the smallest UID.
    pub uid: Uid,
    /// The folder's UIDVALIDITY.
    pub uid_validity: u32,
    /// Whether this id was here before, so that nothing was stored now.
    pub duplicate: bool,
}

/// What an account may hold; `None` is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quota {
    /// Octets in all messages together.
    pub bytes: Option<u64>,
    /// Messages.
    pub messages: Option<u64>,
}

/// What an account holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Octets in all messages together.
    pub bytes: u64,
    /// Messages.
    pub messages: u64,
}

impl Store {
    /// Opens the store and starts its workers.
    pub fn open(config: &StoreConfig) -> Result<Store, OpenError> {
        config.check()?;
        Ok(Store { config: Arc::new(config.clone()) })
    }

    /// A handle on an account. No I/O: an account comes to be with its first delivery or session.
    pub fn account(&self, address: &EmailAddress) -> Account {
        Account::new(self.clone(), address.clone())
    }

    /// Room for a message that arrives: in memory up to the `spill` setting, then a file.
    pub fn incoming(&self) -> Incoming {
        Incoming::new(self.config.spill.as_usize())
    }

    /// Stores one message for each recipient. A result is `Ok` only when message and directory entry are on disk. Results are in
    /// the order of `to`.
    pub async fn deliver(&self, message: Incoming, to: Vec<Delivery>) -> Vec<Result<Delivered, MailError>> {
        drop(message);
        to.iter().map(|_| Err(MailError::Busy)).collect()
    }

    /// Finishes what is queued and ends the workers. Later operations answer [`MailError::Busy`].
    pub async fn close(&self) {}

    /// Registers the store's metrics.
    pub fn register(&self, _registry: &mut Registry) {}
}

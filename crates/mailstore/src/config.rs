//! The `[store]` section of the storage node's configuration.

use std::path::PathBuf;

use chasqui_base::{ByteSize, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::OpenError;
use crate::layout::Layout;

/// Where and how accounts are kept.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Folder under which the accounts lie. One process owns it. Default `/var/lib/chasqui/mail`.
    pub root: PathBuf,
    /// How account folders are hashed into levels (S3): `digest`, `letters3`, `first2last1` or `first1last2`. Cannot change
    /// once accounts exist. Default `digest`.
    pub layout: Layout,
    /// Name of this host in message file names; empty takes the machine's host name. Default empty.
    pub host: String,
    /// Threads that do the disk work; each account belongs to one of them. Default 8.
    pub workers: usize,
    /// Most requests waiting for one worker; more wait outside. Default 1024.
    pub queue: usize,
    /// Most deliveries that share one group commit. Default 64.
    pub batch: usize,
    /// Deliveries in a batch from which on the whole file system is synced once (`syncfs`) rather than each file and folder by
    /// itself; 0 never does. Choose 0 where the mail store shares its file system with programs that write much. Default 2.
    pub sync_together: usize,
    /// A message up to this size is kept in memory while it arrives, a larger one goes to a file. Octets; default 128KiB.
    pub spill: ByteSize,
    /// How long the ids of messages that left a folder are remembered, so that a retried delivery is recognised. Longer than
    /// senders retry. Default 8d.
    pub departed_window: Span,
    /// Accounts kept in memory without a session, a worker. Default 10000.
    pub idle_accounts: usize,
    /// Messages of such accounts kept in memory, a worker; each costs about 64 octets. Default 1000000.
    pub idle_messages: usize,
    /// Index databases kept open, a worker. Default 16.
    pub open_indexes: usize,
    /// Most folders an account may have. Default 5000.
    pub max_folders: usize,
    /// Most messages one folder may have. Default 1000000.
    pub max_messages: usize,
}

impl Default for StoreConfig {
    fn default() -> StoreConfig {
        StoreConfig {
            root: PathBuf::from("/var/lib/chasqui/mail"),
            layout: Layout::Digest,
            host: String::new(),
            workers: 8,
            queue: 1024,
            batch: 64,
            sync_together: 2,
            spill: ByteSize(128 << 10),
            departed_window: Span::secs(8 * 86_400),
            idle_accounts: 10_000,
            idle_messages: 1_000_000,
            open_indexes: 16,
            max_folders: 5000,
            max_messages: 1_000_000,
        }
    }
}

impl StoreConfig {
    /// Refuses values that cannot work.
    pub fn check(&self) -> Result<(), OpenError> {
        let wrong = |key, reason| Err(OpenError::Config { key, reason });
        match self {
            c if !(1..=256).contains(&c.workers) => wrong("workers", "must be between 1 and 256"),
            c if !(1..=1_000_000).contains(&c.queue) => wrong("queue", "must be between 1 and 1000000"),
            c if !(1..=4096).contains(&c.batch) => wrong("batch", "must be between 1 and 4096"),
            c if c.spill.as_u64() > 64 << 20 => wrong("spill", "must be at most 64MiB"),
            c if c.idle_accounts == 0 => wrong("idle_accounts", "must be at least 1"),
            c if c.open_indexes == 0 => wrong("open_indexes", "must be at least 1"),
            c if c.max_folders == 0 => wrong("max_folders", "must be at least 1"),
            c if c.max_messages == 0 => wrong("max_messages", "must be at least 1"),
            _ => Ok(()),
        }
    }
}

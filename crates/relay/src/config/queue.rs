//! Settings of the queue.

use chasqui_base::{ByteSize, Span, net::Endpoint};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The durable queue: one file a message.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    /// Its folder, on a file system of this host that is not shared. Default `/var/lib/chasqui/relay/queue`.
    pub path: PathBuf,
    /// Inside ports of the site's other relays, to whom `chasqui queue drain` hands the queue over: `["relay2.example.org:1587"]`. Default none.
    pub peers: Vec<Endpoint>,
    /// Messages that it holds at most; beyond them senders are told to come back later. Each takes up to 300 octets of memory. Default 1000000.
    pub entries: usize,
    /// Free space that stays on its file system; with less, senders are told to come back later. Default 512MB.
    pub free_space: ByteSize,
    /// Attempts that are carried out at once, over all destinations. Default 500.
    pub jobs: usize,
    /// Recipients of one attempt; a message with more of one destination goes there in several. Default 100, which every server must
    /// accept (RFC 5321 §4.5.3.1.8).
    pub recipients_per_job: usize,
    /// The pause behind a first attempt that was put off, by whose destination or message it is. Default 5m.
    pub first_pause: Span,
    /// By how much each further pause is longer. Default 2.
    pub factor: f64,
    /// The longest pause. Default 1h.
    pub longest_pause: Span,
    /// How long a message is tried, from when it was acknowledged, before it has failed (RFC 5321 §4.5.4.1). Default 5d.
    pub lifetime: Span,
    /// How long messages are kept in `failed/` that failed and whose sender cannot be told. Default 30d.
    pub keep_failed: Span,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            path: "/var/lib/chasqui/relay/queue".into(),
            peers: Vec::new(),
            entries: 1_000_000,
            free_space: ByteSize(512_000_000),
            jobs: 500,
            recipients_per_job: 100,
            first_pause: Span::secs(300),
            factor: 2.0,
            longest_pause: Span::secs(3600),
            lifetime: Span::secs(5 * 86_400),
            keep_failed: Span::secs(30 * 86_400),
        }
    }
}

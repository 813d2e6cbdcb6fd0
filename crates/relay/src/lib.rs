//! The relay: submission from users, a durable queue, delivery to the internet and to our own mailboxes (S1, S7, S11).
//!
//! ```text
//! user ──465, 587──▶ submission ──▶ sign ──▶ queue (one file a message, synced) ──▶ 250
//! roles ──inside──▶                              │  due, one job a destination
//!                                                ▼
//!                           delivery ──▶ route ──▶ tls ──▶ the next hop, or the storage node by LMTP
//!                                                │
//!                                                └──▶ notice: delayed, failed, delivered (RFC 3464)
//! ```
//!
//! - [`config`]: the configuration file.
//! - [`message`], [`fate`], [`carrier`]: the vocabulary: what is queued, what became of it, and who carries it.
//! - [`delivery`]: how a message leaves.
//! - [`queue`], [`notice`]: messages on disk and when they are due; what senders are told.
//! - [`sign`]: DKIM signatures.
//! - [`submission`], [`inside`]: mail from users and from roles.
//! - `service`: what is opened, served and reloaded.

pub mod carrier;
pub mod config;
pub mod control;
pub mod delivery;
pub mod drain;
pub mod fate;
pub mod inside;
pub mod message;
pub mod metrics;
pub mod notice;
pub mod queue;
mod service;
pub mod sign;
pub mod submission;
pub mod tls;

pub use config::Config;
pub use service::RelayService;

//! The inbound mail exchanger: SMTP from the world, LMTP to the storage nodes.
//!
//! ```text
//! client ──SMTP──▶ session ──▶ directory (each RCPT, while the client waits)
//!                     │
//!                     ├──LMTP──▶ the node that owns the account ──▶ its reply is the client's
//!                     └── if that cannot be now ──▶ spool ──▶ retried under the same delivery id
//! ```
//!
//! - [`config`]: the configuration file.
//! - `session`: one SMTP connection. It runs a transaction from first to last in its own task.
//! - `transaction`, `message`, `examine`: a transaction up to its text, and what becomes of the message then.
//! - `delivery`: the rules by which nothing is lost or doubled. Read this first.
//! - `spool`: messages that wait.
//! - `outbox`: messages of our own.

pub mod config;
mod delivery;
mod examine;
mod message;
mod metrics;
mod outbox;
mod service;
mod session;
mod spool;
#[cfg(test)]
mod tests;
mod transaction;

pub use config::Config;
pub use service::MxService;

//! The client-facing IMAP and POP3 proxy (S9, E13): every user configures one host name, wherever the mailbox lives.
//!
//! ```text
//! client ── greeting, TLS, LOGIN ──▶ proxy ── verify ──▶ directory
//!                                      │ ◀── yes: account, owner node
//!                                      ├── TLS 1.3, both ends' certificates, AUTHENTICATE EXTERNAL ──▶ storage
//! client ◀════════════════ bytes, both ways, until either end hangs up ═════════════════════════════▶ storage
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | [`config`] | the role's settings |
//! | [`dialogue`], [`imap`], [`pop3`] | what is said before the log-in and towards the node, without I/O |
//! | `log_in` | standing → password → owner node → mailbox |
//! | `nodes` | connections to storage nodes, and which of them are down |
//! | `session` | one client from accept to hang-up |
//! | [`metrics`] | what is counted |
//!
//! Rules:
//! - A password goes to the directory and nowhere else; it is never logged.
//! - What a stranger is told never depends on whether a user exists.
//! - Nothing that was said before TLS counts after it.
//! - A relayed session owns no buffer and no state of the log-in (see `session`).

pub mod config;
pub mod dialogue;
pub mod imap;
mod log_in;
pub mod metrics;
mod nodes;
pub mod pop3;
mod service;
mod session;
mod shared;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use service::ProxyService;

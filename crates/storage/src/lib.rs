//! The storage node: owns accounts. LMTP in; IMAP and POP3 towards the proxies.
//!
//! | module | what it gives |
//! | --- | --- |
//! | [`config`] | the role's file |
//! | [`node`] | what every session shares: the store, the directory, limits, metrics; and the one way to log in |
//! | [`service`] | the role as the binary runs it |
//!
//! # Who may speak to it
//!
//! Every link is TLS 1.3 with certificates on both ends, or plain on loopback (E19). A peer is served by what its certificate
//! grants: deliveries come from exchangers, relays, other storage nodes and the operator's commands; mailboxes are opened for
//! proxies, webmail and the operator's commands. Users' passwords never come here: whoever may open mailboxes has had them
//! verified at the directory and names the account (SASL EXTERNAL, S9).
//!
//! # A mailbox has one owner
//!
//! Whoever names an account, by RCPT or by log-in, is answered only after the directory said that the account exists and that
//! *this* node owns it (S7, S8). Without a directory everybody is told to come back: a stale belief in ownership would be worse
//! than a pause.

pub mod config;
mod connection;
mod imap;
mod lmtp;
mod metrics;
pub mod node;
mod over_quota;
mod ownership;
mod pop3;
pub mod service;
mod training;

pub use config::Config;
pub use metrics::{Metrics, Outcome};
pub use node::{LogIn, LogInError, Node, Protocol};
pub use service::StorageService;
pub use training::TrainingConfig;

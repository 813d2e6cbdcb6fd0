//! The directory: who is this address, which storage node owns it, may they log in? (S5–S8)
//!
//! | module | what it gives |
//! | --- | --- |
//! | [`record`] | the vocabulary: accounts, nodes, answers |
//! | [`config`] | settings of the client and of the server |
//! | [`client`] | what the other roles hold: look-up, password check, quota reports |

pub mod client;
pub mod config;
pub mod record;

pub use client::{DirectoryClient, DirectoryUnavailable};
pub use config::{ClientConfig, Config};
pub use record::{AccountRecord, AccountState, LookUp, Node, Services, Target, Verdict};

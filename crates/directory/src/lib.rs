//! The directory: who is this address, which storage node owns it, may they log in? (S5–S8)
//!
//! | module | what it gives |
//! | --- | --- |
//! | [`record`] | the vocabulary: accounts, nodes, answers |
//! | [`config`] | settings of the client and of the server |
//! | [`client`] | what the other roles hold: look-up, password check, quota reports |
//! | [`server`] | the directory role |
//! | [`admin`] | the user database and the operator's verbs |
//! | [`keys`] | the cluster's keys |
//! | [`password`] | password hashes |
//! | [`wire`] | the protocol, documented there |

pub mod admin;
mod bytes;
pub mod client;
pub mod config;
pub mod keys;
pub mod password;
pub mod record;
mod resolve;
pub mod server;
mod snapshot;
mod source;
pub mod wire;

pub use client::{DirectoryClient, DirectoryUnavailable};
pub use config::{ClientConfig, Config};
pub use keys::KeyFile;
pub use record::{AccountRecord, AccountState, LookUp, Node, ScramSalt, Services, Target, Verdict};
pub use server::DirectoryService;

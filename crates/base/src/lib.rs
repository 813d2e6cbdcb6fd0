//! What every Chasqui role shares.
//!
//! | module | what it gives |
//! | --- | --- |
//! | [`address`] | mail addresses and domain names, canonical once parsed |
//! | [`id`] | the delivery id that follows a message from exchanger to file |
//! | [`units`] | sizes and durations as an operator writes them |
//! | [`config`] | TOML configuration whose structs are its documentation |
//! | [`tls`], [`pki`] | TLS on every link (E19) and the site's own CA |
//! | [`net`] | listeners, connections, accept loops with limits |
//! | [`service`] | how a role starts, reloads, drains |
//! | [`telemetry`] | logs and metrics |
//! | [`secret`], [`fsx`], [`disk`] | secrets in memory, durable files, and what a power cut leaves of them |

pub mod address;
pub mod config;
pub mod disk;
pub mod fsx;
pub mod id;
pub mod net;
pub mod pki;
pub mod secret;
pub mod service;
pub mod telemetry;
pub mod tls;
pub mod units;

pub use address::{AddressError, DomainName, EmailAddress};
pub use id::DeliveryId;
pub use secret::Secret;
pub use service::{Lifecycle, RoleService, StartError};
pub use units::{ByteSize, Span};

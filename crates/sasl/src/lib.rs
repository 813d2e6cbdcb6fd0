//! SASL (RFC 4422) without I/O: what clients say about themselves, and how passwords are kept from being guessed.
//!
//! | module | what it does |
//! | --- | --- |
//! | `mechanism` | names |
//! | `exchange` | the server's side of PLAIN, LOGIN, EXTERNAL, OAUTHBEARER and SCRAM, one answer after the other |
//! | [`scram`] | SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677): keys, server, client |
//! | [`client`] | the client's side of PLAIN |
//! | `credentials` | name and password, checked |
//! | [`guessing`] | slows, then refuses who guesses passwords |
//!
//! An [`Exchange`] takes responses that are decoded and gives challenges that are not encoded yet: [`encode`] and [`decode`]
//! are for protocols whose reader does not do it. Whether a password or a proof is right, only the directory knows; so an exchange
//! ends with a [`Claim`], and SCRAM stops twice to let its caller ask ([`Progress::Salt`], [`Progress::Proof`]).

mod bearer;
pub mod client;
mod credentials;
mod exchange;
pub mod guessing;
mod mechanism;
pub mod scram;

pub use bearer::FAILURE as BEARER_FAILURE;
pub use credentials::{BadCredentials, Credentials, MAX_LOGIN, MAX_PASSWORD};
pub use exchange::{Claim, Exchange, Progress, SaslError, decode, encode};
pub use mechanism::Mechanism;

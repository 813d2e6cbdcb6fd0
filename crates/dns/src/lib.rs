//! The one resolver of all roles, and every outcome that a look-up can have as a type.
//!
//! It asks the recursive servers of the configuration, or the system's, over UDP and, where an answer does not fit, TCP. It
//! validates DNSSEC itself from the trust anchor on (RFC 4035): a server's AD bit is not believed, and
//! [`Answer::secure`] means that every record on the way, aliases included, was proved.
//!
//! | outcome | type |
//! | --- | --- |
//! | records | [`Answer`] |
//! | the name does not exist (NXDOMAIN) | [`DnsError::NoSuchName`] |
//! | the name exists without such records (NODATA) | [`DnsError::NoData`] |
//! | a null MX (RFC 7505) | an [`Answer`] for which [`is_null_mx`] holds |
//! | alias (CNAME), also of an MX host | followed; [`Answer::name`] is the last name |
//! | aliases in a circle, or too many | [`DnsError::CnameLoop`] |
//! | a signature is wrong or missing | [`DnsError::Bogus`] |
//! | SERVFAIL, REFUSED, nobody listens | [`DnsError::Temporary`], or the last good answer, [`Answer::stale`] |
//! | no answer in time | [`DnsError::Timeout`], or the last good answer |
//! | what was asked for can be no name | [`DnsError::BadName`] |
//!
//! Two caches, both bounded: the outcomes by name and type, with those that may be served stale (RFC 8767), and the keys,
//! delegations and their proofs that validation needs again and again. No wait is without a deadline: [`Config::deadline`] is the
//! whole look-up's.

mod answer;
mod cache;
mod chase;
mod config;
mod metrics;
mod proof;
mod resolver;
mod transport;

#[cfg(feature = "testing")]
pub mod testing;

pub use answer::{Addresses, Answer, DnsError, Mx, Tlsa, is_null_mx};
pub use config::Config;
pub use resolver::Resolver;

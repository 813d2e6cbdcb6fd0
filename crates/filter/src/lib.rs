//! What to believe of a client and of its message.
//!
//! - [`connection`]: what is decided before the text comes: names, DNS lists, greylisting, rates.
//! - [`content`]: filters that read the text: spamd, clamd, milters.

pub mod authentication;
pub mod connection;
pub mod content;
mod metrics;

pub use metrics::Metrics;

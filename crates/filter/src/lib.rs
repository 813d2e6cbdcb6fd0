//! What to believe of a client and of its message.
//!
//! - [`Filter`], [`Screen`]: all of it for an exchanger, and for one of its connections.
//! - [`authentication`]: SPF, DKIM, DMARC, ARC.
//! - [`connection`]: what is decided before the text comes: names, DNS lists, greylisting, rates.
//! - [`content`]: filters that read the text: spamd, clamd, milters.
//! - [`report`]: aggregate reports of DMARC, ours and those of others.

pub mod authentication;
mod config;
pub mod connection;
pub mod content;
mod metrics;
pub mod report;
mod screen;
mod task;

pub use config::Config;
pub use metrics::Metrics;
pub use screen::{Filter, Judged, Message, Screen};

//! Every user in memory (S5): an immutable base, a small overlay of what changed since, and the tables of domains and nodes.
//!
//! Rules that bind this module:
//! - Look-ups read one [`View`] behind an `ArcSwap` and never wait: there is no lock and no disk on their path.
//! - A [`Base`] is never changed. A change of the database becomes an entry of the overlay, in a new view that shares the base. When the
//!   overlay has grown, base and overlay are folded into a new base. A reload reads everything into a new base beside (S5a).
//! - All of that happens on the source's own thread (see [`crate::source`]), which also frees the old base: the last reference to 100 MB
//!   must not be dropped by a thread that answers look-ups.
//! - An entry is packed in one run of octets ([`entry`]); the index holds 4-octet offsets into one arena. A million users take about
//!   90 MB, so that old and new fit side by side.

mod base;
pub(crate) mod entry;
mod view;

pub(crate) use base::{ArenaFull, Builder};
pub(crate) use view::{Delegations, Domain, Domains, Nodes, Overlay, View};

//! A real authoritative server for tests: Debian's `named` (packages bind9 and bind9-utils) on a free port of loopback, with
//! zones of the test's own below a root zone that is always signed. What a look-up finds was signed by BIND's tools and
//! is validated from the root's key on, as on the internet.
//!
//! Everything here panics with the reason when it fails: only tests use it.

mod server;
mod zone;

pub use server::{NameServer, Silence};
pub use zone::Zone;

//! Messages on their way, and the links to storage nodes: what the exchanger and the relay share.
//!
//! - [`content`], [`received`]: a message while it is here, and the line that says so.
//! - [`conversation`]: how a server side reads, answers and hangs up.
//! - [`directory`]: who owns an account now, and what a recipient is answered.
//! - [`deliver`]: one message to all its accounts.
//! - [`nodes`], [`link`]: connections to storage nodes.

pub mod config;
pub mod content;
pub mod conversation;
pub mod deliver;
pub mod directory;
pub mod link;
mod metrics;
pub mod nodes;
pub mod received;

pub use content::{Blocks, Content, Incoming, blocking, in_time};
pub use deliver::{AccountOutcome, Courier, INTERRUPTED};
pub use directory::{Directory, NotAccepted, Owned, Source};
pub use link::Envelope;
pub use metrics::{Metrics, times};
pub use nodes::{Cause, Nodes, Outcome};

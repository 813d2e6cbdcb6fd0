//! Connections: where to listen, where to dial, and what a connection is.
//!
//! An idle connection must cost little (thousands stay open all day), so nothing here holds a buffer while it waits:
//! [`Stream::read_more`] and [`relay`] read through one scratch buffer a thread.

mod accept;
mod address;
mod relay;
mod stream;

pub use accept::{AcceptLimits, Gate, IpNetwork, Peer, client_network, serve};
pub use address::{BindError, Endpoint, ListenAddress, Listener};
pub use relay::relay;
pub use stream::Stream;

//! The settings.

use chasqui_base::Span;
use chasqui_base::net::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Protection against guessed passwords. A failed log-in costs a point, to the client's address (an IPv6 client is its
/// /64) and to the user name; points delay the answer, then refuse log-ins unasked.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GuessingConfig {
    /// Delay of the first slowed answer; it doubles with each further point. Default: `"500ms"`.
    pub first_delay: Span,
    /// Longest delay, and that of every refused log-in. Default: `"10s"`.
    pub longest_delay: Span,
    /// Points of a user name that cost no delay. Default: 0.
    pub user_slowed_after: u32,
    /// Points of a user name from which it is refused, except from addresses where it has logged in before; 0 means
    /// never. Default: 12.
    pub user_refused_after: u32,
    /// Points of an address that cost no delay. Default: 5.
    pub address_slowed_after: u32,
    /// Points of an address from which it is refused; 0 means never. Default: 60.
    pub address_refused_after: u32,
    /// Time in which points halve. Default: `"10m"`.
    pub half_life: Span,
    /// User names that are remembered (32 octets each); the smallest scores are forgotten first. Changes take effect
    /// at a restart. Default: 65536.
    pub users: usize,
    /// Client addresses that are remembered (16 octets each). Changes take effect at a restart. Default: 65536.
    pub addresses: usize,
    /// Networks whose addresses are never charged, only the user names: webmail servers, shared gateways.
    /// Default: none.
    pub trusted_networks: Vec<IpNetwork>,
}

impl Default for GuessingConfig {
    fn default() -> Self {
        Self {
            first_delay: Span::millis(500),
            longest_delay: Span::secs(10),
            user_slowed_after: 0,
            user_refused_after: 12,
            address_slowed_after: 5,
            address_refused_after: 60,
            half_life: Span::secs(600),
            users: 65_536,
            addresses: 65_536,
            trusted_networks: Vec::new(),
        }
    }
}

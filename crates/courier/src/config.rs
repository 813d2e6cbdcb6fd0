//! Settings of the links to storage nodes.

use chasqui_base::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The connections to storage nodes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Delivery {
    /// Connections to one node; more deliveries wait. Default 64.
    pub connections_per_node: usize,
    /// How long a connection may take to be made, its TLS handshake and greeting included. Default 5s.
    pub connect_timeout: Span,
    /// How long a delivery may wait for a free connection, and a node for its next reply. Default 1m.
    pub reply_timeout: Span,
    /// How long an unused connection is kept. Default 50s.
    pub idle_timeout: Span,
    /// How long a node that refused a connection is left alone at first; doubles each time. Default 500ms.
    pub back_off: Span,
    /// The longest that a node is left alone. Default 10s.
    pub longest_back_off: Span,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            connections_per_node: 64,
            connect_timeout: Span::secs(5),
            reply_timeout: Span::secs(60),
            idle_timeout: Span::secs(50),
            back_off: Span::millis(500),
            longest_back_off: Span::secs(10),
        }
    }
}

//! Settings of DKIM signatures (RFC 6376).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// DKIM signatures on what users and the site's roles hand in.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Signing {
    /// The folder of keys that `chasqui dkim rotate` fills: one folder a domain, not readable by others. Domains without one are not
    /// signed for. Default none: nothing is signed.
    pub keys: Option<PathBuf>,
    /// Sign mail of a sub-domain that has no keys of its own with those of the nearest domain above it that has some; alignment
    /// stays (RFC 7489 §3.1.1). Default true.
    pub parents: bool,
}

impl Default for Signing {
    fn default() -> Self {
        Self { keys: None, parents: true }
    }
}

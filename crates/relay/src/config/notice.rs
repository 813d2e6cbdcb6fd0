//! Settings of notices to senders.

use chasqui_base::{ByteSize, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Notices of delay, failure and success (RFC 3461, RFC 3464).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Notice {
    /// How long a message waits before its sender is told, once, that it is late. Default 4h.
    pub delay_after: Span,
    /// The languages of the text, in their order: `es`, `en`. Default both, Spanish first.
    pub languages: Vec<Language>,
    /// The largest message that a failure notice returns whole where the sender asked for it (RET=FULL); of larger ones it returns the
    /// header. Default 50kB.
    pub full_up_to: ByteSize,
}

/// A language of notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Spanish.
    Es,
    /// English.
    En,
}

impl Default for Notice {
    fn default() -> Self {
        Self {
            delay_after: Span::secs(4 * 3600),
            languages: vec![Language::Es, Language::En],
            full_up_to: ByteSize(50_000),
        }
    }
}

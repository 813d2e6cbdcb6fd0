//! What an operator decides about DMARC reports.

use chasqui_base::{ByteSize, EmailAddress, Span, StartError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Aggregate reports to the domains that ask for them (RFC 7489 §7.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReportsConfig {
    /// The address that reports come from. Nothing is collected or sent until it is set. Default none.
    pub from: Option<EmailAddress>,
    /// Who reports. Default: the hostname.
    pub organization: Option<String>,
    /// Where people who have questions about a report turn to: an address or a page. Default none.
    pub contact: Option<String>,
    /// The file that holds what was seen until it is sent. Default `/var/lib/chasqui/mx/reports.sqlite`.
    pub database: PathBuf,
    /// The time that one report covers. Default 1d, at least 1m.
    pub interval: Span,
    /// How long after its end a report is tried to be sent. Default 3d.
    pub max_age: Span,
    /// Domains that one period has reports for; of more, nothing is kept. Default 10000.
    pub domains: usize,
    /// Different rows of one report; of more, only the number is kept. Default 10000.
    pub rows: usize,
    /// Octets of a report's message. A bigger one is not sent. Default 10MB.
    pub size: ByteSize,
    /// Observations that wait for the disk; what comes on top is not reported. Default 10000.
    pub waiting: usize,
}

impl Default for ReportsConfig {
    fn default() -> Self {
        Self {
            from: None,
            organization: None,
            contact: None,
            database: "/var/lib/chasqui/mx/reports.sqlite".into(),
            interval: Span::secs(86_400),
            max_age: Span::secs(3 * 86_400),
            domains: 10_000,
            rows: 10_000,
            size: ByteSize(10_000_000),
            waiting: 10_000,
        }
    }
}

impl ReportsConfig {
    /// Refuses values that the types let pass, with the key and how to mend it. `prefix` is the table's name.
    ///
    /// # Errors
    /// When the interval is shorter than a minute or a bound is zero.
    pub fn check(&self, prefix: &str) -> Result<(), StartError> {
        let refuse = |key: &str, reason: &str| {
            Err(StartError::Value { key: format!("{prefix}.{key}"), reason: reason.to_owned() })
        };
        if self.interval.get().as_secs() < 60 {
            return refuse("interval", "must be at least 1m");
        }
        for (key, value) in [("domains", self.domains), ("rows", self.rows), ("waiting", self.waiting)] {
            if value == 0 {
                return refuse(key, "must be at least 1");
            }
        }
        let one_line =
            |text: &Option<String>| text.as_ref().is_none_or(|text| !text.chars().any(char::is_control));
        if !one_line(&self.organization) || !one_line(&self.contact) {
            return refuse("organization", "must be one line, and so must `contact`");
        }
        Ok(())
    }
}

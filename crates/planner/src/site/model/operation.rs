//! What runs beside the mail path: logs, backups, database, LDAP, monitoring.

use std::net::IpAddr;

use chasqui_base::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Table;

/// Central logs (S2).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How long they are kept. Default 180d.
    pub retention: Span,
}

impl Default for Log {
    fn default() -> Self {
        Self { retention: Span::secs(180 * 86_400) }
    }
}

/// Backups (E16).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// How long increments are kept. Default 90d.
    pub retention: Span,
    /// When backups start (systemd calendar). Default `02:00`.
    pub at: String,
    /// When a restore is practised (systemd calendar). Default `Sun 05:00`.
    pub drill: String,
    /// Where the backup hosts keep them. Default `/var/backup`.
    pub folder: String,
    /// The public halves (OpenSSH) of the keys with which the backup hosts fetch; they may read what is to be backed up, and nothing else.
    /// Default none: nobody fetches anything.
    pub keys: Vec<String>,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            retention: Span::secs(90 * 86_400),
            at: "02:00".into(),
            drill: "Sun 05:00".into(),
            folder: "/var/backup".into(),
            keys: Vec::new(),
        }
    }
}

/// The database cluster (E8).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// Its one address in each data centre's service network.
    #[schemars(extend("x-ref-keys" = "datacenters"))]
    pub at: Table<IpAddr>,
}

/// The LDAP directory (E11).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ldap {
    /// The root of its tree, such as `dc=gob,dc=example`. Default none: no LDAP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
}

/// Metrics and alerts.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Monitoring {
    /// How long metrics are kept. Default 30d.
    pub retention: Span,
    /// Where alerts are sent by mail. Default none.
    pub alerts: Vec<String>,
}

impl Default for Monitoring {
    fn default() -> Self {
        Self { retention: Span::secs(30 * 86_400), alerts: Vec::new() }
    }
}

//! Tiers of servers and what each of them needs.

use chasqui_base::ByteSize;
use serde::Serialize;

use super::ratio::{gigabytes, thousands};
use crate::site::Role;

/// Where a number comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The demand, as given.
    Demand,
    /// A rule of the evaluation of Expresso V3.
    Paper,
    /// Our own benchmarks.
    Measured,
    /// Neither the paper nor a measurement: an assumption of this planner, to be judged.
    Assumed,
}

impl Source {
    /// For a table.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Demand => "demand",
            Self::Paper => "paper",
            Self::Measured => "measured",
            Self::Assumed => "assumed",
        }
    }
}

/// What a tier is for. The order is that of the mail's and the web's way through the site.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TierName {
    /// nginx that terminates TLS; the paper's `proxy`.
    ReverseProxy,
    /// nginx with static content.
    Http,
    /// The webmail application; the paper's `app`.
    Webmail,
    /// Mail exchangers; in the paper part of SMTP.
    Mx,
    /// Outbound mail; in the paper part of SMTP.
    Relay,
    /// Storage nodes; the paper's IMAP.
    Storage,
    /// OpenLDAP.
    Ldap,
    /// IMAP and POP3 proxies.
    Proxy,
    /// Directory servers.
    Directory,
    /// PostgreSQL.
    Database,
    /// LVS balancers.
    Facade,
    /// Authoritative DNS.
    Dns,
    /// Logs.
    Log,
    /// Metrics and alerts.
    Monitoring,
    /// Backups.
    Backup,
}

impl TierName {
    /// For people, as in the site file where it has a role.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ReverseProxy => "reverse-proxy",
            Self::Http => "http",
            Self::Webmail => "webmail",
            Self::Mx => "mx",
            Self::Relay => "relay",
            Self::Storage => "storage",
            Self::Ldap => "ldap",
            Self::Proxy => "proxy",
            Self::Directory => "directory",
            Self::Database => "database",
            Self::Facade => "facade",
            Self::Dns => "dns",
            Self::Log => "log",
            Self::Monitoring => "monitoring",
            Self::Backup => "backup",
        }
    }

    /// The role of its hosts. The webmail has none yet: capacity is kept free for it.
    pub const fn role(self) -> Option<Role> {
        Some(match self {
            Self::Webmail => return None,
            Self::ReverseProxy => Role::ReverseProxy,
            Self::Http => Role::Http,
            Self::Mx => Role::Mx,
            Self::Relay => Role::Relay,
            Self::Storage => Role::Storage,
            Self::Ldap => Role::Ldap,
            Self::Proxy => Role::Proxy,
            Self::Directory => Role::Directory,
            Self::Database => Role::Database,
            Self::Facade => Role::Facade,
            Self::Dns => Role::Dns,
            Self::Log => Role::Log,
            Self::Monitoring => Role::Monitoring,
            Self::Backup => Role::Backup,
        })
    }
}

/// What a tier needs, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Tier {
    /// What it is for.
    pub name: TierName,
    /// Cores that all its servers need together.
    pub cores: u64,
    /// Memory that all its servers need together.
    pub memory: ByteSize,
    /// Memory that each server needs besides, however many they are.
    pub server_memory: ByteSize,
    /// Whether one server must be able to do all of the work, such as a database's primary.
    pub whole: bool,
    /// Where the numbers come from.
    pub source: Source,
    /// How they were worked out.
    pub rule: String,
    /// By how much a measured figure was multiplied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Whether the paper's sum counts it.
    pub counted: bool,
}

/// Cores and memory together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Sum {
    /// Cores.
    pub cores: u64,
    /// Memory.
    pub memory: ByteSize,
}

impl Sum {
    /// What tiers need together, with one server's own memory each.
    pub fn of<'a>(tiers: impl Iterator<Item = &'a Tier>) -> Self {
        tiers.fold(Self::default(), |sum, tier| Self {
            cores: sum.cores.saturating_add(tier.cores),
            memory: ByteSize(sum.memory.0.saturating_add(tier.memory.0).saturating_add(tier.server_memory.0)),
        })
    }

    /// `1,600 cores, 1,106.25 GB`
    pub fn text(&self) -> String {
        format!("{} cores, {} GB", thousands(self.cores.into()), gigabytes(self.memory.0.into()))
    }
}

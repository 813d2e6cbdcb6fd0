//! What a site file says.
//!
//! Rust and Nix read the same file. Both take its shape from here: Nix through the JSON schema of [`Site`], in
//! `modules/lib/site.schema.json`. A field whose value names something else of the site carries `x-ref` with the table that the
//! name must stand in (`x-ref-keys` if its keys do), so that both refuse a wrong reference with the same sentence.

mod access;
mod host;
mod mail;
mod network;
mod operation;
mod place;
mod plan;
mod publish;
mod storage;

use std::collections::BTreeMap;

use chasqui_base::DomainName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use access::*;
pub use host::*;
pub use mail::*;
pub use network::*;
pub use operation::*;
pub use place::*;
pub use plan::*;
pub use publish::*;
pub use storage::*;

/// A table of the site file: what its entries are called, in order, and what they are.
pub type Table<T> = BTreeMap<String, T>;

/// The site file: data only, from which hosts, DNS, firewall, balancers, storage and certificates derive.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The version of this format. It is 1.
    pub version: u32,
    /// The site's short name: letters, digits and hyphens.
    #[schemars(regex(pattern = "^[a-z][a-z0-9-]*$"))]
    pub name: String,
    /// What the site is for, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The domain of the hosts' internal names, `HOST.INTERNAL_DOMAIN`. It is in no public zone; every host has it in its
    /// hosts file, and roles' certificates carry these names.
    pub internal_domain: DomainName,
    /// Whether every role must have a second server, apart from the first (E10, E17). A site without says so here, and
    /// `chasqui site check` then only warns. Default yes.
    #[serde(default = "yes")]
    pub redundant: bool,
    /// The demand that the site was planned for (E18). `chasqui site check` compares the site with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// The mail domains.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "pattern": "^[a-z0-9-]+([.][a-z0-9-]+)+$" }))]
    pub domains: Table<Domain>,
    /// The data centres.
    #[schemars(extend("propertyNames" = { "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" }))]
    pub datacenters: Table<Datacenter>,
    /// The networks, those that run encrypted over another network included.
    #[schemars(extend("propertyNames" = { "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" }))]
    pub networks: Table<Network>,
    /// The blade chassis (E10).
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" }))]
    pub chassis: Table<Chassis>,
    /// The physical machines.
    #[schemars(extend("propertyNames" = { "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" }))]
    pub machines: Table<Machine>,
    /// The systems that NixOS builds: one on each machine, and Xen guests on those that have the role `xen-host`. Their names are
    /// DNS labels (RFC 1123 §2.1).
    #[schemars(extend("propertyNames" = { "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" }))]
    pub hosts: Table<Host>,
    /// The disk arrays (E12).
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" }))]
    pub arrays: Table<Array>,
    /// The parts of arrays that are exported over iSCSI, each to the one host that has a volume on it.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" }))]
    pub luns: Table<Lun>,
    /// What is offered to the internet, by name. Nothing else is open (E2).
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" }))]
    pub publish: Table<Published>,
    /// How mail leaves the site (S1, S11).
    #[serde(default)]
    pub outbound: Outbound,
    /// What the exchangers' hosts run to judge mail (E14).
    #[serde(default)]
    pub filters: Filters,
    /// Public DNS (E1), and whom the site's own look-ups ask.
    #[serde(default)]
    pub dns: Dns,
    /// The people who administer the site, and how they come in (E2).
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" }))]
    pub administrators: Table<Administrator>,
    /// Port knocking before the VPN (E2).
    #[serde(default)]
    pub knock: Knock,
    /// Where certificates and secrets lie on the hosts. Paths only: a secret never stands in this file or in the Nix store.
    #[serde(default)]
    pub secrets: Secrets,
    /// Central logs (S2).
    #[serde(default)]
    pub log: Log,
    /// Backups (E16).
    #[serde(default)]
    pub backup: Backup,
    /// The database cluster (E8).
    #[serde(default)]
    pub database: Database,
    /// The LDAP directory (E11).
    #[serde(default)]
    pub ldap: Ldap,
    /// Metrics and alerts.
    #[serde(default)]
    pub monitoring: Monitoring,
    /// Further settings of the roles of the `chasqui` binary, laid over what derives from this file: `[settings.mx.limits]`.
    /// `chasqui config check` judges them.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "pattern": "^(directory|mx|storage|proxy|relay)$" }))]
    pub settings: Table<serde_json::Map<String, serde_json::Value>>,
}

fn yes() -> bool {
    true
}

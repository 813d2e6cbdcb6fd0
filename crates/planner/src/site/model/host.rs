//! The systems that NixOS builds.

use std::net::IpAddr;

use chasqui_base::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Table, Volume};

/// A system that NixOS builds.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The physical machine that it is on.
    #[schemars(extend("x-ref" = "machines"))]
    pub machine: String,
    /// Whether it is a Xen guest there, or the machine's own system. Default the machine's own.
    #[serde(default)]
    pub guest: bool,
    /// What it does.
    pub roles: Vec<Role>,
    /// Its network interfaces. Of a guest they are `eth0`, `eth1`, …
    #[schemars(extend("propertyNames" = { "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$" }))]
    pub interfaces: Table<Interface>,
    /// Virtual cores of a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Octets of memory of a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Octets of the system disk of a guest, a logical volume of its machine's volume group `guests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<ByteSize>,
    /// Volumes: logical volumes on LUNs or on local block devices, in a volume group of the same name.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$" }))]
    pub volumes: Table<Volume>,
    /// The public half of its WireGuard key; needed in a mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw480]=$"))]
    pub wireguard_key: Option<String>,
    /// Whether balancers send it no new connections (E3, E4). Default no.
    #[serde(default)]
    pub drain: bool,
    /// Its share among the servers of its role. Default 100.
    #[serde(default = "weight")]
    pub weight: u32,
}

fn weight() -> u32 {
    100
}

/// What a host does.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Directory server of the binary (S5).
    Directory,
    /// Mail exchanger (S7).
    Mx,
    /// Storage node (S3, S4).
    Storage,
    /// IMAP and POP3 proxy (S9).
    Proxy,
    /// Takes the users' mail and sends it out (S1, S11).
    Relay,
    /// Packet filter between the internet and the site (E2).
    Firewall,
    /// Destination NAT to the façade (E3).
    Router,
    /// LVS balancer (E4).
    Facade,
    /// Authoritative DNS server (E1).
    Dns,
    /// nginx that terminates TLS (E5).
    ReverseProxy,
    /// nginx with static content and redirects (E6).
    Http,
    /// PostgreSQL under Patroni, with etcd and HAProxy (E8).
    Database,
    /// OpenLDAP provider (E11).
    Ldap,
    /// Controller of disk arrays (E12).
    StorageArray,
    /// Xen host (E10).
    XenHost,
    /// Entrance of the administrators' VPN (E2).
    Vpn,
    /// Port knocking in front of the VPN (E2).
    Knock,
    /// Keeps the backups (E16).
    Backup,
    /// Collects the logs (S2).
    Log,
    /// Prometheus and its alerts.
    Monitoring,
}

/// A network interface of a host.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// The network that it is in.
    #[schemars(extend("x-ref" = "networks"))]
    pub network: String,
    /// The host's addresses there, at most one a family. None: a bridge for guests only.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// The ports that are bonded into it (LACP), on a machine. Default none: the interface is a port, or a VLAN of one.
    #[serde(default)]
    pub bond: Vec<String>,
    /// The interface that carries it as a VLAN (the network's number). Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

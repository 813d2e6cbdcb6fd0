//! Networks and what carries them.

use std::net::IpAddr;

use chasqui_base::net::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Role;

/// A network, or a WireGuard mesh over one.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// What it carries.
    pub kind: NetworkKind,
    /// Where it is. Absent for a mesh between data centres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-ref" = "datacenters"))]
    pub datacenter: Option<String>,
    /// The addresses of the network: an IPv4 prefix, an IPv6 prefix, or one of each.
    pub prefixes: Vec<IpNetwork>,
    /// The VLAN on machines' trunks. Default untagged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// The addresses of the network's gateway, one a family. Held by the active host of the pair `gateway_role`, or, without
    /// one, a device that is not of this site.
    #[serde(default)]
    pub gateway: Vec<IpAddr>,
    /// The role whose active host holds the gateway's addresses (VRRP): `firewall` or `router`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_role: Option<Role>,
    /// The site's own addresses in an uplink, at most one a family: held by the active firewall (VRRP), and where the provider
    /// sends what is for the public networks. Default none.
    #[serde(default)]
    pub shared: Vec<IpAddr>,
    /// The networks that this one runs over as a WireGuard mesh: everything in it is encrypted (E19), and its members reach each other by
    /// their addresses in the first of these networks that both have. Default none: the network is a wire, encrypted by what runs on it.
    #[serde(default)]
    #[schemars(extend("x-ref" = "networks"))]
    pub over: Vec<String>,
    /// The UDP port of a mesh. Default 51820.
    #[serde(default = "wireguard_port")]
    pub port: u16,
    /// Octets of the largest packet. Default the interface's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

fn wireguard_port() -> u16 {
    51820
}

/// What a network carries.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkKind {
    /// The provider's side of the firewall.
    Uplink,
    /// Public addresses, behind the firewall.
    Public,
    /// Between the roles.
    Service,
    /// iSCSI.
    Storage,
    /// Administration, logs, metrics.
    Management,
}

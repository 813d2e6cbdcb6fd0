//! Where things stand: data centres, chassis, machines.

use std::net::IpAddr;

use chasqui_base::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Table;

/// A data centre.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Datacenter {
    /// What it is and where.
    #[serde(default)]
    pub description: String,
    /// The public address that hosts without one use towards the internet; held by the active router. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<IpAddr>,
    /// Watts that it can give. Default unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<u64>,
}

/// A blade chassis (E10).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Chassis {
    /// Where it is.
    #[schemars(extend("x-ref" = "datacenters"))]
    pub datacenter: String,
    /// The rack that it stands in. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Blades that it takes.
    pub slots: u32,
}

/// A physical machine.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The chassis of a blade; with it, `slot`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-ref" = "chassis"))]
    pub chassis: Option<String>,
    /// The slot in the chassis, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// Where the machine is; a blade is where its chassis is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-ref" = "datacenters"))]
    pub datacenter: Option<String>,
    /// The rack of a machine without chassis. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Processor cores.
    pub cores: u32,
    /// Octets of memory.
    pub memory: ByteSize,
    /// Network ports: the interface's name and its speed in Gbit/s.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,14}$" }))]
    pub ports: Table<f64>,
    /// Octets of the local disk that the system is on.
    pub disk: ByteSize,
    /// Drive bays. Default 0.
    #[serde(default)]
    pub bays: u32,
    /// Watts under load. Default unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<u64>,
}

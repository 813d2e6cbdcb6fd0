//! What the internet may reach, and public DNS (E1, E2).

use std::net::IpAddr;

use chasqui_base::net::IpNetwork;
use chasqui_base::{DomainName, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Role, Table};

/// Something that is offered to the internet.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The role that serves it.
    pub role: Role,
    /// Its public names, complete.
    pub names: Vec<DomainName>,
    /// TCP ports.
    #[serde(default)]
    pub tcp: Vec<u16>,
    /// UDP ports.
    #[serde(default)]
    pub udp: Vec<u16>,
    /// From where it may be reached. Default everywhere.
    #[serde(default)]
    pub from: Vec<IpNetwork>,
    /// Its addresses in each data centre.
    #[schemars(extend("x-ref-keys" = "datacenters"))]
    pub at: Table<PublishedAt>,
    /// How the façade spreads connections (IPVS scheduler). Default `wlc`.
    #[serde(default)]
    pub scheduler: Scheduler,
}

/// The addresses of a published service in one data centre.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedAt {
    /// The public addresses. Where there are routers they hold them and translate them; elsewhere they are the serving hosts' own.
    pub public: Vec<IpAddr>,
    /// The façade's addresses in the service network that the public ones are translated to; they are the virtual servers. Of
    /// several of a family each is held by another balancer while all of them live, and routers spread connections over
    /// them. Without any the i-th public address of a family belongs to the i-th server of the role, by name.
    #[serde(default)]
    pub facade: Vec<IpAddr>,
}

/// An IPVS scheduler.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheduler {
    /// Weighted least connections.
    #[default]
    Wlc,
    /// Weighted round robin.
    Wrr,
    /// Source hashing: a client keeps its server.
    Sh,
    /// Maglev hashing: the same, with few moves when a server goes.
    Mh,
}

/// Public DNS (E1), and whom the site's own look-ups ask.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// How long answers may be kept. Default 5m.
    pub ttl: Span,
    /// Whether zones are signed (DNSSEC). Default yes.
    pub dnssec: bool,
    /// Who answers for the zone, as in the SOA record: an e-mail address. Default `hostmaster@` the zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Regions: clients from these networks are given the addresses of these data centres first.
    pub regions: Table<Region>,
    /// Resolvers that the site's own ask, where look-ups may not go to the internet themselves. They must pass DNSSEC records on. Default
    /// none: look-ups begin at the root servers.
    pub forwarders: Vec<IpAddr>,
    /// Further records, as lines of a zone file, a zone each.
    #[schemars(extend("x-ref-keys" = "domains"))]
    pub records: Table<Vec<String>>,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            ttl: Span::secs(300),
            dnssec: true,
            contact: None,
            regions: Table::new(),
            forwarders: Vec::new(),
            records: Table::new(),
        }
    }
}

/// Where clients are, and which data centres they are sent to.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Networks of the region's clients.
    pub clients: Vec<IpNetwork>,
    /// The data centres whose addresses they get.
    #[schemars(extend("x-ref" = "datacenters"))]
    pub datacenters: Vec<String>,
}

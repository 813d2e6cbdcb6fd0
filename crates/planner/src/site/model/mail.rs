//! How mail leaves the site, and what judges the mail that comes.

use std::net::IpAddr;

use chasqui_base::DomainName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Table;

/// How mail leaves the site (S1, S11).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outbound {
    /// The public name that the relays greet other sites with. The zone gives it the addresses of `at`; whoever delegates those addresses
    /// must give each of them this name in reverse, or many sites refuse the mail. Default: the first name under which the relays are
    /// published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<DomainName>,
    /// The public addresses that mail leaves from in each data centre, apart from the site's other traffic, whose fault should not harm
    /// the mail's reputation. Where there are routers they hold them, and the relays, by name, take those of a family in turn; elsewhere
    /// they are the relays' own. Default: the data centre's `egress`, or what the relay's host has.
    #[schemars(extend("x-ref-keys" = "datacenters"))]
    pub at: Table<Vec<IpAddr>>,
}

/// What the exchangers' hosts run to judge mail (E14). What the exchanger does with their answers is said in `[settings.mx.filter]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filters {
    /// Whether each exchanger has ClamAV beside it; its signatures take 1.5 GB of memory. Default no.
    pub clamav: bool,
    /// Whether each exchanger has SpamAssassin beside it. Default no.
    pub spamassassin: bool,
}

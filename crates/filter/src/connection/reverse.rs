//! Reverse DNS with forward confirmation (RFC 8601 §3, "iprev").

use chasqui_dns::{DnsError, Resolver};
use std::net::IpAddr;

/// Names of one address that are confirmed at most: some addresses have hundreds (RFC 8601 §3 asks for a bound).
const NAMES: usize = 5;

/// What the DNS says of an address's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reverse {
    /// This name has the address.
    Confirmed(String),
    /// It has names, and none of them has the address.
    Unconfirmed,
    /// It has no name.
    Missing,
    /// The DNS cannot say now.
    Unknown,
}

impl Reverse {
    /// The confirmed name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Confirmed(name) => Some(name),
            _ => None,
        }
    }
}

/// Looks up the names of `ip` and confirms them in their order.
pub(crate) async fn look_up(resolver: &Resolver, ip: IpAddr) -> Reverse {
    let ip = ip.to_canonical();
    let names = match resolver.ptr(ip).await {
        Ok(answer) => answer.records,
        Err(DnsError::NoSuchName { .. } | DnsError::NoData { .. }) => return Reverse::Missing,
        Err(_) => return Reverse::Unknown,
    };
    let mut uncertain = false;
    for name in names.into_iter().take(NAMES) {
        let confirmed = match ip {
            IpAddr::V4(ip) => resolver.a(&name).await.map(|answer| answer.records.contains(&ip)),
            IpAddr::V6(ip) => resolver.aaaa(&name).await.map(|answer| answer.records.contains(&ip)),
        };
        match confirmed {
            Ok(true) => return Reverse::Confirmed(name),
            Ok(false) => {}
            Err(error) => uncertain |= error.is_temporary(),
        }
    }
    if uncertain { Reverse::Unknown } else { Reverse::Unconfirmed }
}

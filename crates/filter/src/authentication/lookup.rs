//! What DNS says, reduced to what a verdict can hang on.

use chasqui_dns::{DnsError, Resolver};
use std::net::IpAddr;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// The name, or the type at it, does not exist. Also a name that DNS cannot hold: nothing can be there.
    Nothing,
    /// DNS could not say. The text is a reason for logs and headers.
    Temporary(&'static str),
}

impl From<DnsError> for Miss {
    fn from(error: DnsError) -> Self {
        match error {
            DnsError::NoSuchName { .. } | DnsError::NoData { .. } | DnsError::BadName => Self::Nothing,
            DnsError::Bogus => Self::Temporary("DNSSEC validation failed"),
            DnsError::Timeout => Self::Temporary("DNS timed out"),
            DnsError::CnameLoop => Self::Temporary("CNAME loop"),
            DnsError::Temporary(_) => Self::Temporary("DNS failed"),
        }
    }
}

/// The TXT records at a name, each with its strings joined.
pub(crate) async fn txt(resolver: &Resolver, name: &str) -> Result<Vec<String>, Miss> {
    let records = resolver.txt(name).await?.records;
    if records.is_empty() { Err(Miss::Nothing) } else { Ok(records) }
}

/// The addresses of a host, of the family of `like`.
pub(crate) async fn addresses(resolver: &Resolver, host: &str, like: IpAddr) -> Result<Vec<IpAddr>, Miss> {
    let found: Vec<IpAddr> = match like {
        IpAddr::V4(_) => resolver.a(host).await?.records.into_iter().map(IpAddr::V4).collect(),
        IpAddr::V6(_) => resolver.aaaa(host).await?.records.into_iter().map(IpAddr::V6).collect(),
    };
    if found.is_empty() { Err(Miss::Nothing) } else { Ok(found) }
}

/// The mail exchangers of a domain, best first.
pub(crate) async fn exchangers(resolver: &Resolver, domain: &str) -> Result<Vec<String>, Miss> {
    let mut found = resolver.mx(domain).await?.records;
    if found.is_empty() {
        return Err(Miss::Nothing);
    }
    found.sort_by_key(|mx| mx.preference);
    Ok(found.into_iter().map(|mx| mx.host).collect())
}

/// The names of an address, in the canonical order of RFC 4034 §6.3: servers shuffle, and where only the first ten count a client is
/// to get the same verdict each time.
pub(crate) async fn names(resolver: &Resolver, ip: IpAddr) -> Result<Vec<String>, Miss> {
    let mut found = resolver.ptr(ip).await?.records;
    if found.is_empty() {
        return Err(Miss::Nothing);
    }
    found.sort_by_cached_key(|name| {
        let wire = |label: &str| [&[label.len() as u8], label.to_ascii_lowercase().as_bytes()].concat();
        name.split('.').flat_map(wire).collect::<Vec<u8>>()
    });
    Ok(found)
}

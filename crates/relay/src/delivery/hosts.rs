//! The hosts that take a domain's mail, and their addresses, as DNS says (RFC 5321 §5).

use super::trouble::{self, of_destination};
use crate::fate::Trouble;
use chasqui_base::net::IpNetwork;
use chasqui_dns::{DnsError, Mx, Resolver, is_null_mx};
use chasqui_smtp::Reply;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

/// The hosts of a domain, in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MailHosts {
    /// Their names: lower case, without the final dot.
    pub(super) names: Vec<Arc<str>>,
    /// Whether DNSSEC proved the MX records, or that there are none.
    pub(super) secure: bool,
}

/// Looks up who takes mail for a canonical domain. `own` are the names of this site's exchangers.
///
/// # Errors
/// Every outcome of [`super::trouble`]'s table that concerns the domain.
pub(super) async fn of_domain(
    resolver: &Resolver,
    domain: &str,
    own: &[String],
) -> Result<MailHosts, Trouble> {
    let answer = match resolver.mx(domain).await {
        Ok(answer) => answer,
        // RFC 5321 §5.1: a domain without MX records is its own mail host.
        Err(DnsError::NoData { secure }) => {
            return Ok(MailHosts { names: vec![domain.into()], secure });
        }
        Err(error) => return Err(of_destination(None, trouble::of_dns(&error, domain))),
    };
    if is_null_mx(&answer.records) {
        return Err(of_destination(None, trouble::NO_MAIL));
    }
    let names = in_order(answer.records, own, random).map_err(|reply| of_destination(None, reply))?;
    Ok(MailHosts { names, secure: answer.secure })
}

/// Sorts by preference and shuffles equal ones. Drops our own names with everything that is not better than them (RFC 5321 §5.1), and
/// what can be no host.
fn in_order(
    mut records: Vec<Mx>,
    own: &[String],
    mut random: impl FnMut(usize) -> usize,
) -> Result<Vec<Arc<str>>, Reply> {
    // RFC 7505 §3: beside others a null MX means nothing.
    records.retain(|mx| !mx.host.is_empty() && mx.host != ".");
    records.sort();
    records.dedup_by(|a, b| a.host == b.host && a.preference == b.preference);
    let ours = records.iter().find(|mx| own.iter().any(|own| own.eq_ignore_ascii_case(&mx.host)));
    if let Some(best) = ours.map(|mx| mx.preference) {
        records.retain(|mx| mx.preference < best);
        if records.is_empty() {
            return Err(trouble::LOOP);
        }
    }
    if records.is_empty() {
        return Err(trouble::NO_ADDRESSES);
    }
    for equal in records.chunk_by_mut(|a, b| a.preference == b.preference) {
        shuffle(equal, &mut random);
    }
    Ok(records.into_iter().map(|mx| mx.host.to_ascii_lowercase().into()).collect())
}

/// A host's addresses in the order in which they are tried (RFC 8305 §4): the families in turn, IPv6 first. Never none.
///
/// # Errors
/// The reply of the outcome, with 5.4.4 for a host that has no address.
pub(super) async fn addresses(resolver: &Resolver, host: &str) -> Result<Vec<IpAddr>, Reply> {
    match resolver.addresses(host).await {
        Ok(found) => Ok(interleave(found.v6, found.v4, random)),
        Err(error) if error.is_absence() => Err(trouble::NO_ADDRESSES),
        Err(error) => Err(trouble::of_dns(&error, host)),
    }
}

fn interleave(
    mut v6: Vec<Ipv6Addr>,
    mut v4: Vec<Ipv4Addr>,
    mut random: impl FnMut(usize) -> usize,
) -> Vec<IpAddr> {
    shuffle(&mut v6, &mut random);
    shuffle(&mut v4, &mut random);
    let mut ordered = Vec::with_capacity(v6.len() + v4.len());
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    loop {
        match (v6.next(), v4.next()) {
            (None, None) => return ordered,
            (six, four) => {
                ordered.extend(six.map(IpAddr::V6));
                ordered.extend(four.map(IpAddr::V4));
            }
        }
    }
}

/// Whether what DNS says of a foreign domain may lead to this address: not into the site, nor to this host. `allowed` are exceptions.
pub(super) fn is_public(ip: IpAddr, allowed: &[IpNetwork]) -> bool {
    let ip = ip.to_canonical();
    let private = match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || a == 0
                || a >= 240
                // RFC 6598: between a provider and its customers.
                || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
    };
    !private || allowed.iter().any(|network| network.contains(ip))
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], random: &mut impl FnMut(usize) -> usize) {
    for index in (1..items.len()).rev() {
        items.swap(index, random(index + 1).min(index));
    }
}

/// A number below `bound`, for spreading load. Without randomness it is 0, and the order stays the same.
fn random(bound: usize) -> usize {
    let mut octets = [0; 8];
    let _ = getrandom::fill(&mut octets);
    usize::try_from(u64::from_ne_bytes(octets) % (bound.max(1) as u64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mx(list: &[(u16, &str)]) -> Vec<Mx> {
        list.iter().map(|(preference, host)| Mx { preference: *preference, host: (*host).into() }).collect()
    }

    fn ordered(list: &[(u16, &str)], own: &[&str]) -> Result<Vec<String>, Reply> {
        let own: Vec<String> = own.iter().map(|name| (*name).to_owned()).collect();
        in_order(mx(list), &own, |_| 0).map(|names| names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn better_preferences_come_first_and_equal_ones_in_any_order() {
        let list = [(20, "c.example"), (10, "a.example"), (10, "b.example")];
        let mut firsts = std::collections::HashSet::new();
        for _ in 0..64 {
            let names = in_order(mx(&list), &[], random).unwrap();
            assert_eq!(&*names[2], "c.example");
            firsts.insert(names[0].clone());
        }
        assert_eq!(firsts.len(), 2);
    }

    #[test]
    fn mail_never_goes_to_ourselves_nor_to_what_is_not_better() {
        let list = [(10, "a.example"), (20, "MX.ours.example"), (20, "b.example"), (30, "c.example")];
        assert_eq!(ordered(&list, &["mx.ours.example"]).unwrap(), ["a.example"]);
        assert_eq!(ordered(&list[1..], &["mx.ours.example"]), Err(trouble::LOOP));
    }

    #[test]
    fn a_null_mx_beside_others_means_nothing() {
        assert_eq!(ordered(&[(0, "."), (10, "a.example")], &[]).unwrap(), ["a.example"]);
        assert_eq!(ordered(&[(0, "."), (1, ".")], &[]), Err(trouble::NO_ADDRESSES));
    }

    #[test]
    fn families_take_turns_and_ipv6_begins() {
        let v6 = vec!["2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap()];
        let v4 = vec!["192.0.2.1".parse().unwrap()];
        let kinds: Vec<bool> = interleave(v6, v4, random).iter().map(IpAddr::is_ipv6).collect();
        assert_eq!(kinds, [true, false, true]);
    }

    #[test]
    fn dns_of_others_does_not_lead_into_the_site() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
        ] {
            assert!(!is_public(private.parse().unwrap(), &[]), "{private}");
        }
        for public in ["192.0.2.1", "100.128.0.1", "2001:db8::1"] {
            assert!(is_public(public.parse().unwrap(), &[]), "{public}");
        }
        let allowed = ["127.0.0.0/8".parse().unwrap()];
        assert!(is_public("127.0.0.9".parse().unwrap(), &allowed));
        assert!(!is_public("10.0.0.9".parse().unwrap(), &allowed));
    }

    proptest::proptest! {
        #[test]
        fn shuffling_keeps_everything(mut items in proptest::collection::vec(0..99u8, 0..20), wild: usize) {
            let mut expected = items.clone();
            shuffle(&mut items, &mut |_| wild);
            shuffle(&mut items, &mut |bound| random(bound));
            items.sort();
            expected.sort();
            proptest::prop_assert_eq!(items, expected);
        }
    }
}

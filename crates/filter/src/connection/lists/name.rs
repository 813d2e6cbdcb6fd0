//! Names and answers of DNS lists (RFC 5782), without the DNS.

use chasqui_base::net::IpNetwork;
use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
};

/// The name that asks `zone` about `ip`: octets or nibbles in reverse (RFC 5782 §2.1, §2.4).
pub(super) fn of_address(ip: IpAddr, zone: &str) -> String {
    let mut name = String::with_capacity(72 + zone.len());
    // Writing to a String cannot fail.
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            for octet in ip.octets().iter().rev() {
                let _ = write!(name, "{octet}.");
            }
        }
        IpAddr::V6(ip) => {
            for octet in ip.octets().iter().rev() {
                let _ = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
            }
        }
    }
    name + zone
}

/// Which answers of a list count.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    networks: Vec<IpNetwork>,
    bits: Option<u8>,
}

impl Codes {
    pub(super) fn new(networks: &[IpNetwork], bits: Option<u8>) -> Self {
        Self { networks: networks.to_vec(), bits }
    }

    /// Whether one of the answers is a listing. What lies outside of 127.0.0.0/8 is not from a list, but from a parked domain or a
    /// resolver that "helps".
    pub(super) fn match_any(&self, answers: &[Ipv4Addr]) -> bool {
        answers.iter().any(|answer| {
            let [first, second, third, last] = answer.octets();
            let listing = if self.networks.is_empty() {
                !(second == 255 && third == 255)
            } else {
                self.networks.iter().any(|network| network.contains(IpAddr::V4(*answer)))
            };
            first == 127 && listing && self.bits.is_none_or(|bits| last & bits != 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_rfc() {
        let of = |ip: &str| of_address(ip.parse().unwrap(), "bl.example.org");
        assert_eq!(of("192.0.2.99"), "99.2.0.192.bl.example.org");
        assert_eq!(of("::ffff:192.0.2.99"), "99.2.0.192.bl.example.org");
        assert_eq!(
            of("2001:db8:1:2:3:4:567:89ab"),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example.org"
        );
    }

    #[test]
    fn answers_count_by_network_and_by_bits() {
        let any = |networks: &[&str], bits, answers: &[&str]| {
            let networks: Vec<_> = networks.iter().map(|text| text.parse().unwrap()).collect();
            let answers: Vec<_> = answers.iter().map(|text| text.parse().unwrap()).collect();
            Codes::new(&networks, bits).match_any(&answers)
        };
        assert!(any(&[], None, &["127.0.0.2"]));
        assert!(!any(&[], None, &["127.255.255.254"]), "an error of the list");
        assert!(!any(&[], None, &["203.0.113.5"]), "a parked domain");
        assert!(!any(&[], None, &[]));
        assert!(any(&["127.0.0.4/30"], None, &["127.0.0.1", "127.0.0.6"]));
        assert!(!any(&["127.0.0.4/30"], None, &["127.0.0.2"]));
        assert!(any(&[], Some(0b100), &["127.0.0.6"]));
        assert!(!any(&[], Some(0b100), &["127.0.0.3"]));
        assert!(!any(&["0.0.0.0/0"], None, &["10.0.0.1"]));
    }

    proptest::proptest! {
        #[test]
        fn every_address_makes_a_name_that_dns_can_hold(octets in proptest::prelude::any::<[u8; 16]>()) {
            let name = of_address(IpAddr::from(octets), "bl.example.org");
            proptest::prop_assert!(name.len() <= 64 + 14 && chasqui_base::DomainName::parse(&name).is_ok());
        }
    }
}

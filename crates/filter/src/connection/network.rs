//! Which clients count as one.

use std::net::IpAddr;

/// The network that `ip` lies in: its first `v4` or `v6` bits, the rest zero. An IPv4 address in IPv6 clothes is taken as IPv4.
pub(crate) fn of(ip: IpAddr, v4: u8, v6: u8) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(v4.into())).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(v6.into())).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_network_and_strangers_do_not() {
        let of = |text: &str| super::of(text.parse().unwrap(), 24, 64);
        assert_eq!(of("192.0.2.1"), of("192.0.2.254"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.9"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        assert_eq!((super::of(ip, 32, 128), super::of(ip, 0, 0)), (ip, "0.0.0.0".parse().unwrap()));
    }
}

//! Where a domain wants its reports (RFC 8460 §3).

use chasqui_base::EmailAddress;

/// Addresses that are served; a domain that names more has chosen the first ones.
const MAX: usize = 4;

/// A place for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rua {
    /// By mail.
    Mail(EmailAddress),
    /// By POST.
    Https {
        /// The host's name.
        host: String,
        /// Its port.
        port: u16,
        /// Path and query, with the first slash.
        path: String,
    },
}

/// The places in the TXT records of `_smtp._tls.`: none unless exactly one is of this version (§3).
pub fn parse(records: &[String]) -> Vec<Rua> {
    let mut ours = records.iter().filter_map(|record| {
        let rest = record.trim_start().strip_prefix("v=TLSRPTv1")?.trim_start();
        rest.strip_prefix(';')
    });
    let (Some(fields), None) = (ours.next(), ours.next()) else { return Vec::new() };
    let mut places = Vec::new();
    for field in fields.split(';') {
        let Some((key, value)) = field.split_once('=') else { continue };
        if key.trim() == "rua" {
            places.extend(value.split(',').filter_map(|uri| of_uri(uri.trim())).take(MAX));
            break;
        }
    }
    places
}

fn of_uri(uri: &str) -> Option<Rua> {
    let (scheme, rest) = uri.split_once(':')?;
    if scheme.eq_ignore_ascii_case("mailto") {
        // §3: commas, exclamation marks and semicolons are written as percent and hexadecimal digits.
        let address = rest.split('?').next()?;
        return EmailAddress::parse(&decode(address)?).ok().map(Rua::Mail);
    }
    if !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let rest = rest.strip_prefix("//")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, 443),
    };
    let host = chasqui_base::DomainName::parse(host).ok()?.as_str().to_owned();
    let path = path.split('#').next().unwrap_or("");
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let plain = |octet: u8| octet.is_ascii_graphic();
    path.bytes().all(plain).then_some(Rua::Https { host, port, path })
}

fn decode(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| (digit as char).to_digit(16));
        let (high, low) = (digit()?, digit()?);
        octets.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(records: &[&str]) -> Vec<Rua> {
        parse(&records.iter().map(|record| (*record).to_owned()).collect::<Vec<_>>())
    }

    fn mail(address: &str) -> Rua {
        Rua::Mail(EmailAddress::parse(address).unwrap())
    }

    #[test]
    fn the_standards_examples_are_read() {
        assert_eq!(
            of(&["v=TLSRPTv1; rua=mailto:reports@example.com", "v=spf1 -all"]),
            [mail("reports@example.com")]
        );
        assert_eq!(
            of(&["v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"]),
            [Rua::Https { host: "reporting.example.com".into(), port: 443, path: "/v1/tlsrpt".into() }]
        );
        let both = of(&["v=TLSRPTv1;rua=mailto:a%21b@example.com, https://r.example.com:8443?x=1;future=y"]);
        assert_eq!(both.len(), 2);
        assert_eq!(both[1], Rua::Https { host: "r.example.com".into(), port: 8443, path: "/?x=1".into() });
    }

    #[test]
    fn what_cannot_be_served_is_passed_over() {
        for none in [
            &["v=TLSRPTv1; rua=http://x.example/"][..],
            &["v=TLSRPTv2; rua=mailto:a@example.org"],
            &["v=TLSRPTv1; rua=mailto:nobody"],
            &["v=TLSRPTv1; rua=mailto:%zz@example.org"],
            &["v=TLSRPTv1; rua=https:///x"],
            &["v=TLSRPTv1; rua=https://x.example/a b"],
            &["v=TLSRPTv1; rua=https://x.example:99999/"],
            &["v=TLSRPTv1"],
            &["v=TLSRPTv1;"],
            &["v=TLSRPTv1; rua=mailto:a@example.org", "v=TLSRPTv1; rua=mailto:b@example.org"],
            &[],
        ] {
            assert_eq!(of(none), [], "{none:?}");
        }
        let many = format!("v=TLSRPTv1; rua={}", ["mailto:a@example.org"; 50].join(","));
        assert_eq!(of(&[&many]).len(), MAX);
    }

    proptest! {
        #[test]
        fn any_record_is_read_or_passed_over_without_panic(
            rest in "\\PC{0,80}",
            uris in proptest::collection::vec("(mailto:|https://)[a-z0-9%@.:/?#!-]{0,30}", 0..6),
        ) {
            let _ = of(&[&rest]);
            let _ = of(&[&format!("v=TLSRPTv1;{rest}")]);
            for place in of(&[&format!("v=TLSRPTv1; rua={}", uris.join(","))]) {
                if let Rua::Https { host, path, .. } = place {
                    prop_assert!(!host.is_empty() && path.starts_with('/'));
                }
            }
        }
    }
}

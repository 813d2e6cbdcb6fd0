//! Every outcome that DNS can have, from a real authoritative server with zones that BIND's own tools signed.

use std::time::{Duration, Instant};

use chasqui_base::units::Span;
use chasqui_dns::testing::{NameServer, Silence, Zone};
use chasqui_dns::{Config, DnsError, Mx, Resolver, Tlsa, is_null_mx};

fn zones() -> Vec<Zone> {
    let records = "\
@ MX 20 mx2
@ MX 10 mx1
@ TXT \"v=spf1 \" \"-all\"
mx1 A 192.0.2.1
mx1 AAAA 2001:db8::1
mx2 A 192.0.2.2
null MX 0 .
mxalias MX 10 alias
alias CNAME mx1
alias2 CNAME alias
away CNAME mx.plain.test.
dangling CNAME nothing
loop1 CNAME loop2
loop2 CNAME loop1
self CNAME self
*.wild A 192.0.2.9
moved DNAME wild
4only A 192.0.2.4
_25._tcp.mx1 TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
";
    let long: String = (0..20).map(|n| format!("long TXT \"{n:03}{}\"\n", "x".repeat(240))).collect();
    vec![
        Zone::signed("signed.test", &format!("{records}{long}")),
        Zone::unsigned("plain.test", &format!("{records}mx A 192.0.2.7\n")),
        Zone::bogus("bogus.test", records),
        Zone::failing("failing.test"),
        Zone::opt_out("wide.test", "mx A 192.0.2.8\n*.wild A 192.0.2.9\naway CNAME no.signed.test.\n"),
        Zone::unsigned("under.wide.test", "@ A 192.0.2.10\n"),
        Zone::unsigned("2.0.192.in-addr.arpa", "1 PTR mx1.signed.test.\n1 PTR other.signed.test.\n"),
    ]
}

macro_rules! server {
    () => {
        match NameServer::start(&zones()) {
            Some(server) => server,
            None => return,
        }
    };
}

#[tokio::test]
async fn records_of_a_signed_zone_are_secure_and_of_an_unsigned_one_are_not() {
    let server = server!();
    let dns = server.resolver();
    for (zone, secure) in [("signed.test", true), ("plain.test", false)] {
        let txt = dns.txt(zone).await.unwrap();
        assert_eq!((txt.records, txt.secure, txt.stale), (vec!["v=spf1 -all".to_owned()], secure, false));
        let mx = dns.mx(&zone.to_uppercase()).await.unwrap();
        let hosts: Vec<_> = mx.records.iter().map(|mx| (mx.preference, mx.host.as_str())).collect();
        let expected = [(10, format!("mx1.{zone}")), (20, format!("mx2.{zone}"))];
        assert!(hosts.iter().eq(expected.iter().map(|(p, h)| (*p, h.as_str())).collect::<Vec<_>>().iter()));
        assert!(mx.secure == secure && mx.name == zone);
        let wild = dns.a(&format!("some.wild.{zone}")).await.unwrap();
        assert!(
            wild.secure == secure && wild.records == ["192.0.2.9".parse::<std::net::Ipv4Addr>().unwrap()]
        );
        assert_eq!(dns.aaaa(&format!("some.wild.{zone}")).await, Err(DnsError::NoData { secure }));
    }
    let tlsa = dns.tlsa(25, "mx1.signed.test").await.unwrap();
    let data: Vec<u8> = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef].repeat(4);
    assert_eq!(tlsa.records, [Tlsa { usage: 3, selector: 1, matching: 1, data }]);
    assert!(tlsa.secure && !dns.tlsa(25, "mx1.plain.test").await.unwrap().secure);
}

#[tokio::test]
async fn without_validation_nothing_is_secure() {
    let server = server!();
    let dns = Resolver::new(&Config { dnssec: false, trust_anchor: None, ..server.config() }).unwrap();
    assert!(!dns.txt("signed.test").await.unwrap().secure);
    assert!(!dns.txt("bogus.test").await.unwrap().secure);
    assert_eq!(dns.a("no.signed.test").await, Err(DnsError::NoSuchName { secure: false }));
    assert_eq!(dns.a("dangling.plain.test").await, Err(DnsError::NoSuchName { secure: false }));
}

#[tokio::test]
async fn absence_is_proved_where_the_zone_is_signed() {
    let server = server!();
    let dns = server.resolver();
    let nothing = |secure| Err(DnsError::NoSuchName { secure });
    let no_data = |secure| Err(DnsError::NoData { secure });
    assert_eq!(dns.a("no.signed.test").await, nothing(true));
    assert_eq!(dns.a("no.plain.test").await, nothing(false));
    assert_eq!(dns.mx("mx1.signed.test").await, no_data(true).map(|(): ()| unreachable!()));
    assert_eq!(dns.mx("mx1.plain.test").await, no_data(false).map(|(): ()| unreachable!()));
    // A name that no zone of ours has is absent from the root.
    assert_eq!(dns.a("no.such.example").await, nothing(true));
    assert_eq!(
        (dns.exists("mx1.signed.test").await, dns.exists("no.signed.test").await),
        (Ok(true), Ok(false))
    );
    assert_eq!(dns.exists("signed.test").await, Ok(true));
}

#[tokio::test]
async fn opt_out_proves_nothing_and_is_still_an_answer() {
    let server = server!();
    let dns = server.resolver();
    assert!(dns.a("mx.wide.test").await.unwrap().secure);
    assert_eq!(dns.a("some.wild.wide.test").await.unwrap().records.len(), 1);
    assert_eq!(dns.aaaa("mx.wide.test").await, Err(DnsError::NoData { secure: true }));
    assert_eq!(dns.a("away.wide.test").await, Err(DnsError::NoSuchName { secure: true }));
    assert_eq!(dns.a("no.wide.test").await, Err(DnsError::NoSuchName { secure: false }));
    let below = dns.a("under.wide.test").await.unwrap();
    assert!(!below.secure && below.records.len() == 1);
    assert_eq!(dns.a("no.under.wide.test").await, Err(DnsError::NoSuchName { secure: false }));
}

#[tokio::test]
async fn a_zone_with_wrong_signatures_is_bogus() {
    let server = server!();
    let dns = server.resolver();
    assert_eq!(dns.txt("bogus.test").await, Err(DnsError::Bogus));
    assert_eq!(dns.a("no.bogus.test").await, Err(DnsError::Bogus));
    assert_eq!(dns.tlsa(25, "mx1.bogus.test").await, Err(DnsError::Bogus));
    assert!(DnsError::Bogus.is_temporary() && !DnsError::Bogus.is_absence());
}

#[tokio::test]
async fn a_key_that_is_not_the_roots_makes_everything_bogus() {
    let server = server!();
    let other = server!();
    let dns = Resolver::new(&Config { trust_anchor: Some(other.trust_anchor()), ..server.config() }).unwrap();
    assert_eq!(dns.txt("signed.test").await, Err(DnsError::Bogus));
    // The operator is told, since every name fails; not so when one zone is at fault.
    for (dns, unproved) in [(dns, "1"), (server.resolver(), "0")] {
        assert_eq!(dns.txt("bogus.test").await, Err(DnsError::Bogus));
        let mut registry = prometheus_client::registry::Registry::default();
        dns.register(&mut registry);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        assert!(page.contains(&format!("chasqui_dns_root_unproved {unproved}")), "{page}");
    }
}

#[tokio::test]
async fn aliases_are_followed_and_name_the_last() {
    let server = server!();
    let dns = server.resolver();
    let answer = dns.a("alias2.signed.test").await.unwrap();
    assert!(answer.secure && answer.name == "mx1.signed.test");
    let alias = dns.alias("alias2.signed.test").await.unwrap();
    assert!(alias.secure && alias.records == ["alias.signed.test"]);
    let away = dns.a("away.signed.test").await.unwrap();
    assert!(!away.secure && away.name == "mx.plain.test", "{away:?}");
    assert_eq!(dns.a("dangling.signed.test").await, Err(DnsError::NoSuchName { secure: true }));
    assert_eq!(dns.mx("alias.signed.test").await, Err(DnsError::NoData { secure: true }));
    for (name, secure) in [("a.b.moved.signed.test", true), ("a.b.moved.plain.test", false)] {
        let moved = dns.a(name).await.unwrap();
        assert!(moved.secure == secure && moved.name.starts_with("a.b.wild."), "{moved:?}");
    }
    assert_eq!(dns.aaaa("a.moved.signed.test").await, Err(DnsError::NoData { secure: true }));
    // RFC 5321 §5.1 forbids it; it is common, and it works.
    let mx = dns.mx("mxalias.signed.test").await.unwrap();
    let host = &mx.records[0].host;
    let addresses = dns.addresses(host).await.unwrap();
    assert!(host == "alias.signed.test" && addresses.name == "mx1.signed.test" && addresses.secure);
}

#[tokio::test]
async fn aliases_in_a_circle_end() {
    let server = server!();
    let dns = server.resolver();
    for zone in ["signed.test", "plain.test"] {
        for name in ["loop1", "self"] {
            assert_eq!(dns.a(&format!("{name}.{zone}")).await, Err(DnsError::CnameLoop), "{name}.{zone}");
        }
    }
    assert!(DnsError::CnameLoop.is_temporary());
}

#[tokio::test]
async fn both_families_are_looked_up_at_once() {
    let server = server!();
    let dns = server.resolver();
    let both = dns.addresses("mx1.signed.test").await.unwrap();
    assert!(both.v4.len() == 1 && both.v6.len() == 1 && both.secure);
    let one = dns.addresses("4only.signed.test").await.unwrap();
    assert!(one.v4.len() == 1 && one.v6.is_empty() && one.secure);
    assert_eq!(dns.addresses("signed.test").await, Err(DnsError::NoData { secure: true }));
    assert_eq!(dns.addresses("no.plain.test").await, Err(DnsError::NoSuchName { secure: false }));
    assert!(dns.addresses("localhost").await.unwrap().v4[0].is_loopback());
    let names = dns.ptr("192.0.2.1".parse().unwrap()).await.unwrap();
    assert!(names.records.len() == 2 && names.records.contains(&"mx1.signed.test".to_owned()));
}

#[tokio::test]
async fn a_null_mx_is_told_from_no_mx() {
    let server = server!();
    let dns = server.resolver();
    let null = dns.mx("null.signed.test").await.unwrap();
    assert!(is_null_mx(&null.records) && null.records == [Mx { preference: 0, host: ".".to_owned() }]);
    assert!(!is_null_mx(&dns.mx("signed.test").await.unwrap().records) && !is_null_mx(&[]));
}

#[tokio::test]
async fn an_answer_that_does_not_fit_a_datagram_comes_over_tcp() {
    let server = server!();
    let answer = server.resolver().txt("long.signed.test").await.unwrap();
    assert!(answer.records.len() == 20 && answer.secure);
}

#[tokio::test]
async fn a_failing_zone_is_a_temporary_failure() {
    let server = server!();
    let dns = server.resolver();
    for _ in 0..2 {
        let error = dns.mx("failing.test").await.unwrap_err();
        assert!(matches!(error, DnsError::Temporary(_)) && error.is_temporary(), "{error:?}");
    }
    assert!(matches!(dns.addresses("failing.test").await, Err(DnsError::Temporary(_))));
    assert!(dns.exists("failing.test").await.is_err());
}

#[tokio::test]
async fn a_silent_server_costs_the_deadline_and_no_more() {
    let silence = Silence::start();
    let config = Config {
        servers: vec![silence.address()],
        timeout: Span::millis(300),
        deadline: Span::millis(700),
        attempts: 5,
        ..Config::default()
    };
    let dns = Resolver::new(&config).unwrap();
    let started = Instant::now();
    assert_eq!(dns.mx("example.org").await, Err(DnsError::Timeout));
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_second_server_answers_for_a_silent_one() {
    let server = server!();
    let silence = Silence::start();
    let servers = vec![silence.address(), server.address()];
    let dns = Resolver::new(&Config { servers, ..server.config() }).unwrap();
    assert!(dns.txt("signed.test").await.unwrap().secure);
}

#[tokio::test]
async fn look_ups_beyond_the_bound_wait_their_turn_within_the_deadline() {
    let silence = Silence::start();
    let config = Config {
        servers: vec![silence.address()],
        timeout: Span::millis(400),
        deadline: Span::millis(400),
        in_flight: 1,
        ..Config::default()
    };
    let dns = Resolver::new(&config).unwrap();
    let started = Instant::now();
    let (one, two) = tokio::join!(dns.mx("one.example"), dns.mx("two.example"));
    assert_eq!((one, two), (Err(DnsError::Timeout), Err(DnsError::Timeout)));
    assert!(started.elapsed() < Duration::from_millis(1200));
}

#[tokio::test]
async fn what_is_no_name_is_told_without_asking() {
    let dns =
        Resolver::new(&Config { servers: vec![([127, 0, 0, 1], 9).into()], ..Config::default() }).unwrap();
    let long = format!("{}.example", "x".repeat(64));
    let very_long = "a.".repeat(200);
    for name in
        ["", ".", "a..b", "with space.example", "back\\046slash.example", "\u{7f}.example", &long, &very_long]
    {
        assert_eq!(dns.a(name).await, Err(DnsError::BadName), "{name}");
    }
    for name in ["some.invalid", "x.onion"] {
        assert_eq!(dns.a(name).await, Err(DnsError::NoSuchName { secure: false }), "{name}");
    }
    assert_eq!(dns.mx("localhost").await, Err(DnsError::NoData { secure: false }));
}

/// What a server makes of a question.
type Way = fn(&[u8]) -> Vec<u8>;

/// A server that makes its answer of each question in this way.
fn rubbish(make: Way) -> std::net::SocketAddr {
    let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut question = [0; 4096];
        while let Ok((length, peer)) = socket.recv_from(&mut question) {
            let _ = socket.send_to(&make(&question[..length]), peer);
        }
    });
    address
}

#[tokio::test]
async fn a_server_that_answers_rubbish_is_as_good_as_none() {
    let ways: [Way; 6] = [
        |_| Vec::new(),
        |question| question.to_vec(),
        |question| question.iter().map(|octet| !octet).collect(),
        // A response whose counts promise more than there is.
        |question| {
            [&question[..2], &[0x80, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &question[12..]]
                .concat()
        },
        // A name that points to itself.
        |question| {
            [
                &question[..2],
                &[0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4],
            ]
            .concat()
        },
        // Cut, and nobody listens for TCP.
        |question| [&question[..2], &[0x82, 0], &question[4..]].concat(),
    ];
    for (number, way) in ways.into_iter().enumerate() {
        for dnssec in [true, false] {
            let config = Config {
                servers: vec![rubbish(way)],
                timeout: Span::millis(200),
                deadline: Span::millis(600),
                attempts: 1,
                dnssec,
                ..Config::default()
            };
            let error = Resolver::new(&config).unwrap().a("www.example.org").await.unwrap_err();
            assert!(error.is_temporary(), "way {number}: {error:?}");
        }
    }
}

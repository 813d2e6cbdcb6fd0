//! What is remembered, for how long, and what is given when no server answers.

use std::time::Duration;

use chasqui_base::units::Span;
use chasqui_dns::testing::{NameServer, Zone};
use chasqui_dns::{Config, DnsError, Resolver};
use prometheus_client::registry::Registry;

const TLSA: &str =
    "_25._tcp.mx TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";

fn zone(records: &str) -> Vec<Zone> {
    let records = format!("$TTL 1\n{records}{TLSA}");
    vec![Zone::signed("signed.test", &records), Zone::unsigned("plain.test", &records)]
}

#[tokio::test]
async fn the_last_answer_is_given_while_no_server_answers_unless_it_was_proved() {
    let Some(mut server) = NameServer::start(&zone("mx A 192.0.2.1\n")) else { return };
    let dns = server.resolver();
    let answer = dns.a("mx.plain.test").await.unwrap();
    assert!(!answer.secure && !answer.stale);
    assert!(dns.a("mx.signed.test").await.unwrap().secure);
    assert!(dns.tlsa(25, "mx.signed.test").await.unwrap().secure);
    server.stop();
    tokio::time::sleep(Duration::from_millis(1100)).await;

    for _ in 0..2 {
        let stale = dns.a("mx.plain.test").await.unwrap();
        assert!(stale.stale && !stale.secure && stale.records == answer.records);
    }
    let tlsa = dns.tlsa(25, "mx.signed.test").await.unwrap_err();
    let proved = dns.a("mx.signed.test").await.unwrap_err();
    let unknown = dns.a("never-asked.plain.test").await.unwrap_err();
    assert!(tlsa.is_temporary() && proved.is_temporary() && unknown.is_temporary());

    let mut registry = Registry::default();
    dns.register(&mut registry);
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    for line in [
        "chasqui_dns_look_ups_total{kind=\"a\",outcome=\"stale\"} 2",
        "chasqui_dns_look_ups_total{kind=\"tlsa\",outcome=\"secure\"} 1",
        "chasqui_dns_memory_total{result=\"stale\"} 1",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
}

#[tokio::test]
async fn stale_answers_can_be_turned_off() {
    let Some(mut server) = NameServer::start(&zone("mx A 192.0.2.1\n")) else { return };
    let dns = Resolver::new(&Config { serve_stale: Span::secs(0), ..server.config() }).unwrap();
    dns.a("mx.plain.test").await.unwrap();
    server.stop();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(dns.a("mx.plain.test").await.unwrap_err().is_temporary());
}

#[tokio::test]
async fn records_and_their_absence_are_remembered_for_their_time() {
    let slow = |records: &str| vec![Zone::signed("signed.test", &format!("$TTL 60\n{records}"))];
    let Some(mut server) = NameServer::start(&slow("mx A 192.0.2.1\n")) else { return };
    let dns = server.resolver();
    let hasty =
        Resolver::new(&Config { max_ttl: Span::secs(0), negative_ttl: Span::secs(0), ..server.config() })
            .unwrap();
    for dns in [&dns, &hasty] {
        assert_eq!(dns.a("mx.signed.test").await.unwrap().records.len(), 1);
        assert_eq!(dns.a("new.signed.test").await, Err(DnsError::NoSuchName { secure: true }));
    }
    server.restart(&slow("mx A 192.0.2.1\nmx A 192.0.2.2\nnew A 192.0.2.3\n"));
    assert_eq!(dns.a("mx.signed.test").await.unwrap().records.len(), 1);
    assert_eq!(dns.a("new.signed.test").await, Err(DnsError::NoSuchName { secure: true }));
    assert_eq!(hasty.a("mx.signed.test").await.unwrap().records.len(), 2);
    assert!(hasty.a("new.signed.test").await.unwrap().secure);
    dns.clear();
    assert_eq!(dns.a("mx.signed.test").await.unwrap().records.len(), 2);
}

//! What DNS can say of a domain, each with its fate; by a real name server.

use super::*;
use chasqui_dns::testing::{NameServer, Silence, Zone};

fn zones() -> Vec<Zone> {
    let records = "\
@ MX 10 mx1
mx1 A 127.0.0.1
two MX 10 dead
two MX 20 mx1
dead A 127.0.0.99
order MX 20 mx1
order MX 10 mx2
mx2 A 127.0.0.2
implicit A 127.0.0.1
null MX 0 .
alias CNAME @
mxalias MX 10 pointer
pointer CNAME mx1
nothing TXT \"no mail\"
addressless MX 10 nothing
gone MX 10 nobody
private MX 10 inner
inner A 10.1.2.3
mixed MX 10 inner
mixed MX 20 mx1
ours MX 10 relay.ejemplo.test.
behind MX 10 Relay.Ejemplo.test.
behind MX 20 mx1
before MX 10 mx1
before MX 20 relay.ejemplo.test.
broken MX 10 mx.failing.test.
halfbroken MX 10 mx.failing.test.
halfbroken MX 20 mx1
loop1 CNAME loop2
loop2 CNAME loop1
v6 MX 10 both
both A 127.0.0.1
both AAAA 2001:db8::1
";
    vec![
        Zone::signed("signed.test", records),
        Zone::unsigned("plain.test", records),
        Zone::bogus("bogus.test", records),
        Zone::failing("failing.test"),
    ]
}

fn by_dns(host: &Host, resolver: Resolver) -> Arc<Delivery> {
    let folder = tempfile::tempdir().unwrap();
    delivery_with(&config(host.port), resolver, &tls_config(&folder), Arc::default())
}

#[tokio::test]
async fn every_outcome_has_its_fate() {
    let Some(server) = NameServer::start(&zones()) else { return };
    let host = Manner::good().start().await;
    let delivery = by_dns(&host, server.resolver());
    for (domain, expected) in [
        ("plain.test", None),
        ("signed.test", None),
        ("implicit.plain.test", None),
        ("alias.plain.test", None),
        ("mxalias.plain.test", None),
        ("two.plain.test", None),
        ("order.plain.test", None),
        ("before.plain.test", None),
        ("mixed.plain.test", None),
        ("halfbroken.plain.test", None),
        ("v6.plain.test", None),
        ("null.plain.test", Some((556, "5.1.10"))),
        ("null.signed.test", Some((556, "5.1.10"))),
        ("never.plain.test", Some((550, "5.1.2"))),
        ("never.signed.test", Some((550, "5.1.2"))),
        ("nothing.plain.test", Some((550, "5.1.2"))),
        ("addressless.plain.test", Some((550, "5.4.4"))),
        ("gone.plain.test", Some((550, "5.4.4"))),
        ("private.plain.test", Some((550, "5.4.4"))),
        ("ours.plain.test", Some((554, "5.4.6"))),
        ("behind.plain.test", Some((554, "5.4.6"))),
        ("bogus.test", Some((451, "4.7.5"))),
        ("failing.test", Some((451, "4.4.3"))),
        ("broken.plain.test", Some((451, "4.4.3"))),
        ("loop1.plain.test", Some((451, "4.4.3"))),
    ] {
        let fate = send(&delivery, &[&format!("x@{domain}")]).await.remove(0);
        match (expected, &fate) {
            (None, Fate::Delivered { .. }) => {}
            (Some((code, enhanced)), Fate::Failed(found) | Fate::Deferred(found)) => {
                assert_eq!(found.reply.code(), code, "{domain}: {fate:?}");
                assert_eq!(trouble(&fate), (enhanced.to_owned(), Whose::Destination), "{domain}");
            }
            _ => panic!("{domain}: {fate:?}"),
        }
    }
}

#[tokio::test]
async fn the_next_host_is_tried_when_one_will_not_and_not_when_it_says_no() {
    let Some(server) = NameServer::start(&zones()) else { return };
    let second = Manner::good().start().await;
    let reply = Act::SayAndDrop("421 4.3.2 Busy");
    let first = Manner::saying("", reply).at("127.0.0.2", second.port).start().await;
    let delivery = by_dns(&second, server.resolver());
    assert!(is_delivered(&send(&delivery, &["x@order.plain.test"]).await[0]));
    assert_eq!((first.seen().connections, second.seen().taken.len()), (1, 1));
    first.stop().await;

    let refusing = Manner::saying("RCPT", Act::Say("450 4.2.0 Greylisted"));
    let first = refusing.at("127.0.0.2", second.port).start().await;
    assert_eq!(trouble(&send(&delivery, &["x@order.plain.test"]).await[0]).0, "4.2.0");
    assert_eq!((first.seen().connections, second.seen().taken.len()), (1, 1));
}

#[tokio::test]
async fn silent_name_servers_mean_later() {
    let silence = Silence::start();
    let resolver = Resolver::new(&chasqui_dns::Config {
        servers: vec![silence.address()],
        timeout: Span::millis(200),
        deadline: Span::millis(500),
        attempts: 1,
        dnssec: false,
        ..chasqui_dns::Config::default()
    })
    .unwrap();
    let host = Manner::good().start().await;
    let fate = send(&by_dns(&host, resolver), &["x@plain.test"]).await.remove(0);
    assert!(matches!(fate, Fate::Deferred(_)));
    assert_eq!(trouble(&fate), ("4.4.3".into(), Whose::Destination));
}

#[tokio::test]
async fn loopback_and_private_literals_are_refused_unless_allowed() {
    let host = Manner::good().start().await;
    let mut config = config(host.port);
    assert!(is_delivered(&send(&delivery(&config), &[HERE]).await[0]));
    config.delivery.allowed_networks.clear();
    for literal in [HERE, "x@[10.0.0.1]", "x@[IPv6:::1]"] {
        assert_eq!(trouble(&send(&delivery(&config), &[literal]).await[0]).0, "5.4.4", "{literal}");
    }
}

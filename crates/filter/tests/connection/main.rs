//! What a client is asked before its text, against a real name server: names of addresses, DNS lists, greetings.

use chasqui_dns::testing::{NameServer, Zone};
use chasqui_filter::{
    Metrics,
    connection::{Checks, Client, config::ConnectionConfig},
};
use chasqui_smtp::{Recipient, Reply, ReversePath};
use prometheus_client::registry::Registry;
use std::{net::IpAddr, sync::Arc, time::Instant};

/// 192.0.2.1 has a name that leads back, .2 one that does not, .3 none; 192.0.2.66 and 2001:db8::66 are listed.
const REVERSE: &str = "1.2.0.192 PTR good.example.test.\n2.2.0.192 PTR other.example.test.\n";
const NAMES: &str = "good A 192.0.2.1\nother A 192.0.2.99\nmail A 192.0.2.50\n";
const BLOCK: &str = "66.2.0.192 A 127.0.0.4\n66.2.0.192 TXT \"Listed for a test, see https://bl.test/66\"\n\
    67.2.0.192 A 127.0.0.2\n68.2.0.192 A 127.255.255.254\n\
    6.6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2 A 127.0.0.2\n";

fn server() -> Option<NameServer> {
    NameServer::start(&[
        Zone::unsigned("in-addr.arpa", REVERSE),
        Zone::unsigned("example.test", NAMES),
        Zone::unsigned("bl.test", BLOCK),
        Zone::unsigned("allow.test", "67.2.0.192 A 127.0.0.2\n"),
        Zone::unsigned("blind.test", "* A 127.0.0.2\n"),
        Zone::unsigned("mute.test", "* A 127.0.0.2\n1.0.0.127 CNAME probe.broken.test.\n"),
        Zone::unsigned("domains.test", "bad.example.test A 127.0.1.2\ngood.example.test A 127.0.1.2\n"),
        Zone::failing("broken.test"),
        Zone::failing("100.51.198.in-addr.arpa"),
    ])
}

fn checks(server: &NameServer, settings: &str) -> Arc<Checks> {
    let config: ConnectionConfig = chasqui_base::config::parse(settings, "test").unwrap();
    config.check().unwrap();
    let metrics = Metrics::register(&mut Registry::default());
    Checks::open(&config, &"mx.example.org".parse().unwrap(), &server.resolver(), false, &metrics).unwrap()
}

fn greeted(checks: &Arc<Checks>, ip: &str, hello: &str) -> Client {
    let mut client = checks.connect(ip.parse::<IpAddr>().unwrap()).unwrap();
    client.hello(hello);
    client
}

async fn ask(client: &mut Client, sender: &str, recipient: &str) -> Result<(), Reply> {
    let path: ReversePath = sender.parse().unwrap();
    client.mail(&path).unwrap();
    client.recipient(&path, &Recipient::Mailbox(recipient.parse().unwrap())).await
}

/// The reply to RCPT, or the marks.
async fn outcome(checks: &Arc<Checks>, ip: &str, hello: &str, sender: &str) -> String {
    let mut client = greeted(checks, ip, hello);
    match ask(&mut client, sender, "ana@example.org").await {
        Ok(()) => client.marks().join(" "),
        Err(reply) => reply.to_string(),
    }
}

#[tokio::test]
async fn names_of_addresses_are_confirmed() {
    let Some(server) = server() else { return };
    let checks = checks(&server, "[reverse_dns]\nmissing = 'reject'\nunconfirmed = 'defer'\n");
    let of = async |ip: &str| outcome(&checks, ip, "mail.example.com", "a@example.com").await;
    assert_eq!(of("192.0.2.1").await, "");
    assert_eq!(of("192.0.2.2").await, "450 4.7.25 No name of your address leads back to it");
    assert_eq!(of("192.0.2.3").await, "550 5.7.25 Your address has no name in the DNS");
    assert_eq!(of("2001:db8::66").await, "550 5.7.25 Your address has no name in the DNS");
    assert_eq!(of("198.51.100.1").await, "", "the DNS cannot say");
    let mut client = greeted(&checks, "192.0.2.1", "mail.example.com");
    ask(&mut client, "a@example.com", "ana@example.org").await.unwrap();
    assert_eq!(client.reverse_name().await, Some("good.example.test"));
}

#[tokio::test]
async fn lists_refuse_mark_and_exempt() {
    let Some(server) = server() else { return };
    let settings = "[[lists.address]]\nzone = 'bl.test'\n[[lists.address]]\nzone = 'allow.test'\nkind = 'allow'\n\
        [[lists.address]]\nzone = 'blind.test'\n[[lists.address]]\nzone = 'broken.test'\n\
        [[lists.address]]\nzone = 'mute.test'\n";
    let checks = checks(&server, settings);
    let of = async |ip: &str| outcome(&checks, ip, "mail.example.com", "a@example.com").await;
    assert_eq!(
        of("192.0.2.66").await,
        "550 5.7.1 Refused: [192.0.2.66] or its names are listed by bl.test: Listed for a test, see https://bl.test/66"
    );
    assert!(of("2001:db8::66").await.starts_with("550 5.7.1 Refused: [2001:db8::66]"));
    assert_eq!(of("192.0.2.67").await, "", "an allow list has it");
    assert_eq!(of("192.0.2.68").await, "", "an error of the list");
    assert_eq!(of("192.0.2.1").await, "", "neither the blind list counts nor one that may be");
    // Who is refused can still ask why.
    let mut client = greeted(&checks, "192.0.2.66", "mail.example.com");
    for recipient in ["Postmaster@example.org", "abuse@example.org"] {
        assert_eq!(ask(&mut client, "a@example.com", recipient).await, Ok(()));
    }
    assert!(client.recipient(&ReversePath::Null, &Recipient::Postmaster).await.is_ok());
}

#[tokio::test]
async fn weights_add_up_and_codes_choose() {
    let Some(server) = server() else { return };
    let settings = "[lists]\nreject_score = 5\nmark_score = 2\n[[lists.address]]\nzone = 'bl.test'\nweight = 3\ncodes = ['127.0.0.4']\n\
        [[lists.domain]]\nzone = 'domains.test'\nweight = 2\nnames = ['sender', 'hello', 'reverse']\nbits = 2\n";
    let checks = checks(&server, settings);
    let of = async |ip: &str, hello: &str, sender: &str| outcome(&checks, ip, hello, sender).await;
    assert_eq!(of("192.0.2.66", "mail.example.com", "a@example.com").await, "listed=bl.test");
    assert_eq!(of("192.0.2.67", "mail.example.com", "a@example.com").await, "", "another code");
    assert_eq!(of("192.0.2.3", "mail.example.com", "a@bad.example.test").await, "listed=domains.test");
    assert_eq!(of("192.0.2.3", "bad.example.test", "").await, "listed=domains.test");
    assert_eq!(
        of("192.0.2.1", "mail.example.com", "").await,
        "listed=domains.test",
        "by its name in the reverse DNS"
    );
    let both = of("192.0.2.66", "mail.example.com", "a@bad.example.test").await;
    assert!(both.starts_with("550 5.7.1 ") && both.contains("bl.test"), "{both}");
    let names = of("192.0.2.3", "bad.example.test", "a@bad.example.test").await;
    assert_eq!(names, "listed=domains.test");
}

#[tokio::test]
async fn greetings_are_looked_up_where_that_is_asked_for() {
    let Some(server) = server() else { return };
    let checks = checks(&server, "[hello]\nunresolved = 'reject'\ninvalid = 'defer'\n");
    let of = async |hello: &str| outcome(&checks, "192.0.2.3", hello, "a@example.com").await;
    assert_eq!(of("mail.example.test").await, "");
    assert_eq!(of("nobody.example.test").await, "550 5.7.1 Your greeting (EHLO) has no address in the DNS");
    assert_eq!(of("mail.broken.test").await, "", "the DNS cannot say");
    assert!(of("pc").await.starts_with("450 4.7.1"));
    assert!(of("mx.example.org").await.starts_with("550 5.7.1"));
}

#[tokio::test]
async fn without_an_answer_nobody_is_refused_and_nobody_waits_for_long() {
    let Some(mut server) = server() else { return };
    let settings =
        "[reverse_dns]\nmissing = 'reject'\n[lists]\ndeadline = '1s'\n[[lists.address]]\nzone = 'bl.test'\n";
    let checks = checks(&server, settings);
    server.stop();
    let started = Instant::now();
    assert_eq!(outcome(&checks, "192.0.2.66", "mail.example.com", "a@example.com").await, "");
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[tokio::test]
async fn trusted_networks_are_asked_nothing() {
    let Some(server) = server() else { return };
    let settings =
        "trusted_networks = ['192.0.2.0/24']\n[reverse_dns]\nmissing = 'reject'\n[rates]\nconnections = 1\n";
    let checks = checks(&server, settings);
    for _ in 0..3 {
        let mut client = greeted(&checks, "192.0.2.3", "mx.example.org");
        assert!(client.is_trusted());
        assert_eq!(ask(&mut client, "a@example.com", "ana@example.org").await, Ok(()));
    }
    assert!(checks.connect("198.51.100.1".parse().unwrap()).is_ok());
    assert_eq!(checks.connect("198.51.100.2".parse().unwrap()).err().unwrap().code(), 421);
}

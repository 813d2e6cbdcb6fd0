//! What each outcome of DNS makes of SPF, DKIM and DMARC.

use crate::fixture::{
    FRIEND, Mail, STRANGER, authenticator, ed25519, forged, message, rsa, server, signed, zones,
};
use chasqui_dns::{
    Resolver,
    testing::{NameServer, Silence},
};
use chasqui_filter::authentication::{
    Action, AuthenticationConfig, Authenticator, DkimResult, DmarcResult, SpfResult, WhenUnsure,
};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::net::UdpSocket;

macro_rules! server {
    () => {
        match server() {
            Some(server) => server,
            None => return,
        }
    };
}

#[tokio::test]
async fn spf_has_a_result_for_every_outcome() {
    let server = server!();
    let checks = authenticator(&server, |_| {});
    for (ip, path, expected) in [
        (FRIEND, "a@sender.test", SpfResult::Pass),
        (STRANGER, "a@sender.test", SpfResult::Fail),
        (FRIEND, "a@nobody.test", SpfResult::None),
        (FRIEND, "a@no-such-name.nobody.test", SpfResult::None),
        (FRIEND, "a@twice.test", SpfResult::PermError),
        (FRIEND, "a@bogus.test", SpfResult::TempError),
        (FRIEND, "a@failing.test", SpfResult::TempError),
        (FRIEND, "a@loop._domainkey.sender.test", SpfResult::TempError),
    ] {
        let Ok(_) = chasqui_smtp::Mailbox::parse(path) else { continue };
        let verdict = Mail { ip, path, text: String::new() }.spf(&checks).await;
        assert_eq!(verdict.result(), expected, "{path}: {verdict:?}");
    }
}

#[tokio::test]
async fn a_signature_has_a_result_for_every_outcome_at_its_key() {
    let server = server!();
    let checks = authenticator(&server, |_| {});
    for (domain, selector, expected, reason) in [
        ("sender.test", "ed", DkimResult::Pass, None),
        ("sender.test", "alias", DkimResult::Pass, None),
        ("sender.test", "two", DkimResult::Pass, None),
        ("sender.test", "tested", DkimResult::Pass, None),
        ("sender.test", "missing", DkimResult::PermError, Some("no key")),
        ("sender.test", "revoked", DkimResult::PermError, Some("key revoked")),
        ("sender.test", "odd", DkimResult::PermError, Some("syntax error in the key record")),
        ("sender.test", "rsa", DkimResult::PermError, Some("the key is of another type than the signature")),
        ("sender.test", "loop", DkimResult::TempError, Some("CNAME loop")),
        ("bogus.test", "ed", DkimResult::TempError, Some("DNSSEC validation failed")),
        ("failing.test", "ed", DkimResult::TempError, Some("DNS failed")),
    ] {
        let text = signed(ed25519(), selector, domain, &message("ana@sender.test"));
        let found = Mail { ip: STRANGER, path: "", text }.verdict(&checks).await;
        let [dkim] = found.dkim.as_slice() else { panic!("{:?}", found.dkim) };
        assert_eq!((dkim.result, dkim.reason), (expected, reason), "{selector}._domainkey.{domain}");
    }
    let text = signed(rsa(), "rsa", "sender.test", &message("ana@sender.test"));
    let found = Mail { ip: STRANGER, path: "", text: text.clone() }.verdict(&checks).await;
    assert_eq!((found.dkim[0].result, found.dkim[0].algorithm), (DkimResult::Pass, "rsa-sha256"));
    let changed = text.replace("Hola.", "Holla.");
    let found = Mail { ip: STRANGER, path: "", text: changed }.verdict(&checks).await;
    assert_eq!((found.dkim[0].result, found.dkim[0].reason), (DkimResult::Fail, Some("body changed")));
    let changed = text.replace("Subject: Hola", "Subject: Holla");
    let found = Mail { ip: STRANGER, path: "", text: changed }.verdict(&checks).await;
    assert_eq!(
        (found.dkim[0].result, found.dkim[0].reason),
        (DkimResult::Fail, Some("signature does not match"))
    );
    let tested =
        signed(ed25519(), "tested", "sender.test", &message("ana@sender.test")).replace("Hola.", "x");
    let found = Mail { ip: STRANGER, path: "", text: tested }.verdict(&checks).await;
    assert_eq!(found.dkim[0].result, DkimResult::Neutral);
}

#[tokio::test]
async fn dmarc_has_a_result_for_every_outcome() {
    let server = server!();
    let checks = authenticator(&server, |_| {});
    for (from, expected) in [
        ("a@sender.test", DmarcResult::Fail),
        ("a@deep.below.sender.test", DmarcResult::Fail),
        ("a@nobody.test", DmarcResult::None),
        ("a@twice.test", DmarcResult::None),
        ("a@bogus.test", DmarcResult::TempError),
        ("a@failing.test", DmarcResult::TempError),
        ("a@[192.0.2.1]", DmarcResult::None),
    ] {
        assert_eq!(forged(from).verdict(&checks).await.dmarc.result, expected, "{from}");
    }
}

#[tokio::test]
async fn a_bogus_or_failing_policy_defers_or_accepts_as_configured() {
    let server = server!();
    let defers = authenticator(&server, |_| {});
    let accepts = authenticator(&server, |config| config.when_unsure = WhenUnsure::Accept);
    for from in ["a@bogus.test", "a@failing.test"] {
        let Action::Defer(reply) = forged(from).verdict(&defers).await.action else {
            panic!("{from} is not deferred")
        };
        assert_eq!((reply.code(), reply.enhanced().unwrap().to_string()), (451, "4.4.3".to_owned()));
        assert_eq!(forged(from).verdict(&accepts).await.action, Action::Accept);
    }
    // The key is uncertain, the path is not: nothing hangs on the key.
    let text = signed(ed25519(), "loop", "sender.test", &message("ana@sender.test"));
    let mail = Mail { ip: FRIEND, path: "ana@sender.test", text };
    assert_eq!(mail.verdict(&defers).await.action, Action::Accept);
    let mail = Mail { ip: STRANGER, ..mail };
    assert!(matches!(mail.verdict(&defers).await.action, Action::Defer(_)));
    // A domain that asks for nothing is not waited for.
    let text = signed(ed25519(), "loop", "none.test", &message("ana@none.test"));
    let mail = Mail { ip: STRANGER, path: "", text };
    assert_eq!(mail.verdict(&defers).await.action, Action::Accept);
}

#[tokio::test]
async fn a_server_that_never_answers_is_a_temporary_error_in_time() {
    let silence = Silence::start();
    let dns = chasqui_dns::Config { servers: vec![silence.address()], ..chasqui_dns::Config::default() };
    let mut config = AuthenticationConfig::default();
    config.limits.spf_deadline = chasqui_base::Span::millis(700);
    config.limits.deadline = chasqui_base::Span::millis(700);
    let checks = Authenticator::new(&config, Resolver::new(&dns).unwrap(), "mx.here.test").unwrap();
    let text = signed(ed25519(), "ed", "sender.test", &message("ana@sender.test"));
    let mail = Mail { ip: FRIEND, path: "ana@sender.test", text };
    let begin = Instant::now();
    let found = mail.verdict(&checks).await;
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    assert_eq!(
        (found.spf.result(), found.spf.decisive().reason),
        (SpfResult::TempError, Some("took too long"))
    );
    assert_eq!((found.dkim[0].result, found.dkim[0].reason), (DkimResult::TempError, Some("DNS timed out")));
    assert_eq!(found.dmarc.result, DmarcResult::TempError);
    assert!(matches!(found.action, Action::Defer(_)));
}

/// A name server that never answers for names with this label, and else says what another says.
async fn deaf_to(label: &'static str, server: SocketAddr) -> SocketAddr {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut packet = [0; 4096];
        loop {
            let (length, client) = socket.recv_from(&mut packet).await.unwrap();
            let question = packet[..length].to_vec();
            if String::from_utf8_lossy(&question).to_ascii_lowercase().contains(label) {
                continue;
            }
            let socket = Arc::clone(&socket);
            tokio::spawn(async move {
                let onward = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                onward.send_to(&question, server).await.unwrap();
                let mut answer = [0; 4096];
                let length = onward.recv(&mut answer).await.unwrap();
                socket.send_to(&answer[..length], client).await.unwrap();
            });
        }
    });
    address
}

#[tokio::test]
async fn an_author_whose_servers_are_slow_does_not_hide_what_another_asks_for() {
    let server = server!();
    let servers = vec![deaf_to("slow", server.address()).await];
    let dns = chasqui_dns::Config { servers, dnssec: false, trust_anchor: None, ..server.config() };
    let mut config = AuthenticationConfig::default();
    config.limits.deadline = chasqui_base::Span::secs(2);
    let checks = Authenticator::new(&config, Resolver::new(&dns).unwrap(), "mx.here.test").unwrap();
    for authors in ["a@slow.test, b@sender.test", "b@sender.test, a@slow.test"] {
        let text = message("a@x.test").replace("Ana <a@x.test>", authors);
        let found = Mail { ip: STRANGER, path: "", text }.verdict(&checks).await;
        assert_eq!((found.dmarc.author.as_str(), found.dmarc.result), ("sender.test", DmarcResult::Fail));
        assert!(matches!(found.action, Action::Reject(_)), "{:?}", found.action);
    }
    let found = forged("a@slow.test").verdict(&checks).await;
    assert_eq!((found.dmarc.author.as_str(), found.dmarc.result), ("slow.test", DmarcResult::TempError));
}

#[tokio::test]
async fn a_server_that_stopped_is_a_temporary_error_until_the_cache_helps() {
    // One of its own, since it stops.
    let Some(mut server) = NameServer::start(&zones()) else { return };
    let checks = authenticator(&server, |_| {});
    let mail = Mail { ip: FRIEND, path: "ana@sender.test", text: message("ana@sender.test") };
    assert_eq!(mail.verdict(&checks).await.dmarc.result, DmarcResult::Pass);
    server.stop();
    assert_eq!(mail.verdict(&checks).await.dmarc.result, DmarcResult::Pass);
    assert!(matches!(forged("a@mild.test").verdict(&checks).await.action, Action::Defer(_)));
}

//! Hosts that do as they should, and routes to them.

use super::*;
use crate::config::{Pool, Route, RouteTls};
use std::os::unix::fs::PermissionsExt as _;

#[tokio::test]
async fn a_message_is_handed_over_whole_by_whatever_the_host_offers() {
    let all: &[&str] = &["PIPELINING", "CHUNKING", "SIZE 1000000"];
    for (offers, bdat, dsn) in [
        (all, true, DeliveredKind::Relayed),
        (&["PIPELINING", "DSN"], false, DeliveredKind::PassedOn),
        (&["CHUNKING"], true, DeliveredKind::Relayed),
        (&[], false, DeliveredKind::Relayed),
    ] {
        let host = Manner::good().offering(offers).start().await;
        let delivery = delivery(&config(host.port));
        for text in [TEXT.to_owned(), format!("Subject: x\r\n\r\n{}", ".abc\r\n".repeat(60_000))] {
            let fates = carry(&delivery, envelope(&[HERE, ALSO]), text.as_bytes()).await;
            for fate in fates {
                let Fate::Delivered { remote, reply, kind } = fate else { panic!("{fate:?}") };
                assert_eq!((remote.as_str(), kind), ("[127.0.0.1] [127.0.0.1]", dsn));
                assert_eq!(reply, Reply::new(250, (2, 0, 0), "Taken"));
            }
            let taken = host.seen().taken.pop().unwrap();
            assert_eq!((taken.text.len(), taken.recipients.len()), (text.len(), 2), "{offers:?}");
            assert_eq!(taken.text, text);
            assert!(taken.mail.starts_with("MAIL FROM:<ana@ejemplo.test>"));
        }
        let seen = host.seen();
        assert_eq!(seen.connections, 1, "the second message goes over the same connection");
        assert_eq!(seen.lines.iter().any(|line| line.starts_with("BDAT")), bdat);
    }
}

#[tokio::test]
async fn a_host_that_only_knows_helo_is_served() {
    let host = Manner::saying("EHLO", Act::Say("502 5.5.1 What?")).start().await;
    let fates = send(&delivery(&config(host.port)), &[HERE]).await;
    assert!(is_delivered(&fates[0]), "{fates:?}");
}

#[tokio::test]
async fn each_recipient_has_the_fate_that_the_host_gave_it() {
    let host = Manner::with(|line, _| match line {
        line if line.contains("bea") => Act::Say("550 5.1.1 No such user"),
        line if line.contains("carlos") => Act::Say("450 4.7.1 Greylisted"),
        _ => Act::Good,
    })
    .start()
    .await;
    let fates = send(&delivery(&config(host.port)), &[HERE, ALSO, "diana@[127.0.0.1]"]).await;
    assert!(matches!(&fates[0], Fate::Failed(_)) && trouble(&fates[0]) == ("5.1.1".into(), Whose::Message));
    assert!(matches!(&fates[1], Fate::Deferred(_)) && trouble(&fates[1]) == ("4.7.1".into(), Whose::Message));
    assert!(is_delivered(&fates[2]));
    assert_eq!(host.seen().taken[0].recipients.len(), 1);
}

#[tokio::test]
async fn many_recipients_go_in_several_transactions() {
    let host = Manner::good().offering(&["PIPELINING", "LIMITS RCPTMAX=3"]).start().await;
    let recipients: Vec<String> = (0..7).map(|n| format!("u{n}@[127.0.0.1]")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let fates = send(&delivery(&config(host.port)), &recipients).await;
    assert!(fates.iter().all(is_delivered));
    let sizes: Vec<usize> = host.seen().taken.iter().map(|taken| taken.recipients.len()).collect();
    assert_eq!((sizes, host.seen().connections), (vec![3, 3, 1], 1));
}

#[tokio::test]
async fn a_connection_is_used_for_so_many_messages_and_no_more() {
    let host = Manner::good().start().await;
    let mut config = config(host.port);
    config.delivery.connections.messages = 2;
    let delivery = delivery(&config);
    for _ in 0..5 {
        assert!(is_delivered(&send(&delivery, &[HERE]).await[0]));
    }
    assert_eq!(host.seen().connections, 3);
}

#[tokio::test]
async fn unused_connections_are_closed_after_a_while_and_at_the_end() {
    let host = Manner::good().start().await;
    let mut config = config(host.port);
    config.delivery.connections.idle = Span::millis(300);
    let delivery = delivery(&config);
    let quits = || host.seen().lines.iter().filter(|line| *line == "QUIT").count();
    send(&delivery, &[HERE]).await;
    tokio::time::sleep(Duration::from_millis(2300)).await;
    assert_eq!((quits(), delivery.kept.len()), (1, 0));
    send(&delivery, &[HERE]).await;
    delivery.close().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(quits(), 2);
}

#[tokio::test]
async fn mail_of_a_pool_leaves_from_its_addresses() {
    let host = Manner::good().start().await;
    let mut config = config(host.port);
    config.delivery.pools = vec![Pool {
        name: "a".into(),
        senders: vec!["ejemplo.test".into()],
        v4: vec!["127.0.0.5".parse().unwrap(), "127.0.0.6".parse().unwrap()],
        v6: Vec::new(),
    }];
    config.delivery.connections.messages = 1;
    let delivery = delivery(&config);
    for _ in 0..2 {
        send(&delivery, &[HERE]).await;
    }
    let from: Vec<String> = host.seen().from.iter().map(ToString::to_string).collect();
    assert_eq!(from, ["127.0.0.5", "127.0.0.6"]);
    // An IPv6 address cannot be reached from it.
    assert_eq!(trouble(&send(&delivery, &["x@[IPv6:2001:db8::1]"]).await[0]).0, "4.4.1");
}

#[tokio::test]
async fn a_route_leads_past_dns_to_its_hosts_in_order() {
    let host = Manner::good().start().await;
    let mut config = config(25);
    config.delivery.allowed_networks.clear();
    config.delivery.routes = vec![Route {
        domains: vec!["*".into()],
        hosts: vec!["127.0.0.9:9".parse().unwrap(), format!("127.0.0.1:{}", host.port).parse().unwrap()],
        ..Route::default()
    }];
    let fates = send(&delivery(&config), &["x@a.example", "y@b.example"]).await;
    assert!(fates.iter().all(is_delivered), "{fates:?}");
    assert_eq!(host.seen().taken.len(), 1);
}

#[tokio::test]
async fn a_smarthost_is_shown_the_password_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let host = Manner::good().offering(&["AUTH LOGIN PLAIN"]).start().await;
    for (password, good) in [("llave\n", true), ("otra\n", false)] {
        std::fs::write(&path, password).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let mut config = config(25);
        config.delivery.routes = vec![Route {
            domains: vec!["*".into()],
            hosts: vec![format!("127.0.0.1:{}", host.port).parse().unwrap()],
            tls: Some(RouteTls::Never),
            user: Some("relay".into()),
            password: Some(path.clone()),
        }];
        let fates = send(&delivery(&config), &["x@a.example"]).await;
        if good {
            assert!(is_delivered(&fates[0]), "{fates:?}");
        } else {
            // The operator mends it, and the mail waits.
            assert_eq!(trouble(&fates[0]), ("4.7.8".into(), Whose::Destination));
        }
    }
}

#[tokio::test]
async fn places_shrink_when_a_destination_puts_us_off_and_grow_again() {
    let host = Manner::with(|line, number| match line {
        "" if number == 1 => Act::SayAndDrop("421 4.3.2 Busy"),
        _ => Act::Good,
    })
    .start()
    .await;
    let delivery = delivery(&config(host.port));
    let there = delivery.destination(HERE);
    let before = delivery.places(&there);
    send(&delivery, &[HERE]).await;
    assert!(delivery.places(&there) < before);
    for _ in 0..20 {
        send(&delivery, &[HERE]).await;
    }
    assert!(delivery.places(&there) >= before);
}

//! The inside port: roles, hand-over, repetition.

use super::*;
use crate::{message::Source, sign::tests::folder_of};
use chasqui_base::DeliveryId;

#[tokio::test]
async fn a_role_hands_in_what_it_likes_and_it_is_signed() {
    let keys = folder_of("example.org");
    let site = Site::with(Options { keys: Some(keys.path().to_owned()), ..Options::default() }, |_| {});
    let mut mx = site.role(&site.role_tls("mx2", Role::Mx)).await;
    let text = "From: informes@example.org\r\nBcc: queda\r\n\r\nx\r\n";
    let reply = mx.send("<>", &["<a@example.net>", "<Postmaster>"], text).await;
    assert!(reply.starts_with("250"), "{reply}");
    let (envelope, text) = site.taken().remove(0);
    assert!(
        text.starts_with(
            "Received: from mx.example.org ([127.0.0.1])\r\n\tby relay.example.org with ESMTPS "
        ),
        "{text}"
    );
    assert!(text.contains("DKIM-Signature: ") && text.ends_with("\r\nBcc: queda\r\n\r\nx\r\n"), "{text}");
    assert!(!text.contains("Message-ID: "), "nothing is added: {text}");
    assert_eq!(envelope.source, Source::Role);
    assert_eq!(envelope.recipients[1].address, "postmaster@relay.example.org");
}

#[tokio::test]
async fn a_queue_that_is_handed_over_keeps_ids_ages_and_signatures() {
    let keys = folder_of("example.org");
    let site = Site::with(Options { keys: Some(keys.path().to_owned()), ..Options::default() }, |_| {});
    let relay = site.role_tls("relay2", Role::Relay);
    let mut peer = site.role(&relay).await;
    let id = DeliveryId::generate();
    let from = format!("<ana@example.org> XDELIVERYID={id} XQUEUED=1000000000 RET=FULL");
    let text = "DKIM-Signature: v=1\r\nMessage-ID: <a@b>\r\nFrom: ana@example.org\r\n\r\nx\r\n";
    for _ in 0..2 {
        assert!(peer.send(&from, &["<a@example.net> NOTIFY=DELAY"], text).await.starts_with("250"));
    }
    let taken = site.taken();
    assert_eq!(taken.len(), 1, "taken once");
    let (envelope, text) = &taken[0];
    assert_eq!((envelope.id, envelope.received), (id, 1_000_000_000));
    assert_eq!(envelope.message_id.as_deref(), Some("a@b"));
    assert_eq!(text.matches("DKIM-Signature").count(), 1);
}

#[tokio::test]
async fn another_role_is_turned_away() {
    let site = Site::new(|_| {});
    let mut client = site.role(&site.role_tls("dir", Role::Directory)).await;
    assert!(client.reply().await.starts_with("554 5.7.1"));
    assert_eq!(client.reply().await, "");
}

#[tokio::test]
async fn users_cannot_say_what_only_roles_may() {
    let site = Site::new(|_| {});
    let mut ana = site.user("ana").await;
    let id = DeliveryId::generate();
    for parameter in [format!("XDELIVERYID={id}"), "XQUEUED=1".to_owned(), "XJUNK".to_owned()] {
        let reply = ana.say(&format!("MAIL FROM:<ana@example.org> {parameter}")).await;
        assert!(reply.starts_with("555"), "{parameter}: {reply}");
    }
}

#[tokio::test]
async fn a_role_too_may_not_name_recipients_without_end() {
    let site = Site::new(|_| {});
    let mut mx = site.role(&site.role_tls("mx2", Role::Mx)).await;
    assert!(mx.say("MAIL FROM:<ana@example.org>").await.starts_with("250"));
    for number in 0..10_000 {
        let reply = mx.say(&format!("RCPT TO:<a@d{number}.test>")).await;
        assert!(reply.starts_with("250"), "{number}: {reply}");
    }
    assert!(mx.say("RCPT TO:<a@example.net>").await.starts_with("452 4.5.3"));
}

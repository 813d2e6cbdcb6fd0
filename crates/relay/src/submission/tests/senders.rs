//! Whose address a user may use, to whom they may write, and how much.

use super::*;

const TO: &str = "<x@example.net>";

fn text(from: &str) -> String {
    format!("From: {from}\r\nSubject: hola\r\n\r\nHola.\r\n")
}

#[tokio::test]
async fn an_address_in_the_envelope_or_the_header_must_be_the_users() {
    let site = Site::new(|_| {});
    let mut ana = site.user("ana").await;
    for (from, header, expected) in [
        ("<ana@example.org>", "Ana <ana@example.org>", "250"),
        ("<Ana+lista@Example.org>", "ana+casa@example.org", "250"),
        // A tag of hers, had nobody an account of that name.
        ("<ana+otra@example.org>", "ana@example.org", "550 5.7.1"),
        ("<jefe@example.org>", "jefe@example.org", "250"),
        (
            "<beto@example.org>",
            "ana@example.org",
            "550 5.7.1 ana@example.org may not send mail as beto@example.org",
        ),
        ("<ana@example.net>", "ana@example.org", "550 5.7.1"),
        ("<\"ana\"@[192.0.2.1]>", "ana@example.org", "550 5.7.1"),
        (
            "<ana@example.org>",
            "Beto <beto@example.org>",
            "550 5.7.1 ana@example.org may not send mail as beto@example.org",
        ),
        ("<ana@example.org>", "ana@example.org\r\nSender: beto@example.org", "550 5.7.1"),
        ("<ana@example.org>", "ana@example.org, beto@example.org\r\nSender: ana@example.org", "550 5.7.1"),
        ("<ana@example.org>", "ana@example.org\r\nFrom: beto@example.org", "554 5.6.0"),
        ("<>", "ana@example.org", "250"),
        ("<>", "beto@example.org", "550 5.7.1"),
    ] {
        let reply = ana.send(from, &[TO], &text(header)).await;
        assert!(reply.starts_with(expected), "{from} {header}: {reply}");
        if ana.say("NOOP").await.is_empty() {
            ana = site.user("ana").await;
        }
    }
    // Another user has no right to the same addresses.
    let mut beto = site.user("beto").await;
    assert!(beto.send("<jefe@example.org>", &[TO], &text("beto@example.org")).await.starts_with("550 5.7.1"));
}

#[tokio::test]
async fn a_site_may_leave_the_header_unchecked_but_not_of_mail_without_a_sender() {
    let site = Site::new(|config| config.senders.check_header = false);
    let mut ana = site.user("ana").await;
    assert!(ana.send("<ana@example.org>", &[TO], &text("beto@example.org")).await.starts_with("250"));
    assert!(ana.send("<>", &[TO], &text("beto@example.org")).await.starts_with("550 5.7.1"));
    assert!(ana.send("<ana@example.org>", &[TO], "Subject: x\r\n\r\n").await.starts_with("554 5.6.0"));
}

#[tokio::test]
async fn recipients_that_cannot_be_are_refused_at_once() {
    let site = Site::new(|config| config.senders.limits.recipients = 2);
    let mut ana = site.user("ana").await;
    assert!(ana.say("MAIL FROM:<ana@example.org>").await.starts_with("250"));
    for (to, expected) in [
        ("<nadie@example.org>", "550 5.1.1"),
        ("<cerrado@example.org>", "550 5.2.1"),
        ("<x@localhost>", "550 5.1.2"),
        ("<x@@example.net>", "501 5.1.3"),
        ("<x@[192.0.2.1]>", "250"),
        ("<beto@example.org>", "250"),
        ("<y@example.net>", "452 4.5.3"),
    ] {
        let reply = ana.say(&format!("RCPT TO:{to}")).await;
        assert!(reply.starts_with(expected), "{to}: {reply}");
    }
}

#[tokio::test]
async fn who_has_sent_enough_is_told_when_to_go_on() {
    let site = Site::new(|config| config.senders.rates.user = messages(2));
    let mut ana = site.user("ana").await;
    for _ in 0..2 {
        assert!(ana.send("<ana@example.org>", &[TO], &text("ana@example.org")).await.starts_with("250"));
    }
    let reply = ana.say("MAIL FROM:<ana@example.org>").await;
    assert!(
        reply.starts_with("450 4.7.1 ana@example.org may send 2 messages in one hour: try again after 20"),
        "{reply}"
    );
    assert!(reply.ends_with("UTC"), "{reply}");
    let mut beto = site.user("beto").await;
    assert!(beto.send("<beto@example.org>", &[TO], &text("beto@example.org")).await.starts_with("250"));
    assert!(
        site.metrics().contains(r#"limited_total{scope="user",what="messages"} 1"#),
        "{}",
        site.metrics()
    );
}

#[tokio::test]
async fn a_domain_is_counted_as_a_whole_and_what_is_not_sent_is_not_counted() {
    let site = Site::new(|config| config.senders.rates.domain.recipients_per_day = Some(3));
    let mut ana = site.user("ana").await;
    // Given up before the text: nothing of it counts.
    assert!(ana.say("MAIL FROM:<ana@example.org>").await.starts_with("250"));
    for n in 0..3 {
        assert!(ana.say(&format!("RCPT TO:<x{n}@example.net>")).await.starts_with("250"));
    }
    let reply = ana.say("RCPT TO:<x4@example.net>").await;
    assert!(
        reply.starts_with("450 4.7.1 The users of example.org may send 3 recipients in one day"),
        "{reply}"
    );
    assert!(ana.say("RSET").await.starts_with("250"));
    // Refused for its header: neither.
    assert!(ana.send("<ana@example.org>", &[TO, TO], "\r\n").await.starts_with("554"));
    let mut beto = site.user("beto").await;
    let to = ["<a@example.net>", "<b@example.net>", "<c@example.net>"];
    assert!(beto.send("<beto@example.org>", &to, &text("beto@example.org")).await.starts_with("250"));
    assert!(ana.send("<ana@example.org>", &[TO], &text("ana@example.org")).await.starts_with("450"));
}

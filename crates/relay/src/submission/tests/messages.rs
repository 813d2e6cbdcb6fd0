//! What becomes of a message on its way into the queue.

use super::*;
use crate::{
    message::{BodyKind, Notify, Returns, Source},
    sign::tests::{folder_of, verify},
};
use chasqui_base::ByteSize;
use chasqui_smtp::ReversePath;
use mail_auth::DkimResult;

const TO: &str = "<x@example.net>";

#[tokio::test]
async fn a_message_is_completed_and_nobody_reads_where_it_came_from() {
    let site = Site::new(|_| {});
    let mut ana = site.user("ana").await;
    let given = "Return-Path: <x@y>\r\nFrom: Ana <ana@example.org>\r\nBcc: secreto@example.net\r\n\r\nHola.\r\n..punto\r\n";
    let reply = ana.send("<ana@example.org>", &[TO, "<Secreto@Example.net>"], given).await;
    let (envelope, text) = site.taken().remove(0);
    assert_eq!(reply, format!("250 2.0.0 {} queued", envelope.id));
    let (trace, rest) = text.split_once("From: ").unwrap();
    assert!(trace.starts_with("Received: by relay.example.org with ESMTPSA (TLSv1_3 "), "{trace}");
    assert!(!trace.contains("192.0.2.7") && !trace.contains("portatil") && !trace.contains("ana"), "{trace}");
    let id = envelope.message_id.clone().unwrap();
    assert!(rest.starts_with("Ana <ana@example.org>\r\nDate: "), "{rest}");
    assert!(rest.ends_with(&format!("\r\nMessage-ID: <{id}>\r\n\r\nHola.\r\n.punto\r\n")), "{rest}");
    assert!(!text.contains("secreto") && !text.contains("Return-Path"), "{text}");
    assert_eq!(envelope.source, Source::User("ana@example.org".parse().unwrap()));
    let recipients: Vec<_> = envelope.recipients.iter().map(|r| r.address.as_str()).collect();
    assert_eq!(recipients, ["x@example.net", "Secreto@Example.net"]);
    assert_eq!((envelope.smtputf8, envelope.body, envelope.require_tls), (false, BodyKind::SevenBit, false));
    assert_eq!(envelope.expires - envelope.received, 5 * 86_400);
}

#[tokio::test]
async fn a_site_that_wants_it_shows_client_and_account() {
    let site = Site::new(|config| {
        config.senders.show_client = true;
        config.senders.show_account = true;
    });
    let mut ana = site.user("ana").await;
    ana.send("<ana@example.org>", &[TO], "From: ana@example.org\r\n\r\n").await;
    let (_, text) = site.taken().remove(0);
    assert!(text.starts_with("Received: from portatil.example ([192.0.2.7])\r\n\tby relay"), "{text}");
    assert!(text.contains("(account ana@example.org)"), "{text}");
}

#[tokio::test]
async fn the_parameters_reach_the_queue() {
    let site = Site::new(|_| {});
    let mut ana = site.user("ana").await;
    let from = "<ana@example.org> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ+2B1 REQUIRETLS HOLDFOR=60 MT-PRIORITY=3 AUTH=<>";
    let to = [
        "<x@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;y+2Bz@example.net",
        "<ñandú@example.net> NOTIFY=NEVER",
    ];
    let reply = ana.send(from, &to, "From: Ñandú <ana@example.org>\r\n\r\nñ\r\n").await;
    assert!(reply.starts_with("250"), "{reply}");
    let (envelope, text) = site.taken().remove(0);
    assert!(text.contains("with UTF8SMTPSA"), "{text}");
    assert!(envelope.smtputf8 && envelope.require_tls && envelope.body == BodyKind::EightBitMime);
    assert_eq!((envelope.returns, envelope.envelope_id.as_deref()), (Some(Returns::Headers), Some("QQ+1")));
    assert_eq!((envelope.priority, envelope.not_before), (3, Some(envelope.received + 61)));
    let first = &envelope.recipients[0];
    assert_eq!(first.notify, Notify { success: true, failure: true, delay: false, explicit: true });
    assert_eq!(first.original.as_deref(), Some("rfc822;y+z@example.net"));
    assert_eq!(
        envelope.recipients[1].notify,
        Notify { success: false, failure: false, delay: false, explicit: true }
    );
}

#[tokio::test]
async fn a_wait_beyond_the_limit_and_a_message_too_big_are_refused() {
    let site = Site::new(|config| {
        config.senders.longest_hold = chasqui_base::Span::secs(100);
        config.senders.limits.message_size = ByteSize(20_000);
        config.senders.limits.header_size = ByteSize(4096);
        config.senders.limits.header_fields = 5;
        config.senders.limits.received_lines = 3;
    });
    let mut ana = site.user("ana").await;
    assert!(ana.say("MAIL FROM:<ana@example.org> HOLDFOR=101").await.starts_with("501 5.5.4"));
    assert!(ana.say("MAIL FROM:<ana@example.org> SIZE=20001").await.starts_with("552 5.3.4"));
    let big = format!("From: ana@example.org\r\n\r\n{}", "x\r\n".repeat(10_000));
    assert!(ana.send("<ana@example.org>", &[TO], &big).await.starts_with("552 5.3.4"));
    let header = format!("From: ana@example.org\r\nX: {}\r\n\r\n", "x\r\n ".repeat(2_000));
    assert!(ana.send("<ana@example.org>", &[TO], &header).await.starts_with("552 5.3.4"));
    let fields = format!("From: ana@example.org\r\n{}\r\n", "X: y\r\n".repeat(6));
    assert!(ana.send("<ana@example.org>", &[TO], &fields).await.starts_with("554 5.6.0"));
    let around = format!("{}From: ana@example.org\r\n\r\n", "Received: x\r\n".repeat(4));
    assert!(ana.send("<ana@example.org>", &[TO], &around).await.starts_with("554 5.4.6"));
    assert!(site.taken().is_empty());
}

#[tokio::test]
async fn small_and_big_messages_are_signed_by_the_authors_domain() {
    let keys = folder_of("example.org");
    let options = Options { keys: Some(keys.path().to_owned()), ..Options::default() };
    let site = Site::with(options, |config| config.senders.limits.memory = ByteSize(16 * 1024));
    let mut ana = site.user("ana").await;
    for lines in [1, 20_000] {
        let text = format!(
            "From: ana@example.org\r\nTo: x@example.net\r\n\r\n{}",
            "una línea \t más \r\n".repeat(lines)
        );
        let reply = ana.send("<ana@example.org> BODY=8BITMIME", &[TO], &text).await;
        assert!(reply.starts_with("250"), "{reply}");
    }
    let taken = site.queue.taken.lock().unwrap().clone();
    for (_, text) in taken {
        assert_eq!(verify(keys.path(), "example.org", &text).await, [DkimResult::Pass, DkimResult::Pass]);
        let start = String::from_utf8_lossy(&text[..1200]).into_owned();
        assert!(
            start.starts_with("Received:") && start.contains("\r\nDKIM-Signature: v=1; a=rsa-sha256;"),
            "{start}"
        );
    }
    assert_eq!(std::fs::read_dir(site.queue.folder()).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn chunks_and_binary_texts_are_taken_as_they_are() {
    let site = Site::new(|_| {});
    let mut ana = site.user("ana").await;
    assert!(ana.say("MAIL FROM:<ana@example.org> BODY=BINARYMIME").await.starts_with("250"));
    assert!(ana.say("RCPT TO:<x@example.net>").await.starts_with("250"));
    let text = b"From: ana@example.org\r\nBcc: x@example.net\r\n\r\nuno\rdos\ntres\0";
    let (first, last) = text.split_at(30);
    ana.write(format!("BDAT {}\r\n", first.len()).as_bytes()).await;
    ana.write(first).await;
    assert!(ana.reply().await.starts_with("250"));
    ana.write(format!("BDAT {} LAST\r\n", last.len()).as_bytes()).await;
    ana.write(last).await;
    assert!(ana.reply().await.starts_with("250"));
    let (envelope, text) = site.taken().remove(0);
    assert_eq!(envelope.body, BodyKind::Binary);
    assert!(text.ends_with("\r\n\r\nuno\rdos\ntres\0") && !text.contains("Bcc"), "{text}");
    // A header is of lines in any case: a bare LF could be one elsewhere.
    assert!(ana.say("MAIL FROM:<ana@example.org> BODY=BINARYMIME").await.starts_with("250"));
    assert!(ana.say("RCPT TO:<x@example.net>").await.starts_with("250"));
    let text = b"From: ana@example.org\nBcc: x\r\n\r\n";
    ana.write(format!("BDAT {} LAST\r\n", text.len()).as_bytes()).await;
    ana.write(text).await;
    assert!(ana.reply().await.starts_with("550 5.6.11"));
}

#[tokio::test]
async fn a_queue_that_is_full_is_said_to_be() {
    let site = Site::with(Options { full: true, ..Options::default() }, |_| {});
    let mut ana = site.user("ana").await;
    let reply = ana.send("<ana@example.org>", &[TO], "From: ana@example.org\r\n\r\n").await;
    assert!(reply.starts_with("452 4.3.1"), "{reply}");
    let reply = ana.say("MAIL FROM:<ana@example.org> SIZE=100").await;
    assert!(reply.starts_with("452 4.3.1"), "before a text is sent in vain: {reply}");
    assert!(site.taken().is_empty());
    assert!(site.metrics().contains(r#"messages_total{door="submission",outcome="deferred"} 1"#));
}

#[tokio::test]
async fn a_receipt_without_a_sender_is_taken_from_its_author() {
    let site = Site::new(|_| {});
    let mut ana = site.user("ana").await;
    ana.send("<>", &[TO], "From: ana@example.org\r\nAuto-Submitted: auto-replied\r\n\r\n").await;
    assert_eq!(site.taken()[0].0.reverse_path, ReversePath::Null);
}

//! What a message needs and a host offers.

use super::*;
use crate::message::Returns;

async fn to(offers: &'static [&'static str], envelope: Envelope, text: &[u8]) -> (Fate, Host) {
    let host = Manner::good().offering(offers).start().await;
    let fate = carry(&delivery(&config(host.port)), envelope, text).await.remove(0);
    (fate, host)
}

#[tokio::test]
async fn a_message_too_big_for_the_host_is_not_sent() {
    let (fate, host) = to(&["SIZE 20"], envelope(&[HERE]), TEXT.as_bytes()).await;
    assert!(matches!(fate, Fate::Failed(_)));
    assert_eq!(trouble(&fate).0, "5.3.4");
    assert!(!host.seen().lines.iter().any(|line| line.starts_with("MAIL")));
    let (fate, _) = to(&["SIZE 0"], envelope(&[HERE]), TEXT.as_bytes()).await;
    assert!(is_delivered(&fate));
}

#[tokio::test]
async fn binary_text_needs_binarymime() {
    let binary = || Envelope { body: BodyKind::Binary, ..envelope(&[HERE]) };
    let text = b"Subject: x\r\n\r\n\0\n\r.";
    let (fate, _) = to(&["CHUNKING", "8BITMIME"], binary(), text).await;
    assert_eq!(trouble(&fate).0, "5.6.3");
    let (fate, host) = to(&["CHUNKING", "BINARYMIME", "8BITMIME"], binary(), text).await;
    assert!(is_delivered(&fate), "{fate:?}");
    assert!(host.seen().taken[0].mail.ends_with("BODY=BINARYMIME"));
    assert_eq!(host.seen().taken[0].text.as_bytes(), text);
}

#[tokio::test]
async fn eight_bit_text_goes_as_it_is() {
    let eight = || Envelope { body: BodyKind::EightBitMime, ..envelope(&[HERE]) };
    let text = "Subject: x\r\n\r\nñandú\r\n";
    for (offers, said) in [(&["8BITMIME"][..], true), (&[], false)] {
        let (fate, host) = to(offers, eight(), text.as_bytes()).await;
        assert!(is_delivered(&fate));
        assert_eq!(host.seen().taken[0].text, text);
        assert_eq!(host.seen().taken[0].mail.contains("BODY=8BITMIME"), said);
    }
}

#[tokio::test]
async fn smtputf8_is_said_where_it_is_needed() {
    let utf8 = |from: &str, to: &str| Envelope {
        smtputf8: true,
        reverse_path: from.parse().unwrap(),
        ..envelope(&[to])
    };
    let ascii = TEXT.as_bytes();
    let header = "Subject: ñ\r\n\r\nx\r\n".as_bytes();
    for (envelope, text, delivered) in [
        // Whoever handed it in said SMTPUTF8 without need.
        (utf8("ana@ejemplo.test", HERE), ascii, true),
        (utf8("ana@ejemplo.test", HERE), header, false),
        (utf8("ñ@ejemplo.test", HERE), ascii, false),
        (utf8("ana@ñandú.example", HERE), ascii, true),
        (utf8("ana@ejemplo.test", "ñ@[127.0.0.1]"), ascii, false),
    ] {
        let (fate, host) = to(&["PIPELINING"], envelope.clone(), text).await;
        if delivered {
            assert!(is_delivered(&fate), "{fate:?}");
            assert!(host.seen().taken[0].mail.is_ascii());
        } else {
            assert_eq!(trouble(&fate).0, "5.6.7");
        }
        let (fate, host) = to(&["PIPELINING", "SMTPUTF8", "8BITMIME"], envelope, text).await;
        assert!(is_delivered(&fate) && host.seen().taken[0].mail.contains(" SMTPUTF8"));
    }
}

#[tokio::test]
async fn one_recipient_that_needs_smtputf8_does_not_hold_back_the_others() {
    let host = Manner::good().offering(&["PIPELINING"]).start().await;
    let mixed = Envelope { smtputf8: true, ..envelope(&["ñ@[127.0.0.1]", HERE]) };
    let fates = carry(&delivery(&config(host.port)), mixed, TEXT.as_bytes()).await;
    assert_eq!(trouble(&fates[0]).0, "5.6.7");
    assert!(is_delivered(&fates[1]));
}

#[tokio::test]
async fn wishes_for_notices_are_passed_on_where_they_are_understood() {
    let wishes = || {
        let mut made = envelope(&[HERE, ALSO]);
        made.envelope_id = Some("QQ+314".into());
        made.returns = Some(Returns::Headers);
        made.recipients[0].notify = Notify { success: true, failure: true, delay: false, explicit: true };
        made.recipients[0].original = Some("rfc822;bea+x@ejemplo.test".into());
        made
    };
    let (fate, host) = to(&["DSN"], wishes(), TEXT.as_bytes()).await;
    assert!(matches!(fate, Fate::Delivered { kind: DeliveredKind::PassedOn, .. }));
    let seen = host.seen();
    assert_eq!(seen.taken[0].mail, "MAIL FROM:<ana@ejemplo.test> RET=HDRS ENVID=QQ+2B314");
    assert_eq!(
        seen.taken[0].recipients,
        [
            "RCPT TO:<bea@[127.0.0.1]> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bea+2Bx@ejemplo.test",
            "RCPT TO:<carlos@[127.0.0.1]>"
        ]
    );
    let (fate, host) = to(&[], wishes(), TEXT.as_bytes()).await;
    assert!(matches!(fate, Fate::Delivered { kind: DeliveredKind::Relayed, .. }));
    assert_eq!(host.seen().taken[0].recipients[0], "RCPT TO:<bea@[127.0.0.1]>");
}

use std::time::Duration;

use chasqui_base::{ByteSize, DeliveryId, Span};

use crate::site::{Running, Site, transaction};
use crate::wire::Wire;

const MESSAGE: &str = "Subject: hola\r\n\r\n.punto\r\n..\r\nfin\r\n";
const RETURN_PATH: &str = "Return-Path: <remitente@otro.test>\r\n";

#[tokio::test]
async fn a_delivered_message_is_read_octet_for_octet() {
    let site = Site::start().await;
    let node = site.storage("storage1").await;
    node.deliver("ana", MESSAGE).await;
    assert_eq!(node.messages("ana").await, [format!("{RETURN_PATH}{MESSAGE}")]);
    node.stop().await;
}

#[tokio::test]
async fn a_message_sent_with_data_is_the_same_as_one_sent_with_bdat() {
    let site = Site::start().await;
    let node = site.storage("storage1").await;
    let mut wire = node.lmtp().await;
    wire.send("MAIL FROM:<>\r\nRCPT TO:<ana@ejemplo.test>\r\nDATA\r\n").await;
    wire.expect("250 ").await;
    wire.expect("250 ").await;
    wire.expect("354 ").await;
    wire.send("Subject: hola\r\n\r\n..punto\r\n...\r\nfin\r\n.\r\n").await;
    wire.expect("250 2.0.0 ").await;
    assert_eq!(node.messages("ana").await, [format!("Return-Path: <>\r\n{MESSAGE}")]);
    node.stop().await;
}

#[tokio::test]
async fn each_recipient_gets_an_answer_of_its_own() {
    let site = Site::start().await;
    let node = site.storage("storage1").await;
    let mut wire = node.lmtp().await;
    wire.send(&transaction("", &["ana", "nadie", "carla", "cerrado", "suspendido", "beto"], MESSAGE)).await;
    wire.expect("250 ").await;
    wire.expect("250 2.1.5 ").await;
    wire.expect("550 5.1.1 ").await;
    assert_eq!(wire.line().await, "451 4.3.5 owner is now storage2");
    wire.expect("550 5.2.1 ").await;
    wire.expect("250 2.1.5 ").await;
    wire.expect("250 2.1.5 ").await;
    for _ in ["ana", "suspendido", "beto"] {
        wire.expect("250 2.0.0 ").await;
    }
    assert_eq!(node.messages("ana").await.len(), 1);
    assert_eq!(node.messages("beto").await.len(), 1);
    node.stop().await;
}

#[tokio::test]
async fn transactions_pipelined_on_one_connection_keep_their_order() {
    let site = Site::start().await;
    let node = site.storage("storage1").await;
    let mut wire = node.lmtp().await;
    let all: String = (0..20)
        .map(|number| {
            let id = DeliveryId::generate();
            let message = format!("Subject: {number}\r\n\r\n{}", "x".repeat(number * 1000));
            transaction(
                &format!(" XDELIVERYID={id}"),
                &[if number % 2 == 0 { "ana" } else { "beto" }],
                &message,
            )
        })
        .collect();
    wire.send(&all).await;
    for _ in 0..20 {
        wire.expect("250 2.1.0 ").await;
        wire.expect("250 2.1.5 ").await;
        wire.expect("250 2.0.0 ").await;
    }
    let subjects: Vec<String> =
        node.messages("ana").await.iter().map(|message| message.lines().nth(1).unwrap().to_owned()).collect();
    assert_eq!(subjects, (0..20).step_by(2).map(|number| format!("Subject: {number}")).collect::<Vec<_>>());
    node.stop().await;
}

#[tokio::test]
async fn a_repeated_delivery_is_recognised_also_after_a_restart() {
    let site = Site::start().await;
    let id = DeliveryId::generate();
    let text = transaction(&format!(" XDELIVERYID={id}"), &["ana", "beto"], MESSAGE);
    for _ in 0..2 {
        let node = site.storage("storage1").await;
        let mut wire = node.lmtp().await;
        for _ in 0..2 {
            wire.send(&text).await;
            for _ in 0..3 {
                wire.expect("250 ").await;
            }
            for _ in ["ana", "beto"] {
                assert_eq!(wire.line().await, format!("250 2.0.0 {id} stored"));
            }
        }
        assert_eq!(node.messages("ana").await.len(), 1);
        assert_eq!(node.messages("beto").await.len(), 1);
        node.stop().await;
    }
}

#[tokio::test]
async fn a_large_message_passes_through() {
    let site = Site::start().await;
    let node = site.storage("storage1").await;
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n";
    let message = format!("Subject: grande\r\n\r\n{}", line.repeat(80_000));
    node.deliver("ana", &message).await;
    let messages = node.messages("ana").await;
    assert!(messages.len() == 1 && messages[0] == format!("{RETURN_PATH}{message}"));
    node.stop().await;
}

#[tokio::test]
async fn limits_on_size_and_recipients_are_answered() {
    let site = Site::start().await;
    let mut config = site.config("storage1");
    config.limits.message = ByteSize(1000);
    config.limits.recipients = 1;
    let node = Running::start(config).await;
    let mut wire = node.lmtp().await;
    wire.send("MAIL FROM:<> SIZE=1001\r\n").await;
    wire.expect("552 5.3.4 ").await;
    wire.send(&transaction("", &["ana", "beto"], &"x".repeat(1001))).await;
    wire.expect("250 ").await;
    wire.expect("250 ").await;
    wire.expect("452 4.5.3 ").await;
    wire.expect("552 5.3.4 ").await;
    wire.send("NOOP\r\n").await;
    wire.expect("250 ").await;
    assert!(node.messages("ana").await.is_empty());
    node.stop().await;
}

#[tokio::test]
async fn without_a_directory_everybody_is_told_to_come_back() {
    let mut site = Site::start().await;
    let node = site.storage("storage1").await;
    let mut wire = node.lmtp().await;
    site.stop_directory().await;
    wire.send("MAIL FROM:<>\r\nRCPT TO:<ana@ejemplo.test>\r\n").await;
    wire.expect("250 ").await;
    wire.expect("451 4.4.3 ").await;
    let mut pop3 = Wire::connect(node.address("pop3")).await;
    pop3.expect("+OK ").await;
    pop3.send(&crate::site::external("ana")).await;
    pop3.expect("-ERR [SYS/TEMP] ").await;
    site.start_directory().await;
    wire.send("RSET\r\nMAIL FROM:<>\r\nRCPT TO:<ana@ejemplo.test>\r\n").await;
    wire.expect("250 ").await;
    wire.expect("250 ").await;
    wire.expect("250 ").await;
    drop((wire, pop3));
    node.stop().await;
}

#[tokio::test]
async fn an_open_transaction_is_finished_when_the_node_ends_and_an_idle_connection_is_told() {
    let site = Site::start().await;
    let node = site.storage("storage1").await;
    let mut idle = node.lmtp().await;
    let mut busy = node.lmtp().await;
    busy.send("MAIL FROM:<>\r\nRCPT TO:<ana@ejemplo.test>\r\n").await;
    busy.expect("250 ").await;
    busy.expect("250 ").await;
    node.run.stop();
    idle.expect("421 4.3.2 ").await;
    assert!(idle.is_closed().await);
    busy.send("BDAT 5 LAST\r\nhola\n").await;
    busy.expect("250 2.0.0 ").await;
    busy.expect("421 4.3.2 ").await;
    node.stop().await;
    let node = site.storage("storage1").await;
    assert_eq!(node.messages("ana").await.len(), 1);
    node.stop().await;
}

#[tokio::test]
async fn a_silent_peer_is_sent_away() {
    let site = Site::start().await;
    let mut config = site.config("storage1");
    config.timeouts.lmtp_idle = Span::millis(100);
    config.timeouts.log_in = Span::millis(100);
    let node = Running::start(config).await;
    let mut lmtp = node.lmtp().await;
    lmtp.expect("421 4.4.2 ").await;
    let mut pop3 = Wire::connect(node.address("pop3")).await;
    pop3.expect("+OK ").await;
    assert!(pop3.is_closed().await);
    node.stop().await;
}

#[tokio::test]
async fn a_message_that_breaks_off_is_not_stored() {
    let site = Site::start().await;
    let node = site.storage("storage1").await;
    let mut wire = node.lmtp().await;
    wire.send("MAIL FROM:<>\r\nRCPT TO:<ana@ejemplo.test>\r\nBDAT 100 LAST\r\nSubject: medio").await;
    wire.expect("250 ").await;
    wire.expect("250 ").await;
    drop(wire);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(node.messages("ana").await.is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_over_many_connections_arrive_once_each() {
    const CONNECTIONS: usize = 16;
    const MESSAGES: usize = 12;
    let site = Site::start().await;
    let mut config = site.config("storage1");
    config.timeouts.directory_cache = Span::millis(500);
    let node = std::sync::Arc::new(Running::start(config).await);
    let mut senders = Vec::new();
    for connection in 0..CONNECTIONS {
        let node = std::sync::Arc::clone(&node);
        senders.push(tokio::spawn(async move {
            let mut wire = node.lmtp().await;
            for number in 0..MESSAGES {
                let id = DeliveryId::generate();
                let message = format!("Subject: {connection}/{number}\r\n\r\n");
                let text = transaction(&format!(" XDELIVERYID={id}"), &["ana", "beto"], &message);
                // Every third one twice, as after a lost reply.
                for _ in 0..=usize::from(number % 3 == 0) {
                    wire.send(&text).await;
                    for _ in 0..5 {
                        wire.expect("250 ").await;
                    }
                }
            }
        }));
    }
    for sender in senders {
        sender.await.unwrap();
    }
    for account in ["ana", "beto"] {
        let mut messages = node.messages(account).await;
        messages.sort();
        messages.dedup();
        assert_eq!(messages.len(), CONNECTIONS * MESSAGES);
        let mut wire = node.pop3(account).await;
        wire.send("STAT\r\n").await;
        wire.expect(&format!("+OK {} ", CONNECTIONS * MESSAGES)).await;
    }
    std::sync::Arc::into_inner(node).unwrap().stop().await;
}

#[tokio::test]
async fn unwanted_mail_goes_to_junk_once_also_when_it_is_sent_again() {
    let site = Site::start().await;
    let node = site.storage("storage1").await;
    let id = DeliveryId::generate();
    for _ in 0..2 {
        let mut wire = node.lmtp().await;
        wire.send(&transaction(&format!(" XJUNK XDELIVERYID={id}"), &["ana", "beto"], MESSAGE)).await;
        for _ in 0..5 {
            wire.expect("250 ").await;
        }
    }
    for name in ["ana", "beto"] {
        assert_eq!(node.messages(name).await.len(), 0, "nothing in INBOX");
        assert_eq!(node.held(name, "Junk").await, 1);
    }
    node.stop().await;
}

#[tokio::test]
async fn binary_messages_are_stored_octet_for_octet() {
    let site = Site::start().await;
    let node = site.storage("storage1").await;
    let mut wire = node.lmtp().await;
    let message = "Subject: binario\r\nContent-Transfer-Encoding: binary\r\n\r\na\0b\rc\nd";
    wire.send(&transaction(" BODY=BINARYMIME", &["ana"], message)).await;
    for _ in 0..3 {
        wire.expect("250 ").await;
    }
    assert_eq!(node.held("ana", "INBOX").await, 1);
    node.stop().await;
}

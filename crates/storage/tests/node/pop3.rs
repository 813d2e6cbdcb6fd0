use crate::site::{Site, external};
use crate::wire::Wire;

const TRACE: &str = "Return-Path: <remitente@otro.test>\r\n";

/// A node where `ana` has three messages.
async fn three_messages(site: &Site) -> crate::site::Running {
    let node = site.storage("storage1").await;
    for number in 1..=3 {
        node.deliver("ana", &format!("Subject: {number}\r\n\r\nuno\r\n.dos\r\ntres\r\n")).await;
    }
    node
}

#[tokio::test]
async fn the_transaction_state_answers_as_rfc_1939_says() {
    let site = Site::start().await;
    let node = three_messages(&site).await;
    let size = TRACE.len() + "Subject: 1\r\n\r\nuno\r\n.dos\r\ntres\r\n".len();
    let mut wire = node.pop3("ana").await;
    wire.send("STAT\r\nLIST\r\nLIST 2\r\nLIST 4\r\nNOOP\r\n").await;
    assert_eq!(wire.line().await, format!("+OK 3 {}", 3 * size));
    wire.expect("+OK 3 messages").await;
    assert_eq!(wire.multi_line().await, format!("1 {size}\r\n2 {size}\r\n3 {size}\r\n"));
    assert_eq!(wire.line().await, format!("+OK 2 {size}"));
    wire.expect("-ERR ").await;
    wire.expect("+OK").await;
    wire.send("TOP 1 0\r\nTOP 1 2\r\nRETR 3\r\n").await;
    wire.expect("+OK").await;
    assert_eq!(wire.multi_line().await, format!("{TRACE}Subject: 1\r\n\r\n"));
    wire.expect("+OK").await;
    assert_eq!(wire.multi_line().await, format!("{TRACE}Subject: 1\r\n\r\nuno\r\n.dos\r\n"));
    wire.expect(&format!("+OK {size} octets")).await;
    assert_eq!(wire.multi_line().await, format!("{TRACE}Subject: 3\r\n\r\nuno\r\n.dos\r\ntres\r\n"));
    wire.send("XTND\r\nUSER ana\r\nCAPA\r\n").await;
    wire.expect("-ERR ").await;
    wire.expect("-ERR ").await;
    wire.expect("+OK").await;
    let capabilities = wire.multi_line().await;
    for capability in ["TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE"] {
        assert!(capabilities.lines().any(|line| line == capability), "{capability}");
    }
    assert!(!capabilities.contains("SASL") && !capabilities.contains("STLS"));
    drop(wire);
    node.stop().await;
}

#[tokio::test]
async fn marks_are_taken_back_by_rset_and_carried_out_by_quit_alone() {
    let site = Site::start().await;
    let node = three_messages(&site).await;
    let mut wire = node.pop3("ana").await;
    wire.send("DELE 1\r\nDELE 1\r\nRETR 1\r\nSTAT\r\nRSET\r\nSTAT\r\nDELE 2\r\n").await;
    wire.expect("+OK").await;
    wire.expect("-ERR").await;
    wire.expect("-ERR").await;
    wire.expect("+OK 2 ").await;
    wire.expect("+OK").await;
    wire.expect("+OK 3 ").await;
    wire.expect("+OK").await;
    // RFC 1939 §3: a connection that is lost removes nothing.
    drop(wire);
    let mut wire = node.pop3("ana").await;
    wire.send("STAT\r\nDELE 2\r\nQUIT\r\n").await;
    wire.expect("+OK 3 ").await;
    wire.expect("+OK").await;
    wire.expect("+OK").await;
    assert!(wire.is_closed().await);
    let left: Vec<bool> =
        node.messages("ana").await.iter().map(|message| message.contains("Subject: 2")).collect();
    assert_eq!(left, [false, false]);
    node.stop().await;
    let node = site.storage("storage1").await;
    assert_eq!(node.messages("ana").await.len(), 2);
    node.stop().await;
}

#[tokio::test]
async fn unique_ids_stay_and_are_never_given_again() {
    let site = Site::start().await;
    let node = three_messages(&site).await;
    let ids = |text: String| {
        text.lines().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut wire = node.pop3("ana").await;
    wire.send("UIDL\r\nUIDL 3\r\nDELE 3\r\nUIDL 3\r\nQUIT\r\n").await;
    wire.expect("+OK").await;
    let before = ids(wire.multi_line().await);
    assert!(before.len() == 3 && before.iter().all(|id| (1..=70).contains(&id.len())));
    assert_eq!(wire.line().await, format!("+OK 3 {}", before[2]));
    wire.expect("+OK").await;
    wire.expect("-ERR").await;
    wire.expect("+OK").await;
    node.stop().await;

    let node = site.storage("storage1").await;
    node.deliver("ana", "Subject: 4\r\n\r\n").await;
    let mut wire = node.pop3("ana").await;
    wire.send("UIDL\r\n").await;
    wire.expect("+OK").await;
    let after = ids(wire.multi_line().await);
    assert_eq!(after[..2], before[..2]);
    assert!(!before.contains(&after[2]));
    drop(wire);
    node.stop().await;
}

#[tokio::test]
async fn a_session_sees_the_maildrop_as_it_was_at_log_in() {
    let site = Site::start().await;
    let node = three_messages(&site).await;
    let mut wire = node.pop3("ana").await;
    let mut other = node.pop3("ana").await;
    other.send("DELE 1\r\nQUIT\r\n").await;
    other.expect("+OK").await;
    other.expect("+OK").await;
    node.deliver("ana", "Subject: 4\r\n\r\n").await;
    wire.send("STAT\r\nRETR 1\r\nDELE 1\r\nRETR 2\r\n").await;
    wire.expect("+OK 3 ").await;
    wire.expect("-ERR ").await;
    wire.expect("+OK").await;
    wire.expect("+OK").await;
    assert!(wire.multi_line().await.contains("Subject: 2"));
    wire.send("QUIT\r\n").await;
    wire.expect("+OK").await;
    assert_eq!(node.messages("ana").await.len(), 3);
    node.stop().await;
}

#[tokio::test]
async fn only_external_opens_a_maildrop_and_only_for_accounts_that_may() {
    let site = Site::start().await;
    let node = site.storage("storage1").await;
    let mut wire = Wire::connect(node.address("pop3")).await;
    wire.expect("+OK ").await;
    wire.send("CAPA\r\nUSER ana\r\nAUTH PLAIN AGFuYQBhbmE=\r\nSTAT\r\n").await;
    wire.expect("+OK").await;
    assert!(wire.multi_line().await.contains("SASL EXTERNAL\r\n"));
    for _ in 0..3 {
        wire.expect("-ERR").await;
    }
    for (name, code) in [("nadie", "[AUTH]"), ("suspendido", "[AUTH]"), ("carla", "[SYS/TEMP]")] {
        wire.send(&external(name)).await;
        wire.expect(&format!("-ERR {code} ")).await;
    }
    wire.send("AUTH EXTERNAL\r\n").await;
    wire.expect("+ ").await;
    wire.send("YW5hQGVqZW1wbG8udGVzdA==\r\n").await;
    wire.expect("+OK maildrop has 0 messages (0 octets)").await;
    drop(wire);
    node.stop().await;
}

#[tokio::test]
async fn a_session_that_waits_is_told_when_the_node_ends_and_removes_nothing() {
    let site = Site::start().await;
    let node = three_messages(&site).await;
    let mut wire = node.pop3("ana").await;
    wire.send("DELE 1\r\n").await;
    wire.expect("+OK").await;
    node.stop().await;
    wire.expect("-ERR [SYS/TEMP] ").await;
    assert!(wire.is_closed().await);
    let node = site.storage("storage1").await;
    assert_eq!(node.messages("ana").await.len(), 3);
    node.stop().await;
}

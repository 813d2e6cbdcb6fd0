//! The ways that a message takes when everything works.

use super::{Client, FakeNode, Site, address, quick, record};
use crate::Config;
use chasqui_base::{
    ByteSize, Span, pki,
    tls::{PublicTlsFiles, Role, RoleTls},
};
use chasqui_directory::Target;
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn a_message_reaches_its_account_under_the_id_that_the_sender_is_told() {
    let (site, node) = (Site::start(quick()), FakeNode::start("one").await);
    site.add("ana", &node);
    let reply = site.send(&["ana"], "Subject: x\r\n\r\n..dot\r\n").await;
    let id = node.ids()[0].to_string();
    assert_eq!(reply, format!("250 2.0.0 {id} stored"));
    let inbox = node.inbox("ana");
    let (trace, rest) = inbox[0].split_once("Subject:").unwrap();
    assert_eq!(rest, " x\r\n\r\n.dot\r\n");
    assert!(
        trace.starts_with(
            "Received: from client.example ([127.0.0.1])\r\n\tby mx.ejemplo.test with ESMTP id "
        )
    );
    assert!(trace.contains(&id) && trace.contains("for <ana@ejemplo.test>;"), "{trace}");
    // The sender's spelling is kept: bounce addresses are case-sensitive.
    assert_eq!(node.state.lock().unwrap().senders, ["Sender@example.org"]);
    let metrics = site.metrics();
    assert!(metrics.contains("chasqui_mx_messages_total{outcome=\"delivered\"} 1"), "{metrics}");
    assert!(metrics.contains("chasqui_mx_deliveries_total{node=\"one\",outcome=\"stored\"} 1"), "{metrics}");
}

#[tokio::test]
async fn connections_to_nodes_are_kept_and_used_again() {
    let (site, node) = (Site::start(quick()), FakeNode::start("one").await);
    site.add("ana", &node);
    let mut client = site.client().await;
    for _ in 0..5 {
        assert!(client.send(&["ana"], "x\r\n").await.starts_with("250"));
    }
    assert_eq!((node.inbox("ana").len(), node.state.lock().unwrap().connections), (5, 1));
}

#[tokio::test]
async fn recipients_on_two_nodes_are_delivered_and_no_account_gets_two_copies() {
    let site = Site::start(quick());
    let (one, two) = (FakeNode::start("one").await, FakeNode::start("two").await);
    site.add("ana", &one);
    site.add("beto", &two);
    site.know("all", vec![Target::Account(record("ana", &one)), Target::Account(record("beto", &two))]);
    let reply = site.send(&["ana", "all", "beto", "ana"], "x\r\n").await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    assert_eq!((one.inbox("ana").len(), two.inbox("beto").len()), (1, 1));
    assert_eq!(one.ids(), two.ids());
    // With several recipients none of them is named.
    assert!(!one.inbox("ana")[0].contains("for <"));
}

#[tokio::test]
async fn a_command_that_comes_octet_by_octet_gets_no_more_time() {
    let mut config = quick();
    config.limits.command_timeout = Span::millis(300);
    let site = Site::start(config);
    let mut client = site.client().await;
    let mut octets = 0;
    let reply = loop {
        client.write("x").await;
        octets += 1;
        assert!(octets < 50, "no end");
        if let Ok(reply) = tokio::time::timeout(Duration::from_millis(50), client.reply()).await {
            break reply;
        }
    };
    assert!(reply.starts_with("421 4.4.2"), "{reply}");
}

#[tokio::test]
async fn the_time_for_a_message_passes_between_its_chunks_too() {
    let mut config = quick();
    config.limits.message_timeout = Span::millis(200);
    let (site, node) = (Site::start(config), FakeNode::start("one").await);
    site.add("ana", &node);
    let mut client = site.client().await;
    client.write("MAIL FROM:<>\r\nRCPT TO:<ana@ejemplo.test>\r\nBDAT 3\r\nx\r\n").await;
    for expected in ["250", "250", "250", "421 4.4.2", ""] {
        assert!(client.reply().await.starts_with(expected));
    }
    assert!(node.inbox("ana").is_empty());
}

#[tokio::test]
async fn a_big_message_passes_through_a_file_unchanged() {
    let mut config = quick();
    config.limits.memory = ByteSize(4096);
    let (site, node) = (Site::start(config), FakeNode::start("one").await);
    site.add("ana", &node);
    let text: String = (0..40_000).map(|n| format!("line {n}\r\n")).collect();
    let mut client = site.client().await;
    assert!(client.say(&format!("MAIL FROM:<> SIZE={}", text.len())).await.starts_with("250"));
    assert!(client.say("RCPT TO:<ana@ejemplo.test>").await.starts_with("250"));
    client.write(&format!("BDAT {}\r\n", text.len() / 2)).await;
    client.write(&text[..text.len() / 2]).await;
    assert!(client.reply().await.starts_with("250"));
    assert!(!site.spooled("tmp", "eml").is_empty(), "it should have left memory");
    client.write(&format!("BDAT {} LAST\r\n", text.len() - text.len() / 2)).await;
    client.write(&text[text.len() / 2..]).await;
    assert!(client.reply().await.starts_with("250"));
    assert!(node.inbox("ana")[0].ends_with(&format!("+0000\r\n{text}")));
    assert!(site.spooled("tmp", "eml").is_empty());
}

#[tokio::test]
async fn many_recipients_of_one_node_go_in_several_transactions() {
    let (site, node) = (Site::start(quick()), FakeNode::start("one").await);
    let targets = (0..1200).map(|n| Target::Account(record(&format!("user{n}"), &node))).collect();
    site.know("everybody", targets);
    assert!(site.send(&["everybody"], "x\r\n").await.starts_with("250"));
    assert_eq!((node.ids().len(), node.state.lock().unwrap().senders.len()), (1200, 3));
}

#[tokio::test]
async fn a_pipelined_session_is_answered_in_order() {
    let (site, node) = (Site::start(quick()), FakeNode::start("one").await);
    site.add("ana", &node);
    let mut client = site.client().await;
    client
        .write("MAIL FROM:<>\r\nRCPT TO:<no@ejemplo.test>\r\nRCPT TO:<ana@ejemplo.test>\r\nDATA\r\nx\r\n.\r\nNOOP\r\nQUIT\r\n")
        .await;
    let mut codes = Vec::new();
    for _ in 0..7 {
        codes.push(client.reply().await[..3].to_owned());
    }
    assert_eq!(codes, ["250", "550", "250", "354", "250", "250", "221"]);
    assert_eq!(client.reply().await, "");
}

#[tokio::test]
async fn nodes_are_reached_over_mutual_tls() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let authority = pki::create_ca(folder.path(), "test").unwrap();
    let issue = |name: &str, role| {
        let files = authority.issue(folder.path(), name, &[role], &["localhost", "127.0.0.1"]).unwrap();
        RoleTls::load(&files).unwrap()
    };
    let node = FakeNode::start_with("one", Some(issue("storage", Role::Storage))).await;
    let impostor = FakeNode::start_with("two", Some(issue("proxy", Role::Proxy))).await;
    let site = Site::start_in(quick(), folder.clone(), Arc::default(), Some(issue("mx", Role::Mx)));
    site.add("ana", &node);
    site.add("beto", &impostor);
    assert!(site.send(&["ana"], "x\r\n").await.contains("stored"));
    assert!(site.send(&["ana"], &"y\r\n".repeat(100_000)).await.contains("stored"));
    assert_eq!(node.inbox("ana").len(), 2);
    // A certificate of the site that is no storage node's gets no mail.
    assert!(site.send(&["beto"], "x\r\n").await.contains("accepted"));
    assert!(impostor.inbox("beto").is_empty());
}

#[tokio::test]
async fn starttls_drops_what_was_slipped_in_before_it() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let authority = pki::create_ca(folder.path(), "test").unwrap();
    let files = authority.issue(folder.path(), "mx", &[Role::Mx], &["localhost"]).unwrap();
    let config = Config {
        public_tls: Some(PublicTlsFiles { certificate: files.certificate.clone(), key: files.key.clone() }),
        ..quick()
    };
    let (site, node) = (Site::start_in(config, folder, Arc::default(), None), FakeNode::start("one").await);
    site.add("ana", &node);
    let mut client = site.client().await;
    client.write("STARTTLS\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<ana@ejemplo.test>\r\n").await;
    assert!(client.reply().await.starts_with("220 2.0.0"));
    let tls = RoleTls::load(&files).unwrap();
    let mut client = Client {
        stream: tls.connect(client.stream, "localhost", Role::Mx).await.unwrap(),
        input: Vec::new(),
    };
    assert!(client.say("RCPT TO:<ana@ejemplo.test>").await.starts_with("503"));
    assert!(!client.say("EHLO secure.example").await.contains("STARTTLS"));
    assert!(client.send(&["ana"], "x\r\n").await.contains("stored"));
    let inbox = node.inbox("ana");
    assert!(
        inbox[0].contains("from secure.example") && inbox[0].contains("with ESMTPS (TLSv1_3 "),
        "{inbox:?}"
    );
}

#[tokio::test]
async fn an_alias_of_ascii_may_stand_for_an_account_that_is_not() {
    let (site, node) = (Site::start(quick()), FakeNode::start("one").await);
    site.know("nandu", vec![Target::Account(record("ñandú", &node))]);
    assert!(site.send(&["nandu"], "x\r\n").await.contains("stored"));
    assert_eq!(node.inbox("ñandú").len(), 1);
}

#[tokio::test]
async fn stopping_ends_idle_sessions_and_finishes_open_transactions() {
    let (site, node) = (Site::start(quick()), FakeNode::start("one").await);
    site.add("ana", &node);
    let (mut idle, mut busy) = (site.client().await, site.client().await);
    for command in ["MAIL FROM:<>", "RCPT TO:<ana@ejemplo.test>", "DATA"] {
        assert!(busy.say(command).await.starts_with(['2', '3']));
    }
    busy.write("half").await;
    let stopping = tokio::spawn(site.stop());
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    assert_eq!(idle.reply().await, "");
    assert!(busy.say("\r\n.").await.starts_with("250"));
    assert!(busy.reply().await.starts_with("421"));
    stopping.await.unwrap();
    assert_eq!(node.inbox("ana").len(), 1);
}

#[tokio::test]
async fn silence_is_answered_with_421() {
    let mut config = quick();
    config.limits.command_timeout = Span::millis(50);
    config.limits.data_timeout = Span::millis(50);
    let (site, node) = (Site::start(config), FakeNode::start("one").await);
    site.add("ana", &node);
    let mut client = site.client().await;
    assert!(client.reply().await.starts_with("421 4.4.2"));
    let mut client: Client = site.client().await;
    client.write("MAIL FROM:<>\r\nRCPT TO:<ana@ejemplo.test>\r\nDATA\r\nhalf").await;
    for expected in ["250", "250", "354", "421 4.4.2", ""] {
        assert!(client.reply().await.starts_with(expected));
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(node.inbox("ana").is_empty());
    assert_eq!(address("ana").as_str(), "ana@ejemplo.test");
}

//! What senders are told.

use super::{FakeNode, Site, quick, record};
use crate::tests::node::Fault;
use chasqui_base::{ByteSize, RoleService as _};
use chasqui_directory::{AccountState, Target};
use chasqui_smtp::Reply;

#[tokio::test]
async fn each_recipient_is_validated_while_the_sender_waits() {
    let (site, node) = (Site::start(quick()), FakeNode::start("one").await);
    let account = |name| record(name, &node);
    let full = chasqui_directory::AccountRecord { over_quota: true, ..account("full") };
    let closed = chasqui_directory::AccountRecord { state: AccountState::Closed, ..account("closed") };
    let suspended =
        chasqui_directory::AccountRecord { state: AccountState::Suspended, ..account("suspended") };
    let foreign = Target::Remote("x@other.example".parse().unwrap());
    site.add("ana", &node);
    site.know("full", vec![Target::Account(full.clone())]);
    site.know("closed", vec![Target::Account(closed.clone())]);
    site.know("suspended", vec![Target::Account(suspended)]);
    site.know("forward", vec![foreign.clone()]);
    site.know("partly", vec![Target::Account(account("ana")), foreign]);
    site.know("group", vec![Target::Account(closed), Target::Account(full), Target::Account(account("ana"))]);
    let mut client = site.client().await;
    client.say("MAIL FROM:<>").await;
    for (recipient, expected) in [
        ("nobody@ejemplo.test", "550 5.1.1"),
        ("x@other.example", "550 5.7.1"),
        ("x@[127.0.0.1]", "550 5.7.1"),
        ("forward@ejemplo.test", "550 5.7.1"),
        ("partly@ejemplo.test", "550 5.7.1"),
        ("full@ejemplo.test", "452 4.2.2"),
        ("closed@ejemplo.test", "550 5.2.1"),
        ("suspended@ejemplo.test", "250 2.1.5"),
        ("group@ejemplo.test", "250 2.1.5"),
        ("ANA@Ejemplo.TEST", "250 2.1.5"),
    ] {
        let reply = client.say(&format!("RCPT TO:<{recipient}>")).await;
        assert!(reply.starts_with(expected), "{recipient}: {reply}");
    }
    site.table.lock().unwrap().silent = true;
    assert!(client.say("RCPT TO:<ana@ejemplo.test>").await.starts_with("451 4.4.3"));
    let metrics = site.metrics();
    assert!(metrics.contains("chasqui_mx_recipients_total{outcome=\"no_directory\"} 1"), "{metrics}");
}

#[tokio::test]
async fn postmaster_is_always_at_home() {
    let (site, node) = (
        Site::start(crate::Config { postmaster: "ana@ejemplo.test".parse().ok(), ..quick() }),
        FakeNode::start("one").await,
    );
    site.add("ana", &node);
    let mut client = site.client().await;
    client.say("MAIL FROM:<>").await;
    assert!(client.say("RCPT TO:<Postmaster>").await.starts_with("250"));
    assert!(client.say("RCPT TO:<postmaster@ejemplo.test>").await.starts_with("250"));
    client.say("DATA").await;
    assert!(client.say(".").await.starts_with("250"));
    assert_eq!(node.inbox("ana").len(), 1);
}

#[tokio::test]
async fn the_only_answer_of_a_node_is_the_senders() {
    let (site, node) = (Site::start(quick()), FakeNode::start("one").await);
    site.add("ana", &node);
    let mut client = site.client().await;
    for (fault, expected) in [
        (Fault::Recipient("ana", Reply::fixed(550, (5, 1, 1), "gone")), "550 5.1.1 gone"),
        (Fault::Recipient("ana", Reply::fixed(452, (4, 2, 2), "full")), "452 4.2.2 full"),
        (Fault::Message(Reply::fixed(552, (5, 2, 3), "big")), "552 5.2.3 big"),
    ] {
        node.fault(fault);
        assert_eq!(client.send(&["ana"], "x\r\n").await, expected);
    }
    assert!(node.inbox("ana").is_empty() && site.spooled("queue", "json").is_empty());
}

#[tokio::test]
async fn a_message_that_loops_is_refused() {
    let mut config = quick();
    config.limits.received_lines = 3;
    let (site, node) = (Site::start(config), FakeNode::start("one").await);
    site.add("ana", &node);
    assert!(site.send(&["ana"], &"Received: x\r\n".repeat(3)).await.starts_with("250"));
    assert!(site.send(&["ana"], &"Received: x\r\n".repeat(4)).await.starts_with("554 5.4.6"));
}

#[tokio::test]
async fn limits_hold_and_change_by_reload() {
    let mut config = quick();
    config.limits.message_size = ByteSize(1000);
    config.limits.accounts = 2;
    let (site, node) = (Site::start(config.clone()), FakeNode::start("one").await);
    site.add("ana", &node);
    site.add("beto", &node);
    site.add("carla", &node);
    assert!(site.send(&["ana"], &"x\r\n".repeat(400)).await.starts_with("552 5.3.4"));
    assert!(site.send(&["ana", "beto", "carla"], "x\r\n").await.starts_with("452 4.5.3"));
    config.limits.message_size = ByteSize(10_000);
    site.service.reload(config.clone()).await.unwrap();
    assert!(site.send(&["ana"], &"x\r\n".repeat(400)).await.starts_with("250"));
    config.limits.recipients = 0;
    assert!(site.service.reload(config).await.is_err());
}

#[tokio::test]
async fn connections_of_one_address_are_limited() {
    let mut config = quick();
    config.limits.connections_per_address = 2;
    let site = Site::start(config);
    let (_one, _two) = (site.client().await, site.client().await);
    assert!(site.connect().await.reply().await.starts_with("421"));
}

#[test]
fn the_example_configuration_is_complete() {
    let text = chasqui_base::config::example::<crate::Config>("mx");
    let config: crate::Config = chasqui_base::config::parse(&text, "example").unwrap();
    assert_eq!(config.limits.message_size, ByteSize(50_000_000));
    assert!(text.contains("when_unavailable = \"spool\""), "{text}");
}

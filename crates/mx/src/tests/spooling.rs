//! Nodes that are away, and messages that wait for them.

use super::{FakeNode, Site, address, eventually, node::Fault, quick, record};
use chasqui_base::Span;
use chasqui_directory::{LookUp, Target};
use chasqui_smtp::Reply;
use std::sync::Arc;

#[tokio::test]
async fn a_message_waits_for_a_node_that_is_away_and_arrives_once() {
    let (site, mut node) = (Site::start(quick()), FakeNode::start("one").await);
    site.add("ana", &node);
    node.down().await;
    let reply = site.send(&["ana"], "hello\r\n").await;
    assert!(reply.starts_with("250 2.0.0") && reply.ends_with("accepted"), "{reply}");
    assert_eq!((site.spooled("queue", "json").len(), site.spooled("queue", "eml").len()), (1, 1));
    assert!(site.metrics().contains("chasqui_mx_spool_entries 1"));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    node.up();
    eventually("it is delivered", || node.inbox("ana").len() == 1).await;
    assert!(reply.contains(&node.ids()[0].to_string()));
    eventually("the spool is empty", || site.spooled("queue", "eml").is_empty()).await;
    eventually("the index too", || site.metrics().contains("chasqui_mx_spool_entries 0")).await;
    assert_eq!(node.state.lock().unwrap().duplicates, 0);
}

#[tokio::test]
async fn messages_that_wait_survive_a_restart_of_the_exchanger() {
    let (site, mut node) = (Site::start(quick()), FakeNode::start("one").await);
    site.add("ana", &node);
    node.down().await;
    for _ in 0..5 {
        assert!(site.send(&["ana"], "hello\r\n").await.starts_with("250"));
    }
    let (folder, table) = site.stop().await;
    node.up();
    let site = Site::start_in(quick(), folder, table, None);
    eventually("all are delivered", || node.inbox("ana").len() == 5).await;
    eventually("the spool is empty", || site.spooled("queue", "eml").is_empty()).await;
}

#[tokio::test]
async fn in_the_mode_refuse_the_sender_keeps_what_cannot_be_delivered() {
    let (site, one) = (Site::refusing(), FakeNode::start("one").await);
    let two = FakeNode::start("two").await;
    site.add("ana", &one);
    site.add("beto", &two);
    assert!(site.send(&["ana", "beto"], "x\r\n").await.starts_with("452 4.5.3"));
    one.down().await;
    assert!(site.send(&["ana"], "x\r\n").await.starts_with("451 4.4.1"));
    assert!(site.spooled("queue", "json").is_empty());
}

#[tokio::test]
async fn an_idle_connection_that_died_is_replaced_unnoticed() {
    let (site, mut node) = (Site::refusing(), FakeNode::start("one").await);
    site.add("ana", &node);
    assert!(site.send(&["ana"], "x\r\n").await.contains("stored"));
    node.down().await;
    node.up();
    assert!(site.send(&["ana"], "x\r\n").await.contains("stored"));
    assert_eq!((node.inbox("ana").len(), node.state.lock().unwrap().duplicates), (2, 0));
}

#[tokio::test]
async fn a_lost_reply_makes_no_second_copy_in_either_mode() {
    for site in [Site::start(quick()), Site::refusing()] {
        let node = FakeNode::start("one").await;
        site.add("ana", &node);
        for fault in [Fault::CloseAfter, Fault::CloseBefore, Fault::CloseFirst] {
            node.fault(fault);
            assert!(site.send(&["ana"], "x\r\n").await.starts_with("250"));
        }
        eventually("all are there", || node.inbox("ana").len() == 3).await;
        eventually("the spool is empty", || site.spooled("queue", "eml").is_empty()).await;
        assert_eq!(node.inbox("ana").len(), 3);
        assert!(site.send(&["ana"], "x\r\n").await.contains("stored"), "the node is trusted again");
    }
}

#[tokio::test]
async fn one_of_two_recipients_waits_while_the_other_has_its_copy() {
    for site in [Site::start(quick()), Site::refusing()] {
        let node = FakeNode::start("one").await;
        site.add("ana", &node);
        site.add("beto", &node);
        node.fault(Fault::Recipient("beto", Reply::fixed(452, (4, 2, 2), "full")));
        assert!(site.send(&["ana", "beto"], "x\r\n").await.starts_with("250"));
        eventually("both have it", || node.inbox("beto").len() == 1).await;
        assert_eq!((node.inbox("ana").len(), node.state.lock().unwrap().duplicates), (1, 0));
    }
}

#[tokio::test]
async fn a_recipient_refused_after_acceptance_is_kept_as_failed() {
    let (site, node) = (Site::start(quick()), FakeNode::start("one").await);
    site.add("ana", &node);
    site.add("beto", &node);
    node.fault(Fault::Recipient("beto", Reply::fixed(550, (5, 1, 1), "gone")));
    assert!(site.send(&["ana", "beto"], "text\r\n").await.starts_with("250"));
    let record = std::fs::read_to_string(&site.spooled("failed", "json")[0]).unwrap();
    assert!(
        record.contains("beto@ejemplo.test") && record.contains("550 5.1.1 gone") && !record.contains("ana@")
    );
    assert!(std::fs::read_to_string(&site.spooled("failed", "eml")[0]).unwrap().ends_with("text\r\n"));
    assert!(site.metrics().contains("chasqui_mx_spool_failed_total 1"));
    assert!(site.spooled("queue", "json").is_empty() && node.inbox("ana").len() == 1);
}

#[tokio::test]
async fn a_message_that_waited_too_long_is_given_up() {
    let mut config = quick();
    config.spool.max_age = Span::secs(0);
    let (site, node) = (Site::start(config), FakeNode::start("one").await);
    site.add("ana", &node);
    node.down().await;
    assert!(site.send(&["ana"], "x\r\n").await.starts_with("250"));
    eventually("it is in failed", || site.spooled("failed", "json").len() == 1).await;
    eventually("it left the queue", || site.spooled("queue", "eml").is_empty()).await;
    assert_eq!(site.spooled("failed", "eml").len(), 1);
}

#[tokio::test]
async fn an_account_that_moved_is_followed() {
    let (site, one) = (Site::start(quick()), FakeNode::start("one").await);
    let two = FakeNode::start("two").await;
    site.add("ana", &one);
    let moved = Fault::Recipient("ana", Reply::fixed(451, (4, 3, 5), "owner is now two"));
    one.state.lock().unwrap().always = Some(moved);
    let table = Arc::clone(&site.table);
    let new = LookUp::Found(vec![Target::Account(record("ana", &two))]);
    let learning = tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        table.lock().unwrap().known.insert(address("ana"), new);
    });
    assert!(site.send(&["ana"], "x\r\n").await.contains("stored"));
    learning.await.unwrap();
    assert_eq!((one.inbox("ana").len(), two.inbox("ana").len()), (0, 1));
    // While the directory knows no other owner the message waits.
    site.add("ana", &one);
    assert!(site.send(&["ana"], "x\r\n").await.contains("accepted"));
    site.know("ana", vec![Target::Account(record("ana", &two))]);
    eventually("it arrives", || two.inbox("ana").len() == 2).await;
}

#[tokio::test]
async fn an_account_that_was_removed_meanwhile_fails() {
    let (site, mut node) = (Site::start(quick()), FakeNode::start("one").await);
    site.add("ana", &node);
    node.down().await;
    assert!(site.send(&["ana"], "x\r\n").await.starts_with("250"));
    site.table.lock().unwrap().known.clear();
    node.up();
    eventually("it is in failed", || site.spooled("failed", "json").len() == 1).await;
    assert!(node.inbox("ana").is_empty());
}

#[tokio::test]
async fn a_full_spool_refuses_and_keeps_what_is_there() {
    let mut config = quick();
    config.spool.entries = 1;
    let (site, mut node) = (Site::start(config), FakeNode::start("one").await);
    site.add("ana", &node);
    node.down().await;
    assert!(site.send(&["ana"], "x\r\n").await.starts_with("250"));
    assert!(site.send(&["ana"], "x\r\n").await.starts_with("452 4.3.1"));
    node.up();
    eventually("the first arrives", || node.inbox("ana").len() == 1).await;
    eventually("there is room", || site.spooled("queue", "eml").is_empty()).await;
    assert!(site.send(&["ana"], "x\r\n").await.starts_with("250"));
}

#[tokio::test]
async fn a_node_that_is_away_is_not_hammered() {
    let mut config = quick();
    config.delivery.back_off = Span::secs(60);
    config.delivery.longest_back_off = Span::secs(60);
    let (site, node) = (Site::start(config), FakeNode::start("one").await);
    site.add("ana", &node);
    node.down().await;
    for _ in 0..20 {
        assert!(site.send(&["ana"], "x\r\n").await.starts_with("250"));
    }
    let metrics = site.metrics();
    assert!(metrics.contains("chasqui_mx_node_failures_total{node=\"one\"} 1"), "{metrics}");
}

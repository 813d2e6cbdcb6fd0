use std::process::Command;
use std::time::{Duration, Instant};

use chasqui_base::Span;
use chasqui_directory::admin::UserChange;
use chasqui_directory::{LookUp, Target};

use crate::site::{Running, Site, address, transaction};

async fn over_quota(node: &Running, account: &str) -> bool {
    match node.service.node().directory.look_up(&address(account)).await {
        Ok(LookUp::Found(targets)) => matches!(&targets[..], [Target::Account(record)] if record.over_quota),
        other => panic!("{other:?}"),
    }
}

async fn eventually(node: &Running, account: &str, over: bool) {
    let began = Instant::now();
    while over_quota(node, account).await != over {
        assert!(began.elapsed() < Duration::from_secs(10), "over_quota never became {over}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_full_mailbox_is_refused_reported_and_taken_back_when_it_has_room() {
    let site = Site::start().await;
    let change = UserChange { quota: Some(Some(30_000)), ..UserChange::default() };
    site.database.set_user(&address("ana"), &change).await.unwrap();
    let mut config = site.config("storage1");
    config.timeouts.over_quota_report = Span::millis(200);
    let node = Running::start(config).await;
    // The directory takes the change up within a second.
    tokio::time::sleep(Duration::from_millis(700)).await;
    node.deliver("ana", &"x".repeat(20_000)).await;
    assert!(!over_quota(&node, "ana").await);
    let mut wire = node.lmtp().await;
    wire.send(&transaction("", &["ana", "beto"], &"x".repeat(20_000))).await;
    for _ in 0..3 {
        wire.expect("250 ").await;
    }
    wire.expect("452 4.2.2 ").await;
    wire.expect("250 2.0.0 ").await;
    eventually(&node, "ana", true).await;

    let mut pop3 = node.pop3("ana").await;
    pop3.send("DELE 1\r\nQUIT\r\n").await;
    pop3.expect("+OK").await;
    pop3.expect("+OK").await;
    eventually(&node, "ana", false).await;
    node.deliver("ana", &"x".repeat(20_000)).await;
    drop((wire, pop3));
    node.stop().await;
}

#[tokio::test]
async fn a_full_disk_is_a_temporary_failure_and_keeps_what_is_there() {
    let site = Site::start().await;
    let root = site.dir.path().join("small");
    std::fs::create_dir(&root).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "none"]).arg(&root).status();
    if !mounted.is_ok_and(|status| status.success()) {
        // Only root can mount; tests/faults fills a disk in any case.
        return;
    }
    let _mount = Mount(root.clone());
    let node = Running::start(site.config_with_root("storage1", &root)).await;
    let message = "x".repeat(400_000);
    let mut wire = node.lmtp().await;
    let mut stored = 0;
    loop {
        wire.send(&transaction("", &["ana"], &message)).await;
        wire.expect("250 ").await;
        wire.expect("250 ").await;
        let reply = wire.line().await;
        if !reply.starts_with("250 ") {
            assert!(reply.starts_with("452 4.3.1 "), "{reply}");
            break;
        }
        stored += 1;
        assert!(stored < 10, "2 MiB cannot hold this");
    }
    assert!(stored > 0);
    assert_eq!(node.messages("ana").await.len(), stored);
    // Room again: the same connection goes on.
    let mut pop3 = node.pop3("ana").await;
    pop3.send("DELE 1\r\nDELE 2\r\nQUIT\r\n").await;
    for _ in 0..3 {
        pop3.expect("+OK").await;
    }
    wire.send(&transaction("", &["ana"], &message)).await;
    for _ in 0..3 {
        wire.expect("250 ").await;
    }
    assert_eq!(node.messages("ana").await.len(), stored - 1);
    drop((wire, pop3));
    node.stop().await;
}

struct Mount(std::path::PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

//! What an idle logged-in session costs. Alone in its process, since it measures the process.

#[path = "../node/site.rs"]
#[allow(dead_code, reason = "shared with tests/node")]
mod site;
#[path = "../node/wire.rs"]
#[allow(dead_code, reason = "shared with tests/node")]
mod wire;

use site::{Running, Site};
use wire::Wire;

/// Few enough for the usual limit of 1024 descriptors, two a session.
const SESSIONS: usize = 400;

#[tokio::test]
async fn an_idle_pop3_session_costs_at_most_24_kib() {
    let site = Site::start().await;
    let node = site.storage("storage1").await;
    for number in 0..50 {
        node.deliver("ana", &format!("Subject: {number}\r\n\r\nhola\r\n")).await;
    }
    // What is allocated once is allocated now.
    let warm = open(&node, 20).await;
    let before = resident();
    let sessions = open(&node, SESSIONS).await;
    let each = resident().saturating_sub(before) / SESSIONS;
    // This end of the connection is counted too.
    assert!(each <= 24 * 1024, "{each} octets a session");
    drop((warm, sessions));
    node.stop().await;
}

async fn open(node: &Running, count: usize) -> Vec<Wire> {
    let mut sessions = Vec::with_capacity(count);
    for _ in 0..count {
        let mut wire = node.pop3("ana").await;
        wire.send("STAT\r\nUIDL\r\nRETR 1\r\n").await;
        wire.expect("+OK 50 ").await;
        wire.expect("+OK").await;
        wire.multi_line().await;
        wire.expect("+OK").await;
        wire.multi_line().await;
        sessions.push(wire);
    }
    sessions
}

/// Resident memory of this process in octets.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

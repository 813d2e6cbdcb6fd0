//! IMAP at a storage node with a real directory: who may log in, and what a session costs while it is idle.

#[path = "../node/site.rs"]
#[allow(dead_code, reason = "shared with tests/node")]
mod site;
#[path = "../node/wire.rs"]
#[allow(dead_code, reason = "shared with tests/node")]
mod wire;

use chasqui_imap::client::authenticate_external;
use site::{Running, Site, address};
use tokio::sync::Mutex;
use wire::Wire;

/// One test at a time: one of them measures the process.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Few enough for the usual limit of 1024 descriptors, two a session.
const SESSIONS: usize = 400;

#[tokio::test]
async fn an_idle_imap_session_costs_at_most_24_kib() {
    let _alone = ALONE.lock().await;
    let site = Site::start().await;
    let node = site.storage("storage1").await;
    for number in 0..50 {
        node.deliver("ana", &format!("Subject: {number}\r\n\r\nhola\r\n")).await;
    }
    for idle in [false, true] {
        // What is allocated once is allocated now.
        let warm = open(&node, 20, idle).await;
        let before = resident();
        let sessions = open(&node, SESSIONS, idle).await;
        let each = resident().saturating_sub(before) / SESSIONS;
        println!("{each} octets a session, IDLE: {idle}");
        // This end of the connection is counted too.
        assert!(each <= 24 * 1024, "{each} octets a session, IDLE: {idle}");
        drop((warm, sessions));
    }
    node.stop().await;
}

#[tokio::test]
async fn only_the_owner_of_an_active_account_opens_it_by_external() {
    let _alone = ALONE.lock().await;
    let site = Site::start().await;
    let node = site.storage("storage1").await;
    let mut wire = Wire::connect(node.address("imap")).await;
    wire.expect("* OK [CAPABILITY IMAP4rev1 ").await;
    wire.send("a CAPABILITY\r\nb ID NIL\r\nc NOOP\r\nd SELECT INBOX\r\ne LOGIN ana secret\r\n").await;
    for start in
        ["* CAPABILITY IMAP4rev1", "a OK", "* ID (", "b OK", "c OK", "d BAD Log in first", "e NO [CANNOT]"]
    {
        wire.expect(start).await;
    }
    for (name, code) in [
        ("carla", "NO [UNAVAILABLE] The mailbox is at storage2"),
        ("nadie", "NO [AUTHORIZATIONFAILED]"),
        ("suspendido", "NO [AUTHORIZATIONFAILED]"),
        ("cerrado", "NO [AUTHORIZATIONFAILED]"),
    ] {
        wire.send(&external(name)).await;
        wire.expect(&format!("x {code}")).await;
    }
    wire.send("f AUTHENTICATE EXTERNAL\r\n").await;
    wire.expect("+ ").await;
    wire.send("*\r\n").await;
    wire.expect("f BAD").await;
    let encoded = external("ana").rsplit(' ').next().unwrap_or_default().to_owned();
    wire.send("g AUTHENTICATE EXTERNAL\r\n").await;
    wire.expect("+ ").await;
    // What is sent ahead belongs to the session.
    wire.send(&format!("{encoded}h SELECT INBOX\r\n")).await;
    wire.expect("g OK [CAPABILITY IMAP4rev1 ").await;
    while !wire.line().await.starts_with("h OK [READ-WRITE]") {}
    wire.send("i LOGOUT\r\n").await;
    wire.expect("* BYE").await;
    wire.expect("i OK").await;
    assert!(wire.is_closed().await);
    node.stop().await;
}

#[tokio::test]
async fn who_fails_too_often_or_is_silent_is_sent_away() {
    let _alone = ALONE.lock().await;
    let site = Site::start().await;
    let mut config = site.config("storage1");
    config.timeouts.log_in = chasqui_base::Span::millis(300);
    let node = Running::start(config).await;
    let mut wire = Wire::connect(node.address("imap")).await;
    wire.expect("* OK").await;
    wire.expect("* BYE").await;
    assert!(wire.is_closed().await);
    let mut wire = Wire::connect(node.address("imap")).await;
    wire.expect("* OK").await;
    for _ in 0..10 {
        wire.send("a WHAT\r\n").await;
        wire.expect("a BAD").await;
    }
    wire.expect("* BYE").await;
    assert!(wire.is_closed().await);
    node.stop().await;
}

#[tokio::test]
async fn a_large_message_costs_no_memory_in_either_direction() {
    const SIZE: usize = 40 << 20;
    let _alone = ALONE.lock().await;
    let site = Site::start().await;
    let node = site.storage("storage1").await;
    let mut wire = Wire::connect(node.address("imap")).await;
    wire.expect("* OK").await;
    wire.send(&external("ana")).await;
    wire.expect("x OK").await;
    let before = resident();
    let line = "x".repeat(1022) + "\r\n";
    let part = line.repeat(64);
    wire.send(&format!("a APPEND INBOX {{{SIZE}+}}\r\n")).await;
    let mut most = 0;
    for _ in 0..SIZE / part.len() {
        wire.send(&part).await;
        most = most.max(resident());
    }
    wire.send("\r\nb SELECT INBOX\r\nc FETCH 1 BODY[]\r\n").await;
    wire.expect("a OK [APPENDUID").await;
    while !wire.line().await.starts_with("* 1 FETCH") {}
    let mut octets = 0;
    while octets < SIZE {
        octets += wire.line().await.len() + 2;
        if octets % (1 << 20) == 0 {
            most = most.max(resident());
        }
    }
    let cost = most.saturating_sub(before);
    assert!(cost < 12 << 20, "{cost} octets");
    node.stop().await;
}

/// Sessions of `ana` that have looked at her mail.
async fn open(node: &Running, count: usize, idle: bool) -> Vec<Wire> {
    let mut sessions = Vec::with_capacity(count);
    for _ in 0..count {
        let mut wire = Wire::connect(node.address("imap")).await;
        wire.expect("* OK").await;
        wire.send(&external("ana")).await;
        wire.expect("x OK").await;
        wire.send("a SELECT INBOX\r\nb FETCH 1:* (FLAGS BODY.PEEK[])\r\n").await;
        while !wire.line().await.starts_with("b OK") {}
        if idle {
            wire.send("c IDLE\r\n").await;
            wire.expect("+").await;
        }
        sessions.push(wire);
    }
    sessions
}

fn external(local: &str) -> String {
    String::from_utf8(authenticate_external("x", address(local).as_str())).unwrap()
}

/// Resident memory of this process in octets.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

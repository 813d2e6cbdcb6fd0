//! Bounds on what one message can cost.

use crate::fixture::{Mail, STRANGER, authenticator, ed25519, message, server, signed};
use chasqui_courier::Content;
use chasqui_filter::authentication::{Action, ArcResult, DkimResult, DmarcResult};
use std::io::Write as _;

macro_rules! server {
    () => {
        match server() {
            Some(server) => server,
            None => return,
        }
    };
}

/// Octets of memory that this process has had at most since [`forget_peak`].
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// proc(5), clear_refs.
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

#[tokio::test]
async fn fifty_megabytes_in_a_file_are_checked_without_being_held() {
    let server = server!();
    let checks = authenticator(&server, |_| {});
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("message");
    let line = format!("{}\r\n", "0123456789".repeat(7));
    let body = line.repeat(700_000);
    let whole = signed(ed25519(), "ed", "sender.test", &format!("{}{body}", message("a@sender.test")));
    let length = whole.len() as u64;
    assert!(length > 50_000_000);
    std::fs::write(&path, &whole).unwrap();
    drop((whole, body));
    let mail = Mail { ip: STRANGER, path: "", text: String::new() };
    // Whatever the server's cache and the first use of each part need.
    let small = Mail {
        ip: STRANGER,
        path: "",
        text: signed(ed25519(), "ed", "sender.test", &message("a@sender.test")),
    };
    small.verdict(&checks).await;
    forget_peak();
    let before = peak();
    let content = Content::Stored { path: path.clone(), offset: 0, length };
    let found = mail.verdict_of(&checks, &content).await;
    assert_eq!(found.dkim[0].result, DkimResult::Pass);
    let grown = peak() - before;
    println!("{grown} octets of memory for a message of {length}");
    assert!(grown < 8_000_000, "{grown}");

    // The last octet counts too.
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"x").unwrap();
    let content = Content::Stored { path, offset: 0, length: length + 1 };
    assert_eq!(mail.verdict_of(&checks, &content).await.dkim[0].result, DkimResult::Fail);
}

#[tokio::test]
async fn a_header_without_end_is_refused_unread() {
    let server = server!();
    let checks = authenticator(&server, |config| config.limits.header_size = chasqui_base::ByteSize(10_000));
    let long = |octets: usize| format!("X: {}\r\n{}", "x".repeat(octets), message("a@sender.test"));
    let found = Mail { ip: STRANGER, path: "", text: long(20_000) }.verdict(&checks).await;
    assert!(found.header_too_long);
    assert_eq!((found.dmarc.result, found.arc.result), (DmarcResult::PermError, ArcResult::Fail));
    let Action::Reject(reply) = &found.action else { panic!("{:?}", found.action) };
    assert_eq!(reply.to_string(), "552 5.3.4 Message header too long");
    assert!(!Mail { ip: STRANGER, path: "", text: long(5000) }.verdict(&checks).await.header_too_long);
}

#[tokio::test]
async fn of_many_signatures_the_authors_are_checked_first_and_no_more_than_the_limit() {
    let server = server!();
    let checks = authenticator(&server, |config| config.limits.signatures = 3);
    let own = signed(ed25519(), "ed", "sender.test", &message("a@sender.test"));
    let (signature, rest) = own.split_at(own.find("From:").unwrap());
    let foreign = signature.replace("d=sender.test", "d=lists.test");
    let text = format!("{}{signature}{rest}", foreign.repeat(20));
    let found = Mail { ip: STRANGER, path: "", text }.verdict(&checks).await;
    assert_eq!((found.dkim.len(), found.dmarc.result), (3, DmarcResult::Pass));
    assert_eq!(found.dkim.iter().filter(|dkim| dkim.domain == "sender.test").count(), 1);
}

#[tokio::test]
async fn a_header_of_thousands_of_fields_and_names_takes_no_time() {
    let server = server!();
    let checks = authenticator(&server, |_| {});
    let fields: String = (0..20_000).map(|n| format!("X-{}: y\r\n", n % 100)).collect();
    let names: Vec<String> = (0..20_000).map(|n| format!("X-{}", n % 200)).collect();
    let text = format!(
        "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed; d=sender.test; s=ed; h=from:{}; bh=AAAA; b=AAAA\r\n{fields}{}",
        names.join(":"),
        message("a@sender.test"),
    );
    let begin = std::time::Instant::now();
    let found = Mail { ip: STRANGER, path: "", text }.verdict(&checks).await;
    assert_eq!(found.dkim[0].result, DkimResult::Fail);
    assert!(begin.elapsed() < std::time::Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_long_chain_is_no_more_work_than_the_limit() {
    let server = server!();
    let checks = authenticator(&server, |config| config.limits.arc_sets = 5);
    let set = |i: usize| {
        let state = if i == 1 { "none" } else { "pass" };
        format!(
            "ARC-Seal: i={i}; a=ed25519-sha256; cv={state}; d=lists.test; s=ed; b=AAAA\r\nARC-Message-Signature: i={i}; a=ed25519-sha256; d=lists.test; s=ed; h=from; bh=AAAA; b=AAAA\r\nARC-Authentication-Results: i={i}; lists.test; none\r\n"
        )
    };
    for (count, reason) in [(5, "body changed"), (6, "chain too long"), (60, "chain too long")] {
        let text = (1..=count).map(set).collect::<String>() + &message("a@sender.test");
        let found = Mail { ip: STRANGER, path: "", text }.verdict(&checks).await;
        assert_eq!((found.arc.result, found.arc.reason), (ArcResult::Fail, Some(reason)), "{count}");
    }
}

//! Random faults under load: whatever was answered 250 is there exactly once.

use super::{FakeNode, Site, eventually, node::Fault, quick};
use chasqui_smtp::Reply;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

const ACCOUNTS: [&str; 4] = ["ana", "beto", "carla", "diego"];

fn random(state: &AtomicU64) -> u64 {
    let mut x = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn fault(n: u64) -> Option<Fault> {
    match n % 16 {
        0 => Some(Fault::CloseFirst),
        1 => Some(Fault::CloseBefore),
        2 | 3 => Some(Fault::CloseAfter),
        4 => Some(Fault::Message(Reply::fixed(451, (4, 3, 0), "later"))),
        5 => Some(Fault::Recipient("ana", Reply::fixed(452, (4, 2, 2), "full"))),
        6 => Some(Fault::Recipient("carla", Reply::fixed(421, (4, 3, 2), "stopping"))),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_accepted_arrives_exactly_once() {
    let site = Site::start(quick());
    let mut nodes = [FakeNode::start("one").await, FakeNode::start("two").await];
    for (index, account) in ACCOUNTS.iter().enumerate() {
        site.add(account, &nodes[index % 2]);
    }
    let seed = Arc::new(AtomicU64::new(1));
    for node in &nodes {
        node.state.lock().unwrap().faults = (0..300).map(|_| fault(random(&seed))).collect();
    }
    let accepted = Arc::new(Mutex::new(Vec::new()));
    let mut senders = Vec::new();
    for sender in 0..4 {
        let (mut client, seed, accepted) = (site.client().await, Arc::clone(&seed), Arc::clone(&accepted));
        senders.push(tokio::spawn(async move {
            for message in 0..40 {
                let bits = random(&seed) % 15 + 1;
                let to: Vec<&str> =
                    (0..4).filter(|bit| bits >> bit & 1 == 1).map(|bit| ACCOUNTS[bit as usize]).collect();
                let token = format!("token-{sender}-{message}-");
                let reply = client.send(&to, &format!("Subject: x\r\n\r\n{token}\r\n")).await;
                if reply.starts_with("250") {
                    accepted.lock().unwrap().push((token, to));
                } else {
                    assert!(reply.starts_with('4'), "{reply}");
                }
            }
        }));
    }
    // Meanwhile one node goes away for a while, twice.
    for _ in 0..2 {
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        nodes[1].down().await;
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        nodes[1].up();
    }
    for sender in senders {
        sender.await.unwrap();
    }
    for node in &nodes {
        node.state.lock().unwrap().faults.clear();
    }
    eventually("the spool is empty", || site.spooled("queue", "eml").is_empty()).await;
    assert!(site.spooled("failed", "json").is_empty());
    let accepted = accepted.lock().unwrap();
    assert!(accepted.len() > 100, "{}", accepted.len());
    let inboxes: Vec<Vec<String>> =
        ACCOUNTS.iter().enumerate().map(|(index, account)| nodes[index % 2].inbox(account)).collect();
    for (token, to) in accepted.iter() {
        for (account, inbox) in ACCOUNTS.iter().zip(&inboxes) {
            let copies = inbox.iter().filter(|text| text.contains(token)).count();
            assert_eq!(copies, usize::from(to.contains(account)), "{token} {account}");
        }
    }
    // And nothing came twice that was refused the first time and never tried again.
    let total: usize = inboxes.iter().map(Vec::len).sum();
    assert_eq!(total, accepted.iter().map(|(_, to)| to.len()).sum::<usize>());
}

//! What becomes of a message by the filters' word. The filters themselves have their tests in their crate and in `tests/e2e`.

use super::{Client, Site, eventually, node::FakeNode, quick};
use crate::Config;
use chasqui_base::net::Endpoint;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const TEXT: &str = "Subject: hola\r\nX-Spam-Flag: NO\r\nMessage-ID: <1@example.org>\r\n\r\nana\r\n";

/// A spamd that gives this score to everything.
async fn spamd(score: &'static str) -> Endpoint {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string().parse().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut question = String::new();
            let _ = stream.read_to_string(&mut question).await;
            let spam = if score.len() > 3 { "True" } else { "False" };
            let answer = format!("SPAMD/1.1 0 EX_OK\r\nSpam: {spam} ; {score} / 5.0\r\n\r\nRULE");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    endpoint
}

async fn scored(score: &'static str) -> Config {
    let mut config = quick();
    config.filter.content.spamassassin.address = Some(spamd(score).await);
    config
}

/// A milter that asks for these changes of the envelope at the end of each message: `+` and `-` with an address.
async fn milter(changes: &'static [&'static str], more: &str) -> Config {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = format!("name = 'test'\naddress = '{}'\n{more}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let packet = |data: &[u8]| [&(data.len() as u32).to_be_bytes()[..], data].concat();
                while let Ok(length) = stream.read_u32().await {
                    let mut command = vec![0; length as usize];
                    stream.read_exact(&mut command).await.unwrap();
                    let answer = match command[0] {
                        // Version 6, all actions, and nothing but the end of a message.
                        b'O' => packet(b"O\0\0\0\x06\0\0\x01\xff\0\0\x02\x7f"),
                        b'E' => {
                            let change = |change: &&str| packet(format!("{change}\0").as_bytes());
                            [changes.iter().flat_map(change).collect(), packet(b"c")].concat()
                        }
                        _ => continue,
                    };
                    stream.write_all(&answer).await.unwrap();
                }
            });
        }
    });
    let mut config = quick();
    config.filter.content.milter = vec![chasqui_base::config::parse(&text, "test").unwrap()];
    config
}

#[tokio::test]
async fn a_milter_sends_a_message_to_somebody_else() {
    let node = FakeNode::start("one").await;
    let site = Site::start(milter(&["-<ana@ejemplo.test>", "+<luis@ejemplo.test>"], "").await);
    site.add("ana", &node);
    site.add("luis", &node);
    assert!(site.send(&["ana"], TEXT).await.starts_with("250"));
    assert_eq!((node.inbox("ana").len(), node.inbox("luis").len()), (0, 1));
    assert_eq!(node.state.lock().unwrap().junk, [false]);
}

#[tokio::test]
async fn what_a_milter_sends_to_somebody_who_cannot_be_found_is_put_off_and_not_lost() {
    let node = FakeNode::start("one").await;
    let site = Site::start(milter(&["-<ana@ejemplo.test>", "+<nadie@ejemplo.test>"], "").await);
    site.add("ana", &node);
    assert!(site.send(&["ana"], TEXT).await.starts_with("451 4.3.0 A filter sends"));
    // With another recipient left, that one has it.
    site.add("luis", &node);
    assert!(site.send(&["ana", "luis"], TEXT).await.starts_with("250"));
    assert_eq!((node.inbox("ana").len(), node.inbox("luis").len()), (0, 1));
    // The directory is away: the client hears of it even though somebody is left.
    let mut client = site.client().await;
    client.say("MAIL FROM:<a@example.org>").await;
    for to in ["ana", "luis"] {
        assert!(client.say(&format!("RCPT TO:<{to}@ejemplo.test>")).await.starts_with("250"));
    }
    site.table.lock().unwrap().silent = true;
    client.say("DATA").await;
    client.write(TEXT).await;
    assert!(client.say(".").await.starts_with('4'));
    assert_eq!((node.inbox("ana").len(), node.inbox("luis").len()), (0, 1));
}

#[tokio::test]
async fn a_milter_that_takes_out_all_recipients_drops_nothing_unless_it_may() {
    const ALL: &[&str] = &["-<ana@ejemplo.test>"];
    let node = FakeNode::start("one").await;
    let site = Site::start(milter(ALL, "").await);
    site.add("ana", &node);
    assert!(site.send(&["ana"], TEXT).await.starts_with("250"));
    assert_eq!((node.inbox("ana").len(), &node.state.lock().unwrap().junk[..]), (1, &[true][..]));
    let site = Site::start(milter(ALL, "discarded = 'drop'\n").await);
    site.add("ana", &node);
    assert!(site.send(&["ana"], TEXT).await.starts_with("250"));
    assert_eq!(node.inbox("ana").len(), 1);
}

#[tokio::test]
async fn spam_is_announced_to_the_node_with_its_lines_in_place_of_forged_ones() {
    let node = FakeNode::start("one").await;
    let site = Site::start(scored("12.5").await);
    site.add("ana", &node);
    assert!(site.send(&["ana"], TEXT).await.starts_with("250"));
    let stored = node.inbox("ana").remove(0);
    assert!(stored.starts_with("X-Spam-Flag: YES\r\nX-Spam-Score: 12.5\r\n"), "{stored}");
    assert_eq!(stored.matches("X-Spam-Flag").count(), 1, "{stored}");
    assert!(stored.ends_with("\r\nSubject: hola\r\nMessage-ID: <1@example.org>\r\n\r\nana\r\n"), "{stored}");
    assert_eq!(node.state.lock().unwrap().junk, [true]);
    assert!(site.metrics().contains("chasqui_mx_junk_total 1"));
}

#[tokio::test]
async fn what_is_wanted_is_not_announced_as_junk() {
    let node = FakeNode::start("one").await;
    let site = Site::start(scored("1.0").await);
    site.add("ana", &node);
    assert!(site.send(&["ana"], TEXT).await.starts_with("250"));
    assert_eq!(node.state.lock().unwrap().junk, [false]);
}

#[tokio::test]
async fn spam_that_waited_in_the_spool_is_still_junk() {
    let mut node = FakeNode::start("one").await;
    let site = Site::start(scored("12.5").await);
    site.add("ana", &node);
    node.down().await;
    assert!(site.send(&["ana"], TEXT).await.starts_with("250"));
    let spooled = site.spooled("queue", "json");
    assert!(std::fs::read_to_string(&spooled[0]).unwrap().contains("\"junk\": true"));
    let (folder, table) = site.stop().await;
    node.up();
    // Also by an exchanger that no longer asks anybody.
    let site = Site::start_in(quick(), folder, table, None);
    eventually("delivered", || node.inbox("ana").len() == 1).await;
    assert_eq!(node.state.lock().unwrap().junk, [true]);
    drop(site);
}

#[tokio::test]
async fn spam_above_the_second_score_is_refused_and_nothing_is_kept() {
    let node = FakeNode::start("one").await;
    let mut config = scored("12.5").await;
    config.filter.content.spamassassin.reject_score = Some(10.0);
    let site = Site::start(config);
    site.add("ana", &node);
    assert_eq!(site.send(&["ana"], TEXT).await, "550 5.7.1 Refused: the message looks like spam");
    assert!(node.inbox("ana").is_empty() && site.spooled("queue", "eml").is_empty());
    assert!(site.spooled("tmp", "eml").is_empty());
}

#[tokio::test]
async fn a_large_message_gets_its_lines_too_and_leaves_no_file() {
    let node = FakeNode::start("one").await;
    let mut config = scored("12.5").await;
    config.limits.memory = chasqui_base::ByteSize(64 * 1024);
    let site = Site::start(config);
    site.add("ana", &node);
    let large = format!("Subject: hola\r\n\r\n{}", "línea\r\n".repeat(40_000));
    assert!(site.send(&["ana"], &large).await.starts_with("250"));
    let stored = node.inbox("ana").remove(0);
    assert!(stored.starts_with("X-Spam-Flag: YES\r\n") && stored.ends_with(&large[..]));
    eventually("no file is left", || site.spooled("tmp", "eml").is_empty()).await;
}

#[tokio::test]
async fn headers_and_parts_beyond_the_bounds_are_refused_without_any_filter() {
    let node = FakeNode::start("one").await;
    let mut config = quick();
    config.limits.header_size = chasqui_base::ByteSize(2000);
    config.limits.mime_depth = 3;
    let site = Site::start(config);
    site.add("ana", &node);
    let long = format!("Subject: {}\r\n\r\nana\r\n", "x".repeat(2000));
    assert!(site.send(&["ana"], &long).await.starts_with("552 5.3.4"));
    let part = |n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
    let nested: String = (0..4).map(part).collect();
    assert!(site.send(&["ana"], &nested).await.starts_with("554 5.6.0"));
    assert!(node.inbox("ana").is_empty());
    let page = site.metrics();
    assert!(page.contains("outcome=\"header\"} 1") && page.contains("outcome=\"nested\"} 1"), "{page}");
}

#[tokio::test]
async fn clients_elsewhere_are_checked_and_told_at_rcpt() {
    let node = FakeNode::start("one").await;
    let mut config = quick();
    config.filter.connection.trusted_networks = Vec::new();
    config.filter.connection.rates.recipients = Some(3);
    config.filter.authentication.enabled = false;
    let site = Site::start(config);
    site.add("ana", &node);
    let mut client: Client = site.connect().await;
    client.reply().await;
    client.say("EHLO mx.ejemplo.test").await;
    client.say("MAIL FROM:<a@example.org>").await;
    assert!(client.say("RCPT TO:<ana@ejemplo.test>").await.starts_with("550 5.7.1"));
    client.say("EHLO [127.0.0.9]").await;
    client.say("MAIL FROM:<a@example.org>").await;
    assert!(client.say("RCPT TO:<ana@ejemplo.test>").await.starts_with("250"));
    client.say("DATA").await;
    client.write("Subject: x\r\nX-Chasqui-Marks: none\r\n\r\n").await;
    assert!(client.say(".").await.starts_with("250"));
    assert!(node.inbox("ana")[0].starts_with("X-Chasqui-Marks: hello-foreign-literal\r\n"));
    client.say("MAIL FROM:<a@example.org>").await;
    assert!(client.say("RCPT TO:<ana@ejemplo.test>").await.starts_with("250"));
    assert!(client.say("RCPT TO:<ana@ejemplo.test>").await.starts_with("450 4.7.1"));
}

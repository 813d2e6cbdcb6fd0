//! Every command that the grammar can make gets its one tagged reply.

#[path = "../../../../imap/tests/common/mod.rs"]
mod grammar;

use super::*;

#[tokio::test]
async fn every_command_of_the_grammar_is_answered_once() {
    let mut site = Site::new();
    site.settings.limits.errors = u32::MAX;
    site.deliver(MULTIPART.as_bytes()).await;
    site.deliver(plain("dos", "nada").as_bytes()).await;
    // Neither header nor body, no line end, NUL and octets over 127.
    for odd in [
        &b"\r\n"[..],
        b"x",
        b"Subject: \xff\0\r\n y",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
    ] {
        site.deliver(odd).await;
    }
    let mut client = site.session();
    client.ok("SELECT INBOX").await;
    let commands = std::env::var("CHASQUI_MODEL_COMMANDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1500);
    for seed in 0..commands {
        let mut random = grammar::Random(seed);
        let text = if seed % 5 == 0 { grammar::append(&mut random) } else { grammar::command(&mut random) };
        let body = text.split_once(' ').map_or("", |(_, body)| body);
        let body = body.strip_suffix("\r\n").unwrap_or(body);
        if ["LOGOUT", "IDLE"].contains(&body) {
            continue;
        }
        // No literal waits: the client here does not listen while it speaks.
        let body = if seed % 5 == 0 { body.to_owned() } else { body.replace("}\r\n", "+}\r\n") };
        let reply = client.say(&body).await;
        let tagged = reply.lines().filter(|line| line.starts_with("tag ")).count();
        assert_eq!(tagged, 1, "{body}: {reply}");
        if seed % 50 == 0 {
            client.ok("SELECT INBOX").await;
        }
    }
}

//! AUTH, by every mechanism, right and wrong.

use super::*;
use chasqui_sasl::scram::{Channel, Client as Scram};

async fn scram(
    client: &mut Client,
    login: &str,
    password: &str,
    plus: bool,
    binding: Option<Vec<u8>>,
) -> String {
    let channel = Channel { plus_offered: plus, binding };
    let mut exchange = Scram::new(login, Secret::new(password.to_owned()), &channel, plus).unwrap();
    let name = if plus { "SCRAM-SHA-256-PLUS" } else { "SCRAM-SHA-256" };
    let mut reply = client.say(&format!("AUTH {name} {}", STANDARD.encode(exchange.first().expose()))).await;
    while let Some(challenge) = reply.strip_prefix("334 ") {
        let challenge = String::from_utf8(STANDARD.decode(challenge).unwrap()).unwrap();
        let response = exchange.answer(&challenge).unwrap();
        reply = client.say(&STANDARD.encode(response.expose())).await;
    }
    reply
}

#[tokio::test]
async fn every_mechanism_lets_the_right_password_in() {
    let site = Site::new(|_| {});
    let mut client = site.client().await;
    let hello = client.say("EHLO x.example").await;
    assert!(hello.contains("AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"), "{hello}");

    assert!(client.say(&plain("Ana@Example.ORG", PASSWORD)).await.starts_with("235 2.7.0"));
    assert!(client.say(&plain("ana@example.org", PASSWORD)).await.starts_with("503"), "only once");

    let mut client = site.client().await;
    assert_eq!(client.say("AUTH LOGIN").await, "334 VXNlcm5hbWU6");
    assert_eq!(client.say(&STANDARD.encode("ana@example.org")).await, "334 UGFzc3dvcmQ6");
    assert!(client.say(&STANDARD.encode(PASSWORD)).await.starts_with("235"));

    for plus in [false, true] {
        let mut client = site.client().await;
        let binding = client.stream.channel_binding().filter(|_| plus);
        let reply = scram(&mut client, "ana@example.org", PASSWORD, plus, binding).await;
        assert!(reply.starts_with("235"), "{reply}");
        assert!(client.say("MAIL FROM:<ana@example.org>").await.starts_with("250"));
    }
    let page = site.metrics();
    assert!(page.contains(r#"log_ins_total{mechanism="SCRAM-SHA-256-PLUS",outcome="ok"} 1"#), "{page}");
}

#[tokio::test]
async fn wrong_passwords_foreign_channels_and_forbidden_accounts_are_refused() {
    let site = Site::new(|config| {
        config.senders.limits.auth_failures = 50;
        config.senders.limits.errors = 50;
    });
    let mut client = site.client().await;
    assert!(client.say(&plain("ana@example.org", "otra")).await.starts_with("535 5.7.8"));
    assert!(client.say(&plain("nadie@example.org", PASSWORD)).await.starts_with("535 5.7.8"));
    assert!(client.say(&plain("mudo@example.org", PASSWORD)).await.starts_with("535 5.7.13"));
    assert!(client.say("AUTH PLAIN ====").await.starts_with("501"));
    assert!(client.say("AUTH CRAM-MD5").await.starts_with("504"));
    assert!(client.say("AUTH LOGIN").await.starts_with("334"));
    assert!(client.say("*").await.starts_with("501"));
    let reply = scram(&mut client, "ana@example.org", "otra", false, None).await;
    assert!(reply.starts_with("535"), "{reply}");
    // The binding of another connection, and a client that was shown no -PLUS (RFC 5802 §6).
    let reply = scram(&mut client, "ana@example.org", PASSWORD, true, Some(vec![7; 32])).await;
    assert!(reply.starts_with("535") && reply.contains("channel"), "{reply}");
    let binding = client.stream.channel_binding();
    let reply = scram(&mut client, "ana@example.org", PASSWORD, false, binding).await;
    assert!(reply.starts_with("535") && reply.contains("channel"), "{reply}");
    assert!(client.say("MAIL FROM:<ana@example.org>").await.starts_with("530 5.7.0"));
    assert!(client.say(&plain("ana@example.org", PASSWORD)).await.starts_with("235"));
}

#[tokio::test]
async fn nothing_is_asked_or_taken_in_clear() {
    let site = Site::new(|_| {});
    let mut client = site.connect(false);
    assert!(client.reply().await.starts_with("220"));
    let hello = client.say("EHLO x.example").await;
    assert!(hello.contains("STARTTLS") && !hello.contains("AUTH"), "{hello}");
    assert!(client.say(&plain("ana@example.org", PASSWORD)).await.starts_with("538"));
    assert!(client.say("MAIL FROM:<ana@example.org>").await.starts_with("530 5.7.0"));
    assert!(client.say("RCPT TO:<x@example.net>").await.starts_with("5"));
    assert!(client.say("STARTTLS").await.starts_with("220"));
    let stream = site.client.connect(client.stream, "localhost", Role::Relay).await.unwrap();
    let mut client = Client { stream, input: Vec::new() };
    let hello = client.say("EHLO x.example").await;
    assert!(!hello.contains("STARTTLS") && hello.contains("AUTH SCRAM-SHA-256-PLUS"), "{hello}");
    assert!(client.say("MAIL FROM:<ana@example.org>").await.starts_with("530 5.7.0 Authenticate first"));
    assert!(client.say(&plain("ana@example.org", PASSWORD)).await.starts_with("235"));
}

#[tokio::test]
async fn who_guesses_is_refused_even_with_the_right_password() {
    let site = Site::new(|config| {
        config.senders.guessing.user_refused_after = 3;
        config.senders.limits.auth_failures = 10;
    });
    let mut client = site.client().await;
    for _ in 0..3 {
        client.say(&plain("ana@example.org", "otra")).await;
    }
    let mut client = site.client().await;
    let reply = client.say(&plain("ana@example.org", PASSWORD)).await;
    assert!(reply.starts_with("454 4.7.0 Too many"), "{reply}");
    let reply = scram(&mut client, "ana@example.org", PASSWORD, false, None).await;
    assert!(reply.starts_with("454 4.7.0 Too many"), "{reply}");
    assert!(client.say(&plain("beto@example.org", PASSWORD)).await.starts_with("235"));
}

#[tokio::test]
async fn a_connection_on_which_too_many_fail_is_closed() {
    let site = Site::new(|config| config.senders.limits.auth_failures = 2);
    let mut client = site.client().await;
    for _ in 0..2 {
        assert!(client.say(&plain("ana@example.org", "otra")).await.starts_with("535"));
    }
    assert!(client.say(&plain("ana@example.org", "otra")).await.starts_with("535"));
    assert!(client.reply().await.starts_with("421"));
}

#[tokio::test]
async fn without_a_directory_nobody_is_refused_for_good() {
    let site = Site::with(Options { silent: true, ..Options::default() }, |_| {});
    let mut client = site.client().await;
    assert!(client.say(&plain("ana@example.org", PASSWORD)).await.starts_with("454"));
    assert!(scram(&mut client, "ana@example.org", PASSWORD, false, None).await.starts_with("454"));
}

#[tokio::test]
async fn a_client_that_never_logs_in_is_not_waited_for() {
    let site = Site::new(|config| config.senders.limits.login_timeout = chasqui_base::Span::millis(200));
    let mut client = site.client().await;
    assert!(client.reply().await.starts_with("421 4.4.2"));
    let mut user = Site::new(|_| {}).user("ana").await;
    assert!(user.say("NOOP").await.starts_with("250"));
}

/// Commands in any order, with texts between them: without a password nothing is queued, and every command has its reply.
#[tokio::test]
async fn whatever_a_stranger_says_nothing_is_queued() {
    let commands = [
        "EHLO x.example",
        "MAIL FROM:<ana@example.org>",
        "MAIL FROM:<> SIZE=10 AUTH=<ana@example.org>",
        "RCPT TO:<beto@example.org>",
        "RCPT TO:<x@example.net>",
        "DATA",
        "BDAT 0",
        "BDAT 0 LAST",
        "AUTH PLAIN",
        "AUTH PLAIN AGFuYUBleGFtcGxlLm9yZwA=",
        "AUTH SCRAM-SHA-256 biwsbj1hbmEscj1hYmM=",
        "Yz1iaXdzLHI9YWJjLHA9",
        "*",
        "RSET",
        "NOOP",
        "From: ana@example.org",
        "",
        ".",
    ];
    let site = Site::new(|config| {
        config.senders.limits.errors = 1000;
        config.senders.limits.unknown_commands = 1000;
        config.senders.limits.idle_commands = 1000;
        config.senders.limits.auth_failures = 1000;
        config.senders.guessing.address_refused_after = 0;
    });
    let mut seed = 1u64;
    for _ in 0..20 {
        let mut client = site.client().await;
        for _ in 0..30 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let command = commands[(seed >> 33) as usize % commands.len()];
            let reply = client.say(command).await;
            assert!(
                !reply.is_empty() && !reply.starts_with("354") && !reply.starts_with("235"),
                "{command}: {reply}"
            );
        }
    }
    assert!(site.taken().is_empty());
}

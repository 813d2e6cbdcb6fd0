use super::node::{self, Mood};
use super::{PASSWORD, Site, coded, plain};
use crate::config::PlaintextLogin;

const ANA: &str = "ana@ejemplo.test";

/// A site with ana on a willing node, and a client that has read the greeting.
async fn ready() -> (Site, super::Client) {
    let site = Site::start(|_| ());
    let (node, _) = node::start(Mood::Willing, None);
    site.account(ANA, &node);
    let mut client = site.connect("imap").await;
    let greeting = client.line().await;
    assert!(
        greeting.starts_with("* OK [CAPABILITY IMAP4rev1 ") && greeting.contains(" AUTH=PLAIN"),
        "{greeting}"
    );
    (site, client)
}

const OPEN: &str = "OK [CAPABILITY IMAP4rev1 IDLE] ana@ejemplo.test open\r\n";

#[tokio::test]
async fn login_opens_the_mailbox_and_bytes_pass_both_ways() {
    let (site, mut client) = ready().await;
    assert_eq!(client.ask(&format!("a1 LOGIN {ANA} {PASSWORD}")).await, format!("a1 {OPEN}"));
    assert_eq!(client.ask("a2 SELECT INBOX").await, "echo a2 SELECT INBOX\r\n");
    assert!(site.metric("chasqui_proxy_log_ins_total{protocol=\"Imap\",result=\"Ok\"} 1"));
    drop(client);
}

#[tokio::test]
async fn quoted_and_literal_arguments_are_understood() {
    let (_site, mut client) = ready().await;
    assert_eq!(client.ask(&format!("x LOGIN \"{ANA}\" \"{PASSWORD}\"")).await, format!("x {OPEN}"));

    let (_site, mut client) = ready().await;
    assert_eq!(client.ask(&format!("y LOGIN {{{}}}", ANA.len())).await, "+ OK\r\n");
    assert_eq!(client.ask(&format!("{ANA} {{{}}}", PASSWORD.len())).await, "+ OK\r\n");
    assert_eq!(client.ask(PASSWORD).await, format!("y {OPEN}"));

    let (_site, mut client) = ready().await;
    let both = format!("z LOGIN {{{}+}}\r\n{ANA} {{{}+}}\r\n{PASSWORD}", ANA.len(), PASSWORD.len());
    assert_eq!(client.ask(&both).await, format!("z {OPEN}"));
}

#[tokio::test]
async fn sasl_works_with_and_without_an_initial_response() {
    let (_site, mut client) = ready().await;
    let initial = format!("a AUTHENTICATE PLAIN {}", plain(ANA, PASSWORD));
    assert_eq!(client.ask(&initial).await, format!("a {OPEN}"));

    let (_site, mut client) = ready().await;
    assert_eq!(client.ask("b authenticate plain").await, "+ \r\n");
    assert_eq!(client.ask(&plain(ANA, PASSWORD)).await, format!("b {OPEN}"));

    let (_site, mut client) = ready().await;
    assert_eq!(client.ask("c AUTHENTICATE LOGIN").await, "+ VXNlcm5hbWU6\r\n");
    assert_eq!(client.ask(&coded(ANA)).await, "+ UGFzc3dvcmQ6\r\n");
    assert_eq!(client.ask(&coded(PASSWORD)).await, format!("c {OPEN}"));

    let (_site, mut client) = ready().await;
    assert_eq!(client.ask(&format!("d AUTHENTICATE LOGIN {}", coded(ANA))).await, "+ UGFzc3dvcmQ6\r\n");
    assert_eq!(client.ask(&coded(PASSWORD)).await, format!("d {OPEN}"));
}

#[tokio::test]
async fn an_exchange_that_ends_badly_leaves_the_session_usable() {
    let (_site, mut client) = ready().await;
    assert_eq!(client.ask("a AUTHENTICATE PLAIN").await, "+ \r\n");
    assert_eq!(client.ask("*").await, "a BAD Cancelled\r\n");
    assert!(client.ask("b AUTHENTICATE PLAIN %%%").await.starts_with("b BAD "));
    assert!(client.ask("c AUTHENTICATE GSSAPI").await.starts_with("c NO [CANNOT] "));
    let for_another = coded(&format!("beto@ejemplo.test\0{ANA}\0{PASSWORD}"));
    assert!(
        client
            .ask(&format!("d AUTHENTICATE PLAIN {for_another}"))
            .await
            .starts_with("d NO [AUTHORIZATIONFAILED] ")
    );
    assert_eq!(client.ask(&format!("e LOGIN {ANA} {PASSWORD}")).await, format!("e {OPEN}"));
}

#[tokio::test]
async fn what_is_pipelined_behind_the_log_in_reaches_the_node() {
    let (_site, mut client) = ready().await;
    client
        .send(&format!("a NOOP\r\nb LOGIN {ANA} {PASSWORD}\r\nc SELECT INBOX\r\nd FETCH 1:* FLAGS\r\n"))
        .await;
    let mut lines = Vec::new();
    for _ in 0..4 {
        lines.push(client.line().await);
    }
    let expected =
        ["a OK Done\r\n", &format!("b {OPEN}"), "echo c SELECT INBOX\r\n", "echo d FETCH 1:* FLAGS\r\n"];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn commands_before_the_log_in_are_answered_and_others_are_not_executed() {
    let (_site, mut client) = ready().await;
    let capabilities = client.ask("a CAPABILITY").await;
    assert!(capabilities.starts_with("* CAPABILITY IMAP4rev1 ") && !capabilities.contains("STARTTLS"));
    assert_eq!(client.line().await, "a OK Done\r\n");
    assert_eq!(client.ask("b NOOP").await, "b OK Done\r\n");
    assert_eq!(client.ask("c ID NIL").await, "* ID (\"name\" \"Chasqui\")\r\n");
    assert_eq!(client.line().await, "c OK Done\r\n");
    assert_eq!(client.ask("d SELECT INBOX").await, "d BAD Log in first\r\n");
    assert_eq!(client.ask("e STARTTLS").await, "e BAD TLS is not available\r\n");
    assert!(client.ask("f APPEND INBOX {10}").await.starts_with("f "));
    assert!(client.ask("g LOGOUT").await.starts_with("* BYE "));
    assert_eq!(client.line().await, "g OK Done\r\n");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn passwords_are_not_taken_in_the_clear_where_that_is_forbidden() {
    let site = Site::start(|config| config.plaintext_login = PlaintextLogin::Never);
    let mut client = site.connect("imap").await;
    let greeting = client.line().await;
    assert!(greeting.contains(" LOGINDISABLED]") && !greeting.contains("AUTH="), "{greeting}");
    assert!(client.ask(&format!("a LOGIN {ANA} {PASSWORD}")).await.starts_with("a NO [PRIVACYREQUIRED] "));
    let initial = format!("b AUTHENTICATE PLAIN {}", plain(ANA, PASSWORD));
    assert!(client.ask(&initial).await.starts_with("b NO [PRIVACYREQUIRED] "));
    assert_eq!(site.directory.asked(), 0);
}

#[tokio::test]
async fn a_client_that_makes_no_sense_is_closed_after_its_errors() {
    let site = Site::start(|config| config.limits.errors = 2);
    let mut client = site.connect("imap").await;
    client.line().await;
    for n in 0..3 {
        assert!(client.ask(&format!("a{n} NONSENSE")).await.starts_with(&format!("a{n} BAD ")));
    }
    assert!(client.line().await.starts_with("* BYE [LIMIT] "));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_command_over_the_limit_closes_the_connection() {
    let site = Site::start(|config| config.limits.command = chasqui_base::ByteSize(1024));
    let mut client = site.connect("imap").await;
    client.line().await;
    client.send(&"x".repeat(2000)).await;
    assert!(client.line().await.contains(" BAD [LIMIT] "));
    assert!(client.line().await.starts_with("* BYE "));
    let mut client = site.connect("imap").await;
    client.line().await;
    assert!(client.ask("a LOGIN {2000}").await.starts_with("a BAD [TOOBIG] "));
}

use super::node::{self, Mood};
use super::{Client, PASSWORD, Site, coded, plain};
use crate::config::PlaintextLogin;

const ANA: &str = "ana@ejemplo.test";
const OPEN: &str = "+OK ana@ejemplo.test open\r\n";

async fn ready() -> (Site, Client) {
    let site = Site::start(|_| ());
    let (node, _) = node::start(Mood::Willing, None);
    site.account(ANA, &node);
    let mut client = site.connect("pop3").await;
    assert!(client.line().await.starts_with("+OK "));
    (site, client)
}

async fn list(client: &mut Client) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let line = client.line().await;
        if line == ".\r\n" || line.is_empty() {
            return lines;
        }
        lines.push(line.trim_end().to_owned());
    }
}

#[tokio::test]
async fn user_and_pass_open_the_mailbox_and_bytes_pass_both_ways() {
    let (site, mut client) = ready().await;
    assert!(client.ask(&format!("USER {ANA}")).await.starts_with("+OK"));
    assert_eq!(client.ask(&format!("PASS {PASSWORD}")).await, OPEN);
    assert_eq!(client.ask("STAT").await, "echo STAT\r\n");
    assert!(site.metric("chasqui_proxy_log_ins_total{protocol=\"Pop3\",result=\"Ok\"} 1"));
}

#[tokio::test]
async fn sasl_works_with_and_without_an_initial_response() {
    let (_site, mut client) = ready().await;
    assert_eq!(client.ask(&format!("AUTH PLAIN {}", plain(ANA, PASSWORD))).await, OPEN);

    let (_site, mut client) = ready().await;
    assert_eq!(client.ask("AUTH PLAIN").await, "+ \r\n");
    assert_eq!(client.ask(&plain(ANA, PASSWORD)).await, OPEN);

    let (_site, mut client) = ready().await;
    assert_eq!(client.ask("AUTH LOGIN").await, "+ VXNlcm5hbWU6\r\n");
    assert!(client.ask("*").await.starts_with("-ERR "));
    assert_eq!(client.ask(&format!("AUTH LOGIN {}", coded(ANA))).await, "+ UGFzc3dvcmQ6\r\n");
    assert_eq!(client.ask(&coded(PASSWORD)).await, OPEN);
}

#[tokio::test]
async fn what_is_pipelined_behind_the_log_in_reaches_the_node() {
    let (_site, mut client) = ready().await;
    client.send(&format!("USER {ANA}\r\nPASS {PASSWORD}\r\nSTAT\r\nUIDL\r\n")).await;
    assert!(client.line().await.starts_with("+OK"));
    let lines = [client.line().await, client.line().await, client.line().await];
    assert_eq!(lines, [OPEN, "echo STAT\r\n", "echo UIDL\r\n"]);
}

#[tokio::test]
async fn capabilities_are_those_of_a_node_and_the_ways_to_log_in() {
    let (_site, mut client) = ready().await;
    client.send("CAPA\r\n").await;
    let lines = list(&mut client).await;
    for capability in
        ["TOP", "UIDL", "USER", "SASL PLAIN LOGIN", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"]
    {
        assert!(lines.iter().any(|line| line == capability), "{capability} in {lines:?}");
    }
    assert!(!lines.iter().any(|line| line == "STLS"));
    assert!(client.ask("QUIT").await.starts_with("+OK"));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn user_is_refused_in_the_clear_where_that_is_forbidden() {
    let site = Site::start(|config| config.plaintext_login = PlaintextLogin::Never);
    let mut client = site.connect("pop3").await;
    client.line().await;
    assert!(client.ask(&format!("USER {ANA}")).await.starts_with("-ERR "));
    assert!(client.ask(&format!("AUTH PLAIN {}", plain(ANA, PASSWORD))).await.starts_with("-ERR "));
    client.send("CAPA\r\n").await;
    assert!(!list(&mut client).await.iter().any(|line| line == "USER" || line.starts_with("SASL")));
}

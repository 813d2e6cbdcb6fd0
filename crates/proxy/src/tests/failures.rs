use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chasqui_base::{RoleService, Span};
use chasqui_directory::Services;

use tokio::io::AsyncWriteExt;

use super::node::{self, Mood};
use super::{Client, PASSWORD, Site};
use crate::config::PlaintextLogin;

const ANA: &str = "ana@ejemplo.test";

/// One log-in by each protocol, and the replies without their tag.
async fn log_ins(site: &Site, login: &str, password: &str) -> (String, String) {
    let mut imap = site.connect("imap").await;
    imap.line().await;
    let by_imap = imap.ask(&format!("a LOGIN {login} {password}")).await;
    let mut pop3 = site.connect("pop3").await;
    pop3.line().await;
    pop3.ask(&format!("USER {login}")).await;
    let by_pop3 = pop3.ask(&format!("PASS {password}")).await;
    (by_imap.strip_prefix("a ").unwrap_or_default().to_owned(), by_pop3)
}

fn starts(replies: &(String, String), imap: &str, pop3: &str) {
    assert!(replies.0.starts_with(imap) && replies.1.starts_with(pop3), "{replies:?}");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_get_the_same_answer() {
    let site = Site::start(|_| ());
    site.account(ANA, &node::start(Mood::Willing, None).0);
    let wrong = log_ins(&site, ANA, "wrong").await;
    starts(&wrong, "NO [AUTHENTICATIONFAILED] ", "-ERR [AUTH] ");
    assert_eq!(log_ins(&site, "nobody@ejemplo.test", PASSWORD).await, wrong);
    assert_eq!(log_ins(&site, "not-an-address", PASSWORD).await, wrong);
}

#[tokio::test]
async fn an_account_that_is_switched_off_is_told_whom_to_ask() {
    let site = Site::start(|_| ());
    site.directory.disable(ANA);
    starts(&log_ins(&site, ANA, PASSWORD).await, "NO [CONTACTADMIN] ", "-ERR [AUTH] ");
}

#[tokio::test]
async fn a_service_that_is_switched_off_is_refused_and_the_other_works() {
    let site = Site::start(|_| ());
    site.directory.add(ANA, &node::start(Mood::Willing, None).0, Services::POP3);
    starts(&log_ins(&site, ANA, PASSWORD).await, "NO [CONTACTADMIN] ", "+OK ");
}

#[tokio::test]
async fn a_silent_directory_is_a_temporary_failure() {
    let site = Site::start(|_| ());
    site.directory.fall_silent();
    starts(&log_ins(&site, ANA, PASSWORD).await, "NO [UNAVAILABLE] ", "-ERR [SYS/TEMP] ");
    // Nobody's fault: it is not held against the user.
    assert!(site.metric("chasqui_proxy_log_ins_total{protocol=\"Imap\",result=\"NoDirectory\"} 1"));
}

#[tokio::test]
async fn a_node_that_is_down_is_a_temporary_failure() {
    let site = Site::start(|_| ());
    site.account(ANA, &node::down());
    starts(&log_ins(&site, ANA, PASSWORD).await, "NO [UNAVAILABLE] ", "-ERR [SYS/TEMP] ");
}

#[tokio::test]
async fn a_node_that_hangs_is_given_up_in_time_and_not_hammered() {
    let site = Site::start(|config| config.timeouts.open_mailbox = Span::millis(50));
    let (node, seen) = node::start(Mood::Silent, None);
    site.account(ANA, &node);
    for _ in 0..3 {
        starts(&log_ins(&site, ANA, PASSWORD).await, "NO [UNAVAILABLE] ", "-ERR [SYS/TEMP] ");
    }
    // One by each protocol's port; the others were told at once.
    assert_eq!(seen.connections.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_node_says_in_its_own_words_why_it_opens_no_session() {
    let site = Site::start(|_| ());
    let cases = [
        (
            Mood::Refusing("[INUSE] Mailbox is being moved"),
            "NO [INUSE] Mailbox is being moved\r\n",
            "-ERR [SYS/TEMP] ",
        ),
        (
            Mood::Refusing("[IN-USE] Mailbox is locked"),
            "NO [UNAVAILABLE] ",
            "-ERR [IN-USE] Mailbox is locked\r\n",
        ),
        (Mood::Refusing("[AUTHENTICATIONFAILED] Not mine"), "NO [UNAVAILABLE] ", "-ERR [SYS/TEMP] "),
        (Mood::Closing("* BYE [UNAVAILABLE] Full\r\n"), "NO [UNAVAILABLE] Full\r\n", "-ERR [SYS/TEMP] "),
        (Mood::Closing("-ERR [SYS/TEMP] full\r\n"), "NO [UNAVAILABLE] ", "-ERR [SYS/TEMP] full\r\n"),
        (Mood::Closing("220 smtp.example ESMTP\r\n"), "NO [UNAVAILABLE] ", "-ERR [SYS/TEMP] "),
        (Mood::Closing(""), "NO [UNAVAILABLE] ", "-ERR [SYS/TEMP] "),
    ];
    for (mood, imap, pop3) in cases {
        site.account(ANA, &node::start(mood, None).0);
        starts(&log_ins(&site, ANA, PASSWORD).await, imap, pop3);
    }
}

#[tokio::test]
async fn guesses_are_slowed_and_then_refused_without_asking_the_directory() {
    let site = Site::start(|config| {
        config.guessing.user_refused_after = 4;
        config.guessing.first_delay = Span::millis(10);
        config.guessing.longest_delay = Span::millis(80);
        config.limits.log_ins = 100;
    });
    let (node, _) = node::start(Mood::Willing, None);
    site.account(ANA, &node);
    site.account("beto@ejemplo.test", &node);
    let mut client = site.connect("imap").await;
    client.line().await;
    let mut took = Vec::new();
    for n in 0..4 {
        let begun = std::time::Instant::now();
        // The one that reaches the limit is answered as those after it.
        let expected = if n < 3 { "a NO [AUTHENTICATIONFAILED] " } else { "a NO [LIMIT] " };
        assert!(client.ask(&format!("a LOGIN {ANA} guess{n}")).await.starts_with(expected));
        took.push(begun.elapsed());
    }
    assert!(took[0] >= Duration::from_millis(10) && took[3] >= Duration::from_millis(80), "{took:?}");
    let asked = site.directory.asked();
    assert!(client.ask(&format!("b LOGIN {ANA} {PASSWORD}")).await.starts_with("b NO [LIMIT] "));
    assert_eq!(site.directory.asked(), asked);
    starts(&log_ins(&site, ANA, PASSWORD).await, "NO [LIMIT] ", "-ERR [SYS/TEMP] ");
    starts(&log_ins(&site, "beto@ejemplo.test", PASSWORD).await, "OK ", "+OK ");
    // Names that do not exist are treated no differently.
    for n in 0..4 {
        client.ask(&format!("c LOGIN nobody@ejemplo.test guess{n}")).await;
    }
    starts(&log_ins(&site, "nobody@ejemplo.test", PASSWORD).await, "NO [LIMIT] ", "-ERR [SYS/TEMP] ");
}

#[tokio::test]
async fn a_connection_is_closed_after_its_failed_log_ins() {
    let site = Site::start(|config| config.limits.log_ins = 2);
    let mut client = site.connect("imap").await;
    client.line().await;
    assert!(client.ask(&format!("a LOGIN {ANA} x")).await.starts_with("a NO "));
    assert!(client.ask(&format!("b LOGIN {ANA} x")).await.starts_with("b NO "));
    assert!(client.line().await.starts_with("* BYE [LIMIT] "));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn who_does_not_log_in_in_time_is_told_so() {
    let site = Site::start(|config| config.timeouts.pre_auth = Span::millis(50));
    let (mut imap, mut pop3) = (site.connect("imap").await, site.connect("pop3").await);
    imap.line().await;
    pop3.line().await;
    // A byte now and then does not help.
    imap.send("a").await;
    assert!(imap.line().await.starts_with("* BYE ") && imap.is_closed().await);
    assert!(pop3.line().await.starts_with("-ERR [SYS/TEMP] ") && pop3.is_closed().await);
}

#[tokio::test]
async fn a_relayed_session_in_which_nothing_moves_is_ended() {
    let site = Site::start(|config| config.timeouts.idle = Span::millis(50));
    site.account(ANA, &node::start(Mood::Willing, None).0);
    let mut client = logged_in(&site).await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn who_has_not_logged_in_is_sent_away_at_the_end_and_relayed_sessions_are_let_go() {
    let site = Site::start(|_| ());
    site.account(ANA, &node::start(Mood::Willing, None).0);
    let (mut imap, mut pop3) = (site.connect("imap").await, site.connect("pop3").await);
    imap.line().await;
    pop3.line().await;
    let mut relayed = logged_in(&site).await;
    let run = site.run.clone();
    let draining = tokio::spawn(async move { run.drain(Duration::from_secs(10)).await });
    assert!(imap.line().await.starts_with("* BYE [UNAVAILABLE] ") && imap.is_closed().await);
    assert!(pop3.line().await.starts_with("-ERR [SYS/TEMP] ") && pop3.is_closed().await);
    assert_eq!(relayed.ask("b NOOP").await, "echo b NOOP\r\n");
    drop(relayed);
    assert_eq!(draining.await.unwrap(), 0);
}

#[tokio::test]
async fn connections_over_the_limit_are_told_and_closed() {
    let site = Site::start(|config| config.limits.per_address = 1);
    let mut first = site.connect("imap").await;
    first.line().await;
    let mut second = site.connect("imap").await;
    assert!(second.line().await.starts_with("* BYE [UNAVAILABLE] ") && second.is_closed().await);
}

/// PROXY protocol v2, PROXY command, TCP over IPv4.
fn proxy_header(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend_from_slice(&client);
    header.extend_from_slice(&[127, 0, 0, 1, 0x30, 0x39, 0, 143]);
    header
}

#[tokio::test]
async fn a_client_behind_a_balancer_counts_as_itself_and_not_as_local() {
    let site = Site::start(|config| {
        config.proxy_networks = vec!["127.0.0.0/8".parse().unwrap()];
        config.plaintext_login = PlaintextLogin::Loopback;
        config.guessing.address_refused_after = 2;
    });
    let mut client = site.connect("imap").await;
    client.stream.write_all(&proxy_header([192, 0, 2, 7])).await.unwrap();
    assert!(client.line().await.contains(" LOGINDISABLED]"));
    // Without the header it is no session at all.
    let mut bare = site.connect("imap").await;
    bare.send("a CAPABILITY\r\nb CAPABILITY\r\n").await;
    assert!(bare.is_closed().await);
}

#[tokio::test]
async fn one_address_that_guesses_is_refused_and_others_are_not() {
    let site = Site::start(|config| {
        config.proxy_networks = vec!["127.0.0.0/8".parse().unwrap()];
        config.plaintext_login = PlaintextLogin::Always;
        config.guessing.address_refused_after = 3;
    });
    site.account(ANA, &node::start(Mood::Willing, None).0);
    let from = async |ip: [u8; 4]| {
        let mut client = site.connect("imap").await;
        client.stream.write_all(&proxy_header(ip)).await.unwrap();
        client.line().await;
        client
    };
    let mut guesser = from([192, 0, 2, 7]).await;
    for n in 0..3 {
        guesser.ask(&format!("a LOGIN user{n}@ejemplo.test guess")).await;
    }
    assert!(guesser.ask(&format!("b LOGIN {ANA} {PASSWORD}")).await.starts_with("b NO [LIMIT] "));
    let mut other = from([192, 0, 2, 8]).await;
    assert!(other.ask(&format!("c LOGIN {ANA} {PASSWORD}")).await.starts_with("c OK "));
}

#[tokio::test]
async fn among_guesses_sent_at_once_the_right_one_is_not_told_by_its_answer() {
    let site = Site::start(|config| config.guessing.user_refused_after = 3);
    site.account(ANA, &node::start(Mood::Willing, None).0);
    site.directory.slow_down();
    let mut guessers = Vec::new();
    for _ in 0..6 {
        let mut client = site.connect("imap").await;
        client.line().await;
        guessers.push(client);
    }
    for (n, client) in guessers.iter_mut().enumerate() {
        let password = if n == 0 { PASSWORD } else { "guess" };
        client.send(&format!("a LOGIN {ANA} {password}\r\n")).await;
    }
    let mut answers = Vec::new();
    for client in &mut guessers {
        answers.push(client.line().await);
    }
    assert_eq!(site.directory.asked(), 6);
    assert!(answers[0].starts_with("a NO [LIMIT] "), "{answers:?}");
    let same = answers[1..].iter().filter(|answer| **answer == answers[0]).count();
    assert_eq!(same, 3, "every guess from the limit on: {answers:?}");
}

#[tokio::test]
async fn what_lasts_of_a_session_is_small() {
    let registry = &mut prometheus_client::registry::Registry::default();
    let config = crate::Config::default();
    let guessing = chasqui_sasl::guessing::Guessing::new(config.guessing.clone(), std::time::Instant::now());
    let settings = crate::shared::Settings::of(&config);
    let metrics = crate::metrics::Metrics::new(registry);
    let directory = Arc::new(super::Table::default());
    let shared = Arc::new(crate::shared::Shared::new(settings, None, None, directory, guessing, metrics));
    let (stream, _) = chasqui_base::net::Stream::pair().unwrap();
    let peer = chasqui_base::net::Peer { address: None, local: true };
    let session = crate::session::serve::<crate::imap::Imap>(
        shared,
        chasqui_base::Lifecycle::new(),
        stream,
        peer,
        false,
    );
    assert!(size_of_val(&session) <= 1024, "{} octets", size_of_val(&session));
}

#[tokio::test]
async fn a_reload_changes_limits_for_new_sessions_and_refuses_what_cannot_work() {
    let site = Site::start(|_| ());
    let mut config = crate::Config::default();
    config.limits.log_ins = 1;
    config.guessing.first_delay = Span::millis(1);
    site.proxy.reload(config.clone()).await.unwrap();
    let mut client = site.connect("imap").await;
    client.line().await;
    client.ask(&format!("a LOGIN {ANA} x")).await;
    assert!(client.line().await.starts_with("* BYE "));

    config.limits.errors = 0;
    assert!(site.proxy.reload(config.clone()).await.unwrap_err().to_string().contains("limits.errors"));
    config.limits.errors = 1;
    config.public_tls =
        Some(chasqui_base::tls::PublicTlsFiles { certificate: "/x".into(), key: "/y".into() });
    assert!(site.proxy.reload(config).await.unwrap_err().to_string().contains("public_tls"));
}

#[tokio::test]
async fn each_user_reaches_the_owner_of_the_mailbox() {
    let site = Site::start(|_| ());
    let (one, first) = node::start(Mood::Willing, None);
    let (two, second) = node::start(Mood::Willing, None);
    site.account(ANA, &one);
    site.account("beto@ejemplo.test", &two);
    for login in ["Ana@Ejemplo.test", "BETO@ejemplo.test"] {
        starts(&log_ins(&site, login, PASSWORD).await, "OK ", "+OK ");
    }
    let accounts = |seen: &Arc<node::Seen>| seen.accounts.lock().unwrap().clone();
    assert_eq!(accounts(&first), [ANA, ANA]);
    assert_eq!(accounts(&second), ["beto@ejemplo.test", "beto@ejemplo.test"]);
}

async fn logged_in(site: &Site) -> Client {
    let mut client = site.connect("imap").await;
    client.line().await;
    assert!(client.ask(&format!("a LOGIN {ANA} {PASSWORD}")).await.starts_with("a OK "));
    client
}

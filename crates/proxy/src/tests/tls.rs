use std::path::Path;

use chasqui_base::tls::{PublicTlsFiles, Role, RoleTls, TlsFiles};
use chasqui_base::{Span, pki};

use super::node::{self, Mood};
use super::{Client, PASSWORD, Site};
use crate::config::{Config, PlaintextLogin};

const ANA: &str = "ana@ejemplo.test";

struct Certificates {
    _dir: tempfile::TempDir,
    proxy: TlsFiles,
    storage: TlsFiles,
    /// A certificate of the site's CA that may be anything but a storage node.
    impostor: TlsFiles,
    /// Clients of the tests check nothing but speak TLS with this identity.
    client: RoleTls,
}

fn certificates() -> Certificates {
    let dir = tempfile::tempdir().unwrap();
    let ca = pki::create_ca(dir.path(), "test").unwrap();
    let issue = |dir: &Path, name: &str, role: Role| {
        ca.issue(dir, name, &[role], &["localhost", "127.0.0.1"]).unwrap()
    };
    let proxy = issue(dir.path(), "proxy", Role::Proxy);
    let storage = issue(dir.path(), "storage", Role::Storage);
    let impostor = issue(dir.path(), "mx", Role::Mx);
    let client = RoleTls::load(&issue(dir.path(), "webmail", Role::Webmail)).unwrap();
    Certificates { _dir: dir, proxy, storage, impostor, client }
}

fn with_tls(certificates: &Certificates) -> impl FnOnce(&mut Config) {
    let TlsFiles { certificate, key, .. } = certificates.proxy.clone();
    let proxy = certificates.proxy.clone();
    move |config| {
        config.imaps = vec!["127.0.0.1:0".parse().unwrap()];
        config.pop3s = vec!["127.0.0.1:0".parse().unwrap()];
        config.public_tls = Some(PublicTlsFiles { certificate, key });
        config.tls = Some(proxy);
        config.plaintext_login = PlaintextLogin::Never;
        config.timeouts.node_retry = Span::millis(0);
    }
}

/// Wraps a client's connection in TLS.
async fn secured(certificates: &Certificates, client: Client) -> Client {
    let stream = certificates.client.connect(client.stream, "127.0.0.1", Role::Proxy).await.unwrap();
    Client { stream, received: Vec::new() }
}

#[tokio::test]
async fn both_sides_are_under_tls() {
    let certificates = certificates();
    let site = Site::start(with_tls(&certificates));
    let storage = RoleTls::load(&certificates.storage).unwrap();
    site.account(ANA, &node::start(Mood::Willing, Some(storage)).0);
    for _ in 0..3 {
        let mut imaps = secured(&certificates, site.connect("imaps").await).await;
        let greeting = imaps.line().await;
        assert!(greeting.contains(" AUTH=PLAIN") && !greeting.contains("STARTTLS"), "{greeting}");
        assert!(imaps.ask(&format!("a LOGIN {ANA} {PASSWORD}")).await.starts_with("a OK "));
        assert_eq!(imaps.ask("b NOOP").await, "echo b NOOP\r\n");
        let mut pop3s = secured(&certificates, site.connect("pop3s").await).await;
        pop3s.line().await;
        pop3s.ask(&format!("USER {ANA}")).await;
        assert!(pop3s.ask(&format!("PASS {PASSWORD}")).await.starts_with("+OK "));
        assert_eq!(pop3s.ask("STAT").await, "echo STAT\r\n");
    }
}

#[tokio::test]
async fn imap_starts_tls_and_forgets_what_was_pipelined_behind_it() {
    let certificates = certificates();
    let site = Site::start(with_tls(&certificates));
    let mut client = site.connect("imap").await;
    let greeting = client.line().await;
    assert!(greeting.contains(" STARTTLS") && greeting.contains("LOGINDISABLED"), "{greeting}");
    client.send("a STARTTLS\r\nb LOGOUT\r\n").await;
    assert_eq!(client.line().await, "a OK Begin TLS\r\n");
    let mut client = secured(&certificates, client).await;
    let capabilities = client.ask("c CAPABILITY").await;
    assert!(capabilities.contains("AUTH=PLAIN") && !capabilities.contains("STARTTLS"), "{capabilities}");
    assert_eq!(client.line().await, "c OK Done\r\n");
    assert!(client.ask("d STARTTLS").await.starts_with("d BAD "));
    assert!(client.ask(&format!("e LOGIN {ANA} wrong")).await.starts_with("e NO [AUTHENTICATIONFAILED] "));
}

#[tokio::test]
async fn pop3_starts_tls() {
    let certificates = certificates();
    let site = Site::start(with_tls(&certificates));
    let mut client = site.connect("pop3").await;
    client.line().await;
    assert!(client.ask("STLS").await.starts_with("+OK"));
    let mut client = secured(&certificates, client).await;
    assert!(client.ask(&format!("USER {ANA}")).await.starts_with("+OK"));
    assert!(client.ask("PASS wrong").await.starts_with("-ERR [AUTH] "));
}

#[tokio::test]
async fn a_node_without_the_storage_role_gets_no_session() {
    let certificates = certificates();
    let site = Site::start(with_tls(&certificates));
    let impostor = RoleTls::load(&certificates.impostor).unwrap();
    let (node, seen) = node::start(Mood::Willing, Some(impostor));
    site.account(ANA, &node);
    let mut client = secured(&certificates, site.connect("imaps").await).await;
    client.line().await;
    assert!(client.ask(&format!("a LOGIN {ANA} {PASSWORD}")).await.starts_with("a NO [UNAVAILABLE] "));
    assert!(seen.accounts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn listeners_inside_tls_need_a_certificate_and_far_ones_too() {
    let mut config = Config { imaps: vec!["127.0.0.1:993".parse().unwrap()], ..Config::default() };
    assert!(config.check().unwrap_err().to_string().contains("`imaps`"));
    config.imaps.clear();
    config.imap = vec!["192.0.2.1:143".parse().unwrap()];
    assert!(config.check().unwrap_err().to_string().contains("192.0.2.1:143"));
}

//! MTA-STS (RFC 8461): policies fetched over HTTPS from a server in the process, kept on disk, and kept to.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chasqui_base::Span;
use chasqui_dns::testing::{NameServer, Zone};
use chasqui_relay::tls::{
    DomainMinimum, Failure, MinimumLevel, Mode, Requirement, TlsConfig, TlsPolicies, Verified,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::authority::{Authority, Identity};
use crate::site::{BOTH, config, demand, handshake, open};

/// An HTTPS server that says one thing to everybody.
struct PolicyServer {
    address: SocketAddr,
    says: Arc<Mutex<Vec<u8>>>,
    asked: Arc<AtomicUsize>,
}

impl PolicyServer {
    async fn start(identity: &Identity) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (says, asked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let acceptor = TlsAcceptor::from(identity.server(BOTH));
        let (saying, counting) = (Arc::clone(&says), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counting.fetch_add(1, Ordering::Relaxed);
                let (acceptor, says) = (acceptor.clone(), saying.lock().unwrap().clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    assert!(request.starts_with(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\n"));
                    let _ = stream.write_all(&says).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { address, says, asked }
    }

    fn say(&self, text: impl Into<Vec<u8>>) {
        *self.says.lock().unwrap() = text.into();
    }

    fn publish(&self, mode: &str, max_age: u64) {
        self.say(http("200 OK", "text/plain", &policy(mode, max_age)));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn policy(mode: &str, max_age: u64) -> String {
    format!("version: STSv1\r\nmode: {mode}\r\nmx: mx.sts.test\r\nmx: *.wide.test\r\nmax_age: {max_age}\r\n")
}

fn http(status: &str, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nLocation: https://elsewhere.test/\r\n\r\n{body}",
        body.len()
    )
}

fn zones(id: &str) -> Vec<Zone> {
    let hosts = "mx A 192.0.2.1\nother A 192.0.2.2\nmta-sts A 127.0.0.1\n";
    vec![Zone::unsigned("sts.test", &format!("$TTL 1\n_mta-sts TXT \"v=STSv1; id={id};\"\n{hosts}"))]
}

struct Site {
    dns: NameServer,
    web: PolicyServer,
    authority: Authority,
    folder: tempfile::TempDir,
}

impl Site {
    async fn start() -> Option<Self> {
        let dns = NameServer::start(&zones("1"))?;
        let authority = Authority::new("Web");
        let web = PolicyServer::start(&authority.issue(&["mta-sts.sts.test"])).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        Some(Self { dns, web, authority, folder })
    }

    fn config(&self) -> TlsConfig {
        TlsConfig {
            https_server: Some(self.web.address),
            extra_ca: Some(self.folder.path().join("ca.pem")),
            fetch_deadline: Span::secs(2),
            fetch_again: Span::millis(200),
            ..config(self.folder.path())
        }
    }

    fn open(&self) -> TlsPolicies {
        open(&self.config(), self.dns.resolver())
    }
}

macro_rules! site {
    () => {
        match Site::start().await {
            Some(site) => site,
            None => return,
        }
    };
}

fn verified(host: &str) -> Requirement {
    Requirement::WebPki { names: vec![host.to_owned()] }
}

const ANY: Requirement = Requirement::Opportunistic { cleartext_allowed: true };

#[tokio::test]
async fn an_enforced_policy_binds_hosts_and_certificates() {
    let site = site!();
    site.web.publish("enforce", 86_400);
    let policies = site.open();
    let of = async |host: &str| demand(&policies, "sts.test", host, false).await;
    assert_eq!(of("mx.sts.test").await, Ok(verified("mx.sts.test")));
    assert_eq!(of("MX.sts.test.").await, Ok(verified("mx.sts.test")));
    assert_eq!(of("any.wide.test").await, Ok(verified("any.wide.test")));
    let refused = of("other.sts.test").await.unwrap_err();
    assert!(refused.reply.is_temporary() && refused.kind == Failure::ValidationFailure);
    assert!(of("a.b.wide.test").await.is_err());
    assert_eq!(site.web.asked(), 1, "the policy is kept");
    assert_eq!(demand(&policies, "other.test", "mx.sts.test", false).await, Ok(ANY));

    let good = site.authority.issue(&["mx.sts.test"]);
    let facts = handshake(&policies, "mx.sts.test", &verified("mx.sts.test"), &good).await.unwrap();
    assert_eq!(facts.verified, Verified::WebPki);
    let strange = Identity::alone(&["mx.sts.test"], -1..10);
    let failure = handshake(&policies, "mx.sts.test", &verified("mx.sts.test"), &strange).await.unwrap_err();
    assert_eq!(failure.kind, Failure::CertificateNotTrusted);
    // RFC 8689: the policy vouches for the host's name.
    let policy = policies.domain("sts.test").await;
    assert_eq!(policies.host(&policy, "mx.sts.test", false, true).await, Ok(verified("mx.sts.test")));
}

#[tokio::test]
async fn a_policy_under_test_only_tells() {
    let site = site!();
    site.web.publish("testing", 86_400);
    let policies = site.open();
    let requirement = demand(&policies, "sts.test", "mx.sts.test", false).await.unwrap();
    assert!(matches!(&requirement, Requirement::Tested { cleartext_allowed: true, .. }));
    assert_eq!(demand(&policies, "sts.test", "other.sts.test", false).await, Ok(ANY));
    let strange = Identity::alone(&["mx.sts.test"], -1..10);
    let facts = handshake(&policies, "mx.sts.test", &requirement, &strange).await.unwrap();
    assert_eq!(facts.verified, Verified::No);
    assert_eq!(facts.violation.unwrap().kind, Failure::CertificateNotTrusted);
    let policy = policies.domain("sts.test").await;
    assert_eq!(policy.sts_mode(), Some(Mode::Testing));
    assert!(policies.host(&policy, "mx.sts.test", false, true).await.is_err(), "a test proves nothing");
}

#[tokio::test]
async fn a_new_id_brings_the_new_policy_and_the_mode_none_ends_it() {
    let mut site = site!();
    site.web.publish("enforce", 86_400);
    let policies = site.open();
    assert!(demand(&policies, "sts.test", "other.sts.test", false).await.is_err());
    site.web.publish("none", 86_400);
    assert!(demand(&policies, "sts.test", "other.sts.test", false).await.is_err(), "the id is the same");
    site.dns.restart(&zones("2"));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(demand(&policies, "sts.test", "other.sts.test", false).await, Ok(ANY));
    assert_eq!(site.web.asked(), 2);
}

#[tokio::test]
async fn a_kept_policy_holds_while_nobody_can_be_asked_and_after_a_restart() {
    let mut site = site!();
    site.web.publish("enforce", 86_400);
    assert!(demand(&site.open(), "sts.test", "other.sts.test", false).await.is_err());
    // The record says that there is something new, which cannot be fetched.
    site.web.say(http("500 Oops", "text/plain", "x"));
    site.dns.restart(&zones("2"));
    let again = site.open();
    assert!(demand(&again, "sts.test", "other.sts.test", false).await.is_err());
    // The record is gone, and then DNS itself.
    site.dns.restart(&[Zone::unsigned("sts.test", "mx A 192.0.2.1")]);
    assert!(demand(&site.open(), "sts.test", "other.sts.test", false).await.is_err());
    let policies = site.open();
    site.dns.stop();
    assert!(demand(&policies, "sts.test", "other.sts.test", false).await.is_err());
}

#[tokio::test]
async fn a_policy_is_fetched_again_before_its_end_without_anybody_asking() {
    let site = site!();
    site.web.publish("enforce", 1000);
    let policies = site.open();
    assert!(demand(&policies, "sts.test", "other.sts.test", false).await.is_err());
    let later = |seconds| std::time::SystemTime::now() + Duration::from_secs(seconds);
    policies.refresh(later(400)).await;
    assert_eq!(site.web.asked(), 1);
    // The id stays the same, which a careless keeper may forget to change (RFC 8461 §3.3).
    site.web.publish("none", 1000);
    policies.refresh(later(501)).await;
    assert_eq!(site.web.asked(), 2);
    assert_eq!(demand(&policies, "sts.test", "other.sts.test", false).await, Ok(ANY));
    site.web.say(http("500 Oops", "text/plain", "x"));
    for _ in 0..2 {
        policies.refresh(later(600)).await;
    }
    assert_eq!(site.web.asked(), 3, "not asked again at once");
}

#[tokio::test]
async fn domains_whose_policy_is_kept_are_bounded() {
    let hosts = "_mta-sts.a TXT \"v=STSv1; id=1\"\n_mta-sts.b TXT \"v=STSv1; id=1\"\n_mta-sts.c TXT \"v=STSv1; id=1\"\n";
    let Some(dns) = NameServer::start(&[Zone::unsigned("many.test", hosts)]) else { return };
    let authority = Authority::new("Web");
    let web = PolicyServer::start(&authority.issue(&[
        "mta-sts.a.many.test",
        "mta-sts.b.many.test",
        "mta-sts.c.many.test",
    ]))
    .await;
    web.publish("enforce", 1000);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let config = TlsConfig {
        https_server: Some(web.address),
        extra_ca: Some(folder.path().join("ca.pem")),
        policies: 2,
        ..config(folder.path())
    };
    let policies = open(&config, dns.resolver());
    for _ in 0..2 {
        for domain in ["a.many.test", "b.many.test", "c.many.test"] {
            assert!(demand(&policies, domain, "other.test", false).await.is_err(), "{domain}");
        }
    }
    // A displaced one is fetched again when it is needed.
    assert!(web.asked() > 3);
    assert!(files(folder.path()) <= 2);
}

#[tokio::test]
async fn a_policy_ends_with_its_max_age() {
    let mut site = site!();
    site.web.publish("enforce", 1);
    let policies = site.open();
    assert!(demand(&policies, "sts.test", "other.sts.test", false).await.is_err());
    site.dns.restart(&[Zone::unsigned("sts.test", "mx A 192.0.2.1")]);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(demand(&policies, "sts.test", "other.sts.test", false).await, Ok(ANY));
    assert_eq!(files(site.folder.path()), 0);
}

#[tokio::test]
async fn what_is_no_policy_is_none_and_is_asked_for_again_later() {
    let site = site!();
    let policies = site.open();
    let huge = format!("{}{}", policy("enforce", 1), "x: y\r\n".repeat(20_000));
    for rubbish in [
        http("200 OK", "text/html", &policy("enforce", 1)),
        http("302 Found", "text/plain", &policy("enforce", 1)),
        http("404 Not Found", "text/plain", ""),
        http("200 OK", "text/plain", "version: STSv1\r\nmode: enforce\r\nmax_age: 1\r\n"),
        http("200 OK", "text/plain", &huge),
        "220 not HTTP\r\n".to_owned(),
        String::new(),
    ] {
        site.web.say(rubbish.clone());
        let before = site.web.asked();
        for _ in 0..3 {
            assert_eq!(
                demand(&policies, "sts.test", "other.sts.test", false).await,
                Ok(ANY),
                "{rubbish:.60}"
            );
        }
        assert_eq!(site.web.asked(), before + 1, "not asked again at once: {rubbish:.60}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    site.web.publish("enforce", 86_400);
    assert!(demand(&policies, "sts.test", "other.sts.test", false).await.is_err());
}

#[tokio::test]
async fn a_policy_host_with_a_strange_certificate_or_none_at_all_is_not_believed() {
    let site = site!();
    let start = async |identity: &Identity| {
        let web = PolicyServer::start(identity).await;
        web.publish("enforce", 86_400);
        let config = TlsConfig { https_server: Some(web.address), ..site.config() };
        let policies = open(&config, site.dns.resolver());
        demand(&policies, "sts.test", "other.sts.test", false).await
    };
    let other = site.authority.issue(&["mta-sts.other.test"]);
    let strange = Identity::alone(&["mta-sts.sts.test"], -1..10);
    for identity in [&other, &strange] {
        assert_eq!(start(identity).await, Ok(ANY));
    }
    // Without the laboratory's server: the policy host has a loopback address, where a stranger's DNS may not lead us.
    let policies = open(&TlsConfig { https_server: None, ..site.config() }, site.dns.resolver());
    assert_eq!(demand(&policies, "sts.test", "other.sts.test", false).await, Ok(ANY));
}

#[tokio::test]
async fn a_policy_host_that_hangs_costs_the_deadline_once() {
    let site = site!();
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let config = TlsConfig {
        https_server: Some(silent.local_addr().unwrap()),
        fetch_deadline: Span::millis(500),
        fetch_again: Span::secs(60),
        ..site.config()
    };
    let policies = open(&config, site.dns.resolver());
    let started = std::time::Instant::now();
    let of = || demand(&policies, "sts.test", "mx.sts.test", false);
    let all = tokio::join!(of(), of(), of());
    assert_eq!(all, (Ok(ANY), Ok(ANY), Ok(ANY)));
    assert!(started.elapsed() < Duration::from_millis(1400), "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_operators_dane_is_not_satisfied_by_a_policy() {
    let site = site!();
    site.web.publish("enforce", 86_400);
    let minimum =
        DomainMinimum { domains: vec!["sts.test".to_owned()], level: MinimumLevel::Dane, names: Vec::new() };
    let policies = open(&TlsConfig { minimums: vec![minimum], ..site.config() }, site.dns.resolver());
    let failure = demand(&policies, "sts.test", "mx.sts.test", true).await.unwrap_err();
    assert_eq!(failure.kind, Failure::DaneRequired);
}

#[tokio::test]
async fn mta_sts_can_be_turned_off() {
    let site = site!();
    site.web.publish("enforce", 86_400);
    let policies = open(&TlsConfig { mta_sts: false, ..site.config() }, site.dns.resolver());
    assert_eq!(demand(&policies, "sts.test", "other.sts.test", false).await, Ok(ANY));
    assert_eq!(site.web.asked(), 0);
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("state/sts")).unwrap().count()
}

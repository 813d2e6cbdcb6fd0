//! TLS reports (RFC 8460): what is counted is what is sent, to who the domain names; and reports from elsewhere are read within bounds.

use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use chasqui_base::EmailAddress;
use chasqui_dns::testing::{NameServer, Zone};
use chasqui_relay::queue::Queue;
use chasqui_relay::sign::Signer;
use chasqui_relay::tls::report::{Queued, Report, ReportError, ReportMail, ReportMailer};
use chasqui_relay::tls::{Event, ReportConfig, Session, TlsConfig, TlsFailure, TlsPolicies};
use prometheus_client::registry::Registry;

use crate::authority::{Authority, Identity, tlsa};
use crate::site::{BOTH, config, handshake, open};

/// A post box that keeps what it is given, or refuses it.
#[derive(Default)]
struct PostBox {
    mails: Mutex<Vec<ReportMail>>,
    full: bool,
}

impl ReportMailer for PostBox {
    fn hand_in(&self, mail: ReportMail) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move {
            if self.full {
                return Err("the disk is full".to_owned());
            }
            self.mails.lock().unwrap().push(mail);
            Ok(())
        })
    }
}

fn reporting(folder: &std::path::Path) -> TlsConfig {
    let reports = ReportConfig {
        enabled: true,
        organization: Some("Example Institute".to_owned()),
        contact: Some(EmailAddress::parse("tls@example.org").unwrap()),
        domains: 5,
        failures: 3,
    };
    TlsConfig { reports, ..config(folder) }
}

fn tomorrow() -> SystemTime {
    SystemTime::now() + Duration::from_secs(86_400)
}

async fn note(policies: &TlsPolicies, domain: &str, host: &str, event: Event<'_>) {
    let policy = policies.domain(domain).await;
    let session = Session {
        host,
        remote: Some("192.0.2.1".parse().unwrap()),
        local: Some("192.0.2.9".parse().unwrap()),
        requirement: None,
    };
    policies.note(&policy, &session, event);
}

#[tokio::test]
async fn a_days_sessions_are_reported_by_mail_after_its_end() {
    let identity = Identity::alone(&["mx.dane.test"], -1..10);
    let zone = format!(
        "mx A 192.0.2.1\n_25._tcp.mx {}\n_smtp._tls TXT \"v=TLSRPTv1; rua=mailto:reports@dane.test\"\n",
        tlsa(3, 1, 1, &identity.public_key)
    );
    let Some(server) = NameServer::start(&[Zone::signed("dane.test", &zone)]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = reporting(folder.path());
    let policies = open(&config, server.resolver());
    let policy = policies.domain("dane.test").await;
    let requirement = policies.host(&policy, "mx.dane.test", true, false).await.unwrap();
    let session =
        Session { host: "mx.dane.test", remote: None, local: None, requirement: Some(&requirement) };
    let good = handshake(&policies, "mx.dane.test", &requirement, &identity).await.unwrap();
    let strange = Identity::alone(&["mx.dane.test"], -1..10);
    let bad = handshake(&policies, "mx.dane.test", &requirement, &strange).await.unwrap_err();
    policies.note(&policy, &session, Event::Secured(&good));
    for _ in 0..2 {
        policies.note(&policy, &session, Event::Failed(&bad));
    }

    let queue = Arc::new(PostBox::default());
    policies.send_reports("relay.example.org", queue.clone(), SystemTime::now()).await;
    assert!(queue.mails.lock().unwrap().is_empty(), "the day is not over");
    // What was counted is there after a restart.
    let policies = open(&config, server.resolver());
    for _ in 0..2 {
        policies.send_reports("relay.example.org", queue.clone(), tomorrow()).await;
    }
    let mails = queue.mails.lock().unwrap();
    let [mail] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert_eq!((mail.from.as_str(), mail.to.as_str()), ("tls@example.org", "reports@dane.test"));
    let text = String::from_utf8(mail.message.clone()).unwrap();
    assert!(text.lines().all(|line| line.len() < 998) && !text.replace("\r\n", "").contains('\n'));
    for line in [
        "TLS-Report-Domain: dane.test\r\n",
        "TLS-Report-Submitter: relay.example.org\r\n",
        "TLS-Required: No\r\n",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let report = Report::from_mail(&mail.message).unwrap();
    assert_eq!(report.organization_name.as_deref(), Some("Example Institute"));
    let [policy] = report.policies.as_slice() else { panic!("{report:?}") };
    assert_eq!(policy.policy.policy_type, "tlsa");
    assert!(policy.policy.policy_string[0].starts_with("3 1 1 "));
    assert_eq!(policy.summary.total_successful_session_count, 1);
    assert_eq!(policy.summary.total_failure_session_count, 2);
    let [failure] = policy.failure_details.as_slice() else { panic!("{policy:?}") };
    assert_eq!((failure.result_type.as_str(), failure.failed_session_count), ("tlsa-invalid", 2));
}

#[tokio::test]
async fn a_report_by_mail_is_queued_durably() {
    let folder = tempfile::tempdir().unwrap();
    let settings = chasqui_relay::config::Queue {
        path: folder.path().join("queue"),
        ..chasqui_relay::config::Queue::default()
    };
    let notices = chasqui_relay::config::Notice::default();
    let open_queue =
        || Queue::open(&settings, &notices, "relay.example.org", &mut Registry::default()).unwrap();
    let signer = Arc::new(Signer::open(&chasqui_relay::config::Signing::default()).unwrap());
    let address = |text| EmailAddress::parse(text).unwrap();
    let mail = ReportMail {
        from: address("tls@example.org"),
        to: address("reports@dane.test"),
        message: b"Subject: x\r\n\r\nx\r\n".to_vec(),
        message_id: "x@example.org".to_owned(),
    };
    Queued::new(open_queue(), signer).hand_in(mail).await.unwrap();
    let messages =
        std::process::Command::new("find").arg(folder.path()).args(["-type", "f", "-size", "+0"]).output();
    let listed = String::from_utf8(messages.unwrap().stdout).unwrap();
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let text = std::fs::read(listed.trim()).unwrap();
    for part in ["reports@dane.test", "tls@example.org", "Subject: x\r\n"] {
        assert!(text.windows(part.len()).any(|window| window == part.as_bytes()), "{part}");
    }
}

#[tokio::test]
async fn a_report_goes_over_https_where_the_domain_wants_that() {
    let zone = "_smtp._tls TXT \"v=TLSRPTv1; rua=https://reports.web.test/v1/tlsrpt\"\n";
    let Some(server) = NameServer::start(&[Zone::unsigned("web.test", zone)]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("Web");
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let receiver = receive(&authority.issue(&["reports.web.test"])).await;
    let config = TlsConfig {
        https_server: Some(receiver.0),
        extra_ca: Some(folder.path().join("ca.pem")),
        ..reporting(folder.path())
    };
    let policies = open(&config, server.resolver());
    note(&policies, "web.test", "mx.web.test", Event::Failed(&TlsFailure::not_offered())).await;
    policies.send_reports("relay.example.org", Arc::new(PostBox::default()), tomorrow()).await;
    let received = receiver.1.lock().unwrap();
    let (head, body) = received.split_at(received.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4);
    let head = String::from_utf8_lossy(head).to_lowercase();
    assert!(head.starts_with("post /v1/tlsrpt http/1.1\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/tlsrpt+gzip") && head.contains("host: reports.web.test\r\n")
    );
    let report = Report::unpack(body).unwrap();
    assert_eq!(report.policies[0].policy.policy_type, "no-policy-found");
    assert_eq!(report.policies[0].failure_details[0].result_type, "starttls-not-supported");
}

async fn receive(identity: &Identity) -> (std::net::SocketAddr, Arc<Mutex<Vec<u8>>>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let received = Arc::new(Mutex::new(Vec::new()));
    let (acceptor, into) = (tokio_rustls::TlsAcceptor::from(identity.server(BOTH)), Arc::clone(&received));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let mut request = Vec::new();
        let whole = |request: &[u8]| {
            let head = request.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
            let text = String::from_utf8_lossy(&request[..head]).to_lowercase();
            let length: usize = text.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
            Some(request.len() >= head + length)
        };
        while whole(&request) != Some(true) {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0);
        }
        *into.lock().unwrap() = request;
        stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
    });
    (address, received)
}

#[tokio::test]
async fn a_report_that_cannot_be_sent_waits_and_one_that_nobody_wants_does_not() {
    let zones = [
        Zone::unsigned("wants.test", "_smtp._tls TXT \"v=TLSRPTv1; rua=mailto:r@wants.test\"\n"),
        Zone::unsigned("quiet.test", ""),
        Zone::failing("failing.test"),
    ];
    let Some(server) = NameServer::start(&zones) else { return };
    let folder = tempfile::tempdir().unwrap();
    let policies = open(&reporting(folder.path()), server.resolver());
    for domain in ["wants.test", "quiet.test", "failing.test"] {
        note(&policies, domain, "mx.test", Event::Failed(&TlsFailure::not_offered())).await;
    }
    let full = Arc::new(PostBox { full: true, ..PostBox::default() });
    policies.send_reports("relay.example.org", full, tomorrow()).await;
    let waiting = || {
        let text = files(folder.path()).first().map(|path| std::fs::read_to_string(path).unwrap());
        let text = text.unwrap_or_default();
        ["wants.test", "quiet.test", "failing.test"].map(|domain| text.contains(domain))
    };
    assert_eq!(waiting(), [true, false, true]);
    let queue = Arc::new(PostBox::default());
    policies.send_reports("relay.example.org", queue.clone(), tomorrow()).await;
    assert_eq!((waiting(), queue.mails.lock().unwrap().len()), ([false, false, true], 1));
    // Two days later nobody wants to know any more.
    policies.send_reports("relay.example.org", queue, tomorrow() + Duration::from_secs(2 * 86_400)).await;
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn what_is_counted_is_bounded() {
    let Some(server) = NameServer::start(&[Zone::unsigned("many.test", "")]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let policies = open(&reporting(folder.path()), server.resolver());
    for domain in 0..20 {
        for host in 0..10 {
            let failure = TlsFailure::not_offered();
            let host = format!("mx{host}.test");
            note(&policies, &format!("d{domain}.many.test"), &host, Event::Failed(&failure)).await;
        }
    }
    policies.send_reports("relay.example.org", Arc::new(PostBox::default()), SystemTime::now()).await;
    let text = std::fs::read_to_string(&files(folder.path())[0]).unwrap();
    assert_eq!(text.matches(".many.test\"").count(), 5, "domains");
    assert_eq!(text.matches("\"kind\":\"starttls-not-supported\"").count(), 15, "kinds of failure");
    assert_eq!(text.matches("\"failures\":10").count(), 5, "all are counted");
}

#[tokio::test]
async fn reports_are_off_until_configured() {
    let folder = tempfile::tempdir().unwrap();
    let dns = chasqui_dns::Config { servers: vec![([127, 0, 0, 1], 9).into()], ..Default::default() };
    let config = TlsConfig { mta_sts: false, ..config(folder.path()) };
    let policies = open(&config, chasqui_dns::Resolver::new(&dns).unwrap());
    note(&policies, "x.test", "mx.test", Event::Failed(&TlsFailure::not_offered())).await;
    let queue = Arc::new(PostBox::default());
    policies.send_reports("relay.example.org", queue.clone(), tomorrow()).await;
    assert!(queue.mails.lock().unwrap().is_empty() && !folder.path().join("state/reports").exists());
}

fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("state/reports")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The folder of samples that the mail-auth package ships.
fn samples() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform"])
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "mail-auth").unwrap();
    PathBuf::from(package["manifest_path"].as_str().unwrap()).with_file_name("resources/tlsrpt")
}

#[test]
fn the_samples_of_mail_auth_are_read() {
    let mut read = 0;
    for entry in std::fs::read_dir(samples()).unwrap() {
        let path = entry.unwrap().path();
        let octets = std::fs::read(&path).unwrap();
        let report = match path.extension().unwrap().to_str().unwrap() {
            "eml" => Report::from_mail(&octets),
            _ => Report::unpack(&octets),
        };
        let report = report.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(!report.report_id.is_empty() && !report.policies.is_empty(), "{report:?}");
        assert!(report.policies.iter().all(|policy| !policy.policy.policy_type.is_empty()));
        // What we write of it is read back the same.
        assert_eq!(Report::unpack(&report.pack().unwrap()).unwrap(), report);
        if path.extension().unwrap() == "eml" {
            let expected = Report::unpack(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
            assert_eq!(report, expected, "{}", path.display());
        }
        read += 1;
    }
    assert!(read >= 5, "{read} samples");
}

#[test]
fn a_decompression_bomb_is_refused() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![b' '; 1 << 20];
    for _ in 0..256 {
        gzip.write_all(&block).unwrap();
    }
    let bomb = gzip.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    let started = std::time::Instant::now();
    assert!(matches!(Report::unpack(&bomb), Err(ReportError::TooLong)));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(matches!(Report::unpack(&vec![b' '; 5 << 20]), Err(ReportError::TooLong)));
    assert!(matches!(Report::unpack(b"\x1f\x8bnonsense"), Err(ReportError::Gzip(_))));
    let deep = "[".repeat(100_000);
    assert!(matches!(Report::unpack(deep.as_bytes()), Err(ReportError::Json(_))));
    assert!(matches!(Report::from_mail(b"Subject: x\r\n\r\nhello"), Err(ReportError::NoReport)));
}

proptest::proptest! {
    #[test]
    fn no_report_makes_us_panic(octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), text in "\\PC{0,200}") {
        let _ = (Report::unpack(&octets), Report::unpack(text.as_bytes()), Report::from_mail(&octets));
        let mut packed = vec![0x1f, 0x8b, 8, 0];
        packed.extend_from_slice(&octets);
        let _ = Report::unpack(&packed);
        let mail = format!("Content-Type: application/tlsrpt+json\r\n\r\n{text}");
        let _ = Report::from_mail(mail.as_bytes());
    }
}

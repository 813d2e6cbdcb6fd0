//! `chasqui demo`: a whole site, from its first start to yesterday's mail.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use common::{PATIENCE, Running, chasqui, json, refusal, run, stdout};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

/// A base at which every port of a demo is free now.
fn free_base() -> u16 {
    static ASKED: AtomicU16 = AtomicU16::new(0);
    let offsets = [
        25, 110, 143, 465, 587, 993, 995, 1024, 1110, 1143, 1587, 1701, 1702, 2024, 2110, 2143, 2525, 9101,
        9102, 9103, 9104, 9105, 9106, 9107,
    ];
    // Below the range from which the system gives ports to clients; another start for each process and each call.
    let start = (std::process::id() % 1000) as u16 * 13 + ASKED.fetch_add(1, Ordering::Relaxed) * 7;
    let mut bases = (0..1000).map(|n| 10_000 + (start + n * 17) % 13_000);
    bases
        .find(|base| offsets.iter().all(|offset| TcpListener::bind(("127.0.0.1", base + offset)).is_ok()))
        .unwrap()
}

fn demo(dir: &Path, base: u16, more: &[&str]) -> std::process::Command {
    let mut command = chasqui();
    command
        .args(["demo", "--json", "--dir", dir.to_str().unwrap(), "--port-base", &base.to_string()])
        .args(more);
    command
}

/// Starts a demo at ports of its own and waits until it is ready. Another test may take one of the ports in between: then once more.
fn start(dir: &Path, more: &[&str]) -> (Running, Value, u16) {
    for _ in 0..5 {
        let base = free_base();
        let mut running = Running::start(&mut demo(dir, base, more));
        let line = running.line();
        if !line.is_empty() {
            return (running, serde_json::from_str(&line).unwrap(), base);
        }
    }
    panic!("the demo does not start");
}

/// A conversation in lines.
struct Talk<S: Read + Write>(BufReader<S>);

fn connected(address: &Value) -> TcpStream {
    let stream = TcpStream::connect(address.as_str().unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

impl Talk<TcpStream> {
    fn with(address: &Value) -> Self {
        Self(BufReader::new(connected(address)))
    }
}

impl Talk<StreamOwned<ClientConnection, TcpStream>> {
    /// Over TLS, with the certificate that mail programs are told to trust.
    fn over_tls(ready: &Value, service: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ready["ca"].as_str().unwrap()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let tls = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
        Self(BufReader::new(StreamOwned::new(tls, connected(&ready["endpoints"][service]))))
    }
}

impl<S: Read + Write> Talk<S> {
    fn say(&mut self, line: &str) {
        write!(self.0.get_mut(), "{line}\r\n").unwrap();
    }

    /// Reads until a line that begins with `what`.
    fn until(&mut self, what: &str) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "no {what} in {all}");
            let found = line.starts_with(what);
            all.push_str(&line);
            if found {
                return all;
            }
        }
    }
}

fn send(ready: &Value, to: &str, subject: &str) {
    let mut smtp = Talk::with(&ready["endpoints"]["smtp"]);
    smtp.until("220 ");
    smtp.say("EHLO localhost");
    smtp.until("250 ");
    for (command, reply) in
        [("MAIL FROM:<ana@otro.test>", "250"), (&format!("RCPT TO:<{to}>"), "250"), ("DATA", "354")]
    {
        smtp.say(command);
        smtp.until(reply);
    }
    smtp.say(&format!("Subject: {subject}\r\n\r\nHola.\r\n."));
    smtp.until("250");
    smtp.say("QUIT");
    smtp.until("221");
}

fn inbox(ready: &Value, account: &str) -> String {
    let mut imap = Talk::with(&ready["endpoints"]["imap"]);
    imap.until("* OK");
    imap.say(&format!("a LOGIN {account} chasqui-demo"));
    imap.until("a OK");
    imap.say("b SELECT INBOX");
    imap.until("b OK");
    imap.say("c FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]");
    let fetched = imap.until("c ");
    imap.say("d LOGOUT");
    imap.until("d OK");
    fetched
}

#[test]
fn a_demo_delivers_to_both_nodes_and_finds_yesterdays_mail() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("mi demo");
    let (mut running, ready, base) = start(&dir, &[]);
    assert_eq!(ready["accounts"].as_array().unwrap().len(), 4);
    for service in ready["endpoints"].as_object().unwrap().values() {
        TcpStream::connect(service.as_str().unwrap()).unwrap();
    }
    send(&ready, "ana@ejemplo.test", "uno");
    send(&ready, "beto+tag@ejemplo.test", "dos");
    assert!(inbox(&ready, "ana@ejemplo.test").contains("Subject: uno"));
    assert!(inbox(&ready, "beto@ejemplo.test").contains("Subject: dos"));

    // The operator's commands find the database, and what they change is seen within a second, without a restart.
    let config = ready["configs"]["directory1"].as_str().unwrap();
    let listed = json(&run(&["user", "list", "--json", "--config", config]));
    let nodes: std::collections::BTreeSet<_> =
        listed.as_array().unwrap().iter().map(|u| u["node"].as_str().unwrap()).collect();
    assert_eq!(nodes.into_iter().collect::<Vec<_>>(), ["storage1", "storage2"]);
    stdout(&run(&[
        "alias",
        "add",
        "todos@ejemplo.test",
        "carla@ejemplo.test",
        "diego@ejemplo.test",
        "--config",
        config,
    ]));
    std::thread::sleep(Duration::from_secs(1));
    send(&ready, "todos@ejemplo.test", "tres");
    assert!(inbox(&ready, "carla@ejemplo.test").contains("Subject: tres"));
    assert!(inbox(&ready, "diego@ejemplo.test").contains("Subject: tres"));

    // Another demo cannot take the folder, nor the ports.
    assert!(refusal(&demo(&dir, base, &[]).output().unwrap()).contains("another demo is running"));
    assert!(refusal(&demo(&dir, base, &["--fresh"]).output().unwrap()).contains("another demo is running"));
    let other = outer.path().join("otra");
    assert!(refusal(&demo(&other, base, &[]).output().unwrap()).contains("already listens"));

    running.signal("INT");
    assert_eq!(running.ended(), Some(0));

    // The next start finds the mail, also at other ports.
    let (mut running, ready, _) = start(&dir, &[]);
    assert!(inbox(&ready, "ana@ejemplo.test").contains("Subject: uno"));
    send(&ready, "beto@ejemplo.test", "cuatro");
    assert!(inbox(&ready, "beto@ejemplo.test").contains("Subject: cuatro"));
    running.signal("TERM");
    assert_eq!(running.ended(), Some(0));

    let (mut running, ready, _) = start(&dir, &["--fresh"]);
    assert!(!inbox(&ready, "ana@ejemplo.test").contains("Subject: uno"));
    running.signal("TERM");
    assert_eq!(running.ended(), Some(0));
}

#[test]
fn what_a_user_sends_out_is_kept_in_the_sink_and_told_of() {
    let outer = tempfile::tempdir().unwrap();
    let (mut running, ready, _) = start(&outer.path().join("demo"), &[]);
    let mut smtp = Talk::over_tls(&ready, "submissions");
    smtp.until("220 ");
    smtp.say("EHLO localhost");
    smtp.until("250 ");
    for (command, reply) in [
        ("AUTH PLAIN AGFuYUBlamVtcGxvLnRlc3QAY2hhc3F1aS1kZW1v", "235"),
        ("MAIL FROM:<ana@ejemplo.test>", "250"),
        ("RCPT TO:<maria@example.org>", "250"),
        ("RCPT TO:<beto@ejemplo.test>", "250"),
        ("DATA", "354"),
        ("From: ana@ejemplo.test\r\nTo: maria@example.org\r\nSubject: afuera\r\n\r\nHola.\r\n.", "250"),
        ("QUIT", "221"),
    ] {
        smtp.say(command);
        smtp.until(reply);
    }
    let told: Value = serde_json::from_str(&running.line()).unwrap();
    let left = &told["left"];
    assert_eq!(left["from"], "ana@ejemplo.test");
    assert_eq!(left["to"], serde_json::json!(["maria@example.org"]));
    assert_eq!((&left["subject"], &left["tls"]), (&Value::from("afuera"), &Value::from(true)));
    let text = std::fs::read_to_string(left["file"].as_str().unwrap()).unwrap();
    assert!(
        text.starts_with("Return-Path: <ana@ejemplo.test>\r\nX-Original-To: maria@example.org\r\n"),
        "{text}"
    );
    assert!(text.contains("\r\nDKIM-Signature: ") && text.contains("d=ejemplo.test"), "{text}");
    // Who is of the site gets it from the same queue.
    let deadline = Instant::now() + PATIENCE;
    while !inbox(&ready, "beto@ejemplo.test").contains("Subject: afuera") {
        assert!(Instant::now() < deadline, "beto has nothing");
        std::thread::sleep(Duration::from_millis(50));
    }
    running.signal("TERM");
    assert_eq!(running.ended(), Some(0));
}

#[test]
fn each_role_starts_alone_from_the_demos_files() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("demo");
    let (mut running, ready, _) = start(&dir, &[]);
    running.signal("TERM");
    assert_eq!(running.ended(), Some(0));
    let mut roles: Vec<Running> = Vec::new();
    for (role, name) in [
        ("directory", "directory1"),
        ("directory", "directory2"),
        ("storage", "storage1"),
        ("storage", "storage2"),
        ("mx", "mx"),
        ("proxy", "proxy"),
        ("relay", "relay"),
    ] {
        roles.push(Running::start(chasqui().args([
            role,
            "--log",
            "error",
            "--config",
            ready["configs"][name].as_str().unwrap(),
        ])));
    }
    for page in ready["metrics"].as_object().unwrap().values() {
        let address =
            page.as_str().unwrap().trim_start_matches("http://").trim_end_matches("/metrics").to_owned();
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < deadline, "{address} is not served");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    send(&ready, "diego@ejemplo.test", "aparte");
    assert!(inbox(&ready, "diego@ejemplo.test").contains("Subject: aparte"));
    for role in roles.iter_mut().rev() {
        role.signal("TERM");
        assert_eq!(role.ended(), Some(0));
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_refused_with_one_sentence() {
    let outer = tempfile::tempdir().unwrap();
    let file = outer.path().join("archivo");
    std::fs::write(&file, "x").unwrap();
    assert!(
        refusal(&demo(&file.join("demo"), free_base(), &[]).output().unwrap()).contains("cannot be used")
    );
    let foreign = outer.path().join("tesis");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("capitulo1.txt"), "x").unwrap();
    assert!(
        refusal(&demo(&foreign, free_base(), &["--fresh"]).output().unwrap()).contains("no demo of ours")
    );
    assert!(foreign.join("capitulo1.txt").exists());
}

#[test]
fn a_damaged_database_is_refused_with_one_sentence() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("demo");
    let (mut running, _, base) = start(&dir, &[]);
    running.signal("TERM");
    assert_eq!(running.ended(), Some(0));
    for tail in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(dir.join(format!("directory.sqlite{tail}")));
    }
    std::fs::write(dir.join("directory.sqlite"), "no database ".repeat(1000)).unwrap();
    let text = refusal(&demo(&dir, base, &[]).output().unwrap());
    assert!(text.contains("directory.sqlite"), "{text}");
    // And it is not half started: the first port is free.
    TcpListener::bind(("127.0.0.1", base + 25)).unwrap();
}

#[test]
fn people_get_a_table_and_four_commands() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("demo");
    let base = free_base();
    let mut running = Running::start(chasqui().args([
        "demo",
        "--dir",
        dir.to_str().unwrap(),
        "--port-base",
        &base.to_string(),
    ]));
    let mut text = String::new();
    while !text.contains("Ctrl-C") {
        let line = running.line();
        assert!(!line.is_empty(), "{text}");
        text.push_str(&line);
    }
    for expected in [
        format!("smtp://localhost:{}", base + 25),
        format!("imaps://localhost:{}", base + 993),
        format!("pop3s://localhost:{}", base + 995),
        format!("smtps://localhost:{}", base + 465),
        "--cacert".into(),
        "chasqui-demo".into(),
        "ana@ejemplo.test".into(),
    ] {
        assert!(text.contains(&expected), "{expected} in {text}");
    }
    running.signal("INT");
    assert_eq!(running.ended(), Some(0));
}

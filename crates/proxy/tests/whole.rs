//! The proxy between real roles: a directory with its database, and storage nodes with certificates.

use std::path::Path;
use std::time::Duration;

use chasqui_base::net::{Endpoint, Stream};
use chasqui_base::tls::{PublicTlsFiles, Role, RoleTls, TlsFiles};
use chasqui_base::{DomainName, EmailAddress, Lifecycle, RoleService, Secret, Span, pki};
use chasqui_directory::admin::{Database, NewUser};
use chasqui_directory::{ClientConfig, DirectoryService, KeyFile, Node};
use chasqui_proxy::ProxyService;
use chasqui_storage::StorageService;
use prometheus_client::registry::Registry;
use tokio::io::AsyncWriteExt;

const PASSWORD: &str = "chasqui-demo";

/// A directory, two storage nodes and a proxy, all under TLS.
struct Site {
    proxy: ProxyService,
    nodes: Vec<(StorageService, Lifecycle)>,
    directory: (DirectoryService, Lifecycle),
    webmail: RoleTls,
    run: Lifecycle,
    _dir: tempfile::TempDir,
}

fn client_config(dir: &Path, server: &str) -> ClientConfig {
    ClientConfig { servers: vec![server.parse().unwrap()], keys: dir.join("keys"), ..ClientConfig::default() }
}

impl Site {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let ca = pki::create_ca(dir, "test").unwrap();
        let issue = |name: &str, role| ca.issue(dir, name, &[role], &["localhost", "127.0.0.1"]).unwrap();
        KeyFile::create(&dir.join("keys")).unwrap();
        let database = Database::open(&dir.join("directory.sqlite")).await.unwrap();

        let mut config = chasqui_directory::Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            keys: dir.join("keys"),
            ..chasqui_directory::Config::default()
        };
        config.database.path = dir.join("directory.sqlite");
        config.database.poll = Span::millis(20);
        let directory = DirectoryService::bind(config, &mut Registry::default()).await.unwrap();
        let directory = (directory, Lifecycle::new());
        directory.0.start(&directory.1);
        let server = directory.0.endpoints()[0].1.clone();

        let domain = DomainName::parse("ejemplo.test").unwrap();
        let mut nodes = Vec::new();
        for (name, user) in [("storage1", "ana"), ("storage2", "beto")] {
            let mut config = chasqui_storage::Config {
                name: name.to_owned(),
                lmtp: "127.0.0.1:0".parse().unwrap(),
                imap: "127.0.0.1:0".parse().unwrap(),
                pop3: "127.0.0.1:0".parse().unwrap(),
                tls: Some(issue(name, Role::Storage)),
                directory: client_config(dir, &server),
                ..chasqui_storage::Config::default()
            };
            config.store.root = dir.join(format!("mail-{name}"));
            std::fs::create_dir_all(&config.store.root).unwrap();
            let storage = StorageService::bind(config, &mut Registry::default()).await.unwrap();
            let run = Lifecycle::new();
            storage.start(&run);
            let endpoint = |wanted: &str| -> Endpoint {
                let endpoints = storage.endpoints();
                endpoints.iter().find(|(found, _)| *found == wanted).unwrap().1.parse().unwrap()
            };
            let (lmtp, imap, pop3) = (endpoint("lmtp"), endpoint("imap"), endpoint("pop3"));
            database.add_node(&Node { name: name.to_owned(), lmtp, imap, pop3 }).await.unwrap();
            if nodes.is_empty() {
                database.add_domain(&domain, None).await.unwrap();
            }
            let address = EmailAddress::from_parts(user, &domain).unwrap();
            let mut new = NewUser::new(address, Some(Secret::new(PASSWORD.to_owned())));
            new.node = Some(name.to_owned());
            database.add_user(&new).await.unwrap();
            nodes.push((storage, run));
        }
        database.close().await;

        let identity = issue("proxy", Role::Proxy);
        let TlsFiles { certificate, key, .. } = identity.clone();
        let config = chasqui_proxy::Config {
            imap: vec!["127.0.0.1:0".parse().unwrap()],
            imaps: vec!["127.0.0.1:0".parse().unwrap()],
            pop3: vec!["127.0.0.1:0".parse().unwrap()],
            directory: client_config(dir, &server),
            public_tls: Some(PublicTlsFiles { certificate, key }),
            tls: Some(identity),
            ..chasqui_proxy::Config::default()
        };
        let proxy = ProxyService::bind(config, &mut Registry::default()).await.unwrap();
        let run = Lifecycle::new();
        proxy.start(&run);
        let webmail = RoleTls::load(&issue("webmail", Role::Webmail)).unwrap();
        // A change of the database is seen within a second.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Self { proxy, nodes, directory, webmail, run, _dir: folder }
    }

    async fn connect(&self, service: &str) -> Client {
        let endpoints = self.proxy.endpoints();
        let (_, address) = endpoints.iter().find(|(name, _)| *name == service).unwrap();
        let endpoint: Endpoint = address.parse().unwrap();
        let mut stream = endpoint.connect(Duration::from_secs(5)).await.unwrap();
        if service.ends_with('s') {
            stream = self.webmail.connect(stream, "127.0.0.1", Role::Proxy).await.unwrap();
        }
        let mut client = Client { stream, received: Vec::new(), greeting: String::new() };
        client.greeting = client.line().await;
        client
    }

    async fn end(self) {
        self.run.drain(Duration::from_secs(5)).await;
        self.proxy.close().await;
        for (storage, run) in &self.nodes {
            run.drain(Duration::from_secs(5)).await;
            storage.close().await;
        }
        self.directory.1.drain(Duration::from_secs(5)).await;
        self.directory.0.close().await;
    }
}

struct Client {
    stream: Stream,
    received: Vec<u8>,
    greeting: String,
}

impl Client {
    async fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.received.iter().position(|&octet| octet == b'\n') {
                let line: Vec<u8> = self.received.drain(..=at).collect();
                return String::from_utf8(line).unwrap();
            }
            let reading = self.stream.read_more(&mut self.received, 4096);
            let read =
                tokio::time::timeout(Duration::from_secs(20), reading).await.expect("an answer in time");
            if !matches!(read, Ok(1..)) {
                return String::new();
            }
        }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends a POP3 command and reads its status.
    async fn ask(&mut self, text: &str) -> String {
        self.send(&format!("{text}\r\n")).await;
        self.line().await
    }

    /// Sends an IMAP command with the tag `t`; gives everything up to its tagged reply.
    async fn command(&mut self, text: &str) -> Vec<String> {
        self.send(&format!("t {text}\r\n")).await;
        let mut lines = Vec::new();
        loop {
            lines.push(self.line().await);
            let last = lines.last().unwrap();
            if last.starts_with("t ") || last.is_empty() {
                return lines;
            }
        }
    }
}

fn words(text: &str) -> Vec<&str> {
    let (_, list) = text.split_once("[CAPABILITY ").unwrap();
    list.split_once(']').unwrap().0.split(' ').collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_works_through_the_proxy_as_at_the_node_itself() {
    let site = Site::start().await;
    for (user, service) in [("ana", "imap"), ("beto", "imaps")] {
        let mut imap = site.connect(service).await;
        let opened = imap.command(&format!("LOGIN {user}@ejemplo.test {PASSWORD}")).await;
        let opened = opened.last().unwrap();
        assert!(opened.starts_with("t OK "), "{opened}");

        // What was promised before the log-in holds after it.
        let after = words(opened);
        for promised in words(&imap.greeting) {
            let of_log_in = promised == "STARTTLS" || promised.starts_with("AUTH=");
            assert!(of_log_in || after.contains(&promised), "{promised} is not in {after:?}");
        }

        let message = "Subject: hola\r\n\r\nHola\r\n";
        imap.send(&format!("a APPEND INBOX {{{}+}}\r\n{message}\r\n", message.len())).await;
        let appended = imap.line().await;
        assert!(appended.starts_with("a OK "), "{appended}");
        let selected = imap.command("SELECT INBOX").await;
        assert!(selected.iter().any(|line| line == "* 1 EXISTS\r\n"), "{selected:?}");
        assert!(imap.command("LOGOUT").await[0].starts_with("* BYE"));

        let mut pop3 = site.connect("pop3").await;
        assert!(pop3.ask(&format!("USER {user}@ejemplo.test")).await.starts_with("+OK"));
        assert!(pop3.ask(&format!("PASS {PASSWORD}")).await.starts_with("+OK"));
        assert_eq!(pop3.ask("STAT").await, format!("+OK 1 {}\r\n", message.len()));
        assert!(pop3.ask("QUIT").await.starts_with("+OK"));
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_unknown_users_and_lost_nodes_are_told_apart_as_far_as_they_may() {
    let site = Site::start().await;
    let mut imap = site.connect("imap").await;
    for login in ["ana@ejemplo.test", "nobody@ejemplo.test", "ana@elsewhere.test", "ana"] {
        let refused = imap.command(&format!("LOGIN {login} wrong")).await;
        assert_eq!(refused, ["t NO [AUTHENTICATIONFAILED] Wrong user name or password\r\n"], "{login}");
    }
    // storage1 goes; who was there is cut, who comes is told, and storage2 does not notice.
    let mut open = site.connect("imaps").await;
    assert!(
        open.command(&format!("LOGIN ana@ejemplo.test {PASSWORD}")).await.last().unwrap().starts_with("t OK")
    );
    site.nodes[0].1.drain(Duration::from_secs(5)).await;
    assert!(open.line().await.starts_with("* BYE"));
    assert!(open.line().await.is_empty());
    let mut imap = site.connect("imap").await;
    let refused = imap.command(&format!("LOGIN ana@ejemplo.test {PASSWORD}")).await;
    assert!(refused[0].starts_with("t NO [UNAVAILABLE] "), "{refused:?}");
    let mut pop3 = site.connect("pop3").await;
    pop3.ask("USER ana@ejemplo.test").await;
    assert!(pop3.ask(&format!("PASS {PASSWORD}")).await.starts_with("-ERR [SYS/TEMP] "));
    let mut imap = site.connect("imap").await;
    let opened = imap.command(&format!("LOGIN beto@ejemplo.test {PASSWORD}")).await;
    assert!(opened.last().unwrap().starts_with("t OK "), "{opened:?}");
    drop(imap);

    // No directory: nobody's fault.
    site.directory.1.drain(Duration::from_secs(5)).await;
    site.directory.0.close().await;
    let mut imap = site.connect("imap").await;
    let refused = imap.command(&format!("LOGIN beto@ejemplo.test {PASSWORD}")).await;
    assert!(refused[0].starts_with("t NO [UNAVAILABLE] "), "{refused:?}");
    site.end().await;
}

//! The exchanger as a whole, over real sockets and folders, with an LMTP server of our own in place of storage nodes.

mod faults;
mod filters;
mod node;
mod paths;
mod replies;
mod spooling;

use crate::{Config, MxService, config::WhenUnavailable};
use chasqui_base::{
    EmailAddress, Lifecycle, RoleService as _, Span, StartError,
    net::{Endpoint, Stream},
    tls::RoleTls,
};
use chasqui_courier::Source;
use chasqui_directory::{AccountRecord, AccountState, DirectoryUnavailable, LookUp, Node, Services, Target};
use node::FakeNode;
use prometheus_client::registry::Registry;
use std::{
    collections::HashMap,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::io::AsyncWriteExt as _;

/// A directory in memory. Without an answer for an address, no server answers.
#[derive(Default)]
pub(crate) struct Table {
    pub known: HashMap<EmailAddress, LookUp>,
    pub silent: bool,
}

impl Table {
    pub(crate) fn get(&self, address: &EmailAddress) -> Option<LookUp> {
        if self.silent {
            return None;
        }
        let ours = if address.domain() == "ejemplo.test" { LookUp::Unknown } else { LookUp::NotOurs };
        Some(self.known.get(address).cloned().unwrap_or(ours))
    }
}

/// A table where directory servers would be asked.
struct Listed(Arc<Mutex<Table>>);

impl Source for Listed {
    fn look_up<'a>(
        &'a self,
        address: &'a EmailAddress,
    ) -> Pin<Box<dyn Future<Output = Result<LookUp, DirectoryUnavailable>> + Send + 'a>> {
        let found = self.0.lock().ok().and_then(|table| table.get(address)).ok_or(DirectoryUnavailable);
        Box::pin(std::future::ready(found))
    }

    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<(), StartError>> + Send + '_>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

pub(crate) fn address(text: &str) -> EmailAddress {
    if text.contains('@') { text.parse().unwrap() } else { format!("{text}@ejemplo.test").parse().unwrap() }
}

fn record(account: &str, node: &FakeNode) -> AccountRecord {
    AccountRecord {
        account: address(account),
        tag: None,
        node: Arc::new(Node {
            name: node.name.clone(),
            lmtp: node.endpoint.parse().unwrap(),
            imap: "127.0.0.1:1".parse().unwrap(),
            pop3: "127.0.0.1:1".parse().unwrap(),
        }),
        quota: None,
        over_quota: false,
        state: AccountState::Active,
        services: Services::ALL,
        uid: None,
        gid: None,
    }
}

/// An exchanger on a free port.
struct Site {
    service: MxService,
    run: Lifecycle,
    table: Arc<Mutex<Table>>,
    registry: Registry,
    folder: Arc<tempfile::TempDir>,
}

/// Settings with pauses short enough for tests.
fn quick() -> Config {
    let mut config = Config { hostname: "mx.ejemplo.test".into(), ..Config::default() };
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    config.delivery.back_off = Span::millis(20);
    config.delivery.longest_back_off = Span::millis(100);
    config.delivery.reply_timeout = Span::secs(5);
    config.spool.first_pause = Span::millis(50);
    config.spool.longest_pause = Span::millis(200);
    config
}

impl Site {
    fn start(config: Config) -> Self {
        Self::start_in(config, Arc::new(tempfile::tempdir().unwrap()), Arc::default(), None)
    }

    fn start_in(
        mut config: Config,
        folder: Arc<tempfile::TempDir>,
        table: Arc<Mutex<Table>>,
        tls: Option<RoleTls>,
    ) -> Self {
        config.spool.path = folder.path().join("spool");
        let mut registry = Registry::default();
        let directory = Arc::new(Listed(Arc::clone(&table)));
        let service = MxService::assemble(config, directory, tls, &mut registry).unwrap();
        let run = Lifecycle::new();
        service.start(&run);
        Self { service, run, table, registry, folder }
    }

    fn refusing() -> Self {
        Self::start(Config { when_unavailable: WhenUnavailable::Refuse, ..quick() })
    }

    fn add(&self, account: &str, node: &FakeNode) {
        self.know(account, vec![Target::Account(record(account, node))]);
    }

    fn know(&self, name: &str, targets: Vec<Target>) {
        self.table.lock().unwrap().known.insert(address(name), LookUp::Found(targets));
    }

    async fn client(&self) -> Client {
        let mut client = self.connect().await;
        assert!(client.reply().await.starts_with("220 mx.ejemplo.test ESMTP"));
        assert!(client.say("EHLO client.example").await.starts_with("250"));
        client
    }

    async fn connect(&self) -> Client {
        let endpoint: Endpoint = self.service.endpoints()[0].1.parse().unwrap();
        Client { stream: endpoint.connect(Duration::from_secs(5)).await.unwrap(), input: Vec::new() }
    }

    /// Sends one message; the reply to its end.
    async fn send(&self, recipients: &[&str], text: &str) -> String {
        self.client().await.send(recipients, text).await
    }

    fn spooled(&self, folder: &str, extension: &str) -> Vec<PathBuf> {
        let folder = self.folder.path().join("spool").join(folder);
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
    }

    fn metrics(&self) -> String {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).unwrap();
        page
    }

    async fn stop(self) -> (Arc<tempfile::TempDir>, Arc<Mutex<Table>>) {
        assert_eq!(self.run.drain(Duration::from_secs(5)).await, 0);
        self.service.close().await;
        (self.folder, self.table)
    }
}

struct Client {
    stream: Stream,
    input: Vec<u8>,
}

impl Client {
    async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn say(&mut self, command: &str) -> String {
        self.write(&format!("{command}\r\n")).await;
        self.reply().await
    }

    /// One reply with all its lines; empty at the end of the connection.
    async fn reply(&mut self) -> String {
        loop {
            let text = String::from_utf8(self.input.clone()).unwrap();
            let mut length = 0;
            for line in text.split_inclusive("\r\n") {
                length += line.len();
                if line.ends_with("\r\n") && line.as_bytes().get(3) == Some(&b' ') {
                    self.input.drain(..length);
                    return text[..length].trim_end().to_owned();
                }
            }
            let read =
                tokio::time::timeout(Duration::from_secs(10), self.stream.read_more(&mut self.input, 4096));
            match read.await.expect("a reply in time") {
                Ok(0) | Err(_) => return String::new(),
                Ok(_) => {}
            }
        }
    }

    /// A whole transaction. The reply to its end, or the first refusal.
    async fn send(&mut self, recipients: &[&str], text: &str) -> String {
        assert!(self.say("MAIL FROM:<Sender@example.org>").await.starts_with("250"));
        for recipient in recipients {
            let reply = self.say(&format!("RCPT TO:<{}>", address(recipient))).await;
            if !reply.starts_with("250") {
                return reply;
            }
        }
        let reply = self.say("DATA").await;
        if !reply.starts_with("354") {
            return reply;
        }
        self.write(text).await;
        self.say(".").await
    }
}

/// Waits until `check` holds.
async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let started = Instant::now();
    while !check() {
        assert!(started.elapsed() < Duration::from_secs(10), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

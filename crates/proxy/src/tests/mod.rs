//! Whole sessions in process: a client, the proxy, a directory that is a table, and storage nodes written from the
//! protocol crates.

mod failures;
mod imap;
mod node;
mod pop3;
mod tls;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use chasqui_base::net::{Endpoint, Stream};
use chasqui_base::tls::RoleTls;
use chasqui_base::{EmailAddress, Lifecycle, RoleService, Secret, Span};
use chasqui_directory::{AccountRecord, AccountState, DirectoryUnavailable, Node, Services, Verdict};
use prometheus_client::registry::Registry;
use tokio::io::AsyncWriteExt;

use crate::config::Config;
use crate::service::ProxyService;
use crate::shared::{Verifier, Verifying};

pub const PASSWORD: &str = "chasqui-demo";

/// A directory that is a table. Everybody's password is [`PASSWORD`].
#[derive(Default)]
pub struct Table {
    accounts: Mutex<HashMap<String, Verdict>>,
    silent: AtomicBool,
    slow: AtomicBool,
    asked: AtomicUsize,
}

impl Table {
    pub fn add(&self, login: &str, node: &Arc<Node>, services: Services) {
        let record = AccountRecord {
            account: EmailAddress::parse(login).unwrap(),
            tag: None,
            node: Arc::clone(node),
            quota: None,
            over_quota: false,
            state: AccountState::Active,
            services,
            uid: None,
            gid: None,
        };
        self.accounts.lock().unwrap().insert(login.to_owned(), Verdict::Yes(record));
    }

    pub fn disable(&self, login: &str) {
        self.accounts.lock().unwrap().insert(login.to_owned(), Verdict::Disabled);
    }

    /// From now on no directory answers.
    pub fn fall_silent(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    /// From now on verdicts take a while, and longer when the password is right.
    pub fn slow_down(&self) {
        self.slow.store(true, Ordering::Relaxed);
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Verifier for Table {
    fn verify<'a>(&'a self, login: &'a str, password: &'a Secret) -> Verifying<'a> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let verdict = match self.accounts.lock().unwrap().get(&login.to_lowercase()) {
            _ if self.silent.load(Ordering::Relaxed) => Err(DirectoryUnavailable),
            Some(verdict) if password.matches(PASSWORD) => Ok(verdict.clone()),
            _ => Ok(Verdict::No),
        };
        let milliseconds = match verdict {
            _ if !self.slow.load(Ordering::Relaxed) => return Box::pin(std::future::ready(verdict)),
            Ok(Verdict::No) => 300,
            _ => 900,
        };
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            verdict
        })
    }
}

/// A proxy with its directory.
pub struct Site {
    pub directory: Arc<Table>,
    pub proxy: ProxyService,
    pub run: Lifecycle,
    pub metrics: Registry,
}

impl Site {
    /// Starts a proxy with cleartext IMAP and POP3 on loopback and short delays; `change` may make it another.
    pub fn start(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            imap: vec!["127.0.0.1:0".parse().unwrap()],
            pop3: vec!["127.0.0.1:0".parse().unwrap()],
            ..Config::default()
        };
        config.guessing.first_delay = Span::millis(1);
        config.guessing.longest_delay = Span::millis(4);
        change(&mut config);
        config.check().unwrap();
        let role_tls = config.tls.as_ref().map(|files| RoleTls::load(files).unwrap());
        let directory = Arc::new(Table::default());
        let mut metrics = Registry::default();
        let verifier = Arc::clone(&directory) as Arc<dyn Verifier>;
        let proxy = ProxyService::bind_with(config, role_tls, verifier, &mut metrics).unwrap();
        let run = Lifecycle::new();
        proxy.start(&run);
        Self { directory, proxy, run, metrics }
    }

    /// An account on a node, with every service.
    pub fn account(&self, login: &str, node: &Arc<Node>) {
        self.directory.add(login, node, Services::ALL);
    }

    /// Connects to one of the proxy's services and reads nothing yet.
    pub async fn connect(&self, service: &str) -> Client {
        let endpoints = self.proxy.endpoints();
        let (_, address) = endpoints.iter().find(|(name, _)| *name == service).unwrap();
        let endpoint: Endpoint = address.parse().unwrap();
        Client { stream: endpoint.connect(Duration::from_secs(5)).await.unwrap(), received: Vec::new() }
    }

    pub fn metric(&self, line: &str) -> bool {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.metrics).unwrap();
        page.lines().any(|found| found == line)
    }
}

/// The other end of a client's connection.
pub struct Client {
    pub stream: Stream,
    received: Vec<u8>,
}

impl Client {
    /// Sends text as it is.
    pub async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next line with its end; empty at the end of the stream.
    pub async fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.received.iter().position(|&octet| octet == b'\n') {
                let line: Vec<u8> = self.received.drain(..=at).collect();
                return String::from_utf8(line).unwrap();
            }
            let reading = self.stream.read_more(&mut self.received, 4096);
            let read =
                tokio::time::timeout(Duration::from_secs(10), reading).await.expect("an answer in time");
            if !matches!(read, Ok(1..)) {
                return String::new();
            }
        }
    }

    /// Sends a line and reads one.
    pub async fn ask(&mut self, text: &str) -> String {
        self.send(&format!("{text}\r\n")).await;
        self.line().await
    }

    /// Whether the other end has closed.
    pub async fn is_closed(&mut self) -> bool {
        self.line().await.is_empty()
    }
}

pub fn coded(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

pub fn plain(login: &str, password: &str) -> String {
    coded(&format!("\0{login}\0{password}"))
}

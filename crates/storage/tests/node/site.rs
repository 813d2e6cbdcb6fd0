//! A directory server with a few accounts, and storage nodes that ask it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use chasqui_base::service::{Lifecycle, RoleService};
use chasqui_base::{EmailAddress, Span};
use chasqui_directory::DirectoryService;
use chasqui_directory::admin::{Database, NewUser};
use chasqui_directory::{AccountState, KeyFile, Node};
use chasqui_mailstore::FolderName;
use chasqui_storage::{Config, StorageService};
use prometheus_client::registry::Registry;
use tempfile::TempDir;

use crate::wire::Wire;

/// `ana` and `beto` at storage1, `carla` at storage2; `suspendido` and `cerrado` are what their names say.
pub struct Site {
    pub dir: TempDir,
    pub database: Database,
    directory: Option<(DirectoryService, Lifecycle)>,
    directory_address: SocketAddr,
}

/// A storage node that runs.
pub struct Running {
    pub service: StorageService,
    pub run: Lifecycle,
}

pub fn address(local: &str) -> EmailAddress {
    EmailAddress::parse(&format!("{local}@ejemplo.test")).unwrap()
}

impl Site {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        KeyFile::create(&dir.path().join("keys")).unwrap();
        let database = Database::open(&dir.path().join("directory.sqlite")).await.unwrap();
        database.add_domain(&"ejemplo.test".parse().unwrap(), None).await.unwrap();
        for name in ["storage1", "storage2"] {
            let endpoint = || "127.0.0.1:9".parse().unwrap();
            let node = Node { name: name.to_owned(), lmtp: endpoint(), imap: endpoint(), pop3: endpoint() };
            database.add_node(&node).await.unwrap();
        }
        let accounts = [
            ("ana", "storage1", AccountState::Active),
            ("beto", "storage1", AccountState::Active),
            ("carla", "storage2", AccountState::Active),
            ("suspendido", "storage1", AccountState::Suspended),
            ("cerrado", "storage1", AccountState::Closed),
        ];
        for (name, node, state) in accounts {
            let user = NewUser { node: Some(node.to_owned()), state, ..NewUser::new(address(name), None) };
            database.add_user(&user).await.unwrap();
        }
        let mut site =
            Self { dir, database, directory: None, directory_address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        site.start_directory().await;
        site
    }

    /// Starts the directory (again, at the same address).
    pub async fn start_directory(&mut self) {
        let mut config = chasqui_directory::Config {
            listen: self.directory_address,
            keys: self.dir.path().join("keys"),
            ..Default::default()
        };
        config.database.path = self.dir.path().join("directory.sqlite");
        config.database.poll = Span::millis(50);
        let service = DirectoryService::bind(config, &mut Registry::default()).await.unwrap();
        self.directory_address = service.endpoints()[0].1.parse().unwrap();
        let run = Lifecycle::new();
        service.start(&run);
        self.directory = Some((service, run));
    }

    /// Takes the directory away.
    pub async fn stop_directory(&mut self) {
        if let Some((service, run)) = self.directory.take() {
            run.drain(Duration::from_secs(5)).await;
            service.close().await;
        }
    }

    /// The configuration of storage node `name`, with its store under the site's folder.
    pub fn config(&self, name: &str) -> Config {
        self.config_with_root(name, &self.dir.path().join(name))
    }

    pub fn config_with_root(&self, name: &str, root: &Path) -> Config {
        let any = || "127.0.0.1:0".parse().unwrap();
        let mut config =
            Config { name: name.to_owned(), lmtp: any(), imap: any(), pop3: any(), ..Config::default() };
        config.directory.servers = vec![self.directory_address.to_string().parse().unwrap()];
        config.directory.keys = self.dir.path().join("keys");
        config.directory.give_up = Span::millis(500);
        config.store.root = root.to_owned();
        config.timeouts.directory_cache = Span::millis(0);
        config
    }

    pub async fn storage(&self, name: &str) -> Running {
        Running::start(self.config(name)).await
    }
}

impl Running {
    pub async fn start(config: Config) -> Self {
        let service = StorageService::bind(config, &mut Registry::default()).await.unwrap();
        let run = Lifecycle::new();
        service.start(&run);
        Self { service, run }
    }

    pub async fn stop(self) {
        assert_eq!(self.run.drain(Duration::from_secs(10)).await, 0, "sessions did not end");
        self.service.close().await;
    }

    pub fn address(&self, service: &str) -> SocketAddr {
        let endpoints = self.service.endpoints();
        endpoints.iter().find(|(name, _)| *name == service).unwrap().1.parse().unwrap()
    }

    /// An LMTP connection that has said LHLO.
    pub async fn lmtp(&self) -> Wire {
        let mut wire = Wire::connect(self.address("lmtp")).await;
        wire.expect("220 ").await;
        wire.send("LHLO mx.ejemplo.test\r\n").await;
        while wire.line().await.starts_with("250-") {}
        wire
    }

    /// A POP3 connection logged in to this account.
    pub async fn pop3(&self, local: &str) -> Wire {
        let mut wire = Wire::connect(self.address("pop3")).await;
        wire.expect("+OK ").await;
        wire.send(&external(local)).await;
        wire.expect("+OK ").await;
        wire
    }

    /// Delivers one message to one account.
    pub async fn deliver(&self, local: &str, message: &str) {
        let mut wire = self.lmtp().await;
        wire.send(&transaction("", &[local], message)).await;
        for _ in 0..3 {
            wire.expect("250 ").await;
        }
    }

    /// Messages in a folder.
    pub async fn held(&self, local: &str, folder: &str) -> u32 {
        let account = self.service.node().store.account(&address(local));
        account.status(&FolderName::parse(folder).unwrap()).await.unwrap().messages
    }

    /// What POP3 has: each message whole.
    pub async fn messages(&self, local: &str) -> Vec<String> {
        let mut wire = self.pop3(local).await;
        wire.send("STAT\r\n").await;
        let stat = wire.expect("+OK ").await;
        let count: usize = stat.split(' ').nth(1).unwrap().parse().unwrap();
        let mut messages = Vec::new();
        for number in 1..=count {
            wire.send(&format!("RETR {number}\r\n")).await;
            wire.expect("+OK ").await;
            messages.push(wire.multi_line().await);
        }
        wire.send("QUIT\r\n").await;
        wire.expect("+OK ").await;
        messages
    }
}

/// MAIL, RCPT and BDAT in one write, as an exchanger sends them.
pub fn transaction(parameters: &str, to: &[&str], message: &str) -> String {
    let recipients: String = to.iter().map(|local| format!("RCPT TO:<{local}@ejemplo.test>\r\n")).collect();
    format!(
        "MAIL FROM:<remitente@otro.test>{parameters}\r\n{recipients}BDAT {} LAST\r\n{message}",
        message.len()
    )
}

/// `AUTH EXTERNAL` for this account.
pub fn external(local: &str) -> String {
    let mut out = Vec::new();
    chasqui_pop3::client::auth_external(&mut out, address(local).as_str());
    String::from_utf8(out).unwrap()
}

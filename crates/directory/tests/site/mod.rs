//! A small site for tests: a database with two nodes and a domain, servers and clients over it.
#![allow(dead_code, reason = "each test file uses its part of it")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chasqui_base::address::EmailAddress;
use chasqui_base::secret::Secret;
use chasqui_base::service::{Lifecycle, RoleService};
use chasqui_base::units::Span;
use chasqui_directory::admin::{Database, NewUser};
use chasqui_directory::{
    ClientConfig, Config, DirectoryClient, DirectoryService, KeyFile, LookUp, Node, Target,
};
use prometheus_client::registry::Registry;

/// The password "chasqui-demo", hashed with little memory so that tests are quick.
pub const QUICK_HASH: &str =
    "$argon2id$v=19$m=64,t=1,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// A folder with keys and a database of domain `ours.test` and nodes `s1`, `s2`.
pub struct Site {
    pub dir: tempfile::TempDir,
    pub database: Database,
}

/// A server that runs.
pub struct Server {
    pub service: DirectoryService,
    pub run: Lifecycle,
    pub registry: Registry,
    pub config: Config,
}

impl Site {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        KeyFile::create(&dir.path().join("keys")).unwrap();
        let database = Database::open(&dir.path().join("directory.sqlite")).await.unwrap();
        database.add_domain(&"ours.test".parse().unwrap(), None).await.unwrap();
        for (name, ip) in [("s1", "10.0.0.1"), ("s2", "10.0.0.2")] {
            let endpoint = |port: u16| format!("{ip}:{port}").parse().unwrap();
            let node =
                Node { name: name.into(), lmtp: endpoint(24), imap: endpoint(1143), pop3: endpoint(1110) };
            database.add_node(&node).await.unwrap();
        }
        Self { dir, database }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub async fn add_user(&self, local: &str) {
        self.database.add_user(&NewUser::new(address(local), None)).await.unwrap();
    }

    pub async fn add_user_with(&self, local: &str, password: &str) {
        let password = Some(Secret::new(password.to_owned()));
        self.database.add_user(&NewUser::new(address(local), password)).await.unwrap();
    }

    /// Adds `count` users `user0`, `user1`, …
    pub async fn fill(&self, count: usize) {
        let csv: String = (0..count).map(|n| format!("user{n}@ours.test,{QUICK_HASH},7GB,\n")).collect();
        let report = self.database.import_users(csv.as_bytes(), |_| ()).await.unwrap();
        assert_eq!(report.added, count as u64, "{:?}", report.refused.first());
    }

    pub fn config(&self) -> Config {
        let mut config =
            Config { listen: "127.0.0.1:0".parse().unwrap(), keys: self.path("keys"), ..Config::default() };
        config.database.path = self.path("directory.sqlite");
        config
    }

    pub async fn start(&self) -> Server {
        self.start_with(self.config()).await
    }

    pub async fn start_with(&self, config: Config) -> Server {
        let mut registry = Registry::default();
        let service = DirectoryService::bind(config.clone(), &mut registry).await.unwrap();
        let run = Lifecycle::new();
        service.start(&run);
        Server { service, run, registry, config }
    }

    pub async fn client(&self, servers: &[SocketAddr]) -> DirectoryClient {
        self.client_with(servers, |_| ()).await
    }

    pub async fn client_with(
        &self,
        servers: &[SocketAddr],
        change: impl FnOnce(&mut ClientConfig),
    ) -> DirectoryClient {
        let servers = servers.iter().map(|server| server.to_string().parse().unwrap()).collect();
        let mut config = ClientConfig { servers, keys: self.path("keys"), ..ClientConfig::default() };
        change(&mut config);
        DirectoryClient::connect(&config, None).await.unwrap()
    }
}

impl Server {
    pub fn address(&self) -> SocketAddr {
        self.service.endpoints()[0].1.parse().unwrap()
    }

    /// The value of a metric, by the beginning of its line.
    pub fn metric(&self, name: &str) -> f64 {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in\n{page}")).trim().parse().unwrap()
    }

    pub async fn stop(self) {
        self.run.drain(Duration::from_secs(5)).await;
        self.service.close().await;
    }
}

pub fn address(local: &str) -> EmailAddress {
    format!("{local}@ours.test").parse().unwrap()
}

/// The accounts found, with their tags.
pub fn accounts(found: &LookUp) -> Vec<String> {
    let LookUp::Found(targets) = found else { panic!("{found:?}") };
    let show = |target: &Target| match target {
        Target::Account(record) => {
            let tag = record.tag.as_deref().map(|tag| format!("[{tag}]")).unwrap_or_default();
            format!("{}{tag}", record.account)
        }
        Target::Remote(address) => format!("→{address}"),
    };
    targets.iter().map(show).collect()
}

/// Asks until the answer is as expected; returns how long that took.
pub async fn until(
    client: &DirectoryClient,
    address: &EmailAddress,
    expected: impl Fn(&LookUp) -> bool,
) -> Duration {
    let begun = Instant::now();
    loop {
        let answer = client.look_up(address).await.unwrap();
        if expected(&answer) {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "still {answer:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Changes are to be seen within a second; a machine that compiles beside may take a little longer to run us at all.
pub const SOON: Duration = Duration::from_millis(if cfg!(debug_assertions) { 2000 } else { 1000 });

/// Short times, for tests of what happens when nobody answers.
pub fn hasty(config: &mut ClientConfig) {
    config.give_up = Span::millis(800);
}

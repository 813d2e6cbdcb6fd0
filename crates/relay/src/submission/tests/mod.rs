//! Submission and the inside port as a whole, over real sockets and TLS, with a table in place of the directory and a list in place of
//! the queue.

mod inside;
mod log_in;
mod messages;
mod senders;

use super::{Accept, Answer, Parts, Shared, Users};
use crate::{
    config::{Config, Rate, Signing},
    message::Envelope,
    queue::EnqueueError,
    sign::Signer,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chasqui_base::{
    EmailAddress, Lifecycle, Secret,
    net::{Peer, Stream},
    pki,
    tls::{PublicTls, PublicTlsFiles, Role, RoleTls},
};
use chasqui_courier::Content;
use chasqui_directory::{
    AccountRecord, AccountState, DirectoryUnavailable, LookUp, Node, ScramSalt, Services, Target, Verdict,
};
use chasqui_sasl::scram::{Proof, Signature, Verifier};
use prometheus_client::registry::Registry;
use std::{
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::io::AsyncWriteExt as _;

pub(crate) const PASSWORD: &str = "llave de prueba";

/// A directory with ana and beto at example.org, mudo who may not send, and jefe@example.org, as whom ana may send.
#[derive(Default)]
pub(crate) struct Table {
    pub silent: bool,
}

impl Table {
    fn record(account: &EmailAddress) -> AccountRecord {
        AccountRecord {
            account: account.clone(),
            tag: None,
            node: Arc::new(Node {
                name: "storage1".into(),
                lmtp: "127.0.0.1:1".parse().unwrap(),
                imap: "127.0.0.1:1".parse().unwrap(),
                pop3: "127.0.0.1:1".parse().unwrap(),
            }),
            quota: None,
            over_quota: false,
            state: if account.local() == "cerrado" { AccountState::Closed } else { AccountState::Active },
            services: if account.local() == "mudo" { Services::IMAP } else { Services::ALL },
            uid: None,
            gid: None,
        }
    }

    fn knows(account: &EmailAddress) -> bool {
        account.domain() == "example.org"
            && ["ana", "beto", "mudo", "jefe", "cerrado"].contains(&account.local())
    }

    fn verifier() -> Verifier {
        Verifier::derive(&Secret::new(PASSWORD.to_owned()), b"sal de prueba".to_vec(), 4096).unwrap()
    }

    fn verdict(login: &str, right: bool) -> Verdict {
        match EmailAddress::parse(login) {
            Ok(account) if right && Self::knows(&account) => Verdict::Yes(Self::record(&account)),
            _ => Verdict::No,
        }
    }
}

fn answer<'a, T: Send + 'a>(table: &Table, value: T) -> Answer<'a, T> {
    let answer = if table.silent { Err(DirectoryUnavailable) } else { Ok(value) };
    Box::pin(std::future::ready(answer))
}

impl Users for Table {
    fn verify<'a>(&'a self, login: &'a str, password: &'a Secret) -> Answer<'a, Verdict> {
        answer(self, Self::verdict(login, password.matches(PASSWORD)))
    }

    fn scram_begin<'a>(&'a self, _: &'a str) -> Answer<'a, ScramSalt> {
        let verifier = Self::verifier();
        answer(self, ScramSalt { salt: verifier.salt().to_vec(), iterations: verifier.iterations() })
    }

    fn scram_finish<'a>(
        &'a self,
        login: &'a str,
        auth_message: &'a str,
        proof: &'a Proof,
    ) -> Answer<'a, (Verdict, Option<Signature>)> {
        let signature = Self::verifier().verify(auth_message, proof);
        answer(self, (Self::verdict(login, signature.is_some()), signature))
    }

    fn may_send_as<'a>(&'a self, account: &'a EmailAddress, sender: &'a EmailAddress) -> Answer<'a, bool> {
        let tagged = sender.without_tag().is_some_and(|(own, _)| own == *account);
        // `ana+otra` is an account of its own.
        let own = tagged && sender.as_str() != "ana+otra@example.org";
        answer(self, own || account.local() == "ana" && sender.as_str() == "jefe@example.org")
    }

    fn look_up<'a>(&'a self, address: &'a EmailAddress) -> Answer<'a, LookUp> {
        let found = match address.domain() {
            "example.org" if Self::knows(address) => {
                LookUp::Found(vec![Target::Account(Self::record(address))])
            }
            "example.org" => LookUp::Unknown,
            _ => LookUp::NotOurs,
        };
        answer(self, found)
    }
}

/// A queue that is a list.
pub(crate) struct List {
    pub taken: Mutex<Vec<(Envelope, Vec<u8>)>>,
    pub full: bool,
    /// Room was asked about once.
    asked: AtomicBool,
    folder: PathBuf,
}

impl Accept for List {
    fn enqueue(
        &self,
        envelope: Envelope,
        content: Arc<Content>,
    ) -> Pin<Box<dyn Future<Output = Result<(), EnqueueError>> + Send + '_>> {
        Box::pin(async move {
            self.check_room(0)?;
            let mut text = Vec::new();
            let mut blocks = content.blocks();
            while let Some(block) = blocks.next().await? {
                text.extend_from_slice(block);
            }
            let mut taken = self.taken.lock().unwrap();
            if !taken.iter().any(|(known, _)| known.id == envelope.id) {
                taken.push((envelope, text));
            }
            Ok(())
        })
    }

    fn check_room(&self, size: u64) -> Result<(), EnqueueError> {
        // A client that announces nothing hears of it at the end.
        if self.full && (size > 0 || self.asked.swap(true, Ordering::Relaxed)) {
            Err(EnqueueError::Full)
        } else {
            Ok(())
        }
    }

    fn folder(&self) -> PathBuf {
        self.folder.clone()
    }
}

/// A relay's sessions.
pub(crate) struct Site {
    pub folder: tempfile::TempDir,
    pub shared: Arc<Shared>,
    pub queue: Arc<List>,
    pub registry: Registry,
    run: Lifecycle,
    client: RoleTls,
}

#[derive(Default)]
pub(crate) struct Options {
    pub silent: bool,
    pub full: bool,
    pub keys: Option<PathBuf>,
}

impl Site {
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Self {
        Self::with(Options::default(), change)
    }

    pub(crate) fn with(options: Options, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = pki::create_ca(folder.path(), "test").unwrap();
        let relay = ca.issue(folder.path(), "relay", &[Role::Relay], &["localhost"]).unwrap();
        let mx = ca.issue(folder.path(), "mx", &[Role::Mx], &["localhost"]).unwrap();
        let public = PublicTlsFiles { certificate: relay.certificate.clone(), key: relay.key.clone() };
        let tls = PublicTls::load(&public).unwrap();
        let mut config =
            Config { hostname: "relay.example.org".into(), public_tls: Some(public), ..Config::default() };
        config.senders.guessing.first_delay = chasqui_base::Span::millis(1);
        config.senders.guessing.longest_delay = chasqui_base::Span::millis(2);
        change(&mut config);
        let tmp = folder.path().join("tmp");
        std::fs::create_dir(&tmp).unwrap();
        let queue = Arc::new(List {
            taken: Mutex::default(),
            full: options.full,
            asked: AtomicBool::new(false),
            folder: tmp,
        });
        let parts = Parts {
            users: Arc::new(Table { silent: options.silent }),
            queue: Arc::clone(&queue) as Arc<dyn Accept>,
            tls: Some(tls),
            role_tls: Some(RoleTls::load(&relay).unwrap()),
            signer: Arc::new(Signer::open(&Signing { keys: options.keys, parents: true }).unwrap()),
            usage: folder.path().join("usage"),
        };
        let mut registry = Registry::default();
        let shared = Arc::new(Shared::open(&config, parts, &mut registry).unwrap());
        Self { shared, queue, registry, run: Lifecycle::new(), client: RoleTls::load(&mx).unwrap(), folder }
    }

    /// A new connection, nothing read.
    pub(crate) fn connect(&self, implicit_tls: bool) -> Client {
        let (near, far) = Stream::pair().unwrap();
        let peer = Peer { address: Some("192.0.2.7:4711".parse().unwrap()), local: false };
        tokio::spawn(super::run(far, peer, Arc::clone(&self.shared), implicit_tls, self.run.clone()));
        Client { stream: near, input: Vec::new() }
    }

    /// A user's connection under TLS that has greeted.
    pub(crate) async fn client(&self) -> Client {
        let client = self.connect(true);
        let stream = self.client.connect(client.stream, "localhost", Role::Relay).await.unwrap();
        let mut client = Client { stream, input: Vec::new() };
        assert!(client.reply().await.starts_with("220 relay.example.org ESMTP"));
        assert!(client.say("EHLO portatil.example").await.starts_with("250"));
        client
    }

    /// The same, authenticated.
    pub(crate) async fn user(&self, local: &str) -> Client {
        let mut client = self.client().await;
        let reply = client.say(&plain(&format!("{local}@example.org"), PASSWORD)).await;
        assert!(reply.starts_with("235"), "{reply}");
        client
    }

    /// A role's connection over mutual TLS that has greeted.
    pub(crate) async fn role(&self, tls: &RoleTls) -> Client {
        let (near, far) = Stream::pair().unwrap();
        let peer = Peer { address: None, local: true };
        tokio::spawn(crate::inside::run(far, peer, Arc::clone(&self.shared), self.run.clone()));
        let stream = tls.connect(near, "localhost", Role::Relay).await.unwrap();
        let mut client = Client { stream, input: Vec::new() };
        let greeting = client.reply().await;
        if greeting.starts_with("220") {
            assert!(client.say("EHLO mx.example.org").await.starts_with("250"));
        }
        client.input.splice(
            0..0,
            if greeting.starts_with("220") { Vec::new() } else { format!("{greeting}\r\n").into_bytes() },
        );
        client
    }

    pub(crate) fn role_tls(&self, name: &str, role: Role) -> RoleTls {
        let files = pki::open_ca(self.folder.path()).unwrap().issue(
            self.folder.path(),
            name,
            &[role],
            &["localhost"],
        );
        RoleTls::load(&files.unwrap()).unwrap()
    }

    /// What was queued.
    pub(crate) fn taken(&self) -> Vec<(Envelope, String)> {
        let taken = self.queue.taken.lock().unwrap();
        taken
            .iter()
            .map(|(envelope, text)| (envelope.clone(), String::from_utf8_lossy(text).into_owned()))
            .collect()
    }

    pub(crate) fn metrics(&self) -> String {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).unwrap();
        page
    }
}

/// `AUTH PLAIN` with its initial response.
pub(crate) fn plain(login: &str, password: &str) -> String {
    format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{login}\0{password}")))
}

pub(crate) struct Client {
    pub stream: Stream,
    pub input: Vec<u8>,
}

impl Client {
    pub(crate) async fn write(&mut self, text: &[u8]) {
        self.stream.write_all(text).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub(crate) async fn say(&mut self, command: &str) -> String {
        self.write(format!("{command}\r\n").as_bytes()).await;
        self.reply().await
    }

    /// One reply with all its lines; empty at the end of the connection.
    pub(crate) async fn reply(&mut self) -> String {
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
            let read = self.stream.read_more(&mut self.input, 4096);
            match tokio::time::timeout(Duration::from_secs(20), read).await.expect("a reply in time") {
                Ok(0) | Err(_) => return String::new(),
                Ok(_) => {}
            }
        }
    }

    /// A whole transaction. The reply to its end, or the first refusal.
    pub(crate) async fn send(&mut self, from: &str, recipients: &[&str], text: &str) -> String {
        let reply = self.say(&format!("MAIL FROM:{from}")).await;
        if !reply.starts_with("250") {
            return reply;
        }
        for recipient in recipients {
            let reply = self.say(&format!("RCPT TO:{recipient}")).await;
            if !reply.starts_with("250") {
                self.say("RSET").await;
                return reply;
            }
        }
        let reply = self.say("DATA").await;
        if !reply.starts_with("354") {
            return reply;
        }
        self.write(text.as_bytes()).await;
        self.say(".").await
    }
}

/// A rate of so many messages an hour.
pub(crate) fn messages(most: u32) -> Rate {
    Rate { messages_per_hour: Some(most), ..Rate::default() }
}

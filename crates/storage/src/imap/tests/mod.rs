//! Sessions over a socket pair, with a real store in a temporary folder.

mod changes;
mod folders;
mod messages;
mod model;
mod random;
mod searches;
mod shape;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chasqui_base::net::Stream;
use chasqui_base::{DeliveryId, EmailAddress, Lifecycle};
use chasqui_imap::CommandReader;
use chasqui_mailstore::{Delivery, FolderName, MailError, Quota, Store, StoreConfig};
use tokio::io::AsyncWriteExt;

use super::session::{Refusals, Session, message_limits, run};
use crate::config::{LimitsConfig, TimeoutsConfig};
use crate::node::{LogIn, Settings};

/// A store and its account `ana@ejemplo.test`.
struct Site {
    store: Store,
    settings: Settings,
    quota: Quota,
    run: Lifecycle,
    _folder: tempfile::TempDir,
}

struct Nobody;

impl Refusals for Nobody {
    fn note_refusal(&self, _: &EmailAddress, _: &MailError) {}
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = StoreConfig { root: folder.path().to_owned(), ..StoreConfig::default() };
        Self {
            store: Store::open(&config).unwrap(),
            settings: Settings { limits: LimitsConfig::default(), timeouts: TimeoutsConfig::default() },
            quota: Quota::default(),
            run: Lifecycle::new(),
            _folder: folder,
        }
    }

    fn address() -> EmailAddress {
        EmailAddress::parse("ana@ejemplo.test").unwrap()
    }

    /// A session that is logged in.
    fn session(&self) -> Client {
        let (ours, theirs) = Stream::pair().unwrap();
        let address = Self::address();
        let log_in = LogIn { account: self.store.account(&address), address, quota: self.quota };
        let settings = Arc::new(self.settings.clone());
        let reader = CommandReader::new(message_limits(&settings));
        let session = Session::new(theirs, reader, log_in, settings, self.store.clone(), Arc::new(Nobody));
        self.run.spawn(run(Box::new(session), self.run.clone()));
        Client { stream: ours, read: Vec::new(), tags: 0 }
    }

    /// Delivers a message as LMTP does.
    async fn deliver(&self, message: &[u8]) {
        let mut incoming = self.store.incoming();
        incoming.write(message).await.unwrap();
        let to = Delivery {
            account: Self::address(),
            folder: FolderName::inbox(),
            id: DeliveryId::generate(),
            quota: Quota::default(),
            received: SystemTime::now(),
        };
        for result in self.store.deliver(incoming, vec![to]).await {
            result.unwrap();
        }
    }
}

/// A client's end.
struct Client {
    stream: Stream,
    read: Vec<u8>,
    tags: u32,
}

impl Client {
    /// Sends a command and gives everything up to its tagged reply, which begins with `tag `.
    async fn say(&mut self, command: &str) -> String {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.write(format!("{tag} {command}\r\n").as_bytes()).await;
        let text = self.until(&format!("{tag} ")).await;
        text.replace(&format!("{tag} "), "tag ")
    }

    /// The same, and the reply must be OK.
    async fn ok(&mut self, command: &str) -> String {
        let text = self.say(command).await;
        let last = text.lines().last().unwrap_or_default();
        assert!(last.starts_with("tag OK"), "{command}: {text}");
        text
    }

    /// Appends a message to a folder, without waiting for the continuation.
    async fn append(&mut self, arguments: &str, message: &str) -> String {
        self.say(&format!("APPEND {arguments} {{{}+}}\r\n{message}", message.len())).await
    }

    async fn write(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
    }

    /// Everything up to the line that begins so, with that line.
    async fn until(&mut self, start: &str) -> String {
        let needle = format!("\r\n{start}");
        loop {
            let text = String::from_utf8_lossy(&self.read).into_owned();
            let begin = if text.starts_with(start) { Some(0) } else { text.find(&needle).map(|at| at + 2) };
            if let Some(end) = begin.and_then(|at| text[at..].find("\r\n").map(|n| at + n + 2)) {
                self.read.drain(..end);
                return text[..end].to_owned();
            }
            let more = self.stream.read_more(&mut self.read, 1 << 16);
            let count = tokio::time::timeout(Duration::from_secs(20), more)
                .await
                .unwrap_or_else(|_| panic!("waiting for {start:?}, have {text}"));
            assert!(count.unwrap() > 0, "closed while waiting for {start:?}, have {text}");
        }
    }
}

/// A message of two parts and a nested one.
const MULTIPART: &str = "From: Ana <ana@ejemplo.test>\r\nTo: beto@ejemplo.test\r\nSubject: =?UTF-8?Q?Canci=C3=B3n?=\r\n\
Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nMessage-ID: <1@x>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
preamble\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nSG9sYSBtdW5kbw==\r\n\
--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: carla@ejemplo.test\r\nSubject: inner\r\n\r\ninner body\r\n--b--\r\n";

/// A plain one.
fn plain(subject: &str, body: &str) -> String {
    format!("From: beto@ejemplo.test\r\nTo: ana@ejemplo.test\r\nSubject: {subject}\r\n\r\n{body}\r\n")
}

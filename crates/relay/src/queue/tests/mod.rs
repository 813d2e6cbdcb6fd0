//! The queue against a carrier that does what a table says.

mod crashes;
mod draining;
mod life;
mod operators;
mod power_loss;
mod size;
mod tellings;

use super::*;
use crate::{
    carrier::Carrier,
    fate::{DeliveredKind, Fate, Trouble, Whose},
    message::{BodyKind, Job, Notify, Recipient, Source},
};
use chasqui_base::{Lifecycle, Span};
use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

pub const TEXT: &[u8] = b"Subject: hola\r\nMessage-ID: <1@example.org>\r\n\r\ntext\r\n";

/// Says of each recipient what its table says next, and `250` when that says nothing.
#[derive(Default)]
pub struct Table {
    fates: Mutex<BTreeMap<String, VecDeque<Fate>>>,
    /// What was carried: the message, to whom, and its text.
    pub carried: Mutex<Vec<(DeliveryId, String, Vec<u8>)>>,
    /// By destination: how long a job takes.
    pub slow: Mutex<BTreeMap<String, Duration>>,
    pub running: Mutex<BTreeMap<String, (usize, usize)>>,
    /// Where everything goes, in place of each domain by itself.
    pub smarthost: Mutex<Option<String>>,
}

impl Table {
    pub fn says(&self, address: &str, fates: impl IntoIterator<Item = Fate>) {
        lock(&self.fates).entry(address.into()).or_default().extend(fates);
    }

    pub fn carried_to(&self, address: &str) -> usize {
        lock(&self.carried).iter().filter(|(_, to, _)| to == address).count()
    }

    pub fn text_to(&self, address: &str) -> String {
        let carried = lock(&self.carried);
        let text = carried.iter().find(|(_, to, _)| to == address).map(|(_, _, text)| text.clone());
        String::from_utf8(text.unwrap_or_else(|| panic!("nothing to {address}"))).unwrap()
    }
}

impl Carrier for Table {
    fn destination(&self, address: &str) -> Destination {
        let smarthost = lock(&self.smarthost).clone();
        let domain = || address.rsplit_once('@').map_or(address, |(_, domain)| domain).to_owned();
        Destination(smarthost.unwrap_or_else(domain).into())
    }

    fn places(&self, _: &Destination) -> usize {
        3
    }

    async fn carry(self: Arc<Self>, job: Job) -> Vec<(u32, Fate)> {
        let name = job.destination.to_string();
        {
            let mut running = lock(&self.running);
            let (now, most) = running.entry(name.clone()).or_default();
            *now += 1;
            *most = (*most).max(*now);
        }
        let pause = lock(&self.slow).get(&name).copied().unwrap_or_default();
        tokio::time::sleep(pause).await;
        let mut text = Vec::new();
        let mut blocks = job.content.blocks();
        while let Some(block) = blocks.next().await.unwrap() {
            text.extend_from_slice(block);
        }
        lock(&self.running).get_mut(&name).unwrap().0 -= 1;
        let each = |number: &u32| {
            let to = job.envelope.recipients[*number as usize].address.clone();
            lock(&self.carried).push((job.envelope.id, to.clone(), text.clone()));
            let fate = lock(&self.fates).get_mut(&to).and_then(VecDeque::pop_front);
            (*number, fate.unwrap_or_else(delivered))
        };
        job.recipients.iter().map(each).collect()
    }
}

pub fn delivered() -> Fate {
    Fate::Delivered {
        remote: "mx.example".into(),
        reply: Reply::fixed(250, (2, 0, 0), "Ok"),
        kind: DeliveredKind::Final,
    }
}

pub fn deferred(whose: Whose) -> Fate {
    Fate::Deferred(Trouble {
        remote: Some("mx.example".into()),
        reply: Reply::fixed(451, (4, 7, 1), "Greylisted"),
        whose,
    })
}

pub fn failed() -> Fate {
    Fate::Failed(Trouble {
        remote: Some("mx.example".into()),
        reply: Reply::fixed(550, (5, 1, 1), "No such user"),
        whose: Whose::Message,
    })
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn envelope(to: &[&str]) -> Envelope {
    let recipient =
        |to: &&str| Recipient { address: (*to).into(), notify: Notify::default(), original: None };
    Envelope {
        id: DeliveryId::generate(),
        reverse_path: "ana@example.org".parse().unwrap(),
        recipients: to.iter().map(recipient).collect(),
        smtputf8: false,
        body: BodyKind::SevenBit,
        require_tls: false,
        envelope_id: None,
        returns: None,
        priority: 0,
        received: now(),
        not_before: None,
        expires: now() + 432_000,
        source: Source::User("ana@example.org".parse().unwrap()),
        message_id: Some("1@example.org".into()),
    }
}

pub fn text() -> Arc<Content> {
    Arc::new(Content::Memory(TEXT.to_vec()))
}

pub fn settings(path: &Path) -> (config::Queue, config::Notice) {
    let queue = config::Queue {
        path: path.to_owned(),
        first_pause: Span::millis(30),
        longest_pause: Span::millis(100),
        free_space: chasqui_base::ByteSize(0),
        ..config::Queue::default()
    };
    (queue, config::Notice::default())
}

/// A queue that works.
pub struct Running {
    pub queue: Arc<Queue>,
    pub table: Arc<Table>,
    run: Lifecycle,
}

pub fn open(path: &Path) -> Arc<Queue> {
    let (queue, notice) = settings(path);
    Queue::open(&queue, &notice, "relay.example", &mut Registry::default()).unwrap()
}

pub fn start(queue: Arc<Queue>) -> Running {
    start_with(queue, Arc::default())
}

pub fn start_with(queue: Arc<Queue>, table: Arc<Table>) -> Running {
    let run = Lifecycle::new();
    run.spawn(Arc::clone(&queue).work(Arc::clone(&table), run.clone()));
    Running { queue, table, run }
}

impl Running {
    /// Waits until something is so.
    pub async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(
            tokio::time::timeout(Duration::from_secs(20), waiting).await.is_ok(),
            "waited too long: {what}"
        );
    }

    pub async fn until_empty(&self) {
        self.until("the queue is empty", |running| running.queue.is_loaded() && running.queue.is_empty())
            .await;
    }

    /// Ends it as an orderly stop does.
    pub async fn stop(self) -> Arc<Table> {
        assert_eq!(self.run.drain(Duration::from_secs(10)).await, 0);
        let Self { queue, table, .. } = self;
        // The folder's lock goes with the last handle: the thread of the syncs has one for a moment more.
        drop(queue);
        tokio::time::sleep(Duration::from_millis(60)).await;
        table
    }
}

/// Files below a folder that end in `.msg`.
pub fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|suffix| suffix == "msg") {
            found.push(path);
        }
    }
    found
}

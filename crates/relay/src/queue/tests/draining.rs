//! Draining to peers that lose their answers, are slow, or refuse.

use super::*;
use crate::{config::Config, drain::Drain};
use std::sync::atomic::AtomicUsize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
};

/// Another relay: takes each id once, and says 250 each time.
struct Peer {
    path: PathBuf,
    /// By id, to whom it was taken.
    taken: Mutex<BTreeMap<String, Vec<String>>>,
    /// So many answers get lost.
    lose: AtomicUsize,
    /// Nobody is served.
    away: AtomicBool,
    /// Everything is refused.
    full: AtomicBool,
    /// One for each answer.
    answers: Semaphore,
}

impl Peer {
    fn start(dir: &Path, name: &str) -> Arc<Self> {
        let path = dir.join(name);
        let listener = UnixListener::bind(&path).unwrap();
        let peer = Arc::new(Self {
            path,
            taken: Mutex::default(),
            lose: AtomicUsize::new(0),
            away: AtomicBool::new(false),
            full: AtomicBool::new(false),
            answers: Semaphore::new(1000),
        });
        let serving = Arc::clone(&peer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let peer = Arc::clone(&serving);
                tokio::spawn(async move { peer.serve(stream).await });
            }
        });
        peer
    }

    fn name(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    fn has(&self, address: &str) -> bool {
        lock(&self.taken).values().flatten().any(|to| to == address)
    }

    async fn serve(&self, stream: UnixStream) -> Option<()> {
        if self.away.load(Ordering::Relaxed) {
            return None;
        }
        let mut stream = BufStream::new(stream);
        let mut say = "220 peer".to_owned();
        let (mut id, mut to) = (String::new(), Vec::new());
        loop {
            stream.write_all(format!("{say}\r\n").as_bytes()).await.ok()?;
            stream.flush().await.ok()?;
            let mut line = String::new();
            stream.read_line(&mut line).await.ok().filter(|&octets| octets > 0)?;
            let words: Vec<&str> = line.split_whitespace().collect();
            say = match *words.first()? {
                "EHLO" => "250-peer\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-XQUEUED\r\n250 XDELIVERYID",
                "MAIL" => {
                    id = words.iter().find_map(|word| word.strip_prefix("XDELIVERYID=")).unwrap().to_owned();
                    to.clear();
                    "250 Ok"
                }
                "RCPT" => {
                    to.push(words[1].trim_start_matches("TO:<").trim_end_matches('>').to_owned());
                    "250 Ok"
                }
                "BDAT" => {
                    let mut text = vec![0; words[1].parse().unwrap()];
                    stream.read_exact(&mut text).await.ok()?;
                    self.answers.acquire().await.ok()?.forget();
                    if self.full.load(Ordering::Relaxed) {
                        "452 4.3.1 Full"
                    } else {
                        lock(&self.taken).entry(id.clone()).or_insert_with(|| to.clone());
                        let one_less = |left: usize| left.checked_sub(1);
                        if self.lose.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
                            return None;
                        }
                        "250 Ok"
                    }
                }
                _ => "250 Ok",
            }
            .to_owned();
        }
    }
}

struct Site {
    running: Running,
    drain: Arc<Drain>,
    dir: tempfile::TempDir,
}

async fn site() -> Site {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(&dir.path().join("queue")));
    let drain = Drain::new(&Config::default(), Arc::clone(&running.queue), None);
    running.run.spawn(Arc::clone(&drain).work(running.run.clone()));
    running.until("loaded", |running| running.queue.is_loaded()).await;
    Site { running, drain, dir }
}

impl Site {
    /// Messages that are not yet due, one to each of `count` recipients.
    async fn put(&self, count: usize) -> Vec<DeliveryId> {
        let mut ids = Vec::new();
        for number in 0..count {
            let to = format!("u{number}@b.test");
            let later = Envelope { not_before: Some(now() + 600), ..envelope(&[&to]) };
            ids.push(later.id);
            self.running.queue.enqueue(later, &text()).await.unwrap();
        }
        ids
    }

    async fn drained(&self) {
        self.running.until("drained", |_| self.drain.progress().done).await;
    }
}

#[tokio::test]
async fn a_message_whose_answer_was_lost_goes_to_the_same_peer_again() {
    let site = site().await;
    let peers = [Peer::start(site.dir.path(), "one"), Peer::start(site.dir.path(), "two")];
    site.put(40).await;
    peers.iter().for_each(|peer| peer.lose.store(6, Ordering::Relaxed));
    site.drain.begin(&peers.each_ref().map(|peer| peer.name())).await.unwrap();
    site.drained().await;
    let taken = peers.each_ref().map(|peer| lock(&peer.taken).len());
    assert_eq!(taken[0] + taken[1], 40, "{taken:?}: one each, no doubles");
    assert!(taken[0] > 0 && taken[1] > 0, "{taken:?}");
}

#[tokio::test]
async fn a_relay_that_could_not_read_everything_is_not_said_to_be_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue");
    // Whoever reads it gets an error of the disk.
    let id = DeliveryId::generate();
    let [.., last] = id.to_bytes();
    let stone = path.join(format!("messages/{last:02x}/{id}.msg"));
    std::fs::create_dir_all(&stone).unwrap();
    for mended in [false, true] {
        if mended {
            std::fs::remove_dir(&stone).unwrap();
        }
        let running = start(open(&path));
        running.until("loaded", |running| running.queue.is_loaded()).await;
        let drain = Drain::new(&Config::default(), Arc::clone(&running.queue), None);
        drain.begin(&["unix:/nonexistent".to_owned()]).await.unwrap();
        let progress = drain.progress();
        assert_eq!((progress.unread, progress.left, progress.done), (u64::from(!mended), 0, mended));
        drop(drain);
        running.stop().await;
    }
}

#[tokio::test]
async fn another_peer_is_asked_when_one_is_away_or_has_refused() {
    for away in [true, false] {
        let site = site().await;
        let peers = [Peer::start(site.dir.path(), "one"), Peer::start(site.dir.path(), "two")];
        site.put(10).await;
        if away { &peers[0].away } else { &peers[0].full }.store(true, Ordering::Relaxed);
        site.drain.begin(&peers.each_ref().map(|peer| peer.name())).await.unwrap();
        site.drained().await;
        assert_eq!(lock(&peers[1].taken).len(), 10);
    }
}

#[tokio::test]
async fn a_part_of_a_message_is_never_taken_for_another_part() {
    let site = site().await;
    let peer = Peer::start(site.dir.path(), "peer");
    let to: Vec<String> =
        (0..700).map(|n| if n < 100 { format!("u{n}@a.test") } else { format!("u{n}@b.test") }).collect();
    let addresses: Vec<&str> = to.iter().map(String::as_str).collect();
    to[100..].iter().for_each(|to| site.running.table.says(to, (0..99).map(|_| deferred(Whose::Message))));
    let due = Envelope { not_before: Some(now() + 2), ..envelope(&addresses) };
    site.running.queue.enqueue(due, &text()).await.unwrap();
    // It takes the first part; its answer gets lost, and draining is cancelled.
    peer.lose.store(1000, Ordering::Relaxed);
    site.drain.begin(&[peer.name()]).await.unwrap();
    site.running.until("one part is there", |_| peer.has("u0@a.test")).await;
    peer.away.store(true, Ordering::Relaxed);
    site.drain.cancel().await.unwrap();
    site.running.until("some are delivered", |running| running.table.carried_to("u99@a.test") > 0).await;
    peer.lose.store(0, Ordering::Relaxed);
    peer.away.store(false, Ordering::Relaxed);
    site.drain.begin(&[peer.name()]).await.unwrap();
    site.drained().await;
    for to in &to[100..] {
        assert!(peer.has(to), "{to} is lost");
    }
}

#[tokio::test]
async fn a_part_that_a_peer_has_is_not_sent_again() {
    let site = site().await;
    let peer = Peer::start(site.dir.path(), "peer");
    let to: Vec<String> = (0..1200).map(|n| format!("u{n}@b.test")).collect();
    let addresses: Vec<&str> = to.iter().map(String::as_str).collect();
    let later = Envelope { not_before: Some(now() + 600), ..envelope(&addresses) };
    let id = later.id;
    site.running.queue.enqueue(later, &text()).await.unwrap();
    // The answer to the first part arrives; the second gets none.
    peer.answers.forget_permits(999);
    site.drain.begin(&[peer.name()]).await.unwrap();
    site.running.until("two parts are sent", |_| peer.answers.available_permits() == 0).await;
    let file = || std::fs::read_to_string(files(&site.dir.path().join("queue"))[0].clone()).unwrap();
    site.running.until("it is written down", |_| file().contains("250")).await;
    peer.answers.add_permits(100);
    site.drained().await;
    let taken = lock(&peer.taken);
    assert_eq!((taken.len(), taken.values().map(Vec::len).sum::<usize>()), (3, 1200));
    assert!(!taken.contains_key(&id.to_string()), "a part has an id of its own");
}

#[tokio::test]
async fn what_is_held_before_its_hand_over_stays_and_a_hold_that_comes_too_late_is_refused() {
    let site = site().await;
    let peer = Peer::start(site.dir.path(), "peer");
    peer.answers.forget_permits(1000);
    let ids = site.put(8).await;
    site.drain.begin(&[peer.name()]).await.unwrap();
    let leaving = || {
        ids.iter().filter(|id| {
            let index = site.running.queue.index();
            index.find(**id).is_some_and(|number| index.is_leaving(number))
        })
    };
    site.running.until("all lanes are busy", |_| leaving().count() == 4).await;
    // The others have been taken too, and wait for a lane.
    site.running
        .until("all are taken", |running| {
            let index = running.queue.index();
            ids.iter().all(|id| index.find(*id).is_some_and(|number| !index.is_idle(number)))
        })
        .await;
    let late: Vec<DeliveryId> = leaving().copied().collect();
    let (mut held, mut refused) = (0, 0);
    for id in &ids {
        let filter = crate::control::protocol::Filter { ids: vec![id.to_string()], ..Default::default() };
        let found = site.running.queue.select(&filter).unwrap().next().await.unwrap();
        match site.running.queue.change(&found, Change::Hold).await {
            Ok(()) => held += 1,
            Err(why) => {
                assert!(late.contains(id) && why.contains("another relay"), "{why}");
                refused += 1;
            }
        }
    }
    assert_eq!((held, refused), (4, 4));
    peer.answers.add_permits(100);
    site.running.until("the rest is handed over", |running| running.queue.len() == 4).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!((site.running.queue.held(), lock(&peer.taken).len()), (4, 4));
    assert!(late.iter().all(|id| lock(&peer.taken).contains_key(&id.to_string())));
}

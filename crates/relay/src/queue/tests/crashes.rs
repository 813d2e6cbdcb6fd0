//! Files that a crash or a rotten disk left.

use super::*;
use std::io::Write as _;

/// A queue with one message that waits, stopped; and its file.
async fn stopped(dir: &Path) -> PathBuf {
    let queue = open(dir);
    queue.enqueue(envelope(&["x@b.test", "y@b.test"]), &text()).await.unwrap();
    drop(queue);
    tokio::time::sleep(Duration::from_millis(60)).await;
    files(dir).remove(0)
}

fn append(file: &Path, octets: &[u8]) {
    std::fs::OpenOptions::new().append(true).open(file).unwrap().write_all(octets).unwrap();
}

#[tokio::test]
async fn a_torn_record_is_passed_over_and_those_behind_it_count() {
    let dir = tempfile::tempdir().unwrap();
    let file = stopped(dir.path()).await;
    let id = Folder::id_of(&file).unwrap();
    let done = |recipients| record::Record::Done { at: 1, recipients, reply: "250 2.0.0 Ok".into() };
    let whole = done(vec![0]).encode(id);
    let torn = done(vec![1]).encode(id);
    append(&file, &torn[..torn.len() - 9]);
    append(&file, &[0; 300]);
    append(&file, &whole);
    append(&file, &torn[..4]);
    let running = start(open(dir.path()));
    running.until_empty().await;
    assert_eq!((running.table.carried_to("x@b.test"), running.table.carried_to("y@b.test")), (0, 1));
}

#[tokio::test]
async fn a_record_of_another_message_is_not_taken_for_one_of_this() {
    let dir = tempfile::tempdir().unwrap();
    let file = stopped(dir.path()).await;
    let done = record::Record::Done { at: 1, recipients: vec![0, 1], reply: "250 2.0.0 Ok".into() };
    append(&file, &done.encode(DeliveryId::generate()));
    let running = start(open(dir.path()));
    running.until_empty().await;
    assert_eq!(lock(&running.table.carried).len(), 2);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_set_aside_and_others_are_delivered() {
    for damage in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let file = stopped(dir.path()).await;
        let mut octets = std::fs::read(&file).unwrap();
        match damage {
            // The envelope, the text, the end, everything.
            0 => octets[20] ^= 1,
            1 => {
                let at = memchr::memmem::find(&octets, b"hola").unwrap();
                octets[at] ^= 1;
            }
            2 => octets.truncate(octets.len() - 40),
            _ => octets.clear(),
        }
        std::fs::write(&file, &octets).unwrap();
        std::fs::write(file.with_file_name("stranger.txt"), b"not ours").unwrap();
        let queue = open(dir.path());
        queue.enqueue(envelope(&["z@b.test"]), &text()).await.unwrap();
        let running = start(queue);
        running.until_empty().await;
        assert_eq!(lock(&running.table.carried).len(), 1, "{damage}");
        assert_eq!(running.table.carried_to("z@b.test"), 1);
        let kept = files(&dir.path().join("damaged"));
        assert_eq!(std::fs::read(&kept[0]).unwrap(), octets);
    }
}

#[tokio::test]
async fn ten_thousand_messages_come_back_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let template = envelope(&["x@b.test"]);
    let mut last = None;
    for number in 0..10_000_u32 {
        let id = DeliveryId::generate();
        let to = format!("{number}@d{}.test", number % 50);
        let one = Envelope { id, recipients: envelope(&[&to]).recipients, ..template.clone() };
        // Written as enqueue does, without waiting for ten thousand syncs.
        queue.folder.write(&one, &text()).unwrap();
        last = Some(id);
    }
    queue.settled(Instant::now()).await.unwrap();
    drop(queue);
    tokio::time::sleep(Duration::from_millis(60)).await;
    let running = start(open(dir.path()));
    // New mail is taken while the old is read.
    running.queue.enqueue(envelope(&["new@b.test"]), &text()).await.unwrap();
    running.until_empty().await;
    let carried = lock(&running.table.carried);
    assert_eq!(carried.len(), 10_001);
    assert!(carried.iter().any(|(id, _, _)| Some(*id) == last));
}

#[tokio::test]
async fn a_second_relay_is_kept_out_of_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path());
    let (queue, notice) = settings(dir.path());
    let error = Queue::open(&queue, &notice, "relay.example", &mut Registry::default()).err().unwrap();
    assert!(error.to_string().contains("another relay"), "{error}");
}

#[tokio::test]
async fn what_comes_again_is_acknowledged_and_delivered_only_when_the_file_that_is_there_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    running.until("loaded", |running| running.queue.is_loaded()).await;
    let folder = &running.queue.folder;
    let (whole, torn) = (envelope(&["x@b.test"]), envelope(&["y@b.test"]));
    for one in [&whole, &torn] {
        folder.write(one, &text()).unwrap();
    }
    let file = folder.message(torn.id);
    let octets = std::fs::read(&file).unwrap();
    std::fs::write(&file, &octets[..octets.len() - 40]).unwrap();

    running.queue.enqueue(whole, &text()).await.unwrap();
    running.queue.enqueue(torn.clone(), &text()).await.unwrap_err();
    running.queue.enqueue(torn, &text()).await.unwrap();
    running.until_empty().await;
    assert_eq!((running.table.carried_to("x@b.test"), running.table.carried_to("y@b.test")), (1, 1));
    assert_eq!(files(&dir.path().join("damaged")).len(), 1);
}

#[tokio::test]
async fn what_is_broken_off_while_it_is_written_can_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(open(dir.path()));
    let one = envelope(&["x@b.test"]);
    let _ = tokio::time::timeout(Duration::ZERO, running.queue.enqueue(one.clone(), &text())).await;
    assert!(!running.queue.is_arriving());
    running.queue.enqueue(one, &text()).await.unwrap();
    running.until_empty().await;
    assert_eq!(running.table.carried_to("x@b.test"), 1);
}

//! Power loss, modelled: the queue's own writes are recorded with their syncs, and for every prefix of them what a power cut could have
//! left is built and opened again.

use super::*;
use chasqui_base::disk::{
    Disk,
    recording::{Event, Recorder, power_cut},
};

/// `+ id address` was acknowledged; `> id address` was delivered and its record is synced.
fn notes(events: &[Event], sign: &str) -> Vec<(String, String)> {
    let fields = |event: &Event| match event {
        Event::Note(note) => {
            let mut fields = note.split(' ');
            (fields.next() == Some(sign))
                .then(|| (fields.next().unwrap().into(), fields.next().unwrap().into()))
        }
        _ => None,
    };
    events.iter().filter_map(fields).collect()
}

/// What the recorded session promised is kept by what is left.
async fn check(root: &Path, events: &[Event], what: &str) {
    let mut told: std::collections::BTreeSet<(String, String)> = notes(events, "+").into_iter().collect();
    let delivered = notes(events, ">");
    let begun = notes(events, "~");
    for done in &delivered {
        told.remove(done);
    }
    let running = start(open(root));
    running.until_empty().await;
    let carried = lock(&running.table.carried);
    let mut seen = std::collections::BTreeMap::new();
    for (id, to, text) in &*carried {
        if to != "ana@example.org" {
            assert!(text.starts_with(TEXT), "{what}: half a message");
        }
        *seen.entry((id.to_string(), to.clone())).or_insert(0) += 1;
    }
    for wanted in &told {
        // Delivered before the cut, and its record was not yet synced: both are right.
        assert!(seen.contains_key(wanted) || begun.contains(wanted), "{what}: lost {wanted:?}");
    }
    for done in &delivered {
        assert!(!seen.contains_key(done), "{what}: doubled {done:?}");
    }
    assert!(seen.values().all(|times| *times == 1), "{what}: {seen:?}");
    // Nothing was set aside that was acknowledged.
    for file in files(&root.join("damaged")) {
        let id = Folder::id_of(&file).unwrap().to_string();
        assert!(!told.iter().any(|(told, _)| *told == id), "{what}: {id} was acknowledged");
    }
}

#[tokio::test]
async fn no_prefix_with_an_acknowledgement_lacks_its_message_and_none_doubles_what_was_synced() {
    // In memory where that is to be had: the syncs are recorded, they need not be waited for.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let root = dir.path().join("queue");
    let recorder = Arc::new(Recorder::default());
    let disk = |at: &Path| {
        let mut disk = Disk::probe(at)?;
        disk.recorder = Some(Arc::clone(&recorder));
        Ok(disk)
    };
    std::fs::create_dir(&root).unwrap();
    let (config, notice) = settings(&root);
    let queue = Queue::open_on(&config, &notice, "relay.example", &mut Registry::default(), |path| {
        Folder::open_on(path, disk)
    })
    .unwrap();
    // What is made at the start is not what is looked at: cuts begin behind it.
    let first = recorder.events().len();
    let running = start(queue);
    running.until("loaded", |running| running.queue.is_loaded()).await;
    let table = Arc::clone(&running.table);
    table.says("late@b.test", [deferred(Whose::Message)]);
    table.says("no@c.test", [failed()]);
    table.says("list@d.test", [Fate::Expanded { to: vec!["m@d.test".into(), "n@e.test".into()] }]);
    let put = |to: &'static [&'static str], text: Arc<Content>| {
        let (queue, recorder) = (Arc::clone(&running.queue), Arc::clone(&recorder));
        async move {
            let one = envelope(to);
            let id = one.id;
            for to in to {
                // From here it may be delivered.
                recorder.note(format!("~ {id} {to}"));
            }
            queue.enqueue(one, &text).await.unwrap();
            for to in to {
                recorder.note(format!("+ {id} {to}"));
            }
            id
        }
    };
    let big = Arc::new(Content::Memory([TEXT, &[b'x'; 5000]].concat()));
    let mut ids = vec![put(&["one@b.test"], text()).await];
    // Those that come together share a sync.
    let (a, b, c) = tokio::join!(
        put(&["two@b.test", "late@b.test", "three@c.test"], text()),
        put(&["no@c.test"], text()),
        put(&["list@d.test"], big)
    );
    ids.extend([a, b, c]);
    running.until_empty().await;
    running.queue.settled(Instant::now()).await.unwrap();
    for (id, to, _) in lock(&table.carried).iter().filter(|(id, ..)| ids.contains(id)) {
        recorder.note(format!("> {id} {to}"));
    }
    ids.push(put(&["last@b.test"], text()).await);
    running.until_empty().await;
    running.stop().await;

    let events = recorder.events();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for prefix in first..=events.len() {
        for variant in 0..3 {
            let into = dir.path().join(format!("cut-{prefix}-{variant}"));
            std::fs::create_dir(&into).unwrap();
            let survives = || match variant {
                0 => false,
                1 => true,
                _ => {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    seed & 1 == 0
                }
            };
            power_cut(&events[..prefix], &root, &into, survives);
            check(
                &into,
                &events[..prefix],
                &format!("cut after {prefix} of {}, variant {variant}", events.len()),
            )
            .await;
            std::fs::remove_dir_all(&into).unwrap();
        }
    }
}

//! Power loss, modelled: the store's own writes are recorded with their syncs, and for every prefix of them what a power cut could
//! have left is built and opened again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use chasqui_base::{ByteSize, DeliveryId, EmailAddress};

use crate::*;
use chasqui_base::disk::Disk;
use chasqui_base::disk::recording::{Event, Recorder, power_cut};

fn account(name: &str) -> EmailAddress {
    EmailAddress::parse(&format!("{name}@ejemplo.test")).unwrap()
}

fn config(root: &std::path::Path) -> StoreConfig {
    StoreConfig {
        root: root.to_owned(),
        workers: 1,
        host: "h".into(),
        spill: ByteSize(200),
        ..StoreConfig::default()
    }
}

async fn incoming(store: &Store, text: &str) -> Incoming {
    let mut message = store.incoming();
    message.write(text.as_bytes()).await.unwrap();
    message
}

/// What the recorded session promised, in the recorder's notes: `+` a message acknowledged, `-` one whose removal began.
struct Session {
    store: Store,
    recorder: Arc<Recorder>,
}

impl Session {
    fn note(&self, sign: char, owner: &str, folder: &str, validity: u32, uid: Uid, text: &str) {
        self.recorder.note(format!("{sign} {owner} {folder} {validity} {uid} {text}"));
    }

    async fn deliver(&self, id: DeliveryId, owners: &[&str], text: &str) {
        let to = owners.iter().map(|owner| Delivery {
            account: account(owner),
            folder: FolderName::inbox(),
            id,
            quota: Quota::default(),
            received: SystemTime::now(),
        });
        let results = self.store.deliver(incoming(&self.store, text).await, to.collect()).await;
        for (owner, result) in owners.iter().zip(results) {
            let delivered = result.unwrap();
            if !delivered.duplicate {
                self.note('+', owner, "INBOX", delivered.uid_validity, delivered.uid, text);
            }
        }
    }

    async fn append(&self, owner: &str, folder: &str, text: &str, flags: Flags) -> Uid {
        let append = Append { message: incoming(&self.store, text).await, flags, internal_date: None };
        let name = FolderName::parse(folder).unwrap();
        let appended =
            self.store.account(&account(owner)).append(&name, vec![append], Quota::default()).await.unwrap();
        self.note('+', owner, folder, appended.uid_validity, appended.uids[0], text);
        appended.uids[0]
    }

    async fn remove(&self, owner: &str, folder: &str, uid: Uid, text: &str) {
        let name = FolderName::parse(folder).unwrap();
        let mut mailbox = self.store.account(&account(owner)).open(&name, Access::ReadWrite).await.unwrap();
        self.note('-', owner, folder, mailbox.uid_validity(), uid, text);
        mailbox.remove(&[uid]).await.unwrap();
    }

    async fn transfer(&self, owner: &str, from: &str, to: &str, uid: Uid, text: &str, leave: bool) -> Uid {
        let name = |name: &str| FolderName::parse(name).unwrap();
        let mut mailbox =
            self.store.account(&account(owner)).open(&name(from), Access::ReadWrite).await.unwrap();
        let copied = if leave {
            self.note('-', owner, from, mailbox.uid_validity(), uid, text);
            mailbox.move_to(&[uid], &name(to)).await.unwrap()
        } else {
            mailbox.copy(&[uid], &name(to), Quota::default()).await.unwrap()
        };
        self.note('+', owner, to, copied.uid_validity, copied.pairs[0].1, text);
        copied.pairs[0].1
    }
}

type Key = (String, String, u32, u32);

/// What must be there after these events, and every UID that was ever told.
fn promises(events: &[Event]) -> (BTreeMap<Key, String>, BTreeMap<Key, String>) {
    let (mut there, mut told) = (BTreeMap::new(), BTreeMap::new());
    for event in events {
        let Event::Note(note) = event else { continue };
        let fields: Vec<&str> = note.splitn(6, ' ').collect();
        let [sign, owner, folder, validity, uid, text] = fields[..] else { panic!("{note}") };
        let key = (owner.to_owned(), folder.to_owned(), validity.parse().unwrap(), uid.parse().unwrap());
        if sign == "+" {
            told.insert(key.clone(), text.to_owned());
            there.insert(key, text.to_owned());
        } else {
            there.remove(&key);
        }
    }
    (there, told)
}

async fn check(root: &std::path::Path, events: &[Event], ids: &[(DeliveryId, &str, &str)], what: &str) {
    let (there, told) = promises(events);
    let store = Store::open(&config(root)).unwrap();
    let mut found: BTreeMap<Key, String> = BTreeMap::new();
    let mut next: BTreeMap<(String, String), (u32, u32)> = BTreeMap::new();
    for owner in ["ana", "beto"] {
        let handle = store.account(&account(owner));
        for folder in handle.folders().await.unwrap().into_iter().filter(|folder| folder.exists) {
            let mailbox = handle.open(&folder.name, Access::ReadOnly).await.unwrap();
            let name = folder.name.to_string();
            next.insert((owner.to_owned(), name.clone()), (mailbox.uid_validity(), mailbox.uid_next().get()));
            for uid in mailbox.uids() {
                let content = mailbox.content(*uid).await.unwrap();
                let octets = content.read(0..content.size()).await.unwrap();
                assert_eq!(
                    mailbox.message(*uid).unwrap().size,
                    octets.len() as u64,
                    "half a message: {what}"
                );
                let key = (owner.to_owned(), name.clone(), mailbox.uid_validity(), uid.get());
                found.insert(key, String::from_utf8(octets.to_vec()).unwrap());
            }
        }
    }
    for (key, text) in &there {
        assert_eq!(found.get(key), Some(text), "{key:?} was acknowledged: {what}");
    }
    // A UID that a client was told never means another message, now or later.
    for (key, text) in &told {
        if let Some(other) = found.get(key) {
            assert_eq!(other, text, "{key:?} is another message: {what}");
        }
        if let Some((validity, uid_next)) = next.get(&(key.0.clone(), key.1.clone())) {
            assert!(
                *validity > key.2 || (*validity == key.2 && *uid_next > key.3),
                "{key:?} will be reused: {what}"
            );
        }
    }
    // Exactly once: also after the exchanger tries again whatever it has no answer to.
    for (id, owner, text) in ids {
        let copies = |found: &BTreeMap<Key, String>| {
            found.iter().filter(|(key, t)| key.0 == *owner && key.1 == "INBOX" && t == text).count()
        };
        assert!(copies(&found) <= 1, "{text} twice: {what}");
        let acknowledged = told.iter().any(|(key, t)| key.0 == *owner && key.1 == "INBOX" && t == text);
        let to = vec![Delivery {
            account: account(owner),
            folder: FolderName::inbox(),
            id: *id,
            quota: Quota::default(),
            received: SystemTime::now(),
        }];
        let delivered = store.deliver(incoming(&store, text).await, to).await.remove(0).unwrap();
        if acknowledged || copies(&found) == 1 {
            assert!(delivered.duplicate, "{text} would be stored twice: {what}");
        }
    }
    store.close().await;
}

#[tokio::test]
async fn no_prefix_with_an_acknowledgement_lacks_its_message() {
    // Each file and folder by itself.
    cut_everywhere(0).await;
}

#[tokio::test]
async fn nor_where_the_whole_file_system_is_synced_at_once() {
    cut_everywhere(1).await;
}

async fn cut_everywhere(sync_together: usize) {
    // In memory where that is to be had: the syncs are recorded, they need not be waited for.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let root = dir.path().join("mail");
    let recorder = Arc::new(Recorder::default());
    let disk = |at: &std::path::Path| {
        let mut disk = Disk::probe(at)?;
        disk.recorder = Some(recorder.clone());
        Ok(disk)
    };
    let store = Store::open_on(&StoreConfig { sync_together, ..config(&root) }, disk).unwrap();
    let session = Session { store: store.clone(), recorder: recorder.clone() };

    let texts = ["uno", "dos", "tres", "cuatro", "cinco"];
    let large = "seis ".repeat(100);
    let ids: Vec<DeliveryId> = (0..7).map(|_| DeliveryId::generate()).collect();
    session.deliver(ids[0], &["ana"], texts[0]).await;
    session.deliver(ids[1], &["ana", "beto"], texts[1]).await;
    // A batch.
    tokio::join!(
        session.deliver(ids[2], &["ana"], texts[2]),
        session.deliver(ids[3], &["beto"], texts[3]),
        session.deliver(ids[4], &["ana"], texts[4])
    );
    session.deliver(ids[5], &["beto"], &large).await;
    // The highest UID leaves, and the next message comes.
    session.remove("ana", "INBOX", Uid::new(4).unwrap(), "").await;
    session.deliver(ids[6], &["ana"], "siete").await;
    store.account(&account("ana")).create(&FolderName::parse("Archivo/Viejo").unwrap(), None).await.unwrap();
    let appended =
        session.append("ana", "Archivo/Viejo", "ocho", Flags::SEEN | Flags::keyword("k").unwrap()).await;
    session.append("ana", "Archivo/Viejo", "nueve", Flags::NONE).await;
    session.transfer("ana", "Archivo/Viejo", "INBOX", appended, "ocho", false).await;
    session.transfer("ana", "INBOX", "Archivo/Viejo", Uid::new(1).unwrap(), texts[0], true).await;
    session.deliver(ids[0], &["ana"], texts[0]).await;
    store.close().await;

    let events = recorder.events();
    assert!(events.iter().filter(|event| matches!(event, Event::Note(_))).count() > 12);
    let owners: Vec<(DeliveryId, &str, &str)> = vec![
        (ids[0], "ana", texts[0]),
        (ids[1], "ana", texts[1]),
        (ids[1], "beto", texts[1]),
        (ids[2], "ana", texts[2]),
        (ids[3], "beto", texts[3]),
        (ids[5], "beto", large.as_str()),
    ];
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let variants: u64 = std::env::var("CHASQUI_POWER_CUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut checked = BTreeSet::new();
    for prefix in 0..=events.len() {
        for variant in 0..2 + variants {
            let what = format!("cut after {prefix} of {} steps, variant {variant}", events.len());
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
            check(&into, &events[..prefix], &owners, &what).await;
            std::fs::remove_dir_all(&into).unwrap();
            checked.insert(prefix);
        }
    }
    assert_eq!(checked.len(), events.len() + 1);
}

#[test]
fn the_model_loses_what_was_not_synced_and_keeps_what_was() {
    let dir = tempfile::tempdir().unwrap();
    let root = std::path::Path::new("/r");
    let at = |name: &str| root.join(name);
    let events = [
        Event::Mkdir { path: at("d") },
        Event::SyncDir { path: root.to_owned() },
        Event::Write { file: 1, octets: b"x".to_vec() },
        Event::SyncFile { file: 1 },
        Event::Link { file: 1, path: at("d/a") },
        Event::SyncDir { path: at("d") },
        Event::Write { file: 2, octets: b"y".to_vec() },
        Event::Link { file: 2, path: at("d/b") },
        Event::Rename { from: at("d/a"), to: at("d/c") },
    ];
    let listed = |into: &std::path::Path| {
        let mut names: Vec<String> = std::fs::read_dir(into.join("d"))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    for (survives, expected) in [(false, vec!["a"]), (true, vec!["b", "c"])] {
        let into = dir.path().join(format!("{survives}"));
        std::fs::create_dir(&into).unwrap();
        power_cut(&events, root, &into, || survives);
        assert_eq!(listed(&into), expected);
    }
}

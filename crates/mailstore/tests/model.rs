//! Random operations against a model, then the store is closed and opened again, its index deleted: the same UIDs, flags and
//! contents; UIDs never come back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chasqui_base::{ByteSize, DeliveryId, EmailAddress};
use chasqui_mailstore::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Deliver { again: bool },
    Append { folder: usize, flags: u8, large: bool },
    Store { folder: usize, which: u8, mode: u8, flags: u8 },
    Copy { from: usize, to: usize, which: u8 },
    Move { from: usize, to: usize, which: u8 },
    Expunge { folder: usize },
    Create { folder: usize },
    Delete { folder: usize },
    Rename { from: usize, to: usize },
    Reopen { without_index: bool },
}

fn op() -> impl Strategy<Value = Op> {
    let folder = 0..FOLDERS.len();
    prop_oneof![
        4 => any::<bool>().prop_map(|again| Op::Deliver { again }),
        3 => (folder.clone(), any::<u8>(), any::<bool>()).prop_map(|(folder, flags, large)| Op::Append { folder, flags, large }),
        3 => (folder.clone(), any::<u8>(), 0..3u8, any::<u8>()).prop_map(|(folder, which, mode, flags)| Op::Store { folder, which, mode, flags }),
        2 => (folder.clone(), folder.clone(), any::<u8>()).prop_map(|(from, to, which)| Op::Copy { from, to, which }),
        2 => (folder.clone(), folder.clone(), any::<u8>()).prop_map(|(from, to, which)| Op::Move { from, to, which }),
        2 => folder.clone().prop_map(|folder| Op::Expunge { folder }),
        2 => folder.clone().prop_map(|folder| Op::Create { folder }),
        1 => folder.clone().prop_map(|folder| Op::Delete { folder }),
        1 => (folder.clone(), folder).prop_map(|(from, to)| Op::Rename { from, to }),
        1 => any::<bool>().prop_map(|without_index| Op::Reopen { without_index }),
    ]
}

const FOLDERS: [&str; 5] = ["INBOX", "A", "A/B", "Año.nuevo", "Trash"];

#[derive(Clone, PartialEq, Debug)]
struct Stored {
    flags: Flags,
    content: Vec<u8>,
    date: SystemTime,
}

#[derive(Default)]
struct Modelled {
    uid_validity: u32,
    messages: BTreeMap<Uid, Stored>,
}

struct World {
    dir: tempfile::TempDir,
    store: Store,
    folders: BTreeMap<FolderName, Modelled>,
    /// Every UID that was ever given out, with its folder's UIDVALIDITY.
    given: BTreeSet<(u32, Uid)>,
    delivered: Vec<DeliveryId>,
    counter: u64,
}

fn open(dir: &tempfile::TempDir) -> Store {
    let config = StoreConfig {
        root: dir.path().into(),
        workers: 1,
        host: "h".into(),
        spill: ByteSize(100),
        idle_accounts: 1,
        ..StoreConfig::default()
    };
    Store::open(&config).unwrap()
}

fn flags(bits: u8) -> Flags {
    let mut flags = Flags::NONE;
    for (bit, flag) in
        [Flags::SEEN, Flags::ANSWERED, Flags::FLAGGED, Flags::DELETED, Flags::DRAFT].iter().enumerate()
    {
        if bits & (1 << bit) != 0 {
            flags.insert(flag);
        }
    }
    for bit in 5..8 {
        if bits & (1 << bit) != 0 {
            flags.insert_keyword(["$Forwarded", "Junk", "k"][bit - 5]).unwrap();
        }
    }
    flags
}

fn name(folder: usize) -> FolderName {
    FolderName::parse(FOLDERS[folder]).unwrap()
}

impl World {
    async fn new() -> World {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let store = open(&dir);
        let mut world = World {
            dir,
            store,
            folders: BTreeMap::new(),
            given: BTreeSet::new(),
            delivered: Vec::new(),
            counter: 0,
        };
        let uid_validity = world.account().status(&FolderName::inbox()).await.unwrap().uid_validity;
        world.folders.insert(FolderName::inbox(), Modelled { uid_validity, ..Modelled::default() });
        world
    }

    fn account(&self) -> Account {
        self.store.account(&EmailAddress::parse("ana@ejemplo.test").unwrap())
    }

    async fn content(&mut self, large: bool) -> (Vec<u8>, Incoming) {
        self.counter += 1;
        let content = format!("Subject: {}\r\n\r\n{}", self.counter, "x".repeat(if large { 300 } else { 3 }))
            .into_bytes();
        let mut message = self.store.incoming();
        message.write(&content).await.unwrap();
        (content, message)
    }

    fn add(&mut self, folder: &FolderName, uid: Uid, stored: Stored) {
        let modelled = self.folders.get_mut(folder).unwrap();
        assert!(self.given.insert((modelled.uid_validity, uid)), "{folder} {uid} was given out before");
        assert!(modelled.messages.last_key_value().is_none_or(|(last, _)| *last < uid));
        modelled.messages.insert(uid, stored);
    }

    async fn apply(&mut self, op: Op) {
        let account = self.account();
        match op {
            Op::Deliver { again } => {
                let old = self.delivered.last().copied().filter(|_| again);
                let id = old.unwrap_or_else(DeliveryId::generate);
                let (content, message) = self.content(false).await;
                self.counter += 1;
                let date = UNIX_EPOCH
                    + Duration::from_secs(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
                let account = account.address().clone();
                let to = vec![Delivery {
                    account,
                    folder: FolderName::inbox(),
                    id,
                    quota: Quota::default(),
                    received: date,
                }];
                let delivered = self.store.deliver(message, to).await.remove(0).unwrap();
                assert_eq!(delivered.duplicate, old.is_some());
                if old.is_none() {
                    self.add(
                        &FolderName::inbox(),
                        delivered.uid,
                        Stored { flags: Flags::NONE, content, date },
                    );
                    self.delivered.push(id);
                }
            }
            Op::Append { folder, flags: bits, large } => {
                let (content, message) = self.content(large).await;
                let date = UNIX_EPOCH + Duration::from_secs(1_000_000_000 + self.counter);
                let append = Append { message, flags: flags(bits), internal_date: Some(date) };
                match account.append(&name(folder), vec![append], Quota::default()).await {
                    Ok(appended) => self.add(
                        &name(folder),
                        appended.uids[0],
                        Stored { flags: flags(bits), content, date },
                    ),
                    Err(error) => {
                        assert!(
                            matches!(error, MailError::NoSuchFolder)
                                && !self.folders.contains_key(&name(folder))
                        );
                    }
                }
            }
            Op::Store { folder, which, mode, flags: bits } => {
                let Ok(mut mailbox) = account.open(&name(folder), Access::ReadWrite).await else { return };
                let uids: Vec<Uid> =
                    mailbox.uids().iter().copied().filter(|uid| uid.get() as u8 & which & 7 == 0).collect();
                let mode = [FlagsMode::Replace, FlagsMode::Add, FlagsMode::Remove][usize::from(mode)];
                mailbox.store_flags(&uids, mode, &flags(bits)).await.unwrap();
                for uid in uids {
                    let stored = &mut self
                        .folders
                        .get_mut(&name(folder))
                        .unwrap()
                        .messages
                        .get_mut(&uid)
                        .unwrap()
                        .flags;
                    match mode {
                        FlagsMode::Replace => *stored = flags(bits),
                        FlagsMode::Add => stored.insert(&flags(bits)),
                        FlagsMode::Remove => stored.remove(&flags(bits)),
                    }
                }
            }
            Op::Copy { from, to, which } | Op::Move { from, to, which } => {
                let moves = matches!(op, Op::Move { .. });
                let (from, to) = (name(from), name(to));
                let Ok(mut mailbox) = account.open(&from, Access::ReadWrite).await else { return };
                let uids: Vec<Uid> =
                    mailbox.uids().iter().copied().filter(|uid| uid.get() as u8 & which & 7 == 0).collect();
                let result = match moves {
                    true => mailbox.move_to(&uids, &to).await,
                    false => mailbox.copy(&uids, &to, Quota::default()).await,
                };
                let Some(modelled) = self.folders.get(&to) else {
                    assert!(matches!(result, Err(MailError::NoSuchFolder)));
                    return;
                };
                let copied = result.unwrap();
                assert_eq!(copied.uid_validity, modelled.uid_validity);
                assert_eq!(copied.pairs.iter().map(|(from, _)| *from).collect::<Vec<_>>(), uids);
                for (old, new) in copied.pairs {
                    let source = self.folders.get_mut(&from).unwrap();
                    let stored = source.messages[&old].clone();
                    if moves {
                        source.messages.remove(&old);
                    }
                    self.add(&to, new, stored);
                }
            }
            Op::Expunge { folder } => {
                let Ok(mut mailbox) = account.open(&name(folder), Access::ReadWrite).await else { return };
                mailbox.expunge(None).await.unwrap();
                self.folders
                    .get_mut(&name(folder))
                    .unwrap()
                    .messages
                    .retain(|_, stored| !stored.flags.deleted());
            }
            Op::Create { folder } => {
                let mut created = name(folder);
                let result = account.create(&created, None).await;
                assert_eq!(result.is_ok(), !self.folders.contains_key(&created));
                self.learn(&mut created).await;
            }
            Op::Delete { folder } => {
                let result = account.delete(&name(folder)).await;
                assert_eq!(result.is_ok(), folder != 0 && self.folders.contains_key(&name(folder)));
                if result.is_ok() {
                    self.folders.remove(&name(folder));
                }
            }
            Op::Rename { from, to } => {
                let (from, to) = (name(from), name(to));
                if account.rename(&from, &to).await.is_err() {
                    return;
                }
                if from.is_inbox() {
                    let status = account.status(&to).await.unwrap();
                    let messages: Vec<Stored> =
                        std::mem::take(&mut self.folders.get_mut(&from).unwrap().messages)
                            .into_values()
                            .collect();
                    self.folders.insert(
                        to.clone(),
                        Modelled { uid_validity: status.uid_validity, ..Modelled::default() },
                    );
                    for (n, stored) in messages.into_iter().enumerate() {
                        self.add(&to, Uid::new(n as u32 + 1).unwrap(), stored);
                    }
                } else {
                    let moved: Vec<FolderName> = self
                        .folders
                        .keys()
                        .filter(|each| **each == from || each.is_below(&from))
                        .cloned()
                        .collect();
                    for old in moved {
                        let modelled = self.folders.remove(&old).unwrap();
                        self.folders.insert(old.moved(&from, &to).unwrap(), modelled);
                    }
                }
                let mut parent = to;
                self.learn(&mut parent).await;
            }
            Op::Reopen { without_index } => self.reopen(without_index).await,
        }
    }

    /// Takes in the folders that creating this one made above it.
    async fn learn(&mut self, created: &mut FolderName) {
        loop {
            if !self.folders.contains_key(created)
                && let Ok(status) = self.account().status(created).await
            {
                let older = self.given.iter().any(|(validity, _)| *validity == status.uid_validity);
                assert!(!older, "a new folder has the UIDVALIDITY of an old one");
                self.folders.insert(
                    created.clone(),
                    Modelled { uid_validity: status.uid_validity, ..Modelled::default() },
                );
            }
            match created.parent() {
                Some(parent) => *created = parent,
                None => return,
            }
        }
    }

    async fn reopen(&mut self, without_index: bool) {
        self.check().await;
        self.store.close().await;
        if without_index {
            let account = EmailAddress::parse("ana@ejemplo.test").unwrap();
            let _ = std::fs::remove_file(Layout::Digest.path(self.dir.path(), &account).join("index.sqlite"));
        }
        self.store = open(&self.dir);
        self.check().await;
    }

    async fn check(&mut self) {
        let account = self.account();
        let listed: BTreeSet<FolderName> =
            account.folders().await.unwrap().into_iter().filter(|f| f.exists).map(|f| f.name).collect();
        assert_eq!(listed, self.folders.keys().cloned().collect());
        let mut usage = Usage::default();
        for (name, modelled) in &self.folders {
            let mailbox = account.open(name, Access::ReadOnly).await.unwrap();
            assert_eq!(mailbox.uid_validity(), modelled.uid_validity, "{name}");
            assert_eq!(mailbox.uids(), modelled.messages.keys().copied().collect::<Vec<_>>(), "{name}");
            let highest = self
                .given
                .iter()
                .filter(|(validity, _)| *validity == modelled.uid_validity)
                .map(|(_, uid)| *uid)
                .max();
            assert!(highest.is_none_or(|highest| mailbox.uid_next() > highest), "{name}");
            let summaries = mailbox.summaries(mailbox.uids()).await.unwrap();
            for ((uid, stored), summary) in modelled.messages.iter().zip(summaries) {
                let message = mailbox.message(*uid).unwrap();
                assert_eq!(
                    (message.flags, message.internal_date),
                    (stored.flags.clone(), stored.date),
                    "{name} {uid}"
                );
                let content = mailbox.content(*uid).await.unwrap();
                assert_eq!(content.read(0..content.size()).await.unwrap(), stored.content);
                let subject = format!("Subject: {}\r\n", summary.envelope.subject.unwrap());
                assert!(summary.uid == *uid && stored.content.starts_with(subject.as_bytes()));
                usage.bytes += message.size;
                usage.messages += 1;
            }
        }
        assert_eq!(account.usage().await.unwrap(), usage);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
    #[test]
    fn the_tree_alone_is_the_truth(ops in prop::collection::vec(op(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for op in ops {
                world.apply(op).await;
            }
            world.reopen(true).await;
            world.store.close().await;
        });
    }
}

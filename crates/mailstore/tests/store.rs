//! The store as its sessions use it.

use std::time::{Duration, SystemTime};

use chasqui_base::{ByteSize, DeliveryId, EmailAddress};
use chasqui_mailstore::*;

fn config(root: &std::path::Path) -> StoreConfig {
    StoreConfig {
        root: root.to_owned(),
        workers: 2,
        host: "mail.ejemplo.test".into(),
        spill: ByteSize(1024),
        ..StoreConfig::default()
    }
}

fn ana() -> EmailAddress {
    EmailAddress::parse("ana@ejemplo.test").unwrap()
}

fn folder(name: &str) -> FolderName {
    FolderName::parse(name).unwrap()
}

async fn incoming(store: &Store, text: &[u8]) -> Incoming {
    let mut message = store.incoming();
    for piece in text.chunks(700) {
        message.write(piece).await.unwrap();
    }
    message
}

fn delivery(account: &EmailAddress, id: DeliveryId) -> Delivery {
    Delivery {
        account: account.clone(),
        folder: FolderName::inbox(),
        id,
        quota: Quota::default(),
        received: SystemTime::now(),
    }
}

async fn deliver(
    store: &Store,
    account: &EmailAddress,
    id: DeliveryId,
    text: &[u8],
) -> Result<Delivered, MailError> {
    store.deliver(incoming(store, text).await, vec![delivery(account, id)]).await.remove(0)
}

async fn append(account: &Account, store: &Store, to: &str, text: &[u8], flags: Flags) -> Uid {
    let message = incoming(store, text).await;
    account
        .append(&folder(to), vec![Append { message, flags, internal_date: None }], Quota::default())
        .await
        .unwrap()
        .uids[0]
}

async fn read(mailbox: &Mailbox, uid: Uid) -> Vec<u8> {
    let content = mailbox.content(uid).await.unwrap();
    content.read(0..content.size()).await.unwrap().to_vec()
}

fn uid(n: u32) -> Uid {
    Uid::new(n).unwrap()
}

#[tokio::test]
async fn a_delivered_message_is_there_with_its_octets_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let large = b"0123456789abcdef".repeat(20_000);
    let store = Store::open(&config(dir.path())).unwrap();
    let first =
        deliver(&store, &ana(), DeliveryId::generate(), b"Subject: uno\r\n\r\nhola\r\n").await.unwrap();
    let second = deliver(&store, &ana(), DeliveryId::generate(), &large).await.unwrap();
    assert_eq!((first.uid, second.uid, first.duplicate), (uid(1), uid(2), false));
    store.close().await;
    assert!(matches!(deliver(&store, &ana(), DeliveryId::generate(), b"x").await, Err(MailError::Busy)));
    drop(store);

    let store = Store::open(&config(dir.path())).unwrap();
    let mailbox = store.account(&ana()).open(&FolderName::inbox(), Access::ReadWrite).await.unwrap();
    assert_eq!(mailbox.uid_validity(), first.uid_validity);
    assert_eq!((mailbox.exists(), mailbox.recent(), mailbox.uid_next()), (2, 2, uid(3)));
    assert_eq!(read(&mailbox, uid(1)).await, b"Subject: uno\r\n\r\nhola\r\n");
    assert_eq!(read(&mailbox, uid(2)).await, large);
    assert_eq!(mailbox.message(uid(2)).unwrap().size, large.len() as u64);
    let content = mailbox.content(uid(2)).await.unwrap();
    assert_eq!(&content.read(16..32).await.unwrap()[..], b"0123456789abcdef");
    assert_eq!(content.read(content.size() - 3..content.size() + 100).await.unwrap().len(), 3);
    store.close().await;
}

#[tokio::test]
async fn a_retry_is_recognised_also_after_the_message_was_deleted_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&config(dir.path())).unwrap();
    let (kept, removed) = (DeliveryId::generate(), DeliveryId::generate());
    deliver(&store, &ana(), kept, b"kept").await.unwrap();
    deliver(&store, &ana(), removed, b"removed").await.unwrap();
    assert!(deliver(&store, &ana(), kept, b"kept").await.unwrap().duplicate);
    let mut mailbox = store.account(&ana()).open(&FolderName::inbox(), Access::ReadWrite).await.unwrap();
    mailbox.remove(&[uid(2)]).await.unwrap();
    assert!(deliver(&store, &ana(), removed, b"removed").await.unwrap().duplicate);
    // Over quota, a retry is still recognised.
    let full = Quota { bytes: Some(1), messages: Some(1) };
    let again = store
        .deliver(incoming(&store, b"kept").await, vec![Delivery { quota: full, ..delivery(&ana(), kept) }])
        .await
        .remove(0);
    assert!(again.unwrap().duplicate);
    drop(mailbox);
    store.close().await;
    drop(store);

    let store = Store::open(&config(dir.path())).unwrap();
    for id in [kept, removed] {
        assert!(deliver(&store, &ana(), id, b"again").await.unwrap().duplicate);
    }
    let mailbox = store.account(&ana()).open(&FolderName::inbox(), Access::ReadOnly).await.unwrap();
    assert_eq!((mailbox.exists(), mailbox.uid_next()), (1, uid(3)));
    store.close().await;
}

#[tokio::test]
async fn one_message_for_several_accounts_is_one_file() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&config(dir.path())).unwrap();
    let id = DeliveryId::generate();
    let accounts: Vec<EmailAddress> =
        (0..5).map(|n| EmailAddress::parse(&format!("u{n}@ejemplo.test")).unwrap()).collect();
    let mut to: Vec<Delivery> = accounts.iter().map(|account| delivery(account, id)).collect();
    // Named twice: stored once.
    to.push(delivery(&accounts[0], id));
    let results = store.deliver(incoming(&store, b"to all").await, to).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(
        results.iter().filter(|result| matches!(result, Ok(Delivered { duplicate: true, .. }))).count(),
        1
    );
    let mut inodes = std::collections::HashSet::new();
    for account in &accounts {
        let new = Layout::Digest.path(dir.path(), account).join("new");
        let files: Vec<_> = std::fs::read_dir(new).unwrap().map(|file| file.unwrap()).collect();
        assert_eq!(files.len(), 1);
        inodes.insert(files[0].metadata().unwrap().ino());
        let mailbox = store.account(account).open(&FolderName::inbox(), Access::ReadOnly).await.unwrap();
        assert_eq!(read(&mailbox, uid(1)).await, b"to all");
    }
    assert_eq!(inodes.len(), 1);
    store.close().await;
}

#[tokio::test]
async fn quota_refuses_what_does_not_fit_and_keeps_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&config(dir.path())).unwrap();
    let account = store.account(&ana());
    let quota = Quota { bytes: Some(100), messages: Some(3) };
    let try_deliver = async |size: usize| {
        let to = vec![Delivery { quota, ..delivery(&ana(), DeliveryId::generate()) }];
        store.deliver(incoming(&store, &vec![b'x'; size]).await, to).await.remove(0)
    };
    try_deliver(60).await.unwrap();
    assert!(matches!(try_deliver(41).await, Err(MailError::OverQuota)));
    try_deliver(40).await.unwrap();
    let mut mailbox = account.open(&FolderName::inbox(), Access::ReadWrite).await.unwrap();
    assert!(matches!(mailbox.copy(&[uid(1)], &FolderName::inbox(), quota).await, Err(MailError::OverQuota)));
    assert_eq!(account.usage().await.unwrap(), Usage { bytes: 100, messages: 2 });
    mailbox.remove(&[uid(1)]).await.unwrap();
    assert_eq!(account.usage().await.unwrap(), Usage { bytes: 40, messages: 1 });
    try_deliver(1).await.unwrap();
    try_deliver(1).await.unwrap();
    assert!(matches!(try_deliver(1).await, Err(MailError::OverQuota)));
    store.close().await;
}

#[tokio::test]
async fn changes_reach_every_view_and_sequence_numbers_stay_until_sync() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&config(dir.path())).unwrap();
    let account = store.account(&ana());
    for _ in 0..3 {
        deliver(&store, &ana(), DeliveryId::generate(), b"x").await.unwrap();
    }
    let mut one = account.open(&FolderName::inbox(), Access::ReadWrite).await.unwrap();
    let mut two = account.open(&FolderName::inbox(), Access::ReadWrite).await.unwrap();
    assert_eq!((one.recent(), two.recent()), (3, 0));

    one.store_flags(&[uid(1), uid(3)], FlagsMode::Add, &Flags::DELETED).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), two.changed()).await.unwrap();
    assert_eq!(
        two.sync(true),
        [
            Change::Flags { seq: 1, uid: uid(1), flags: Flags::DELETED },
            Change::Flags { seq: 3, uid: uid(3), flags: Flags::DELETED }
        ]
    );
    assert_eq!(one.sync(true).len(), 2);
    one.expunge(None).await.unwrap();
    let waiting = two.changed();
    tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap();
    // Without leave to tell of expunges the numbers stay, and new messages are counted after them.
    deliver(&store, &ana(), DeliveryId::generate(), b"y").await.unwrap();
    assert_eq!(two.sync(false), [Change::Exists(4), Change::Recent(1)]);
    assert_eq!((two.uid_at(1), two.uid_at(4)), (Some(uid(1)), Some(uid(4))));
    assert!(two.message(uid(1)).is_none());
    assert!(matches!(two.content(uid(1)).await, Err(MailError::Gone)));
    assert_eq!(
        two.sync(true),
        [Change::Expunged { seq: 1, uid: uid(1) }, Change::Expunged { seq: 2, uid: uid(3) }]
    );
    assert_eq!(two.uids(), [uid(2), uid(4)]);
    assert_eq!(two.sync(true), []);
    assert_eq!(
        one.sync(true),
        [
            Change::Expunged { seq: 1, uid: uid(1) },
            Change::Expunged { seq: 2, uid: uid(3) },
            Change::Exists(2),
            Change::Recent(1)
        ]
    );
    assert!(tokio::time::timeout(Duration::from_millis(20), one.changed()).await.is_err());

    let mut reader = account.open(&FolderName::inbox(), Access::ReadOnly).await.unwrap();
    assert!(matches!(reader.expunge(None).await, Err(MailError::ReadOnly)));
    store.close().await;
}

#[tokio::test]
async fn uids_are_not_reused_after_expunge_and_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    for _ in 0..3 {
        let store = Store::open(&config(dir.path())).unwrap();
        let delivered = deliver(&store, &ana(), DeliveryId::generate(), b"x").await.unwrap();
        assert!(delivered.uid.get() > last);
        last = delivered.uid.get();
        let mut mailbox = store.account(&ana()).open(&FolderName::inbox(), Access::ReadWrite).await.unwrap();
        mailbox.store_flags(&[delivered.uid], FlagsMode::Replace, &Flags::DELETED).await.unwrap();
        mailbox.expunge(Some(&[delivered.uid])).await.unwrap();
        mailbox.sync(true);
        assert_eq!((mailbox.exists(), mailbox.uid_next().get()), (0, last + 1));
        drop(mailbox);
        store.close().await;
    }
}

#[tokio::test]
async fn flags_keywords_and_dates_survive_copy_move_and_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&config(dir.path())).unwrap();
    let account = store.account(&ana());
    account.create(&folder("Archivo/2026"), None).await.unwrap();
    let flags = Flags::SEEN | Flags::FLAGGED | Flags::keyword("$Forwarded").unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let message = incoming(&store, b"Subject: x\r\n\r\ny").await;
    let appended = account
        .append(
            &FolderName::inbox(),
            vec![Append { message, flags: flags.clone(), internal_date: Some(old) }],
            Quota::default(),
        )
        .await
        .unwrap();
    assert_eq!(appended.uids, [uid(1)]);
    let mut inbox = account.open(&FolderName::inbox(), Access::ReadWrite).await.unwrap();
    // Letters mean something else in the other folder.
    append(&account, &store, "Archivo/2026", b"z", Flags::keyword("other").unwrap()).await;
    let copied = inbox.copy(&[uid(1), uid(9)], &folder("Archivo/2026"), Quota::default()).await.unwrap();
    assert_eq!(copied.pairs, [(uid(1), uid(2))]);
    inbox.store_flags(&[uid(1)], FlagsMode::Remove, &Flags::SEEN).await.unwrap();
    inbox
        .store_flags(&[uid(1)], FlagsMode::Add, &Flags::keyword("más").unwrap_or(Flags::ANSWERED))
        .await
        .unwrap();
    let moved = inbox.move_to(&[uid(1)], &folder("Archivo/2026")).await.unwrap();
    assert_eq!(moved.pairs, [(uid(1), uid(3))]);
    assert_eq!(inbox.sync(true).first(), Some(&Change::Expunged { seq: 1, uid: uid(1) }));
    assert!(matches!(
        inbox.copy(&[uid(1)], &folder("No"), Quota::default()).await,
        Err(MailError::NoSuchFolder)
    ));
    drop(inbox);
    store.close().await;
    drop(store);

    let store = Store::open(&config(dir.path())).unwrap();
    let archive = store.account(&ana()).open(&folder("Archivo/2026"), Access::ReadOnly).await.unwrap();
    assert_eq!(archive.exists(), 3);
    let copy = archive.message(uid(2)).unwrap();
    assert_eq!((copy.flags, copy.internal_date), (flags, old));
    let moved = archive.message(uid(3)).unwrap();
    assert_eq!(moved.flags, Flags::FLAGGED | Flags::ANSWERED | Flags::keyword("$forwarded").unwrap());
    assert_eq!(moved.internal_date, old);
    assert_eq!(read(&archive, uid(3)).await, b"Subject: x\r\n\r\ny");
    store.close().await;
}

#[tokio::test]
async fn folders_are_made_listed_renamed_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&config(dir.path())).unwrap();
    let account = store.account(&ana());
    let listed = async || {
        let folders = account.folders().await.unwrap();
        folders
            .iter()
            .map(|f| {
                format!(
                    "{}{}{}",
                    f.name,
                    if f.exists { "" } else { "?" },
                    if f.subscribed { "*" } else { "" }
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(listed().await, ["INBOX*"]);
    account.create(&folder("Sent"), None).await.unwrap();
    account.create(&folder("A/B/C"), Some(SpecialUse::Junk)).await.unwrap();
    assert!(matches!(account.create(&folder("A"), None).await, Err(MailError::FolderExists)));
    assert!(matches!(account.create(&folder("inbox"), None).await, Err(MailError::FolderExists)));
    account.subscribe(&folder("A/B"), true).await.unwrap();
    assert_eq!(listed().await, ["INBOX*", "A", "A/B*", "A/B/C", "Sent"]);
    let uses: Vec<_> = account
        .folders()
        .await
        .unwrap()
        .into_iter()
        .filter_map(|f| Some((f.name.to_string(), f.special_use?)))
        .collect();
    assert_eq!(uses, [("A/B/C".to_owned(), SpecialUse::Junk), ("Sent".to_owned(), SpecialUse::Sent)]);

    append(&account, &store, "A/B/C", b"kept", Flags::NONE).await;
    let mut view = account.open(&folder("A/B/C"), Access::ReadWrite).await.unwrap();
    account.rename(&folder("A"), &folder("Z/Y")).await.unwrap();
    assert_eq!(listed().await, ["INBOX*", "A/B?*", "Sent", "Z", "Z/Y", "Z/Y/B", "Z/Y/B/C"]);
    // The view goes on.
    assert_eq!(read(&view, uid(1)).await, b"kept");
    view.store_flags(&[uid(1)], FlagsMode::Add, &Flags::SEEN).await.unwrap();
    assert_eq!(view.message(uid(1)).unwrap().flags, Flags::SEEN);
    assert!(matches!(account.rename(&folder("Z"), &folder("Z/Q")).await, Err(MailError::InvalidName(_))));
    assert!(matches!(account.rename(&folder("Nada"), &folder("Q")).await, Err(MailError::NoSuchFolder)));

    let before = account.status(&folder("Z/Y/B/C")).await.unwrap();
    assert_eq!((before.messages, before.unseen, before.size), (1, 0, 4));
    view.sync(true);
    account.delete(&folder("Z/Y/B/C")).await.unwrap();
    assert!(view.is_gone());
    assert_eq!(view.sync(true), [Change::Expunged { seq: 1, uid: uid(1) }, Change::Recent(0)]);
    assert!(matches!(view.expunge(None).await, Err(MailError::Gone)));
    assert!(matches!(account.status(&folder("Z/Y/B/C")).await, Err(MailError::NoSuchFolder)));
    account.create(&folder("Z/Y/B/C"), None).await.unwrap();
    assert!(account.status(&folder("Z/Y/B/C")).await.unwrap().uid_validity > before.uid_validity);
    assert!(matches!(account.delete(&FolderName::inbox()).await, Err(MailError::InvalidName(_))));

    deliver(&store, &ana(), DeliveryId::generate(), b"x").await.unwrap();
    account.rename(&FolderName::inbox(), &folder("Viejo")).await.unwrap();
    assert_eq!(account.status(&FolderName::inbox()).await.unwrap().messages, 0);
    assert_eq!(account.status(&folder("Viejo")).await.unwrap().messages, 1);
    assert_eq!(account.usage().await.unwrap().messages, 1);
    store.close().await;
}

#[tokio::test]
async fn summaries_come_from_the_index_and_without_it_from_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&config(dir.path())).unwrap();
    let account = store.account(&ana());
    for n in 1..=3 {
        append(&account, &store, "INBOX", format!("Subject: {n}\r\n\r\nbody\r\n").as_bytes(), Flags::NONE)
            .await;
    }
    let mailbox = account.open(&FolderName::inbox(), Access::ReadOnly).await.unwrap();
    let wanted = [uid(3), uid(1), uid(7), uid(2)];
    let first = mailbox.summaries(&wanted).await.unwrap();
    let subjects: Vec<_> = first.iter().map(|summary| summary.envelope.subject.clone().unwrap()).collect();
    assert_eq!(subjects, ["3", "1", "2"]);
    assert_eq!((first[0].body.size(), first[0].body.lines), (6, 1));
    assert_eq!(mailbox.summaries(&wanted).await.unwrap(), first);
    let index = Layout::Digest.path(dir.path(), &ana()).join("index.sqlite");
    std::fs::remove_file(&index).unwrap();
    assert_eq!(mailbox.summaries(&wanted).await.unwrap(), first);
    assert!(index.exists());
    store.close().await;
}

#[tokio::test]
async fn other_programs_files_are_taken_in_with_a_uid() {
    let dir = tempfile::tempdir().unwrap();
    let account_dir = Layout::Digest.path(dir.path(), &ana());
    let store = Store::open(&config(dir.path())).unwrap();
    deliver(&store, &ana(), DeliveryId::generate(), b"ours").await.unwrap();
    store.close().await;
    drop(store);
    std::fs::write(account_dir.join("new/1276528487.M364837P9451.kurkku"), b"dropped by another").unwrap();
    std::fs::write(account_dir.join("cur/1276528488.x.h:2,SFz"), b"seen by another").unwrap();
    std::fs::write(account_dir.join("cur/strange name"), b"strange").unwrap();
    // Claims the UID of our message.
    std::fs::write(account_dir.join("cur/9999999999.x.h,S=5,U=1:2,"), b"clash").unwrap();
    std::fs::write(account_dir.join("new/.hidden"), b"no message").unwrap();
    std::fs::create_dir(account_dir.join("cur/directory")).unwrap();
    std::fs::write(account_dir.join("tmp/left.partial"), b"left by a crash").unwrap();

    let mut seen: Vec<Vec<u8>> = Vec::new();
    for round in 0..2 {
        let store = Store::open(&config(dir.path())).unwrap();
        let mailbox = store.account(&ana()).open(&FolderName::inbox(), Access::ReadOnly).await.unwrap();
        assert_eq!(mailbox.exists(), 5, "{:?}", mailbox.uids());
        assert_eq!(read(&mailbox, uid(1)).await, b"ours");
        let mut contents = Vec::new();
        for uid in mailbox.uids() {
            let content = read(&mailbox, *uid).await;
            assert_eq!(mailbox.message(*uid).unwrap().size, content.len() as u64);
            contents.push(content);
        }
        let by_other = mailbox.uids()[contents.iter().position(|c| c == b"seen by another").unwrap()];
        assert_eq!(mailbox.message(by_other).unwrap().flags, Flags::SEEN | Flags::FLAGGED);
        assert_eq!(
            mailbox.message(by_other).unwrap().internal_date,
            SystemTime::UNIX_EPOCH + Duration::from_secs(1276528488)
        );
        if round == 0 {
            seen = contents;
        } else {
            assert_eq!(contents, seen);
        }
        drop(mailbox);
        store.close().await;
    }
    assert!(!account_dir.join("tmp/left.partial").exists());
}

#[tokio::test]
async fn lost_state_files_are_made_anew_with_a_greater_uid_validity() {
    let dir = tempfile::tempdir().unwrap();
    let account_dir = Layout::Digest.path(dir.path(), &ana());
    let mut last = 0;
    for damage in ["", "folder.toml", "account.toml", "both"] {
        match damage {
            "" => {}
            "both" => {
                // Only the clock is left to be greater by; it must have passed the folders made in one second.
                while SystemTime::now() < SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(last) + 1) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                std::fs::remove_file(account_dir.join("folder.toml")).unwrap();
                std::fs::remove_file(account_dir.join("account.toml")).unwrap();
            }
            name => std::fs::write(account_dir.join(name), "damaged = [").unwrap(),
        }
        let store = Store::open(&config(dir.path())).unwrap();
        let delivered = deliver(&store, &ana(), DeliveryId::generate(), b"x").await.unwrap();
        assert!(delivered.uid_validity >= last);
        assert_eq!(delivered.uid_validity > last, damage != "account.toml", "{damage}");
        last = delivered.uid_validity;
        store.close().await;
    }
    let store = Store::open(&config(dir.path())).unwrap();
    assert_eq!(store.account(&ana()).status(&FolderName::inbox()).await.unwrap().messages, 4);
    store.close().await;
}

#[tokio::test]
async fn a_root_has_one_owner_and_one_layout() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&config(dir.path())).unwrap();
    assert!(matches!(Store::open(&config(dir.path())), Err(OpenError::InUse { .. })));
    store.close().await;
    let other = StoreConfig { layout: Layout::Letters3, ..config(dir.path()) };
    assert!(matches!(Store::open(&other), Err(OpenError::Layout { .. })));
    assert!(matches!(
        Store::open(&StoreConfig { workers: 0, ..config(dir.path()) }),
        Err(OpenError::Config { key: "workers", .. })
    ));
}

#[tokio::test]
async fn idle_accounts_are_forgotten_and_come_back_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&StoreConfig { workers: 1, idle_accounts: 3, ..config(dir.path()) }).unwrap();
    let accounts: Vec<EmailAddress> =
        (0..20).map(|n| EmailAddress::parse(&format!("u{n}@ejemplo.test")).unwrap()).collect();
    let mut held = store.account(&accounts[0]).open(&FolderName::inbox(), Access::ReadWrite).await.unwrap();
    for round in 1..=3 {
        let all = accounts.iter().map(|account| deliver(&store, account, DeliveryId::generate(), b"x"));
        let mut tasks = tokio::task::JoinSet::new();
        for account in accounts.clone() {
            let store = store.clone();
            tasks.spawn(async move { deliver(&store, &account, DeliveryId::generate(), b"x").await });
        }
        while let Some(result) = tasks.join_next().await {
            assert_eq!(result.unwrap().unwrap().uid, uid(round));
        }
        drop(all);
    }
    held.sync(true);
    assert_eq!(held.exists(), 3);
    store.close().await;
}

#[tokio::test]
async fn the_limits_hold() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&StoreConfig { max_folders: 3, max_messages: 2, ..config(dir.path()) }).unwrap();
    let account = store.account(&ana());
    account.create(&folder("A/B"), None).await.unwrap();
    assert!(matches!(account.create(&folder("C"), None).await, Err(MailError::LimitExceeded(_))));
    for _ in 0..2 {
        deliver(&store, &ana(), DeliveryId::generate(), b"x").await.unwrap();
    }
    assert!(matches!(
        deliver(&store, &ana(), DeliveryId::generate(), b"x").await,
        Err(MailError::LimitExceeded(_))
    ));
    let mut mailbox = account.open(&FolderName::inbox(), Access::ReadWrite).await.unwrap();
    for n in 0..26 {
        mailbox
            .store_flags(&[uid(1)], FlagsMode::Add, &Flags::keyword(&format!("k{n}")).unwrap())
            .await
            .unwrap();
    }
    assert!(matches!(
        mailbox.store_flags(&[uid(1)], FlagsMode::Add, &Flags::keyword("k26").unwrap()).await,
        Err(MailError::LimitExceeded(_))
    ));
    assert_eq!(mailbox.keywords().len(), 26);
    store.close().await;
}

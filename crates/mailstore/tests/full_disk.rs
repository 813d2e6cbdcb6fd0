//! A disk that is really full: a small tmpfs, where this may be mounted.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use chasqui_base::{DeliveryId, EmailAddress};
use chasqui_mailstore::*;

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_keeps_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(dir.path()).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: a tmpfs cannot be mounted here");
        return;
    }
    let _mounted = Mounted(dir.path());
    let config = StoreConfig { root: dir.path().join("mail"), workers: 2, ..StoreConfig::default() };
    let store = Store::open(&config).unwrap();
    let account = EmailAddress::parse("ana@ejemplo.test").unwrap();
    let deliver = async |size: usize, id: DeliveryId| {
        let mut message = store.incoming();
        message.write(&vec![b'x'; size]).await?;
        let to = vec![Delivery {
            account: account.clone(),
            folder: FolderName::inbox(),
            id,
            quota: Quota::default(),
            received: SystemTime::now(),
        }];
        store.deliver(message, to).await.remove(0)
    };
    let mut stored = 0;
    loop {
        match deliver(10_000, DeliveryId::generate()).await {
            Ok(_) => stored += 1,
            Err(error) => {
                assert!(matches!(error, MailError::Full), "{error}");
                break;
            }
        }
    }
    assert!(stored > 30);
    // A large one goes to a file at once, and is refused as well.
    assert!(matches!(deliver(900_000, DeliveryId::generate()).await, Err(MailError::Full)));
    let handle = store.account(&account);
    let mut mailbox = handle.open(&FolderName::inbox(), Access::ReadWrite).await.unwrap();
    let folder = FolderName::parse("A").unwrap();
    // Whatever still fits or not: an answer, and nothing lost.
    while deliver(1, DeliveryId::generate()).await.is_ok() {
        stored += 1;
        mailbox.sync(true);
    }
    assert!(handle.create(&folder, None).await.is_err());
    mailbox.sync(true);
    assert_eq!(mailbox.exists(), stored);
    for uid in mailbox.uids().to_vec() {
        let content = mailbox.content(uid).await.unwrap();
        assert_eq!(content.size(), mailbox.message(uid).unwrap().size);
    }

    // A move has no room for what the folder must remember, or has it: never is a message in both folders, nor in none.
    let first = mailbox.uids()[0];
    let trash = FolderName::parse("Trash").unwrap();
    let moved = mailbox.move_to(&[first], &trash).await.is_ok();
    mailbox.sync(true);
    let in_trash = handle.status(&trash).await.map_or(0, |status| status.messages);
    assert_eq!((mailbox.exists() + in_trash as usize, moved), (stored, in_trash == 1));

    // Nobody needs room to make room.
    let gone = mailbox.uids()[..10].to_vec();
    mailbox.remove(&gone).await.unwrap();
    mailbox.sync(true);
    stored = mailbox.exists();
    assert!(mailbox.uids().iter().all(|uid| !gone.contains(uid)));
    deliver(10_000, DeliveryId::generate()).await.unwrap();
    stored += 1;

    drop(mailbox);
    store.close().await;
    drop(store);
    let grown = Command::new("mount").args(["-o", "remount,size=2m"]).arg(dir.path()).status();
    assert!(grown.is_ok_and(|status| status.success()));
    let store = Store::open(&config).unwrap();
    let mailbox = store.account(&account).open(&FolderName::inbox(), Access::ReadWrite).await.unwrap();
    assert_eq!(mailbox.exists(), stored);
    store.close().await;
}

//! The spool's folder.
//!
//! ```text
//! lock               held while an exchanger uses the folder
//! tmp/               incomplete: emptied at the start
//! queue/<id>.eml     the message with its Received line
//! queue/<id>.json    its envelope; this file is what makes the entry exist
//! failed/…           the same for recipients that were given up
//! ```
//!
//! An entry is written whole in `tmp` and synced, message before envelope, then both are renamed into `queue` and the folder is
//! synced; only then is it acknowledged. It ends by removing the envelope, then the message. So after a crash a message without envelope in
//! `queue` was never acknowledged, or is done: either way it is removed. A crash between a delivery and its note in the envelope makes
//! us deliver again under the same id, which the node recognises.

use super::record::Record;
use chasqui_base::{DeliveryId, EmailAddress, fsx::sync_dir};
use chasqui_courier::Content;
use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

#[derive(Debug)]
pub(crate) struct Folder {
    tmp: PathBuf,
    queue: PathBuf,
    failed: PathBuf,
    /// Held as long as this lives.
    _lock: File,
}

/// What was found at the start.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub records: Vec<Record>,
    /// Incomplete files that were removed.
    pub removed: usize,
    /// Envelopes that cannot be read, or have no message; moved to `failed`.
    pub damaged: Vec<PathBuf>,
}

impl Folder {
    /// Makes the folder where it is missing, locks it and tidies it up.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Recovered)> {
        let make = |path: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        let [tmp, queue, failed] = ["tmp", "queue", "failed"].map(|name| path.join(name));
        for folder in [&tmp, &queue, &failed] {
            make(folder)?;
        }
        sync_dir(path)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::WouldBlock, "another exchanger uses this spool folder")
            }
            fs::TryLockError::Error(error) => error,
        })?;
        let folder = Self { tmp, queue, failed, _lock: lock };
        let recovered = folder.recover()?;
        Ok((folder, recovered))
    }

    /// Where messages go that outgrow memory.
    pub(crate) fn tmp(&self) -> &Path {
        &self.tmp
    }

    /// The message of an entry.
    pub(crate) fn message(&self, id: DeliveryId) -> PathBuf {
        self.queue.join(format!("{id}.eml"))
    }

    /// Puts a message into `queue`. On disk when it returns.
    pub(crate) fn store(&self, record: &Record, content: &Content) -> io::Result<()> {
        let stored = self.put(&self.queue, record, content);
        if stored.is_err() {
            // Nothing was acknowledged, and nothing must be delivered.
            let _ = fs::remove_file(self.queue.join(format!("{}.json", record.id)));
            let _ = fs::remove_file(self.message(record.id));
        }
        stored
    }

    /// Puts a message and those of its recipients that were given up into `failed`. On disk when it returns. May be repeated.
    pub(crate) fn fail(&self, record: &Record, content: &Content) -> io::Result<()> {
        let path = self.failed.join(format!("{}.json", record.id));
        let mut whole = record.clone();
        if let Some(before) = fs::read(&path).ok().and_then(|text| Record::decode(&text).ok()) {
            let known =
                |account: &EmailAddress| record.recipients.iter().any(|waiting| waiting.account == *account);
            whole.recipients.extend(before.recipients.into_iter().filter(|waiting| !known(&waiting.account)));
        }
        self.put(&self.failed, &whole, content)
    }

    /// Writes an envelope anew. On disk when it returns.
    pub(crate) fn update(&self, record: &Record) -> io::Result<()> {
        let tmp = self.write(&format!("{}.json", record.id), &record.encode())?;
        fs::rename(tmp, self.queue.join(format!("{}.json", record.id)))?;
        sync_dir(&self.queue)
    }

    /// Ends an entry. Not synced: should it come back after a crash, its node recognises the delivery id.
    pub(crate) fn remove(&self, id: DeliveryId) -> io::Result<()> {
        fs::remove_file(self.queue.join(format!("{id}.json")))?;
        fs::remove_file(self.message(id))
    }

    fn put(&self, folder: &Path, record: &Record, content: &Content) -> io::Result<()> {
        let message = folder.join(format!("{}.eml", record.id));
        match content {
            Content::Memory(text) => fs::rename(self.write(&format!("{}.put", record.id), text)?, &message)?,
            Content::Spilled { .. } | Content::Stored { .. } => {
                let Some(path) = content.path() else { return Ok(()) };
                File::open(path)?.sync_all()?;
                match fs::hard_link(path, &message) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
            }
        }
        let envelope = self.write(&format!("{}.json", record.id), &record.encode())?;
        fs::rename(envelope, folder.join(format!("{}.json", record.id)))?;
        sync_dir(folder)
    }

    /// A complete, synced file in `tmp`.
    fn write(&self, name: &str, text: &[u8]) -> io::Result<PathBuf> {
        let path = self.tmp.join(name);
        let written = (|| {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(text)?;
            file.sync_all()
        })();
        match written {
            Ok(()) => Ok(path),
            Err(error) => {
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }

    fn recover(&self) -> io::Result<Recovered> {
        let mut found = Recovered::default();
        for entry in fs::read_dir(&self.tmp)? {
            fs::remove_file(entry?.path())?;
            found.removed += 1;
        }
        let mut messages = Vec::new();
        for entry in fs::read_dir(&self.queue)? {
            let path = entry?.path();
            if path.extension() == Some(OsStr::new("eml")) {
                messages.push(path);
                continue;
            }
            let record = fs::read(&path).ok().and_then(|text| Record::decode(&text).ok());
            match record.filter(|record| {
                self.message(record.id).exists()
                    && path.file_stem() == Some(OsStr::new(&record.id.to_string()))
            }) {
                Some(record) => found.records.push(record),
                None => {
                    self.set_aside(&path)?;
                    found.damaged.push(path);
                }
            }
        }
        for message in messages {
            if message.exists() && !message.with_extension("json").exists() {
                fs::remove_file(&message)?;
                found.removed += 1;
            }
        }
        if !found.damaged.is_empty() {
            sync_dir(&self.failed)?;
            sync_dir(&self.queue)?;
        }
        Ok(found)
    }

    /// Moves an envelope and its message to `failed`: nothing that was acknowledged is deleted unread, the operator may mend it.
    fn set_aside(&self, envelope: &Path) -> io::Result<()> {
        // The message first: after a crash between the two the envelope brings us here again, where a message left without one would be
        // taken for incomplete.
        let message = envelope.with_extension("eml");
        for path in [message.as_path(), envelope] {
            if let (true, Some(name)) = (path.exists(), path.file_name()) {
                fs::rename(path, self.failed.join(name))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::record::tests::record;

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn an_entry_survives_a_restart_and_ends_when_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, _) = Folder::open(dir.path()).unwrap();
        let record = record(&["a@b.test"]);
        folder.store(&record, &Content::Memory(b"text\n".to_vec())).unwrap();
        drop(folder);
        let (folder, recovered) = Folder::open(dir.path()).unwrap();
        assert_eq!(recovered.records, std::slice::from_ref(&record));
        assert_eq!(fs::read(folder.message(record.id)).unwrap(), b"text\n");
        folder.remove(record.id).unwrap();
        assert!(names(&dir.path().join("queue")).is_empty() && names(&dir.path().join("tmp")).is_empty());
    }

    #[test]
    fn one_exchanger_uses_a_folder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let (_folder, _) = Folder::open(dir.path()).unwrap();
        assert!(Folder::open(dir.path()).unwrap_err().to_string().contains("another exchanger"));
    }

    #[test]
    fn what_was_never_complete_is_removed_and_what_is_damaged_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, _) = Folder::open(dir.path()).unwrap();
        let (good, headless, broken) = (record(&["a@b.test"]), record(&["c@b.test"]), record(&["d@b.test"]));
        for record in [&good, &headless, &broken] {
            folder.store(record, &Content::Memory(b"x".to_vec())).unwrap();
        }
        let queue = dir.path().join("queue");
        fs::remove_file(queue.join(format!("{}.json", headless.id))).unwrap();
        fs::write(queue.join(format!("{}.json", broken.id)), b"{").unwrap();
        fs::write(dir.path().join("tmp/half.json"), b"{").unwrap();
        drop(folder);
        let (_folder, recovered) = Folder::open(dir.path()).unwrap();
        assert_eq!(
            (recovered.records, recovered.removed, recovered.damaged.len()),
            (vec![good.clone()], 2, 1)
        );
        assert_eq!(names(&queue), [format!("{}.eml", good.id), format!("{}.json", good.id)]);
        assert_eq!(
            names(&dir.path().join("failed")),
            [format!("{}.eml", broken.id), format!("{}.json", broken.id)]
        );
    }

    #[test]
    fn putting_aside_what_is_damaged_goes_on_after_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, _) = Folder::open(dir.path()).unwrap();
        let broken = record(&["a@b.test"]);
        folder.store(&broken, &Content::Memory(b"x".to_vec())).unwrap();
        let (queue, failed) = (dir.path().join("queue"), dir.path().join("failed"));
        let [message, envelope] = ["eml", "json"].map(|extension| format!("{}.{extension}", broken.id));
        fs::write(queue.join(&envelope), b"{").unwrap();
        fs::rename(queue.join(&message), failed.join(&message)).unwrap();
        drop(folder);
        let (_folder, recovered) = Folder::open(dir.path()).unwrap();
        assert_eq!((recovered.records.len(), recovered.removed, recovered.damaged.len()), (0, 0, 1));
        assert!(names(&queue).is_empty());
        assert_eq!(names(&failed), [message.clone(), envelope]);
        assert_eq!(fs::read(failed.join(message)).unwrap(), b"x");
    }

    #[test]
    fn failures_of_one_message_gather_in_one_record() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, _) = Folder::open(dir.path()).unwrap();
        let mut record = record(&["a@b.test"]);
        let content = Content::Memory(b"x".to_vec());
        folder.fail(&record, &content).unwrap();
        folder.fail(&record, &content).unwrap();
        record.recipients[0].account = "c@b.test".parse().unwrap();
        folder.fail(&record, &content).unwrap();
        let text = fs::read(dir.path().join(format!("failed/{}.json", record.id))).unwrap();
        assert_eq!(Record::decode(&text).unwrap().recipients.len(), 2);
    }
}

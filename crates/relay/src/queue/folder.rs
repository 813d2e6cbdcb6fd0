//! The queue's folder.
//!
//! ```text
//! lock                    held while a relay uses the folder
//! draining                present while the relay hands its queue over: to whom
//! tmp/                    messages that outgrow memory while they come in: emptied at the start
//! messages/<2 digits>/    <id>.msg, the last two hexadecimal digits of the id
//! failed/                 those that failed and whose sender cannot be told
//! damaged/                those that cannot be read
//! ```
//!
//! A file is its envelope in one line, the text, and records behind it (see [`super::record`]). It is written without a name, then named,
//! then both are synced, and only then is it acknowledged. So after a power cut a name may lead to an incomplete file, which lacks
//! its seal or has another checksum: it was never acknowledged, and is set aside with what is damaged. A message ends by removing its name.

use super::record::{Record, RecordError, decode_envelope, encode_envelope};
use crate::message::Envelope;
use chasqui_base::{
    DeliveryId,
    disk::Disk,
    fsx::{create_private_dir, sync_dir},
};
use chasqui_courier::Content;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Sub-folders of `messages`: a directory of 1,000,000 names would be slow to change and to read.
pub const SUBFOLDERS: u32 = 256;
/// Octets that are read at once: the whole of most files.
const FIRST: usize = 32 << 10;
/// Octets of an envelope: 100,000 recipients of 254 octets, each with its parameters, and a limit to what a broken file costs.
const LONGEST_ENVELOPE: usize = 96 << 20;
/// Octets of what stands behind the text.
const LONGEST_TAIL: u64 = 256 << 20;
const SUFFIX: &str = "msg";

/// The folder of one queue.
pub struct Folder {
    disk: Disk,
    root: PathBuf,
    /// Open since before anything was written, or an error of writing would not be told to us (syncfs(2)).
    top: File,
    /// Held as long as this lives.
    _lock: File,
}

/// A message's file, read.
#[derive(Debug)]
pub struct Stored {
    /// What was queued.
    pub envelope: Envelope,
    /// Where the text begins.
    pub offset: u64,
    /// Octets of it.
    pub length: u64,
    /// What stands behind it.
    pub records: Vec<Record>,
    /// The text, when it is short and was read along.
    pub text: Option<Vec<u8>>,
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read now.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its envelope is not one.
    #[error(transparent)]
    Envelope(#[from] RecordError),
    /// It is shorter than its envelope says, or has no seal.
    #[error("the file is incomplete")]
    Incomplete,
    /// The text is not the one that was sealed.
    #[error("the text's checksum is wrong")]
    Text,
}

impl ReadError {
    /// The file itself is at fault, not the disk or the moment.
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::Io(_))
    }
}

impl Folder {
    /// Makes the folder where it is missing, locks it and empties `tmp`.
    pub fn open(root: &Path) -> io::Result<Self> {
        Self::open_on(root, Disk::probe)
    }

    /// The same on a disk that is watched.
    pub(super) fn open_on(root: &Path, disk: impl FnOnce(&Path) -> io::Result<Disk>) -> io::Result<Self> {
        create_private_dir(root)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(root.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::WouldBlock, "another relay uses this queue folder")
            }
            fs::TryLockError::Error(error) => error,
        })?;
        let disk = disk(root)?;
        let folder = Self { disk, root: root.to_owned(), top: File::open(root)?, _lock: lock };
        for name in ["tmp", "messages", "failed", "damaged"] {
            folder.disk.mkdir(&root.join(name))?;
        }
        for number in 0..SUBFOLDERS {
            folder.disk.mkdir(&folder.subfolder(number))?;
        }
        folder.disk.sync_dir(&root.join("messages"))?;
        folder.disk.sync_dir(root)?;
        sync_dir(chasqui_base::fsx::parent(root))?;
        for entry in fs::read_dir(folder.tmp())? {
            fs::remove_file(entry?.path())?;
        }
        Ok(folder)
    }

    /// Where messages go that outgrow memory while they come in.
    pub fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// The file that says that the queue is handed over.
    pub fn draining(&self) -> PathBuf {
        self.root.join("draining")
    }

    /// A sub-folder of `messages`.
    pub fn subfolder(&self, number: u32) -> PathBuf {
        self.root.join(format!("messages/{number:02x}"))
    }

    /// The file of a message.
    pub fn message(&self, id: DeliveryId) -> PathBuf {
        let [.., last] = id.to_bytes();
        self.subfolder(u32::from(last)).join(format!("{id}.{SUFFIX}"))
    }

    /// The id that a file's name says.
    pub fn id_of(path: &Path) -> Option<DeliveryId> {
        let is_ours = path.extension().is_some_and(|suffix| suffix == SUFFIX);
        path.file_stem().filter(|_| is_ours)?.to_str()?.parse().ok()
    }

    /// Octets that the file system can still take, and names.
    pub fn free_space(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.top)?;
        Ok(if stat.f_files > 0 && stat.f_favail == 0 {
            0
        } else {
            stat.f_bavail.saturating_mul(stat.f_frsize)
        })
    }

    /// Writes a message under its name; not yet synced. Says where its text begins. `None` when there is such a file already.
    pub fn write(&self, envelope: &Envelope, content: &Content) -> io::Result<Option<u64>> {
        let path = self.message(envelope.id);
        let mut fresh = self.disk.fresh(chasqui_base::fsx::parent(&path))?;
        let front = encode_envelope(envelope, content.len());
        let seal =
            |text: &blake3::Hasher| Record::Sealed(text.finalize().to_hex().to_string()).encode(envelope.id);
        let mut text = blake3::Hasher::new();
        match content {
            Content::Memory(octets) => {
                text.update(octets);
                // One system call for most messages.
                fresh.write(&[&front, octets.as_slice(), &seal(&text)].concat())?;
            }
            Content::Spilled { .. } | Content::Stored { .. } => {
                fresh.write(&front)?;
                let mut source = File::open(content.path().unwrap_or(Path::new("")))?;
                if let Content::Stored { offset, .. } = content {
                    source.seek(io::SeekFrom::Start(*offset))?;
                }
                let mut source = source.take(content.len());
                let mut block = Vec::with_capacity(128 << 10);
                let mut written = 0;
                while source.by_ref().take(128 << 10).read_to_end(&mut block)? > 0 {
                    text.update(&block);
                    fresh.write(&block)?;
                    written += block.len() as u64;
                    block.clear();
                }
                if written != content.len() {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the message is shorter than it was",
                    ));
                }
                fresh.write(&seal(&text))?;
            }
        }
        match fresh.link_to(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            linked => linked.map(|()| Some(front.len() as u64)),
        }
    }

    /// Appends records; not yet synced.
    pub fn append(&self, id: DeliveryId, records: &[Record]) -> io::Result<()> {
        let lines: Vec<u8> = records.iter().flat_map(|record| record.encode(id)).collect();
        self.disk.append(&self.message(id), &lines)
    }

    /// Ends a message; not yet synced.
    pub fn remove(&self, id: DeliveryId) -> io::Result<()> {
        self.disk.unlink(&self.message(id))
    }

    /// Syncs everything.
    pub fn sync_all(&self) -> io::Result<()> {
        self.disk.sync_all(&self.top)
    }

    /// Replaces a small file of the folder durably.
    pub fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.disk.replace(path, content)
    }

    /// Removes a small file of the folder durably.
    pub fn withdraw(&self, path: &Path) -> io::Result<()> {
        self.disk.unlink(path)?;
        self.disk.sync_dir(&self.root)
    }

    /// Reads a message's file: the envelope and the records, and the text too when the file is short.
    pub fn read(&self, id: DeliveryId) -> Result<Stored, ReadError> {
        read(&self.message(id), id)
    }

    /// Compares the text with its seal.
    pub fn verify(&self, id: DeliveryId, stored: &Stored) -> Result<(), ReadError> {
        let mut hasher = blake3::Hasher::new();
        match &stored.text {
            Some(text) => drop(hasher.update(text)),
            None => {
                let mut file = File::open(self.message(id))?;
                file.seek(io::SeekFrom::Start(stored.offset))?;
                io::copy(&mut file.take(stored.length), &mut hasher)?;
            }
        }
        let found = hasher.finalize().to_hex();
        let sealed =
            stored.records.iter().any(|record| matches!(record, Record::Sealed(seal) if *seal == *found));
        if sealed { Ok(()) } else { Err(ReadError::Text) }
    }

    /// Moves a message's file to `damaged/`: nothing is deleted unread, an operator may mend it. Durable when it returns.
    pub fn set_aside(&self, path: &Path) -> io::Result<PathBuf> {
        self.move_to(path, "damaged")
    }

    /// Moves a message's file to `failed/`. Durable when it returns.
    pub fn keep_failed(&self, id: DeliveryId) -> io::Result<PathBuf> {
        self.move_to(&self.message(id), "failed")
    }

    fn move_to(&self, path: &Path, name: &str) -> io::Result<PathBuf> {
        let folder = self.root.join(name);
        let to = folder.join(path.file_name().unwrap_or_default());
        self.disk.rename(path, &to)?;
        self.disk.sync_dir(&folder)?;
        self.disk.sync_dir(chasqui_base::fsx::parent(path))?;
        Ok(to)
    }

    /// Removes what has been in `failed/` for longer than `age`; says how many.
    pub fn prune_failed(&self, age: Duration) -> io::Result<usize> {
        let mut removed = 0;
        let Some(before) = SystemTime::now().checked_sub(age) else { return Ok(0) };
        for entry in fs::read_dir(self.root.join("failed"))? {
            let entry = entry?;
            // Its last record, which says that it has failed, was its last change.
            if entry.metadata()?.modified()? < before {
                self.disk.unlink(&entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// Reads a message's file wherever it is.
pub fn read(path: &Path, id: DeliveryId) -> Result<Stored, ReadError> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut front = vec![0; FIRST.min(usize::try_from(size).unwrap_or(FIRST))];
    let mut filled = read_up_to(&file, &mut front, 0)?;
    let mut searched = 0;
    let end = loop {
        if let Some(end) = memchr::memchr(b'\n', front.get(searched..filled).unwrap_or_default()) {
            break searched + end;
        }
        searched = filled;
        if filled < front.len() || filled as u64 == size || filled > LONGEST_ENVELOPE {
            return Err(ReadError::Incomplete);
        }
        front.resize((filled * 2).min(usize::try_from(size).unwrap_or(usize::MAX)), 0);
        filled += read_up_to(&file, front.get_mut(searched..).unwrap_or_default(), searched as u64)?;
    };
    let (envelope, length) = decode_envelope(id, front.get(..end).unwrap_or_default())?;
    let offset = end as u64 + 1;
    let behind = offset.checked_add(length).filter(|behind| *behind < size).ok_or(ReadError::Incomplete)?;
    front.truncate(filled);
    let (text, records) = if filled as u64 == size {
        // Both fit: `behind` is less than `size`, which is `filled`.
        let tail = front.split_off(behind as usize);
        front.drain(..=end);
        (Some(front), Record::decode_all(id, &tail))
    } else {
        drop(front);
        let mut tail = Vec::new();
        (&file).seek(io::SeekFrom::Start(behind))?;
        (&file).take(LONGEST_TAIL).read_to_end(&mut tail)?;
        (None, Record::decode_all(id, &tail))
    };
    if !records.iter().any(|record| matches!(record, Record::Sealed(_))) {
        return Err(ReadError::Incomplete);
    }
    Ok(Stored { envelope, offset, length, records, text })
}

fn read_up_to(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(&mut into[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

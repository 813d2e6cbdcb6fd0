//! A message on its way in: in memory while it is small, in an unnamed file once it is not, so that a 50 MB message costs no
//! 50 MB of memory.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::MailError;
use chasqui_base::disk::{Disk, Fresh};

/// Octets collected before they go to the file of a large message.
const CHUNK: usize = 64 << 10;

/// The octets of a message before it is stored. Dropped without delivery, nothing of it remains.
pub struct Incoming {
    disk: Disk,
    dir: Arc<PathBuf>,
    spill: usize,
    memory: Vec<u8>,
    file: Option<Fresh>,
    // Octets in the file.
    written: u64,
    // A write to the file failed or was cancelled half way: what it holds is not known any more.
    broken: bool,
}

/// A whole message, ready to be stored under any number of names.
#[derive(Clone)]
pub(crate) enum Source {
    /// To be written to a file of its own.
    Memory(Bytes),
    /// In a file that is synced and gets more names.
    File(Arc<Fresh>, u64),
}

impl Source {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Source::Memory(octets) => octets.len() as u64,
            Source::File(_, len) => *len,
        }
    }
}

impl Incoming {
    pub(crate) fn new(disk: Disk, dir: Arc<PathBuf>, spill: usize) -> Incoming {
        Incoming { disk, dir, spill, memory: Vec::new(), file: None, written: 0, broken: false }
    }

    /// Appends octets, which are stored exactly so. Memory held stays below the `spill` setting. After an error the message
    /// cannot be stored.
    pub async fn write(&mut self, octets: &[u8]) -> Result<(), MailError> {
        self.memory.extend_from_slice(octets);
        let limit = if self.file.is_some() { CHUNK.min(self.spill) } else { self.spill };
        if self.memory.len() > limit { self.flush().await } else { Ok(()) }
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        self.written + self.memory.len() as u64
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    async fn flush(&mut self) -> Result<(), MailError> {
        if self.broken {
            return Err(MailError::Busy);
        }
        self.broken = true;
        let chunk = std::mem::take(&mut self.memory);
        let (file, disk, dir) = (self.file.take(), self.disk.clone(), self.dir.clone());
        let length = chunk.len() as u64;
        let write = move || -> Result<Fresh, MailError> {
            let mut file = match file {
                Some(file) => file,
                None => disk.fresh(&dir)?,
            };
            file.write(&chunk)?;
            Ok(file)
        };
        self.file = Some(tokio::task::spawn_blocking(write).await.map_err(|_| MailError::Busy)??);
        self.written += length;
        self.broken = false;
        Ok(())
    }

    /// The whole message, with its internal date in seconds. One that is in memory stays there unless it gets several names.
    pub(crate) async fn into_source(mut self, names: usize, time: u64) -> Result<Source, MailError> {
        if self.broken {
            return Err(MailError::Busy);
        }
        if self.file.is_none() && names <= 1 {
            return Ok(Source::Memory(Bytes::from(self.memory)));
        }
        if self.file.is_none() || !self.memory.is_empty() {
            self.flush().await?;
        }
        let length = self.written;
        let Some(file) = self.file.take() else { return Err(MailError::Busy) };
        // Off the workers: a large file takes long to sync, and small deliveries of other accounts need not wait for it.
        let sync = move || {
            file.set_time(time)?;
            file.sync()?;
            Ok::<_, std::io::Error>(file)
        };
        let synced = tokio::task::spawn_blocking(sync).await.map_err(|_| MailError::Busy)??;
        Ok(Source::File(Arc::new(synced), length))
    }
}

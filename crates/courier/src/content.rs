//! A message while it is received and until it is delivered: in memory while it is small, in a file of the spool folder when
//! it is not, so that 50 MB of message cost no 50 MB of memory.

use crate::received;
use chasqui_base::DeliveryId;
use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// Grows by [`Incoming::push`]; when [`Incoming::is_full`], [`Incoming::spill`] makes room.
pub struct Incoming {
    memory: Vec<u8>,
    /// Octets that stay in memory.
    most: usize,
    spilled: Option<Spilled>,
    spilled_length: u64,
    received_lines: Option<usize>,
}

struct Spilled {
    file: File,
    path: Unlink,
}

/// Removes the file unless it was moved elsewhere.
#[derive(Debug)]
pub struct Unlink(PathBuf);

impl Drop for Unlink {
    fn drop(&mut self) {
        // A file that is left over, here or after a crash, is removed when the exchanger starts.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Incoming {
    /// `expected` is the size that the client announced, a hint.
    pub fn new(most: usize, expected: Option<u64>) -> Self {
        let expected = expected.and_then(|size| usize::try_from(size).ok()).unwrap_or(8 * 1024);
        Self {
            memory: Vec::with_capacity(expected.saturating_add(512).min(most)),
            most,
            spilled: None,
            spilled_length: 0,
            received_lines: None,
        }
    }

    /// Takes the next part of the message.
    pub fn push(&mut self, text: &[u8]) {
        self.memory.extend_from_slice(text);
    }

    /// More is in memory than should be.
    pub fn is_full(&self) -> bool {
        self.memory.len() >= self.most
    }

    /// Moves what is in memory to the file, which is made in `folder`.
    pub async fn spill(&mut self, folder: &Path, id: DeliveryId) -> io::Result<()> {
        if self.spilled.is_none() {
            // The header, or as much of it as one could want for counting, is in the first part.
            self.received_lines = Some(received::count(&self.memory));
        }
        let memory = std::mem::take(&mut self.memory);
        let spilled = self.spilled.take();
        let path = folder.join(format!("{id}.eml"));
        let (memory, spilled) = blocking(move || {
            let mut spilled = match spilled {
                Some(spilled) => spilled,
                None => {
                    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
                    Spilled { file, path: Unlink(path) }
                }
            };
            spilled.file.write_all(&memory)?;
            Ok((memory, spilled))
        })
        .await?;
        self.spilled_length += memory.len() as u64;
        self.spilled = Some(spilled);
        self.memory = memory;
        self.memory.clear();
        Ok(())
    }

    /// Writes over what was taken before, from octet `at` on: for what is known only at the end of a message and stands at its front.
    ///
    /// # Errors
    /// When so much has not been taken, or the file cannot be written; then the message is of no more use.
    pub async fn overwrite(&mut self, at: usize, octets: &[u8]) -> io::Result<()> {
        let end = at.saturating_add(octets.len());
        if self.spilled.is_some() && end as u64 > self.spilled_length {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let Some(spilled) = self.spilled.take() else {
            let place = self.memory.get_mut(at..end).ok_or(io::ErrorKind::InvalidInput)?;
            place.copy_from_slice(octets);
            return Ok(());
        };
        let octets = octets.to_vec();
        let spilled = blocking(move || {
            spilled.file.write_all_at(&octets, at as u64)?;
            Ok(spilled)
        })
        .await?;
        self.spilled = Some(spilled);
        Ok(())
    }

    /// `Received` lines in the header.
    pub fn received_lines(&self) -> usize {
        self.received_lines.unwrap_or_else(|| received::count(&self.memory))
    }

    /// The message is complete.
    pub async fn finish(mut self, folder: &Path, id: DeliveryId) -> io::Result<Content> {
        if self.spilled.is_none() {
            return Ok(Content::Memory(self.memory));
        }
        self.spill(folder, id).await?;
        match self.spilled {
            Some(Spilled { path, .. }) => Ok(Content::Spilled { path, length: self.spilled_length }),
            None => Ok(Content::Memory(self.memory)),
        }
    }
}

/// A complete message, with what was written above it here.
#[derive(Debug)]
pub enum Content {
    /// Small.
    Memory(Vec<u8>),
    /// In the folder for incomplete things; removed when dropped.
    Spilled {
        /// The file.
        path: Unlink,
        /// Its octets.
        length: u64,
    },
    /// A part of a file: in the exchanger's spool or the relay's queue.
    Stored {
        /// The file.
        path: PathBuf,
        /// Where in the file the message begins.
        offset: u64,
        /// Octets of the message.
        length: u64,
    },
}

/// Octets that are read from a file at once.
pub(crate) const BLOCK: usize = 128 * 1024;

/// A content from its beginning, block by block; see [`Content::blocks`].
pub struct Blocks<'a> {
    content: &'a Content,
    file: Option<File>,
    block: Vec<u8>,
    left: u64,
}

impl Blocks<'_> {
    /// The next part, at most 128 KiB of a file; `None` at the end.
    ///
    /// # Errors
    /// Also when the file is shorter than it was.
    pub async fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if self.left == 0 {
            return Ok(None);
        }
        let (path, offset) = match self.content {
            Content::Memory(text) => {
                self.left = 0;
                return Ok(Some(text));
            }
            Content::Spilled { path, .. } => (path.0.as_path(), 0),
            Content::Stored { path, offset, .. } => (path.as_path(), *offset),
        };
        let open = if self.file.is_none() { Some(path.to_owned()) } else { None };
        let (file, mut block) = (self.file.take(), std::mem::take(&mut self.block));
        let most = self.left.min(BLOCK as u64);
        let (file, block) = blocking(move || {
            let mut file = match (file, open) {
                (Some(file), _) => file,
                (None, path) => File::open(path.unwrap_or_default())?,
            };
            if file.stream_position()? < offset {
                file.seek(io::SeekFrom::Start(offset))?;
            }
            block.clear();
            (&file).take(most).read_to_end(&mut block)?;
            Ok((file, block))
        })
        .await?;
        if block.is_empty() {
            // Who receives it was promised more, and sees the connection end inside the text.
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the message's file is shorter than it was",
            ));
        }
        self.left -= block.len() as u64;
        (self.file, self.block) = (Some(file), block);
        Ok(Some(&self.block))
    }
}

impl Content {
    /// Reads it from its beginning. Any number of readers may read at once.
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks { content: self, file: None, block: Vec::new(), left: self.len() }
    }

    /// Nothing at all is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(text) => text.len() as u64,
            Self::Spilled { length, .. } | Self::Stored { length, .. } => *length,
        }
    }

    /// The file, unless it is in memory.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Memory(_) => None,
            Self::Spilled { path, .. } => Some(&path.0),
            Self::Stored { path, .. } => Some(path),
        }
    }
}

/// Runs file work off the runtime's own threads.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Ends `work` with an error when it takes longer than `deadline`.
pub async fn in_time<T>(deadline: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_front_can_be_written_last() {
        let folder = tempfile::tempdir().unwrap();
        for most in [4, 100] {
            let id = DeliveryId::generate();
            let mut incoming = Incoming::new(most, None);
            incoming.push(b"????, ");
            if incoming.is_full() {
                incoming.spill(folder.path(), id).await.unwrap();
            }
            incoming.push(b"mundo");
            incoming.overwrite(0, b"Hola").await.unwrap();
            assert!(incoming.overwrite(1 << 20, b"x").await.is_err());
            let content = incoming.finish(folder.path(), id).await.unwrap();
            assert_eq!(content.path().is_some(), most == 4);
            assert_eq!(content.blocks().next().await.unwrap(), Some(&b"Hola, mundo"[..]));
        }
    }

    #[tokio::test]
    async fn a_small_message_stays_in_memory_and_a_big_one_leaves_it() {
        let folder = tempfile::tempdir().unwrap();
        let id = DeliveryId::generate();
        let mut small = Incoming::new(100, Some(5));
        small.push(b"Received: x\r\n\r\n");
        assert_eq!((small.is_full(), small.received_lines()), (false, 1));
        assert!(matches!(small.finish(folder.path(), id).await.unwrap(), Content::Memory(_)));

        let mut big = Incoming::new(100, None);
        let mut expected = Vec::new();
        for n in 0..50 {
            let line = format!("Received: {n}\r\n").into_bytes();
            big.push(&line);
            expected.extend(line);
            if big.is_full() {
                big.spill(folder.path(), id).await.unwrap();
                assert!(big.memory.capacity() < 400);
            }
        }
        assert_eq!(big.received_lines(), 8);
        let content = big.finish(folder.path(), id).await.unwrap();
        assert_eq!(
            (std::fs::read(content.path().unwrap()).unwrap(), content.len()),
            (expected.clone(), expected.len() as u64)
        );
        drop(content);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

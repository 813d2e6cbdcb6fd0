//! The octets of a message, for a session.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::error::MailError;
use crate::folder::Folder;
use crate::uid::Uid;

/// A message up to this size is read in one go when it is opened.
const WHOLE: u64 = 128 << 10;
/// Attempts to open a file whose name changes meanwhile: the first ones at once, the others a pause apart.
const ATTEMPTS: usize = 60;
const HURRIED: usize = 10;
const PAUSE: Duration = Duration::from_millis(2);

/// The octets of one message. What was opened stays readable after an expunge.
pub struct Content {
    size: u64,
    octets: Octets,
}

enum Octets {
    Whole(Bytes),
    Open(Arc<File>),
}

impl Content {
    /// Octets in all.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The octets of `range`, cut to the message's size. Ask for pieces of bounded length.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, MailError> {
        let end = range.end.min(self.size);
        let start = range.start.min(end);
        match &self.octets {
            Octets::Whole(octets) => Ok(octets.slice(start as usize..end as usize)),
            Octets::Open(file) => {
                let file = file.clone();
                let read = move || {
                    let mut piece = vec![0; (end - start) as usize];
                    file.read_exact_at(&mut piece, start).map(|()| Bytes::from(piece))
                };
                Ok(tokio::task::spawn_blocking(read).await.map_err(|_| MailError::Busy)??)
            }
        }
    }

    /// Opens a message's file, away from the threads that serve sessions.
    pub(crate) async fn open(folder: Arc<Folder>, host: Arc<str>, uid: Uid) -> Result<Content, MailError> {
        let open = move || {
            let mut file = open_file(&folder, &host, uid)?;
            let size = file.metadata()?.len();
            if size > WHOLE {
                return Ok(Content { size, octets: Octets::Open(Arc::new(file)) });
            }
            let mut whole = Vec::with_capacity(size as usize);
            (&mut file).take(WHOLE).read_to_end(&mut whole)?;
            Ok(Content { size: whole.len() as u64, octets: Octets::Whole(Bytes::from(whole)) })
        };
        tokio::task::spawn_blocking(open).await.map_err(|_| MailError::Busy)?
    }
}

/// Opens the file of a message, whose name the worker may change at any time.
pub(crate) fn open_file(folder: &Folder, host: &str, uid: Uid) -> Result<File, MailError> {
    for attempt in 0..ATTEMPTS {
        let path = {
            let state = folder.lock();
            let entry = state.get(uid).filter(|_| !state.gone).ok_or(MailError::Gone)?;
            state.dir.join(entry.file(host))
        };
        match File::open(&path) {
            // Renamed since: the state will say to what, or that it is gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < HURRIED => {
                std::thread::yield_now()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => std::thread::sleep(PAUSE),
            other => return Ok(other?),
        }
    }
    // The state knows it still, so it is not gone: something else is wrong, and the client may ask again.
    Err(MailError::Busy)
}

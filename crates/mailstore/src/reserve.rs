//! Room that is kept for making room.
//!
//! A message may leave only after its folder has written down what must outlive it, and on a full disk there is no room for that: without
//! a reserve nobody could delete anything any more.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tracing::warn;

/// Octets kept: enough for the state files of a few folders and the file system's own blocks for them.
const SIZE: usize = 256 * 1024;

/// A file of [`SIZE`] octets under the root, given up when the disk is full and made again when there is room.
pub(crate) struct Reserve {
    path: PathBuf,
    there: Mutex<bool>,
}

impl Reserve {
    /// The reserve of the store at `root`, filled if there is room.
    pub(crate) fn new(root: &Path) -> Reserve {
        let reserve = Reserve { path: root.join(".reserve"), there: Mutex::new(false) };
        reserve.fill();
        reserve
    }

    /// Gives the room free; false if it was given up before.
    pub(crate) fn release(&self) -> bool {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::take(&mut *there) {
            return false;
        }
        warn!("the disk is full: the reserve is given up so that messages can be removed");
        std::fs::remove_file(&self.path).is_ok()
    }

    /// Keeps room again, if it was given up and there is any.
    pub(crate) fn fill(&self) {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        if !*there {
            *there = self.write().is_ok();
            if !*there {
                // Half a reserve would only take what little room there is.
                let _ = std::fs::remove_file(&self.path);
            }
        }
    }

    fn write(&self) -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        file.write_all(&vec![0; SIZE])?;
        // Blocks are given out when the content is written back, and only then is it known that there are any.
        file.sync_all()
    }
}

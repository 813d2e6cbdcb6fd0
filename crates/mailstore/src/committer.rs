//! One sync of the whole file system for all who wait for one.
//!
//! Many small files and directories, each synced by itself, cost a journal commit and a flush of the drive each: a later file's blocks
//! are allocated only when its own sync comes, so that it finds the commit before it too early. `syncfs` writes everything, then
//! commits and flushes once. Workers that ask while one runs share the next: the contents of one worker's batch and the names of
//! another's go to disk together.

use std::fs::File;
use std::io;
use std::sync::{Condvar, Mutex, PoisonError};

use chasqui_base::disk::Disk;

/// Shares syncs of one file system.
pub(crate) struct Committer {
    disk: Disk,
    // Open since before anything was written, or an error of writing would not be told to us (syncfs(2)).
    root: File,
    state: Mutex<State>,
    finished: Condvar,
}

#[derive(Default)]
struct State {
    /// Syncs that have started, and that have ended.
    started: u64,
    ended: u64,
    /// The last that failed.
    failed: Option<(u64, Option<i32>)>,
}

impl Committer {
    pub(crate) fn new(disk: Disk, root: File) -> Committer {
        Committer { disk, root, state: Mutex::default(), finished: Condvar::new() }
    }

    /// Everything that this thread has written is on disk when it returns.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // One that runs already may have passed by what we wrote.
        let enough = state.started + 1;
        loop {
            if state.ended >= enough {
                return match state.failed {
                    Some((at, code)) if at >= enough => {
                        Err(code.map_or(io::ErrorKind::Other.into(), io::Error::from_raw_os_error))
                    }
                    _ => Ok(()),
                };
            }
            if state.started == state.ended {
                state.started += 1;
                drop(state);
                let result = self.disk.sync_all(&self.root);
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.ended = state.started;
                if let Err(error) = &result {
                    state.failed = Some((state.ended, error.raw_os_error()));
                }
                self.finished.notify_all();
                continue;
            }
            state = self.finished.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_who_wait_share_few_syncs() {
        let dir = tempfile::tempdir().unwrap();
        let committer = Committer::new(Disk::probe(dir.path()).unwrap(), File::open(dir.path()).unwrap());
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| (0..5).for_each(|_| committer.sync().unwrap()));
            }
        });
        let state = committer.state.lock().unwrap();
        assert!(state.started == state.ended && (5..=80).contains(&state.ended));
    }
}

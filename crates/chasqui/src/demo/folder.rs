//! The demo's folder: made, marked as ours, and locked while a demo runs in it.
//!
//! One file, [`MARKER`], is all three: its presence says that the folder is a demo's and may be emptied by `--fresh`, the lock
//! on it says that a demo runs, and its content says for which ports the folder was last prepared. It is written only when
//! everything else in the folder is complete, so an interrupted first start is simply done again.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use chasqui_base::fsx::create_private_dir;
use serde::{Deserialize, Serialize};

/// The file that makes a folder a demo's.
const MARKER: &str = ".chasqui-demo";
/// What the files of the folder look like; another number has them written again.
const VERSION: u32 = 1;

/// A folder that this process alone uses.
pub struct Folder {
    path: PathBuf,
    marker: File,
    content: Option<Content>,
}

/// What the marker says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    version: u32,
    port_base: u16,
    /// Where the folder was: its files name it, so a folder that was moved is prepared again.
    path: PathBuf,
}

impl Folder {
    /// Makes or opens the folder and locks it. With `fresh`, what an earlier demo left in it is removed.
    pub fn claim(path: &Path, fresh: bool) -> anyhow::Result<Self> {
        let cannot = || format!("the folder {} cannot be used", path.display());
        create_private_dir(path).with_context(cannot)?;
        let path = path.canonicalize().with_context(cannot)?;
        let marker = path.join(MARKER);
        if !marker.exists() && std::fs::read_dir(&path).with_context(cannot)?.next().is_some() {
            bail!(
                "{} holds something that is no demo of ours: choose another folder with --dir",
                path.display()
            );
        }
        let mut marker = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&marker)
            .with_context(cannot)?;
        match marker.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another demo is running in {}: stop it, or choose another folder with --dir",
                    path.display()
                )
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
        let mut text = String::new();
        // A marker that cannot be read back was cut short while it was written: the folder is prepared again.
        let content = marker.read_to_string(&mut text).ok().and_then(|_| toml::from_str(&text).ok());
        let mut folder = Self { path, marker, content };
        if fresh {
            folder.empty()?;
        }
        Ok(folder)
    }

    /// The folder, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The port base for which everything in the folder is complete.
    pub fn prepared_for(&self) -> Option<u16> {
        let content = self.content.as_ref()?;
        (content.version == VERSION && content.path == self.path).then_some(content.port_base)
    }

    /// Whether the folder was never complete.
    pub fn is_new(&self) -> bool {
        self.content.is_none()
    }

    /// Notes that everything in the folder is complete.
    pub fn prepared(&mut self, port_base: u16) -> anyhow::Result<()> {
        let content = Content { version: VERSION, port_base, path: self.path.clone() };
        self.replace(&toml::to_string(&content)?)?;
        self.content = Some(content);
        Ok(())
    }

    /// Removes everything but the marker, after noting that the folder is no longer complete.
    fn empty(&mut self) -> anyhow::Result<()> {
        self.replace("")?;
        self.content = None;
        let cannot = || format!("{} cannot be emptied", self.path.display());
        for entry in std::fs::read_dir(&self.path).with_context(cannot)? {
            let entry = entry.with_context(cannot)?;
            if entry.file_name() == MARKER {
                continue;
            }
            let kind = entry.file_type().with_context(cannot)?;
            // A link is removed, never what it points to.
            let removed = if kind.is_dir() {
                std::fs::remove_dir_all(entry.path())
            } else {
                std::fs::remove_file(entry.path())
            };
            removed.with_context(cannot)?;
        }
        Ok(())
    }

    /// Writes in place: a new file under the name would not carry the lock.
    fn replace(&mut self, text: &str) -> anyhow::Result<()> {
        let written = (|| {
            self.marker.set_len(0)?;
            self.marker.rewind()?;
            self.marker.write_all(text.as_bytes())?;
            self.marker.sync_all()
        })();
        written.with_context(|| self.path.join(MARKER).display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_else_in_it_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tesis.odt"), "…").unwrap();
        assert!(Folder::claim(dir.path(), true).is_err());
        assert!(dir.path().join("tesis.odt").exists());
    }

    #[test]
    fn two_demos_do_not_share_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::claim(dir.path(), false).unwrap();
        assert!(Folder::claim(dir.path(), true).is_err());
        drop(first);
        assert!(Folder::claim(dir.path(), false).is_ok());
    }

    #[test]
    fn a_folder_is_prepared_once_and_again_after_it_was_moved_or_emptied() {
        let outer = tempfile::tempdir().unwrap();
        let (here, there) = (outer.path().join("a"), outer.path().join("b"));
        let mut folder = Folder::claim(&here, false).unwrap();
        assert_eq!(folder.prepared_for(), None);
        folder.prepared(10_000).unwrap();
        std::fs::write(here.join("mx.toml"), "").unwrap();
        drop(folder);
        assert_eq!(Folder::claim(&here, false).unwrap().prepared_for(), Some(10_000));
        std::fs::rename(&here, &there).unwrap();
        assert_eq!(Folder::claim(&there, false).unwrap().prepared_for(), None);
        assert_eq!(Folder::claim(&there, true).unwrap().prepared_for(), None);
        assert!(!there.join("mx.toml").exists());
    }
}

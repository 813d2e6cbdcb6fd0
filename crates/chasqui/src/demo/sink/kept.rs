//! The sink's folder: a file for each message, the newest thousand.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use chasqui_base::DeliveryId;
use chasqui_base::fsx::create_private_dir;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

/// Messages that stay. The demo may be left running under a load test.
const MOST: usize = 1000;

/// The folder.
pub struct Kept {
    folder: PathBuf,
    /// Names of the complete files, the oldest first.
    names: Mutex<VecDeque<String>>,
}

impl Kept {
    /// Makes the folder if it is missing, and removes what a demo that was killed left half written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        create_private_dir(folder)?;
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.ends_with(".eml") {
                names.push(name);
            } else if name.ends_with(".part") {
                std::fs::remove_file(entry.path())?;
            }
        }
        // Delivery ids sort by time.
        names.sort();
        Ok(Self { folder: folder.to_owned(), names: Mutex::new(names.into()) })
    }

    /// Begins a message.
    pub async fn begin(&self) -> io::Result<Part> {
        let name = DeliveryId::generate().to_string();
        let path = self.folder.join(format!("{name}.part"));
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path).await?;
        Ok(Part { file, name, path, complete: false })
    }

    /// The message is whole: syncs it and gives it its name. Returns where it is.
    pub async fn finish(&self, mut part: Part) -> io::Result<PathBuf> {
        part.file.flush().await?;
        part.file.sync_all().await?;
        let name = format!("{}.eml", part.name);
        let path = self.folder.join(&name);
        tokio::fs::rename(&part.path, &path).await?;
        part.complete = true;
        let spare = {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            names.push_back(name);
            if names.len() > MOST { names.pop_front() } else { None }
        };
        if let Some(spare) = spare {
            match tokio::fs::remove_file(self.folder.join(spare)).await {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(path)
    }
}

/// A message while it is written; dropped before its end, it is removed.
pub struct Part {
    file: File,
    name: String,
    path: PathBuf,
    complete: bool,
}

impl Part {
    /// Appends.
    pub async fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.write_all(text).await
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.complete {
            // What is left over is removed at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[tokio::test]
    async fn a_message_that_is_cut_short_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::open(dir.path()).unwrap();
        let mut part = kept.begin().await.unwrap();
        part.write(b"Subject: uno\r\n").await.unwrap();
        drop(part);
        assert_eq!(files(dir.path()), 0);
        std::fs::write(dir.path().join("x.part"), "").unwrap();
        Kept::open(dir.path()).unwrap();
        assert_eq!(files(dir.path()), 0);
    }

    #[tokio::test]
    async fn of_more_than_a_thousand_messages_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..MOST {
            std::fs::write(dir.path().join(format!("{number:04}.eml")), "").unwrap();
        }
        let kept = Kept::open(dir.path()).unwrap();
        let part = kept.begin().await.unwrap();
        let path = kept.finish(part).await.unwrap();
        assert!(path.exists());
        assert_eq!(files(dir.path()), MOST);
        assert!(!dir.path().join("0000.eml").exists());
    }
}

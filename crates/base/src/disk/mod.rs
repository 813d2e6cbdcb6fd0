//! Every change that a durable store makes on disk, and its durability: the mailboxes of a storage node, a relay's queue.
//!
//! Rules that who uses it keeps:
//! - A message's content is synced ([`Fresh::sync`]) before its name is linked, so a name never leads to half a message.
//! - A directory is synced ([`Disk::sync_dir`]) before anything that changed in it is acknowledged.
//! - State files are replaced whole ([`Disk::replace`]).
//! - A rename is atomic, as journalling file systems keep it.
//!
//! A message is written to an unnamed file (`O_TMPFILE`), which needs no cleaning up after a crash and one directory change less than
//! `tmp/` and rename; where the file system has none, to a named one. In tests (feature
//! `recording`) a recorder writes down each change and sync in order, and the users' `power_loss` tests replay every prefix of that.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::DeliveryId;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};

#[cfg(feature = "recording")]
pub mod recording;

/// Suffix of files that are being written; what is left of them after a crash is removed.
pub const PARTIAL: &str = ".partial";

/// Octets that are copied at a time where a link cannot reach.
const COPY_PIECE: usize = 128 << 10;

/// The disk under one store.
#[derive(Clone)]
pub struct Disk {
    unnamed: bool,
    /// Who writes down what is done.
    #[cfg(feature = "recording")]
    pub recorder: Option<std::sync::Arc<recording::Recorder>>,
}

macro_rules! recorded {
    ($disk:expr, $op:expr, $event:expr) => {{
        #[cfg(feature = "recording")]
        let result = match &$disk.recorder {
            Some(recorder) => recorder.record(|| $op, || $event),
            None => $op,
        };
        #[cfg(not(feature = "recording"))]
        let result = $op;
        result
    }};
}

impl Disk {
    /// The disk that holds `dir`, which must exist and be writable.
    pub fn probe(dir: &Path) -> io::Result<Disk> {
        let probe = dir.join(format!("{}{PARTIAL}", DeliveryId::generate()));
        let unnamed = open_unnamed(dir).and_then(|file| link_unnamed(&file, &probe)).is_ok();
        if unnamed {
            std::fs::remove_file(&probe)?;
        } else {
            File::create(&probe)?;
            std::fs::remove_file(&probe)?;
        }
        Ok(Disk {
            unnamed,
            #[cfg(feature = "recording")]
            recorder: None,
        })
    }

    /// A new file on the file system of `dir`, without a final name.
    pub fn fresh(&self, dir: &Path) -> io::Result<Fresh> {
        if self.unnamed {
            return Ok(Fresh {
                file: open_unnamed(dir)?,
                path: None,
                disk: self.clone(),
                number: self.number(),
            });
        }
        self.fresh_named(dir.join(format!("{}{PARTIAL}", DeliveryId::generate())))
    }

    fn fresh_named(&self, path: PathBuf) -> io::Result<Fresh> {
        let number = self.number();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = recorded!(
            self,
            rustix::fs::open(&path, flags, Mode::from(0o600)).map(File::from).map_err(io::Error::from),
            recording::Event::Link { file: number, path: path.clone() }
        )?;
        Ok(Fresh { file, path: Some(path), disk: self.clone(), number })
    }

    #[cfg(feature = "recording")]
    fn number(&self) -> u64 {
        self.recorder.as_ref().map_or(0, |recorder| recorder.next_file())
    }

    #[cfg(not(feature = "recording"))]
    fn number(&self) -> u64 {
        0
    }

    /// Makes a directory; true if it was not there.
    pub fn mkdir(&self, path: &Path) -> io::Result<bool> {
        let made = recorded!(
            self,
            rustix::fs::mkdir(path, Mode::from(0o700)),
            recording::Event::Mkdir { path: path.to_owned() }
        );
        match made {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::EXIST) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Syncs a directory: names that came or went in it are on disk when this returns.
    pub fn sync_dir(&self, path: &Path) -> io::Result<()> {
        recorded!(
            self,
            {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                rustix::fs::open(path, flags, Mode::empty())
                    .and_then(rustix::fs::fsync)
                    .map_err(io::Error::from)
            },
            recording::Event::SyncDir { path: path.to_owned() }
        )
    }

    /// Syncs everything on the file system of `root`.
    pub fn sync_all(&self, root: &File) -> io::Result<()> {
        recorded!(self, rustix::fs::syncfs(root).map_err(io::Error::from), recording::Event::SyncAll)
    }

    /// A second name for a file.
    pub fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        recorded!(
            self,
            std::fs::hard_link(from, to),
            recording::Event::Copy { from: from.to_owned(), to: to.to_owned() }
        )
    }

    /// Renames a file or directory, replacing a file that has the name.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        recorded!(
            self,
            std::fs::rename(from, to),
            recording::Event::Rename { from: from.to_owned(), to: to.to_owned() }
        )
    }

    /// Removes a name; none there is fine.
    pub fn unlink(&self, path: &Path) -> io::Result<()> {
        match recorded!(self, std::fs::remove_file(path), recording::Event::Unlink { path: path.to_owned() })
        {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Appends octets to a file that exists; they are on disk after a later [`Disk::sync_all`].
    pub fn append(&self, path: &Path, octets: &[u8]) -> io::Result<()> {
        let append = || {
            let mut file = std::fs::OpenOptions::new().append(true).open(path)?;
            file.write_all(octets)
        };
        recorded!(self, append(), recording::Event::Append { path: path.to_owned(), octets: octets.to_vec() })
    }

    /// Replaces a small file durably: after a crash the old or the new content stands there whole.
    pub fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let dir = crate::fsx::parent(path);
        let mut beside = path.as_os_str().to_owned();
        beside.push(PARTIAL);
        // Left by a crash; only this process writes here.
        self.unlink(Path::new(&beside))?;
        let mut fresh = self.fresh_named(beside.into())?;
        fresh.write(content)?;
        fresh.sync()?;
        fresh.rename_to(path)?;
        self.sync_dir(dir)
    }
}

/// A file being written. Dropped before it got a final name, it is gone.
pub struct Fresh {
    file: File,
    // Its temporary name, where it needs one.
    path: Option<PathBuf>,
    disk: Disk,
    // Its number in the recorder's log.
    #[cfg_attr(not(feature = "recording"), allow(dead_code, reason = "read by the tests' recorder"))]
    number: u64,
}

impl Fresh {
    /// Appends octets.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        recorded!(
            self.disk,
            self.file.write_all(octets),
            recording::Event::Write { file: self.number, octets: octets.to_vec() }
        )
    }

    /// Sets the modification time, in seconds since 1970.
    pub fn set_time(&self, seconds: u64) -> io::Result<()> {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        self.file.set_modified(time)
    }

    /// Brings the content to disk.
    pub fn sync(&self) -> io::Result<()> {
        recorded!(self.disk, self.file.sync_data(), recording::Event::SyncFile { file: self.number })
    }

    /// Gives it a name; it must be free. May be called for several names.
    pub fn link_to(&self, path: &Path) -> io::Result<()> {
        match &self.path {
            Some(own) => self.disk.link(own, path),
            None => recorded!(
                self.disk,
                link_unnamed(&self.file, path),
                recording::Event::Link { file: self.number, path: path.to_owned() }
            ),
        }
    }

    /// Gives it a name on whatever file system that is: where a link cannot reach, its octets are copied by way of the folder `tmp`
    /// there, and synced.
    pub fn link_or_copy(&self, path: &Path, tmp: &Path, time: u64) -> io::Result<()> {
        match self.link_to(path) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
            linked => return linked,
        }
        let mut copy = self.disk.fresh(tmp)?;
        let mut piece = vec![0; COPY_PIECE];
        let mut at = 0;
        loop {
            match self.file.read_at(&mut piece, at)? {
                0 => break,
                read => {
                    copy.write(&piece[..read])?;
                    at += read as u64;
                }
            }
        }
        copy.set_time(time)?;
        copy.sync()?;
        copy.link_to(path)
    }

    fn rename_to(mut self, path: &Path) -> io::Result<()> {
        match self.path.take() {
            Some(own) => self.disk.rename(&own, path).inspect_err(|_| self.path = Some(own)),
            None => self.link_to(path),
        }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Nothing can be done about an error here; the next load of the account removes what is left.
            let _ = self.disk.unlink(path);
        }
    }
}

fn open_unnamed(dir: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(dir, flags, Mode::from(0o600))?))
}

fn link_unnamed(file: &File, path: &Path) -> io::Result<()> {
    let source = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, source, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_file_is_there_only_once_it_is_linked() {
        let dir = tempfile::tempdir().unwrap();
        for unnamed in [true, false] {
            let mut disk = Disk::probe(dir.path()).unwrap();
            disk.unnamed &= unnamed;
            let mut fresh = disk.fresh(dir.path()).unwrap();
            fresh.write(b"uno ").unwrap();
            fresh.write(b"dos").unwrap();
            fresh.sync().unwrap();
            drop(fresh);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

            let mut fresh = disk.fresh(dir.path()).unwrap();
            fresh.write(b"tres").unwrap();
            fresh.set_time(1_000_000_000).unwrap();
            fresh.sync().unwrap();
            fresh.link_to(&dir.path().join("a")).unwrap();
            fresh.link_to(&dir.path().join("b")).unwrap();
            assert!(fresh.link_to(&dir.path().join("b")).is_err());
            drop(fresh);
            assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"tres");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
            std::fs::remove_file(dir.path().join("a")).unwrap();
            std::fs::remove_file(dir.path().join("b")).unwrap();
        }
    }

    #[test]
    fn a_state_file_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::probe(dir.path()).unwrap();
        let path = dir.path().join("folder.toml");
        std::fs::write(dir.path().join("folder.toml.partial"), b"left by a crash").unwrap();
        disk.replace(&path, b"one").unwrap();
        disk.replace(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

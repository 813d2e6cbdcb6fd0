//! From the tree to memory: what the message files of a folder say.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hashbrown::HashSet;
use tracing::warn;

use crate::file_name::{Base, ParsedName, adopted_base, own_base};
use crate::folder::{Entry, Folder};
use crate::state_file::{FolderFile, seconds_since_epoch};
use crate::store::Usage;
use crate::uid::Uid;
use chasqui_base::disk::{Disk, PARTIAL};

/// The directories of a Maildir.
pub(crate) const SUBDIRS: [&str; 3] = ["cur", "new", "tmp"];
/// How long another program may take over a file in `tmp/` (cr.yp.to/proto/maildir.html).
const FOREIGN_TMP_AGE: Duration = Duration::from_secs(36 * 3600);

struct Found {
    name: String,
    in_new: bool,
}

/// Reads a folder whose state file is `file`, gives a UID to every message that has none of its own, and makes sure that what is
/// seen from now on is on disk: a process killed between a rename and its sync may have left names that a power cut would take.
pub(crate) fn load(disk: &Disk, host: &str, dir: &Path, file: &FolderFile) -> io::Result<Folder> {
    for subdir in SUBDIRS {
        if disk.mkdir(&dir.join(subdir))? {
            warn!(dir = %dir.display(), subdir, "a folder lacked a directory, which was made");
            disk.sync_dir(dir)?;
        }
    }
    clean_tmp(disk, &dir.join("tmp"));
    let mut found = names(dir)?;
    // Names sort by time first: of two that claim one UID, the older keeps it.
    found.sort_by(|a, b| natural(&a.name).cmp(&natural(&b.name)).then(a.in_new.cmp(&b.in_new)));

    let mut spelled = Vec::with_capacity(found.len());
    let mut taken: HashSet<u32> = HashSet::with_capacity(found.len());
    let mut homeless = Vec::new();
    let mut previous: Option<&Found> = None;
    for this in &found {
        let Some(parsed) = ParsedName::parse(&this.name) else { continue };
        let base = this.name.split(':').next().unwrap_or_default();
        if let Some(previous) = previous.filter(|p| p.name.split(':').next() == Some(base)) {
            // One message under two names: a crash took half of a rename where renames are not atomic.
            if same_file(dir, previous, this)? {
                disk.unlink(&path(dir, this))?;
                continue;
            }
        }
        previous = Some(this);
        match (parsed.uid, parsed.size, parsed.time) {
            (Some(uid), Some(size), Some(time)) if taken.insert(uid.get()) => {
                spelled.push((entry(&parsed, this.in_new, host, uid, size, time), this));
            }
            (uid, ..) => {
                if uid.is_some() {
                    warn!(dir = %dir.display(), file = this.name, "a message without size, or with another's UID, gets a new UID");
                }
                homeless.push(this);
            }
        }
    }
    let mut uid_next = taken.iter().max().map_or(1, |max| max.saturating_add(1)).max(file.uid_floor).max(1);
    let mut entries = Vec::with_capacity(found.len());
    for this in homeless {
        if let Some(adopted) = adopt(disk, host, dir, this, uid_next)? {
            entries.push(adopted);
            uid_next = uid_next.saturating_add(1);
        }
    }
    // Names with letters out of order, or in `new/`, get the one spelling by which they are found from now on.
    for (entry, this) in &spelled {
        let (wanted, is) = (dir.join(entry.file(host)), path(dir, this));
        if wanted != is {
            disk.rename(&is, &wanted)?;
        }
    }
    entries.extend(spelled.into_iter().map(|(entry, _)| entry));
    disk.sync_dir(&dir.join("new"))?;
    disk.sync_dir(&dir.join("cur"))?;
    let keywords = file.keywords.iter().map(|keyword| Arc::from(keyword.as_str())).collect();
    Ok(Folder::new(dir.to_owned(), file.uid_validity, uid_next, keywords, entries))
}

/// What a folder holds, without keeping it.
pub(crate) fn measure(dir: &Path) -> io::Result<Usage> {
    let mut usage = Usage::default();
    for found in names(dir)? {
        let Some(parsed) = ParsedName::parse(&found.name) else { continue };
        usage.messages += 1;
        usage.bytes += match parsed.size {
            Some(size) => size,
            None => fs::metadata(path(dir, &found)).map_or(0, |metadata| metadata.len()),
        };
    }
    Ok(usage)
}

fn names(dir: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for (subdir, in_new) in [("new", true), ("cur", false)] {
        let listing = match fs::read_dir(dir.join(subdir)) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for listed in listing {
            let listed = listed?;
            // A name that is not UTF-8, a directory or a device is no message; it stays as it is.
            if let Ok(name) = listed.file_name().into_string()
                && !name.starts_with('.')
                && !name.ends_with(PARTIAL)
                && listed.file_type().is_ok_and(|kind| kind.is_file())
            {
                found.push(Found { name, in_new });
            }
        }
    }
    Ok(found)
}

fn entry(parsed: &ParsedName<'_>, in_new: bool, host: &str, uid: Uid, size: u64, time: u64) -> Entry {
    let base = match parsed.id {
        Some(id) if parsed.base == own_base(time, id, host, size, uid) => Base::Own(id),
        _ => Base::Foreign(parsed.base.into()),
    };
    Entry {
        uid,
        letters: parsed.letters,
        in_new: in_new && parsed.letters.is_empty(),
        recent: in_new,
        size,
        time,
        mod_seq: 0,
        base,
    }
}

/// Puts size and UID into a name.
fn adopt(disk: &Disk, host: &str, dir: &Path, found: &Found, uid: u32) -> io::Result<Option<Entry>> {
    let Some(parsed) = ParsedName::parse(&found.name) else { return Ok(None) };
    let Some(uid) = Uid::new(uid).filter(|uid| *uid < Uid::MAX) else { return Ok(None) };
    let metadata = match fs::metadata(path(dir, found)) {
        Ok(metadata) => metadata,
        // Its owner took it away again.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let size = metadata.len();
    let modified = metadata.modified().map_or(0, seconds_since_epoch);
    let base = match parsed.time {
        Some(_) => adopted_base(&parsed, size, uid),
        None => format!("{modified}.{}", adopted_base(&parsed, size, uid)),
    };
    let mut name = base.clone();
    if !parsed.letters.is_empty() || !found.in_new {
        name.push_str(":2,");
        parsed.letters.write(&mut name);
    }
    let adopted = Found { in_new: found.in_new && parsed.letters.is_empty(), name };
    disk.rename(&path(dir, found), &path(dir, &adopted))?;
    let time = parsed.time.unwrap_or(modified);
    Ok(ParsedName::parse(&adopted.name).map(|parsed| entry(&parsed, adopted.in_new, host, uid, size, time)))
}

fn clean_tmp(disk: &Disk, tmp: &Path) {
    let Ok(listing) = fs::read_dir(tmp) else { return };
    for listed in listing.flatten() {
        let name = listed.file_name();
        let name = name.to_string_lossy();
        let ours = name.ends_with(PARTIAL);
        let old = || {
            let age = listed
                .metadata()
                .and_then(|metadata| metadata.modified())
                .ok()
                .and_then(|time| SystemTime::now().duration_since(time).ok());
            age.is_some_and(|age| age > FOREIGN_TMP_AGE)
        };
        // Only what a crash left can have our name: an account is loaded before anything is written in it.
        if listed.path().is_dir() {
            if name.starts_with("deleted.") {
                let _ = fs::remove_dir_all(listed.path());
            }
        } else if ours || old() {
            let _ = disk.unlink(&listed.path());
        }
    }
}

fn path(dir: &Path, found: &Found) -> std::path::PathBuf {
    dir.join(if found.in_new { "new" } else { "cur" }).join(&found.name)
}

fn same_file(dir: &Path, a: &Found, b: &Found) -> io::Result<bool> {
    let (a, b) = (fs::metadata(path(dir, a))?, fs::metadata(path(dir, b))?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// Names in the order of their leading number.
fn natural(name: &str) -> (u64, &str) {
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    (name[..digits].parse().unwrap_or(u64::MAX), name)
}

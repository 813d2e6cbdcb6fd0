//! The small state files: `account.toml` of an account, `folder.toml` of each folder.
//!
//! What they hold cannot be read off the message files: UIDVALIDITY, the floor under the next UID, what keyword letters mean, the ids
//! of deliveries that left, subscriptions. They are versioned and replaced whole. One that is missing or damaged is made anew with a
//! logged sentence: a new folder file brings a greater UIDVALIDITY, because the floor is lost and UIDs might come twice.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chasqui_base::DeliveryId;
use hashbrown::HashMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::account::SpecialUse;
use crate::folder_name::FolderName;
use chasqui_base::disk::Disk;

/// The version that this build writes. A later one is refused rather than damaged.
const VERSION: u32 = 1;
/// Name of the account's file.
pub(crate) const ACCOUNT_FILE: &str = "account.toml";
/// Name of a folder's file.
pub(crate) const FOLDER_FILE: &str = "folder.toml";
/// Most departed ids that a folder remembers; the oldest go first.
const MAX_DEPARTED: usize = 20_000;

/// `account.toml`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct AccountFile {
    version: u32,
    /// Whose account it is, for the operator: the folder's name may be encoded.
    pub(crate) address: String,
    /// The UIDVALIDITY that the next folder gets: greater than every one before.
    pub(crate) next_uid_validity: u32,
    /// Subscribed names.
    #[serde(default)]
    pub(crate) subscriptions: Vec<String>,
}

impl AccountFile {
    pub(crate) fn new(address: &str, next_uid_validity: u32) -> AccountFile {
        AccountFile {
            version: VERSION,
            address: address.to_owned(),
            next_uid_validity,
            subscriptions: vec!["INBOX".to_owned()],
        }
    }

    pub(crate) fn read(dir: &Path) -> io::Result<Option<AccountFile>> {
        read(&dir.join(ACCOUNT_FILE), |file: &AccountFile| file.version)
    }

    pub(crate) fn write(&self, disk: &Disk, dir: &Path) -> io::Result<()> {
        write(disk, &dir.join(ACCOUNT_FILE), self)
    }

    pub(crate) fn is_subscribed(&self, name: &FolderName) -> bool {
        self.subscriptions.iter().any(|each| each == name.as_str())
    }

    /// A UIDVALIDITY that the account has not used: at least the time, so that it also exceeds those of a lost file.
    pub(crate) fn take_uid_validity(&mut self) -> u32 {
        let validity = self.next_uid_validity.max(seconds_now_u32());
        self.next_uid_validity = validity.saturating_add(1);
        validity
    }
}

/// `folder.toml`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct FolderFile {
    version: u32,
    pub(crate) uid_validity: u32,
    /// No message gets a UID below this. Written before the messages with the highest UIDs leave.
    pub(crate) uid_floor: u32,
    /// As IMAP writes it: `\Sent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    special_use: Option<String>,
    /// The keywords behind the letters: `a` first; an empty text is a letter that is free.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) keywords: Vec<String>,
    /// Ids of messages that left: `<id> <seconds since 1970 when it left>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    departed: Vec<String>,
}

impl FolderFile {
    pub(crate) fn new(uid_validity: u32, special_use: Option<SpecialUse>) -> FolderFile {
        let special_use = special_use.map(|each| each.as_str().to_owned());
        FolderFile {
            version: VERSION,
            uid_validity,
            uid_floor: 1,
            special_use,
            keywords: Vec::new(),
            departed: Vec::new(),
        }
    }

    pub(crate) fn read(dir: &Path) -> io::Result<Option<FolderFile>> {
        let file = read(&dir.join(FOLDER_FILE), |file: &FolderFile| file.version)?;
        Ok(file.filter(|file: &FolderFile| file.uid_validity > 0))
    }

    pub(crate) fn write(&self, disk: &Disk, dir: &Path) -> io::Result<()> {
        write(disk, &dir.join(FOLDER_FILE), self)
    }

    pub(crate) fn special_use(&self) -> Option<SpecialUse> {
        self.special_use.as_deref().and_then(SpecialUse::parse)
    }

    /// Adds ids that leave now and forgets those that left before `window`.
    pub(crate) fn depart(&mut self, ids: impl IntoIterator<Item = DeliveryId>, window: Duration) {
        let now = seconds_since_epoch(SystemTime::now());
        let oldest = now.saturating_sub(window.as_secs());
        self.departed.retain(|line| departed(line).is_some_and(|(_, at)| at >= oldest));
        self.departed.extend(ids.into_iter().map(|id| format!("{id} {now}")));
        let surplus = self.departed.len().saturating_sub(MAX_DEPARTED);
        self.departed.drain(..surplus);
    }

    /// The ids that left, and when.
    pub(crate) fn departed(&self) -> HashMap<DeliveryId, u64> {
        self.departed.iter().filter_map(|line| departed(line)).collect()
    }
}

fn departed(line: &str) -> Option<(DeliveryId, u64)> {
    let (id, at) = line.split_once(' ')?;
    Some((id.parse().ok()?, at.parse().ok()?))
}

fn read<T: DeserializeOwned>(path: &Path, version: impl Fn(&T) -> u32) -> io::Result<Option<T>> {
    let text = match std::fs::read(path) {
        Ok(octets) => String::from_utf8(octets).unwrap_or_default(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match toml::from_str::<T>(&text) {
        Ok(file) if version(&file) <= VERSION => Ok(Some(file)),
        Ok(file) => {
            let newer =
                format!("{} has version {}, this build knows {VERSION}", path.display(), version(&file));
            Err(io::Error::new(io::ErrorKind::Unsupported, newer))
        }
        Err(error) => {
            warn!(path = %path.display(), reason = error.message(), "a state file is damaged and will be made anew");
            Ok(None)
        }
    }
}

fn write<T: Serialize>(disk: &Disk, path: &Path, file: &T) -> io::Result<()> {
    let text = toml::to_string(file).map_err(io::Error::other)?;
    disk.replace(path, text.as_bytes())
}

/// Whole seconds since 1970; earlier times count as 0.
pub(crate) fn seconds_since_epoch(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn seconds_now_u32() -> u32 {
    u32::try_from(seconds_since_epoch(SystemTime::now())).unwrap_or(u32::MAX - 1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_state_file_counts_as_missing_and_a_newer_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::probe(dir.path()).unwrap();
        assert_eq!(FolderFile::read(dir.path()).unwrap(), None);
        let mut file = FolderFile::new(7, Some(SpecialUse::Sent));
        file.depart([DeliveryId::generate()], Duration::from_secs(60));
        file.write(&disk, dir.path()).unwrap();
        assert_eq!(FolderFile::read(dir.path()).unwrap(), Some(file));
        for damage in ["", "version = ", "\u{0}\u{0}", "version = 1\nuid_validity = 0\nuid_floor = 1\n"] {
            std::fs::write(dir.path().join(FOLDER_FILE), damage).unwrap();
            assert_eq!(FolderFile::read(dir.path()).unwrap(), None, "{damage:?}");
        }
        std::fs::write(dir.path().join(FOLDER_FILE), "version = 99\nuid_validity = 1\nuid_floor = 1\n")
            .unwrap();
        assert!(FolderFile::read(dir.path()).is_err());
    }

    #[test]
    fn departed_ids_are_forgotten_by_age() {
        let mut file = FolderFile::new(1, None);
        file.departed.push(format!("{} 1000", DeliveryId::generate()));
        let id = DeliveryId::generate();
        file.depart([id], Duration::from_secs(8 * 86_400));
        assert_eq!(file.departed().keys().copied().collect::<Vec<_>>(), [id]);
    }
}

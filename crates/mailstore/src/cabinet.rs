//! An account as its worker holds it: the one writer of its files.
//!
//! Order of what is written: the levels above the account and its directories, each synced into its parent; then `folder.toml`; and
//! `account.toml` last. An account with `account.toml` is therefore whole.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chasqui_base::{DeliveryId, EmailAddress};
use hashbrown::HashMap;
use tracing::warn;

use crate::account::SpecialUse;
use crate::error::MailError;
use crate::flags::{Flags, MAX_KEYWORDS};
use crate::folder::{Entry, Folder};
use crate::folder_name::FolderName;
use crate::load::{self, SUBDIRS};
use crate::state_file::{AccountFile, FolderFile, seconds_since_epoch};
use crate::store::{Quota, Usage};
use crate::uid::Uid;
use crate::worker::Site;

/// Messages of folders without a view that an account keeps in memory while it has a session.
const IDLE_MESSAGES: usize = 20_000;

/// An account.
pub(crate) struct Cabinet {
    pub(crate) site: Arc<Site>,
    pub(crate) address: EmailAddress,
    pub(crate) dir: PathBuf,
    pub(crate) file: AccountFile,
    drawers: HashMap<FolderName, Drawer>,
    usage: Option<Usage>,
    /// It lies on another file system than the root: a mount or a link below it. A sync of the root's does not reach it.
    pub(crate) apart: bool,
    /// When it was used last, on the worker's clock.
    pub(crate) used: u64,
}

/// A folder of it.
pub(crate) struct Drawer {
    pub(crate) folder: Arc<Folder>,
    pub(crate) file: FolderFile,
    pub(crate) dir: PathBuf,
    /// The next UID to give out; runs ahead of the published one while a batch is on its way to disk.
    pub(crate) uid_next: u32,
    /// Ids of recent deliveries, with their UID while they are here; read when the first delivery comes.
    ids: Option<HashMap<DeliveryId, Option<Uid>>>,
}

impl Cabinet {
    /// Reads the account, or makes it.
    pub(crate) fn load(site: Arc<Site>, address: &EmailAddress) -> Result<Cabinet, MailError> {
        let dir = site.config.layout.path(&site.config.root, address);
        let file = match AccountFile::read(&dir)? {
            Some(file) => file,
            None => make(&site, address, &dir)?,
        };
        let apart = std::fs::metadata(&dir)?.dev() != std::fs::metadata(&site.config.root)?.dev();
        let address = address.clone();
        Ok(Cabinet { site, address, dir, file, drawers: HashMap::new(), usage: None, apart, used: 0 })
    }

    /// Whether it must stay in memory: a session has a view of one of its folders, or a delivery is on its way.
    pub(crate) fn in_use(&self) -> bool {
        self.drawers.values().any(Drawer::in_use)
    }

    /// Messages of it in memory.
    pub(crate) fn messages(&self) -> usize {
        self.drawers.values().map(Drawer::len).sum()
    }

    /// Ends every view: what is in memory cannot be trusted.
    pub(crate) fn abandon(self) {
        for drawer in self.drawers.into_values() {
            drawer.folder.change(|state| {
                state.gone = true;
                // Raises the sequence, so that views look.
                state.remove(|_| false);
            });
        }
    }

    /// The directory that this folder has or would have.
    pub(crate) fn folder_dir(&self, name: &FolderName) -> PathBuf {
        if name.is_inbox() { self.dir.clone() } else { self.dir.join(name.on_disk()) }
    }

    /// Whether the folder exists.
    pub(crate) fn exists(&self, name: &FolderName) -> bool {
        name.is_inbox() || self.drawers.contains_key(name) || self.folder_dir(name).is_dir()
    }

    /// The folder, loaded.
    pub(crate) fn drawer(&mut self, name: &FolderName) -> Result<&mut Drawer, MailError> {
        if !self.drawers.contains_key(name) {
            if !self.exists(name) {
                return Err(MailError::NoSuchFolder);
            }
            self.trim();
            let dir = self.folder_dir(name);
            let file = match FolderFile::read(&dir)? {
                Some(file) => file,
                None => self.remake_folder_file(&dir)?,
            };
            let folder = load::load(&self.site.disk, &self.site.host, &dir, &file)?;
            let uid_next = folder.lock().uid_next;
            self.drawers
                .insert(name.clone(), Drawer { folder: Arc::new(folder), file, dir, uid_next, ids: None });
        }
        self.drawers.get_mut(name).ok_or(MailError::NoSuchFolder)
    }

    /// The folder that a view shows, whatever its name is now.
    pub(crate) fn drawer_of(&mut self, folder: &Arc<Folder>) -> Result<&mut Drawer, MailError> {
        self.drawers.values_mut().find(|drawer| Arc::ptr_eq(&drawer.folder, folder)).ok_or(MailError::Gone)
    }

    /// Takes a folder out of memory.
    pub(crate) fn take_drawer(&mut self, name: &FolderName) -> Option<Drawer> {
        self.drawers.remove(name)
    }

    /// Puts it back, perhaps under another name.
    pub(crate) fn put_drawer(&mut self, name: FolderName, drawer: Drawer) {
        self.drawers.insert(name, drawer);
    }

    /// A new UIDVALIDITY, on disk before it is used.
    pub(crate) fn take_uid_validity(&mut self) -> Result<u32, MailError> {
        let validity = self.file.take_uid_validity();
        self.file.write(&self.site.disk, &self.dir)?;
        Ok(validity)
    }

    /// The names of every folder on disk, INBOX included.
    pub(crate) fn folder_names(&self) -> Result<Vec<FolderName>, MailError> {
        let mut names = vec![FolderName::inbox()];
        for listed in std::fs::read_dir(&self.dir)? {
            let listed = listed?;
            if let Some(name) = listed.file_name().to_str().and_then(FolderName::from_disk)
                && listed.file_type()?.is_dir()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// What the account holds, counted once.
    pub(crate) fn usage(&mut self) -> Result<Usage, MailError> {
        if let Some(usage) = self.usage {
            return Ok(usage);
        }
        let mut usage = Usage::default();
        for name in self.folder_names()? {
            let held = match self.drawers.get(&name) {
                Some(drawer) => drawer.usage(),
                None => load::measure(&self.folder_dir(&name))?,
            };
            usage.bytes += held.bytes;
            usage.messages += held.messages;
        }
        self.usage = Some(usage);
        Ok(usage)
    }

    /// Refuses what would not fit.
    pub(crate) fn check_quota(&mut self, quota: Quota, bytes: u64, messages: u64) -> Result<(), MailError> {
        if quota == Quota::default() {
            return Ok(());
        }
        let usage = self.usage()?;
        let fits = |held: u64, more: u64, limit: Option<u64>| {
            limit.is_none_or(|limit| held.saturating_add(more) <= limit)
        };
        let fits = fits(usage.bytes, bytes, quota.bytes) && fits(usage.messages, messages, quota.messages);
        if fits { Ok(()) } else { Err(MailError::OverQuota) }
    }

    /// Has the account counted anew when it is next asked for.
    pub(crate) fn forget_usage(&mut self) {
        self.usage = None;
    }

    /// Counts messages that came.
    pub(crate) fn count(&mut self, bytes: u64, messages: u64) {
        if let Some(usage) = &mut self.usage {
            usage.bytes += bytes;
            usage.messages += messages;
        }
    }

    /// Counts messages that went.
    pub(crate) fn discount(&mut self, bytes: u64, messages: u64) {
        if let Some(usage) = &mut self.usage {
            usage.bytes = usage.bytes.saturating_sub(bytes);
            usage.messages = usage.messages.saturating_sub(messages);
        }
    }

    /// Forgets folders that no view shows, when they are many messages together. INBOX stays: the next delivery needs it.
    fn trim(&mut self) {
        let idle = |name: &FolderName, drawer: &Drawer| !name.is_inbox() && !drawer.in_use();
        let held: usize = self
            .drawers
            .iter()
            .filter(|(name, drawer)| idle(name, drawer))
            .map(|(_, drawer)| drawer.len())
            .sum();
        if held > IDLE_MESSAGES {
            self.drawers.retain(|name, drawer| !idle(name, drawer));
        }
    }

    fn remake_folder_file(&mut self, dir: &Path) -> Result<FolderFile, MailError> {
        let file = FolderFile::new(self.take_uid_validity()?, None);
        warn!(dir = %dir.display(), uid_validity = file.uid_validity, "a folder's state file was missing or damaged; its UIDVALIDITY is new");
        file.write(&self.site.disk, dir)?;
        Ok(file)
    }
}

impl Drawer {
    /// Whether it must stay in memory: a view shows it, or a UID was given out that no name on disk has.
    pub(crate) fn in_use(&self) -> bool {
        Arc::strong_count(&self.folder) > 1 || self.folder.lock().uid_next != self.uid_next
    }

    /// Messages in it.
    pub(crate) fn len(&self) -> usize {
        self.folder.lock().entries().len()
    }

    pub(crate) fn usage(&self) -> Usage {
        let state = self.folder.lock();
        let entries = state.entries();
        Usage { bytes: entries.iter().map(|entry| entry.size).sum(), messages: entries.len() as u64 }
    }

    /// The next UID, taken.
    pub(crate) fn take_uid(&mut self) -> Result<Uid, MailError> {
        let uid = Uid::new(self.uid_next).filter(|uid| *uid < Uid::MAX);
        let uid = uid.ok_or(MailError::LimitExceeded(
            "the folder has given out every UID; rename it and make a new one",
        ))?;
        self.uid_next += 1;
        Ok(uid)
    }

    /// The ids by which retried deliveries are recognised.
    pub(crate) fn ids(&mut self, window: std::time::Duration) -> &mut HashMap<DeliveryId, Option<Uid>> {
        let (file, folder) = (&self.file, &self.folder);
        self.ids.get_or_insert_with(|| {
            let oldest = oldest_in(window);
            let mut ids: HashMap<DeliveryId, Option<Uid>> = file
                .departed()
                .into_iter()
                .filter(|(_, at)| *at >= oldest)
                .map(|(id, _)| (id, None))
                .collect();
            let state = folder.lock();
            ids.extend(
                state
                    .entries()
                    .iter()
                    .filter(|entry| entry.time >= oldest)
                    .filter_map(|entry| Some((entry.id()?, Some(entry.uid)))),
            );
            ids
        })
    }

    /// Writes down, before these messages leave, what would be lost with their names: the floor under the next UID, and the ids
    /// of deliveries that may be retried.
    pub(crate) fn prepare_departure(&mut self, site: &Site, leaving: &[Entry]) -> Result<(), MailError> {
        let window = site.config.departed_window.get();
        let oldest = oldest_in(window);
        let ids: Vec<DeliveryId> =
            leaving.iter().filter(|entry| entry.time >= oldest).filter_map(Entry::id).collect();
        let highest_stays = {
            let state = self.folder.lock();
            let highest = state.entries().last().map_or(0, |entry| entry.uid.get());
            highest.saturating_add(1) >= self.uid_next
                && leaving.iter().all(|entry| entry.uid.get() != highest)
        };
        let needs_floor = !highest_stays && self.file.uid_floor < self.uid_next;
        if ids.is_empty() && !needs_floor {
            return Ok(());
        }
        let mut file = self.file.clone();
        file.uid_floor = file.uid_floor.max(self.uid_next);
        file.depart(ids.iter().copied(), window);
        let mut written = file.write(&site.disk, &self.dir).map_err(MailError::from);
        if matches!(written, Err(MailError::Full)) && site.reserve.release() {
            written = file.write(&site.disk, &self.dir).map_err(MailError::from);
        }
        written?;
        self.file = file;
        if let Some(known) = &mut self.ids {
            known.extend(ids.into_iter().map(|id| (id, None)));
        }
        Ok(())
    }

    /// Gives every keyword of `flags` a letter, on disk before a file name has it.
    pub(crate) fn learn_keywords(&mut self, site: &Site, flags: &Flags) -> Result<(), MailError> {
        let unknown: Vec<&str> = flags
            .keywords()
            .filter(|keyword| !self.file.keywords.iter().any(|known| known.eq_ignore_ascii_case(keyword)))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let mut file = self.file.clone();
        // Letters of another program's names, whose keywords are not known, stay free of ours.
        let used = self.folder.lock().entries().iter().fold(0, |bits, entry| bits | entry.letters.keywords);
        for keyword in unknown {
            let free = (0..MAX_KEYWORDS)
                .find(|&bit| file.keywords.get(bit).is_none_or(String::is_empty) && used & (1 << bit) == 0);
            let bit = free.ok_or(MailError::LimitExceeded("the folder has no room for another keyword"))?;
            if file.keywords.len() <= bit {
                file.keywords.resize(bit + 1, String::new());
            }
            keyword.clone_into(&mut file.keywords[bit]);
        }
        file.write(&site.disk, &self.dir)?;
        let keywords = file.keywords.iter().map(|keyword| Arc::from(keyword.as_str())).collect();
        self.folder.lock().keywords = keywords;
        self.file = file;
        Ok(())
    }
}

/// The oldest internal date whose message may still be delivered again.
fn oldest_in(window: std::time::Duration) -> u64 {
    seconds_since_epoch(std::time::SystemTime::now()).saturating_sub(window.as_secs())
}

/// Makes an account's directories and files, or those of them that are missing.
fn make(site: &Site, address: &EmailAddress, dir: &Path) -> Result<AccountFile, MailError> {
    let disk = &site.disk;
    let mut level = site.config.root.clone();
    let below = dir.strip_prefix(&site.config.root).map_err(io::Error::other)?;
    for component in below.components() {
        let parent = level.clone();
        level.push(component);
        disk.mkdir(&level)?;
        // Also when it was there: another worker may have made it and not synced yet.
        disk.sync_dir(&parent)?;
    }
    for subdir in SUBDIRS {
        disk.mkdir(&dir.join(subdir))?;
    }
    let mut next = 1;
    let mut lost = false;
    for listed in std::fs::read_dir(dir)? {
        let listed = listed?;
        let folder = if listed.file_name() == "cur" { dir.to_owned() } else { listed.path() };
        if let Some(file) = FolderFile::read(&folder).unwrap_or_default() {
            next = next.max(file.uid_validity.saturating_add(1));
            lost = true;
        }
    }
    let mut file = AccountFile::new(address.as_str(), next);
    if lost {
        warn!(account = %address, "an account's state file was missing or damaged; its subscriptions are lost");
    }
    let validity = file.take_uid_validity();
    // INBOX keeps its own file if it has one.
    if FolderFile::read(dir)?.is_none() {
        write_folder_file(site, dir, validity, None)?;
    } else {
        disk.sync_dir(dir)?;
    }
    file.write(disk, dir)?;
    Ok(file)
}

/// A new folder's state file.
pub(crate) fn write_folder_file(
    site: &Site,
    dir: &Path,
    validity: u32,
    special_use: Option<SpecialUse>,
) -> io::Result<()> {
    FolderFile::new(validity, special_use).write(&site.disk, dir)
}

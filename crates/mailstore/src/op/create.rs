//! CREATE (RFC 9051 §6.3.4, RFC 6154 §3).

use std::path::Path;

use crate::account::SpecialUse;
use crate::cabinet::{Cabinet, write_folder_file};
use crate::error::MailError;
use crate::folder_name::FolderName;
use crate::load::SUBDIRS;

/// Names by which clients know a use when none was given.
const USUAL: [(&str, SpecialUse); 7] = [
    ("Archive", SpecialUse::Archive),
    ("Drafts", SpecialUse::Drafts),
    ("Junk", SpecialUse::Junk),
    ("Spam", SpecialUse::Junk),
    ("Sent", SpecialUse::Sent),
    ("Sent Messages", SpecialUse::Sent),
    ("Trash", SpecialUse::Trash),
];

impl Cabinet {
    /// Makes a folder and the levels above it that are missing.
    pub(crate) fn create(
        &mut self,
        name: &FolderName,
        special_use: Option<SpecialUse>,
    ) -> Result<(), MailError> {
        if self.exists(name) {
            return Err(MailError::FolderExists);
        }
        let mut missing = vec![name.clone()];
        while let Some(parent) =
            missing.last().and_then(FolderName::parent).filter(|parent| !self.exists(parent))
        {
            missing.push(parent);
        }
        if self.folder_names()?.len() + missing.len() > self.site.config.max_folders {
            return Err(MailError::LimitExceeded("the account has too many folders"));
        }
        while let Some(folder) = missing.pop() {
            let usual = || {
                USUAL.iter().find(|(usual, _)| *usual == folder.as_str()).map(|(_, special_use)| *special_use)
            };
            let special_use = if folder == *name { special_use.or_else(usual) } else { usual() };
            let dir = self.folder_dir(&folder);
            self.make_folder(&dir, special_use).inspect_err(|_| {
                // Half a folder would be in the way of the next attempt. It is empty.
                let _ = std::fs::remove_dir_all(&dir);
            })?;
        }
        Ok(())
    }

    /// Makes a folder's directories and state file, on disk when it returns.
    pub(crate) fn make_folder(
        &mut self,
        dir: &Path,
        special_use: Option<SpecialUse>,
    ) -> Result<(), MailError> {
        // The number is gone from account.toml before a folder has it, so that none gets it twice.
        let validity = self.take_uid_validity()?;
        let disk = &self.site.disk;
        disk.mkdir(dir)?;
        for subdir in SUBDIRS {
            disk.mkdir(&dir.join(subdir))?;
        }
        // Syncs `dir` too.
        write_folder_file(&self.site, dir, validity, special_use)?;
        self.site.disk.sync_dir(&self.dir)?;
        Ok(())
    }
}

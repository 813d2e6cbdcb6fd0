//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8): a message gets a second name, its octets are not copied.

use std::path::PathBuf;
use std::sync::Arc;

use chasqui_base::DeliveryId;

use crate::cabinet::Cabinet;
use crate::error::MailError;
use crate::file_name::{Base, Letters};
use crate::flags::Flags;
use crate::folder::{Entry, Folder};
use crate::folder_name::FolderName;
use crate::mailbox::Copied;
use crate::store::Quota;
use crate::uid::Uid;

impl Cabinet {
    /// Copies the messages of these UIDs that are still there: all or none.
    pub(crate) fn copy(
        &mut self,
        from: &Arc<Folder>,
        uids: &[Uid],
        to: &FolderName,
        quota: Quota,
    ) -> Result<Copied, MailError> {
        let site = self.site.clone();
        self.drawer_of(from)?;
        let copied: Vec<(Entry, Flags, PathBuf)> = {
            let state = from.lock();
            let entries = uids.iter().filter_map(|uid| state.get(*uid));
            entries
                .map(|entry| {
                    (entry.clone(), state.flags(entry.letters), state.dir.join(entry.file(&site.host)))
                })
                .collect()
        };
        let bytes = copied.iter().map(|(entry, ..)| entry.size).sum();
        let held = self.drawer(to)?.len();
        if held + copied.len() > site.config.max_messages {
            return Err(MailError::LimitExceeded("the folder has too many messages"));
        }
        self.check_quota(quota, bytes, copied.len() as u64)?;

        let drawer = self.drawer(to)?;
        let mut entries = Vec::with_capacity(copied.len());
        let mut linked: Vec<PathBuf> = Vec::with_capacity(copied.len());
        let mut link_all = || {
            for (entry, flags, source) in &copied {
                drawer.learn_keywords(&site, flags)?;
                let known = drawer.folder.lock().letters(flags);
                let letters = Letters { system: entry.letters.system, ..known };
                let base = Base::Own(DeliveryId::generate());
                let in_new = letters.is_empty();
                let entry = Entry {
                    uid: drawer.take_uid()?,
                    letters,
                    in_new,
                    recent: true,
                    mod_seq: 0,
                    base,
                    ..entry.clone()
                };
                let target = drawer.dir.join(entry.file(&site.host));
                site.disk.link(source, &target)?;
                linked.push(target);
                entries.push(entry);
            }
            for subdir in ["new", "cur"] {
                if entries.iter().any(|entry| entry.in_new == (subdir == "new")) {
                    site.disk.sync_dir(&drawer.dir.join(subdir))?;
                }
            }
            Ok(())
        };
        if let Err(error) = link_all() {
            for target in linked {
                // The first error is the one to report.
                let _ = site.disk.unlink(&target);
            }
            return Err(error);
        }
        let pairs = copied.iter().zip(&entries).map(|((from, ..), to)| (from.uid, to.uid)).collect();
        let (uid_validity, messages) = (drawer.file.uid_validity, entries.len() as u64);
        if messages > 0 {
            drawer.folder.change(|state| state.add(entries));
        }
        self.count(bytes, messages);
        Ok(Copied { uid_validity, pairs })
    }

    /// Moves them: a crash in between leaves a message in both folders, never in none.
    pub(crate) fn move_messages(
        &mut self,
        from: &Arc<Folder>,
        uids: &[Uid],
        to: &FolderName,
    ) -> Result<Copied, MailError> {
        // What the folder must remember comes first: where a full disk has no room for it, nothing is copied either, and no retry
        // can double a message (RFC 6851 §4.4).
        let leaving = self.prepare_removal(from, uids)?;
        let copied = self.copy(from, uids, to, Quota::default())?;
        self.remove_prepared(from, leaving)?;
        Ok(copied)
    }
}

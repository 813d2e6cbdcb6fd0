//! EXPUNGE (RFC 9051 §6.4.3), UID EXPUNGE, and POP3's removal.

use std::sync::Arc;

use hashbrown::HashSet;

use crate::cabinet::Cabinet;
use crate::error::MailError;
use crate::flags::Flags;
use crate::folder::{Entry, Folder};
use crate::uid::Uid;

impl Cabinet {
    /// Removes the messages with `\Deleted`, or of them only these; returns which.
    pub(crate) fn expunge(
        &mut self,
        folder: &Arc<Folder>,
        only: Option<&[Uid]>,
    ) -> Result<Vec<Uid>, MailError> {
        let only: Option<HashSet<Uid>> = only.map(|uids| uids.iter().copied().collect());
        let deleted: Vec<Uid> = {
            let state = folder.lock();
            let marked =
                state.entries().iter().filter(|entry| entry.letters.system & Flags::DELETED.bits() != 0);
            marked
                .map(|entry| entry.uid)
                .filter(|uid| only.as_ref().is_none_or(|only| only.contains(uid)))
                .collect()
        };
        self.remove(folder, &deleted)?;
        Ok(deleted)
    }

    /// Removes the messages of these UIDs, whatever their flags. What must outlive them is on disk first; the views learn last.
    pub(crate) fn remove(&mut self, folder: &Arc<Folder>, uids: &[Uid]) -> Result<(), MailError> {
        let leaving = self.prepare_removal(folder, uids)?;
        self.remove_prepared(folder, leaving)
    }

    /// Brings to disk what must outlive these messages; returns those that are there.
    pub(crate) fn prepare_removal(
        &mut self,
        folder: &Arc<Folder>,
        uids: &[Uid],
    ) -> Result<Vec<Entry>, MailError> {
        let site = self.site.clone();
        let drawer = self.drawer_of(folder)?;
        let leaving: Vec<Entry> = {
            let state = folder.lock();
            uids.iter().filter_map(|uid| state.get(*uid)).cloned().collect()
        };
        if !leaving.is_empty() {
            drawer.prepare_departure(&site, &leaving)?;
        }
        Ok(leaving)
    }

    /// Removes messages after [`Cabinet::prepare_removal`].
    pub(crate) fn remove_prepared(
        &mut self,
        folder: &Arc<Folder>,
        leaving: Vec<Entry>,
    ) -> Result<(), MailError> {
        if leaving.is_empty() {
            return Ok(());
        }
        let site = self.site.clone();
        let drawer = self.drawer_of(folder)?;
        let mut removed: HashSet<Uid> = HashSet::with_capacity(leaving.len());
        let mut bytes = 0;
        let unlinked = leaving.iter().try_for_each(|entry| {
            site.disk.unlink(&drawer.dir.join(entry.file(&site.host)))?;
            removed.insert(entry.uid);
            bytes += entry.size;
            Ok::<_, MailError>(())
        });
        let synced = ["new", "cur"].into_iter().try_for_each(|subdir| {
            let touched = leaving.iter().any(|entry| entry.in_new == (subdir == "new"));
            if touched {
                site.disk.sync_dir(&drawer.dir.join(subdir)).map_err(MailError::from)
            } else {
                Ok(())
            }
        });
        folder.change(|state| state.remove(|entry| removed.contains(&entry.uid)));
        self.discount(bytes, removed.len() as u64);
        site.reserve.fill();
        unlinked.and(synced)
    }
}

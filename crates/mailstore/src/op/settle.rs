//! Messages that a view has seen leave `new/`: they are recent no more (RFC 3501 §2.3.2).

use std::sync::Arc;

use tracing::warn;

use crate::cabinet::Cabinet;
use crate::folder::{Entry, Folder};

impl Cabinet {
    /// Moves them to `cur/`. Not synced: after a power cut they may be recent again.
    pub(crate) fn settle(&mut self, folder: &Arc<Folder>) {
        let seen: Vec<Entry> = {
            let state = folder.lock();
            state.entries().iter().filter(|entry| entry.in_new && !entry.recent).cloned().collect()
        };
        let host = self.site.host.clone();
        let disk = self.site.disk.clone();
        let Ok(dir) = self.drawer_of(folder).map(|drawer| drawer.dir.clone()) else { return };
        for entry in seen {
            let settled = Entry { in_new: false, ..entry.clone() };
            match disk.rename(&dir.join(entry.file(&host)), &dir.join(settled.file(&host))) {
                Ok(()) => folder.lock().settled(entry.uid),
                Err(error) => {
                    warn!(account = %self.address, uid = %entry.uid, %error, "a message cannot leave new/")
                }
            }
        }
    }
}

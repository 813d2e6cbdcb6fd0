//! STORE (RFC 9051 §6.4.6): flags are letters of the file's name, so a change is a rename.
//!
//! These renames are not synced: after a power cut a message may have flags that it had some seconds before, as with every Maildir.

use std::sync::Arc;

use crate::cabinet::Cabinet;
use crate::error::MailError;
use crate::file_name::{Letters, PASSED};
use crate::flags::{Flags, FlagsMode};
use crate::folder::{Entry, Folder};
use crate::uid::Uid;

impl Cabinet {
    pub(crate) fn store_flags(
        &mut self,
        folder: &Arc<Folder>,
        uids: &[Uid],
        mode: FlagsMode,
        flags: &Flags,
    ) -> Result<(), MailError> {
        let site = self.site.clone();
        let drawer = self.drawer_of(folder)?;
        if mode != FlagsMode::Remove {
            drawer.learn_keywords(&site, flags)?;
        }
        let (given, unnamed, entries): (Letters, u32, Vec<Entry>) = {
            let state = folder.lock();
            let named = state
                .keywords
                .iter()
                .enumerate()
                .filter(|(_, keyword)| !keyword.is_empty())
                .fold(0, |bits, (bit, _)| bits | 1 << bit);
            (state.letters(flags), !named, uids.iter().filter_map(|uid| state.get(*uid)).cloned().collect())
        };
        let mut changed = false;
        let renamed = entries.into_iter().try_for_each(|entry| {
            let old = entry.letters;
            let letters = match mode {
                // What IMAP cannot name is not its to clear.
                FlagsMode::Replace => Letters {
                    system: given.system | old.system & PASSED,
                    keywords: given.keywords | old.keywords & unnamed,
                },
                FlagsMode::Add => {
                    Letters { system: old.system | given.system, keywords: old.keywords | given.keywords }
                }
                FlagsMode::Remove => {
                    Letters { system: old.system & !given.system, keywords: old.keywords & !given.keywords }
                }
            };
            if letters == old {
                return Ok(());
            }
            let to = Entry { letters, in_new: false, ..entry.clone() };
            site.disk
                .rename(&drawer.dir.join(entry.file(&site.host)), &drawer.dir.join(to.file(&site.host)))?;
            // At once: who opens the message now must find the new name.
            folder.lock().relettered(entry.uid, letters);
            changed = true;
            Ok::<_, MailError>(())
        });
        if changed {
            // Wakes the views, once for all.
            folder.change(|_| ());
        }
        renamed
    }
}

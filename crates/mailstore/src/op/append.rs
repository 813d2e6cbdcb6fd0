//! APPEND (RFC 9051 §6.3.12, RFC 3502): messages into a folder, all of them or none.

use std::path::PathBuf;

use chasqui_base::DeliveryId;

use crate::account::Appended;
use crate::cabinet::Cabinet;
use crate::deliver::sync_once;
use crate::error::MailError;
use crate::file_name::Base;
use crate::flags::Flags;
use crate::folder::Entry;
use crate::folder_name::FolderName;
use crate::incoming::Source;
use crate::store::Quota;
use chasqui_base::disk::Fresh;

/// A message to append.
pub(crate) struct Appending {
    pub(crate) source: Source,
    pub(crate) flags: Flags,
    /// Seconds since 1970.
    pub(crate) time: u64,
}

impl Cabinet {
    pub(crate) fn append(
        &mut self,
        name: &FolderName,
        messages: &[Appending],
        quota: Quota,
    ) -> Result<Appended, MailError> {
        let site = self.site.clone();
        let bytes = messages.iter().map(|message| message.source.len()).sum();
        let held = self.drawer(name)?.len();
        if held + messages.len() > site.config.max_messages {
            return Err(MailError::LimitExceeded("the folder has too many messages"));
        }
        self.check_quota(quota, bytes, messages.len() as u64)?;
        let drawer = self.drawer(name)?;
        let mut entries: Vec<(Entry, Option<Fresh>)> = Vec::with_capacity(messages.len());
        for message in messages {
            drawer.learn_keywords(&site, &message.flags)?;
            let fresh = match &message.source {
                Source::Memory(octets) => {
                    let mut fresh = site.disk.fresh(&drawer.dir.join("tmp"))?;
                    fresh.write(octets)?;
                    fresh.set_time(message.time)?;
                    fresh.sync()?;
                    Some(fresh)
                }
                Source::File(..) => None,
            };
            let letters = drawer.folder.lock().letters(&message.flags);
            let entry = Entry {
                uid: drawer.take_uid()?,
                letters,
                // Flags have no place in `new/`.
                in_new: letters.is_empty(),
                recent: true,
                size: message.source.len(),
                time: message.time,
                mod_seq: 0,
                base: Base::Own(DeliveryId::generate()),
            };
            entries.push((entry, fresh));
        }

        let mut linked: Vec<PathBuf> = Vec::with_capacity(entries.len());
        let placed = entries.iter().zip(messages).try_for_each(|((entry, fresh), message)| {
            let target = drawer.dir.join(entry.file(&site.host));
            match (fresh, &message.source) {
                (Some(fresh), _) => fresh.link_to(&target)?,
                (None, Source::File(shared, _)) => {
                    shared.link_or_copy(&target, &drawer.dir.join("tmp"), entry.time)?;
                }
                (None, Source::Memory(_)) => return Err(MailError::Busy),
            }
            linked.push(target);
            Ok(())
        });
        let placed = placed.and_then(|()| {
            let mut synced = hashbrown::HashMap::new();
            linked.iter().try_for_each(|target| {
                sync_once(&site.disk, &mut synced, chasqui_base::fsx::parent(target).to_owned())
            })
        });
        if let Err(error) = placed {
            for target in linked {
                // The first error is the one to report.
                let _ = site.disk.unlink(&target);
            }
            return Err(error);
        }

        let uids = entries.iter().map(|(entry, _)| entry.uid).collect();
        let uid_validity = drawer.file.uid_validity;
        drawer.folder.change(|state| state.add(entries.into_iter().map(|(entry, _)| entry)));
        self.count(bytes, messages.len() as u64);
        Ok(Appended { uid_validity, uids })
    }
}

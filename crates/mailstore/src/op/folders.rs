//! LIST, LSUB and SUBSCRIBE (RFC 9051 §6.3.7 to §6.3.9).

use std::collections::BTreeMap;

use crate::account::FolderInfo;
use crate::cabinet::Cabinet;
use crate::error::MailError;
use crate::folder_name::FolderName;
use crate::state_file::FolderFile;

impl Cabinet {
    /// Every folder, every level above one, and every subscribed name: INBOX first, then by name.
    pub(crate) fn folders(&mut self) -> Result<Vec<FolderInfo>, MailError> {
        let mut listed: BTreeMap<FolderName, FolderInfo> = BTreeMap::new();
        let bare = |name: &FolderName| FolderInfo {
            name: name.clone(),
            subscribed: false,
            special_use: None,
            exists: false,
            has_children: false,
        };
        for name in self.folder_names()? {
            let mut above = name.parent();
            while let Some(parent) = above {
                listed.entry(parent.clone()).or_insert_with(|| bare(&parent)).has_children = true;
                above = parent.parent();
            }
            // A state file that cannot be read is the folder's trouble when it is opened, not the listing's.
            let special_use =
                FolderFile::read(&self.folder_dir(&name)).ok().flatten().and_then(|file| file.special_use());
            let info = listed.entry(name.clone()).or_insert_with(|| bare(&name));
            (info.exists, info.special_use) = (true, special_use);
        }
        for name in self.file.subscriptions.iter().filter_map(|name| FolderName::parse(name).ok()) {
            listed.entry(name.clone()).or_insert_with(|| bare(&name)).subscribed = true;
        }
        let mut infos: Vec<FolderInfo> = listed.into_values().collect();
        infos.sort_by_key(|info| !info.name.is_inbox());
        Ok(infos)
    }

    /// Subscribes or unsubscribes a name.
    pub(crate) fn subscribe(&mut self, name: &FolderName, subscribed: bool) -> Result<(), MailError> {
        if self.file.is_subscribed(name) == subscribed {
            return Ok(());
        }
        let mut file = self.file.clone();
        file.subscriptions.retain(|each| each != name.as_str());
        if subscribed {
            if file.subscriptions.len() >= self.site.config.max_folders {
                return Err(MailError::LimitExceeded("the account has too many subscriptions"));
            }
            file.subscriptions.push(name.as_str().to_owned());
        }
        file.write(&self.site.disk, &self.dir)?;
        self.file = file;
        Ok(())
    }
}

//! RENAME (RFC 9051 §6.3.6).

use crate::cabinet::Cabinet;
use crate::error::MailError;
use crate::folder_name::FolderName;
use crate::uid::Uid;

impl Cabinet {
    /// Renames a folder with those below it; of INBOX, its messages move to a new folder and folders below it stay.
    pub(crate) fn rename(&mut self, from: &FolderName, to: &FolderName) -> Result<(), MailError> {
        if !self.exists(from) {
            return Err(MailError::NoSuchFolder);
        }
        if self.exists(to) {
            return Err(MailError::FolderExists);
        }
        if to.is_below(from) && !from.is_inbox() {
            return Err(MailError::InvalidName("a folder cannot be moved below itself"));
        }
        if from.is_inbox() {
            self.create(to, None)?;
            let inbox = self.drawer(from)?.folder.clone();
            let all: Vec<Uid> = inbox.lock().entries().iter().map(|entry| entry.uid).collect();
            self.move_messages(&inbox, &all, to)?;
            return Ok(());
        }
        // Every new name first, so that one that is too long stops it all.
        let names = self.folder_names()?;
        let below = names.iter().filter(|name| *name == from || name.is_below(from));
        let moves = below
            .map(|name| Ok((name.clone(), name.moved(from, to)?)))
            .collect::<Result<Vec<_>, MailError>>()?;
        if moves.iter().any(|(_, new)| self.exists(new)) {
            return Err(MailError::FolderExists);
        }
        if let Some(parent) = to.parent().filter(|parent| !self.exists(parent)) {
            self.create(&parent, None)?;
        }
        for (old, new) in moves {
            let dir = self.folder_dir(&new);
            self.site.disk.rename(&self.folder_dir(&old), &dir)?;
            if let Some(mut drawer) = self.take_drawer(&old) {
                // Views go on with the same folder.
                drawer.folder.lock().dir = dir.clone();
                drawer.dir = dir;
                self.put_drawer(new, drawer);
            }
        }
        self.site.disk.sync_dir(&self.dir)?;
        Ok(())
    }
}

//! DELETE (RFC 9051 §6.3.5).

use chasqui_base::DeliveryId;
use tracing::warn;

use crate::cabinet::Cabinet;
use crate::error::MailError;
use crate::folder_name::FolderName;
use crate::state_file::FolderFile;

impl Cabinet {
    /// Removes a folder with its messages; returns its UIDVALIDITY. Folders below it stay.
    pub(crate) fn delete(&mut self, name: &FolderName) -> Result<Option<u32>, MailError> {
        if name.is_inbox() {
            return Err(MailError::InvalidName("INBOX cannot be deleted"));
        }
        if !self.exists(name) {
            return Err(MailError::NoSuchFolder);
        }
        let uid_validity =
            FolderFile::read(&self.folder_dir(name)).ok().flatten().map(|file| file.uid_validity);
        // One rename makes it gone; a crash during the removal leaves rubbish in `tmp/`, which the next load clears.
        let rubbish = self.dir.join("tmp").join(format!("deleted.{}", DeliveryId::generate()));
        self.site.disk.rename(&self.folder_dir(name), &rubbish)?;
        if let Some(drawer) = self.take_drawer(name) {
            drawer.folder.change(|state| {
                state.gone = true;
                state.remove(|_| true);
            });
        }
        self.forget_usage();
        self.site.disk.sync_dir(&self.dir)?;
        if let Err(error) = std::fs::remove_dir_all(&rubbish) {
            warn!(account = %self.address, %error, "a deleted folder's files could not all be removed");
        }
        Ok(uid_validity)
    }
}

//! The folders that a new account finds: Sent, Drafts, Trash, Junk and Archive, subscribed, with their special use (RFC 6154).
//!
//! They are made when a program first asks for the folders of an account that has only INBOX, or for one of them by name; never at
//! log-in, which must be fast, and never again once the account has any folder, so that who deletes one is not given it back. Only
//! Junk is made again, when an exchanger delivers into it.

use chasqui_mailstore::{Account, FolderInfo, FolderName, MailError, SpecialUse};

const DEFAULTS: [(&str, SpecialUse); 5] = [
    ("Drafts", SpecialUse::Drafts),
    ("Sent", SpecialUse::Sent),
    ("Trash", SpecialUse::Trash),
    ("Junk", SpecialUse::Junk),
    ("Archive", SpecialUse::Archive),
];

/// The account's folders, after making the default ones if it is new.
pub(super) async fn folders(account: &Account) -> Result<Vec<FolderInfo>, MailError> {
    let folders = account.folders().await?;
    if make(account, &folders).await? { account.folders().await } else { Ok(folders) }
}

/// Makes the default folders if the account is new.
pub(super) async fn ensure(account: &Account) -> Result<(), MailError> {
    let folders = account.folders().await?;
    make(account, &folders).await.map(drop)
}

/// Makes the default folders if `name` is one of them and the account is new. True: it may be there now, try again.
pub(super) async fn made_for(account: &Account, name: &FolderName) -> bool {
    if !DEFAULTS.iter().any(|(default, _)| *default == name.as_str()) {
        return false;
    }
    match account.folders().await {
        Ok(folders) => make(account, &folders).await.unwrap_or(false),
        Err(_) => false,
    }
}

/// An operation on a folder, tried again if the folder was only waiting to be made.
pub(super) async fn or_made<T, F>(
    account: &Account,
    name: &FolderName,
    mut operation: impl FnMut() -> F,
) -> Result<T, MailError>
where
    F: Future<Output = Result<T, MailError>>,
{
    match operation().await {
        Err(MailError::NoSuchFolder) if made_for(account, name).await => operation().await,
        result => result,
    }
}

/// The account's folder for unwanted mail: the one of that use, else the one of that name, else a new one.
pub(crate) async fn junk(account: &Account) -> Result<FolderName, MailError> {
    let find = |folders: Vec<FolderInfo>| {
        let is_named = |folder: &&FolderInfo| folder.exists && folder.name.as_str() == "Junk";
        let of_use = folders.iter().find(|folder| folder.special_use == Some(SpecialUse::Junk));
        of_use.or_else(|| folders.iter().find(is_named)).map(|folder| folder.name.clone())
    };
    if let Some(name) = find(folders(account).await?) {
        return Ok(name);
    }
    // The user has deleted it, and mail for it comes all the same.
    let name = FolderName::parse("Junk").map_err(MailError::from)?;
    match account.create(&name, Some(SpecialUse::Junk)).await {
        Ok(()) | Err(MailError::FolderExists) => account.subscribe(&name, true).await?,
        Err(error) => return Err(error),
    }
    Ok(name)
}

async fn make(account: &Account, folders: &[FolderInfo]) -> Result<bool, MailError> {
    if folders.iter().any(|folder| !folder.name.is_inbox()) {
        return Ok(false);
    }
    for (name, special_use) in DEFAULTS {
        let name = FolderName::parse(name).map_err(MailError::from)?;
        match account.create(&name, Some(special_use)).await {
            // Another session of the account is at the same.
            Ok(()) | Err(MailError::FolderExists) => account.subscribe(&name, true).await?,
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

//! The cluster's keys: what seals and opens datagrams (S5c).
//!
//! The key file holds two lines of base64, 32 random bytes each; lines that begin with `#` are comments. The first key seals, both
//! open. To rotate without losing a look-up: swap the two lines on every host, one host after the other (everybody still opens
//! both); then replace the second line by a fresh key, again everywhere. Each step is taken over by a reload.
//!
//! From each key two are derived, one for requests and one for replies, so that a request can never be reflected as a reply, and a
//! four-byte id that stands in clear in each datagram, so that a receiver knows which key to try.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::wire::cipher::XChaCha20Poly1305;

/// Names a key without telling anything about it.
pub(crate) type KeyId = [u8; 4];

/// The file that holds the cluster's keys.
pub struct KeyFile;

impl KeyFile {
    /// Writes two fresh keys, readable by this user only. A file that exists is not touched.
    pub fn create(path: &Path) -> Result<(), KeyError> {
        let failed = |reason: String| KeyError { path: path.to_owned(), reason };
        let mut text = Zeroizing::new(String::from("# The first key seals, both open.\n"));
        for _ in 0..2 {
            let mut key = Zeroizing::new([0_u8; 32]);
            getrandom::fill(key.as_mut()).map_err(|error| failed(error.to_string()))?;
            STANDARD.encode_string(key.as_ref(), &mut text);
            text.push('\n');
        }
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = file.map_err(|error| failed(error.to_string()))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|error| failed(error.to_string()))
    }

    /// Reads the keys. A file that everybody can read, or others can change, is refused.
    pub fn load(path: &Path) -> Result<KeyRing, KeyError> {
        let failed = |reason: String| KeyError { path: path.to_owned(), reason };
        let mode = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.permissions().mode();
        if mode & 0o027 != 0 {
            return Err(failed(format!(
                "mode {:o} lets others read or change the keys; set it to 600",
                mode & 0o777
            )));
        }
        let text =
            std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| failed(error.to_string()))?;
        KeyRing::parse(&text).map_err(|reason| failed(reason.to_owned()))
    }
}

/// The two live keys, ready for use.
pub struct KeyRing {
    keys: [DatagramKey; 2],
}

impl KeyRing {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut next = || {
            let line = lines.next().ok_or("it must hold two keys, one on each line")?;
            let bytes = STANDARD.decode(line).map(Zeroizing::new).map_err(|_| "a line is not base64")?;
            let key: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| "a key is not 32 bytes long")?;
            Ok::<_, &'static str>(DatagramKey::derive(key))
        };
        let keys = [next()?, next()?];
        if next().is_ok() {
            return Err("it holds more than two keys");
        }
        if keys[0].id == keys[1].id {
            return Err("both keys are the same");
        }
        Ok(Self { keys })
    }

    /// The key that seals.
    pub(crate) fn sealing(&self) -> &DatagramKey {
        &self.keys[0]
    }

    /// The key that opens what names `id`.
    pub(crate) fn opening(&self, id: &[u8]) -> Option<&DatagramKey> {
        self.keys.iter().find(|key| key.id == id)
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyRing(…)")
    }
}

/// What one line of the key file gives.
pub(crate) struct DatagramKey {
    pub(crate) id: KeyId,
    pub(crate) requests: XChaCha20Poly1305,
    pub(crate) replies: XChaCha20Poly1305,
}

impl DatagramKey {
    fn derive(key: &[u8; 32]) -> Self {
        let cipher = |context: &str| XChaCha20Poly1305::new(Zeroizing::new(blake3::derive_key(context, key)));
        let name = blake3::derive_key("chasqui directory 2026 key id", key);
        Self {
            id: [name[0], name[1], name[2], name[3]],
            requests: cipher("chasqui directory 2026 requests"),
            replies: cipher("chasqui directory 2026 replies"),
        }
    }
}

/// Why a key file cannot be used: one sentence.
#[derive(Debug, thiserror::Error)]
#[error("the directory key file {}: {reason}", path.display())]
pub struct KeyError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong and how to mend it.
    pub reason: String,
}

impl From<KeyError> for chasqui_base::service::StartError {
    fn from(error: KeyError) -> Self {
        Self::open(error.path, format!("the directory key file cannot be used: {}", error.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_key_file_is_private_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        KeyFile::create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        KeyFile::load(&path).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(KeyFile::create(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        KeyFile::create(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(KeyFile::load(&path).unwrap_err().to_string().contains("600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(KeyFile::load(&path).is_ok(), "the group of the roles may read it");
    }

    #[test]
    fn a_key_file_must_hold_two_different_keys() {
        let (a, b) = (STANDARD.encode([1_u8; 32]), STANDARD.encode([2_u8; 32]));
        assert!(KeyRing::parse(&format!("# x\n{a}\n\n{b}\n")).is_ok());
        for bad in [
            String::new(),
            a.clone(),
            format!("{a}\n{a}"),
            format!("{a}\n{b}\n{a}"),
            format!("{a}\nzz"),
            format!("{a}\n{}", STANDARD.encode([3_u8; 31])),
        ] {
            assert!(KeyRing::parse(&bad).is_err(), "{bad}");
        }
    }
}

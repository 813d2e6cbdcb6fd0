//! Folder names: UTF-8 levels towards sessions, one Maildir++ component on disk.

use std::fmt;
use std::sync::Arc;

/// Most levels in a folder name.
pub const MAX_LEVELS: usize = 32;
/// Longest directory name on disk, in octets; ext4, XFS and btrfs allow 255.
const MAX_ON_DISK: usize = 250;

/// The separator of levels towards sessions.
pub const SEPARATOR: char = '/';

/// A folder's name: UTF-8 levels joined by `/`. `INBOX` is one in any case of its letters, also as first level.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FolderName(Arc<str>);

impl FolderName {
    /// The folder that every account has and where deliveries go.
    pub fn inbox() -> FolderName {
        FolderName(Arc::from("INBOX"))
    }

    /// Parses `A/B/C`. A trailing `/` is allowed, as CREATE may have one (RFC 9051 §6.3.4).
    pub fn parse(text: &str) -> Result<FolderName, InvalidFolderName> {
        let text = text.strip_suffix(SEPARATOR).unwrap_or(text);
        if text.is_empty() {
            return Err(InvalidFolderName::Empty);
        }
        if text.chars().any(|c| c.is_control() || c == '\u{fffd}') {
            return Err(InvalidFolderName::Character);
        }
        let levels = text.split(SEPARATOR);
        if levels.clone().any(str::is_empty) {
            return Err(InvalidFolderName::EmptyLevel);
        }
        if levels.clone().count() > MAX_LEVELS {
            return Err(InvalidFolderName::Depth);
        }
        let first = text.split(SEPARATOR).next().unwrap_or_default();
        let name = if first.eq_ignore_ascii_case("INBOX") {
            FolderName(Arc::from(format!("INBOX{}", &text[first.len()..])))
        } else {
            FolderName(Arc::from(text))
        };
        if name.on_disk().len() > MAX_ON_DISK {
            return Err(InvalidFolderName::Length);
        }
        Ok(name)
    }

    /// The whole name, levels joined by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is INBOX itself.
    pub fn is_inbox(&self) -> bool {
        &*self.0 == "INBOX"
    }

    /// The levels, outermost first.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.split(SEPARATOR)
    }

    /// The name one level up; none for a name of one level.
    pub fn parent(&self) -> Option<FolderName> {
        self.0.rsplit_once(SEPARATOR).map(|(parent, _)| FolderName(Arc::from(parent)))
    }

    /// Whether this folder lies below `other`.
    pub fn is_below(&self, other: &FolderName) -> bool {
        self.0.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with(SEPARATOR))
    }

    /// This name with the leading `from` replaced by `to`; itself if it neither is nor lies below `from`.
    pub fn moved(&self, from: &FolderName, to: &FolderName) -> Result<FolderName, InvalidFolderName> {
        if self == from {
            return Ok(to.clone());
        }
        if !self.is_below(from) {
            return Ok(self.clone());
        }
        FolderName::parse(&format!("{to}{}", &self.0[from.0.len()..]))
    }

    /// The directory's name inside the account: empty for INBOX, else `.Level.Level` in modified UTF-7
    /// (Maildir++; RFC 3501 §5.1.3), with `.`, `/` and NUL inside a level encoded too.
    pub(crate) fn on_disk(&self) -> String {
        if self.is_inbox() {
            return String::new();
        }
        let mut text = String::with_capacity(self.0.len() + 1);
        for level in self.levels() {
            text.push('.');
            encode_level(level, &mut text);
        }
        text
    }

    /// The folder whose directory has this name; none for what no folder of ours can be called.
    pub(crate) fn from_disk(name: &str) -> Option<FolderName> {
        let levels = name.strip_prefix('.')?;
        let mut text = String::with_capacity(levels.len());
        for level in levels.split('.') {
            if !text.is_empty() {
                text.push(SEPARATOR);
            }
            text.push_str(&decode_level(level)?);
        }
        let parsed = FolderName::parse(&text).ok()?;
        // Only the one canonical spelling is a folder, or two directories could claim one name.
        (parsed.on_disk() == name).then_some(parsed)
    }
}

impl fmt::Display for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl std::str::FromStr for FolderName {
    type Err = InvalidFolderName;

    fn from_str(text: &str) -> Result<FolderName, InvalidFolderName> {
        FolderName::parse(text)
    }
}

/// Why a text is no folder name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidFolderName {
    /// Nothing is left of it.
    #[error("the folder name is empty")]
    Empty,
    /// Two separators meet, or one leads.
    #[error("a level of the folder name is empty")]
    EmptyLevel,
    /// A control character.
    #[error("the folder name has a character that may not stand in it")]
    Character,
    /// More levels than [`MAX_LEVELS`].
    #[error("the folder name has more than {MAX_LEVELS} levels")]
    Depth,
    /// Too long for a directory entry.
    #[error("the folder name is too long")]
    Length,
}

impl From<InvalidFolderName> for crate::error::MailError {
    fn from(error: InvalidFolderName) -> Self {
        use crate::error::MailError::InvalidName;
        match error {
            InvalidFolderName::Empty => InvalidName("the folder name is empty"),
            InvalidFolderName::EmptyLevel => InvalidName("a level of the folder name is empty"),
            InvalidFolderName::Character => {
                InvalidName("the folder name has a character that may not stand in it")
            }
            InvalidFolderName::Depth => InvalidName("the folder name has too many levels"),
            InvalidFolderName::Length => InvalidName("the folder name is too long"),
        }
    }
}

// RFC 3501 §5.1.3: base64 with "," for "/" and without padding.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

fn is_direct(c: char) -> bool {
    matches!(c, ' '..='~') && c != '.' && c != '/'
}

fn encode_level(level: &str, out: &mut String) {
    let mut rest = level;
    while let Some(c) = rest.chars().next() {
        if is_direct(c) {
            out.push(c);
            if c == '&' {
                out.push('-');
            }
            rest = &rest[1..];
            continue;
        }
        let end = rest.find(is_direct).unwrap_or(rest.len());
        out.push('&');
        let (mut bits, mut held) = (0u32, 0u32);
        for unit in rest[..end].encode_utf16() {
            bits = bits << 16 | u32::from(unit);
            held += 16;
            while held >= 6 {
                held -= 6;
                out.push(char::from(BASE64[(bits >> held & 63) as usize]));
            }
            bits &= (1 << held) - 1;
        }
        if held > 0 {
            out.push(char::from(BASE64[(bits << (6 - held) & 63) as usize]));
        }
        out.push('-');
        rest = &rest[end..];
    }
}

fn decode_level(level: &str) -> Option<String> {
    let mut out = String::with_capacity(level.len());
    let mut rest = level;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '&' {
            out.push(c);
            continue;
        }
        let end = rest.find('-')?;
        if end == 0 {
            out.push('&');
        } else {
            let (mut bits, mut held) = (0u32, 0u32);
            let mut units = Vec::new();
            for byte in rest[..end].bytes() {
                bits = bits << 6 | BASE64.iter().position(|&b| b == byte)? as u32;
                held += 6;
                if held >= 16 {
                    held -= 16;
                    units.push((bits >> held) as u16);
                    bits &= (1 << held) - 1;
                }
            }
            out.push_str(&String::from_utf16(&units).ok()?);
        }
        rest = &rest[end + 1..];
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_on_disk_are_maildir_plus_plus() {
        for (name, disk) in [
            ("Sent", ".Sent"),
            ("inbox", ""),
            ("inBox/Old", ".INBOX.Old"),
            ("A/B", ".A.B"),
            ("v1.2", ".v1&AC4-2"),
            ("A & B", ".A &- B"),
            ("Enviados/Año", ".Enviados.A&APE-o"),
            ("台北", ".&U,BTFw-"),
        ] {
            let parsed = FolderName::parse(name).unwrap();
            assert_eq!(parsed.on_disk(), disk);
            if !disk.is_empty() {
                assert_eq!(FolderName::from_disk(disk), Some(parsed));
            }
        }
    }

    #[test]
    fn what_is_no_folder_name_is_refused() {
        for bad in ["", "/", "//", "a//b", "/a", "a\u{0}b", "a\nb"] {
            assert!(FolderName::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(FolderName::parse(&"a/".repeat(MAX_LEVELS + 1)), Err(InvalidFolderName::Depth));
        assert_eq!(FolderName::parse(&"ñ".repeat(200)), Err(InvalidFolderName::Length));
        assert!(FolderName::parse("Drafts/").is_ok());
    }

    #[test]
    fn only_the_canonical_spelling_on_disk_is_a_folder() {
        for foreign in ["", ".", "..", "cur", ".A..B", ".&AEE-", ".inbox.x", ".INBOX", ".A&-&-."] {
            assert_eq!(FolderName::from_disk(foreign), None, "{foreign:?}");
        }
    }

    proptest! {
        #[test]
        fn names_round_trip_through_the_disk(text in "[^\\p{C}]{1,40}") {
            if let Ok(name) = FolderName::parse(&text) {
                let disk = name.on_disk();
                prop_assert!(!disk.contains('/') && !disk.contains('\0') && disk.len() <= 255);
                if !name.is_inbox() {
                    prop_assert!(disk.starts_with('.') && disk != ".." && disk.is_ascii());
                    prop_assert_eq!(FolderName::from_disk(&disk), Some(name));
                }
            }
        }

        #[test]
        fn any_directory_name_is_read_without_panic(text in "\\.\\PC{0,40}") {
            if let Some(name) = FolderName::from_disk(&text) {
                prop_assert_eq!(name.on_disk(), text);
            }
        }
    }
}

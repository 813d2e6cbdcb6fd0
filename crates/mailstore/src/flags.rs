//! Flags and keywords of a message (RFC 9051 §2.3.2).

use std::fmt;
use std::sync::Arc;

/// Most keywords that one folder knows: they are the letters `a` to `z` in file names.
pub const MAX_KEYWORDS: usize = 26;
/// Longest keyword, in octets.
pub const MAX_KEYWORD_LEN: usize = 100;

/// The flags of a message: the five system flags (`\Recent` is no flag but a view's own knowledge) and keywords.
///
/// Keywords compare without regard to ASCII case and keep the spelling that the folder saw first. A value without keywords
/// holds no memory on the heap.
#[derive(Clone, Default)]
pub struct Flags {
    system: u8,
    keywords: Vec<Arc<str>>,
}

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags::of(0);
    /// `\Seen`
    pub const SEEN: Flags = Flags::of(1);
    /// `\Answered`
    pub const ANSWERED: Flags = Flags::of(2);
    /// `\Flagged`
    pub const FLAGGED: Flags = Flags::of(4);
    /// `\Deleted`
    pub const DELETED: Flags = Flags::of(8);
    /// `\Draft`
    pub const DRAFT: Flags = Flags::of(16);

    const fn of(system: u8) -> Flags {
        Flags { system, keywords: Vec::new() }
    }

    pub(crate) const fn from_bits(system: u8) -> Flags {
        Flags::of(system & 31)
    }

    pub(crate) const fn bits(&self) -> u8 {
        self.system
    }

    /// One keyword, as a client wrote it: an IMAP atom, not starting with a backslash.
    pub fn keyword(name: &str) -> Result<Flags, InvalidKeyword> {
        let mut flags = Flags::NONE;
        flags.insert_keyword(name)?;
        Ok(flags)
    }

    /// Adds one keyword.
    pub fn insert_keyword(&mut self, name: &str) -> Result<(), InvalidKeyword> {
        // RFC 9051 §9: flag-keyword = "$…" or an atom; atom-specials may not stand in it.
        let atom = |b: u8| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b);
        if name.is_empty() || name.len() > MAX_KEYWORD_LEN || !name.bytes().all(atom) {
            return Err(InvalidKeyword);
        }
        self.push(Arc::from(name));
        Ok(())
    }

    pub(crate) fn push(&mut self, name: Arc<str>) {
        if !self.has_keyword(&name) {
            self.keywords.push(name);
        }
    }

    /// Whether every flag and keyword of `other` is set here.
    pub fn contains(&self, other: &Flags) -> bool {
        self.system & other.system == other.system && other.keywords.iter().all(|k| self.has_keyword(k))
    }

    /// Whether this keyword is set.
    pub fn has_keyword(&self, name: &str) -> bool {
        self.keywords.iter().any(|k| k.eq_ignore_ascii_case(name))
    }

    /// Sets every flag and keyword of `other`.
    pub fn insert(&mut self, other: &Flags) {
        self.system |= other.system;
        for keyword in &other.keywords {
            self.push(keyword.clone());
        }
    }

    /// Clears every flag and keyword of `other`.
    pub fn remove(&mut self, other: &Flags) {
        self.system &= !other.system;
        self.keywords.retain(|k| !other.has_keyword(k));
    }

    /// The keywords.
    pub fn keywords(&self) -> impl Iterator<Item = &str> {
        self.keywords.iter().map(|k| &**k)
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.system == 0 && self.keywords.is_empty()
    }

    /// Whether `\Seen` is set.
    pub fn seen(&self) -> bool {
        self.system & 1 != 0
    }

    /// Whether `\Answered` is set.
    pub fn answered(&self) -> bool {
        self.system & 2 != 0
    }

    /// Whether `\Flagged` is set.
    pub fn flagged(&self) -> bool {
        self.system & 4 != 0
    }

    /// Whether `\Deleted` is set.
    pub fn deleted(&self) -> bool {
        self.system & 8 != 0
    }

    /// Whether `\Draft` is set.
    pub fn draft(&self) -> bool {
        self.system & 16 != 0
    }
}

impl PartialEq for Flags {
    fn eq(&self, other: &Flags) -> bool {
        self.contains(other) && other.contains(self)
    }
}

impl Eq for Flags {}

impl std::ops::BitOr for Flags {
    type Output = Flags;

    fn bitor(mut self, other: Flags) -> Flags {
        self.insert(&other);
        self
    }
}

/// As IMAP writes them in a list: `\Seen $Forwarded`.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"];
        let system =
            names.iter().enumerate().filter(|(bit, _)| self.system & (1 << bit) != 0).map(|(_, name)| *name);
        for (n, name) in system.chain(self.keywords()).enumerate() {
            if n > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({self})")
    }
}

/// How [`store_flags`](crate::Mailbox::store_flags) combines the given flags with those that a message has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlagsMode {
    /// Exactly the given ones (`FLAGS`).
    Replace,
    /// The given ones too (`+FLAGS`).
    Add,
    /// Without the given ones (`-FLAGS`).
    Remove,
}

/// The text is no keyword.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a keyword is an IMAP atom of at most {MAX_KEYWORD_LEN} octets")]
pub struct InvalidKeyword;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_compare_without_regard_to_case() {
        let mut flags = Flags::SEEN | Flags::keyword("$Forwarded").unwrap();
        assert!(flags.contains(&Flags::keyword("$forwarded").unwrap()));
        flags.insert_keyword("$FORWARDED").unwrap();
        assert_eq!(flags.to_string(), "\\Seen $Forwarded");
        flags.remove(&Flags::keyword("$forwarded").unwrap());
        assert_eq!(flags, Flags::SEEN);
    }

    #[test]
    fn what_is_no_atom_is_no_keyword() {
        for bad in ["", "a b", "\\Seen", "a(b", "ñ", "a\u{0}", "x\"", "a]"] {
            assert_eq!(Flags::keyword(bad), Err(InvalidKeyword), "{bad:?}");
        }
        assert!(Flags::keyword(&"k".repeat(MAX_KEYWORD_LEN + 1)).is_err());
    }
}

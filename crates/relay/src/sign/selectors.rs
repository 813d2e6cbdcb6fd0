//! Which keys a domain has, and when each of them does what.
//!
//! A domain's keys come in pairs, one RSA and one Ed25519, under selectors of one name. A pair is made, **published**, **active** from a
//! given time, then **retired** when the next one becomes active, and **withdrawn** from DNS when no message that it has signed is
//! under way any more. All four follow from times in the domain's `selectors.json`, so that all relays of a site change over at the same moment
//! and nobody has to come back for it.

use super::Algorithm;
use chasqui_base::{DomainName, fsx};
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
};

/// The file's name in a domain's folder.
pub const FILE: &str = "selectors.json";

/// A state file is some 2 KiB for each pair.
const LARGEST: u64 = 1 << 20;

/// What is known of a domain's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selectors {
    /// Of this file's form: 1.
    pub version: u32,
    /// The pairs, oldest first.
    pub pairs: Vec<Pair>,
}

/// An RSA and an Ed25519 key that are used together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// What both selectors begin with: `2026-11`.
    pub name: String,
    /// Seconds since 1970 when it was made; from then on its records are to be published.
    pub made: u64,
    /// Seconds since 1970 from which it signs.
    pub active: u64,
    /// Seconds since 1970 from which it no longer signs.
    pub retired: Option<u64>,
    /// Seconds since 1970 from which its records are to be withdrawn.
    pub withdrawn: Option<u64>,
    /// The two keys.
    pub keys: Vec<KeyEntry>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// Its selector, and without `.pem` the name of its file: `2026-11-rsa`.
    pub selector: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// The text of its TXT record.
    pub record: String,
}

/// What a pair is at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Its records are to be in DNS; it does not sign yet.
    Published,
    /// It signs.
    Active,
    /// It no longer signs; its records stay for the messages that are under way.
    Retired,
    /// Its records are to be taken out of DNS.
    Withdrawn,
}

impl Pair {
    /// What it is at `now`, in seconds since 1970.
    #[must_use]
    pub fn stage(&self, now: u64) -> Stage {
        if self.withdrawn.is_some_and(|at| at <= now) {
            Stage::Withdrawn
        } else if self.retired.is_some_and(|at| at <= now) {
            Stage::Retired
        } else if self.active <= now {
            Stage::Active
        } else {
            Stage::Published
        }
    }
}

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SelectorsError {
    /// It cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what this version writes.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was expected.
        reason: String,
    },
    /// A pair waits for its time already.
    #[error("{name} of {domain} becomes active at {active} (seconds since 1970): rotate again after that")]
    Underway {
        /// The domain.
        domain: DomainName,
        /// The pair.
        name: String,
        /// When it becomes active.
        active: u64,
    },
}

impl Selectors {
    /// A domain without keys.
    #[must_use]
    pub fn new() -> Self {
        Self { version: 1, pairs: Vec::new() }
    }

    /// Reads those of a domain's folder; none when there is no file.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn load(folder: &Path) -> Result<Self, SelectorsError> {
        let path = folder.join(FILE);
        let bad = |reason: String| SelectorsError::Content { path: path.clone(), reason };
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::new()),
            Ok(found) if found.len() > LARGEST => return Err(bad("it is longer than 1 MiB".to_owned())),
            _ => {}
        }
        let text =
            std::fs::read(&path).map_err(|source| SelectorsError::Io { path: path.clone(), source })?;
        let read: Self = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        if read.version != 1 {
            return Err(bad(format!("version 1 is expected, {} is there", read.version)));
        }
        for key in read.pairs.iter().flat_map(|pair| &pair.keys) {
            // It becomes a file name and a label of DNS.
            let label = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            if key.selector.is_empty() || key.selector.len() > 63 || !key.selector.bytes().all(label) {
                return Err(bad(format!("{:?} is no selector", key.selector)));
            }
        }
        Ok(read)
    }

    /// Writes them, durably.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), SelectorsError> {
        let path = folder.join(FILE);
        let io = |source| SelectorsError::Io { path: path.clone(), source };
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| io(io::Error::other(error)))?;
        text.push(b'\n');
        fsx::replace_file_durably(&path, &text).map_err(io)
    }

    /// The pair that signs at `now`: should several be active, the one that became so last.
    #[must_use]
    pub fn active(&self, now: u64) -> Option<&Pair> {
        let active = self.pairs.iter().filter(|pair| pair.stage(now) == Stage::Active);
        active.max_by_key(|pair| pair.active)
    }

    /// The name for a new pair: the month, with a letter or a number behind it when it is taken.
    #[must_use]
    pub fn next_name(&self, now: u64) -> String {
        let at = i64::try_from(now).ok().and_then(|now| chrono::DateTime::from_timestamp(now, 0));
        let month = at.unwrap_or_default().format("%Y-%m").to_string();
        let free = |name: &String| !self.pairs.iter().any(|pair| pair.name == *name);
        let lettered = ('b'..='z').map(|letter| format!("{month}{letter}"));
        let numbered = (2u32..).map(|number| format!("{month}-{number}"));
        std::iter::once(month.clone()).chain(lettered).chain(numbered).find(free).unwrap_or(month)
    }

    /// Adds a new pair, and says what becomes of the others. The first of a domain, or the first after all others have retired, is active
    /// at once, since nothing would be signed before; another after `overlap` seconds, in which DNS learns of it. What it replaces is retired at
    /// that moment and withdrawn `keep` seconds later.
    ///
    /// # Errors
    /// When a pair waits for its time already.
    pub fn rotate(
        &mut self,
        domain: &DomainName,
        times: Rotation,
        name: String,
        keys: Vec<KeyEntry>,
    ) -> Result<&Pair, SelectorsError> {
        let Rotation { now, overlap, keep } = times;
        self.may_rotate(domain, now)?;
        let active = if self.active(now).is_some() { now.saturating_add(overlap) } else { now };
        for pair in &mut self.pairs {
            if pair.retired.is_none() {
                pair.retired = Some(active);
                pair.withdrawn = Some(active.saturating_add(keep));
            }
        }
        self.pairs.push(Pair { name, made: now, active, retired: None, withdrawn: None, keys });
        // It was pushed just now.
        Ok(&self.pairs[self.pairs.len() - 1])
    }

    /// Whether a new pair may be made at `now`.
    ///
    /// # Errors
    /// When a pair waits for its time already.
    pub fn may_rotate(&self, domain: &DomainName, now: u64) -> Result<(), SelectorsError> {
        match self.pairs.iter().find(|pair| pair.stage(now) == Stage::Published) {
            None => Ok(()),
            Some(pair) => Err(SelectorsError::Underway {
                domain: domain.clone(),
                name: pair.name.clone(),
                active: pair.active,
            }),
        }
    }

    /// Takes out the pairs that are withdrawn at `now`.
    pub fn forget(&mut self, now: u64) -> Vec<Pair> {
        let (gone, kept) =
            std::mem::take(&mut self.pairs).into_iter().partition(|pair| pair.stage(now) == Stage::Withdrawn);
        self.pairs = kept;
        gone
    }
}

impl Default for Selectors {
    fn default() -> Self {
        Self::new()
    }
}

/// When a rotation happens.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// Seconds since 1970.
    pub now: u64,
    /// Seconds from publication to use.
    pub overlap: u64,
    /// Seconds from the last use to withdrawal.
    pub keep: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(now: u64) -> Rotation {
        Rotation { now, overlap: 100, keep: 1000 }
    }

    fn names(selectors: &Selectors, now: u64) -> Vec<(&str, Stage)> {
        selectors.pairs.iter().map(|pair| (pair.name.as_str(), pair.stage(now))).collect()
    }

    #[test]
    fn keys_overlap_and_are_withdrawn_in_the_end() {
        let domain: DomainName = "example.org".parse().unwrap();
        let mut selectors = Selectors::new();
        selectors.rotate(&domain, times(10_000), "a".into(), Vec::new()).unwrap();
        assert_eq!(names(&selectors, 10_000), [("a", Stage::Active)]);
        selectors.rotate(&domain, times(20_000), "b".into(), Vec::new()).unwrap();
        assert_eq!(names(&selectors, 20_099), [("a", Stage::Active), ("b", Stage::Published)]);
        assert!(matches!(
            selectors.rotate(&domain, times(20_099), "c".into(), Vec::new()),
            Err(SelectorsError::Underway { active: 20_100, .. })
        ));
        assert_eq!(names(&selectors, 20_100), [("a", Stage::Retired), ("b", Stage::Active)]);
        assert_eq!(selectors.active(20_100).unwrap().name, "b");
        assert_eq!(names(&selectors, 21_100), [("a", Stage::Withdrawn), ("b", Stage::Active)]);
        assert_eq!(selectors.forget(21_100).len(), 1);
        assert_eq!(names(&selectors, 21_100), [("b", Stage::Active)]);
    }

    #[test]
    fn names_are_the_month_and_then_letters() {
        let mut selectors = Selectors::new();
        let pair = |name: &str| Pair {
            name: name.to_owned(),
            made: 0,
            active: 0,
            retired: None,
            withdrawn: None,
            keys: Vec::new(),
        };
        assert_eq!(selectors.next_name(1_795_344_000), "2026-11");
        selectors.pairs = vec![pair("2026-11")];
        assert_eq!(selectors.next_name(1_795_344_000), "2026-11b");
        selectors.pairs.extend(('b'..='z').map(|letter| pair(&format!("2026-11{letter}"))));
        assert_eq!(selectors.next_name(1_795_344_000), "2026-11-2");
    }

    #[test]
    fn what_was_written_is_read_and_anything_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Selectors::load(folder.path()).unwrap(), Selectors::new());
        let mut selectors = Selectors::new();
        let key = KeyEntry {
            selector: "2026-11-rsa".into(),
            algorithm: Algorithm::Rsa,
            record: "v=DKIM1; p=".into(),
        };
        selectors.rotate(&"example.org".parse().unwrap(), times(7), "2026-11".into(), vec![key]).unwrap();
        selectors.save(folder.path()).unwrap();
        assert_eq!(Selectors::load(folder.path()).unwrap(), selectors);
        for (text, says) in [
            ("{", "EOF"),
            (r#"{"version":2,"pairs":[]}"#, "version 1"),
            (r#"{"version":1,"pairs":[],"more":1}"#, "more"),
            (
                r#"{"version":1,"pairs":[{"name":"x","made":0,"active":0,"retired":null,"withdrawn":null,
                "keys":[{"selector":"../x","algorithm":"rsa","record":""}]}]}"#,
                "selector",
            ),
        ] {
            std::fs::write(folder.path().join(FILE), text).unwrap();
            let error = Selectors::load(folder.path()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}

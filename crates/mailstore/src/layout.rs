//! How account folders are hashed into levels (S3), and how an account's name becomes one safe path component.

use std::path::{Path, PathBuf};

use chasqui_base::EmailAddress;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The choice of hash (S3; the Sinectis paper's Fig. 4 compares how evenly they spread).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Two levels of two hexadecimal digits from a real hash of the address: `3f/a0/juan@…`. Spreads evenly whatever the names.
    #[default]
    Digest,
    /// The local part's first three letters: `j/u/a/juan@…`.
    Letters3,
    /// Its first two letters and its last: `j/u/n/juan@…`.
    First2Last1,
    /// Its first letter and its last two: `j/a/n/juan@…`.
    First1Last2,
}

impl Layout {
    /// The name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Layout::Digest => "digest",
            Layout::Letters3 => "letters3",
            Layout::First2Last1 => "first2last1",
            Layout::First1Last2 => "first1last2",
        }
    }

    /// The levels above the account's own folder.
    pub fn levels(self, account: &EmailAddress) -> Vec<String> {
        // Only letters and digits choose a level: everything else, and what a short name lacks, is `_`.
        let letters: Vec<char> = account.local().chars().collect();
        let level = |letter: Option<&char>| match letter {
            Some(c) if c.is_ascii_alphanumeric() => c.to_string(),
            _ => "_".to_owned(),
        };
        let first = |n: usize| level(letters.get(n));
        let last = |n: usize| level(letters.len().checked_sub(n).and_then(|at| letters.get(at)));
        match self {
            Layout::Digest => {
                let hash = blake3::hash(account.as_str().as_bytes());
                let [a, b, ..] = hash.as_bytes();
                vec![format!("{a:02x}"), format!("{b:02x}")]
            }
            Layout::Letters3 => vec![first(0), first(1), first(2)],
            Layout::First2Last1 => vec![first(0), first(1), last(1)],
            Layout::First1Last2 => vec![first(0), last(2), last(1)],
        }
    }

    /// The account's folder under `root`.
    pub fn path(self, root: &Path, account: &EmailAddress) -> PathBuf {
        let mut path = root.to_owned();
        path.extend(self.levels(account));
        path.push(component(account));
        path
    }
}

/// The account's name as one path component: percent-encoded where an octet could mean something to a file system or a shell,
/// and cut (with a hash of the whole in its place) where it would be too long. Different accounts have different components.
fn component(account: &EmailAddress) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"@._-+=".contains(&b);
    let mut text = String::with_capacity(account.as_str().len());
    for (at, byte) in account.as_str().bytes().enumerate() {
        // A leading dot would hide the folder, or be `.` or `..`.
        if plain(byte) && !(at == 0 && byte == b'.') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02x}"));
        }
    }
    if text.len() > 200 {
        let hash = blake3::hash(account.as_str().as_bytes()).to_hex();
        // `%%` cannot come from the encoding above, so no other account can have this name. The text is ASCII.
        text.truncate(150);
        text.push_str("%%");
        text.push_str(&hash[..32]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn account(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap()
    }

    #[test]
    fn layouts_give_the_papers_levels() {
        let juan = account("juan@ejemplo.test");
        assert_eq!(Layout::Letters3.levels(&juan).join("/"), "j/u/a");
        assert_eq!(Layout::First2Last1.levels(&juan).join("/"), "j/u/n");
        assert_eq!(Layout::First1Last2.levels(&juan).join("/"), "j/a/n");
        assert_eq!(Layout::Letters3.path(Path::new("/m"), &juan), Path::new("/m/j/u/a/juan@ejemplo.test"));
        assert_eq!(Layout::Letters3.levels(&account("a@b.test")).join("/"), "a/_/_");
        assert_eq!(Layout::First1Last2.levels(&account("a@b.test")).join("/"), "a/_/a");
        assert_eq!(Layout::First2Last1.levels(&account("\"../..\"@b.test")).join("/"), "_/_/_");
    }

    #[test]
    fn the_digest_spreads_evenly() {
        let mut counts: HashMap<Vec<String>, usize> = HashMap::new();
        for n in 0..50_000 {
            *counts
                .entry(
                    Layout::Digest.levels(&account(&format!("usuario{n}@ejemplo.test"))).drain(..1).collect(),
                )
                .or_default() += 1;
        }
        let most = counts.values().max().copied().unwrap();
        assert_eq!(counts.len(), 256);
        assert!(most < 300, "{most} of 50000 in one of 256 first levels, 195 would be even");
    }

    #[test]
    fn hostile_names_stay_one_component() {
        let long = format!("\"{}\"@{}.test", " ".repeat(64), "a".repeat(60));
        for hostile in
            ["\"/etc/passwd\"@b.test", "\"..\"@b.test", "\"a/../../b\"@b.test", "niño@b.test", &long]
        {
            let name = component(&account(hostile));
            assert!(
                !name.contains('/') && !name.starts_with('.') && name.len() <= 255 && name.is_ascii(),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn different_accounts_have_different_components(a in "[a-z%./ ñ]{1,20}", b in "[a-z%./ ñ]{1,20}") {
            let (a, b) = (format!("\"{a}\"@x.test"), format!("\"{b}\"@x.test"));
            if let (Ok(a), Ok(b)) = (EmailAddress::parse(&a), EmailAddress::parse(&b)) {
                prop_assert_eq!(a == b, component(&a) == component(&b));
            }
        }
    }
}

//! What is wrong with a site file, where, and how to mend it.

use std::fmt;

use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The site must not be built like this.
    Error,
    /// It can be built, and should be looked at.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The key it is about, with its tables, as TOML writes them: `hosts.mx1.interfaces."eno2.101".network`.
    pub path: String,
    /// The line of the key, from 1, where the site was read from a text.
    pub line: Option<usize>,
    /// What is wrong.
    pub wrong: String,
    /// How to mend it.
    pub mend: String,
}

impl Finding {
    pub(super) fn error(path: impl Into<String>, wrong: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            path: path.into(),
            line: None,
            wrong: wrong.into(),
            mend: mend.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}; {}", self.wrong, self.mend)
    }
}

/// The path of a key: each name quoted where TOML wants it.
pub(super) fn path(names: &[&str]) -> String {
    names.iter().fold(String::new(), |path, name| below(&path, name))
}

/// The path of `name` in the table at `path`.
pub(super) fn below(path: &str, name: &str) -> String {
    let bare =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let dot = if path.is_empty() { "" } else { "." };
    if bare { format!("{path}{dot}{name}") } else { format!("{path}{dot}{name:?}") }
}

/// Names as a sentence lists them.
pub(super) fn listed<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for name in names {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(name.as_ref());
    }
    if text.is_empty() { "none".to_owned() } else { text }
}

/// The name that was probably meant: the nearest one, when few letters differ.
pub(super) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    names
        .into_iter()
        .map(|name| (distance(word, name), name))
        .filter(|&(distance, _)| distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

/// Letters to insert, remove, replace or swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_slip_of_the_keyboard_is_recognised() {
        for (word, meant) in
            [("servce", "service"), ("sevrice", "service"), ("manag", "manage"), ("sann", "san")]
        {
            assert_eq!(nearest(word, ["service", "manage", "san", "storage"]), Some(meant), "{word}");
        }
        assert_eq!(nearest("uplink", ["service", "san"]), None);
    }

    #[test]
    fn paths_quote_what_toml_would() {
        assert_eq!(path(&["hosts", "a", "interfaces", "eno2.101"]), "hosts.a.interfaces.\"eno2.101\"");
    }
}

//! The keys of two site files that are not the same.

use serde::Serialize;
use serde_json::Value;

use super::super::Site;
use super::super::finding::below;

/// A key that is not the same in both files.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyChange {
    /// The path of the key, as TOML writes it.
    pub key: String,
    /// Its value in the old file, or its default there; `null` where there is none.
    pub old: Value,
    /// Its value in the new file, or its default there.
    pub new: Value,
}

/// The keys that differ, by path. A table that is in one of the files only is one change.
pub(super) fn changes(old: &Site, new: &Site) -> Vec<KeyChange> {
    let value = |site| serde_json::to_value(site).unwrap_or(Value::Null);
    let mut changes = Vec::new();
    compare("", &value(old), &value(new), &mut changes);
    changes
}

fn compare(path: &str, old: &Value, new: &Value, changes: &mut Vec<KeyChange>) {
    if let (Value::Object(old), Value::Object(new)) = (old, new) {
        for (key, was) in old {
            compare(&below(path, key), was, new.get(key).unwrap_or(&Value::Null), changes);
        }
        for (key, is) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
            compare(&below(path, key), &Value::Null, is, changes);
        }
    } else if old != new {
        changes.push(KeyChange { key: path.to_owned(), old: old.clone(), new: new.clone() });
    }
}

//! Names that must stand elsewhere in the site: a network, a machine, a data centre.
//!
//! Which keys hold such names is said by the schema (`x-ref`, and `x-ref-keys` for a table's keys), so that nothing here changes
//! when the site file grows a reference.

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::finding::{Finding, below, listed, nearest};
use super::walk::Place;

/// Refuses the names at `place` that stand in no table.
pub(super) fn check(site: &DeTable<'_>, place: &Place<'_>, findings: &mut Vec<Finding>) {
    let annotation =
        |key: &str| place.field.get(key).or_else(|| place.schema.get(key)).and_then(Value::as_str);
    if let Some(table) = annotation("x-ref") {
        match place.value {
            DeValue::String(name) => one(site, place.path, table, name, findings),
            DeValue::Array(names) => {
                for (number, name) in names.iter().enumerate() {
                    if let DeValue::String(name) = name.get_ref() {
                        one(site, &format!("{}[{number}]", place.path), table, name, findings);
                    }
                }
            }
            _ => {}
        }
    }
    if let (Some(table), DeValue::Table(entries)) = (annotation("x-ref-keys"), place.value) {
        for key in entries.keys() {
            one(site, &below(place.path, key.get_ref()), table, key.get_ref(), findings);
        }
    }
}

fn one(site: &DeTable<'_>, path: &str, table: &str, name: &str, findings: &mut Vec<Finding>) {
    let known = match site.get(table).map(|entries| entries.get_ref()) {
        Some(DeValue::Table(entries)) => entries.keys().map(|key| key.get_ref().as_ref()).collect(),
        _ => Vec::new(),
    };
    if known.contains(&name) {
        return;
    }
    let one = singular(table);
    let mend = if known.is_empty() {
        format!("describe it as [{}]", below(table, name))
    } else {
        let meant = nearest(name, known.iter().copied())
            .map(|meant| format!("did you mean `{meant}`? "))
            .unwrap_or_default();
        format!("{meant}{table}: {}", listed(&known))
    };
    findings.push(Finding::error(path, format!("no {one} is called `{name}`"), mend));
}

/// What one entry of a table is called.
fn singular(table: &str) -> &str {
    match table {
        "chassis" => "chassis",
        "datacenters" => "data centre",
        plural => plural.strip_suffix('s').unwrap_or(plural),
    }
}

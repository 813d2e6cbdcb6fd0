//! A TOML document and the schema of the site, walked side by side.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::finding::below;

/// A value of the document where the schema knows it.
pub(super) struct Place<'a> {
    /// The key with its tables.
    pub path: &'a str,
    /// The schema as the field has it, with `x-ref`.
    pub field: &'a Value,
    /// The schema of the value: references followed, `null` left out.
    pub schema: &'a Value,
    /// The value.
    pub value: &'a DeValue<'a>,
}

/// Calls `visit` for each value that the schema knows, tables before what is in them.
pub(super) fn walk<'a>(schema: &'a Value, table: &'a DeValue<'a>, visit: &mut impl FnMut(Place<'_>)) {
    Walker { root: schema, visit }.value("", schema, table);
}

struct Walker<'a, F> {
    root: &'a Value,
    visit: &'a mut F,
}

impl<'a, F: FnMut(Place<'_>)> Walker<'a, F> {
    fn value(&mut self, path: &str, field: &'a Value, value: &'a DeValue<'a>) {
        let schema = resolve(self.root, field);
        (self.visit)(Place { path, field, schema, value });
        match value {
            DeValue::Table(entries) => {
                for (key, inner) in entries {
                    if let Some(field) = member(schema, key.get_ref()) {
                        self.value(&below(path, key.get_ref()), field, inner.get_ref());
                    }
                }
            }
            DeValue::Array(items) => {
                let Some(field) = schema.get("items") else { return };
                for (number, item) in items.iter().enumerate() {
                    self.value(&format!("{path}[{number}]"), field, item.get_ref());
                }
            }
            _ => {}
        }
    }
}

/// The schema of a key in a table; `None` where there is no such key, or where anything may stand.
pub(super) fn member<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    let named = schema.get("properties").and_then(|properties| properties.get(key));
    named.or_else(|| schema.get("additionalProperties").filter(|others| others.is_object()))
}

/// Follows `$ref`, and the `anyOf [X, null]` of what may be absent.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(name) = definition(schema) {
        return root["$defs"].get(name).map_or(schema, |inner| resolve(root, inner));
    }
    let choices = schema.get("anyOf").and_then(Value::as_array);
    let real = choices.and_then(|c| c.iter().find(|c| c.get("type").and_then(Value::as_str) != Some("null")));
    real.map_or(schema, |inner| resolve(root, inner))
}

/// The name of the type that a schema refers to.
pub(super) fn definition(schema: &Value) -> Option<&str> {
    let direct = schema.get("$ref").and_then(Value::as_str);
    let reference =
        direct.or_else(|| schema.get("anyOf")?.as_array()?.iter().find_map(|c| c.get("$ref")?.as_str()));
    reference?.strip_prefix("#/$defs/")
}

/// The line of each key of a document.
#[derive(Clone, Debug, Default)]
pub struct Lines(BTreeMap<String, usize>);

impl Lines {
    /// The lines of `table`'s keys in `text`.
    pub(super) fn of(text: &str, table: &DeTable<'_>) -> Self {
        let starts: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        let mut lines = Self::default();
        lines.table(&starts, "", table);
        lines
    }

    /// The line of a key, or of the nearest table around it.
    pub fn get(&self, path: &str) -> Option<usize> {
        let mut path = path;
        loop {
            if let Some(&line) = self.0.get(path) {
                return Some(line);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    fn table(&mut self, starts: &[usize], path: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = below(path, key.get_ref());
            self.value(starts, &path, key.span(), value.get_ref());
        }
    }

    fn value(&mut self, starts: &[usize], path: &str, span: Range<usize>, value: &DeValue<'_>) {
        match value {
            DeValue::Table(inner) => self.table(starts, path, inner),
            DeValue::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    self.value(starts, &format!("{path}[{number}]"), item.span(), item.get_ref());
                }
            }
            _ => {}
        }
        self.0.insert(path.to_owned(), line(starts, span.start));
    }
}

/// The line, from 1, of an octet, given where the second and later lines start.
pub(super) fn line(starts: &[usize], at: usize) -> usize {
    starts.partition_point(|&start| start <= at) + 1
}

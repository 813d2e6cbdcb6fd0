//! The reference page of the site file, `docs/reference/site.md`, made from its schema.

use std::collections::VecDeque;
use std::fmt::Write as _;

use serde_json::Value;

use super::schema;

const INTRODUCTION: &str = "# The site file

<!-- Written by `chasqui config reference`. The texts are the doc comments of the model. -->

Every key of `site.toml`, what it means, and its default. `NAME` stands for a name of yours. `chasqui site schema` prints the same as a JSON
schema; `chasqui site check FILE` checks yours. The modules read the same schema.
";

/// The page, as Markdown.
pub fn reference_page() -> String {
    let root = schema();
    let mut page = String::from(INTRODUCTION);
    // Tables in the order in which they are met; the root stands first and has no name.
    let mut tables = VecDeque::from([(String::new(), &root)]);
    while let Some((path, table)) = tables.pop_front() {
        let heading = if path.is_empty() { "At the top".into() } else { format!("`[{path}]`") };
        let _ = write!(page, "\n## {heading}\n\n");
        if let (false, Some(text)) = (path.is_empty(), table["description"].as_str()) {
            let _ = write!(page, "{}\n\n", one_line(text));
        }
        page.push_str("| key | is | default | |\n| --- | --- | --- | --- |\n");
        let mut choices = String::new();
        for (key, property) in table["properties"].as_object().into_iter().flatten() {
            let kind = resolved(&root, property);
            let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let values = kind["oneOf"].as_array();
            if let Some(inner) = inner_table(&root, kind) {
                tables.push_back((format!("{below}.NAME"), inner));
            } else if kind["properties"].is_object() {
                tables.push_back((below, kind));
            }
            let _ = writeln!(
                page,
                "| `{key}` | {} | {} | {} |",
                describe(&root, property),
                default_of(table, key, property),
                cell(
                    property["description"]
                        .as_str()
                        .or_else(|| kind["description"].as_str())
                        .unwrap_or_default()
                )
            );
            for value in values.into_iter().flatten() {
                let text = one_line(value["description"].as_str().unwrap_or_default());
                let _ = writeln!(choices, "- `{key} = {}`: {text}", value["const"]);
            }
        }
        if !choices.is_empty() {
            let _ = write!(page, "\n{choices}");
        }
    }
    page
}

/// What a reference or an optional value stands for.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return &root["$defs"][name];
    }
    match schema["anyOf"].as_array().and_then(|of| of.iter().find(|one| one["type"] != "null")) {
        Some(real) => resolved(root, real),
        None => schema,
    }
}

/// The table that each entry of a table of tables is.
fn inner_table<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let inner = resolved(root, schema.get("additionalProperties")?);
    inner["properties"].is_object().then_some(inner)
}

/// What kind of value it is, in words.
fn describe(root: &Value, property: &Value) -> String {
    let kind = resolved(root, property);
    if let Some(table) = property["x-ref"].as_str() {
        let several = kind["type"] == "array";
        return if several { format!("names of `{table}`") } else { format!("a name of `{table}`") };
    }
    if kind["oneOf"].is_array() {
        return "one of those below".into();
    }
    let types = match &kind["type"] {
        Value::Array(types) => types.iter().find(|one| *one != "null").and_then(Value::as_str),
        one => one.as_str(),
    };
    match (types, kind["format"].as_str()) {
        (Some("string"), Some("ip")) => "an address".into(),
        (Some("string"), _) => "a text".into(),
        (Some("boolean"), _) => "`true` or `false`".into(),
        (Some("integer" | "number"), _) => "a number".into(),
        (Some("array"), _) => format!("a list: {}", describe(root, &kind["items"])),
        (Some("object"), _) => match property["x-ref-keys"].as_str() {
            Some(table) => format!("a table by names of `{table}`"),
            None => "a table".into(),
        },
        _ => String::new(),
    }
}

fn default_of(table: &Value, key: &str, property: &Value) -> String {
    let required = table["required"].as_array().is_some_and(|all| all.iter().any(|one| one == key));
    match property.get("default") {
        _ if required => "must be given".into(),
        None | Some(Value::Null) => "none".into(),
        Some(Value::Object(_)) => String::new(),
        Some(value) => format!("`{value}`"),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_schema_stands_on_the_page_with_its_meaning() {
        let page = reference_page();
        let root = schema();
        let tables = root["$defs"].as_object().unwrap().values().chain([&root]);
        for (key, property) in tables.filter_map(|table| table["properties"].as_object()).flatten() {
            let rows: Vec<_> =
                page.lines().filter(|line| line.starts_with(&format!("| `{key}` |"))).collect();
            assert!(!rows.is_empty(), "{key}: {property}");
            assert!(rows.iter().all(|row| !row.ends_with("|  |")), "{key} has no text: {rows:?}");
        }
    }
}

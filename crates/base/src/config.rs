//! Configuration: TOML files read into structs whose doc comments are the reference.
//!
//! Every configuration struct derives `Deserialize`, `Serialize` and `JsonSchema` and refuses unknown keys. [`example`] renders
//! it with each key's doc comment and default; the reference pages and the NixOS option texts come from the same schema.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads and parses a configuration file.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    parse(&text, &path.display().to_string())
}

/// Parses configuration text; `origin` names it in errors.
pub fn parse<T: DeserializeOwned>(text: &str, origin: &str) -> Result<T, ConfigError> {
    let syntax = |error: &toml::de::Error| ConfigError::Syntax {
        origin: origin.to_owned(),
        line: line_of(text, error.span()),
        reason: error.message().to_owned(),
    };
    let document = toml::Deserializer::parse(text).map_err(|error| syntax(&error))?;
    serde_path_to_error::deserialize(document).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let reason = inner.message().trim_end().to_owned();
        if path == "." && !reason.starts_with("unknown field") && !reason.starts_with("missing field") {
            return syntax(&inner);
        }
        let line = line_of(text, inner.span());
        // serde names only the last key of an unknown field; the operator wants the whole path.
        match reason.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
            Some((key, rest)) => {
                // The path already ends with the key where the parser tracked it that far.
                let path = if path == "." || path == key {
                    key.to_owned()
                } else if path.ends_with(&format!(".{key}")) {
                    path
                } else {
                    format!("{path}.{key}")
                };
                ConfigError::UnknownKey {
                    origin: origin.to_owned(),
                    line,
                    path,
                    hint: rest.trim_start_matches(", ").to_owned(),
                }
            }
            None => ConfigError::Value { origin: origin.to_owned(), line, path, reason },
        }
    })
}

/// Why a configuration was refused; each is one sentence that names the place.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not TOML.
    #[error("{origin}:{line}: {reason}")]
    Syntax {
        /// The file.
        origin: String,
        /// Line, from 1.
        line: usize,
        /// What the parser expected.
        reason: String,
    },
    /// A key that does not exist.
    #[error("{origin}:{line}: unknown key `{path}` ({hint})")]
    UnknownKey {
        /// The file.
        origin: String,
        /// Line, from 1.
        line: usize,
        /// The key with its tables, dotted.
        path: String,
        /// Which keys exist there.
        hint: String,
    },
    /// A key has a value that it cannot have.
    #[error("{origin}:{line}: `{path}`: {reason}")]
    Value {
        /// The file.
        origin: String,
        /// Line, from 1.
        line: usize,
        /// The key with its tables, dotted.
        path: String,
        /// What was expected.
        reason: String,
    },
}

/// Renders a commented TOML file with every key of `T`, its documentation and its default. Keys without a default value
/// (optional ones that are unset) stand commented out.
pub fn example<T: JsonSchema + Default + Serialize>(title: &str) -> String {
    let schema = schemars::schema_for!(T).to_value();
    let defaults = serde_json::to_value(T::default()).unwrap_or(Value::Null);
    let mut text = format!("# {title}\n");
    if let Some(about) = schema.get("description").and_then(Value::as_str) {
        comment(&mut text, about);
    }
    let renderer = Renderer { root: &schema };
    renderer.table(&mut text, &schema, &defaults, "");
    text
}

struct Renderer<'a> {
    root: &'a Value,
}

impl<'a> Renderer<'a> {
    /// Follows `$ref` and the `anyOf [X, null]` of an optional struct.
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        if let Some(name) =
            schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/"))
        {
            return self
                .root
                .get("$defs")
                .and_then(|defs| defs.get(name))
                .map_or(schema, |s| self.resolve(s));
        }
        if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
            let some = choices.iter().find(|c| c.get("type").and_then(Value::as_str) != Some("null"));
            return some.map_or(schema, |s| self.resolve(s));
        }
        schema
    }

    fn table(&self, text: &mut String, schema: &'a Value, defaults: &Value, prefix: &str) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        // TOML wants plain keys before sub-tables.
        let (tables, keys): (Vec<_>, Vec<_>) =
            properties.iter().partition(|(_, property)| self.resolve(property).get("properties").is_some());
        for (key, property) in keys {
            text.push('\n');
            self.describe(text, property);
            match defaults.get(key).filter(|v| !v.is_null()) {
                Some(value) => text.push_str(&format!("{key} = {}\n", inline(value))),
                None => text.push_str(&format!("# {key} = {}\n", placeholder(self.resolve(property)))),
            }
        }
        for (key, property) in tables {
            let resolved = self.resolve(property);
            text.push('\n');
            self.describe(text, property);
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match defaults.get(key).filter(|v| !v.is_null()) {
                Some(value) => {
                    text.push_str(&format!("[{path}]\n"));
                    self.table(text, resolved, value, &path);
                }
                None => {
                    // An optional table that is unset: shown whole, commented out.
                    let mut inner = format!("[{path}]\n");
                    self.table(&mut inner, resolved, &Value::Null, &path);
                    for line in inner.lines() {
                        text.push_str(if line.is_empty() || line.starts_with('#') { "" } else { "# " });
                        text.push_str(line);
                        text.push('\n');
                    }
                }
            }
        }
    }

    fn describe(&self, text: &mut String, property: &'a Value) {
        let own = property.get("description").and_then(Value::as_str);
        if let Some(about) = own.or_else(|| self.resolve(property).get("description").and_then(Value::as_str))
        {
            comment(text, about);
        }
        let resolved = self.resolve(property);
        let variants: Vec<String> = match (resolved.get("enum"), resolved.get("oneOf")) {
            (Some(Value::Array(names)), _) => names.iter().map(Value::to_string).collect(),
            (_, Some(Value::Array(choices))) => choices
                .iter()
                .filter_map(|c| {
                    let name = c.get("const")?;
                    let about = c.get("description").and_then(Value::as_str).unwrap_or_default();
                    Some(format!("{name}{}{about}", if about.is_empty() { "" } else { ": " }))
                })
                .collect(),
            _ => Vec::new(),
        };
        for variant in variants {
            comment(text, &format!("- {variant}"));
        }
    }
}

fn comment(text: &mut String, about: &str) {
    for line in about.lines() {
        text.push_str(if line.is_empty() { "#" } else { "# " });
        text.push_str(line);
        text.push('\n');
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(k, v)| format!("{k} = {}", inline(v)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::String(s) => toml::Value::String(s.clone()).to_string(),
        other => other.to_string(),
    }
}

fn placeholder(schema: &Value) -> &'static str {
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None => None,
    };
    match kind {
        Some("integer" | "number") => "0",
        Some("boolean") => "false",
        Some("array") => "[]",
        _ => "\"\"",
    }
}

fn line_of(text: &str, span: Option<std::ops::Range<usize>>) -> usize {
    let end = span.map_or(0, |s| s.start).min(text.len());
    text.as_bytes()[..end].iter().filter(|&&b| b == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ByteSize, Span};
    use serde::Deserialize;

    /// A role for tests.
    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        /// The name it greets with.
        hostname: String,
        /// Largest message, in octets. Default 50MB.
        message_size: ByteSize,
        /// An optional file.
        file: Option<PathBuf>,
        /// What may take how long.
        limits: Inner,
        /// Only where it is wanted.
        extra: Option<Inner>,
    }
    /// Limits.
    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        /// Time for one command. Default 5m.
        command: Span,
        /// Addresses.
        addresses: Vec<String>,
    }
    impl Default for Inner {
        fn default() -> Self {
            Self { command: Span::secs(300), addresses: vec!["127.0.0.1:25".into()] }
        }
    }
    impl Default for Sample {
        fn default() -> Self {
            Self {
                hostname: "localhost".into(),
                message_size: ByteSize(50_000_000),
                file: None,
                limits: Inner::default(),
                extra: None,
            }
        }
    }

    #[test]
    fn the_example_is_read_back_as_the_default() {
        let text = example::<Sample>("sample");
        assert_eq!(parse::<Sample>(&text, "example").unwrap(), Sample::default(), "{text}");
        for expected in [
            "# Time for one command. Default 5m.\ncommand = \"5m\"",
            "message_size = \"50MB\"",
            "# file = \"\"",
            "[limits]",
            "# [extra]",
        ] {
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_with_their_path_and_line() {
        let error =
            parse::<Sample>("hostname = 'a'\n[limits]\ncomand = 5\n", "f.toml").unwrap_err().to_string();
        assert!(error.starts_with("f.toml:3: unknown key `limits.comand`"), "{error}");
        let error = parse::<Sample>("nombre = 1\n", "f.toml").unwrap_err().to_string();
        assert!(error.starts_with("f.toml:1: unknown key `nombre`"), "{error}");
    }

    #[test]
    fn wrong_values_and_wrong_syntax_name_their_place() {
        let error = parse::<Sample>("\nmessage_size = 'big'\n", "f.toml").unwrap_err().to_string();
        assert!(error.starts_with("f.toml:2: `message_size`:"), "{error}");
        let error = parse::<Sample>("hostname = \n", "f.toml").unwrap_err().to_string();
        assert!(error.starts_with("f.toml:1: "), "{error}");
        assert!(
            load::<Sample>(Path::new("/nonexistent/f.toml"))
                .unwrap_err()
                .to_string()
                .contains("/nonexistent/f.toml")
        );
    }
}

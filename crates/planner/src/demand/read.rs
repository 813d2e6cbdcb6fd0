//! A demand from a file and from options: the options are the file's keys, so both say the same with the same words.

use std::path::Path;

use chasqui_base::config::{self, ConfigError};
use serde_json::{Map, Value};

use super::{Demand, DemandError};

/// An option of the command line, made from a key of [`Demand`].
#[derive(Clone, Debug)]
pub struct DemandOption {
    /// The key in the file.
    pub key: String,
    /// The option, without its hyphens.
    pub name: String,
    /// What it means.
    pub help: String,
    /// What it takes.
    pub kind: Kind,
}

/// What an option takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A number.
    Number,
    /// A text: a size, a duration, a name.
    Text,
    /// Texts, several times or with commas between them.
    Texts,
    /// `NAME=VALUE`, several times or with commas between them.
    Table,
    /// `NAME=VALUE`, where a name may have several values.
    Tables,
}

/// What most people write; the others follow by name.
const FIRST: [&str; 8] =
    ["users", "quota", "domains", "model", "datacenters", "layout", "name", "description"];

/// Every key of [`Demand`] as an option.
pub fn options() -> Vec<DemandOption> {
    let schema = schemars::schema_for!(Demand).to_value();
    let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let option = |(key, property): (String, Value)| DemandOption {
        name: key.replace('_', "-"),
        help: property.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " "),
        kind: kind(&property),
        key,
    };
    let mut options: Vec<DemandOption> = properties.into_iter().map(option).collect();
    options.sort_by_key(|option| FIRST.iter().position(|first| *first == option.key).unwrap_or(FIRST.len()));
    options
}

fn kind(property: &Value) -> Kind {
    let is = |property: &Value, name: &str| match property.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    };
    let inner = property.get("additionalProperties");
    if is(property, "string") || property.get("type").is_none() {
        Kind::Text
    } else if is(property, "array") {
        Kind::Texts
    } else if inner.is_some_and(|inner| is(inner, "array")) {
        Kind::Tables
    } else if is(property, "object") {
        Kind::Table
    } else {
        Kind::Number
    }
}

/// Reads a demand: the file's keys, and the options' over them. Everything is checked.
pub fn read(file: Option<&Path>, given: &[(String, Vec<String>)]) -> Result<Demand, DemandError> {
    let mut demand = match file {
        Some(path) => config::load::<Map<String, Value>>(path)?,
        None => Map::new(),
    };
    // The file alone first, so that an error names its line.
    if let Some(path) = file {
        config::load::<Demand>(path)?;
    }
    let options = options();
    for (name, values) in given {
        let Some(option) = options.iter().find(|option| option.name == *name) else { continue };
        let value = value(option, values)?;
        demand.insert(option.key.clone(), value);
        let alone = Map::from_iter([(option.key.clone(), demand[&option.key].clone())]);
        let wrong = |reason: String| DemandError::Option { option: name.clone(), reason };
        serde_json::from_value::<Demand>(Value::Object(alone)).map_err(|error| wrong(error.to_string()))?;
    }
    let text = toml::to_string(&demand)
        .map_err(|error| DemandError::Option { option: "demand".into(), reason: error.to_string() })?;
    let demand: Demand = config::parse(&text, "demand").map_err(|error: ConfigError| error)?;
    demand.check()?;
    Ok(demand)
}

fn value(option: &DemandOption, values: &[String]) -> Result<Value, DemandError> {
    let wrong = |reason: &str| DemandError::Option { option: option.name.clone(), reason: reason.to_owned() };
    let last = values.last().map(String::as_str).unwrap_or_default();
    let parts = || values.iter().flat_map(|value| value.split(',')).map(str::trim);
    Ok(match option.kind {
        Kind::Text => Value::from(last),
        Kind::Number => number(last).ok_or_else(|| wrong(&format!("`{last}` is not a number in range")))?,
        Kind::Texts => parts().map(Value::from).collect(),
        Kind::Table => {
            let mut table = Map::new();
            for part in parts() {
                let (name, value) = part.split_once('=').unwrap_or((part, "0"));
                let value = if value.bytes().all(|b| b.is_ascii_digit()) {
                    number(value).ok_or_else(|| wrong(&format!("`{value}` is not a number in range")))?
                } else {
                    Value::from(value)
                };
                table.insert(name.to_owned(), value);
            }
            Value::Object(table)
        }
        Kind::Tables => {
            let mut table = Map::new();
            for part in parts() {
                let (name, value) = part.split_once('=').ok_or_else(|| wrong("write it as NAME=VALUE"))?;
                let list = table.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    list.push(Value::from(value));
                }
            }
            Value::Object(table)
        }
    })
}

/// A number as people write it: digits, with `_` between them if they like, or with decimals. TOML holds up to 2^63.
fn number(text: &str) -> Option<Value> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    match plain.parse::<i64>() {
        Ok(whole) => Some(Value::from(whole)),
        Err(_) => plain.parse::<f64>().ok().filter(|n| n.is_finite() && plain.contains('.')).map(Value::from),
    }
}

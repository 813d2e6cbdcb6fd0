//! Whether a document has the shape of a site: known keys, all that must be there, values of the right kind.
//!
//! serde would stop at the first mistake; an operator wants all of them.

use std::net::IpAddr;

use chasqui_base::net::IpNetwork;
use chasqui_base::{ByteSize, DomainName, Span};
use regex_lite::Regex;
use serde_json::Value;
use toml::de::{DeInteger, DeValue};

use super::finding::{Finding, below, listed, nearest};
use super::walk::{Place, definition, member};

/// Refuses what at `place` is not as the schema says.
pub(super) fn check(place: &Place<'_>, findings: &mut Vec<Finding>) {
    let mut refuse = |wrong: String, mend: String| findings.push(Finding::error(place.path, wrong, mend));
    let kinds = kinds(place.schema);
    if !kinds.is_empty() && !kinds.iter().any(|kind| is(place.value, kind)) {
        let wanted: Vec<String> =
            kinds.iter().filter(|&&k| k != "null").map(|k| article(toml_kind(k))).collect();
        let is = article(place.value.type_str());
        return refuse(format!("it is {is}"), format!("write {}", wanted.join(" or ")));
    }
    match place.value {
        DeValue::String(text) => {
            if let Err((wrong, mend)) = check_text(place, text) {
                refuse(wrong, mend);
            }
        }
        DeValue::Integer(number) => {
            let (least, most) = (bound(place.schema, "minimum"), bound(place.schema, "maximum"));
            let within = integer(number)
                .is_some_and(|n| least.is_none_or(|least| n >= least) && most.is_none_or(|most| n <= most));
            if !within {
                let range = match (least, most) {
                    (Some(least), Some(most)) => format!("write a number from {least} to {most}"),
                    (Some(least), None) => format!("write a number from {least}"),
                    _ => "write a smaller number".to_owned(),
                };
                refuse(format!("{} is out of range", number.as_str()), range);
            }
        }
        DeValue::Table(_) => check_table(place, findings),
        _ => {}
    }
}

fn check_table(place: &Place<'_>, findings: &mut Vec<Finding>) {
    let DeValue::Table(entries) = place.value else { return };
    let properties = place.schema.get("properties").and_then(Value::as_object);
    let known = || properties.into_iter().flat_map(|p| p.keys().map(String::as_str));
    let closed = place.schema.get("additionalProperties") == Some(&Value::Bool(false));
    let names =
        place.field.get("propertyNames").and_then(|names| names.get("pattern")).and_then(Value::as_str);
    let names = names.and_then(|pattern| Some((pattern, Regex::new(pattern).ok()?)));
    for key in entries.keys().map(|key| key.get_ref().as_ref()) {
        if closed && member(place.schema, key).is_none() {
            let meant = nearest(key, known()).map(|meant| format!("did you mean `{meant}`? "));
            let mend = format!("{}keys here: {}", meant.unwrap_or_default(), listed(known()));
            findings.push(Finding::error(below(place.path, key), "there is no such key", mend));
        }
        if let Some((pattern, _)) = names.as_ref().filter(|(_, regex)| !regex.is_match(key)) {
            let mend = format!("choose one that matches {pattern}");
            findings.push(Finding::error(
                below(place.path, key),
                format!("`{key}` cannot be a name here"),
                mend,
            ));
        }
    }
    let required = place.schema.get("required").and_then(Value::as_array);
    for key in required.into_iter().flatten().filter_map(Value::as_str) {
        if !entries.keys().any(|entry| entry.get_ref() == key) {
            let about = properties.and_then(|p| p.get(key)?.get("description")?.as_str());
            let about =
                about.and_then(|text| text.split(". ").next()).unwrap_or_default().trim_end_matches('.');
            findings.push(Finding::error(
                below(place.path, key),
                "it is missing",
                format!("add it: {about}"),
            ));
        }
    }
}

/// A text's value, judged by its type, its choices or its pattern: what is wrong, and how to mend it.
fn check_text(place: &Place<'_>, text: &str) -> Result<(), (String, String)> {
    let said = |error: &dyn std::fmt::Display, mend: &str| (error.to_string(), mend.to_owned());
    match definition(place.field) {
        Some("ByteSize") => {
            text.parse::<ByteSize>().map_err(|e| said(&e, "write a size such as 50GB or 64GiB"))?;
        }
        Some("Span") => {
            text.parse::<Span>().map_err(|e| said(&e, "write a time such as 30s, 5m or 90d"))?;
        }
        Some("DomainName") => {
            let mend = "write a complete name such as mx.example.org";
            text.parse::<DomainName>().map_err(|e| (format!("`{text}`: {e}"), mend.to_owned()))?;
        }
        Some("IpNetwork") => {
            let mend = "write a prefix such as 192.0.2.0/24 or 2001:db8::/64";
            text.parse::<IpNetwork>().map_err(|e| said(&e, mend))?;
        }
        _ => {}
    }
    if place.schema.get("format").and_then(Value::as_str) == Some("ip") && text.parse::<IpAddr>().is_err() {
        return Err((
            format!("`{text}` is no IP address"),
            "write one such as 192.0.2.1 or 2001:db8::1, without a prefix length".to_owned(),
        ));
    }
    let choices = choices(place.schema);
    if !choices.is_empty() && !choices.contains(&text) {
        let meant = nearest(text, choices.iter().copied()).map(|meant| format!("did you mean `{meant}`? "));
        let mend = format!("{}known: {}", meant.unwrap_or_default(), listed(&choices));
        return Err((format!("`{text}` is not known here"), mend));
    }
    let pattern = [place.field, place.schema].iter().find_map(|schema| schema.get("pattern")?.as_str());
    if let Some(pattern) = pattern
        && Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text))
    {
        return Err((format!("`{text}` does not look as it must"), format!("write what matches {pattern}")));
    }
    Ok(())
}

fn choices(schema: &Value) -> Vec<&str> {
    let list = |key: &str| schema.get(key).and_then(Value::as_array).into_iter().flatten();
    let plain = list("enum").filter_map(Value::as_str);
    plain.chain(list("oneOf").filter_map(|choice| choice.get("const")?.as_str())).collect()
}

fn kinds(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is(value: &DeValue<'_>, kind: &str) -> bool {
    match kind {
        "string" => value.is_str(),
        "integer" => value.is_integer(),
        "number" => value.is_integer() || value.is_float(),
        "boolean" => value.is_bool(),
        "array" => value.is_array(),
        "object" => value.is_table(),
        _ => false,
    }
}

fn toml_kind(kind: &str) -> &str {
    match kind {
        "object" => "table",
        other => other,
    }
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'i']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

fn integer(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

fn bound(schema: &Value, key: &str) -> Option<i128> {
    let value = schema.get(key)?;
    value
        .as_i64()
        .map(i128::from)
        .or_else(|| value.as_u64().map(i128::from))
        .or_else(|| Some(value.as_f64()? as i128))
}

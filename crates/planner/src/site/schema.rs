//! The JSON schema of the site file, from which Nix takes its shape.

use serde_json::Value;

use super::Site;

/// The JSON schema of [`Site`], with `x-ref` and `x-ref-keys` where a value or a table's keys name something else of the site.
pub fn schema() -> Value {
    schemars::schema_for!(Site).to_value()
}

/// The schema as `modules/lib/site.schema.json` holds it: indented, keys sorted, with a newline at the end.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_that_nix_reads_is_current() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../modules/lib/site.schema.json");
        let kept = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            kept == schema_text(),
            "modules/lib/site.schema.json is not the schema of the site file; renew it:\n  \
             cargo run -q -p chasqui -- site schema > modules/lib/site.schema.json"
        );
    }

    #[test]
    fn each_reference_names_a_table_of_the_site() {
        let schema = schema();
        let tables = schema["properties"].as_object().unwrap();
        let mut found = 0;
        let mut open = vec![&schema];
        while let Some(value) = open.pop() {
            for key in ["x-ref", "x-ref-keys"] {
                if let Some(table) = value.get(key).and_then(Value::as_str) {
                    assert!(tables.contains_key(table), "{table}");
                    found += 1;
                }
            }
            match value {
                Value::Object(fields) => open.extend(fields.values()),
                Value::Array(items) => open.extend(items),
                _ => {}
            }
        }
        assert!(found > 10, "{found}");
    }
}

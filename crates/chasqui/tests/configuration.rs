//! `chasqui config`: what is accepted, what is refused and how, and that the reference pages tell what the code does.

mod common;

use common::{refusal, run, sources, stderr, stdout};

const ROLES: [&str; 4] = ["directory", "mx", "storage", "proxy"];

#[test]
fn the_example_of_each_role_is_a_correct_configuration() {
    let dir = tempfile::tempdir().unwrap();
    for role in ROLES {
        let file = dir.path().join(format!("{role}.toml"));
        let example = stdout(&run(&["config", "example", role]));
        assert!(example.contains("metrics"), "{role}");
        std::fs::write(&file, example).unwrap();
        let output = run(&["config", "check", role, file.to_str().unwrap()]);
        assert!(output.status.success(), "{role}: {}", stderr(&output));
    }
}

#[test]
fn every_key_of_the_example_is_explained() {
    for role in ROLES {
        let example = stdout(&run(&["config", "example", role]));
        let mut before = "";
        for line in example.lines() {
            let key = line.split(" = ").next().unwrap_or_default();
            if line.contains(" = ") && !line.starts_with('#') {
                assert!(before.starts_with('#'), "{role}: `{key}` has no explanation");
            }
            before = line;
        }
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("role.toml");
    let at = file.to_str().unwrap();
    for role in ROLES {
        std::fs::write(&file, "listn = \"127.0.0.1:1\"\n").unwrap();
        let text = refusal(&run(&["config", "check", role, at]));
        assert!(text.contains("`listn`") && text.contains("role.toml:1"), "{text}");
    }
    std::fs::write(&file, "[database]\npat = \"x\"\n").unwrap();
    let text = refusal(&run(&["config", "check", "directory", at]));
    assert!(text.contains("`database.pat`"), "{text}");
    std::fs::write(&file, "[directory]\nhegde = \"20ms\"\n").unwrap();
    for role in ["mx", "storage", "proxy"] {
        let text = refusal(&run(&["config", "check", role, at]));
        assert!(text.contains("`directory.hegde`"), "{text}");
    }
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("role.toml");
    std::fs::write(&file, "[directory]\nhedge = \"soon\"\n").unwrap();
    let text = refusal(&run(&["config", "check", "proxy", file.to_str().unwrap()]));
    assert!(text.contains("`directory.hedge`"), "{text}");
    for (role, wrong, key) in [
        ("mx", "metrics = \"192.0.2.1:9105\"", "`metrics`"),
        ("mx", "[limits]\nrecipients = 0", "`limits`"),
        ("storage", "lmtp = \"192.0.2.1:24\"", "`lmtp`"),
        ("proxy", "imaps = [\"127.0.0.1:993\"]", "`imaps`"),
    ] {
        std::fs::write(&file, wrong).unwrap();
        let text = refusal(&run(&["config", "check", role, file.to_str().unwrap()]));
        assert!(text.contains(key), "{text}");
    }
    let text = refusal(&run(&["config", "check", "proxy", "/nonexistent/proxy.toml"]));
    assert!(text.contains("/nonexistent/proxy.toml"), "{text}");
}

#[test]
fn the_schema_of_each_role_is_json() {
    for role in ROLES {
        let schema: serde_json::Value =
            serde_json::from_str(&stdout(&run(&["config", "schema", role]))).unwrap();
        assert!(schema["properties"]["metrics"].is_object(), "{role}");
    }
}

#[test]
fn the_reference_pages_are_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    stdout(&run(&["config", "reference", dir.path().to_str().unwrap()]));
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let name = entry.unwrap().file_name();
        let kept = std::fs::read_to_string(sources().join("docs/reference").join(&name)).unwrap_or_default();
        let now = std::fs::read_to_string(dir.path().join(&name)).unwrap();
        assert!(
            kept == now,
            "docs/reference/{} is old: run `chasqui config reference docs/reference`",
            name.display()
        );
    }
}

/// NixOS' options have their texts from here.
#[test]
fn the_schemas_of_the_nix_modules_are_up_to_date() {
    for role in ROLES {
        let file = format!("modules/services/schema/{role}.json");
        let kept = std::fs::read_to_string(sources().join(&file)).unwrap_or_default();
        assert!(
            kept == stdout(&run(&["config", "schema", role])),
            "{file} is old: run `chasqui config schema {role} > {file}`"
        );
    }
}

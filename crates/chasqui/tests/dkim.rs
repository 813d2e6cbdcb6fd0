//! `chasqui dkim`: keys that the relay's own signer reads, and records that a resolver could give.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chasqui_relay::{config::Signing, sign::Signer};
use common::{json, refusal, run, stdout};

fn dkim(keys: &Path, arguments: &[&str]) -> std::process::Output {
    let mut all = vec!["dkim"];
    all.extend_from_slice(arguments);
    all.extend(["--keys", keys.to_str().unwrap()]);
    run(&all)
}

#[test]
fn the_first_pair_signs_at_once_and_the_second_after_the_overlap() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("dkim");
    let made = json(&dkim(&keys, &["rotate", "Example.ORG", "--json"]));
    let pair = &made[0]["pairs"][0];
    assert_eq!((&made[0]["domain"], &pair["stage"]), (&"example.org".into(), &"active".into()));
    let records = pair["records"].as_array().unwrap();
    assert_eq!(records.len(), 2);
    for record in records {
        let name = record["name"].as_str().unwrap();
        assert!(name.ends_with("._domainkey.example.org."), "{name}");
        let strings: Vec<&str> =
            record["strings"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
        assert!(
            strings.iter().all(|part| part.len() <= 255)
                && strings.concat() == record["text"].as_str().unwrap()
        );
        assert!(strings.concat().starts_with("v=DKIM1; h=sha256; k="));
    }
    assert_eq!(records[0]["strings"].as_array().unwrap().len(), 2, "an RSA key is longer than one string");

    let config = Signing { keys: Some(keys.clone()), parents: true };
    let signer = Signer::open(&config).unwrap();
    let signed = signer.sign(&"example.org".parse().unwrap(), b"From: a@example.org\r\n\r\nx\r\n").unwrap();
    let signed = String::from_utf8(signed).unwrap();
    for record in records {
        assert!(signed.contains(&format!("s={};", record["selector"].as_str().unwrap())), "{signed}");
    }

    let again = json(&dkim(&keys, &["rotate", "example.org", "--overlap", "1h", "--json"]));
    let stages: Vec<_> =
        again[0]["pairs"].as_array().unwrap().iter().map(|pair| pair["stage"].clone()).collect();
    assert_eq!(stages, ["active", "published"]);
    assert!(refusal(&dkim(&keys, &["rotate", "example.org"])).contains("rotate again after that"));
    signer.reload(&config).unwrap();

    let text = stdout(&dkim(&keys, &["show"]));
    assert!(text.contains("signs until") && text.contains("publish now, signs from"), "{text}");
    assert_eq!(text.matches(" IN TXT ").count(), 4, "{text}");
}

#[test]
fn what_is_withdrawn_is_named_and_its_keys_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path();
    let rotate = ["rotate", "example.org", "--overlap", "0s", "--keep", "0s", "--json"];
    json(&dkim(keys, &rotate));
    json(&dkim(keys, &rotate));
    let listed = |keys: &Path| {
        let listed = std::fs::read_dir(keys.join("example.org")).unwrap();
        listed
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "pem"))
            .count()
    };
    assert_eq!(listed(keys), 4);
    let third = json(&dkim(keys, &rotate));
    let stages: Vec<_> =
        third[0]["pairs"].as_array().unwrap().iter().map(|pair| pair["stage"].clone()).collect();
    assert_eq!(stages, ["withdrawn", "withdrawn", "active"]);
    assert_eq!(listed(keys), 4, "the first pair's keys are gone");
}

#[test]
fn keys_are_closed_to_others_and_unknown_domains_are_named() {
    let dir = tempfile::tempdir().unwrap();
    json(&dkim(dir.path(), &["rotate", "example.org", "--json"]));
    let folder = dir.path().join("example.org");
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "pem") {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert!(std::fs::read_to_string(&path).unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
        }
    }
    assert!(refusal(&dkim(dir.path(), &["show", "example.net"])).contains("chasqui dkim rotate example.net"));
    assert!(refusal(&dkim(&dir.path().join("no"), &["show"])).contains("/no"));
    assert!(refusal(&dkim(dir.path(), &["rotate", "[192.0.2.1]"])).contains("no DNS"));
}

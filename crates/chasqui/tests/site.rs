//! `chasqui site`: exit codes, tables and JSON. What is found in a site is tested in the planner.

mod common;

use common::{json, refusal, run, stdout};

const LAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../hosts/lab/site.toml");
const SOLO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../hosts/solo/site.toml");

/// The lab with a replacement, in a folder that lives as long as the first value.
fn changed(old: &str, new: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("site.toml");
    let text = std::fs::read_to_string(LAB).unwrap();
    assert!(text.contains(old));
    std::fs::write(&path, text.replacen(old, new, 1)).unwrap();
    (dir, path.to_str().unwrap().to_owned())
}

/// Standard output of a run that may have failed.
fn printed(output: &std::process::Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_site_without_errors_is_checked_with_code_0() {
    let output = run(&["site", "check", LAB, SOLO]);
    assert!(output.status.success());
    let said = stdout(&output);
    assert!(
        said.contains("lab/site.toml: no errors, 1 warning.") && said.contains("solo/site.toml: no errors"),
        "{said}"
    );
}

#[test]
fn an_error_in_one_of_the_files_ends_with_code_1_and_all_are_shown() {
    let (_dir, file) = changed("[hosts.ns2]\nmachine = \"blade-4\"", "[hosts.ns2]\nmachine = \"blade-3\"");
    let output = run(&["site", "check", SOLO, &file]);
    assert_eq!(refusal(&output), format!("chasqui: {file} has 1 error\n"));
    let said = printed(&output);
    assert!(
        said.contains("solo/site.toml") && said.contains("hosts.ns2.machine") && said.contains("(E10)"),
        "{said}"
    );
    let found =
        serde_json::from_str::<serde_json::Value>(&printed(&run(&["site", "check", "--json", &file])))
            .unwrap();
    let finding = &found[0]["findings"][0];
    assert_eq!(finding["severity"], "error");
    assert_eq!(finding["path"], "hosts.ns2.machine");
    assert!(
        finding["line"].as_u64().unwrap() > 100
            && finding["mend"].as_str().unwrap().contains("another machine")
    );
}

#[test]
fn a_reference_that_stands_for_nothing_is_a_finding_too() {
    let (_dir, file) = changed("[hosts.ns2]\nmachine = \"blade-4\"", "[hosts.ns2]\nmachine = \"blade-5\"");
    let output = run(&["site", "check", &file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).contains("no machine is called `blade-5`"));
    assert!(
        refusal(&run(&["site", "show", &file]))
            .contains(": hosts.ns2.machine: no machine is called `blade-5`")
    );
}

#[test]
fn a_site_is_shown_as_tables_json_and_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let svg = dir.path().join("lab.svg");
    let said = stdout(&run(&["site", "show", LAB, "--svg", svg.to_str().unwrap()]));
    for expected in [
        "Hosts",
        "Machines",
        "Networks",
        "Published services",
        "Disk arrays",
        "Volumes",
        "9 of 16",
        "LUN mail-1 of a1",
    ] {
        assert!(said.contains(expected), "{expected} in\n{said}");
    }
    assert!(std::fs::read_to_string(svg).unwrap().starts_with("<svg "));
    let overview = json(&run(&["site", "show", "--json", LAB]));
    assert_eq!(overview["hosts"].as_array().unwrap().len(), 25);
    assert_eq!(overview["machines"][0]["cores_given"], 9);
}

#[test]
fn two_sites_are_compared_with_the_order_of_rebuilds() {
    let (_dir, file) = changed("public = [\"192.0.2.10\"", "public = [\"192.0.2.20\"");
    let said = stdout(&run(&["site", "diff", LAB, &file]));
    assert!(said.contains("publish.smtp.at.norte.public") && said.contains("address translation"), "{said}");
    assert!(said.contains("No service is interrupted."), "{said}");
    let difference = json(&run(&["site", "diff", "--json", LAB, &file]));
    assert_eq!(difference["waves"][0]["hosts"], serde_json::json!(["edge2", "ns2"]));
    assert_eq!(difference["waves"][1]["hosts"], serde_json::json!(["edge1", "ns1"]));
    let same = stdout(&run(&["site", "diff", LAB, LAB]));
    assert_eq!(same, "The two files describe the same site.\n");
}

#[test]
fn a_picture_is_never_written_over_the_site_file_that_it_is_made_from() {
    let (_dir, file) = changed("description = \"Small", "description = \"Little");
    let before = std::fs::read_to_string(&file).unwrap();
    let said = refusal(&run(&["site", "show", &file, "--svg", &file]));
    assert!(said.contains("write it elsewhere"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn what_a_site_file_says_cannot_steer_a_terminal() {
    let (_dir, file) = changed("description = \"Small", "description = \"\\u001b[31mSmall\\u0007");
    let said = stdout(&run(&["site", "show", &file]));
    assert!(said.contains("[31mSmall") && !said.contains(['\u{1b}', '\u{7}']), "{said:?}");
}

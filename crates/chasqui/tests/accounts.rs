//! The operator's verbs on the user database.

mod common;

use common::{Site, json, refusal, run, stderr, stdout};
use serde_json::json as value;

const PASSWORD: &str = "una clave larga\n";

#[test]
fn an_account_is_added_shown_changed_and_removed() {
    let site = Site::with_a_node_and_a_domain();
    let added = site.run_with_input(
        &["user", "add", "Ana@Ejemplo.test", "--quota", "7GB", "--password-stdin", "--json"],
        PASSWORD,
    );
    let added = json(&added);
    assert_eq!(added["address"], "ana@ejemplo.test");
    assert_eq!(added["node"], "storage1");
    assert_eq!(added["quota"], 7_000_000_000_u64);
    assert_eq!(added["state"], "active");
    assert!(!added.to_string().contains("argon2") && !added.to_string().contains("clave"), "{added}");

    stdout(&site.run(&[
        "user",
        "set",
        "ana@ejemplo.test",
        "--no-quota",
        "--state",
        "suspended",
        "--services",
        "imap",
    ]));
    let shown = json(&site.run(&["user", "show", "ana@ejemplo.test", "--json"]));
    assert_eq!((&shown["quota"], &shown["state"]), (&value!(null), &value!("suspended")));
    assert_eq!(shown["services"], value!("imap"));
    assert!(stdout(&site.run(&["user", "list"])).contains("ana@ejemplo.test"));
    assert_eq!(
        json(&site.run(&["user", "list", "--json", "--domain", "ejemplo.test"])).as_array().unwrap().len(),
        1
    );

    stdout(&site.run(&["user", "remove", "ana@ejemplo.test"]));
    assert_eq!(json(&site.run(&["user", "list", "--json"])), value!([]));
    assert!(refusal(&site.run(&["user", "show", "ana@ejemplo.test"])).contains("ana@ejemplo.test"));
    refusal(&site.run(&["user", "remove", "ana@ejemplo.test"]));
}

#[test]
fn an_account_needs_a_domain_and_a_node_that_exist() {
    let site = Site::with_a_node_and_a_domain();
    let text = refusal(&site.run_with_input(&["user", "add", "ana@otro.test", "--password-stdin"], PASSWORD));
    assert!(text.contains("otro.test"), "{text}");
    let add = ["user", "add", "ana@ejemplo.test", "--node", "storage9", "--password-stdin"];
    let text = refusal(&site.run_with_input(&add, PASSWORD));
    assert!(text.contains("storage9"), "{text}");

    let empty = Site::new();
    let add = ["user", "add", "ana@ejemplo.test", "--password-stdin"];
    let text = refusal(&empty.run_with_input(&add, PASSWORD));
    assert!(text.contains("domain add"), "{text}");
    stdout(&empty.run(&["domain", "add", "ejemplo.test"]));
    let text = refusal(&empty.run_with_input(&add, PASSWORD));
    assert!(text.contains("node add"), "{text}");
}

#[test]
fn the_same_account_is_not_added_twice() {
    let site = Site::with_a_node_and_a_domain();
    let add = ["user", "add", "ana@ejemplo.test", "--password-stdin"];
    stdout(&site.run_with_input(&add, PASSWORD));
    assert!(refusal(&site.run_with_input(&add, PASSWORD)).contains("ana@ejemplo.test"));
}

#[test]
fn a_password_comes_from_a_file() {
    let site = Site::with_a_node_and_a_domain();
    let file = site.path("clave");
    std::fs::write(&file, PASSWORD).unwrap();
    stdout(&site.run(&["user", "add", "ana@ejemplo.test", "--password-file", file.to_str().unwrap()]));
    stdout(&site.run(&["user", "set", "ana@ejemplo.test", "--password-file", file.to_str().unwrap()]));
    refusal(&site.run(&["user", "set", "ana@ejemplo.test", "--password-file", "/nonexistent"]));
    assert_eq!(site.run(&["user", "set", "ana@ejemplo.test"]).status.code(), Some(2), "nothing to change");
}

#[test]
fn aliases_and_domains_are_added_listed_and_removed() {
    let site = Site::with_a_node_and_a_domain();
    stdout(&site.run_with_input(&["user", "add", "ana@ejemplo.test", "--password-stdin"], PASSWORD));
    stdout(&site.run(&["alias", "add", "info@ejemplo.test", "ana@ejemplo.test", "beto@ejemplo.test"]));
    let listed = json(&site.run(&["alias", "list", "--json"]));
    assert_eq!(listed[0]["alias"], "info@ejemplo.test");
    assert_eq!(listed[0]["targets"], value!(["ana@ejemplo.test", "beto@ejemplo.test"]));
    stdout(&site.run(&["alias", "remove", "info@ejemplo.test", "beto@ejemplo.test"]));
    assert_eq!(json(&site.run(&["alias", "list", "--json"]))[0]["targets"], value!(["ana@ejemplo.test"]));

    refusal(&site.run(&["domain", "remove", "ejemplo.test"]));
    stdout(&site.run(&["alias", "remove", "info@ejemplo.test"]));
    stdout(&site.run(&["user", "remove", "ana@ejemplo.test"]));
    stdout(&site.run(&["domain", "remove", "ejemplo.test"]));
    assert_eq!(json(&site.run(&["domain", "list", "--json"])), value!([]));
    assert_eq!(json(&site.run(&["node", "list", "--json"]))[0]["name"], "storage1");
}

#[test]
fn an_import_names_each_line_that_is_wrong_and_takes_the_others() {
    let site = Site::with_a_node_and_a_domain();
    let csv = "address,password,quota,node\n\
               ana@ejemplo.test,clave de ana,7GB,storage1\n\
               sin arroba,clave,,storage1\n\
               beto@ejemplo.test,clave de beto,mucho,storage1\n\
               carla@otro.test,clave de carla,,storage1\n\
               diego@ejemplo.test,clave de diego,,storage9\n\
               eva@ejemplo.test,,,storage1\n\
               ana@ejemplo.test,otra vez,,storage1\n\
               fabio@ejemplo.test,clave de fabio,,\n\
               \"gabi@ejemplo.test\",\"con, coma\",1GiB,storage1\n\
               solo@ejemplo.test\n\
               a,b,c,d,e\n";
    let file = site.path("usuarios.csv");
    std::fs::write(&file, csv).unwrap();
    let output = site.run(&["user", "import", file.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["added"], 5, "{report}");
    let lines: Vec<u64> =
        report["refused"].as_array().unwrap().iter().map(|e| e["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [3, 4, 5, 6, 8, 12], "{report}");
    let listed = json(&site.run(&["user", "list", "--json"]));
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|u| u["address"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "ana@ejemplo.test",
            "eva@ejemplo.test",
            "fabio@ejemplo.test",
            "gabi@ejemplo.test",
            "solo@ejemplo.test"
        ]
    );

    let again = site.run(&["user", "import", file.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("line 2: "), "{}", stderr(&again));
}

#[test]
fn an_import_takes_hashes_from_standard_input() {
    let site = Site::with_a_node_and_a_domain();
    // Argon2id of "clave", made with 8 KiB and one pass to keep the test quick.
    let csv = "ana@ejemplo.test,$argon2id$v=19$m=8,t=1,p=1$c2FsYWRvc2FsYWRv$xxYzsLJGOKlZOEHzfEHpFkZ1o9AjCiAJg2SI4+UtZMo,,storage1\n\
               beto@ejemplo.test,$argon2id$nonsense,,storage1\n";
    let output = site.run_with_input(&["user", "import", "-", "--json"], csv);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["added"], &report["refused"][0]["line"]), (&value!(1), &value!(2)), "{report}");
}

#[test]
fn commands_say_which_configuration_is_missing() {
    let text = refusal(&run(&["user", "list", "--config", "/nonexistent/directory.toml"]));
    assert!(text.contains("/nonexistent/directory.toml"), "{text}");
}

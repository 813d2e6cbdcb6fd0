//! The command line as a whole: help, exit codes, completion, manual pages, certificates.

mod common;

use common::{json, refusal, run, stderr, stdout};

#[test]
fn a_wrong_command_line_ends_with_code_2() {
    for wrong in [
        &["frobnicate"][..],
        &[],
        &["user"],
        &["mx"],
        &["config", "check", "mx"],
        &["demo", "--port-base", "60000"],
    ] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_password_is_never_taken_from_the_command_line() {
    for wrong in [
        &["user", "add", "ana@ejemplo.test", "--password", "secreto"][..],
        &["user", "add", "ana@ejemplo.test", "--password=secreto"],
        &["user", "add", "ana@ejemplo.test", "secreto"],
        &["user", "set", "ana@ejemplo.test", "--password", "secreto"],
        &["user", "set", "ana@ejemplo.test", "--password=secreto"],
        &["user", "add", "ana@ejemplo.test", "--password-stdin=secreto"],
    ] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn help_of_every_command_tells_how_the_password_is_given_and_what_exit_codes_mean() {
    let help = stdout(&run(&["user", "add", "--help"]));
    assert!(
        help.contains("--password-file")
            && help.contains("--password-stdin")
            && !help.contains("--password "),
        "{help}"
    );
    assert!(stdout(&run(&["--help"])).contains("Exit codes:"));
    assert!(stdout(&run(&["--version"])).starts_with("chasqui 0."));
}

#[test]
fn completion_scripts_are_printed_for_the_usual_shells() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&run(&["completion", shell])).contains("chasqui"), "{shell}");
    }
}

#[test]
fn manual_pages_of_all_commands_are_written() {
    let dir = tempfile::tempdir().unwrap();
    stdout(&run(&["man", dir.path().to_str().unwrap()]));
    for page in ["chasqui.1", "chasqui-user-add.1", "chasqui-demo.1", "chasqui-config-check.1"] {
        assert!(dir.path().join(page).exists(), "{page}");
    }
    assert!(stdout(&run(&["man"])).contains(".TH chasqui"));
}

#[test]
fn certificates_are_issued_by_an_authority_that_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("pki");
    let at = pki.to_str().unwrap();
    stdout(&run(&["pki", "init", at, "--site", "ejemplo"]));
    let before = std::fs::read(pki.join("ca.crt")).unwrap();
    assert!(refusal(&run(&["pki", "init", at])).contains("never replaced"));
    assert_eq!(std::fs::read(pki.join("ca.crt")).unwrap(), before);

    let made = json(&run(&[
        "pki",
        "issue",
        at,
        "mx1",
        "--role",
        "mx",
        "--host",
        "mx1.ejemplo.test,127.0.0.1",
        "--json",
    ]));
    assert_eq!(made["certificate"], pki.join("mx1.crt").to_str().unwrap());
    assert!(pki.join("mx1.crt").exists() && pki.join("mx1.key").exists());
    refusal(&run(&["pki", "issue", at, "../mx1", "--role", "mx", "--host", "localhost"]));
    refusal(&run(&["pki", "issue", at, "ca", "--host", "localhost"]));
    assert_eq!(
        run(&["pki", "issue", at, "x", "--role", "emperor", "--host", "localhost"]).status.code(),
        Some(2)
    );
}

#[test]
fn an_empty_password_is_refused() {
    let site = common::Site::with_a_node_and_a_domain();
    let output = site.run_with_input(&["user", "add", "ana@ejemplo.test", "--password-stdin"], "\n");
    assert!(refusal(&output).contains("empty"));
    // And without a terminal there is nobody to ask.
    let output = site.run(&["user", "add", "ana@ejemplo.test"]);
    assert!(refusal(&output).contains("--password-stdin"), "{}", stderr(&output));
}

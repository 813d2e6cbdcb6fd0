//! Each check is tripped once, at least: a sample with some replacements, and the finding that must come of them.

use super::super::samples::{LAB, SOLO, changed};
use super::*;

/// The findings about a text, a line each: `error hosts.x: what is wrong; how to mend it`.
pub(super) fn said(text: &str) -> Vec<String> {
    let document = super::super::parse(text, "f.toml").unwrap();
    document.check().iter().map(|finding| format!("{} {finding}", finding.severity)).collect()
}

/// One finding that a change of a sample must cause, and that the sample itself has not.
pub(super) struct Trip {
    pub change: &'static [(&'static str, &'static str)],
    pub finding: &'static str,
}

pub(super) fn trip(sample: &str, trips: &[Trip]) {
    let before = said(sample);
    for Trip { change, finding } in trips {
        let text = change.iter().fold(sample.to_owned(), |text, (old, new)| changed(&text, old, new));
        let after = said(&text);
        assert!(!before.iter().any(|line| line.starts_with(finding)), "the sample has it already: {finding}");
        assert!(
            after.iter().any(|line| line.starts_with(finding)),
            "{change:?}\nshould say {finding}\nand says\n{}",
            after.join("\n")
        );
    }
}

fn errors(text: &str) -> Vec<String> {
    said(text).into_iter().filter(|line| line.starts_with("error")).collect()
}

#[test]
fn the_sites_of_this_repository_have_no_errors() {
    assert_eq!(errors(LAB), Vec::<String>::new());
    assert_eq!(errors(SOLO), Vec::<String>::new());
}

#[test]
fn zz() {
    println!("{}\n\n{}", said(LAB).join("\n"), said(SOLO).join("\n"));
}

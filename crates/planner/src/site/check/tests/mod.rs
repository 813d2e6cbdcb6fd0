//! Each check is tripped once, at least: a sample with some replacements, and the finding that must come of them.

mod servers;
mod services;
mod wires;

use proptest::prelude::*;

use super::super::parse;
use super::super::samples::{LAB, SOLO, changed};

/// The findings about a text, a line each: `error hosts.x: what is wrong; how to mend it`.
fn said(text: &str) -> Vec<String> {
    let document = parse(text, "f.toml").unwrap();
    document.check().iter().map(|finding| format!("{} {finding}", finding.severity)).collect()
}

/// Replacements in a sample, and how the finding begins that they must cause and the sample has not.
type Trip<'a> = (&'a [(&'a str, &'a str)], &'a str);

fn trip(sample: &str, trips: &[Trip<'_>]) {
    let before = said(sample);
    for (change, finding) in trips {
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

/// The lab's description of a host without its table.
fn without<'a>(text: &'a str, host: &str) -> String {
    let of_host = |part: &&'a str| {
        !part.starts_with(&format!("hosts.{host}]")) && !part.starts_with(&format!("hosts.{host}."))
    };
    text.split_inclusive("\n[").filter(of_host).collect()
}

#[test]
fn the_sites_of_this_repository_have_no_errors() {
    for text in [LAB, SOLO] {
        let errors: Vec<String> = said(text).into_iter().filter(|line| line.starts_with("error")).collect();
        assert_eq!(errors, Vec::<String>::new());
    }
}

#[test]
fn findings_know_their_line_and_errors_come_first() {
    let text = changed(
        LAB,
        "wg-admin = { network = \"admin\", addresses = [\"10.21.4.2\"] }",
        "wg-admin = { network = \"admin\", addresses = [\"10.21.4.1\"] }",
    );
    let findings = parse(&text, "f.toml").unwrap().check();
    let line = 1 + text.rfind("[\"10.21.4.1\"]").map(|at| text[..at].matches('\n').count()).unwrap();
    assert_eq!(findings[0].line, Some(line));
    assert_eq!(findings[0].severity, super::super::Severity::Error);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_site_says_it_is_judged_drawn_and_compared(changes in proptest::collection::vec((0..600_usize, 0..5_u8), 1..4)) {
        let mut lines: Vec<String> = LAB.lines().map(str::to_owned).collect();
        for (line, change) in changes {
            let number = line % lines.len();
            let digits = |with: &str| {
                let (key, value) = lines[number].split_once(" = ")?;
                value.bytes().all(|b| b.is_ascii_digit()).then(|| format!("{key} = {with}"))
            };
            let instead = match change {
                0 => Some(String::new()),
                1 => digits("0"),
                2 => digits("4294967295"),
                3 => digits("9223372036854775807"),
                _ => Some(lines[number].replace("GB", "000000TB").replace("GiB", "00000TiB")),
            };
            if let Some(instead) = instead {
                lines[number] = instead;
            }
        }
        if let Ok(document) = parse(&lines.join("\n"), "f.toml") {
            let site = &document.site;
            document.check();
            prop_assert!(super::super::picture(site).ends_with("</svg>\n"));
            prop_assert_eq!(super::super::Overview::new(site).hosts.len(), site.hosts.len());
            super::super::diff(&super::super::Site::parse(LAB, "lab").unwrap(), site);
        }
    }
}

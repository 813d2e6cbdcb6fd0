//! `chasqui plan simulate`: what it prints and refuses. What it works out is tested in the planner.

mod common;

use common::{json, refusal, run, stdout};

const LAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../hosts/lab/site.toml");

#[test]
fn a_day_of_a_site_is_told_with_its_usual_events_and_what_fails_first() {
    let said = stdout(&run(&["plan", "simulate", LAB]));
    for part in
        ["A day of lab with 500 accounts", "10:30=blade:blade-3", "controller:controller1", "No bottleneck"]
    {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
    assert!(!said.contains("09:00"), "hours only with --hours:\n{said}");
}

#[test]
fn a_day_as_json_has_every_tier_and_each_of_its_hours() {
    let day = json(&run(&["plan", "simulate", LAB, "--no-events", "--json", "--users", "600"]));
    assert_eq!(day["users"], 600);
    assert_eq!(day["events"].as_array().unwrap().len(), 0);
    let tiers = day["tiers"].as_array().unwrap();
    assert!(tiers.iter().any(|tier| tier["name"] == "drives"));
    assert!(tiers.iter().all(|tier| tier["hours"].as_array().unwrap().len() == 24));
    assert_eq!(day["bottleneck"]["at"], serde_json::Value::Null);
}

#[test]
fn a_site_that_does_not_exist_yet_is_planned_first() {
    let dir = tempfile::tempdir().unwrap();
    let picture = dir.path().join("day.svg");
    let said =
        stdout(&run(&["plan", "simulate", "--users", "1000", "--hours", "--svg", picture.to_str().unwrap()]));
    assert!(said.contains("1,000 accounts") && said.contains("09:00"), "{said}");
    assert!(std::fs::read_to_string(picture).unwrap().starts_with("<svg"));
}

#[test]
fn an_event_that_the_site_does_not_know_is_refused_with_what_there_is() {
    let output = run(&["plan", "simulate", LAB, "--event", "10:00=chassis:c9"]);
    assert_eq!(
        refusal(&output),
        "chasqui: `10:00=chassis:c9`: the site has no chassis `c9`; there are: c1, c2\n"
    );
}

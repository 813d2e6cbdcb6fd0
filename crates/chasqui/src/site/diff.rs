//! `chasqui site diff OLD NEW`

use std::path::Path;

use chasqui_planner::site::{self, Difference, KeyChange};
use serde_json::Value;

use super::check::count;
use super::sentences;
use crate::admin::output;

/// A value that is longer is not printed whole.
const LONGEST: usize = 60;

/// Prints what changes between two site files, and the order of the rebuilds.
pub fn diff(json: bool, old: &Path, new: &Path) -> anyhow::Result<()> {
    let difference = site::diff(&site::load(old)?, &site::load(new)?);
    if json {
        return output::line(&serde_json::to_string(&difference)?);
    }
    if difference.keys.is_empty() {
        return output::line("The two files describe the same site.");
    }
    keys(&difference.keys)?;
    if difference.hosts.is_empty() {
        return output::line("\nNo host changes.");
    }
    hosts(&difference)?;
    order(&difference)
}

fn keys(changes: &[KeyChange]) -> anyhow::Result<()> {
    let mut table = sentences(&["key", "old", "new"]);
    for change in changes {
        table.add_row([change.key.clone(), shown(&change.old), shown(&change.new)]);
    }
    output::line(&format!("Keys\n{}", table.trim_fmt()))
}

fn hosts(difference: &Difference) -> anyhow::Result<()> {
    let mut table = sentences(&["host", "", "what of it changes"]);
    for change in &difference.hosts {
        let topics: Vec<&str> = change.topics.iter().map(|topic| topic.name()).collect();
        table.add_row([change.host.clone(), change.action.name().to_owned(), topics.join(", ")]);
    }
    output::line(&format!("\nHosts\n{}", table.trim_fmt()))
}

fn order(difference: &Difference) -> anyhow::Result<()> {
    let waves = count(difference.waves.len(), "wave");
    output::line(&format!(
        "\nOrder: {waves}. Hosts of a wave may be rebuilt together; wait until it works before the next."
    ))?;
    let mut table = sentences(&["wave", "", "hosts"]);
    for (number, wave) in difference.waves.iter().enumerate() {
        table.add_row([(number + 1).to_string(), wave.phase.name().to_owned(), wave.hosts.join(", ")]);
    }
    output::line(&table.trim_fmt())?;
    if difference.interruptions.is_empty() {
        return output::line("\nNo service is interrupted.");
    }
    let mut table = sentences(&["wave", "what cannot be done without an interruption"]);
    for interruption in &difference.interruptions {
        table.add_row([interruption.wave.to_string(), interruption.sentence.clone()]);
    }
    output::line(&format!("\nInterruptions\n{}", table.trim_fmt()))
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

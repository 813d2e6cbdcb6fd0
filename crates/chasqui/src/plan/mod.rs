//! `chasqui plan`: what the planner worked out, as tables, JSON, a picture and a site file.

mod simulate;
mod tables;

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use chasqui_planner::capacity::{Capacity, Measured};
use chasqui_planner::demand::{self, Demand};
use chasqui_planner::place::{self, Fleet, PlaceError};
use serde_json::json;

use crate::admin::output;
use crate::cli::{DemandArguments, PlanArguments, PlanCommand};

/// `chasqui plan …`
pub fn plan(arguments: PlanArguments) -> anyhow::Result<()> {
    if let Some(command) = arguments.command {
        return match command {
            PlanCommand::Simulate(arguments) => simulate::run(&arguments),
        };
    }
    let demand = demand(&arguments.demand)?;
    let measured = measured(arguments.measured.as_deref())?;
    let capacity = Capacity::of(&demand, &measured);
    // What cannot be placed can still be counted.
    let fleet = Fleet::of(&demand, &measured);
    print(&arguments, &demand, &capacity, &fleet)?;
    if arguments.svg.is_none() && arguments.out.is_none() {
        return Ok(());
    }
    let fleet = fleet?;
    if let Some(file) = &arguments.svg {
        write(file, &place::picture(&demand, &capacity, &fleet))?;
        say(&arguments, &format!("The picture is in {}.", file.display()))?;
    }
    if let Some(dir) = &arguments.out {
        let file = dir.join("site.toml");
        if file.exists() && !arguments.force {
            bail!("{} exists: --force replaces it", file.display());
        }
        let (text, _) = place::site_text(&demand, &capacity, &fleet)?;
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        write(&file, &text)?;
        let hosts = fleet.hosts();
        say(&arguments, &format!("The site with its {hosts} hosts is in {}. Replace what is marked `# replace`.", file.display()))?;
    }
    Ok(())
}

/// The demand of a file and of options.
pub fn demand(arguments: &DemandArguments) -> anyhow::Result<Demand> {
    Ok(demand::read(arguments.file.as_deref(), &arguments.options.given)?)
}

/// What was measured: the file's figures, or those of this version.
pub fn measured(file: Option<&Path>) -> anyhow::Result<Measured> {
    Ok(file.map_or_else(Measured::built_in, Measured::load)?)
}

fn print(
    arguments: &PlanArguments,
    demand: &Demand,
    capacity: &Capacity,
    fleet: &Result<Fleet, PlaceError>,
) -> anyhow::Result<()> {
    if arguments.json {
        let (placed, error) = match fleet {
            Ok(fleet) => (json!(fleet), json!(null)),
            Err(error) => (json!(null), json!(error.to_string())),
        };
        let plan = json!({ "demand": demand, "capacity": capacity, "fleet": placed, "not_placed": error });
        return output::line(&serde_json::to_string(&plan)?);
    }
    let text = tables::plan(demand, capacity, fleet);
    std::io::stdout().lock().write_all(text.as_bytes()).context("standard output")
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| file.display().to_string())
}

/// What was written, for people; with --json standard output is for the plan alone.
fn say(arguments: &PlanArguments, sentence: &str) -> anyhow::Result<()> {
    if arguments.json { Ok(()) } else { output::line(sentence) }
}

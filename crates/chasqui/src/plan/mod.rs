//! `chasqui plan`: what the planner worked out, as tables, JSON, a picture and a site file.

mod simulate;
mod tables;

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

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
        let sources: Vec<&Path> =
            arguments.demand.file.iter().chain(&arguments.measured).map(|file| file.as_path()).collect();
        output::picture(file, &place::picture(&demand, &capacity, &fleet), &sources)?;
        say(&arguments, &format!("The picture is in {}.", file.display()))?;
    }
    if let Some(dir) = &arguments.out {
        let (text, _) = place::site_text(&demand, &capacity, &fleet)?;
        let file = put(dir, &text, arguments.force)?;
        let hosts = fleet.hosts();
        say(
            &arguments,
            &format!(
                "The site with its {hosts} hosts is in {}. Replace what is marked `# replace`.",
                file.display()
            ),
        )?;
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

/// Writes the site file; one that exists only with `force`.
fn put(dir: &Path, text: &str, force: bool) -> anyhow::Result<PathBuf> {
    let file = dir.join("site.toml");
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    if !force && fs::symlink_metadata(&file).is_ok() {
        bail!("{} exists: --force replaces it", file.display());
    }
    // Whole or not at all: a full disk must leave the old site as it is, and no half of a new one.
    let beside = dir.join(".site.toml.new");
    let written = match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => OpenOptions::new().write(true).create_new(true).open(&beside).and_then(|mut new| {
            new.write_all(text.as_bytes())?;
            new.sync_all()?;
            fs::rename(&beside, &file)
        }),
    };
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| file.display().to_string())?;
    Ok(file)
}

/// What was written, for people; with --json standard output is for the plan alone.
fn say(arguments: &PlanArguments, sentence: &str) -> anyhow::Result<()> {
    if arguments.json { Ok(()) } else { output::line(sentence) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn run(arguments: &[&str]) -> anyhow::Result<()> {
        let words = ["chasqui", "plan"].iter().chain(arguments);
        match Cli::try_parse_from(words)?.command {
            Command::Plan(arguments) => plan(*arguments),
            _ => bail!("not a plan"),
        }
    }

    #[test]
    fn a_site_file_that_exists_is_replaced_with_force_alone() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new").display().to_string();
        run(&["--users", "500", "--out", &dir]).unwrap();
        let file = folder.path().join("new/site.toml");
        let first = fs::read_to_string(&file).unwrap();

        let said = run(&["--users", "600", "--out", &dir]).unwrap_err().to_string();
        assert!(said.ends_with("site.toml exists: --force replaces it"), "{said}");
        assert_eq!(fs::read_to_string(&file).unwrap(), first);

        run(&["--users", "600", "--out", &dir, "--force"]).unwrap();
        assert_ne!(fs::read_to_string(&file).unwrap(), first);
    }

    #[test]
    fn every_figure_of_the_demand_is_an_option() {
        run(&[
            "--model",
            "paper",
            "--requests-per-minute",
            "6",
            "--domains",
            "a.example=1000,b.example",
            "--json",
        ])
        .unwrap();
        assert!(run(&["--requests-per-hour", "6"]).is_err());
        let said = run(&["--users", "0"]).unwrap_err().to_string();
        assert_eq!(said, "`users` is 0: write a value from 1 to 100000000");
    }

    #[test]
    fn what_finds_no_place_is_counted_but_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().display().to_string();
        run(&["--users", "100_000_000"]).unwrap();
        let said = run(&["--users", "100_000_000", "--out", &dir]).unwrap_err().to_string();
        assert!(said.contains("raise `datacenters`"), "{said}");
        assert!(!folder.path().join("site.toml").exists());
    }

    #[test]
    fn the_tables_have_every_figure_and_name_every_source() {
        let demand = Demand { model: chasqui_planner::site::Model::Paper, ..Demand::default() };
        let measured = measured(None).unwrap();
        let capacity = Capacity::of(&demand, &measured);
        let text = tables::plan(&demand, &capacity, &Fleet::of(&demand, &measured));
        let figures = [
            "4,166.66 /s",
            "350 TB",
            "4,266.66 Mbit/s",
            "533.33 MB/s",
            "5,000 Mbit/s",
            "625 MB/s",
            "41,666.66 IOPS",
            "352 TB",
            "10 × 400GB",
            "12.50",
            "6.25",
            "750.00",
            "200.00",
            "1,600",
            "1,106.25",
            "2,048",
            "1,280 ",
        ];
        for figure in figures {
            assert!(text.contains(figure), "{figure} is not in\n{text}");
        }
        for figure in &capacity.figures {
            assert!(text.contains(&figure.text), "{}", figure.key);
        }
        assert!(text.contains("\"measured\" comes from tests/bench/run"));
    }
}

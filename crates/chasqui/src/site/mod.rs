//! `chasqui site check|show|diff|schema`: the verbs on site files. What they say is the planner's.

mod check;
mod diff;
mod show;

use std::io::Write;

use anyhow::Context;
use chasqui_planner::site;
use comfy_table::{ContentArrangement, Table};

use crate::admin::output;
use crate::cli::{SiteArguments, SiteCommand};

/// `chasqui site …`
pub fn site(arguments: SiteArguments) -> anyhow::Result<()> {
    let json = arguments.json;
    match arguments.command {
        SiteCommand::Check { files } => check::check(json, &files),
        SiteCommand::Show { file, svg } => show::show(json, &file, svg.as_deref()),
        SiteCommand::Diff { old, new } => diff::diff(json, &old, &new),
        SiteCommand::Schema => print(&site::schema_text()),
    }
}

/// A table whose columns shrink to the terminal: sentences stand in them.
fn sentences(header: &[&str]) -> Table {
    let mut table = output::table(header);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).context("standard output")
}

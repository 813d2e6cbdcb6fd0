//! `chasqui site check|show|diff|schema`: the verbs on site files. What they say is the planner's.

use std::io::Write;

use anyhow::Context;
use chasqui_planner::site;

use crate::cli::{SiteArguments, SiteCommand};

/// `chasqui site …`
pub fn site(arguments: SiteArguments) -> anyhow::Result<()> {
    match arguments.command {
        SiteCommand::Schema => print(&site::schema_text()),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).context("standard output")
}

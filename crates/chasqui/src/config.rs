//! `chasqui config check|example|schema|reference`.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use chasqui_base::config;
use serde_json::json;

use crate::admin::output;
use crate::cli::{ConfigArguments, ConfigCommand, RoleName};
use crate::role::{Role, with_role};
use crate::{reference, run};

/// `chasqui config …`
pub fn config(arguments: ConfigArguments) -> anyhow::Result<()> {
    let json = arguments.json;
    match arguments.command {
        ConfigCommand::Check { role, file } => with_role!(role, R => check::<R>(&file, json)),
        ConfigCommand::Example { role } if json => with_role!(role, R => print(&defaults::<R>()?)),
        ConfigCommand::Example { role } => print(&example(role)),
        ConfigCommand::Schema { role } => with_role!(role, R => print(&schema::<R>()?)),
        ConfigCommand::Reference { dir } => reference::write(&dir, json),
    }
}

/// A configuration file of the role with every key.
pub fn example(role: RoleName) -> String {
    with_role!(role, R => example_of::<R>())
}

fn example_of<R: Role>() -> String {
    config::example::<R::Config>(&format!(
        "Configuration of the {} role, with every key and its default.",
        R::ROLE
    ))
}

fn check<R: Role>(file: &Path, json: bool) -> anyhow::Result<()> {
    let config = config::load::<R::Config>(file)?;
    run::check::<R>(&config).with_context(|| file.display().to_string())?;
    let sentence = format!("{}: a correct configuration of the {} role", file.display(), R::ROLE);
    output::record(json, &json!({ "file": file, "role": R::ROLE, "correct": true }), &sentence)
}

/// The defaults without their explanation, as JSON.
fn defaults<R: Role>() -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&R::Config::default())? + "\n")
}

fn schema<R: Role>() -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&schemars::schema_for!(R::Config))? + "\n")
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).context("standard output")
}

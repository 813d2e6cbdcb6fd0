//! `chasqui config check|example|schema|reference`.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use chasqui_base::config;

use crate::cli::{ConfigCommand, RoleName};
use crate::reference;
use crate::role::{Role, with_role};

/// `chasqui config …`
pub fn config(command: ConfigCommand) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Check { role, file } => with_role!(role, R => check::<R>(&file)),
        ConfigCommand::Example { role } => print(&example(role)),
        ConfigCommand::Schema { role } => with_role!(role, R => print(&schema::<R>()?)),
        ConfigCommand::Reference { dir } => reference::write(&dir),
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

fn check<R: Role>(file: &Path) -> anyhow::Result<()> {
    let config = config::load::<R::Config>(file)?;
    R::check(&config).with_context(|| file.display().to_string())?;
    print(&format!("{}: a correct configuration of the {} role\n", file.display(), R::ROLE))
}

fn schema<R: Role>() -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&schemars::schema_for!(R::Config))? + "\n")
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).context("standard output")
}

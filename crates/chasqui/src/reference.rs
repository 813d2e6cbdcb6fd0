//! `chasqui config reference DIR`: the pages of `docs/reference`, made from the configuration structs and the command line.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use clap::{CommandFactory, ValueEnum};
use serde_json::json;

use crate::admin::output;
use crate::cli::{Cli, RoleName};
use crate::config;

/// Writes one page a role, one of the site file and one of all commands.
pub fn write(dir: &Path, json: bool) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let put = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    };
    for &role in RoleName::value_variants() {
        put(&format!("{}.md", name(role)), &role_page(role))?;
    }
    put("site.md", &chasqui_planner::site::reference_page())?;
    put("commands.md", &commands_page())?;
    output::record(json, &json!({ "dir": dir }), &format!("The reference pages are in {}.", dir.display()))
}

fn role_page(role: RoleName) -> String {
    let name = name(role);
    format!(
        "# Configuration of the {name} role\n\n\
         <!-- Written by `chasqui config reference`. The texts are the doc comments of the configuration structs. -->\n\n\
         Every key, what it means, and its default. A key that stands as a comment is optional and has none. `chasqui config\n\
         example {name}` prints this file; `chasqui config check {name} FILE` checks yours.\n\n\
         ```toml\n{}```\n",
        config::example(role)
    )
}

/// Each command's `--help`, in the order of the command line.
fn commands_page() -> String {
    let mut page = String::from(
        "# Commands\n\n<!-- Written by `chasqui config reference`. The texts are those of `--help`. -->\n",
    );
    let mut root = Cli::command().disable_help_subcommand(true).term_width(100);
    root.build();
    command_section(&mut page, root, "");
    page
}

fn command_section(page: &mut String, mut command: clap::Command, parent: &str) {
    let path = format!("{parent}{}", command.get_name());
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    let _ = write!(page, "\n## {path}\n\n```text\n{}\n```\n", help.join("\n"));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        command_section(page, inner.clone(), &format!("{path} "));
    }
}

fn name(role: RoleName) -> String {
    role.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

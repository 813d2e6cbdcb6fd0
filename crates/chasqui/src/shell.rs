//! `chasqui completion` and `chasqui man`: both are made from the command line's own description.

use std::io::Write;

use anyhow::Context;
use clap::CommandFactory;

use crate::cli::{Cli, CompletionArguments, ManArguments};

/// `chasqui completion SHELL`
pub fn completion(arguments: CompletionArguments) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "chasqui", &mut script);
    std::io::stdout().lock().write_all(&script).context("standard output")
}

/// `chasqui man [DIR]`
pub fn man(arguments: ManArguments) -> anyhow::Result<()> {
    match arguments.dir {
        Some(dir) => {
            std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
            clap_mangen::generate_to(Cli::command(), &dir).with_context(|| dir.display().to_string())
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            std::io::stdout().lock().write_all(&page).context("standard output")
        }
    }
}

//! `chasqui user import`: the directory reads and checks the lines; here is the file, the progress bar and the report.

use std::fs::File;
use std::io::{IsTerminal, Read};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{open, output};
use crate::cli::ImportArguments;

/// `chasqui user import FILE`
pub async fn import(arguments: ImportArguments) -> Result<()> {
    let ImportArguments { file, options } = arguments;
    let (input, size): (Box<dyn Read + Send>, Option<u64>) = if file.as_os_str() == "-" {
        (Box::new(std::io::stdin()), None)
    } else {
        let opened = File::open(&file).with_context(|| file.display().to_string())?;
        let size = opened.metadata().ok().map(|about| about.len());
        (Box::new(opened), size)
    };
    let database = open(&options).await?;
    let bar = bar(size, options.json);
    let report = database
        .import_users(input, |progress| {
            bar.set_position(progress.octets);
            bar.set_message(format!("{} added, {} refused", progress.added, progress.refused));
        })
        .await;
    bar.finish_and_clear();
    database.close().await;
    let report = report?;
    let refused = report.refused.len();
    output::record(options.json, &report, &format!("{} accounts imported.", report.added))?;
    if !options.json {
        for failure in &report.refused {
            eprintln!("line {}: {}", failure.line, failure.reason);
        }
    }
    match refused {
        0 => Ok(()),
        1 => bail!("one line was not imported"),
        _ => bail!("{refused} lines were not imported"),
    }
}

/// A bar over the octets of the file, where somebody watches.
fn bar(size: Option<u64>, json: bool) -> ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = match size {
        Some(size) => ProgressBar::new(size),
        None => ProgressBar::new_spinner(),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    // The template is a constant; one that could not be read would only lose its colours.
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent}% {msg}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

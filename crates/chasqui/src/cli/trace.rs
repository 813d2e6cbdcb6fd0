//! `chasqui trace`

use std::path::PathBuf;

use clap::Args;

/// `chasqui trace`
#[derive(Args, Debug)]
pub struct TraceArguments {
    /// The Message-ID of the message, with or without its brackets, or a delivery id as it stands in
    /// `Received` lines and logs.
    #[arg(value_name = "MESSAGE-ID")]
    pub id: String,
    /// Log files, folders of them, or `-` for standard input. Files that end in `.gz` are unpacked.
    #[arg(value_name = "LOG", required = true)]
    pub logs: Vec<PathBuf>,
    /// Print one JSON object with all that was found instead of a table.
    #[arg(long)]
    pub json: bool,
}

//! How the operator's commands print: a table or a sentence for people, JSON for programs.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use comfy_table::{ContentArrangement, LineStyle, Table, presets};
use serde::Serialize;

/// Prints `records` as a JSON array, or as a table with one row each.
pub fn list<T: Serialize>(
    json: bool,
    records: &[T],
    header: &[&str],
    row: impl Fn(&T) -> Vec<String>,
) -> anyhow::Result<()> {
    if json {
        return line(&serde_json::to_string(records)?);
    }
    let mut table = table(header);
    for record in records {
        table.add_row(row(record));
    }
    line(&table.trim_fmt())
}

/// Prints one record as a JSON object, or as the sentence that says what was done.
pub fn record<T: Serialize>(json: bool, record: &T, sentence: &str) -> anyhow::Result<()> {
    if json { line(&serde_json::to_string(record)?) } else { line(sentence) }
}

/// An empty table in the style of all commands.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_NO_BORDERS.row_separator(LineStyle::none()))
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.to_vec());
    table
}

/// What files and databases say, harmless to a terminal: control characters could move its cursor or rename its window.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() && !matches!(letter, '\n' | '\t') { '\u{fffd}' } else { letter })
        .collect()
}

/// Writes a picture; never over one of the files that it was made from.
pub fn picture(file: &Path, text: &str, sources: &[&Path]) -> anyhow::Result<()> {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    if real(file).is_some_and(|out| sources.iter().any(|source| real(source).as_ref() == Some(&out))) {
        anyhow::bail!("--svg {}: the picture is made from this file; write it elsewhere", file.display());
    }
    std::fs::write(file, text).with_context(|| file.display().to_string())
}

/// Prints one line.
pub fn line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", plain(text)).and_then(|()| out.flush()).context("standard output")
}

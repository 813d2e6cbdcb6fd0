//! How the operator's commands print: a table or a sentence for people, JSON for programs.

use std::io::Write;

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

/// Prints one line.
pub fn line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("standard output")
}

//! `chasqui site check FILE...`

use std::path::{Path, PathBuf};

use chasqui_planner::site::{self, Finding, Severity, SiteError};
use serde::Serialize;

use super::sentences;
use crate::admin::output;

/// What was found in one file.
#[derive(Serialize)]
struct Checked<'a> {
    file: &'a Path,
    errors: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

/// Checks every file, and fails when one has an error.
pub fn check(json: bool, files: &[PathBuf]) -> anyhow::Result<()> {
    let checked = files.iter().map(|file| one(file)).collect::<anyhow::Result<Vec<_>>>()?;
    if json {
        output::line(&serde_json::to_string(&checked)?)?;
    } else {
        for file in &checked {
            tell(file)?;
        }
    }
    let wrong: Vec<String> = checked
        .iter()
        .filter(|file| file.errors > 0)
        .map(|file| format!("{} has {}", file.file.display(), count(file.errors, "error")))
        .collect();
    if wrong.is_empty() { Ok(()) } else { anyhow::bail!("{}", wrong.join(", ")) }
}

fn one(file: &Path) -> anyhow::Result<Checked<'_>> {
    let findings = match site::open(file) {
        Ok(document) => document.check(),
        Err(SiteError::Refused { findings, .. }) => findings,
        Err(error) => return Err(error.into()),
    };
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    Ok(Checked { file, errors: of(Severity::Error), warnings: of(Severity::Warning), findings })
}

fn tell(checked: &Checked<'_>) -> anyhow::Result<()> {
    let file = checked.file.display();
    match (checked.errors, checked.warnings) {
        (0, 0) => return output::line(&format!("{file}: nothing is wrong.")),
        (0, warnings) => output::line(&format!("{file}: no errors, {}.", count(warnings, "warning")))?,
        (errors, 0) => output::line(&format!("{file}: {}.", count(errors, "error")))?,
        (errors, warnings) => {
            output::line(&format!("{file}: {}, {}.", count(errors, "error"), count(warnings, "warning")))?;
        }
    }
    let mut table = sentences(&["", "line", "key", "what is wrong", "how to mend it"]);
    for finding in &checked.findings {
        table.add_row([
            finding.severity.to_string(),
            finding.line.map_or_else(String::new, |line| line.to_string()),
            finding.path.clone(),
            finding.wrong.clone(),
            finding.mend.clone(),
        ]);
    }
    output::line(&table.trim_fmt())
}

/// `1 error`, `2 errors`.
pub(super) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

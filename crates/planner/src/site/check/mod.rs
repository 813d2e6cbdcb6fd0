//! What is wrong with a site whose names all stand for something: `chasqui site check`.
//!
//! Each file holds the checks of one subject; each finding names its key, what is wrong and how to mend it. What concerns
//! redundancy alone is an error where the site says `redundant`, and a warning where it does not.

mod addresses;
mod bonds;
mod capacity;
mod demand;
mod filters;
mod gateways;
mod guests;
mod links;
mod machines;
mod meshes;
mod names;
mod outbound;
mod publish;
mod redundancy;
mod roles;
mod secrets;
#[cfg(test)]
mod tests;
mod volumes;

use super::finding::{Finding, Severity, path};
use super::fleet::Fleet;
use super::{Document, Site};

pub(in crate::site) use capacity::net_size;

/// Every finding about a site, errors first, then by key.
pub fn check(site: &Site) -> Vec<Finding> {
    let fleet = Fleet::new(site);
    let mut report = Report { redundant: site.redundant, findings: Vec::new() };
    for check in CHECKS {
        check(&fleet, &mut report);
    }
    let mut findings = report.findings;
    findings.sort_by(|a, b| (a.severity, &a.path, &a.wrong).cmp(&(b.severity, &b.path, &b.wrong)));
    findings.dedup();
    findings
}

impl Document {
    /// Every finding about the site, with the lines of their keys.
    pub fn check(&self) -> Vec<Finding> {
        let mut findings = check(&self.site);
        for finding in &mut findings {
            finding.line = self.lines.get(&finding.path);
        }
        findings
    }
}

const CHECKS: [fn(&Fleet<'_>, &mut Report); 17] = [
    addresses::check,
    bonds::check,
    capacity::check,
    demand::check,
    filters::check,
    gateways::check,
    guests::check,
    links::check,
    machines::check,
    meshes::check,
    names::check,
    outbound::check,
    publish::check,
    redundancy::check,
    roles::check,
    secrets::check,
    volumes::check,
];

/// The findings so far.
struct Report {
    redundant: bool,
    findings: Vec<Finding>,
}

impl Report {
    /// The site must not be built like this.
    fn error(&mut self, key: &[&str], wrong: impl Into<String>, mend: impl Into<String>) {
        self.findings.push(Finding::error(path(key), wrong, mend));
    }

    /// The site works, but somebody should look at it.
    fn warning(&mut self, key: &[&str], wrong: impl Into<String>, mend: impl Into<String>) {
        let finding = Finding::error(path(key), wrong, mend);
        self.findings.push(Finding { severity: Severity::Warning, ..finding });
    }

    /// An error in a redundant site, a warning in another (E17).
    fn redundancy(&mut self, key: &[&str], wrong: impl Into<String>, mend: impl Into<String>) {
        if self.redundant { self.error(key, wrong, mend) } else { self.warning(key, wrong, mend) }
    }
}

/// `1 core`, `2 cores`.
fn count(number: u64, thing: &str) -> String {
    let plural = if thing.ends_with('s') { "es" } else { "s" };
    format!("{number} {thing}{}", if number == 1 { "" } else { plural })
}

/// Octets as a person reads them: `1.5 TB`.
pub(in crate::site) fn octets(number: u64) -> String {
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB")];
    let (size, unit) = units.into_iter().find(|(size, _)| number >= *size).unwrap_or((1, "octets"));
    let tenths = u128::from(number) * 10 / u128::from(size);
    if tenths % 10 == 0 {
        format!("{} {unit}", tenths / 10)
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

//! What is wrong with a site whose names all stand for something: `chasqui site check`.
//!
//! Each file holds the checks of one subject; each finding names its key, what is wrong and how to mend it. What concerns
//! redundancy alone is an error where the site says `redundant`, and a warning where it does not.

mod addresses;
mod bonds;
mod capacity;
mod demand;
mod gateways;
mod guests;
mod links;
mod machines;
mod meshes;
mod names;
mod publish;
mod redundancy;
mod roles;
mod secrets;
#[cfg(test)]
mod tests;
mod volumes;

use std::collections::BTreeMap;

use super::finding::{Finding, Severity, path};
use super::{Document, Host, Role, Site};

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

const CHECKS: [fn(&Fleet<'_>, &mut Report); 15] = [
    addresses::check,
    bonds::check,
    capacity::check,
    demand::check,
    gateways::check,
    guests::check,
    links::check,
    machines::check,
    meshes::check,
    names::check,
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

/// A site with what every check asks for worked out once: a site may have thousands of hosts.
struct Fleet<'a> {
    site: &'a Site,
    /// The data centre of each host that has one.
    datacenters: BTreeMap<&'a str, &'a str>,
    /// Each machine's own system.
    systems: BTreeMap<&'a str, (&'a str, &'a Host)>,
    /// Each machine's guests.
    guests: BTreeMap<&'a str, Vec<(&'a str, &'a Host)>>,
    /// The hosts of each role in each data centre, by name.
    groups: BTreeMap<Role, BTreeMap<&'a str, Vec<(&'a str, &'a Host)>>>,
}

impl<'a> Fleet<'a> {
    fn new(site: &'a Site) -> Self {
        let mut fleet = Self {
            site,
            datacenters: BTreeMap::new(),
            systems: BTreeMap::new(),
            guests: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        for (name, host) in &site.hosts {
            if host.guest {
                fleet.guests.entry(&host.machine).or_default().push((name, host));
            } else {
                fleet.systems.entry(&host.machine).or_insert((name, host));
            }
            let Some(datacenter) = site.datacenter_of(host) else { continue };
            fleet.datacenters.insert(name, datacenter);
            let mut roles = host.roles.clone();
            roles.sort_unstable();
            roles.dedup();
            for role in roles {
                fleet.groups.entry(role).or_default().entry(datacenter).or_default().push((name, host));
            }
        }
        fleet
    }

    fn datacenter(&self, host: &str) -> Option<&'a str> {
        self.datacenters.get(host).copied()
    }

    /// The hosts of a role in a data centre.
    fn group(&self, role: Role, datacenter: &str) -> &[(&'a str, &'a Host)] {
        self.groups.get(&role).and_then(|of| of.get(datacenter)).map_or(&[], Vec::as_slice)
    }

    /// The hosts of a role, a data centre each.
    fn groups_of(&self, role: Role) -> impl Iterator<Item = (&'a str, &[(&'a str, &'a Host)])> {
        self.groups
            .get(&role)
            .into_iter()
            .flatten()
            .map(|(datacenter, hosts)| (*datacenter, hosts.as_slice()))
    }

    /// The hosts of a role in every data centre.
    fn servers(&self, role: Role) -> impl Iterator<Item = (&'a str, &'a Host)> {
        self.groups_of(role).flat_map(|(_, hosts)| hosts.iter().copied())
    }
}

/// `1 core`, `2 cores`.
fn count(number: u64, thing: &str) -> String {
    let plural = if thing.ends_with('s') { "es" } else { "s" };
    format!("{number} {thing}{}", if number == 1 { "" } else { plural })
}

/// Octets as a person reads them: `1.5 TB`.
fn octets(number: u64) -> String {
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB")];
    let (size, unit) = units.into_iter().find(|(size, _)| number >= *size).unwrap_or((1, "octets"));
    let tenths = u128::from(number) * 10 / u128::from(size);
    if tenths % 10 == 0 {
        format!("{} {unit}", tenths / 10)
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

//! A site file, read: either a site in which every name stands for something, or all that is wrong with it.

use std::fmt;
use std::path::{Path, PathBuf};

use chasqui_base::config::{self, ConfigError};
use toml::de::{DeTable, DeValue};

use super::finding::Finding;
use super::walk::{self, Lines};
use super::{Site, reference, shape};

/// The version of the format that is understood here.
const VERSION: i64 = 1;

/// A site and the lines of its keys, for findings that come later.
#[derive(Clone, Debug)]
pub struct Document {
    /// The site.
    pub site: Site,
    /// The line of each key.
    pub lines: Lines,
}

/// Reads a site file. Unknown keys, wrong values and names that stand for nothing are refused, all at once.
pub fn load(path: &Path) -> Result<Site, SiteError> {
    open(path).map(|document| document.site)
}

/// Reads a site file like [`load`], and keeps the lines of its keys.
pub fn open(path: &Path) -> Result<Document, SiteError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| SiteError::Read { path: path.to_owned(), source })?;
    parse(&text, &path.display().to_string())
}

/// Reads the text of a site file like [`open`]; `origin` names it in errors.
pub fn parse(text: &str, origin: &str) -> Result<Document, SiteError> {
    let refuse = |findings| Err(SiteError::Refused { origin: origin.to_owned(), findings });
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let starts: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        return refuse(errors.iter().map(|error| syntax(error, &starts)).collect());
    }
    let table = table.into_inner();
    let lines = Lines::of(text, &table);
    if let Some(finding) = wrong_version(&table) {
        return refuse(placed(vec![finding], &lines));
    }
    let document = DeValue::Table(table);
    let findings = wrong_shape(&document);
    if !findings.is_empty() {
        return refuse(placed(findings, &lines));
    }
    match config::parse(text, origin) {
        Ok(site) => Ok(Document { site, lines }),
        Err(error) => refuse(placed(vec![from_config(error)], &lines)),
    }
}

impl Site {
    /// Reads the text of a site file; `origin` names it in errors.
    pub fn parse(text: &str, origin: &str) -> Result<Self, SiteError> {
        parse(text, origin).map(|document| document.site)
    }
}

/// Why a site file was refused.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is no site.
    #[error("{}", Listing(origin, findings))]
    Refused {
        /// The file.
        origin: String,
        /// All that is wrong, never empty.
        findings: Vec<Finding>,
    },
}

/// Findings, a line each, with the file and its line before them.
struct Listing<'a>(&'a str, &'a [Finding]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, finding) in self.1.iter().enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            match finding.line {
                Some(line) => write!(f, "{end}{}:{line}: {finding}", self.0)?,
                None => write!(f, "{end}{}: {finding}", self.0)?,
            }
        }
        Ok(())
    }
}

fn wrong_version(table: &DeTable<'_>) -> Option<Finding> {
    let version = table.get("version").map(|value| value.get_ref());
    let given = match version {
        Some(DeValue::Integer(number)) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => return None, // missing or no integer: the shape says so
    };
    let said = given.map_or("this".to_owned(), |given| given.to_string());
    (given != Some(VERSION)).then(|| {
        let mend = format!("write version = {VERSION}, or take the program that the file is for");
        Finding::error("version", format!("version {said} of the format is not known to this program"), mend)
    })
}

fn wrong_shape(document: &DeValue<'_>) -> Vec<Finding> {
    let schema = super::schema();
    let mut findings = Vec::new();
    let DeValue::Table(table) = document else { return findings };
    walk::walk(&schema, document, &mut |place| {
        shape::check(&place, &mut findings);
        reference::check(table, &place, &mut findings);
    });
    findings
}

fn syntax(error: &toml::de::Error, starts: &[usize]) -> Finding {
    let mut finding = Finding::error("", error.message().to_owned(), "the text must be TOML");
    finding.line = error.span().map(|span| walk::line(starts, span.start));
    finding
}

fn from_config(error: ConfigError) -> Finding {
    match error {
        ConfigError::UnknownKey { path, hint, .. } => Finding::error(path, "there is no such key", hint),
        ConfigError::Value { path, reason, .. } => Finding::error(path, reason, "write a value of that kind"),
        other => Finding::error("", other.to_string(), "the text must be TOML"),
    }
}

fn placed(mut findings: Vec<Finding>, lines: &Lines) -> Vec<Finding> {
    for finding in &mut findings {
        finding.line = lines.get(&finding.path);
    }
    findings.sort_by_key(|finding| finding.line);
    findings
}

#[cfg(test)]
mod tests {
    use super::super::samples::{LAB, SOLO, changed};
    use super::*;

    fn refused(text: &str) -> String {
        parse(text, "f.toml").unwrap_err().to_string()
    }

    #[test]
    fn the_sites_of_this_repository_are_read() {
        assert_eq!(Site::parse(LAB, "lab").unwrap().hosts.len(), 25);
        assert_eq!(Site::parse(SOLO, "solo").unwrap().name, "solo");
    }

    #[test]
    fn a_name_that_stands_for_nothing_is_refused_with_its_path_and_the_names_that_exist() {
        let text = changed(
            LAB,
            "eth0 = { network = \"service\", addresses = [\"10.20.1.41\"",
            "eth0 = { network = \"servce\", addresses = [\"10.20.1.41\"",
        );
        let said = refused(&text);
        assert!(
            said.contains(
                ": hosts.service1.interfaces.eth0.network: no network is called `servce`; did you mean `service`? networks: admin, "
            ),
            "{said}"
        );
        let line = 1 + text.lines().position(|line| line.contains("servce")).unwrap();
        assert!(said.starts_with(&format!("f.toml:{line}: ")), "{said}");
    }

    #[test]
    fn every_mistake_is_named_not_the_first_alone() {
        let text = changed(SOLO, "machine = \"servidor\"", "machine = \"servido\"\nrole = [\"mx\"]");
        let text = changed(&text, "memory = \"8GiB\"", "memory = \"8GX\"");
        let text =
            changed(&text, "at.sala.public = [\"192.0.2.10\"]", "at.salon.public = [\"192.0.2.10/24\"]");
        let text = changed(&text, "cores = 4\n", "");
        let said = refused(&text);
        for expected in [
            "machines.servidor.memory: `8GX` has no known unit",
            "machines.servidor.cores: it is missing; add it: Processor cores",
            "hosts.correo.machine: no machine is called `servido`; did you mean `servidor`?",
            "hosts.correo.role: there is no such key; did you mean `roles`? keys here: ",
            "publish.smtp.at.salon: no data centre is called `salon`; datacenters: sala",
            "publish.smtp.at.salon.public[0]: `192.0.2.10/24` is no IP address",
        ] {
            assert!(said.contains(expected), "{expected} in\n{said}");
        }
    }

    #[test]
    fn values_of_the_wrong_kind_are_refused_where_they_stand() {
        for (old, new, expected) in [
            (
                "tcp = [25]",
                "tcp = [70000]",
                "publish.smtp.tcp[0]: 70000 is out of range; write a number from 0 to 65535",
            ),
            ("cores = 4", "cores = \"four\"", "machines.servidor.cores: it is a string; write an integer"),
            (
                "kind = \"public\"",
                "kind = \"pubic\"",
                "networks.public.kind: `pubic` is not known here; did you mean `public`?",
            ),
            (
                "\"storage\", \"proxy\", \"relay\"]",
                "\"storge\", \"proxy\"]",
                "hosts.correo.roles[2]: `storge` is not known here; did you mean `storage`?",
            ),
            ("[hosts.correo]", "[hosts.Correo_1]", "hosts.Correo_1: `Correo_1` cannot be a name here"),
            (
                "prefixes = [\"192.0.2.0/24\"]",
                "prefixes = [\"192.0.2.1/24\"]",
                "networks.public.prefixes[0]: `192.0.2.1/24` is not a network",
            ),
            ("name = \"solo\"", "name = [\"solo\"]", "name: it is an array; write a string"),
        ] {
            let said = refused(&changed(SOLO, old, new));
            assert!(said.contains(expected), "{expected} in\n{said}");
        }
    }

    #[test]
    fn another_version_is_refused_before_anything_else() {
        let said = refused(&changed(SOLO, "version = 1", "version = 2\nnew_key = true"));
        assert_eq!(
            said,
            "f.toml:3: version: version 2 of the format is not known to this program; write version = 1, or take the program that the file is for"
        );
    }

    #[test]
    fn text_that_is_not_toml_is_refused_with_its_line() {
        assert!(refused("version = 1\nname = \n").starts_with("f.toml:2: "));
    }
}

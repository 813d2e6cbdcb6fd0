//! What our own benchmarks measured: `data/measured.toml`, written by `tests/bench/run --planner`.

use std::path::Path;

use chasqui_base::config::{self, ConfigError};
use serde::{Deserialize, Serialize};

use crate::site::Table;

/// The figures of a run of the benchmarks, with what makes them comparable.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The version of this format. It is 1.
    pub version: u32,
    /// The commit that was measured.
    pub commit: String,
    /// The day, `YYYY-MM-DD`.
    pub date: String,
    /// The command that writes the file.
    pub command: String,
    /// The machine.
    pub machine: String,
    /// Its cores.
    pub cores: u32,
    /// What one operation costs.
    pub operations: Table<Operation>,
    /// Octets that one core of a role passes on in a second.
    pub bytes: Table<f64>,
    /// Octets of memory.
    pub memory: Memory,
}

/// What one operation costs each role that has a part in it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Operation {
    /// What it is.
    pub about: String,
    /// How many were measured.
    pub count: u64,
    /// Microseconds of one core, a role each.
    #[serde(flatten)]
    pub cost: Table<f64>,
}

/// Octets of memory.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Memory {
    /// Of a process that has just started, a role each.
    pub start: Table<f64>,
    /// For each one more.
    #[serde(flatten)]
    pub each: Table<f64>,
}

/// Why measured figures cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MeasuredError {
    /// The file cannot be read.
    #[error("{0}")]
    Read(#[from] ConfigError),
    /// A figure is missing, or is no positive number.
    #[error(
        "{origin}: `{key}` must be a positive number: write the file again with `tests/bench/run --planner`"
    )]
    Figure {
        /// The file.
        origin: String,
        /// The key with its tables.
        key: String,
    },
}

/// The figures that a plan needs; the rest of the file is for the simulation and for readers.
const NEEDED: [(&str, &[&str]); 4] = [
    ("message_in", &["mx", "storage", "directory"]),
    ("log_in_tls", &["proxy", "storage", "directory"]),
    ("first_log_in", &["directory"]),
    ("request_tls", &["proxy", "storage"]),
];
const NEEDED_BYTES: [&str; 2] = ["proxy_tls", "storage_tls"];
const NEEDED_MEMORY: [&str; 5] =
    ["proxy_session_tls", "storage_session_tls", "storage_session_idle", "mx_connection", "directory_user"];
const NEEDED_START: [&str; 4] = ["directory", "mx", "proxy", "storage"];

impl Measured {
    /// The figures that this version was built with.
    pub fn built_in() -> Result<Self, MeasuredError> {
        Self::parse(include_str!("../../data/measured.toml"), "the built-in measured.toml")
    }

    /// Figures from a file.
    pub fn load(path: &Path) -> Result<Self, MeasuredError> {
        let measured = config::load::<Self>(path)?;
        measured.check(&path.display().to_string())?;
        Ok(measured)
    }

    fn parse(text: &str, origin: &str) -> Result<Self, MeasuredError> {
        let measured = config::parse::<Self>(text, origin)?;
        measured.check(origin)?;
        Ok(measured)
    }

    fn check(&self, origin: &str) -> Result<(), MeasuredError> {
        let sound = |key: String, value: f64| {
            let positive = value.is_finite() && value > 0.0;
            if positive { Ok(()) } else { Err(MeasuredError::Figure { origin: origin.to_owned(), key }) }
        };
        for (operation, roles) in NEEDED {
            for role in roles {
                sound(format!("operations.{operation}.{role}"), self.cost(operation, role))?;
            }
        }
        for key in NEEDED_BYTES {
            sound(format!("bytes.{key}"), self.bytes(key))?;
        }
        for key in NEEDED_MEMORY {
            sound(format!("memory.{key}"), self.each(key))?;
        }
        for role in NEEDED_START {
            sound(format!("memory.start.{role}"), self.start(role))?;
        }
        Ok(())
    }

    /// Microseconds of one core that an operation costs a role; 0 where it has no part in it.
    pub fn cost(&self, operation: &str, role: &str) -> f64 {
        self.operations.get(operation).and_then(|operation| operation.cost.get(role)).copied().unwrap_or(0.0)
    }

    /// Octets that one core passes on in a second; 0 where nothing is known.
    pub fn bytes(&self, key: &str) -> f64 {
        self.bytes.get(key).copied().unwrap_or(0.0)
    }

    /// Octets of memory of a role's process that has just started.
    pub fn start(&self, role: &str) -> f64 {
        self.memory.start.get(role).copied().unwrap_or(0.0)
    }

    /// Octets of memory for each one more.
    pub fn each(&self, key: &str) -> f64 {
        self.memory.each.get(key).copied().unwrap_or(0.0)
    }

    /// Where the figures come from, for a reader.
    pub fn source(&self) -> String {
        format!("{} at commit {} on {}, {}", self.command, self.commit, self.date, self.machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_figures_are_complete() {
        let measured = Measured::built_in().unwrap();
        assert!(measured.source().contains("tests/bench/run"));
    }

    #[test]
    fn a_missing_figure_is_named_with_the_command_that_writes_it() {
        let text = include_str!("../../data/measured.toml").replace("directory_user", "directory_person");
        let said = Measured::parse(&text, "measured.toml").unwrap_err().to_string();
        assert_eq!(
            said,
            "measured.toml: `memory.directory_user` must be a positive number: write the file again with `tests/bench/run --planner`"
        );
    }
}

//! The published samples: SPF vectors, DKIM and ARC messages and DMARC reports that the mail-auth package brings in its
//! `resources` folder, through our own verdicts, over our own resolver, from a real name server that holds the samples' zones.
//!
//! What differs from the samples stands in `spf::DIFFERENT`, with the reason, and is tested too.

mod messages;
mod reports;
mod resources;
mod spf;

use chasqui_dns::testing::Zone;
use resources::resources;
use std::{collections::BTreeMap, path::PathBuf};

/// The files of a folder with an extension, in order.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(resources().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has no samples");
    files
}

/// Records by name and type; what is set again replaces what was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Records(BTreeMap<(String, &'static str), Vec<String>>);

impl Records {
    fn set(&mut self, name: &str, kind: &'static str, values: Vec<String>) {
        self.0.insert((name.trim().trim_end_matches('.').to_lowercase(), kind), values);
    }

    fn text(&mut self, name: &str, text: &str) {
        // A string of a TXT record holds 255 octets.
        let strings: Vec<String> = text
            .as_bytes()
            .chunks(255)
            .map(|part| {
                format!("\"{}\"", String::from_utf8_lossy(part).replace('\\', "\\\\").replace('"', "\\\""))
            })
            .collect();
        self.set(name, "TXT", vec![strings.join(" ")]);
    }

    /// A zone for each top-level domain. Names that DNS cannot hold are left out: nobody could serve them.
    fn zones(&self) -> Vec<Zone> {
        let mut zones: BTreeMap<&str, String> = BTreeMap::new();
        for ((name, kind), values) in &self.0 {
            let possible = name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()));
            if possible {
                let zone = zones.entry(name.rsplit('.').next().unwrap_or(name)).or_default();
                for value in values {
                    zone.push_str(&format!("{name}. {kind} {value}\n"));
                }
            }
        }
        zones.into_iter().map(|(name, records)| Zone::unsigned(name, &records)).collect()
    }
}

//! The reports of others.

use super::{files, resources};
use chasqui_filter::report::{ReadLimits, Received, read};
use std::path::{Path, PathBuf};

fn expected<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap()
}

#[test]
fn the_dmarc_reports_are_read_as_printed_beside_them() {
    let samples: Vec<PathBuf> = [files("dmarc-feedback", "xml"), files("dmarc-feedback", "eml")].concat();
    for path in &samples {
        let found = read(&std::fs::read(path).unwrap(), &ReadLimits::default());
        let Ok(Received::Dmarc(report)) = found else { panic!("{}: {found:?}", path.display()) };
        assert_eq!(*report, expected(path), "{}", path.display());
    }
    println!("DMARC: {} reports are read as printed beside them", samples.len());
}

#[test]
fn the_tls_reports_are_read_as_printed_beside_them() {
    let mut count = 0;
    for path in files("tlsrpt", "eml") {
        let found = read(&std::fs::read(&path).unwrap(), &ReadLimits::default());
        let Ok(Received::Tls(report)) = found else { panic!("{}: {found:?}", path.display()) };
        assert_eq!(*report, expected(&path), "{}", path.display());
        count += 1;
    }
    for path in files("tlsrpt", "json") {
        let found = read(&std::fs::read(&path).unwrap(), &ReadLimits::default());
        assert!(matches!(found, Ok(Received::Tls(_))), "{}: {found:?}", path.display());
        count += 1;
    }
    assert!(resources().join("tlsrpt").is_dir());
    println!("TLS: {count} reports are read");
}

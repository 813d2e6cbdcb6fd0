//! Zones as texts, and their signing.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A zone of the test: its records in zone file notation, relative to its name. SOA, NS and the name server's address are added.
#[derive(Clone, Debug)]
pub struct Zone {
    name: String,
    records: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Signed,
    OptOut,
    Unsigned,
    Bogus,
    Failing,
}

impl Zone {
    /// A signed zone, vouched for by its parent.
    pub fn signed(name: &str, records: &str) -> Self {
        Self::of(name, records, Kind::Signed)
    }

    /// The same with NSEC3 and opt-out (RFC 5155 §6), as large top-level zones are: it proves nothing about names that are not signed.
    pub fn opt_out(name: &str, records: &str) -> Self {
        Self::of(name, records, Kind::OptOut)
    }

    /// A zone without signatures. Its parent proves that it has none.
    pub fn unsigned(name: &str, records: &str) -> Self {
        Self::of(name, records, Kind::Unsigned)
    }

    /// A zone whose signatures are not by the key that its parent vouches for.
    pub fn bogus(name: &str, records: &str) -> Self {
        Self::of(name, records, Kind::Bogus)
    }

    /// A zone that the server cannot load: it answers SERVFAIL.
    pub fn failing(name: &str) -> Self {
        Self::of(name, "", Kind::Failing)
    }

    fn of(name: &str, records: &str, kind: Kind) -> Self {
        let name = name.trim_end_matches('.').to_lowercase();
        Self { name, records: records.to_owned(), kind }
    }
}

/// The root's part of a server's folder: its key's line, for a trust anchor file.
pub(super) struct Written {
    pub(super) anchor: String,
    /// The `zone` clauses of the server's configuration.
    pub(super) clauses: String,
}

/// Writes and signs all zones, children before their parents, below a signed root.
pub(super) fn write_all(folder: &Path, zones: &[Zone]) -> Written {
    let mut zones: Vec<Zone> = zones.to_vec();
    zones.push(Zone::signed("", ""));
    zones.sort_by_key(|zone| {
        std::cmp::Reverse(zone.name.split('.').filter(|label| !label.is_empty()).count())
    });
    let mut clauses = String::new();
    let mut anchor = String::new();
    for zone in &zones {
        let file = write(folder, zone, &zones);
        clauses.push_str(&format!(
            "zone \"{}.\" {{ type primary; file \"{}\"; }};\n",
            zone.name,
            file.display()
        ));
        if zone.name.is_empty() {
            anchor = key(folder, zone).1;
        }
    }
    Written { anchor, clauses }
}

fn write(folder: &Path, zone: &Zone, zones: &[Zone]) -> PathBuf {
    let origin = format!("{}.", zone.name);
    let plain = folder.join(format!("zone-{origin}"));
    if zone.kind == Kind::Failing {
        return folder.join("missing");
    }
    let below =
        |label: &str| if zone.name.is_empty() { format!("{label}.") } else { format!("{label}.{origin}") };
    let mut text = format!(
        "$TTL 60\n$ORIGIN {origin}\n@ SOA {ns} {admin} 1 3600 600 86400 60\n@ NS {ns}\n{ns} A 127.0.0.1\n",
        ns = below("ns"),
        admin = below("hostmaster"),
    );
    text.push_str(&zone.records);
    text.push('\n');
    for child in zones.iter().filter(|child| is_parent(zone, child, zones)) {
        text.push_str(&format!("{0}. NS ns.{0}.\nns.{0}. A 127.0.0.1\n", child.name));
    }
    std::fs::write(&plain, text).unwrap();
    if zone.kind == Kind::Unsigned {
        return plain;
    }
    let signed = folder.join(format!("signed-{origin}"));
    let (_, _) = key(folder, zone);
    let mut sign = Command::new("dnssec-signzone");
    sign.args(["-q", "-P", "-S", "-z", "-g", "-K"]).arg(folder).arg("-d").arg(folder);
    sign.args(["-o", &origin, "-f"]).arg(&signed);
    if zone.kind == Kind::OptOut {
        sign.args(["-3", "-", "-A"]);
    }
    run(sign.arg(&plain));
    if zone.kind == Kind::Bogus {
        // The parent gets the digest of a key that signs nothing.
        let keys = folder.join("strangers");
        std::fs::create_dir_all(&keys).unwrap();
        let (file, _) = key(&keys, zone);
        let digest = run(Command::new("dnssec-dsfromkey").arg(file));
        std::fs::write(folder.join(format!("dsset-{origin}")), digest).unwrap();
    }
    signed
}

/// Whether the delegation of `child` stands in `zone`: no zone between them.
fn is_parent(zone: &Zone, child: &Zone, zones: &[Zone]) -> bool {
    let above = |upper: &Zone, lower: &Zone| {
        upper.name != lower.name
            && (upper.name.is_empty() || lower.name.ends_with(&format!(".{}", upper.name)))
    };
    above(zone, child) && !zones.iter().any(|other| above(zone, other) && above(other, child))
}

/// The zone's key file, made if there is none yet, and its DNSKEY line.
fn key(folder: &Path, zone: &Zone) -> (PathBuf, String) {
    let prefix = format!("K{}.+", zone.name);
    let known = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).find(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(&prefix) && name.ends_with(".key")
    });
    let file = known.unwrap_or_else(|| {
        let mut generate = Command::new("dnssec-keygen");
        generate.args(["-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "-K"]).arg(folder);
        let made = run(generate.arg(format!("{}.", zone.name)));
        folder.join(format!("{}.key", made.trim()))
    });
    let text = std::fs::read_to_string(&file).unwrap();
    let line = text.lines().find(|line| line.contains("DNSKEY") && !line.starts_with(';')).unwrap();
    (file, line.to_owned())
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

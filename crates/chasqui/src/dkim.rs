//! `chasqui dkim rotate|show`: the keys of signatures, and the records that say them.
//!
//! The relay has a signer and no maker of keys; this has the maker. RSA keys are made here, since the crate that can make them is
//! nothing to sign with.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use chasqui_base::{DomainName, fsx};
use chasqui_relay::sign::{Algorithm, FILE, KeyEntry, Pair, Rotation, Selectors, Stage, record_of, strings};
use chrono::DateTime;
use rsa::pkcs8::{EncodePrivateKey, LineEnding, SecretDocument};
use serde_json::{Value, json};

use crate::admin::output;
use crate::cli::{DkimArguments, DkimCommand};

/// Bits of an RSA key: what every verifier must take, and fits into two strings of a TXT record (RFC 8301 §3.2).
const BITS: usize = 2048;

/// `chasqui dkim …`
pub fn dkim(arguments: DkimArguments) -> anyhow::Result<()> {
    let DkimArguments { command, keys, json } = arguments;
    match command {
        DkimCommand::Rotate(wanted) => {
            let times = Rotation {
                now: now(),
                overlap: wanted.overlap.get().as_secs(),
                keep: wanted.keep.get().as_secs(),
            };
            let (selectors, gone) = rotate(&keys, &wanted.domain, times)?;
            let mut shown = Shown { domain: wanted.domain, selectors };
            // What was taken out just now is named once more: its records may still be in DNS.
            shown.selectors.pairs.splice(0..0, gone);
            print(json, &[shown])
        }
        DkimCommand::Show { domain } => print(json, &load(&keys, domain)?),
    }
}

/// Makes a new pair, and removes the keys of pairs that are withdrawn; gives what is there now, and what was removed.
pub fn rotate(keys: &Path, domain: &DomainName, times: Rotation) -> anyhow::Result<(Selectors, Vec<Pair>)> {
    if domain.as_str().starts_with('[') {
        bail!("{domain} has no DNS to publish keys in");
    }
    let folder = keys.join(domain.as_str());
    fsx::create_private_dir(&folder).with_context(|| folder.display().to_string())?;
    let owner = std::fs::metadata(keys).with_context(|| keys.display().to_string())?;
    let give = |path: &Path| -> anyhow::Result<()> {
        give_to(path, &owner).with_context(|| path.display().to_string())
    };
    give(&folder)?;
    let lock = folder.join("lock");
    let held = File::create(&lock).with_context(|| lock.display().to_string())?;
    give(&lock)?;
    if held.try_lock().is_err() {
        bail!("{domain} is being rotated by another command");
    }

    let mut selectors = Selectors::load(&folder)?;
    selectors.may_rotate(domain, times.now)?;
    let name = selectors.next_name(times.now);
    let mut entries = Vec::new();
    for (algorithm, suffix) in [(Algorithm::Rsa, "rsa"), (Algorithm::Ed25519, "ed")] {
        let made = make(algorithm)?;
        let record = record_of(algorithm, made.as_bytes())?;
        let selector = format!("{name}-{suffix}");
        let path = folder.join(format!("{selector}.pem"));
        let pem = made.to_pem("PRIVATE KEY", LineEnding::LF).context("cannot write a key as PEM")?;
        // One that a command left behind that was cut is in no list, and so in no use.
        fsx::replace_file_durably(&path, pem.as_bytes()).with_context(|| path.display().to_string())?;
        give(&path)?;
        entries.push(KeyEntry { selector, algorithm, record });
    }
    let gone = selectors.forget(times.now);
    selectors.rotate(domain, times, name, entries)?;
    selectors.save(&folder)?;
    give(&folder.join(FILE))?;
    // Only now: no list names them any more.
    for key in gone.iter().flat_map(|pair| &pair.keys) {
        remove(&folder.join(format!("{}.pem", key.selector)))?;
    }
    Ok((selectors, gone))
}

/// A private key in PKCS#8, overwritten when dropped.
fn make(algorithm: Algorithm) -> anyhow::Result<SecretDocument> {
    match algorithm {
        Algorithm::Rsa => {
            let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, BITS)
                .context("cannot make an RSA key")?;
            key.to_pkcs8_der().context("cannot write the RSA key")
        }
        Algorithm::Ed25519 => {
            let made = ring::signature::Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new());
            let made = made.map_err(|_| anyhow::anyhow!("the system gives no randomness"))?;
            SecretDocument::try_from(made.as_ref()).context("cannot write the Ed25519 key")
        }
    }
}

/// What root makes belongs to whom the folder of keys belongs to: the relay's own user reads it.
fn give_to(path: &Path, owner: &std::fs::Metadata) -> io::Result<()> {
    let found = std::fs::metadata(path)?;
    if (found.uid(), found.gid()) == (owner.uid(), owner.gid()) {
        return Ok(());
    }
    chown(path, Some(owner.uid()), Some(owner.gid()))
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| path.display().to_string())
        }
        _ => Ok(()),
    }
}

/// A domain and its pairs.
struct Shown {
    domain: DomainName,
    selectors: Selectors,
}

fn load(keys: &Path, wanted: Option<DomainName>) -> anyhow::Result<Vec<Shown>> {
    let domains = match wanted {
        Some(domain) if keys.join(domain.as_str()).join(FILE).exists() => vec![domain],
        Some(domain) => bail!("{domain} has no keys in {}: chasqui dkim rotate {domain}", keys.display()),
        None => {
            let listed = std::fs::read_dir(keys).with_context(|| keys.display().to_string())?;
            let mut found = Vec::new();
            for entry in listed {
                let entry = entry.with_context(|| keys.display().to_string())?;
                let name = entry.file_name();
                if entry.path().join(FILE).exists() {
                    found.push(
                        DomainName::parse(&name.to_string_lossy())
                            .with_context(|| entry.path().display().to_string())?,
                    );
                }
            }
            found.sort();
            found
        }
    };
    let shown = domains.into_iter().map(|domain| {
        let selectors = Selectors::load(&keys.join(domain.as_str()))?;
        Ok(Shown { domain, selectors })
    });
    shown.collect()
}

fn print(json: bool, domains: &[Shown]) -> anyhow::Result<()> {
    if json {
        let all: Vec<Value> = domains.iter().map(Shown::json).collect();
        return output::line(&serde_json::to_string(&all)?);
    }
    let text: Vec<String> = domains.iter().map(Shown::text).collect();
    output::line(text.join("\n\n").trim_end())
}

impl Shown {
    fn json(&self) -> Value {
        let now = now();
        let pairs: Vec<Value> = self
            .selectors
            .pairs
            .iter()
            .map(|pair| {
                let records: Vec<Value> = pair
                    .keys
                    .iter()
                    .map(|key| {
                        json!({
                            "name": self.name(key), "type": "TXT", "text": key.record, "strings": strings(&key.record),
                            "selector": key.selector, "algorithm": key.algorithm,
                        })
                    })
                    .collect();
                json!({
                    "name": pair.name, "stage": pair.stage(now), "made": pair.made, "active": pair.active,
                    "retired": pair.retired, "withdrawn": pair.withdrawn, "records": records,
                })
            })
            .collect();
        json!({ "domain": self.domain, "pairs": pairs })
    }

    /// Lines of a zone file, with what is to be done as comments.
    fn text(&self) -> String {
        let now = now();
        let mut text = String::new();
        for pair in &self.selectors.pairs {
            let stage = pair.stage(now);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "; {} {}: {}", self.domain, pair.name, said(pair, stage));
            for key in &pair.keys {
                let _ = match stage {
                    Stage::Withdrawn => writeln!(text, "; {}", self.name(key)),
                    _ => writeln!(text, "{} IN TXT {}", self.name(key), quoted(&key.record)),
                };
            }
        }
        text
    }

    fn name(&self, key: &KeyEntry) -> String {
        format!("{}._domainkey.{}.", key.selector, self.domain)
    }
}

fn said(pair: &Pair, stage: Stage) -> String {
    let then =
        |words: &str, at: Option<u64>| at.map(|at| format!("{words} {}", time(at))).unwrap_or_default();
    match stage {
        Stage::Published => format!("publish now, signs from {}", time(pair.active)),
        Stage::Active => format!("publish, signs{}", then(" until", pair.retired)),
        Stage::Retired => format!("keep published, no longer signs{}", then(", withdraw on", pair.withdrawn)),
        Stage::Withdrawn => "withdraw now".to_owned(),
    }
}

fn quoted(record: &str) -> String {
    let strings: Vec<String> = strings(record).iter().map(|part| format!("\"{part}\"")).collect();
    match strings.as_slice() {
        [only] => only.clone(),
        several => format!("( {} )", several.join("\n    ")),
    }
}

fn time(at: u64) -> String {
    let at = i64::try_from(at).ok().and_then(|at| DateTime::from_timestamp(at, 0)).unwrap_or_default();
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

//! The files of a demo: certificates, directory keys, and a configuration file for each role.
//!
//! Certificates and keys are made once. Configuration files are written when the folder is prepared, which is when it is new,
//! when it was moved, or when the port base changed; in between they are the operator's to change.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use chasqui_base::DomainName;
use chasqui_base::fsx::{create_private_dir, replace_file_durably};
use chasqui_base::pki;
use chasqui_base::tls::{PublicTlsFiles, Role};
use chasqui_directory::keys::KeyFile;
use chasqui_relay::sign::Rotation;

use super::DOMAIN;
use super::ports::Ports;

/// Configuration of the primary directory server; the operator's commands use it too.
pub const DIRECTORY1: &str = "directory.toml";
/// Configuration of the secondary directory server.
pub const DIRECTORY2: &str = "directory2.toml";
/// Configuration of the first storage node.
pub const STORAGE1: &str = "storage1.toml";
/// Configuration of the second storage node.
pub const STORAGE2: &str = "storage2.toml";
/// Configuration of the exchanger.
pub const MX: &str = "mx.toml";
/// Configuration of the proxy.
pub const PROXY: &str = "proxy.toml";

/// Configuration of the relay.
pub const RELAY: &str = "relay.toml";

/// Each role's name in the JSON line, and its file.
pub const ROLES: [(&str, &str); 7] = [
    ("directory1", DIRECTORY1),
    ("directory2", DIRECTORY2),
    ("storage1", STORAGE1),
    ("storage2", STORAGE2),
    ("mx", MX),
    ("proxy", PROXY),
    ("relay", RELAY),
];

/// By what names the roles and the clients reach each other.
const HOSTS: [&str; 2] = ["localhost", "127.0.0.1"];

/// The certificate that mail programs are told to trust.
pub fn ca(dir: &Path) -> PathBuf {
    dir.join("ca.pem")
}

/// The file of the user database.
pub fn database(dir: &Path) -> PathBuf {
    dir.join("directory.sqlite")
}

/// The folder of the keys of signatures.
pub fn dkim(dir: &Path) -> PathBuf {
    dir.join("dkim")
}

/// The folder of what would have left.
pub fn sink(dir: &Path) -> PathBuf {
    dir.join("sink")
}

/// The certificate without a role, which mail programs and other mail servers see.
pub fn public(dir: &Path) -> PublicTlsFiles {
    let pki = dir.join("pki");
    PublicTlsFiles { certificate: pki.join("public.crt"), key: pki.join("public.key") }
}

/// Makes what is missing and writes the configuration files.
pub fn write(dir: &Path, ports: Ports) -> anyhow::Result<()> {
    certificates(dir)?;
    signing_keys(dir)?;
    let keys = dir.join("directory.keys");
    if !keys.exists() {
        KeyFile::create(&keys)?;
    }
    for (file, text) in configurations(dir, ports) {
        put(&dir.join(file), &text)?;
    }
    Ok(())
}

/// The keys with which the demo's own domain signs, as `chasqui dkim rotate` makes them.
fn signing_keys(dir: &Path) -> anyhow::Result<()> {
    const DAY: u64 = 86_400;
    let keys = dkim(dir);
    create_private_dir(&keys).with_context(|| keys.display().to_string())?;
    if keys.join(DOMAIN).join(chasqui_relay::sign::FILE).exists() {
        return Ok(());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let times = Rotation { now, overlap: 2 * DAY, keep: 14 * DAY };
    crate::dkim::rotate(&keys, &DomainName::parse(DOMAIN)?, times)?;
    Ok(())
}

/// The site's authority, a certificate for each role, and one without a role for what mail programs see.
fn certificates(dir: &Path) -> anyhow::Result<()> {
    let pki = dir.join("pki");
    create_private_dir(&pki).with_context(|| pki.display().to_string())?;
    let authority =
        if pki.join("ca.crt").exists() { pki::open_ca(&pki)? } else { pki::create_ca(&pki, DOMAIN)? };
    let holders: [(&str, &[Role]); 8] = [
        ("directory1", &[Role::Directory]),
        ("directory2", &[Role::Directory]),
        ("storage1", &[Role::Storage]),
        ("storage2", &[Role::Storage]),
        ("mx", &[Role::Mx]),
        ("proxy", &[Role::Proxy]),
        ("relay", &[Role::Relay]),
        ("public", &[]),
    ];
    for (name, roles) in holders {
        if !pki.join(format!("{name}.crt")).exists() {
            authority.issue(&pki, name, roles, &HOSTS)?;
        }
    }
    let certificate = std::fs::read_to_string(pki.join("ca.crt"))
        .with_context(|| pki.join("ca.crt").display().to_string())?;
    put(&ca(dir), &certificate)
}

/// Each configuration file and its text.
fn configurations(dir: &Path, ports: Ports) -> [(&'static str, String); 7] {
    [
        (DIRECTORY1, directory(dir, ports, "directory1", "primary")),
        (DIRECTORY2, directory(dir, ports, "directory2", "secondary")),
        (STORAGE1, storage(dir, ports, "storage1")),
        (STORAGE2, storage(dir, ports, "storage2")),
        (MX, mx(dir, ports)),
        (PROXY, proxy(dir, ports)),
        (RELAY, relay(dir, ports)),
    ]
}

fn directory(dir: &Path, ports: Ports, name: &str, which: &str) -> String {
    format!(
        "# The {which} directory server of the demo. `chasqui config example directory` shows every key.\n\n\
         listen = \"{listen}\"\n\
         keys = {keys}\n\
         metrics = \"{metrics}\"\n\n\
         [database]\npath = {database}\n\n{tls}",
        listen = ports.inner(name),
        keys = quoted(&dir.join("directory.keys")),
        metrics = ports.metrics(name),
        database = quoted(&database(dir)),
        tls = tls(dir, name),
    )
}

fn storage(dir: &Path, ports: Ports, name: &str) -> String {
    let at = |service: &str| ports.inner(&format!("{name}-{service}"));
    format!(
        "# A storage node of the demo. `chasqui config example storage` shows every key.\n\n\
         name = \"{name}\"\n\
         lmtp = \"{lmtp}\"\nimap = \"{imap}\"\npop3 = \"{pop3}\"\n\
         metrics = \"{metrics}\"\n\n\
         [store]\nroot = {root}\n\n{directory}\n{tls}",
        lmtp = at("lmtp"),
        imap = at("imap"),
        pop3 = at("pop3"),
        metrics = ports.metrics(name),
        root = quoted(&dir.join(name)),
        directory = ask(dir, ports),
        tls = tls(dir, name),
    )
}

fn mx(dir: &Path, ports: Ports) -> String {
    format!(
        "# The exchanger of the demo. `chasqui config example mx` shows every key.\n\n\
         hostname = \"mx.{DOMAIN}\"\npostmaster = \"ana@{DOMAIN}\"\n\
         listen = [\"{smtp}\"]\n\
         metrics = \"{metrics}\"\n\n\
         [spool]\npath = {spool}\n\n\
         # Senders are whom the operator invents: their domains' DNS is not asked.\n\
         [filter.authentication]\nenabled = false\n\n\
         [filter.connection.greylist]\npath = {greylist}\n\n{public}\n{directory}\n{tls}",
        smtp = ports.public("smtp"),
        metrics = ports.metrics("mx"),
        spool = quoted(&dir.join("spool")),
        greylist = quoted(&dir.join("greylist.db")),
        public = public_tls(dir),
        directory = ask(dir, ports),
        tls = tls(dir, "mx"),
    )
}

fn proxy(dir: &Path, ports: Ports) -> String {
    format!(
        "# The proxy of the demo. `chasqui config example proxy` shows every key.\n\n\
         imap = [\"{imap}\"]\nimaps = [\"{imaps}\"]\npop3 = [\"{pop3}\"]\npop3s = [\"{pop3s}\"]\n\
         metrics = \"{metrics}\"\n\n{public}\n{directory}\n{tls}",
        imap = ports.public("imap"),
        imaps = ports.public("imaps"),
        pop3 = ports.public("pop3"),
        pop3s = ports.public("pop3s"),
        metrics = ports.metrics("proxy"),
        public = public_tls(dir),
        directory = ask(dir, ports),
        tls = tls(dir, "proxy"),
    )
}

/// Everything that is not for the demo's own domain goes to the sink, whatever DNS says.
fn relay(dir: &Path, ports: Ports) -> String {
    format!(
        "# The relay of the demo. `chasqui config example relay` shows every key.\n\n\
         hostname = \"out.{DOMAIN}\"\n\
         submission = [\"{submission}\"]\nsubmissions = [\"{submissions}\"]\ninside = [\"{inside}\"]\n\
         control = {control}\nmetrics = \"{metrics}\"\n\n\
         [queue]\npath = {queue}\n\n\
         [signing]\nkeys = {keys}\n\n\
         # Nobody's DNS is asked, and nothing leaves: the sink takes all.\n\
         [[delivery.routes]]\ndomains = [\"*\"]\nhosts = [\"{sink}\"]\n\n\
         [delivery_tls]\ndane = false\nmta_sts = false\nstate = {state}\n\n\
         {public}\n{directory}\n{tls}",
        submission = ports.public("submission"),
        submissions = ports.public("submissions"),
        inside = ports.inner("relay-inside"),
        control = quoted(&dir.join("relay.sock")),
        queue = quoted(&dir.join("queue")),
        state = quoted(&dir.join("tls")),
        keys = quoted(&dkim(dir)),
        metrics = ports.metrics("relay"),
        sink = ports.inner("sink"),
        public = public_tls(dir),
        directory = ask(dir, ports),
        tls = tls(dir, "relay"),
    )
}

/// How a role reaches the directory.
fn ask(dir: &Path, ports: Ports) -> String {
    format!(
        "[directory]\nservers = [\"{}\", \"{}\"]\nkeys = {}\n",
        ports.inner("directory1"),
        ports.inner("directory2"),
        quoted(&dir.join("directory.keys"))
    )
}

/// A role's identity towards other roles.
fn tls(dir: &Path, name: &str) -> String {
    let pki = dir.join("pki");
    format!(
        "[tls]\ncertificate = {}\nkey = {}\nca = {}\n",
        quoted(&pki.join(format!("{name}.crt"))),
        quoted(&pki.join(format!("{name}.key"))),
        quoted(&pki.join("ca.crt"))
    )
}

/// What mail programs and other mail servers see.
fn public_tls(dir: &Path) -> String {
    let files = public(dir);
    format!("[public_tls]\ncertificate = {}\nkey = {}\n", quoted(&files.certificate), quoted(&files.key))
}

/// A path as a TOML string.
fn quoted(path: &Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    replace_file_durably(path, text.as_bytes())
        .with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::RoleName;
    use crate::role::{Role as _, with_role};
    use chasqui_base::config::parse;

    #[test]
    fn every_file_is_a_correct_configuration_of_its_role() {
        let dir = Path::new("/srv/mi \"demo\"");
        let ports = Ports::new(10_000);
        for (file, text) in configurations(dir, ports) {
            assert!(!text.contains(":0\""), "{file}: a port is missing\n{text}");
            let role = match file {
                DIRECTORY1 | DIRECTORY2 => RoleName::Directory,
                STORAGE1 | STORAGE2 => RoleName::Storage,
                MX => RoleName::Mx,
                RELAY => RoleName::Relay,
                _ => RoleName::Proxy,
            };
            with_role!(role, R => {
                let config = parse::<<R as chasqui_base::RoleService>::Config>(&text, file).unwrap();
                R::check(&config).unwrap();
                assert!(R::metrics(&config).is_some());
            });
        }
    }
}

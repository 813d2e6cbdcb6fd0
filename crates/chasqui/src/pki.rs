//! `chasqui pki init|issue|keys`: small verbs on the base crate's certificates and the directory's keys.

use std::path::Path;

use anyhow::Context;
use chasqui_base::pki;
use chasqui_base::tls::Role;
use chasqui_directory::keys::KeyFile;
use serde_json::json;

use crate::admin::output;
use crate::cli::{IssueArguments, PkiArguments, PkiCommand, RoleInCertificate};

/// `chasqui pki …`
pub fn pki(arguments: PkiArguments) -> anyhow::Result<()> {
    let json = arguments.json;
    match arguments.command {
        PkiCommand::Init { dir, site } => {
            std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
            pki::create_ca(&dir, &site)?;
            report(json, &dir.join("ca.crt"), &dir.join("ca.key"))
        }
        PkiCommand::Issue(arguments) => issue(json, &arguments),
        PkiCommand::Keys { file } => {
            KeyFile::create(&file)?;
            output::record(json, &json!({ "keys": file }), &format!("{} made.", file.display()))
        }
    }
}

fn issue(json: bool, arguments: &IssueArguments) -> anyhow::Result<()> {
    if arguments.name.contains('/') || matches!(arguments.name.as_str(), "" | "." | ".." | "ca") {
        anyhow::bail!("{:?} cannot be the name of a certificate's files", arguments.name);
    }
    let roles: Vec<Role> = arguments.roles.iter().map(|&role| role.into()).collect();
    let hosts: Vec<&str> = arguments.hosts.iter().map(String::as_str).collect();
    let files = pki::open_ca(&arguments.dir)?.issue(&arguments.dir, &arguments.name, &roles, &hosts)?;
    report(json, &files.certificate, &files.key)
}

fn report(json: bool, certificate: &Path, key: &Path) -> anyhow::Result<()> {
    let made = json!({ "certificate": certificate, "key": key });
    output::record(json, &made, &format!("{} and {} made.", certificate.display(), key.display()))
}

impl From<RoleInCertificate> for Role {
    fn from(role: RoleInCertificate) -> Self {
        match role {
            RoleInCertificate::Directory => Role::Directory,
            RoleInCertificate::Mx => Role::Mx,
            RoleInCertificate::Storage => Role::Storage,
            RoleInCertificate::Proxy => Role::Proxy,
            RoleInCertificate::Relay => Role::Relay,
            RoleInCertificate::Host => Role::Host,
        }
    }
}

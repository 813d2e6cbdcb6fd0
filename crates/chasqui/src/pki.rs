//! `chasqui pki init|issue|keys`: small verbs on the base crate's certificates and the directory's keys.

use anyhow::Context;
use chasqui_base::pki;
use chasqui_base::tls::Role;
use chasqui_directory::keys::KeyFile;

use crate::admin::output;
use crate::cli::{IssueArguments, PkiCommand, RoleInCertificate};

/// `chasqui pki …`
pub fn pki(command: PkiCommand) -> anyhow::Result<()> {
    match command {
        PkiCommand::Init { dir, site } => {
            std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
            pki::create_ca(&dir, &site)?;
            output::line(&format!("{}\n{}", dir.join("ca.crt").display(), dir.join("ca.key").display()))
        }
        PkiCommand::Issue(arguments) => issue(&arguments),
        PkiCommand::Keys { file } => {
            KeyFile::create(&file)?;
            output::line(&file.display().to_string())
        }
    }
}

fn issue(arguments: &IssueArguments) -> anyhow::Result<()> {
    if arguments.name.contains('/') || matches!(arguments.name.as_str(), "" | "." | ".." | "ca") {
        anyhow::bail!("{:?} cannot be the name of a certificate's files", arguments.name);
    }
    let roles: Vec<Role> = arguments.roles.iter().map(|&role| role.into()).collect();
    let hosts: Vec<&str> = arguments.hosts.iter().map(String::as_str).collect();
    let files = pki::open_ca(&arguments.dir)?.issue(&arguments.dir, &arguments.name, &roles, &hosts)?;
    output::line(&format!("{}\n{}", files.certificate.display(), files.key.display()))
}

impl From<RoleInCertificate> for Role {
    fn from(role: RoleInCertificate) -> Self {
        match role {
            RoleInCertificate::Directory => Role::Directory,
            RoleInCertificate::Mx => Role::Mx,
            RoleInCertificate::Storage => Role::Storage,
            RoleInCertificate::Proxy => Role::Proxy,
        }
    }
}

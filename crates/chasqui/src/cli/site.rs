//! The commands about a site as a whole: the demo, configuration files, certificates, the site file, shell and manual.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::{LogOptions, RoleName};

/// `chasqui demo`
#[derive(Args, Debug)]
pub struct DemoArguments {
    /// The folder in which everything is kept: certificates, configuration, accounts and mail.
    #[arg(long, value_name = "DIR", default_value = "./chasqui-demo")]
    pub dir: PathBuf,
    /// Each service listens on this number plus its well-known port: SMTP on N+25, IMAPS on N+993,
    /// and so on.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(0..=56_000))]
    pub port_base: u16,
    /// Remove what an earlier demo left in the folder, and start over.
    #[arg(long)]
    pub fresh: bool,
    /// Print one line of JSON with every end point, account and password once all is ready, instead
    /// of the table.
    #[arg(long)]
    pub json: bool,
    /// How and where the log is written.
    #[command(flatten)]
    pub log: LogOptions,
}

/// `chasqui config …`
#[derive(Args, Debug)]
pub struct ConfigArguments {
    /// Which of them.
    #[command(subcommand)]
    pub command: ConfigCommand,
    /// Print JSON instead of text for people.
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands about configuration files.
#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Check a configuration file without starting anything.
    ///
    /// Unknown keys, values of the wrong kind and missing units are refused with the path of the key.
    Check {
        /// The role that the file is for.
        #[arg(value_enum)]
        role: RoleName,
        /// The configuration file.
        file: PathBuf,
    },
    /// Print a configuration file with every key, what it means, its unit and its default.
    Example {
        /// The role.
        #[arg(value_enum)]
        role: RoleName,
    },
    /// Print the JSON schema of a role's configuration.
    Schema {
        /// The role.
        #[arg(value_enum)]
        role: RoleName,
    },
    /// Write the reference pages of all roles and commands, as Markdown, into a folder.
    Reference {
        /// The folder. It is created when it does not exist.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

/// `chasqui pki …`
#[derive(Args, Debug)]
pub struct PkiArguments {
    /// Which of them.
    #[command(subcommand)]
    pub command: PkiCommand,
    /// Print JSON instead of text for people.
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands that make certificates and keys.
#[derive(Subcommand, Debug)]
pub enum PkiCommand {
    /// Make the site's certificate authority.
    ///
    /// Writes `ca.crt`, which every host gets, and `ca.key`, which stays where certificates are made.
    /// An authority that exists is never replaced.
    Init {
        /// The folder of the authority. It is created when it does not exist.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The name of the site, as it stands in the authority's certificate.
        #[arg(long, value_name = "NAME", default_value = "site")]
        site: String,
    },
    /// Make a certificate and its key for a host.
    ///
    /// Writes `NAME.crt` and `NAME.key` into the authority's folder, replacing older ones. Roles
    /// recognise each other by the role names in the certificate, besides its host names.
    Issue(IssueArguments),
    /// Make the key file with which the directory's datagrams are encrypted.
    ///
    /// The same file goes to every host of the site. A file that exists is never replaced.
    Keys {
        /// The file to write.
        file: PathBuf,
    },
}

/// `chasqui pki issue`
#[derive(Args, Debug)]
pub struct IssueArguments {
    /// The folder of the authority.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The name of the files to write, for example `storage1`.
    pub name: String,
    /// A role that the holder plays towards other roles. May be repeated.
    #[arg(long = "role", value_enum, value_name = "ROLE", value_delimiter = ',')]
    pub roles: Vec<RoleInCertificate>,
    /// A DNS name or IP address by which the host is reached. May be repeated.
    #[arg(long = "host", value_name = "NAME", required = true, value_delimiter = ',')]
    pub hosts: Vec<String>,
}

/// A role as it is written into a certificate.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleInCertificate {
    /// A directory server.
    Directory,
    /// A mail exchanger.
    Mx,
    /// A storage node.
    Storage,
    /// A proxy.
    Proxy,
    /// A relay.
    Relay,
    /// A host, towards the services beside the roles: the database cluster, LDAP, logs, metrics.
    Host,
}

/// `chasqui site …`
#[derive(Args, Debug)]
pub struct SiteArguments {
    /// Which of them.
    #[command(subcommand)]
    pub command: SiteCommand,
    /// Print JSON instead of text for people.
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands about the site file.
#[derive(Subcommand, Debug)]
pub enum SiteCommand {
    /// Check site files: references, addresses, redundancy, capacity, encryption.
    ///
    /// Each finding names its key, what is wrong and how to mend it. The exit code is 1 when a file
    /// has an error; warnings alone do not change it.
    Check {
        /// The site files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Show a site: its hosts, machines, networks, published services and storage.
    Show {
        /// The site file.
        file: PathBuf,
        /// Write a picture of the fleet as well: data centres, racks, machines and the guests in them.
        #[arg(long, value_name = "OUT")]
        svg: Option<PathBuf>,
    },
    /// Say what changes between two site files, and in which order hosts may be rebuilt.
    ///
    /// The hosts of one wave may be rebuilt together: of each redundant group at most one member is
    /// in it. Wait until a wave works before the next. What cannot be done without an interruption is
    /// named.
    Diff {
        /// The site file that the hosts were built from.
        old: PathBuf,
        /// The site file that they are to be built from.
        new: PathBuf,
    },
    /// Print the JSON schema of the site file.
    ///
    /// NixOS reads the same schema, from `modules/lib/site.schema.json`.
    Schema,
}

/// `chasqui completion`
#[derive(Args, Debug)]
pub struct CompletionArguments {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `chasqui man`
#[derive(Args, Debug)]
pub struct ManArguments {
    /// The folder for one page a command. Without it, the page of `chasqui` goes to standard output.
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

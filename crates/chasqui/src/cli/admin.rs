//! The operator's verbs on the user database.

use std::path::PathBuf;

use chasqui_base::net::Endpoint;
use chasqui_base::{ByteSize, DomainName, EmailAddress};
use chasqui_directory::{AccountState, Services};
use clap::{ArgGroup, Args, Subcommand};

/// What every command on the user database accepts.
#[derive(Args, Debug, Clone)]
pub struct AdminOptions {
    /// The configuration file of the directory server whose database is meant.
    #[arg(
        long,
        value_name = "FILE",
        env = "CHASQUI_CONFIG",
        hide_env_values = true,
        default_value = "/etc/chasqui/directory.toml"
    )]
    pub config: PathBuf,
    /// Print JSON instead of text for people.
    #[arg(long)]
    pub json: bool,
}

/// `chasqui domain …`
#[derive(Subcommand, Debug)]
pub enum DomainCommand {
    /// Add a domain, so that mail for it is received.
    Add {
        /// The domain, for example `ejemplo.gob.ve`.
        domain: DomainName,
        /// The address that receives what is sent to unknown addresses of the domain. Without it,
        /// unknown addresses are refused.
        #[arg(long, value_name = "ADDRESS")]
        catch_all: Option<EmailAddress>,
        /// Which database, and how to print.
        #[command(flatten)]
        options: AdminOptions,
    },
    /// Change a domain.
    #[command(group = ArgGroup::new("change").required(true).args(["catch_all", "no_catch_all"]))]
    Set {
        /// The domain.
        domain: DomainName,
        /// The address that receives what is sent to unknown addresses of the domain.
        #[arg(long, value_name = "ADDRESS")]
        catch_all: Option<EmailAddress>,
        /// Refuse unknown addresses.
        #[arg(long)]
        no_catch_all: bool,
        /// Which database, and how to print.
        #[command(flatten)]
        options: AdminOptions,
    },
    /// List the domains.
    List {
        /// Which database, and how to print.
        #[command(flatten)]
        options: AdminOptions,
    },
    /// Remove a domain that has neither accounts nor aliases left.
    Remove {
        /// The domain.
        domain: DomainName,
        /// Which database, and how to print.
        #[command(flatten)]
        options: AdminOptions,
    },
}

/// `chasqui user …`
#[derive(Subcommand, Debug)]
pub enum UserCommand {
    /// Add an account.
    ///
    /// The password is asked for twice at the terminal, or read from a file or from standard input.
    /// It is never an argument, since every user of the host can read those.
    Add(UserAddArguments),
    /// List accounts.
    List {
        /// Only the accounts of this domain.
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<DomainName>,
        /// Only the accounts that this storage node owns.
        #[arg(long, value_name = "NAME")]
        node: Option<String>,
        /// Which database, and how to print.
        #[command(flatten)]
        options: AdminOptions,
    },
    /// Show one account.
    Show {
        /// The account's address.
        address: EmailAddress,
        /// Which database, and how to print.
        #[command(flatten)]
        options: AdminOptions,
    },
    /// Change an account: its password, quota, state or services.
    Set(UserSetArguments),
    /// Remove an account from the directory. Its mail stays on the storage node's disk.
    Remove {
        /// The account's address.
        address: EmailAddress,
        /// Which database, and how to print.
        #[command(flatten)]
        options: AdminOptions,
    },
    /// Let an account send mail as other addresses.
    ///
    /// It may send as its own address, and as an alias that leads to it alone, without this. The
    /// addresses must be of domains of this site.
    Delegate {
        /// The account's address.
        address: EmailAddress,
        /// The addresses that it may send as.
        #[arg(required = true, value_name = "SENDER")]
        senders: Vec<EmailAddress>,
        /// Which database, and how to print.
        #[command(flatten)]
        options: AdminOptions,
    },
    /// Take back what `chasqui user delegate` gave.
    Undelegate {
        /// The account's address.
        address: EmailAddress,
        /// The addresses that it may no longer send as. Without any, all of them.
        #[arg(value_name = "SENDER")]
        senders: Vec<EmailAddress>,
        /// Which database, and how to print.
        #[command(flatten)]
        options: AdminOptions,
    },
    /// Add accounts from a CSV file.
    ///
    /// The file has four columns: address, password, quota, node. The first line may name them. A
    /// password is in clear, and hashed before it is kept, or an Argon2 hash that begins with
    /// `$argon2` and cannot be proved by SCRAM; without one nobody can log in. An empty quota means no
    /// limit, and an empty node the one with the fewest accounts. Each line that cannot be imported is
    /// named with its number and the reason, and the other lines are imported; the exit code is then 1.
    Import(ImportArguments),
}

/// Where a password comes from. Nothing given: it is asked for at the terminal.
#[derive(Args, Debug, Clone)]
#[command(group = ArgGroup::new("password_source").multiple(false))]
pub struct PasswordSource {
    /// Read the password from the first line of this file.
    #[arg(long, value_name = "FILE", group = "password_source")]
    pub password_file: Option<PathBuf>,
    /// Read the password from the first line of standard input.
    #[arg(long, group = "password_source")]
    pub password_stdin: bool,
}

/// `chasqui user add`
#[derive(Args, Debug)]
pub struct UserAddArguments {
    /// The account's address, for example `ana@ejemplo.gob.ve`.
    pub address: EmailAddress,
    /// The storage node that owns the mailbox. By default the one with the fewest accounts.
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// The most that the mailbox may hold, for example `7GB`. Without it there is no limit.
    #[arg(long, value_name = "SIZE")]
    pub quota: Option<ByteSize>,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordSource,
    /// Which database, and how to print.
    #[command(flatten)]
    pub options: AdminOptions,
}

/// `chasqui user set`
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("changes").multiple(true).required(true)
    .args(["password", "password_file", "password_stdin", "quota", "no_quota", "state", "services"]))]
pub struct UserSetArguments {
    /// The account's address.
    pub address: EmailAddress,
    /// Ask for a new password at the terminal.
    #[arg(long, group = "password_source")]
    pub password: bool,
    /// Where the new password comes from.
    #[command(flatten)]
    pub source: PasswordSource,
    /// The most that the mailbox may hold, for example `7GB`.
    #[arg(long, value_name = "SIZE", conflicts_with = "no_quota")]
    pub quota: Option<ByteSize>,
    /// Let the mailbox grow without limit.
    #[arg(long)]
    pub no_quota: bool,
    /// `active`: receives mail and logs in. `suspended`: receives mail, but may not log in. `closed`:
    /// neither; what it holds is kept.
    #[arg(long, value_name = "STATE")]
    pub state: Option<AccountState>,
    /// The services that the account may use: `imap`, `pop3` and `submission` with commas
    /// between them, or `all`, or `none`.
    #[arg(long, value_name = "SERVICES")]
    pub services: Option<Services>,
    /// Which database, and how to print.
    #[command(flatten)]
    pub options: AdminOptions,
}

/// `chasqui user import`
#[derive(Args, Debug)]
pub struct ImportArguments {
    /// The CSV file, or `-` for standard input.
    pub file: PathBuf,
    /// Which database, and how to print.
    #[command(flatten)]
    pub options: AdminOptions,
}

/// `chasqui alias …`
#[derive(Subcommand, Debug)]
pub enum AliasCommand {
    /// Add an alias, or give an alias further targets.
    Add {
        /// The address that stands for others.
        alias: EmailAddress,
        /// The addresses that it stands for: accounts or other aliases.
        #[arg(required = true, value_name = "TARGET")]
        targets: Vec<EmailAddress>,
        /// Which database, and how to print.
        #[command(flatten)]
        options: AdminOptions,
    },
    /// List aliases and what they stand for.
    List {
        /// Only the aliases of this domain.
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<DomainName>,
        /// Which database, and how to print.
        #[command(flatten)]
        options: AdminOptions,
    },
    /// Remove an alias, or some of its targets.
    Remove {
        /// The alias.
        alias: EmailAddress,
        /// The targets to remove. Without any, the whole alias is removed.
        #[arg(value_name = "TARGET")]
        targets: Vec<EmailAddress>,
        /// Which database, and how to print.
        #[command(flatten)]
        options: AdminOptions,
    },
}

/// `chasqui node …`
#[derive(Subcommand, Debug)]
pub enum NodeCommand {
    /// Add a storage node, so that accounts can be put on it.
    Add(NodeArguments),
    /// Change the addresses of a storage node.
    Set(NodeArguments),
    /// List the storage nodes.
    List {
        /// Which database, and how to print.
        #[command(flatten)]
        options: AdminOptions,
    },
}

/// `chasqui node add` and `chasqui node set`
#[derive(Args, Debug)]
pub struct NodeArguments {
    /// The node's name, as accounts refer to it.
    pub name: String,
    /// Where the node takes messages, as `host:port` or `unix:/path`.
    #[arg(long, value_name = "ENDPOINT")]
    pub lmtp: Endpoint,
    /// Where the node serves IMAP to the proxy.
    #[arg(long, value_name = "ENDPOINT")]
    pub imap: Endpoint,
    /// Where the node serves POP3 to the proxy.
    #[arg(long, value_name = "ENDPOINT")]
    pub pop3: Endpoint,
    /// Which database, and how to print.
    #[command(flatten)]
    pub options: AdminOptions,
}

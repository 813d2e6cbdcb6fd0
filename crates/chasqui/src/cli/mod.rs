//! The command line: every command, option and help text, and nothing else.
//!
//! Help texts are whole sentences, so that they read well in `--help`, in the manual pages and in
//! `docs/reference/commands.md`, all of which come from here.

mod admin;
mod dkim;
mod plan;
mod queue;
mod simulate;
mod site;
mod trace;

use std::path::PathBuf;

pub use admin::{
    AdminOptions, AliasCommand, DomainCommand, ImportArguments, NodeArguments, NodeCommand, PasswordSource,
    UserAddArguments, UserCommand, UserSetArguments,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
pub use dkim::{DkimArguments, DkimCommand};
pub use plan::{DemandArguments, PlanArguments, PlanCommand};
pub use queue::{DrainOptions, FilterOptions, QueueArguments, QueueCommand};
pub use simulate::SimulateArguments;
pub use site::{
    CompletionArguments, ConfigArguments, ConfigCommand, DemoArguments, IssueArguments, ManArguments,
    PkiArguments, PkiCommand, RoleInCertificate, SiteArguments, SiteCommand,
};
pub use trace::TraceArguments;

/// How the process ends, for scripts.
const EXIT_CODES: &str = "\
Exit codes:
  0  The command did what it was asked.
  1  It could not; one sentence on standard error says why.
  2  The command line was wrong.";

/// Chasqui is a mail platform: each mailbox is owned by one storage node, which every other role
/// finds through an in-memory directory.
///
/// The roles (directory, mx, storage, proxy, relay) are started from one configuration file each. The
/// demo runs a whole site of them on this machine. The other commands are the operator's.
#[derive(Parser, Debug)]
#[command(name = "chasqui", version, propagate_version = true, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The first word after `chasqui`.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run a whole site on this machine, to try Chasqui.
    ///
    /// Starts one exchanger, two storage nodes, two directory servers and one proxy on 127.0.0.1,
    /// with a certificate authority, accounts and mailboxes kept in one folder. Stop it with Ctrl-C;
    /// the next start finds the same mail.
    Demo(DemoArguments),
    /// Run a directory server.
    ///
    /// It holds every account in memory and answers "who is this address, which node owns it, may
    /// they log in?" with one encrypted datagram each way.
    Directory(RoleArguments),
    /// Run a mail exchanger.
    ///
    /// It receives mail by SMTP, checks each recipient at the directory while the sender waits, and
    /// hands the message to the storage node that owns the mailbox.
    Mx(RoleArguments),
    /// Run a storage node.
    ///
    /// It owns mailboxes: it takes messages by LMTP and serves them to the proxy by IMAP and POP3.
    Storage(RoleArguments),
    /// Run a proxy.
    ///
    /// It is what mail programs connect to. It checks the password at the directory, connects to
    /// the storage node that owns the mailbox, and from then on passes bytes.
    Proxy(RoleArguments),
    /// Run a relay.
    ///
    /// It takes mail from users who have logged in, signs it, keeps it in a durable queue and delivers
    /// it: to other sites by SMTP, to the site's own mailboxes by LMTP.
    Relay(RoleArguments),
    /// Manage the domains that this site receives mail for.
    #[command(subcommand)]
    Domain(DomainCommand),
    /// Manage accounts.
    #[command(subcommand)]
    User(UserCommand),
    /// Manage aliases: addresses that stand for others.
    #[command(subcommand)]
    Alias(AliasCommand),
    /// Manage the storage nodes that the directory knows.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Check configuration files, and print examples of them.
    Config(ConfigArguments),
    /// Make the site's certificate authority and the certificates of its hosts.
    Pki(PkiArguments),
    /// Look at a relay's queue and change it while it works; empty a relay.
    Queue(QueueArguments),
    /// Follow a message through the logs of all roles.
    ///
    /// Finds the ids under which each role knows the message, and prints what they logged of it in the
    /// order of time, notices about it included. It reads our logs as text and as JSON, the output of
    /// `journalctl -o export` and `-o json`, and all of them behind a syslog server's prefix.
    Trace(TraceArguments),
    /// Make the keys that outbound mail is signed with, and show the DNS records to publish.
    Dkim(DkimArguments),
    /// Check, show and compare site files: the one file from which every host of a site is built.
    Site(SiteArguments),
    /// Plan a site: from how many people and how much mail to disks, servers and a site file.
    ///
    /// Prints load, storage, what each tier needs and where each number comes from, and how guests
    /// are put on blades so that any one blade or chassis may fail. With --out it writes a site file
    /// that `chasqui site check` accepts.
    Plan(Box<PlanArguments>),
    /// Print the completion script of a shell.
    Completion(CompletionArguments),
    /// Print the manual page, or write the pages of all commands into a folder.
    Man(ManArguments),
}

/// The options of every role's start command.
#[derive(Args, Debug)]
pub struct RoleArguments {
    /// The role's configuration file. `chasqui config example ROLE` prints one with every key.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// How and where the log is written.
    #[command(flatten)]
    pub log: LogOptions,
}

/// How and where the log is written.
#[derive(Args, Debug, Clone)]
pub struct LogOptions {
    /// Where the log goes: to the systemd journal with its fields, or to standard error as text or
    /// as one JSON object a line. By default the journal when systemd started the process, and text
    /// otherwise.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What is logged: a level (error, warn, info, debug, trace), or a list such as
    /// `info,chasqui_mx=debug`.
    #[arg(long, value_name = "FILTER", env = "CHASQUI_LOG", hide_env_values = true)]
    pub log: Option<String>,
}

/// Where the log goes.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// The systemd journal, with fields.
    Journald,
    /// Standard error, as text for people.
    Text,
    /// Standard error, one JSON object a line.
    Json,
}

/// A role that is started from a configuration file.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleName {
    /// The directory server.
    Directory,
    /// The mail exchanger.
    Mx,
    /// The storage node.
    Storage,
    /// The proxy.
    Proxy,
    /// The relay.
    Relay,
}

//! The `chasqui` binary: the command line, the start of roles, the demo. It has no logic of its own:
//! what a role does is in the role's crate, what the database does is in `chasqui_directory`.
//!
//! | module | what it does |
//! | --- | --- |
//! | `cli` | every command and its help text |
//! | `role`, `run`, `system` | one role: bound, started, reloaded, drained, with what systemd wants to know |
//! | `demo` | a whole site on this machine |
//! | `admin` | the operator's verbs on the user database |
//! | `site` | the site file: checked, shown, compared |
//! | `plan` | the planner: from a demand to a site file |
//! | `dkim` | the keys of signatures |
//! | `queue`, `trace` | a relay's queue; a message in the logs of all roles |
//! | `config`, `reference`, `pki`, `shell` | configuration files, reference pages, certificates, completion and manual |

mod admin;
mod cli;
mod config;
mod demo;
mod dkim;
mod pki;
mod plan;
mod queue;
mod reference;
mod role;
mod run;
mod shell;
mod site;
mod system;
mod trace;

use std::process::ExitCode;

use chasqui_directory::DirectoryService;
use chasqui_mx::MxService;
use chasqui_proxy::ProxyService;
use chasqui_relay::RelayService;
use chasqui_storage::StorageService;
use clap::Parser;

use crate::cli::{Cli, Command};

/// Deliveries allocate and free from many threads at once, where the system's allocator waits for itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    install_crypto();
    match dispatch(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chasqui: {}", admin::output::plain(&sentence(&error)));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes as one sentence. Our own errors name their cause in their text: it is not said twice.
fn sentence(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |mut said, cause| {
        let cause = cause.to_string();
        if !said.contains(&cause) {
            let link = if said.is_empty() { "" } else { ": " };
            said.push_str(link);
            said.push_str(&cause);
        }
        said
    })
}

/// One crypto stack: `rustls` with `ring` (E19). Our own code passes the provider explicitly; the default is for
/// what a library may do by itself.
#[expect(clippy::disallowed_methods, reason = "the binary's main is the one place that installs a default")]
fn install_crypto() {
    // An error says that a provider is already there, which cannot be at the first line of main.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn dispatch(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Demo(arguments) => system::runtime()?.block_on(demo::run(arguments)),
        Command::Directory(arguments) => system::runtime()?.block_on(run::run::<DirectoryService>(arguments)),
        Command::Mx(arguments) => system::runtime()?.block_on(run::run::<MxService>(arguments)),
        Command::Storage(arguments) => system::runtime()?.block_on(run::run::<StorageService>(arguments)),
        Command::Proxy(arguments) => system::runtime()?.block_on(run::run::<ProxyService>(arguments)),
        Command::Relay(arguments) => system::runtime()?.block_on(run::run::<RelayService>(arguments)),
        Command::Domain(command) => system::runtime()?.block_on(admin::domain(command)),
        Command::User(command) => system::runtime()?.block_on(admin::user(command)),
        Command::Alias(command) => system::runtime()?.block_on(admin::alias(command)),
        Command::Node(command) => system::runtime()?.block_on(admin::node(command)),
        Command::Config(command) => config::config(command),
        Command::Pki(command) => pki::pki(command),
        Command::Queue(arguments) => queue::queue(arguments),
        Command::Trace(arguments) => trace::trace(arguments),
        Command::Dkim(command) => dkim::dkim(command),
        Command::Site(arguments) => site::site(arguments),
        Command::Plan(arguments) => plan::plan(*arguments),
        Command::Completion(arguments) => shell::completion(arguments),
        Command::Man(arguments) => shell::man(arguments),
    }
}

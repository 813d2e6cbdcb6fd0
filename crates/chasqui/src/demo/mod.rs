//! `chasqui demo`: one exchanger, two storage nodes, two directory servers, one proxy and one relay in one process on loopback, and a
//! sink that takes what would leave for the internet.
//!
//! The order is what keeps a demo from being half started: the folder is claimed, then completed (certificates, keys,
//! configuration, accounts), then every role is bound from its own configuration file, and only then does any of them serve.
//! Whatever fails before that is one sentence, and dropping what was bound leaves nothing behind but the folder.

mod accounts;
mod departures;
mod files;
mod fleet;
mod folder;
mod ports;
mod report;
mod sink;

use std::path::PathBuf;

use chasqui_base::telemetry::init_logging;
use tracing::{error, info};

use crate::admin::output;
use crate::cli::DemoArguments;
use crate::system::{self, Signal, Signals};
use accounts::Account;
use departures::Departures;
use fleet::Fleet;
use folder::Folder;
use ports::Ports;
use sink::Listening;

/// The domain of the demo: reserved for tests by RFC 2606, so that no mail can ever leave for it.
const DOMAIN: &str = "ejemplo.test";
/// The password of every account.
const PASSWORD: &str = "chasqui-demo";

/// `chasqui demo`
pub async fn run(arguments: DemoArguments) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    init_logging(system::log_format(&arguments.log), arguments.log.log.as_deref().unwrap_or("warn"))
        .map_err(anyhow::Error::msg)?;
    let (listening, departures) = Departures::channel();
    let (site, fleet) = tokio::select! {
        started = start(&arguments, listening) => started?,
        () = signals.second_stop() => return Ok(()),
    };
    if arguments.json {
        output::line(&report::json(&site)?)?;
    } else {
        output::line(&report::text(&site))?;
    }
    departures.print(arguments.json);
    system::ready();
    while signals.next().await == Signal::Reload {
        system::reloading();
        match fleet.reload(&site).await {
            Ok(()) => info!("configuration reloaded"),
            Err(error) => error!(
                error = format!("{error:#}"),
                "a new configuration was refused; that role keeps its old one"
            ),
        }
        system::ready();
    }
    system::stopping();
    if !arguments.json {
        output::line("\nStopping: what is open is finished first. Ctrl-C again stops at once.")?;
    }
    tokio::select! {
        () = fleet.stop() => {}
        () = signals.second_stop() => {}
    }
    if !arguments.json {
        output::line(&format!("Stopped. The mail stays in {}.", site.dir.display()))?;
    }
    Ok(())
}

/// A demo's folder, complete.
struct Site {
    /// The folder, absolute.
    dir: PathBuf,
    /// Who listens where.
    ports: Ports,
    /// Who has a mailbox.
    accounts: Vec<Account>,
    /// Holds the lock on the folder as long as the demo runs.
    _folder: Folder,
}

async fn start(arguments: &DemoArguments, listening: Listening) -> anyhow::Result<(Site, Fleet)> {
    let ports = Ports::new(arguments.port_base);
    let mut folder = Folder::claim(&arguments.dir, arguments.fresh)?;
    let dir = folder.path().to_owned();
    if folder.prepared_for() != Some(arguments.port_base) {
        files::write(&dir, ports)?;
        accounts::fill(&dir, ports, folder.is_new()).await?;
        folder.prepared(arguments.port_base)?;
    }
    let fleet = Fleet::bind(&dir, ports, listening).await?.start();
    let accounts = accounts::all().collect();
    Ok((Site { dir, ports, accounts, _folder: folder }, fleet))
}

//! The keys of DKIM signatures.

use std::path::PathBuf;

use chasqui_base::{DomainName, Span};
use clap::{Args, Subcommand};

/// `chasqui dkim …`
#[derive(Args, Debug)]
pub struct DkimArguments {
    /// Which of them.
    #[command(subcommand)]
    pub command: DkimCommand,
    /// The folder of keys, one folder a domain: `signing.keys` of the relay's configuration.
    #[arg(long, global = true, value_name = "DIR", default_value = "/var/lib/chasqui/dkim")]
    pub keys: PathBuf,
    /// Print JSON instead of text for people.
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands about keys of signatures.
#[derive(Subcommand, Debug)]
pub enum DkimCommand {
    /// Make a new pair of keys for a domain, and say which records to publish.
    ///
    /// A domain's first pair signs at once; a later one when the overlap has passed, so that DNS knows it by then. What it replaces stops
    /// signing at that moment, and its records may be withdrawn when what it signed has arrived. Give the folder
    /// to every relay and reload them; they change over by the clock, and nobody has to come back.
    Rotate(RotateArguments),
    /// Show which records to publish, which pair signs, and what is to be withdrawn when.
    Show {
        /// Only this domain.
        domain: Option<DomainName>,
    },
}

/// `chasqui dkim rotate`
#[derive(Args, Debug)]
pub struct RotateArguments {
    /// The domain of the addresses in `From`.
    pub domain: DomainName,
    /// How long the new records are in DNS before the new pair signs: longer than the zone's transfers
    /// and its negative answers take.
    #[arg(long, value_name = "TIME", default_value = "2d")]
    pub overlap: Span,
    /// How long the old records stay in DNS behind the last signature: longer than the queue keeps a
    /// message, and readers' programs take to verify it.
    #[arg(long, value_name = "TIME", default_value = "14d")]
    pub keep: Span,
}

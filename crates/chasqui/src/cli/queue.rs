//! `chasqui queue …`

use std::path::PathBuf;

use chasqui_base::net::Endpoint;
use clap::{Args, Subcommand};

/// `chasqui queue …`
#[derive(Args, Debug)]
pub struct QueueArguments {
    /// Which of them.
    #[command(subcommand)]
    pub command: QueueCommand,
    /// The relay's control socket: `control` of its configuration.
    #[arg(long, global = true, value_name = "FILE", default_value = "/run/chasqui/relay.sock")]
    pub socket: PathBuf,
    /// Print JSON instead of text for people: one object a line.
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands about a relay's queue.
#[derive(Subcommand, Debug)]
pub enum QueueCommand {
    /// List messages: when they came, from whom, to whom, and what was said of them last.
    List {
        /// Which messages; all when nothing is said.
        #[command(flatten)]
        filter: FilterOptions,
        /// How many are listed at most. All are counted.
        #[arg(long, value_name = "N", default_value_t = chasqui_relay::control::protocol::LISTED)]
        limit: usize,
    },
    /// Show all about one message: its envelope and what became of each recipient.
    Show {
        /// The message's id.
        id: String,
        /// Show the header of its text too.
        #[arg(long)]
        headers: bool,
    },
    /// Hold messages back: no attempt is made until they are released. They do not expire meanwhile.
    Hold(FilterOptions),
    /// Let messages go that were held back.
    Release(FilterOptions),
    /// Try messages now instead of at their time.
    Retry(FilterOptions),
    /// Give messages up: no more attempts, and their senders are told.
    Fail(FilterOptions),
    /// Show the numbers of the queue, and the destinations that most messages wait for.
    Stats,
    /// Empty the relay so that it can be switched off.
    ///
    /// It takes no more messages, finishes the attempts that are under way, and hands the rest to other
    /// relays. It goes on with that after a restart. The command shows how far it is until it is done; it may be
    /// interrupted and given again.
    Drain(DrainOptions),
}

/// Which messages: those that all that is said is true of.
#[derive(Args, Debug, Default)]
pub struct FilterOptions {
    /// Messages by id.
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// From this address, or from any of this domain.
    #[arg(long, value_name = "ADDRESS")]
    pub sender: Option<String>,
    /// To this address, among others, as long as it does not have the message.
    #[arg(long, value_name = "ADDRESS")]
    pub recipient: Option<String>,
    /// To this domain, among others.
    #[arg(long, value_name = "NAME")]
    pub domain: Option<String>,
    /// Those that are held back.
    #[arg(long)]
    pub held: bool,
    /// All of them: without it a command that changes messages wants to know which.
    #[arg(long)]
    pub all: bool,
}

/// `chasqui queue drain`
#[derive(Args, Debug)]
pub struct DrainOptions {
    /// The inside port of a relay that takes the messages, `HOST:PORT`. May be repeated. Without it the
    /// peers in the relay's configuration (`queue.peers`) take them.
    #[arg(long, value_name = "ENDPOINT", value_delimiter = ',')]
    pub to: Vec<Endpoint>,
    /// Take messages and deliver again.
    #[arg(long, conflicts_with = "to")]
    pub cancel: bool,
    /// Only show how far it is.
    #[arg(long, conflicts_with_all = ["to", "cancel"])]
    pub status: bool,
}

//! The planner's command.

use std::path::PathBuf;
use std::sync::LazyLock;

use chasqui_planner::demand::{DemandOption, Kind, options};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Subcommand};

use super::SimulateArguments;

/// `chasqui plan`
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct PlanArguments {
    /// What to do with the plan, instead of printing it.
    #[command(subcommand)]
    pub command: Option<PlanCommand>,
    /// What the site must carry.
    #[command(flatten)]
    pub demand: DemandArguments,
    /// Figures of our own benchmarks, as `tests/bench/run --planner` writes them, in place of those
    /// that this version was built with.
    #[arg(long, value_name = "FILE")]
    pub measured: Option<PathBuf>,
    /// Print the plan as one JSON object instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Write a picture as well: bars of what each tier needs, and the racks with their guests.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Write the site file, `site.toml`, into this folder. It is created when it does not exist.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace a site file that exists.
    #[arg(long, requires = "out")]
    pub force: bool,
}

/// The commands on a plan.
#[derive(Subcommand, Debug)]
pub enum PlanCommand {
    /// Play a day of load through a site: the log-in storm, deliveries, a blade lost, a storage controller lost.
    ///
    /// Reports loads, queues, how long people wait, what is refused or comes later, and the first
    /// bottleneck with what would remove it.
    Simulate(SimulateArguments),
}

/// What the site must carry: a file, options, or both; options win.
#[derive(Args, Debug)]
pub struct DemandArguments {
    /// A TOML file of demands. Its keys are the options below, with `_` in place of `-`.
    #[arg(long = "demand", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Options that stand on the command line.
    #[command(flatten)]
    pub options: DemandOptions,
}

/// The demand's keys that were given as options, each with its values.
#[derive(Debug)]
pub struct DemandOptions {
    /// The option's name and its values, in order.
    pub given: Vec<(String, Vec<String>)>,
}

/// Each key of a demand is an option; its help is the key's own.
static OPTIONS: LazyLock<Vec<DemandOption>> = LazyLock::new(options);

impl FromArgMatches for DemandOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |option: &DemandOption| {
            let values = matches.get_many::<String>(&option.name)?;
            Some((option.name.clone(), values.cloned().collect()))
        };
        Ok(Self { given: OPTIONS.iter().filter_map(given).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for DemandOptions {
    fn augment_args(command: Command) -> Command {
        let option = |option: &'static DemandOption| {
            let value = match option.kind {
                Kind::Number => "N",
                Kind::Text => "VALUE",
                Kind::Texts => "NAME,…",
                Kind::Table | Kind::Tables => "NAME=VALUE,…",
            };
            Arg::new(option.name.as_str())
                .long(option.name.as_str())
                .help(option.help.as_str())
                .value_name(value)
                .action(ArgAction::Append)
                .help_heading("Demand")
        };
        command.args(OPTIONS.iter().map(option))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

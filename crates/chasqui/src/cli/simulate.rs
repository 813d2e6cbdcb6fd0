//! The planner's simulation.

use std::path::PathBuf;

use chasqui_base::Span;
use chasqui_planner::simulate::Event;
use clap::Args;

use super::DemandArguments;

/// `chasqui plan simulate`
#[derive(Args, Debug)]
pub struct SimulateArguments {
    /// The site file. Without one, the site is planned for the demand first, and then simulated.
    #[arg(value_name = "SITE")]
    pub site: Option<PathBuf>,
    /// What people and the world ask for. Accounts, quota and model of a site file with a plan are
    /// the plan's unless they are given.
    #[command(flatten)]
    pub demand: DemandArguments,
    /// Figures of our own benchmarks, as `tests/bench/run --planner` writes them, in place of those
    /// that this version was built with.
    #[arg(long, value_name = "FILE")]
    pub measured: Option<PathBuf>,
    /// Something that is lost: TIME=KIND:NAME, several times; KIND is blade, chassis, controller,
    /// directory or host, and /45m at the end says how long. Without any: a blade at 10:30, a chassis
    /// at 12:00, a storage controller at 14:30, a directory server at 16:00, the first of each.
    #[arg(long = "event", value_name = "EVENT")]
    pub events: Vec<Event>,
    /// A day on which nothing is lost.
    #[arg(long, conflicts_with = "events")]
    pub no_events: bool,
    /// The same seed gives the same day.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How many times slower a core of the site is than one of the machine that was measured.
    #[arg(long, value_name = "TIMES", default_value_t = 1.0, value_parser = times)]
    pub slower: f64,
    /// How long what was lost is away, unless the event says it.
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub repair: Span,
    /// When a storage node, whose volumes are on arrays, runs again on another blade.
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub restart: Span,
    /// When the other controller serves the arrays of a lost one: somebody must see it and fence it.
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub takeover: Span,
    /// Also print each tier's hours.
    #[arg(long)]
    pub hours: bool,
    /// Print the day as one JSON object instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Write a picture as well: each tier's load and the slowest hundredth through the day.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

fn times(text: &str) -> Result<f64, String> {
    let times = text.parse().ok().filter(|times: &f64| (0.01..=1_000.0).contains(times));
    times.ok_or_else(|| "write a number from 0.01 to 1000".to_owned())
}

//! `chasqui plan simulate`: a day of load through a site.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::Path;

use anyhow::Context;
use chasqui_planner::capacity::{Capacity, thousands};
use chasqui_planner::demand::{self, Demand};
use chasqui_planner::place::{self, Fleet};
use chasqui_planner::simulate::{self, Assumptions, Options, Report, Times};
use chasqui_planner::site::{self, Model, Site};
use comfy_table::{CellAlignment, Table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::measured;
use crate::admin::output;
use crate::cli::SimulateArguments;

/// `chasqui plan simulate …`
pub fn run(arguments: &SimulateArguments) -> anyhow::Result<()> {
    let measured = measured(arguments.measured.as_deref())?;
    let (site, demand) = match &arguments.site {
        Some(file) => {
            let site = site::load(file)?;
            let demand = of_site(&site, arguments)?;
            (site, demand)
        }
        None => {
            let demand = super::demand(&arguments.demand)?;
            let capacity = Capacity::of(&demand, &measured);
            let fleet = Fleet::of(&demand, &measured)?;
            let (_, site) = place::site_text(&demand, &capacity, &fleet)?;
            (site, demand)
        }
    };
    let assumptions = Assumptions {
        slower: arguments.slower,
        repair: arguments.repair.get().as_secs_f64(),
        restart: arguments.restart.get().as_secs_f64(),
        array_takeover: arguments.takeover.get().as_secs_f64(),
        ..Assumptions::default()
    };
    let events = match (arguments.no_events, arguments.events.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => simulate::usual(&site),
        (false, false) => arguments.events.clone(),
    };
    let options = Options { events, assumptions, seed: arguments.seed, ..Options::default() };
    let bar = bar(arguments.json);
    let report = simulate::run(&site, &demand, &measured, &options, &mut |share| {
        bar.set_position((share * 1_000.0) as u64)
    });
    bar.finish_and_clear();
    let report = report?;
    if let Some(file) = &arguments.svg {
        let sources: Vec<&Path> =
            arguments.site.iter().chain(&arguments.measured).map(|file| file.as_path()).collect();
        output::picture(file, &simulate::svg(&report), &sources)?;
    }
    if arguments.json {
        return output::line(&serde_json::to_string(&report)?);
    }
    std::io::stdout().lock().write_all(text(&report, arguments.hours).as_bytes()).context("standard output")
}

/// The demand of a site file's plan, and what was given over it.
fn of_site(site: &Site, arguments: &SimulateArguments) -> anyhow::Result<Demand> {
    let file = arguments.demand.file.as_deref();
    let mut given = arguments.demand.options.given.clone();
    if let (Some(plan), None) = (&site.plan, file) {
        let model = match plan.model {
            Model::Paper => "paper",
            Model::Measured => "measured",
        };
        let of_plan = [
            ("users", plan.users.to_string()),
            ("quota", plan.quota.to_string()),
            ("model", model.to_owned()),
        ];
        for (name, value) in of_plan {
            if !given.iter().any(|(other, _)| other == name) {
                given.push((name.to_owned(), vec![value]));
            }
        }
    }
    Ok(demand::read(file, &given)?)
}

/// A bar over the day, where somebody watches.
fn bar(json: bool) -> ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(1_000);
    bar.set_draw_target(ProgressDrawTarget::stderr());
    // The template is a constant; one that could not be read would only lose its colours.
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent}% of the day, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn text(report: &Report, hours: bool) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(text, "A day of {} with {} accounts\n", report.site, thousands(report.users.into()));
    let mut table = output::table(&["for people", "in the day", "half within", "95 %", "99 %", "slowest"]);
    for work in &report.work {
        let mut row = vec![work.name.to_owned()];
        row.extend(times(&work.day));
        table.add_row(row);
    }
    put(&mut text, table, 1..6);
    let mut table = output::table(&[
        "tier",
        "servers",
        "highest load",
        "at",
        "waiting",
        "half within",
        "95 %",
        "99 %",
        "slowest",
    ]);
    for tier in &report.tiers {
        let mut row = vec![
            tier.name.to_owned(),
            tier.servers.to_string(),
            percent(tier.peak.load),
            clock(tier.peak.at),
            count(tier.most_waiting()),
        ];
        row.extend(times(&tier.day).into_iter().skip(1));
        table.add_row(row);
    }
    put(&mut text, table, 1..9);
    if hours {
        text.push_str(&hours_of(report));
    }
    if !report.events.is_empty() {
        let header = [
            "lost",
            "log-ins again",
            "requests refused",
            "messages later",
            "spooled",
            "requests, worst 99 %",
        ];
        let mut table = output::table(&header);
        for effect in &report.events {
            let refused = effect.refused;
            let numbers = [refused.log_ins, refused.requests, refused.deferred, refused.spooled].map(count);
            let mut row = vec![effect.event.clone()];
            row.extend(numbers);
            row.push(seconds(effect.request_p99));
            table.add_row(row);
        }
        put(&mut text, table, 1..6);
    }
    let refused = report.refused;
    let _ = writeln!(
        text,
        "In all {} log-ins had to be tried again, {} requests were refused, {} messages came later, {} were spooled.\n\
         At most {} people were without session ({}), {} messages in spools ({}).\n",
        count(refused.log_ins),
        count(refused.requests),
        count(refused.deferred),
        count(refused.spooled),
        count(report.without_session.count),
        report.without_session.at,
        count(report.spooled.count),
        report.spooled.at,
    );
    text.push_str(&bottleneck(report));
    let _ = writeln!(
        text,
        "\nCosts: {}.\nAssumed (--json has all): repair {:.0} s, restart of a storage node {:.0} s, takeover of arrays {:.0} s, \
         drives {:.0} and SSDs {:.0} operations/s. Seed {}.",
        report.figures,
        report.assumptions.repair,
        report.assumptions.restart,
        report.assumptions.array_takeover,
        report.assumptions.drive_operations,
        report.assumptions.ssd_operations,
        report.seed,
    );
    text
}

fn bottleneck(report: &Report) -> String {
    let first = &report.bottleneck;
    let head = match (&first.at, &first.event) {
        (Some(at), Some(event)) => format!(
            "First bottleneck: {} ({}) at {at}, after {event}, at {}",
            first.tier,
            first.server,
            percent(first.load)
        ),
        (Some(at), None) => {
            format!("First bottleneck: {} ({}) at {at}, at {}", first.tier, first.server, percent(first.load))
        }
        (None, _) => format!(
            "No bottleneck: the busiest tier is {} ({}), at {}",
            first.tier,
            first.server,
            percent(first.load)
        ),
    };
    let remedy =
        if first.at.is_some() { format!("What would remove it: {}.\n", first.remedy) } else { String::new() };
    let holds = thousands(first.holds.into());
    format!(
        "{head} of what it can do.\n{remedy}While nothing is lost the site holds about {holds} accounts.\n"
    )
}

fn hours_of(report: &Report) -> String {
    let mut text = String::new();
    for tier in &report.tiers {
        let mut table = output::table(&[
            tier.name,
            "asked",
            "highest load",
            "waiting",
            "half within",
            "95 %",
            "99 %",
            "slowest",
        ]);
        for (number, hour) in tier.hours.iter().enumerate() {
            let mut row =
                vec![format!("{number:02}:00"), count(hour.asked), percent(hour.load), count(hour.waiting)];
            row.extend(times(&hour.times).into_iter().skip(1));
            table.add_row(row);
        }
        put(&mut text, table, 1..8);
    }
    text
}

fn put(text: &mut String, mut table: Table, right: std::ops::Range<usize>) {
    for number in right {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let _ = writeln!(text, "{}\n", table.trim_fmt());
}

/// How many, and the four times.
fn times(times: &Times) -> [String; 5] {
    [count(times.count), seconds(times.p50), seconds(times.p95), seconds(times.p99), seconds(times.max)]
}

fn percent(load: f64) -> String {
    if load < 0.1 { format!("{:.1} %", load * 100.0) } else { format!("{:.0} %", load * 100.0) }
}

fn clock(at: f64) -> String {
    format!("{:02}:{:02}", at as u64 / 3_600, at as u64 / 60 % 60)
}

fn count(number: f64) -> String {
    if number > 0.0 && number < 1.0 { "under 1".to_owned() } else { thousands(number.round() as u128) }
}

fn seconds(time: f64) -> String {
    match time {
        0.0 => "–".to_owned(),
        t if t >= 100.0 => format!("{t:.0} s"),
        t if t >= 1.0 => format!("{t:.1} s"),
        t if t >= 1e-3 => format!("{:.1} ms", t * 1e3),
        t => format!("{:.0} µs", t * 1e6),
    }
}

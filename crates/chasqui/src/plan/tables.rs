//! A plan as tables for people.

use std::fmt::Write as _;

use chasqui_planner::capacity::{Capacity, Ratio, Source, Sum, gigabytes, thousands};
use chasqui_planner::demand::Demand;
use chasqui_planner::place::{Center, Fleet, PlaceError};
use chasqui_planner::site::Model;
use comfy_table::{CellAlignment, Table};

use crate::admin::output;

/// The whole plan.
pub fn plan(demand: &Demand, capacity: &Capacity, fleet: &Result<Fleet, PlaceError>) -> String {
    let mut text = String::new();
    heading(&mut text, "Load, network and storage");
    put(&mut text, figures(capacity));
    heading(&mut text, "What each tier needs");
    put(&mut text, tiers(demand, capacity));
    let _ = writeln!(text, "\n\"measured\" comes from {}.", capacity.measured);
    let _ = writeln!(
        text,
        "\"paper\" is a rule of the evaluation of Expresso V3; \"assumed\" is neither, and yours to judge."
    );
    match fleet {
        Ok(fleet) => fleet.datacenters.iter().for_each(|center| place(&mut text, center)),
        Err(error) => {
            let _ = writeln!(text, "\nNo site: {error}.");
        }
    }
    if let Ok(fleet) = fleet {
        domains(&mut text, demand, fleet);
    }
    heading(&mut text, "To know");
    for note in &capacity.notes {
        wrapped(&mut text, note);
    }
    text
}

fn figures(capacity: &Capacity) -> Table {
    let mut table = output::table(&["figure", "value", "from", "how"]);
    for figure in &capacity.figures {
        table.add_row([figure.name, &figure.text, figure.source.word(), &figure.rule]);
    }
    right(table, &[1])
}

fn tiers(demand: &Demand, capacity: &Capacity) -> Table {
    let mut table = output::table(&["tier", "cores", "memory GB", "from", "how"]);
    for tier in &capacity.tiers {
        let sum = Sum::of(std::iter::once(tier));
        let margin = tier.margin.map(|margin| format!(", all × {margin} (margin)")).unwrap_or_default();
        let later = if tier.name.role().is_none() { " — kept free" } else { "" };
        table.add_row([
            format!("{}{later}", tier.name.word()),
            thousands(sum.cores.into()),
            gigabytes(sum.memory.0.into()),
            tier.source.word().to_owned(),
            format!("{}{}", tier.rule, if tier.source == Source::Measured { margin } else { String::new() }),
        ]);
    }
    let mut total = |name: &str, sum: Sum, memory: String, from: &str, how: &str| {
        table.add_row([name, &thousands(sum.cores.into()), &memory, from, how]);
    };
    let memory = |sum: Sum| gigabytes(sum.memory.0.into());
    if capacity.model == Model::Paper {
        let how = "reverse-proxy, http, webmail, mx, relay, storage, ldap";
        total("total, as the paper counts", capacity.counted, memory(capacity.counted), "paper", how);
    }
    let reserve = capacity.reserve;
    let how = format!(
        "{} blades of {} cores: {} % more; memory of {} blades: {} % more",
        thousands(reserve.blades.into()),
        demand.blade_cores(),
        demand.reserve_percent,
        thousands(reserve.memory_blades.into()),
        demand.reserve_memory_percent,
    );
    let with_reserve = reserve.gigabytes().to_string();
    if capacity.model == Model::Paper {
        total("with reserve", reserve.sum, with_reserve, "paper", &how);
        total(
            "total of all tiers",
            capacity.total,
            memory(capacity.total),
            "",
            "also what the paper leaves out",
        );
    } else {
        total("total", capacity.total, memory(capacity.total), "", "");
        total("with reserve", reserve.sum, with_reserve, "", &how);
    }
    right(table, &[1, 2])
}

fn place(text: &mut String, center: &Center) {
    let chassis = center.rack.chassis;
    let blades = center.rack.blades.len();
    let fails = if chassis == 0 { "server" } else { "blade or chassis" };
    heading(
        text,
        &format!(
            "Servers of {}, {} accounts; any one {fails} may fail",
            center.name,
            thousands(center.users.into())
        ),
    );
    let mut table =
        output::table(&["hosts", "roles", "carry the load", "spare", "cores", "memory", "system disk"]);
    for kind in &center.kinds {
        let roles: Vec<String> = kind.roles.iter().map(ToString::to_string).collect();
        let spare = if kind.restarted {
            "restarted".to_owned()
        } else {
            (kind.count - kind.needed.min(kind.count)).to_string()
        };
        table.add_row([
            format!("{}1…{}", kind.name, kind.count),
            roles.join(", "),
            kind.needed.min(kind.count).to_string(),
            spare,
            kind.cores.to_string(),
            kind.memory.to_string(),
            kind.disk.to_string(),
        ]);
    }
    put(text, right(table, &[2, 3, 4, 5, 6]));

    let machine = format!("{} cores and {}", center.rack.cores, center.rack.memory);
    let machines = match chassis {
        0 => format!("{blades} servers of {machine}"),
        _ => format!("{blades} blades of {machine} in {chassis} chassis of {} slots", center.rack.slots),
    };
    let edges: Vec<String> = center
        .edges
        .iter()
        .map(|edge| format!("{}{} ({} Gbit/s)", edge.kind, edge.number, edge.speed))
        .collect();
    let budget = match center.power_budget {
        Some(budget) if budget < center.power => {
            format!(", {} W more than there are", thousands(u128::from(center.power - budget)))
        }
        Some(budget) => format!(" of {} W", thousands(budget.into())),
        None => String::new(),
    };
    let _ = writeln!(
        text,
        "\n{machines}, {} guests; {} kept free for the webmail.\n{}; {} storage controllers. Power: {} W{budget}.",
        center.rack.guests(),
        center.kept_free.text(),
        edges.join(", "),
        center.disks.controllers,
        thousands(center.power.into()),
    );

    heading(text, &format!("Arrays of {}", center.name));
    let mut table = output::table(&[
        "array",
        "controllers",
        "for",
        "RAID 6 groups",
        "drives",
        "net TB",
        "in LUNs TB",
        "SSDs, mirrored",
    ]);
    let tb = |octets| Ratio::new(octets, 1_000_000_000_000).to_string();
    for (i, array) in center.disks.arrays.iter().enumerate() {
        let controller = |which| 2 * array.pair + which + 1;
        let ssds =
            if array.ssds == 0 { "none".to_owned() } else { format!("{} × {}", array.ssds, array.ssd_size) };
        table.add_row([
            format!("a{}", i + 1),
            format!("array{}, array{}", controller(array.first), controller(1 - array.first)),
            array.purpose.to_owned(),
            format!("{} of {} ({} data)", array.groups, array.group_size, array.group_size - 2),
            format!("{} + {} spare of {}", array.groups * array.group_size, array.spares, array.drive_size),
            tb(array.net()),
            tb(array.used),
            ssds,
        ]);
    }
    put(text, right(table, &[5, 6]));
}

/// How many servers each domain has.
fn domains(text: &mut String, demand: &Demand, fleet: &Fleet) {
    heading(text, "Domains");
    let mut table = output::table(&["domain", "accounts", "servers"]);
    let count = |role: &str| -> u64 {
        let kinds = fleet.datacenters.iter().flat_map(|center| &center.kinds);
        kinds.filter(|kind| kind.roles.iter().any(|has| has.to_string() == role)).map(|kind| kind.count).sum()
    };
    let roles = ["mx", "relay", "reverse-proxy", "http", "proxy", "storage", "ldap"];
    let servers: Vec<String> = roles.map(|role| format!("{} {role}", count(role))).to_vec();
    for (name, users) in demand.domains() {
        table.add_row([name, thousands(users.into()), servers.join(", ")]);
    }
    put(text, right(table, &[1]));
}

fn heading(text: &mut String, title: &str) {
    let gap = if text.is_empty() { "" } else { "\n" };
    let _ = writeln!(text, "{gap}{title}\n");
}

fn put(text: &mut String, table: Table) {
    let _ = writeln!(text, "{}", table.trim_fmt());
}

fn right(mut table: Table, columns: &[usize]) -> Table {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A note, in lines of a readable length.
fn wrapped(text: &mut String, note: &str) {
    let mut line = String::from("-");
    for word in note.split_whitespace() {
        if line.chars().count() + word.chars().count() > 108 {
            let _ = writeln!(text, "{line}");
            line = String::from(" ");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

//! `chasqui site show FILE`

use std::path::Path;

use chasqui_base::ByteSize;
use chasqui_planner::site::{self, Overview};

use super::sentences;
use crate::admin::output;

/// Prints a site as tables, and writes its picture.
pub fn show(json: bool, file: &Path, svg: Option<&Path>) -> anyhow::Result<()> {
    let site = site::load(file)?;
    if let Some(out) = svg {
        output::picture(out, &site::picture(&site), &[file])?;
    }
    let overview = Overview::new(&site);
    if json {
        return output::line(&serde_json::to_string(&overview)?);
    }
    let about =
        if overview.description.is_empty() { String::new() } else { format!(": {}", overview.description) };
    output::line(&format!("{}{about}", overview.name))?;
    hosts(&overview)?;
    machines(&overview)?;
    networks(&overview)?;
    published(&overview)?;
    storage(&overview)?;
    match svg {
        Some(out) => output::line(&format!("\nThe picture is in {}.", out.display())),
        None => Ok(()),
    }
}

fn hosts(overview: &Overview) -> anyhow::Result<()> {
    let mut table = sentences(&["data centre", "host", "machine", "roles", "address", "cores", "memory"]);
    for row in &overview.hosts {
        let drained = if row.drain { " (drained)" } else { "" };
        table.add_row([
            row.datacenter.clone(),
            format!("{}{drained}", row.name),
            format!("{}{}", row.machine, if row.guest { ", guest" } else { "" }),
            joined(&row.roles),
            row.address.map_or_else(String::new, |address| address.to_string()),
            row.cores.map_or_else(String::new, |cores| cores.to_string()),
            row.memory.map_or_else(String::new, |memory| memory.to_string()),
        ]);
    }
    section("Hosts", &table)
}

fn machines(overview: &Overview) -> anyhow::Result<()> {
    let mut table =
        sentences(&["data centre", "place", "machine", "system", "guests", "cores given", "memory given"]);
    for row in &overview.machines {
        let place = match (&row.chassis, row.slot) {
            (Some(chassis), Some(slot)) => format!("{chassis} slot {slot}"),
            _ => row.rack.clone().unwrap_or_default(),
        };
        table.add_row([
            row.datacenter.clone(),
            place,
            row.name.clone(),
            row.system.clone().unwrap_or_default(),
            joined(&row.guests),
            format!("{} of {}", row.cores_given, row.cores),
            format!("{} of {}", row.memory_given, row.memory),
        ]);
    }
    section("Machines", &table)
}

fn networks(overview: &Overview) -> anyhow::Result<()> {
    let mut table =
        sentences(&["data centre", "network", "kind", "prefixes", "VLAN", "gateway", "over", "hosts"]);
    for row in &overview.networks {
        let at = row.gateway_role.map_or_else(String::new, |role| format!(" at {role}"));
        let gateway =
            if row.gateway.is_empty() { String::new() } else { format!("{}{at}", joined(&row.gateway)) };
        table.add_row([
            row.datacenter.clone().unwrap_or_default(),
            row.name.clone(),
            row.kind.to_string(),
            joined(&row.prefixes),
            row.vlan.map_or_else(String::new, |vlan| vlan.to_string()),
            gateway,
            joined(&row.over),
            row.hosts.to_string(),
        ]);
    }
    section("Networks", &table)
}

fn published(overview: &Overview) -> anyhow::Result<()> {
    if overview.published.is_empty() {
        return Ok(());
    }
    let mut table = sentences(&["service", "names", "ports", "data centre", "public", "façade", "servers"]);
    for row in &overview.published {
        let tcp = row.tcp.iter().map(|port| format!("{port}/tcp"));
        let ports: Vec<String> = tcp.chain(row.udp.iter().map(|port| format!("{port}/udp"))).collect();
        table.add_row([
            row.name.clone(),
            joined(&row.names),
            joined(&ports),
            row.datacenter.clone(),
            joined(&row.public),
            joined(&row.facade),
            format!("{}: {}", row.role, joined(&row.servers)),
        ]);
    }
    section("Published services", &table)
}

fn storage(overview: &Overview) -> anyhow::Result<()> {
    if !overview.arrays.is_empty() {
        let mut table = sentences(&["array", "controllers", "drives", "spares", "cache", "holds", "given"]);
        for row in &overview.arrays {
            table.add_row([
                row.name.clone(),
                joined(&row.controllers),
                format!("{} × RAID 6 of {} × {}", row.groups, row.group_size, row.drive_size),
                row.spares.to_string(),
                if row.cache == ByteSize(0) { String::new() } else { row.cache.to_string() },
                row.net.to_string(),
                row.given.to_string(),
            ]);
        }
        section("Disk arrays", &table)?;
    }
    if overview.volumes.is_empty() {
        return Ok(());
    }
    let mut table = sentences(&["host", "volume", "on", "size", "mounted at"]);
    for row in &overview.volumes {
        let on = match (&row.lun, &row.array, &row.device) {
            (Some(lun), Some(array), _) => format!("LUN {lun} of {array}"),
            (_, _, device) => device.clone().unwrap_or_default(),
        };
        table.add_row([
            row.host.clone(),
            row.name.clone(),
            on,
            row.size.map_or_else(String::new, |size| size.to_string()),
            row.mount.clone().unwrap_or_default(),
        ]);
    }
    section("Volumes", &table)
}

fn section(title: &str, table: &comfy_table::Table) -> anyhow::Result<()> {
    output::line(&format!("\n{title}\n{}", table.trim_fmt()))
}

fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

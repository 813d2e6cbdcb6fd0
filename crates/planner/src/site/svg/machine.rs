//! A machine as a card: its name and place, how much of it is given away, its system and its guests.

use std::collections::BTreeSet;

use super::super::fleet::{Fleet, cores_of, memory_of};
use super::super::{Host, Machine, NetworkKind};
use super::block::{Block, fitted};
use super::{count, palette};

/// Width of a card.
pub(super) const WIDTH: f64 = 166.0;
/// Between the edge of a card and what is in it.
const EDGE: f64 = 6.0;
/// Height of a host in its machine.
const CHIP: f64 = 29.0;
/// Height of the heading, and of a bar.
const HEADING: f64 = 20.0;
const BAR: f64 = 14.0;

/// A machine with the hosts on it.
pub(super) fn card(fleet: &Fleet<'_>, name: &str, machine: &Machine) -> Block {
    let system = fleet.systems.get(name);
    let guests = fleet.guests.get(name).map_or(&[][..], Vec::as_slice);
    let hosts: Vec<(&str, &Host)> = system.into_iter().chain(guests).copied().collect();
    let bars = if guests.is_empty() { 0.0 } else { 2.0 * BAR };
    let height = HEADING + bars + hosts.len() as f64 * (CHIP + 3.0) + 4.0;
    let mut card = Block::new(WIDTH, height);
    card.rectangle((0.0, 0.0), (WIDTH, height), "machine", "");
    card.text(EDGE, 14.0, "name", &fitted(name, 11.0, WIDTH - 56.0));
    let place = match machine.slot {
        Some(slot) => format!("slot {slot}"),
        None => format!("{} cores", machine.cores),
    };
    card.text_to(WIDTH - EDGE, 14.0, "small", &place);
    let mut y = HEADING;
    if !guests.is_empty() {
        let cores = cores_of(guests);
        let memory = memory_of(guests);
        bar(&mut card, y, cores as f64, f64::from(machine.cores), "cores");
        bar(&mut card, y + BAR, gib(memory), gib(machine.memory.as_u64()), "GiB");
        y += bars;
    }
    for (host, description) in hosts {
        card.place(&chip(fleet, host, description), EDGE, y);
        y += CHIP + 3.0;
    }
    card.titled(&said(fleet, name, machine, guests.len()))
}

/// Slots without a blade, from the first to the last of them.
pub(super) fn empty(first: u32, last: u32) -> Block {
    let height = 34.0;
    let mut card = Block::new(WIDTH, height);
    card.rectangle((0.0, 0.0), (WIDTH, height), "empty", "");
    card.text(EDGE, 21.0, "small", "empty");
    let slots = if first == last { format!("slot {first}") } else { format!("slots {first} to {last}") };
    card.text_to(WIDTH - EDGE, 21.0, "small", &slots);
    card
}

fn gib(octets: u64) -> f64 {
    octets as f64 / f64::from(1 << 30)
}

fn bar(card: &mut Block, y: f64, given: f64, whole: f64, unit: &str) {
    let (x, width) = (EDGE, 74.0);
    let part = if whole > 0.0 { given / whole } else { 1.0 };
    card.rectangle((x, y + 2.0), (width, 7.0), "track", "");
    if part > 0.0 {
        card.rectangle((x, y + 2.0), (width * part.min(1.0), 7.0), "bar", palette::share(part));
    }
    card.text_to(WIDTH - EDGE, y + 9.0, "small", &format!("{given:.0} of {whole:.0} {unit}"));
}

/// A host: its name, its roles in words and as colours, and a mark for each kind of network that it is in.
fn chip(fleet: &Fleet<'_>, name: &str, host: &Host) -> Block {
    let width = WIDTH - 2.0 * EDGE;
    let mut chip = Block::new(width, CHIP);
    let class = match (host.drain, host.guest) {
        (true, _) => "drain",
        (_, true) => "chip",
        _ => "system",
    };
    chip.rectangle((0.0, 0.0), (width, CHIP), class, "");
    let each = (CHIP - 4.0) / host.roles.len().max(1) as f64;
    for (number, role) in host.roles.iter().enumerate() {
        chip.rectangle((2.0, 2.0 + number as f64 * each), (6.0, each), "mark", palette::role(*role));
    }
    let kinds: BTreeSet<NetworkKind> = host
        .interfaces
        .values()
        .filter(|interface| !interface.addresses.is_empty())
        .filter_map(|interface| fleet.site.networks.get(&interface.network))
        .map(|network| network.kind)
        .collect();
    let marks = kinds.len() as f64 * 8.0;
    for (number, kind) in kinds.iter().enumerate() {
        let x = width - 4.0 - marks + number as f64 * 8.0;
        chip.rectangle((x, 5.0), (6.0, 6.0), "mark", palette::network(*kind));
    }
    chip.text(12.0, 12.0, "name", &fitted(name, 11.5, width - 18.0 - marks));
    let roles: Vec<&str> = host.roles.iter().map(|role| role.name()).collect();
    let roles = if host.drain { format!("drained · {}", roles.join(" · ")) } else { roles.join(" · ") };
    chip.text(12.0, 24.0, "small", &fitted(&roles, 9.5, width - 14.0));
    chip.titled(&host_said(fleet, name, host))
}

fn host_said(fleet: &Fleet<'_>, name: &str, host: &Host) -> String {
    let roles: Vec<&str> = host.roles.iter().map(|role| role.name()).collect();
    let kind = if host.guest { "Xen guest" } else { "system of its machine" };
    let mut said = format!("{name}: {kind}; {}", roles.join(", "));
    if let Some(address) = fleet.site.service_address(host) {
        said.push_str(&format!("; {address}"));
    }
    if let (Some(cores), Some(memory)) = (host.cores, host.memory) {
        said.push_str(&format!("; {cores} cores, {memory} of memory"));
    }
    for (volume, description) in &host.volumes {
        let on = description.lun.as_deref().or(description.device.as_deref()).unwrap_or("nothing");
        said.push_str(&format!("; volume {volume} on {on}"));
    }
    said
}

fn said(fleet: &Fleet<'_>, name: &str, machine: &Machine, guests: usize) -> String {
    let mut said = format!(
        "Machine {name}: {} cores, {} of memory, {}",
        machine.cores,
        machine.memory,
        count(guests, "guest")
    );
    if let Some((system, _)) = fleet.systems.get(name) {
        said.push_str(&format!(", system {system}"));
    }
    if let Some(power) = machine.power {
        said.push_str(&format!(", {power} W"));
    }
    said
}

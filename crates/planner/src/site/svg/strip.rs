//! What lies beside the machines: headings, published services, networks, arrays, keys of the legend.

use super::super::check::{net_size, octets};
use super::super::finding::listed;
use super::super::fleet::{Fleet, total};
use super::super::{Array, Network, Published, PublishedAt, Site};
use super::block::{Block, fitted, text_width};
use super::{count, palette};

/// The name of a group of blocks.
pub(super) fn label(text: &str) -> Block {
    let mut block = Block::new(text_width(text, 12.5), 14.0);
    block.text(0.0, 11.0, "label", text);
    block
}

/// One key of the legend.
pub(super) fn key(colour: &str, text: &str) -> Block {
    let mut block = Block::new(18.0 + text_width(text, 11.0), 16.0);
    block.rectangle((0.0, 2.0), (12.0, 12.0), "mark", colour);
    block.text(17.0, 12.0, "", text);
    block
}

/// The heading of a data centre.
pub(super) fn datacenter(fleet: &Fleet<'_>, name: &str, width: f64) -> Block {
    let site = fleet.site;
    let here = &site.datacenters[name];
    let machines =
        || site.machines.values().filter(|machine| site.datacenter_of_machine(machine) == Some(name));
    let hosts = site.hosts.keys().filter(|host| fleet.datacenter(host) == Some(name)).count();
    let drawn = total(machines().filter_map(|machine| machine.power));
    let power = match (drawn, here.power) {
        (0, None) => String::new(),
        (drawn, None) => format!(", {drawn} W"),
        (drawn, Some(given)) => format!(", {drawn} of {given} W"),
    };
    let about = if here.description.is_empty() { String::new() } else { format!("{} · ", here.description) };
    let mut block = Block::new(width, 22.0);
    block.text(0.0, 17.0, "h2", name);
    let x = text_width(name, 17.0) + 18.0;
    let (machines, hosts) = (count(machines().count(), "machine"), count(hosts, "host"));
    let counts = format!("{about}{machines}, {hosts}{power}");
    block.text(x, 17.0, "h3", &fitted(&counts, 13.0, width - x));
    block
}

/// A published service, with the way from its public addresses to its servers.
pub(super) fn published(
    fleet: &Fleet<'_>,
    name: &str,
    entry: &Published,
    datacenter: &str,
    at: &PublishedAt,
) -> Block {
    let protocol = |ports: &[u16], name: &str| {
        (!ports.is_empty()).then(|| format!("{name} {}", listed(ports.iter().map(ToString::to_string))))
    };
    let ports: Vec<String> =
        [protocol(&entry.tcp, "TCP"), protocol(&entry.udp, "UDP")].into_iter().flatten().collect();
    let first = format!("{name}: {}", ports.join(" · "));
    let servers = fleet.group(entry.role, datacenter);
    let public = match at.public.as_slice() {
        [one] => one.to_string(),
        several => format!("{} addresses", several.len()),
    };
    let facade = at.facade.first().map_or_else(String::new, |address| format!(" → façade {address}"));
    let drained = servers.iter().filter(|(_, host)| host.drain).count();
    let drained = if drained > 0 { format!(", {drained} drained") } else { String::new() };
    let second = format!("{public}{facade} → {} × {}{drained}", servers.len(), entry.role);
    let width = text_width(&first, 11.5).max(text_width(&second, 10.0)) + 22.0;
    let mut block = Block::new(width, 34.0);
    block.rectangle((0.0, 0.0), (width, 34.0), "pill", "");
    block.rectangle((3.0, 3.0), (6.0, 28.0), "mark", palette::role(entry.role));
    block.text(14.0, 14.0, "name", &first);
    block.text(14.0, 27.0, "small", &second);
    let names = listed(entry.names.iter().map(|name| name.as_str()));
    let addresses = listed(at.public.iter().map(ToString::to_string));
    block.titled(&format!("{name}: {names} at {addresses}"))
}

/// A network as a line with what is known of it. A mesh's line is dashed.
pub(super) fn network(fleet: &Fleet<'_>, name: &str, network: &Network) -> Block {
    let hosts = fleet
        .site
        .hosts
        .values()
        .flat_map(|host| host.interfaces.values())
        .filter(|interface| interface.network == name && !interface.addresses.is_empty())
        .count();
    let vlan = network.vlan.map_or_else(String::new, |vlan| format!(" · VLAN {vlan}"));
    let over = if network.is_mesh() {
        format!(" · WireGuard over {}", listed(&network.over))
    } else {
        String::new()
    };
    let first = format!("{name}{vlan}{over} · {}", count(hosts, "host"));
    let gateway = match (network.gateway.first(), network.gateway_role) {
        (Some(gateway), Some(role)) => format!(" · gateway {gateway} at {role}"),
        (Some(gateway), None) => format!(" · gateway {gateway}"),
        _ => String::new(),
    };
    let second = format!("{}{gateway}", listed(network.prefixes.iter().map(ToString::to_string)));
    let width = text_width(&first, 11.5).max(text_width(&second, 10.0)) + 44.0;
    let mut block = Block::new(width, 34.0);
    block.line((2.0, 17.0), (30.0, 17.0), palette::network(network.kind), network.is_mesh());
    block.text(38.0, 14.0, "name", &first);
    block.text(38.0, 27.0, "small", &second);
    block.titled(&format!("Network {name}, {}: {second}", network.kind))
}

/// A disk array with the share of it that its LUNs take.
pub(super) fn array(site: &Site, name: &str, array: &Array) -> Block {
    let luns: Vec<(&str, u64)> = site
        .luns
        .iter()
        .filter(|(_, lun)| lun.array == name)
        .map(|(lun, description)| (lun.as_str(), description.size.as_u64()))
        .collect();
    let given = total(luns.iter().map(|(_, size)| *size));
    let whole = net_size(array);
    let (width, height) = (360.0, 64.0);
    let mut block = Block::new(width, height);
    block.rectangle((0.0, 0.0), (width, height), "machine", "");
    let cache = array
        .cache
        .as_ref()
        .map_or_else(String::new, |cache| format!(", SSD {} × {}", cache.count, cache.size));
    let raid =
        format!("{} × RAID 6 of {} drives of {}{cache}", array.groups, array.group_size, array.drive_size);
    block.text(8.0, 15.0, "name", &fitted(name, 11.5, 120.0));
    block.text_to(
        width - 8.0,
        15.0,
        "small",
        &fitted(&format!("run by {}", array.controllers.join(", then ")), 9.5, 230.0),
    );
    block.text(8.0, 29.0, "small", &fitted(&raid, 9.5, width - 16.0));
    let part = if whole > 0 { given as f64 / whole as f64 } else { 1.0 };
    block.rectangle((8.0, 35.0), (width - 16.0, 8.0), "track", "");
    block.rectangle((8.0, 35.0), ((width - 16.0) * part.min(1.0), 8.0), "bar", palette::full(part));
    let said = format!("{} of {} in {} LUNs", octets(given), octets(whole), luns.len());
    block.text(8.0, 56.0, "small", &said);
    let names = luns.iter().map(|(lun, size)| format!("{lun} {}", octets(*size)));
    block.titled(&format!("Array {name}: {}", listed(names)))
}

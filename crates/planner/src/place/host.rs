//! Machines and hosts of the site file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::address::{Addresses, Private, place_in};
use super::blade::Blade;
use super::kind::Kind;
use super::write::{Text, role_word};
use super::{Center, Edge};
use crate::site::Role;

/// The third number of the addresses of controllers.
const CONTROLLERS: u8 = 1;
/// The third number of the blades of the first chassis.
const BLADES: u8 = 100;

/// A key that has the shape of a WireGuard public key and belongs to nobody: it comes from the names alone.
pub(super) fn placeholder_key(site: &str, host: &str) -> String {
    let mut key = *blake3::hash(format!("chasqui placeholder key of {host} at {site}").as_bytes()).as_bytes();
    key[31] &= 0x7f; // RFC 7748 §5: the highest bit is always 0.
    STANDARD.encode(key)
}

fn blade_number(center: &Center, blade: &Blade) -> (u8, u8) {
    match center.rack.chassis {
        0 => place_in(BLADES, blade.chassis as u64 + 1),
        _ => (BLADES + blade.chassis as u8, blade.slot as u8),
    }
}

fn blade_name(text: &Text<'_>, center: &Center, blade: &Blade, machine: bool) -> String {
    let (word, hyphen) = if center.rack.chassis == 0 { ("server", "") } else { ("blade", "") };
    let hyphen = if machine { "-" } else { hyphen };
    let number = match center.rack.chassis {
        0 => format!("{}", blade.chassis + 1),
        _ => format!("{}-{}", blade.chassis + 1, blade.slot),
    };
    text.of(&format!("{word}{hyphen}{number}"), center)
}

/// The machines of a data centre.
pub(super) fn machines(text: &mut Text<'_>, center: &Center, first: &mut bool) {
    let demand = text.demand;
    let mut machine = |text: &mut Text<'_>, name: &str, lines: &[String]| {
        if !std::mem::take(first) {
            text.blank();
        }
        text.line(format!("[machines.{name}]"));
        for line in lines {
            text.line(line);
        }
    };
    let place = format!("datacenter = \"{}\"", center.name);
    for edge in &center.edges {
        let name = text.of(&format!("{}-{}", edge.kind, edge.number), center);
        let speed = edge.speed;
        let (cores, memory) = if demand.compact() { (4, "8GiB") } else { (16, "64GiB") };
        let lines = [
            place.clone(),
            format!("rack = \"e{}\"", edge.number),
            format!("cores = {cores}\nmemory = \"{memory}\""),
            format!(
                "ports = {{ eno1 = {speed}, eno2 = {speed}, eno3 = 1 }}{}",
                if speed > 400 { " # bundles" } else { "" }
            ),
            format!("disk = \"64GB\"\npower = {}", edge.power),
        ];
        machine(text, &name, &lines);
    }
    for blade in &center.rack.blades {
        let name = blade_name(text, center, blade, true);
        let stands = match center.rack.chassis {
            0 => format!("{place}\nrack = \"r{}\"", blade.chassis + 1),
            _ => format!("chassis = \"{}\"\nslot = {}", text.chassis(center, blade.chassis), blade.slot),
        };
        let lines = [
            stands,
            format!("cores = {}\nmemory = \"{}\"", center.rack.cores, center.rack.memory),
            "ports = { eno1 = 10, eno2 = 10 }".into(),
            format!("disk = \"480GB\"\npower = {}", demand.blade_power),
        ];
        machine(text, &name, &lines);
    }
    for number in 1..=center.disks.controllers {
        let pair = (number - 1) / 2;
        let mine = center.disks.arrays.iter().filter(|array| array.pair == pair);
        let bays: u64 = mine.clone().map(|array| array.drives() + array.ssds).sum();
        let drives: u64 = mine
            .filter(|array| array.first == (number - 1) % 2)
            .map(|array| array.drives() + array.ssds)
            .sum();
        let name = text.of(&format!("array-{number}"), center);
        let (cores, memory) = if demand.compact() { (16, "64GiB") } else { (64, "512GiB") };
        let power = u64::from(demand.controller_power) + drives * u64::from(demand.drive_power);
        let lines = [
            format!("{place}\nrack = \"s{number}\""),
            format!("cores = {cores}\nmemory = \"{memory}\""),
            "ports = { eno1 = 10, eno2 = 10, eno3 = 10, eno4 = 10, eno5 = 1 }".into(),
            format!("disk = \"64GB\"\nbays = {bays}\npower = {power} # {drives} drives of its own among it"),
        ];
        machine(text, &name, &lines);
    }
}

/// The hosts of a data centre.
pub(super) fn hosts(text: &mut Text<'_>, number: usize, center: &Center) {
    let addresses = text.addresses(number, center);
    let suffix = if !text.of("", center).is_empty() { format!(" of {}", center.name) } else { String::new() };
    text.section(&format!("Systems of the machines{suffix}"));
    for (i, edge) in center.edges.iter().enumerate() {
        if i > 0 {
            text.blank();
        }
        match (edge.kind, edge.number) {
            ("firewall", 1) => text.comment(
                "Firewalls with the administrators' entrance, layer 2 (E2): a pair, each fast enough alone.",
            ),
            ("router", 1) => text.comment("Routers, layer 3 (E3): a pair, each fast enough alone."),
            ("edge", 1) => text.comment(
                "Firewalls and routers in one, layers 2 and 3 (E2, E3): a pair, each fast enough alone.",
            ),
            _ => {}
        }
        edge_host(text, center, &addresses, edge);
    }
    for (i, blade) in center.rack.blades.iter().enumerate() {
        text.blank();
        if i == 0 {
            text.comment("Xen hosts (E10). Each has a LUN for its guests' system disks.");
        }
        blade_host(text, center, &addresses, blade, i + 1);
    }
    for controller in 1..=center.disks.controllers {
        text.blank();
        if controller == 1 {
            text.comment(
                "Controllers of the disk arrays, layer 9 (E12), in pairs: 1 and 2, 3 and 4, and so on.",
            );
        }
        controller_host(text, center, &addresses, controller);
    }
    text.section(&format!("Guests{suffix}"));
    for (which, kind) in center.kinds.iter().enumerate() {
        if which > 0 {
            text.blank();
        }
        about(text, center, kind);
        for number in 1..=kind.count {
            if number > 1 {
                text.blank();
            }
            guest_host(text, center, &addresses, (which, kind), number);
        }
    }
}

fn head(text: &mut Text<'_>, name: &str, machine: &str, roles: &str, meshed: bool, guest: Option<&Kind>) {
    text.line(format!("[hosts.{name}]\nmachine = \"{machine}\""));
    if guest.is_some() {
        text.line("guest = true");
    }
    text.line(format!("roles = [{roles}]"));
    if let Some(kind) = guest {
        text.line(format!("cores = {}\nmemory = \"{}\"\ndisk = \"{}\"", kind.cores, kind.memory, kind.disk));
    }
    if meshed {
        let key = placeholder_key(&text.demand.name, name);
        text.line(format!("wireguard_key = \"{key}\" # replace"));
    }
    text.line(format!("\n[hosts.{name}.interfaces]"));
}

impl Text<'_> {
    /// An interface with an address.
    fn interface(&mut self, name: &str, network: &str, address: &str, more: &str) {
        self.line(format!("{name} = {{ network = \"{network}\", addresses = [\"{address}\"]{more} }}"));
    }
}

fn edge_host(text: &mut Text<'_>, center: &Center, a: &Addresses, edge: &Edge) {
    let name = text.of(&format!("{}{}", edge.kind, edge.number), center);
    let machine = text.of(&format!("{}-{}", edge.kind, edge.number), center);
    let of = |name: &str| text.of(name, center);
    let (uplink, public, service, management, admin) =
        (of("uplink"), of("public"), of("service"), of("management"), of("admin"));
    let firewall = edge.kind != "router";
    let routes = edge.kind != "firewall";
    let roles = match edge.kind {
        "firewall" => r#""firewall", "vpn", "knock""#,
        "router" => r#""router""#,
        _ => r#""firewall", "router", "vpn", "knock""#,
    };
    // Firewalls are 0.2 and 0.3, routers 0.4 and 0.5, in public and private networks alike.
    let last = if edge.kind == "router" { 3 + edge.number } else { 1 + edge.number };
    let own = (0, last as u8);
    head(text, &name, &machine, roles, firewall, None);
    if firewall {
        text.line(format!(
            "eno1 = {{ network = \"{uplink}\", addresses = [\"{}\"] }} # replace",
            a.uplink(2 + edge.number)
        ));
    }
    let port = if firewall { "eno2" } else { "eno1" };
    text.line(format!(
        "{port} = {{ network = \"{public}\", addresses = [\"{}\"] }} # replace",
        a.public(0, last)
    ));
    text.interface("eno3", &management, &a.private(Private::Management, own), "");
    if routes && firewall {
        text.interface("\"eno2.101\"", &service, &a.private(Private::Service, own), ", parent = \"eno2\"");
    } else if routes {
        text.interface("eno2", &service, &a.private(Private::Service, own), "");
    }
    if firewall {
        text.interface("wg-admin", &admin, &a.private(Private::Admin, own), "");
    }
}

fn blade_host(text: &mut Text<'_>, center: &Center, a: &Addresses, blade: &Blade, lun: usize) {
    let name = blade_name(text, center, blade, false);
    let machine = blade_name(text, center, blade, true);
    let own = blade_number(center, blade);
    let of = |name: &str| text.of(name, center);
    let (management, service, storage, storage_b, san, san_b, guests) = (
        of("management"),
        of("service"),
        of("storage"),
        of("storage-b"),
        of("san"),
        of("san-b"),
        of(&format!("guests{lun}")),
    );
    head(text, &name, &machine, "\"xen-host\"", true, None);
    text.interface(
        "bond0",
        &management,
        &a.private(Private::Management, own),
        ", bond = [\"eno1\", \"eno2\"]",
    );
    text.line(format!("\"bond0.101\" = {{ network = \"{service}\", parent = \"bond0\" }}"));
    text.interface("\"bond0.102\"", &storage, &a.private(Private::Storage, own), ", parent = \"bond0\"");
    text.interface("\"bond0.103\"", &storage_b, &a.private(Private::StorageB, own), ", parent = \"bond0\"");
    text.interface("wg-san", &san, &a.private(Private::San, own), "");
    text.interface("wg-san-b", &san_b, &a.private(Private::SanB, own), "");
    text.line(format!("\n[hosts.{name}.volumes]\nguests = {{ lun = \"{guests}\" }}"));
}

fn controller_host(text: &mut Text<'_>, center: &Center, a: &Addresses, number: u32) {
    let name = text.of(&format!("array{number}"), center);
    let machine = text.of(&format!("array-{number}"), center);
    let own = place_in(CONTROLLERS, number.into());
    let of = |name: &str| text.of(name, center);
    let (management, storage, storage_b, san, san_b) =
        (of("management"), of("storage"), of("storage-b"), of("san"), of("san-b"));
    head(text, &name, &machine, "\"storage-array\"", true, None);
    text.interface("bond0", &storage, &a.private(Private::Storage, own), ", bond = [\"eno1\", \"eno2\"]");
    text.interface("bond1", &storage_b, &a.private(Private::StorageB, own), ", bond = [\"eno3\", \"eno4\"]");
    text.interface("eno5", &management, &a.private(Private::Management, own), "");
    text.interface("wg-san", &san, &a.private(Private::San, own), "");
    text.interface("wg-san-b", &san_b, &a.private(Private::SanB, own), "");
}

/// Why there are so many of a kind.
fn about(text: &mut Text<'_>, center: &Center, kind: &Kind) {
    let users = crate::capacity::thousands(center.users.into());
    let fails = if center.rack.chassis == 0 { "server" } else { "chassis" };
    let title = kind.about;
    let (needed, spare) = (kind.needed, kind.count.saturating_sub(kind.needed));
    let sentence = if kind.restarted {
        format!(
            "{title}: each alone with its LUN. A lost one is started again on another blade, which has room for it (E17)."
        )
    } else if spare > 0 {
        let carry = if needed == 1 { "carries" } else { "carry" };
        format!(
            "{title}: {needed} {carry} the load of {users} accounts, {spare} more so that any {fails} may fail."
        )
    } else {
        format!("{title}: {} of the cluster's voters, the others are in the other data centres.", kind.count)
    };
    text.comment(&sentence);
}

fn guest_host(
    text: &mut Text<'_>,
    center: &Center,
    a: &Addresses,
    (which, kind): (usize, &Kind),
    number: u64,
) {
    let on = center.rack.blades.iter().find(|blade| blade.guests.contains(&(which, number)));
    let Some(blade) = on else { return };
    let name = text.of(&format!("{}{number}", kind.name), center);
    let machine = blade_name(text, center, blade, true);
    let own = place_in(kind.row, number);
    let roles: Vec<String> = kind.roles.iter().map(|role| format!("\"{}\"", role_word(*role))).collect();
    let volume = match kind.roles.as_slice() {
        roles if roles.contains(&Role::Storage) => Some(("mail", "/var/lib/chasqui/mail")),
        roles if roles.contains(&Role::Backup) => Some(("backup", "/var/backup")),
        _ => None,
    };
    let of = |name: &str| text.of(name, center);
    let (service, management) = (of("service"), of("management"));
    let (storage, storage_b, san, san_b) = (of("storage"), of("storage-b"), of("san"), of("san-b"));
    head(text, &name, &machine, &roles.join(", "), volume.is_some(), Some(kind));
    text.interface("eth0", &service, &a.private(Private::Service, own), "");
    text.interface("eth1", &management, &a.private(Private::Management, own), "");
    let Some((purpose, mount)) = volume else { return };
    text.interface("eth2", &storage, &a.private(Private::Storage, own), "");
    text.interface("eth3", &storage_b, &a.private(Private::StorageB, own), "");
    text.interface("wg-san", &san, &a.private(Private::San, own), "");
    text.interface("wg-san-b", &san_b, &a.private(Private::SanB, own), "");
    let lun = text.of(&format!("{purpose}{number}"), center);
    text.line(format!("\n[hosts.{name}.volumes]\n{purpose} = {{ lun = \"{lun}\", mount = \"{mount}\" }}"));
}

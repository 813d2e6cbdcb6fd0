//! A picture of the fleet: data centres, racks and chassis with their slots, machines, and the guests in them.
//!
//! The picture is laid out top-down: a block knows its size once its parts are drawn, and is then placed by what is around it.
//! Colours follow the role, and every colour is said in words too. No font, style or image is fetched from anywhere.

mod block;
mod machine;
mod palette;
mod strip;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use block::escaped;
use block::{Block, flow, stack};

use super::fleet::Fleet;
use super::{Array, Machine, NetworkKind, Role, Site};

/// Width of the picture, in units that are pixels at 100 %.
const WIDTH: f64 = 1600.0;
/// Between what is inside a frame and the frame.
const PADDING: f64 = 16.0;
/// Between neighbours.
const GAP: f64 = 12.0;
/// Cards beside each other in a chassis, at most.
const COLUMNS: u32 = 8;

/// The picture of a site, as an SVG document.
pub fn picture(site: &Site) -> String {
    let fleet = Fleet::new(site);
    let inner = WIDTH - 2.0 * PADDING;
    let mut parts = vec![heading(site)];
    parts.extend(site.datacenters.keys().map(|name| datacenter(&fleet, name, inner)));
    let meshes: Vec<Block> = site
        .networks
        .iter()
        .filter(|(_, network)| network.datacenter.is_none())
        .map(|(name, network)| strip::network(&fleet, name, network))
        .collect();
    if !meshes.is_empty() {
        let meshes =
            stack(vec![strip::label("Encrypted meshes"), flow(meshes, inner - 2.0 * PADDING, GAP)], 6.0);
        parts.push(meshes.framed("mesh", PADDING, inner));
    }
    parts.push(legend(site, inner));
    let body = stack(parts, GAP * 1.5);
    document(site, &body)
}

fn document(site: &Site, body: &Block) -> String {
    let height = body.height + 2.0 * PADDING;
    let title = block::escaped(&format!("The site {}", site.name));
    let about = block::escaped(&summary(site));
    let content = body.at(PADDING, PADDING);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" height=\"{height:.0}\" \
         role=\"img\" aria-labelledby=\"title desc\">\n<title id=\"title\">{title}</title>\n<desc id=\"desc\">{about}</desc>\n\
         <style>{}</style>\n<rect width=\"{WIDTH}\" height=\"{height:.0}\" fill=\"#ffffff\"/>\n{content}</svg>\n",
        palette::STYLE
    )
}

/// The picture in sentences, for who does not see it.
fn summary(site: &Site) -> String {
    let mut roles: BTreeMap<Role, usize> = BTreeMap::new();
    for role in site.hosts.values().flat_map(|host| host.roles.iter().collect::<BTreeSet<_>>()) {
        *roles.entry(*role).or_default() += 1;
    }
    let roles: Vec<String> = Role::ALL
        .iter()
        .filter_map(|role| roles.get(role).map(|number| format!("{role} {number}")))
        .collect();
    let guests = site.hosts.values().filter(|host| host.guest).count();
    format!(
        "{}, {guests} of them Xen, on {} in {}. Hosts of each role: {}.",
        count(site.hosts.len(), "host"),
        count(site.machines.len(), "machine"),
        count(site.datacenters.len(), "data centre"),
        roles.join(", ")
    )
}

/// `1 host`, `2 hosts`.
fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

fn heading(site: &Site) -> Block {
    let mut block = Block::new(WIDTH - 2.0 * PADDING, 50.0);
    block.text(0.0, 24.0, "h1", &site.name);
    let about = if site.description.is_empty() { String::new() } else { format!("{} · ", site.description) };
    let guests = site.hosts.values().filter(|host| host.guest).count();
    let counts =
        format!("{} machines, {} hosts, {guests} of them guests", site.machines.len(), site.hosts.len());
    block.text(0.0, 45.0, "h3", &format!("{about}{counts}"));
    block
}

fn datacenter(fleet: &Fleet<'_>, name: &str, width: f64) -> Block {
    let site = fleet.site;
    let inner = width - 2.0 * PADDING;
    let mut parts = vec![strip::datacenter(fleet, name, inner)];
    let published: Vec<Block> = site
        .publish
        .iter()
        .filter_map(|(service, entry)| {
            Some(strip::published(fleet, service, entry, name, entry.at.get(name)?))
        })
        .collect();
    if !published.is_empty() {
        parts.push(stack(vec![strip::label("Reached from the internet"), flow(published, inner, GAP)], 6.0));
    }
    let networks: Vec<Block> = site
        .networks
        .iter()
        .filter(|(_, network)| network.datacenter.as_deref() == Some(name))
        .map(|(network, description)| strip::network(fleet, network, description))
        .collect();
    if !networks.is_empty() {
        parts.push(stack(vec![strip::label("Networks"), flow(networks, inner, GAP)], 6.0));
    }
    let racks = racks(fleet, name, inner);
    if !racks.is_empty() {
        parts.push(flow(racks, inner, GAP));
    }
    let mut arrays: Vec<(&String, &Array)> = site
        .arrays
        .iter()
        .filter(|(_, array)| array.controllers.first().and_then(|host| fleet.datacenter(host)) == Some(name))
        .collect();
    arrays.sort_by_cached_key(|(array, _)| Natural::new(Some(array)));
    let arrays: Vec<Block> =
        arrays.into_iter().map(|(array, description)| strip::array(site, array, description)).collect();
    if !arrays.is_empty() {
        parts.push(stack(vec![strip::label("Disk arrays"), flow(arrays, inner, GAP)], 6.0));
    }
    stack(parts, GAP).framed("dc", PADDING, width)
}

/// A name with its numbers in the order of numbers: `r2` before `r10`.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct Natural<'a> {
    parts: Vec<(&'a str, u64)>,
    text: Option<&'a str>,
}

impl<'a> Natural<'a> {
    fn new(text: Option<&'a str>) -> Self {
        let mut rest = text.unwrap_or_default();
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let (word, tail) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
            let (number, tail) =
                tail.split_at(tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len()));
            parts.push((word, number.parse().unwrap_or_default()));
            rest = tail;
        }
        Self { parts, text }
    }
}

/// What stands in one rack: chassis, and machines without one.
#[derive(Default)]
struct Rack<'a> {
    chassis: Vec<&'a str>,
    machines: Vec<(&'a str, &'a Machine)>,
}

fn racks(fleet: &Fleet<'_>, datacenter: &str, width: f64) -> Vec<Block> {
    let site = fleet.site;
    let mut racks: BTreeMap<Natural<'_>, Rack<'_>> = BTreeMap::new();
    for (name, chassis) in site.chassis.iter().filter(|(_, chassis)| chassis.datacenter == datacenter) {
        racks.entry(Natural::new(chassis.rack.as_deref())).or_default().chassis.push(name);
    }
    for (name, machine) in &site.machines {
        if machine.chassis.is_none() && site.datacenter_of_machine(machine) == Some(datacenter) {
            racks.entry(Natural::new(machine.rack.as_deref())).or_default().machines.push((name, machine));
        }
    }
    for rack in racks.values_mut() {
        rack.chassis.sort_by_cached_key(|name| Natural::new(Some(name)));
        rack.machines.sort_by_cached_key(|(name, _)| Natural::new(Some(name)));
    }
    racks.into_iter().map(|(name, rack)| rack_block(fleet, name.text, &rack, width - 2.0 * PADDING)).collect()
}

fn rack_block(fleet: &Fleet<'_>, name: Option<&str>, rack: &Rack<'_>, width: f64) -> Block {
    let mut parts = Vec::new();
    if let Some(name) = name {
        parts.push(strip::label(&format!("Rack {name}")));
    }
    let chassis: Vec<Block> = rack.chassis.iter().map(|name| chassis_block(fleet, name)).collect();
    let widest = chassis.iter().map(|block| block.width).fold(0.0, f64::max);
    let machines: Vec<Block> =
        rack.machines.iter().map(|(name, machine)| machine::card(fleet, name, machine)).collect();
    if !machines.is_empty() {
        // Machines stand in rows as wide as the chassis below, or four abreast where there is none.
        let four = f64::from(COLUMNS / 2) * (machine::WIDTH + GAP);
        let row = if widest > 0.0 { widest } else { four.max((machines.len() as f64 / 4.0).sqrt() * four) };
        parts.push(flow(machines, row.min(width), GAP));
    }
    parts.extend(chassis);
    stack(parts, GAP).framed("rack", PADDING, 0.0)
}

fn chassis_block(fleet: &Fleet<'_>, name: &str) -> Block {
    let site = fleet.site;
    let chassis = &site.chassis[name];
    let mut blades: Vec<(Option<u32>, &str, &Machine)> = site
        .machines
        .iter()
        .filter(|(_, machine)| machine.chassis.as_deref() == Some(name))
        .map(|(blade, machine)| (machine.slot, blade.as_str(), machine))
        .collect();
    blades.sort_by_key(|(slot, blade, _)| (*slot, *blade));
    let taken: BTreeMap<u32, (&str, &Machine)> =
        blades.iter().filter_map(|(slot, blade, machine)| Some(((*slot)?, (*blade, *machine)))).collect();
    let mut cards = Vec::new();
    let mut next = Some(1).filter(|_| chassis.slots > 0);
    while let Some(slot) = next {
        let last = match taken.get(&slot) {
            Some((blade, machine)) => {
                cards.push(machine::card(fleet, blade, machine));
                slot
            }
            None => {
                let before = taken.range(slot..).next().map_or(chassis.slots, |(next, _)| next - 1);
                let last = before.min(chassis.slots);
                cards.push(machine::empty(slot, last));
                last
            }
        };
        next = last.checked_add(1).filter(|next| *next <= chassis.slots);
    }
    let columns = (cards.len() as u32).clamp(1, COLUMNS);
    let row = f64::from(columns) * (machine::WIDTH + GAP);
    let said = format!("Chassis {name} · {} of {} slots", taken.len(), chassis.slots);
    stack(vec![strip::label(&said), flow(cards, row, GAP)], 6.0).framed("chassis", 10.0, 0.0)
}

fn legend(site: &Site, width: f64) -> Block {
    let used: BTreeSet<Role> = site.hosts.values().flat_map(|host| host.roles.iter().copied()).collect();
    let roles = Role::ALL
        .iter()
        .filter(|role| used.contains(role))
        .map(|role| strip::key(palette::role(*role), role.name()));
    let kinds = [
        NetworkKind::Uplink,
        NetworkKind::Public,
        NetworkKind::Service,
        NetworkKind::Storage,
        NetworkKind::Management,
    ];
    let used: BTreeSet<NetworkKind> = site.networks.values().map(|network| network.kind).collect();
    let kinds = kinds.iter().filter(|kind| used.contains(kind));
    let networks = kinds.map(|kind| strip::key(palette::network(*kind), &format!("{kind} network")));
    stack(
        vec![
            strip::label("Legend"),
            flow(roles.collect(), width, 18.0),
            flow(networks.collect(), width, 18.0),
        ],
        6.0,
    )
}

#[cfg(test)]
mod tests {
    use super::super::samples::{LAB, SOLO, changed};
    use super::*;

    #[test]
    fn every_machine_and_host_is_in_the_picture_and_in_words() {
        for text in [LAB, SOLO] {
            let site = Site::parse(text, "sample").unwrap();
            let svg = picture(&site);
            for name in site.hosts.keys().chain(site.machines.keys()).chain(site.datacenters.keys()) {
                assert!(svg.contains(&format!(">{name}")), "{name}");
            }
            assert!(
                svg.contains("<title id=\"title\">")
                    && svg.contains("<desc id=\"desc\">")
                    && svg.contains("role=\"img\"")
            );
        }
    }

    #[test]
    fn racks_stand_in_the_order_of_their_numbers() {
        let mut names = ["r10", "r2", "r1", "a", "r"].map(|name| Natural::new(Some(name)));
        names.sort();
        assert_eq!(names.map(|name| name.text.unwrap()), ["a", "r", "r1", "r2", "r10"]);
    }

    #[test]
    fn nothing_is_fetched_and_texts_are_escaped() {
        let text = changed(SOLO, "One domain on one host\"", "<b>One & only</b>\"");
        let svg = picture(&Site::parse(&text, "sample").unwrap());
        assert!(svg.contains("&lt;b&gt;One &amp; only&lt;/b&gt;"));
        assert!(!svg.contains("<b>"));
        assert_eq!(svg.matches("http").count(), 1, "only the namespace");
    }

    #[test]
    fn every_element_that_is_opened_is_closed() {
        let svg = picture(&Site::parse(LAB, "lab").unwrap());
        for element in ["g", "text", "title", "svg", "style", "desc"] {
            let opened =
                svg.matches(&format!("<{element} ")).count() + svg.matches(&format!("<{element}>")).count();
            assert_eq!(opened, svg.matches(&format!("</{element}>")).count(), "{element}");
        }
    }
}

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::capacity::Capacity;
use crate::demand;
use crate::site::{Host, Model, Role, Severity, Site};

fn planned(demand: &Demand) -> (String, Site, Fleet) {
    demand.check().unwrap();
    let figures = Measured::built_in().unwrap();
    let fleet = Fleet::of(demand, &figures).unwrap();
    let (text, site) = site_text(demand, &Capacity::of(demand, &figures), &fleet).unwrap();
    (text, site, fleet)
}

fn sizes() -> impl Iterator<Item = Demand> {
    let users = [10, 500, 2_500, 50_000, 1_000_000];
    let demands = users.into_iter().flat_map(|users| [1, 2, 3].map(|datacenters| (users, datacenters)));
    demands.flat_map(|(users, datacenters)| {
        [Model::Paper, Model::Measured].map(|model| Demand { users, datacenters, model, ..Demand::default() })
    })
}

#[test]
fn sites_of_every_size_pass_the_check() {
    for demand in sizes() {
        let (text, _, fleet) = planned(&demand);
        let document = crate::site::parse(&text, "site.toml").unwrap();
        let findings = document.check();
        let errors: Vec<String> =
            findings.iter().filter(|f| f.severity == Severity::Error).map(ToString::to_string).collect();
        let said = format!("{} users, {} data centres, {:?}", demand.users, demand.datacenters, demand.model);
        assert!(errors.is_empty(), "{said}, {} hosts:\n{}", fleet.hosts(), errors.join("\n"));
        assert_eq!(fleet.hosts(), document.site.hosts.len(), "{said}");
    }
}

#[test]
fn a_million_accounts_are_a_few_hundred_hosts() {
    for datacenters in [1, 3] {
        let (_, site, _) = planned(&Demand { users: 1_000_000, datacenters, ..Demand::default() });
        let mut kinds = BTreeMap::<String, u32>::new();
        site.hosts.keys().for_each(|name| *kinds.entry(kind_of(name)).or_default() += 1);
        assert!(site.hosts.len() < 500, "{}: {kinds:?}", site.hosts.len());
    }
}

#[test]
fn five_hundred_accounts_are_seven_machines() {
    let (_, site, _) = planned(&Demand { users: 500, ..Demand::default() });
    assert_eq!(site.machines.len(), 7);
}

#[test]
fn the_pilot_is_what_the_command_writes() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../hosts/pilot/");
    let demand = demand::read(Some(format!("{folder}demand.toml").as_ref()), &[]).unwrap();
    let (text, _, _) = planned(&demand);
    let committed = std::fs::read_to_string(format!("{folder}site.toml")).unwrap();
    assert!(
        text == committed,
        "write it again: chasqui plan --demand hosts/pilot/demand.toml --out hosts/pilot --force"
    );
}

#[test]
fn real_prefixes_take_the_place_of_documentation_addresses() {
    let prefixes = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
    let demand = Demand {
        users: 500,
        public: [("norte".to_owned(), prefixes(&["198.18.0.0/24", "198.18.1.0/24", "198.19.0.0/24"]))].into(),
        uplink: [("norte".to_owned(), prefixes(&["198.19.255.0/28"])[0])].into(),
        ..Demand::default()
    };
    let (text, _, _) = planned(&demand);
    for documentation in ["192.0.2.", "198.51.100.", "203.0.113."] {
        assert!(!text.contains(documentation), "{documentation}");
    }
}

#[test]
fn placeholder_keys_are_marked_and_differ() {
    let (text, site, _) = planned(&Demand { users: 500, ..Demand::default() });
    let keys: Vec<&str> = text.lines().filter(|line| line.starts_with("wireguard_key")).collect();
    assert!(keys.iter().all(|line| line.ends_with("# replace")));
    let distinct: BTreeSet<&&str> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
    let meshed = site.hosts.values().filter(|host| host.wireguard_key.is_some()).count();
    assert_eq!(keys.len(), meshed + site.administrators.len());
}

/// The machine of a host, and what fails together with it.
fn domain_of<'a>(site: &'a Site, host: &'a Host) -> &'a str {
    let machine = &site.machines[&host.machine];
    machine.chassis.as_deref().unwrap_or(&host.machine)
}

/// Guests of the same name but for the number are of one kind.
fn kind_of(name: &str) -> String {
    name.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// What must hold in every plan, read from the site alone and not from the planner's own books.
fn holds(demand: &Demand) -> Result<(), TestCaseError> {
    let (_, site, _) = planned(demand);
    let figures = Measured::built_in().unwrap();
    let mut together: BTreeMap<(String, &str), u32> = BTreeMap::new();
    for (name, host) in site.hosts.iter().filter(|(_, host)| host.guest) {
        let count = together.entry((kind_of(name), host.machine.as_str())).or_default();
        *count += 1;
        prop_assert!(*count == 1, "{name} shares {} with another of its kind", host.machine);
    }
    let lost: BTreeSet<&str> =
        site.hosts.values().filter(|host| host.guest).map(|host| domain_of(&site, host)).collect();
    for (number, name) in demand.datacenter_names().iter().enumerate() {
        let tiers = capacity::tiers(demand, &figures, demand.users_of_datacenter(number));
        for lost in &lost {
            for tier in tiers.iter().filter(|tier| !tier.whole) {
                let Some(role) = tier.name.role() else { continue };
                if matches!(role, Role::Storage | Role::Backup) {
                    continue;
                }
                let left: u64 = site
                    .hosts
                    .values()
                    .filter(|host| host.roles.contains(&role) && domain_of(&site, host) != *lost)
                    .filter(|host| site.datacenter_of(host) == Some(name))
                    .map(|host| u64::from(host.cores.unwrap_or(0)))
                    .sum();
                prop_assert!(
                    left >= tier.cores,
                    "without {lost} {left} cores are left for {role}, {} are needed",
                    tier.cores
                );
            }
        }
        kept(demand, &site, name, &tiers)?;
    }
    Ok(())
}

/// Without any one machine or chassis there is room for its storage nodes and for what is kept free.
fn kept(demand: &Demand, site: &Site, datacenter: &str, tiers: &[Tier]) -> Result<(), TestCaseError> {
    let xen =
        |host: &&Host| host.roles.contains(&Role::XenHost) && site.datacenter_of(host) == Some(datacenter);
    let blades: Vec<&Host> = site.hosts.values().filter(xen).collect();
    let wanted: u64 = tiers.iter().filter(|tier| tier.name.role().is_none()).map(|tier| tier.cores).sum();
    let lost: BTreeSet<&str> = blades.iter().map(|blade| domain_of(site, blade)).collect();
    for lost in lost {
        let free = |blade: &&&Host| {
            let guests = site.hosts.values().filter(|guest| guest.guest && guest.machine == blade.machine);
            u64::from(demand.blade_cores())
                - guests.map(|guest| u64::from(guest.cores.unwrap_or(0))).sum::<u64>()
        };
        let left: u64 =
            blades.iter().filter(|blade| domain_of(site, blade) != lost).map(|blade| free(&blade)).sum();
        let again: u64 = site
            .hosts
            .values()
            .filter(|host| host.roles.contains(&Role::Storage) && domain_of(site, host) == lost)
            .map(|host| u64::from(host.cores.unwrap_or(0)))
            .sum();
        prop_assert!(
            left >= wanted + again,
            "without {lost} {left} cores are free, {wanted} + {again} are needed"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_one_machine_or_chassis_may_fail(
        users in prop_oneof![10u64..2_000, 2_000u64..100_000, 100_000u64..400_000],
        datacenters in 1u32..=3,
        paper: bool,
        slots in 2u32..=20,
        cores in prop_oneof![Just(None), (24u32..=192).prop_map(Some)],
        backup_percent in 0u32..=150,
        margin in 1.0..10.0,
    ) {
        let model = if paper { Model::Paper } else { Model::Measured };
        let demand = Demand {
            users, datacenters, model, chassis_slots: slots, blade_cores: cores, backup_percent, margin, ..Demand::default()
        };
        let figures = Measured::built_in().unwrap();
        // What finds no place must say so, which is another test.
        if Fleet::of(&demand, &figures).is_ok() {
            holds(&demand)?;
        }
    }

    #[test]
    fn any_demand_finds_a_place_or_is_refused_without_panic(
        users in 8u64..=100_000_000,
        quota in 1_000_000u64..=1_000_000_000_000_000,
        datacenters in 1u32..=4,
        cores in 8u32..=4_096,
        memory in 16u64..=4_096,
        group in 4u32..=59,
        compact: bool,
    ) {
        let demand = Demand {
            users, quota: ByteSize(quota), datacenters, blade_cores: Some(cores), blade_memory: Some(ByteSize(memory << 30)), group_size: group,
            layout: if compact { demand::Layout::Compact } else { demand::Layout::Layered },
            ..Demand::default()
        };
        let _ = Fleet::of(&demand, &Measured::built_in().unwrap());
    }
}

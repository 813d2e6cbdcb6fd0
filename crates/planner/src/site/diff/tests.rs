//! The order on the samples, and its rules on sites made by chance.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::samples::{LAB, SOLO, changed};
use super::super::{Role, Site};
use super::*;

fn site(text: &str) -> Site {
    Site::parse(text, "f.toml").unwrap()
}

fn between(old: &str, new: &str) -> Difference {
    diff(&site(old), &site(new))
}

fn topics<'a>(difference: &'a Difference, host: &str) -> &'a [Topic] {
    difference.hosts.iter().find(|change| change.host == host).map_or(&[], |change| &change.topics)
}

fn wave_of(difference: &Difference, host: &str) -> usize {
    difference.waves.iter().position(|wave| wave.hosts.iter().any(|name| name == host)).unwrap()
}

#[test]
fn the_same_site_changes_nothing() {
    let difference = between(LAB, LAB);
    assert!(difference.keys.is_empty() && difference.hosts.is_empty() && difference.waves.is_empty());
}

#[test]
fn draining_a_server_changes_the_balancers_alone_and_the_standby_comes_first() {
    let new = changed(
        LAB,
        "roles = [\"directory\", \"mx\", \"proxy\"]",
        "roles = [\"directory\", \"mx\", \"proxy\"]\ndrain = true",
    );
    let difference = between(LAB, &new);
    assert_eq!(difference.keys.len(), 1);
    assert_eq!(difference.keys[0].key, "hosts.service1.drain");
    let hosts: Vec<&str> = difference.hosts.iter().map(|change| change.host.as_str()).collect();
    assert_eq!(hosts, ["facade1", "facade2"]);
    assert_eq!(topics(&difference, "facade1"), [Topic::Balancers]);
    assert_eq!(
        difference.waves.iter().map(|wave| wave.hosts.join(" ")).collect::<Vec<_>>(),
        ["facade2", "facade1"]
    );
    assert_eq!(difference.interruptions, []);
}

#[test]
fn a_published_address_changes_firewall_router_and_zones_and_nothing_behind_them() {
    let difference = between(LAB, &changed(LAB, "public = [\"192.0.2.10\"", "public = [\"192.0.2.20\""));
    assert_eq!(difference.keys[0].key, "publish.smtp.at.norte.public");
    assert_eq!(topics(&difference, "edge1"), [Topic::Firewall, Topic::Translation]);
    assert_eq!(topics(&difference, "ns2"), [Topic::Zones]);
    for host in ["service1", "facade1", "storage1", "blade1"] {
        assert_eq!(topics(&difference, host), [], "{host}");
    }
}

#[test]
fn a_change_of_knocking_is_the_edges_alone() {
    let difference = between(LAB, &changed(LAB, "open = \"20s\"", "open = \"40s\""));
    let hosts: Vec<(&str, &[Topic])> =
        difference.hosts.iter().map(|change| (change.host.as_str(), change.topics.as_slice())).collect();
    assert_eq!(hosts, [("edge1", &[Topic::Knock][..]), ("edge2", &[Topic::Knock])]);
}

#[test]
fn a_facade_address_changes_routers_balancers_and_servers() {
    let difference = between(LAB, &changed(LAB, "facade = [\"10.20.1.10\"]", "facade = [\"10.20.1.15\"]"));
    assert!(topics(&difference, "edge1").contains(&Topic::Translation));
    assert_eq!(topics(&difference, "facade1"), [Topic::Balancers]);
    assert_eq!(topics(&difference, "service1"), [Topic::Published]);
}

#[test]
fn a_new_guest_comes_after_the_array_and_its_machine_and_before_who_refers_to_it() {
    let new = changed(
        LAB,
        "# ---- Storage ----",
        "[hosts.storage3]\nmachine = \"blade-2\"\nguest = true\nroles = [\"storage\"]\ncores = 1\nmemory = \"1GiB\"\ndisk = \"8GB\"\n\
         interfaces.eth0 = { network = \"service\", addresses = [\"10.20.1.53\"] }\n\
         volumes.mail = { lun = \"mail-3\", mount = \"/var/lib/chasqui/mail\" }\n",
    );
    let new = changed(&new, "mail-2 = {", "mail-3 = { array = \"a1\", size = \"100GB\" }\nmail-2 = {");
    let difference = between(LAB, &new);
    let at = |host| wave_of(&difference, host);
    assert!(at("controller1") < at("blade2"));
    assert_eq!(at("blade2"), at("storage3"));
    assert!(at("storage3") < at("service1") && at("storage3") < at("service2"));
    assert_eq!(topics(&difference, "blade2"), [Topic::HostsFile, Topic::Guests]);
    assert!(topics(&difference, "service1").contains(&Topic::MailPath));
    let storage: Vec<&str> = difference
        .interruptions
        .iter()
        .filter(|i| i.role == Role::Storage)
        .map(|i| i.host.as_str())
        .collect();
    assert!(!storage.contains(&"storage3"));
}

#[test]
fn a_guest_is_rebuilt_with_the_system_of_its_machine() {
    let difference =
        between(LAB, &changed(LAB, "alerts = [\"guardia@", "retention = \"20d\"\nalerts = [\"guardia@"));
    assert_eq!(difference.hosts.len(), 25);
    for (guest, system) in [("web1", "blade1"), ("storage2", "blade4"), ("data3", "blade3")] {
        assert_eq!(wave_of(&difference, guest), wave_of(&difference, system), "{guest}");
    }
    let edge = |host| wave_of(&difference, host);
    assert!(edge("edge2") < edge("edge1"));
}

#[test]
fn a_single_server_is_named_as_an_interruption() {
    let difference = between(
        SOLO,
        &changed(SOLO, "internal_domain = \"solo.internal\"", "internal_domain = \"uno.internal\""),
    );
    assert_eq!(difference.waves.len(), 1);
    let roles: Vec<Role> = difference.interruptions.iter().map(|i| i.role).collect();
    assert_eq!(roles, [Role::Directory, Role::Mx, Role::Storage, Role::Proxy, Role::Relay]);
}

#[test]
fn a_host_that_goes_is_retired_after_everything_else() {
    let text = LAB.split_inclusive("\n[").filter(|part| !part.starts_with("hosts.ns2")).collect::<String>();
    let difference = between(LAB, &text);
    let last = difference.waves.last().unwrap();
    assert_eq!((last.phase, last.hosts.join(" ")), (Phase::Retired, "ns2".to_owned()));
    assert!(topics(&difference, "blade4").contains(&Topic::Guests));
}

/// A site of some machines in two data centres with guests of some roles, as two numbers choose them.
fn by_chance(machines: usize, guests: &[(usize, u8, bool)]) -> Site {
    let mut text = String::from(
        "version = 1\nname = \"x\"\ninternal_domain = \"x.internal\"\n[datacenters]\na = {}\nb = {}\n\
         [networks.na]\nkind = \"service\"\ndatacenter = \"a\"\nprefixes = [\"10.0.0.0/16\"]\n\
         [networks.nb]\nkind = \"service\"\ndatacenter = \"b\"\nprefixes = [\"10.1.0.0/16\"]\n",
    );
    let place = |machine: usize| if machine % 3 == 2 { "b" } else { "a" };
    for machine in 0..machines {
        text.push_str(&format!(
            "[machines.m{machine}]\ndatacenter = \"{}\"\ncores = 64\nmemory = \"256GiB\"\nports = {{ e0 = 10 }}\ndisk = \"1TB\"\n\
             [hosts.x{machine}]\nmachine = \"m{machine}\"\nroles = [\"xen-host\"]\n\
             interfaces.e0 = {{ network = \"n{}\", addresses = [\"10.{}.1.{}\"] }}\n",
            place(machine),
            place(machine),
            usize::from(place(machine) == "b"),
            machine + 1
        ));
    }
    let roles = ["mx", "proxy", "relay", "directory", "storage", "dns", "facade", "router", "log"];
    for (number, (machine, chosen, drain)) in guests.iter().enumerate() {
        let machine = machine % machines;
        let first = usize::from(*chosen) % roles.len();
        let second = usize::from(*chosen) / roles.len() % roles.len();
        let roles: BTreeSet<&str> = BTreeSet::from([roles[first], roles[second]]);
        let roles: Vec<String> = roles.iter().map(|role| format!("\"{role}\"")).collect();
        text.push_str(&format!(
            "[hosts.g{number}]\nmachine = \"m{machine}\"\nguest = true\nroles = [{}]\ncores = 1\nmemory = \"1GiB\"\ndisk = \"8GB\"\n\
             drain = {drain}\ninterfaces.eth0 = {{ network = \"n{}\", addresses = [\"10.{}.2.{}\"] }}\n",
            roles.join(", "),
            place(machine),
            usize::from(place(machine) == "b"),
            number + 1
        ));
    }
    site(&text)
}

fn guests() -> impl Strategy<Value = Vec<(usize, u8, bool)>> {
    proptest::collection::vec((0..8_usize, 0..64_u8, proptest::bool::weighted(0.1)), 0..14)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_wave_has_two_of_a_role_in_a_data_centre_and_every_changed_host_has_its_turn_once(
        before in 1..8_usize, old in guests(), after in 1..8_usize, new in guests(),
    ) {
        let (old, new) = (by_chance(before, &old), by_chance(after, &new));
        let difference = diff(&old, &new);
        let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
        for wave in &difference.waves {
            prop_assert!(!wave.hosts.is_empty());
            for which in [&old, &new] {
                let mut seen = BTreeSet::new();
                for name in &wave.hosts {
                    let Some(host) = which.hosts.get(name) else { continue };
                    for role in &host.roles {
                        prop_assert!(seen.insert((*role, which.datacenter_of(host))), "{role} twice in {:?}", wave.hosts);
                    }
                }
            }
            for name in &wave.hosts {
                *turns.entry(name).or_default() += 1;
            }
        }
        let hosts: BTreeSet<&str> = difference.hosts.iter().map(|change| change.host.as_str()).collect();
        prop_assert_eq!(turns.keys().copied().collect::<BTreeSet<_>>(), hosts);
        prop_assert!(turns.values().all(|&times| times == 1));
    }

    #[test]
    fn a_service_with_a_second_server_elsewhere_is_never_interrupted(machines in 2..8_usize) {
        // Two guests of each role, on machines of the same data centre, and a change that rebuilds every host.
        let pairs: Vec<(usize, u8, bool)> = (0..6).map(|n| (n % 2, [0, 9, 18][n / 2], false)).collect();
        let old = by_chance(machines, &pairs);
        let mut new = old.clone();
        new.log.retention = chasqui_base::Span::secs(60);
        let difference = diff(&old, &new);
        prop_assert_eq!(difference.hosts.len(), old.hosts.len());
        prop_assert_eq!(difference.interruptions, vec![]);
    }
}

#[test]
fn members_of_the_database_in_two_data_centres_are_never_rebuilt_together() {
    let elsewhere = |mut site: Site| {
        let datacenter = site.datacenters["norte"].clone();
        site.datacenters.insert("sur".into(), datacenter);
        site.chassis.get_mut("c2").unwrap().datacenter = "sur".into();
        site
    };
    let old = elsewhere(site(LAB));
    let mut new = old.clone();
    new.ldap.suffix = Some("dc=otra,dc=example".into());
    new.log.retention = chasqui_base::Span::secs(86_400);
    for host in ["data1", "data2", "data3"] {
        new.hosts.get_mut(host).unwrap().weight = 50;
        new.hosts.get_mut(host).unwrap().memory = Some(chasqui_base::ByteSize(8 << 30));
    }
    let difference = diff(&old, &new);
    let waves: BTreeSet<usize> = ["data1", "data2", "data3"].map(|host| wave_of(&difference, host)).into();
    assert_eq!(waves.len(), 3, "{:?}", difference.waves);
}

use proptest::prelude::*;

use super::*;
use crate::demand::Demand;

fn pilot() -> Capacity {
    let demand = Demand { model: Model::Paper, ..Demand::default() };
    Capacity::of(&demand, &Measured::built_in().unwrap())
}

#[test]
fn every_figure_of_the_papers_first_table_is_reproduced_as_printed() {
    let plan = pilot();
    let printed = [
        ("users", "50,000"),
        ("sessions", "50,000"),
        ("requests", "4,166.66 /s"),
        ("connections", "10,000 /s"),
        ("net", "350 TB"),
        ("bandwidth", "4,266.66 Mbit/s"),
        ("bandwidth-octets", "533.33 MB/s"),
        ("storage-bandwidth", "5,000 Mbit/s"),
        ("storage-bandwidth-octets", "625 MB/s"),
        ("iops", "41,666.66 IOPS"),
        ("drives", "110"),
        ("raid-net", "352 TB"),
        ("ssds", "10"),
    ];
    for (key, text) in printed {
        assert_eq!(plan.figure(key).map(|figure| figure.text.as_str()), Some(text), "{key}");
    }
    assert_eq!((plan.drives.groups, plan.drives.ssd_size), (11, ByteSize(400_000_000_000)));
}

#[test]
fn every_figure_of_the_papers_second_table_is_reproduced_as_printed() {
    let plan = pilot();
    let tier = |names: &[TierName]| {
        let sum = Sum::of(plan.tiers.iter().filter(|tier| names.contains(&tier.name)));
        (sum.cores, gigabytes(sum.memory.0.into()))
    };
    let rows: [(&[TierName], u64, &str); 6] = [
        (&[TierName::ReverseProxy], 50, "12.50"),
        (&[TierName::Http], 25, "6.25"),
        (&[TierName::Webmail], 1_250, "750.00"),
        (&[TierName::Mx, TierName::Relay], 125, "125.00"),
        (&[TierName::Storage], 100, "200.00"),
        (&[TierName::Ldap], 50, "12.50"),
    ];
    for (names, cores, memory) in rows {
        assert_eq!(tier(names), (cores, memory.to_owned()), "{names:?}");
    }
    assert_eq!(plan.counted.text(), "1,600 cores, 1,106.25 GB");
    let reserve = plan.reserve;
    assert_eq!(
        (thousands(reserve.sum.cores.into()), reserve.gigabytes().to_string()),
        ("2,048".into(), "1,280".into())
    );
    assert_eq!((plan.reserve.blades, plan.reserve.memory_blades), (32, 5));
}

#[test]
fn the_papers_two_inconsistencies_are_named() {
    let notes = pilot().notes.join("\n");
    assert!(notes.contains("LDAP 1 GB for 1,000 users, its sum 256 MB: 50 GB or 12.50 GB"), "{notes}");
    assert!(
        notes.contains("40,000 are connected, and 4,000 of them with two make 44,000 sessions"),
        "{notes}"
    );
    assert!(notes.contains("each of those would need 3.50 sessions"), "{notes}");
    assert!(notes.contains("for the 40,000 connected they are 3,333.33"), "{notes}");
}

#[test]
fn a_measured_plan_says_of_every_tier_where_its_numbers_come_from() {
    let plan = Capacity::of(&Demand::default(), &Measured::built_in().unwrap());
    let source = |name| plan.tiers.iter().find(|tier| tier.name == name).map(|tier| tier.source);
    for name in [TierName::Mx, TierName::Storage, TierName::Proxy, TierName::Directory] {
        assert_eq!(source(name), Some(Source::Measured), "{name:?}");
    }
    for name in [TierName::ReverseProxy, TierName::Http, TierName::Webmail, TierName::Ldap] {
        assert_eq!(source(name), Some(Source::Paper), "{name:?}");
    }
    for name in [TierName::Database, TierName::Facade, TierName::Dns, TierName::Relay] {
        assert_eq!(source(name), Some(Source::Assumed), "{name:?}");
    }
    assert!(plan.measured.contains("tests/bench/run"));
}

#[test]
fn twice_the_margin_is_twice_the_measured_cores() {
    let measured = Measured::built_in().unwrap();
    let cores = |margin| {
        let demand = Demand { margin, users: 10_000_000, ..Demand::default() };
        let tiers = tiers(&demand, &measured, demand.users);
        tiers.iter().find(|tier| tier.name == TierName::Storage).map_or(0, |tier| tier.cores)
    };
    assert!(cores(4.0).abs_diff(2 * cores(2.0)) <= 1);
}

proptest! {
    #[test]
    fn any_demand_in_bounds_is_planned(
        users in 1u64..=100_000_000,
        quota in 1_000_000u64..=1_000_000_000_000_000,
        per_minute in 1u32..=6_000,
        link in 1u32..=100_000_000,
        group in 4u32..=59,
        paper: bool,
        sessions in proptest::option::of(1u64..=1_000_000_000),
        margin in 1.0..100.0,
    ) {
        let model = if paper { Model::Paper } else { Model::Measured };
        let demand = Demand {
            model, users, quota: ByteSize(quota), requests_per_minute: per_minute, link_kbit: link, group_size: group, sessions, margin,
            ..Demand::default()
        };
        demand.check().unwrap();
        let plan = Capacity::of(&demand, &Measured::built_in().unwrap());
        prop_assert!(plan.drives.net >= plan.drives.needed);
        prop_assert!(u128::from(plan.reserve.sum.cores) >= u128::from(plan.counted.cores));
    }

    #[test]
    fn more_users_never_need_less(users in 1u64..1_000_000, more in 0u64..1_000_000, paper: bool) {
        let model = if paper { Model::Paper } else { Model::Measured };
        let measured = Measured::built_in().unwrap();
        let plan = |users| Capacity::of(&Demand { users, model, ..Demand::default() }, &measured);
        let (less, more) = (plan(users), plan(users + more));
        prop_assert!(more.total.cores >= less.total.cores && more.total.memory >= less.total.memory);
        prop_assert!(more.drives.drives >= less.drives.drives);
    }
}

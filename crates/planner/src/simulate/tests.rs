use super::*;
use crate::capacity::Capacity;
use crate::place;
use crate::site::Model;

const LAB: &str = include_str!("../../../../hosts/lab/site.toml");
const SOLO: &str = include_str!("../../../../hosts/solo/site.toml");

fn lab() -> Site {
    Site::parse(LAB, "lab").unwrap()
}

fn small(users: u64) -> Demand {
    Demand { users, ..Demand::default() }
}

fn options(events: &[&str]) -> Options {
    let events = events.iter().map(|event| event.parse().unwrap()).collect();
    Options { events, slice: 10.0, ..Options::default() }
}

fn play(site: &Site, demand: &Demand, options: &Options) -> Report {
    run(site, demand, &Measured::built_in().unwrap(), options, &mut |_| {}).unwrap()
}

fn tier<'a>(report: &'a Report, name: &str) -> &'a Tier {
    report.tiers.iter().find(|tier| tier.name == name).unwrap()
}

#[test]
fn a_quiet_day_of_the_lab_refuses_nobody() {
    let report = play(&lab(), &small(500), &options(&[]));
    assert_eq!(report.refused, Refused::default());
    assert_eq!(report.bottleneck.at, None);
    assert!(report.bottleneck.holds > 500);
    let [log_in, request, message] = &report.work[..] else { panic!("three kinds of work") };
    // Of 500 sessions 475 in the morning, 95 after lunch, and each again after four hours.
    assert!((570.0..2_500.0).contains(&log_in.day.count), "{}", log_in.day.count);
    assert!((message.day.count - 25_000.0).abs() < 30.0, "{}", message.day.count);
    assert!(request.day.p50 < 0.1 && request.day.p50 < request.day.p99, "{:?}", request.day);
    // A password check alone takes 15 ms.
    assert!(log_in.day.p50 > 0.005, "{:?}", log_in.day);
}

#[test]
fn the_same_seed_gives_the_same_day() {
    let day = |seed| {
        let report = play(&lab(), &small(5_000), &Options { seed, ..options(&["10:00=blade:blade-3"]) });
        serde_json::to_string(&report.work).unwrap()
    };
    assert_eq!(day(1), day(1));
    assert_ne!(day(1), day(2));
}

#[test]
fn a_lost_blade_with_a_storage_node_refuses_its_requests_and_spools_its_mail_until_it_runs_elsewhere() {
    let report = play(&lab(), &small(5_000), &options(&["10:00=blade:blade-3"]));
    let effect = &report.events[0].refused;
    // Half of the mailboxes for ten minutes: requests at 5,000 × 5 / 60 a second.
    let expected = 5_000.0 * 5.0 / 60.0 * 0.5 * 600.0;
    assert!((effect.requests / expected - 1.0).abs() < 0.15, "{} of {expected}", effect.requests);
    assert!(effect.spooled > 0.0 && effect.deferred == 0.0, "{effect:?}");
    assert!(report.spooled.count > 0.0);
    let longer = Options {
        assumptions: Assumptions { restart: 3_000.0, ..Assumptions::default() },
        ..options(&["10:00=blade:blade-3"])
    };
    assert!(play(&lab(), &small(5_000), &longer).events[0].refused.requests > 3.0 * effect.requests);
}

#[test]
fn a_lost_storage_controller_makes_people_wait_for_its_takeover_and_loses_nothing() {
    let quick = Assumptions { array_takeover: 20.0, ..Assumptions::default() };
    let lost = options(&["14:30=controller:controller1"]);
    let report = play(&lab(), &small(500), &Options { assumptions: quick, ..lost.clone() });
    assert!((10.0..30.0).contains(&report.events[0].request_p99), "{}", report.events[0].request_p99);
    assert_eq!(report.events[0].refused, Refused::default());
    // Longer than people wait, requests fail.
    assert!(play(&lab(), &small(500), &lost).events[0].refused.requests > 0.0);
}

#[test]
fn a_lost_directory_server_costs_the_time_in_which_its_silence_is_noticed() {
    let report = play(&lab(), &small(500), &options(&["16:00=directory:service1"]));
    // It is a proxy and an exchanger too: what the balancer sends there meanwhile comes again.
    let effect = &report.events[0].refused;
    assert!(effect.requests == 0.0 && effect.spooled == 0.0, "{effect:?}");
    assert!(effect.log_ins > 0.0 && effect.log_ins < 500.0, "{effect:?}");
}

#[test]
fn nobody_comes_in_while_both_edges_are_lost() {
    let report = play(&lab(), &small(500), &options(&["12:00=blade:edge-1", "12:00=blade:edge-2"]));
    let effect = &report.events[1].refused;
    assert!(effect.requests > 0.0 && effect.log_ins > 0.0 && effect.deferred > 0.0, "{effect:?}");
}

#[test]
fn a_chassis_takes_all_its_blades_with_it() {
    let report = play(&lab(), &small(500), &options(&["12:00=chassis:c1"]));
    let one = play(&lab(), &small(500), &options(&["12:00=blade:blade-3"]));
    assert!(report.events[0].refused.log_ins > one.events[0].refused.log_ins);
}

#[test]
fn too_many_people_for_the_drives_are_told_so_with_what_would_help() {
    let report = play(&lab(), &small(50_000), &options(&[]));
    let first = &report.bottleneck;
    assert_eq!(first.tier, "drives");
    assert!(first.at.as_deref().is_some_and(|at| at.starts_with("08:")), "{first:?}");
    assert!(first.remedy.contains("more drives"), "{}", first.remedy);
    assert!(report.refused.requests > 0.0 && first.holds < 50_000, "{first:?}");
}

#[test]
fn a_log_in_storm_is_the_directorys() {
    // Fast disks, so that only the password checks are slow: 100,000 in three minutes at 16 ms.
    let assumptions = Assumptions { drive_operations: 1e6, ..Assumptions::default() };
    let demand =
        Demand { log_in_window: chasqui_base::Span::secs(190), requests_per_minute: 1, ..small(100_000) };
    let report = play(&lab(), &demand, &Options { assumptions, ..options(&[]) });
    assert_eq!(report.bottleneck.tier, "directory");
    let load = tier(&report, "directory").peak.load;
    assert!(load > 1.0 && report.refused.log_ins > 0.0, "{load} {:?}", report.refused);
    let most = &report.without_session;
    assert!(most.count > 100.0, "{most:?}");
}

#[test]
fn a_site_of_one_host_has_neither_gates_nor_arrays() {
    let report = play(&Site::parse(SOLO, "solo").unwrap(), &small(100), &options(&[]));
    let names: Vec<&str> = report.tiers.iter().map(|tier| tier.name).collect();
    assert_eq!(names, ["proxy", "mx", "directory", "storage", "SSDs"]);
    assert_eq!(report.bottleneck.at, None);
}

#[test]
fn usual_events_are_of_things_that_the_site_has_twice() {
    let words = |site: &Site| usual(site).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        words(&lab()),
        [
            "10:30=blade:blade-3",
            "12:00=chassis:c1",
            "14:30=controller:controller1",
            "16:00=directory:service1"
        ]
    );
    assert!(words(&Site::parse(SOLO, "solo").unwrap()).is_empty());
    play(&lab(), &small(500), &Options { events: usual(&lab()), ..options(&[]) });
}

#[test]
fn an_event_of_something_unknown_is_refused_with_what_there_is() {
    let wrong = run(
        &lab(),
        &small(500),
        &Measured::built_in().unwrap(),
        &options(&["10:00=chassis:c7"]),
        &mut |_| {},
    );
    assert_eq!(
        wrong.unwrap_err().to_string(),
        "`10:00=chassis:c7`: the site has no chassis `c7`; there are: c1, c2"
    );
}

#[test]
fn a_planned_site_survives_its_own_day() {
    for model in [Model::Measured, Model::Paper] {
        let demand = Demand { model, ..small(50_000) };
        let measured = Measured::built_in().unwrap();
        let capacity = Capacity::of(&demand, &measured);
        let fleet = place::Fleet::of(&demand, &measured).unwrap();
        let (_, site) = place::site_text(&demand, &capacity, &fleet).unwrap();
        let report = play(&site, &demand, &options(&[]));
        assert_eq!(report.refused, Refused::default(), "{model:?}: {:?}", report.bottleneck);
    }
}

#[test]
fn requests_through_the_whole_site_take_as_long_as_when_each_one_is_played() {
    // Few users who ask much, so that next to nothing but requests comes; disks, wires and the façade so quick that they do not count:
    // what is left are two proxies and two storage nodes of four cores.
    let assumptions = Assumptions {
        drive_operations: 1e9,
        ssd_operations: 1e9,
        sealed: 1e15,
        facade_work: 0.0,
        slower: 100.0,
        ..Assumptions::default()
    };
    let demand = Demand { requests_per_minute: 600, messages_per_day: 1, link_kbit: 1, ..small(126) };
    let measured = Measured::built_in().unwrap();
    let costs = Costs::of(&demand, &measured, &assumptions);
    let cost = |role| costs.core(role, load::Class::Request);
    let report = play(&lab(), &demand, &Options { assumptions, slice: 1.0, ..options(&[]) });
    let hour = &report.work[1].hours[15];
    let rate = hour.count / 3_600.0 / 2.0;
    let busy = rate * cost(Role::Storage) / 4.0;
    assert!((0.7..0.95).contains(&busy), "a storage node is busy for {busy}");
    // Whoever comes out of one of two equal queues goes to one of two others: each sees half of the requests (Jackson, 1957).
    let stations =
        [Role::Proxy, Role::Storage].map(|role| exact::Station { servers: 4, service: cost(role) });
    let mut played = histogram::Histogram::new();
    for (_, time) in exact::play(&stations, &|_| rate, rate, 1_500.0, 5) {
        played.add(time, 1.0);
    }
    for (name, found, share) in [("half", hour.p50, 0.5), ("95 %", hour.p95, 0.95), ("99 %", hour.p99, 0.99)]
    {
        let off = (found / played.at(share) - 1.0).abs();
        assert!(off < 0.08, "{name}: {found} is {:.1} % off {}", off * 100.0, played.at(share));
    }
}

#[test]
fn the_picture_shows_every_tier_and_event() {
    let report = play(&lab(), &small(500), &options(&["10:00=blade:blade-3"]));
    let picture = svg(&report);
    for tier in &report.tiers {
        assert!(picture.contains(&format!(">{}<", tier.name)), "{}", tier.name);
    }
    assert!(picture.contains("blade:blade-3") && picture.trim_end().ends_with("</svg>"));
}

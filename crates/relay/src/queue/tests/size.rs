//! A million messages: how much memory they take, and that no step takes longer for them.

use super::*;
use crate::queue::index::Next;

struct Ten;

impl Carrier for Ten {
    fn destination(&self, address: &str) -> Destination {
        Destination(address.into())
    }

    fn places(&self, _: &Destination) -> usize {
        10
    }

    async fn carry(self: Arc<Self>, _: Job) -> Vec<(u32, Fate)> {
        Vec::new()
    }
}

fn entry(number: u64, due: u64) -> Entry {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Entry {
        id: DeliveryId::from_bytes(bytes),
        marks: Marks::default(),
        size: 10_000,
        received: 1_000_000,
        expires: 1_432_000,
        priority: 0,
        held: false,
        delay_said: false,
        unverified: true,
        alarm: 1_014_400_000,
        legs: vec![(Destination(format!("d{}.test", number % 100_000).into()), 3, due)],
    }
}

/// Octets of memory that the process has.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_million_messages_take_at_most_300_octets_each_and_slow_nothing() {
    const MILLION: u64 = 1_000_000;
    let mut index = Index::default();
    // Also what tests beside this one take is counted: the figure is too high rather than too low.
    let before = resident();
    for number in 0..MILLION {
        // One half waits, the other is ready.
        index.insert(entry(number, if number % 2 == 0 { 1_000_000_000 } else { 1_009_000_000 })).unwrap();
    }
    while index.next_time().is_some_and(|at| at <= 1_000_000_000) {
        index.advance(1_000_000_000);
    }
    let each = (resident().saturating_sub(before)) as f64 / MILLION as f64;
    println!("{each:.0} octets a message, with 100,000 destinations");
    assert_eq!(index.count(), 1_000_000);
    assert!(each <= 300.0, "{each} octets");

    // Steps with a million messages beside take about what they take with none: each alone is bounded, so that one that walks over all of
    // them shows.
    let rounds = 20_000_u64;
    let time = |index: &mut Index, from: u64| {
        let began = Instant::now();
        let mut longest = Duration::ZERO;
        for number in from..from + rounds {
            let step = Instant::now();
            index.insert(entry(number, 1_000_000_000)).unwrap();
            index.advance(1_000_000_000);
            let started = index.start(&Ten, 500).unwrap();
            index.finish(started.leg, Next::Done);
            index.remove(started.message);
            longest = longest.max(step.elapsed());
        }
        (began.elapsed() / rounds as u32, longest)
    };
    let (alone, _) = time(&mut Index::default(), 0);
    let (among, longest) = time(&mut index, 2 * MILLION);
    println!("a step: {alone:?} alone, {among:?} among a million; the longest {longest:?}");
    assert!(among < alone * 20 + Duration::from_micros(200), "{alone:?} {among:?}");
}

use super::*;
use crate::{fate::Fate, message::Job};
use std::sync::Arc;

/// Destinations by the domain, with as many places as were said.
struct Places(usize);

impl Carrier for Places {
    fn destination(&self, address: &str) -> Destination {
        to(address.rsplit_once('@').map_or(address, |(_, domain)| domain))
    }

    fn places(&self, _: &Destination) -> usize {
        self.0
    }

    async fn carry(self: Arc<Self>, _: Job) -> Vec<(u32, Fate)> {
        Vec::new()
    }
}

fn to(name: &str) -> Destination {
    Destination(name.into())
}

fn entry(received: u64, destinations: &[&str]) -> Entry {
    Entry {
        id: DeliveryId::generate(),
        marks: Marks::default(),
        size: 10_000,
        received,
        expires: received + 432_000,
        priority: 0,
        held: false,
        delay_said: false,
        unverified: false,
        alarm: (received + 14_400) * 1000,
        legs: destinations.iter().map(|name| (to(name), 0, received * 1000)).collect(),
    }
}

fn start_all(index: &mut Index, places: usize, now: u64) -> Vec<Started> {
    while index.next_time().is_some_and(|at| at <= now) {
        index.advance(now);
    }
    std::iter::from_fn(|| index.start(&Places(places), 1000)).collect()
}

#[test]
fn each_destination_gets_its_turn_and_no_more_than_its_places() {
    let mut index = Index::default();
    for _ in 0..10 {
        index.insert(entry(1, &["many.test"])).unwrap();
    }
    index.insert(entry(2, &["few.test"])).unwrap();
    let started = start_all(&mut index, 3, 5_000);
    let names: Vec<_> = started.iter().map(|job| job.destination.to_string()).collect();
    assert_eq!(names, ["many.test", "few.test", "many.test", "many.test"]);
    // One that ends makes room for one.
    index.finish(started[0].leg, Next::Done);
    assert_eq!(start_all(&mut index, 3, 5_000).len(), 1);
}

#[test]
fn no_more_jobs_than_allowed_over_all() {
    let mut index = Index::default();
    for name in ["a.test", "b.test", "c.test"] {
        index.insert(entry(1, &[name])).unwrap();
    }
    index.advance(1_000);
    let first = index.start(&Places(5), 2).unwrap();
    assert!(index.start(&Places(5), 2).is_some() && index.start(&Places(5), 2).is_none());
    index.finish(first.leg, Next::Done);
    assert!(index.start(&Places(5), 2).is_some());
}

#[test]
fn a_higher_priority_comes_first_then_the_older() {
    let mut index = Index::default();
    let urgent = Entry { priority: 3, ..entry(9, &["d.test"]) };
    let expected = [entry(5, &["d.test"]), entry(7, &["d.test"])];
    index.insert(expected[1].clone()).unwrap();
    index.insert(expected[0].clone()).unwrap();
    index.insert(urgent.clone()).unwrap();
    let order: Vec<_> = start_all(&mut index, 9, 10_000).iter().map(|job| job.id).collect();
    assert_eq!(order, [urgent.id, expected[0].id, expected[1].id]);
}

#[test]
fn the_same_id_is_one_message() {
    let mut index = Index::default();
    let one = entry(1, &["a.test"]);
    assert!(index.insert(one.clone()).is_some() && index.insert(one).is_none());
    assert_eq!(index.count(), 1);
}

#[test]
fn a_message_ends_with_its_last_leg() {
    let mut index = Index::default();
    let number = index.insert(entry(1, &["a.test", "b.test"])).unwrap();
    let started = start_all(&mut index, 1, 1_000);
    assert_eq!(started.len(), 2);
    index.finish(started[0].leg, Next::Done);
    assert_eq!(index.legs(number).count(), 1);
    index.finish(started[1].leg, Next::Done);
    assert_eq!(index.legs(number).count(), 0);
    index.remove(number);
    assert_eq!((index.count(), index.totals(), index.find(started[0].id)), (0, Totals::default(), None));
}

#[test]
fn a_leg_that_was_put_off_returns_at_its_time() {
    let mut index = Index::default();
    index.insert(entry(1, &["a.test"])).unwrap();
    let job = start_all(&mut index, 1, 1_000).remove(0);
    index.finish(job.leg, Next::Wait(60_000));
    assert!(start_all(&mut index, 1, 59_999).is_empty());
    let again = start_all(&mut index, 1, 60_000).remove(0);
    assert_eq!((again.attempts, again.cursor), (1, 0));
    index.finish(again.leg, Next::Continue(100));
    assert_eq!(start_all(&mut index, 1, 60_000).remove(0).cursor, 100);
}

#[test]
fn a_destination_in_trouble_is_left_alone_then_probed_and_opens_up_step_by_step() {
    let mut index = Index::default();
    for _ in 0..50 {
        index.insert(entry(1, &["bad.test"])).unwrap();
    }
    index.insert(entry(1, &["good.test"])).unwrap();
    let running = start_all(&mut index, 20, 1_000);
    assert_eq!(running.len(), 21);
    let (bad, good): (Vec<_>, Vec<_>) =
        running.into_iter().partition(|job| job.destination == to("bad.test"));
    index.finish(good[0].leg, Next::Done);
    let mut counted = 0;
    for job in bad {
        // All fail together: that is one trouble.
        index.close(
            &to("bad.test"),
            "451 4.4.1 nobody",
            |failures| {
                counted = failures;
                30_000
            },
            1_000,
        );
        index.finish(job.leg, Next::Wait(500_000));
    }
    assert_eq!((counted, index.totals().troubled), (1, 1));
    assert!(start_all(&mut index, 20, 30_999).is_empty());
    let more = |index: &mut Index, now: u64| start_all(index, 20, now);
    let probe = more(&mut index, 31_000);
    assert_eq!(probe.len(), 1, "one probe");
    index.close(
        &to("bad.test"),
        "451 4.4.1 nobody",
        |failures| {
            counted = failures;
            60_000
        },
        31_000,
    );
    index.finish(probe[0].leg, Next::Wait(500_000));
    assert_eq!(counted, 2);
    assert!(more(&mut index, 90_999).is_empty());
    let mut open = more(&mut index, 91_000);
    for expected in [1, 2, 4, 8] {
        assert_eq!(open.len(), expected);
        let done = open.remove(0);
        index.opened(&to("bad.test"));
        index.finish(done.leg, Next::Done);
        for job in open {
            index.finish(job.leg, Next::Wait(900_000));
        }
        open = more(&mut index, 91_000);
    }
}

#[test]
fn what_is_held_waits_until_it_is_released() {
    let mut index = Index::default();
    let number = index.insert(entry(1, &["a.test"])).unwrap();
    assert!(index.hold(number, true, 0) && !index.hold(number, true, 0));
    assert!(start_all(&mut index, 1, 10_000).is_empty());
    assert_eq!(index.totals().held, 1);
    assert!(index.hold(number, false, 10_000));
    let job = start_all(&mut index, 1, 10_000).remove(0);
    // Held while it runs: the job ends, and is the last.
    assert!(index.hold(number, true, 10_000));
    index.finish(job.leg, Next::Wait(11_000));
    assert!(start_all(&mut index, 1, 20_000).is_empty());
}

#[test]
fn alarms_go_for_messages_that_are_there() {
    let mut index = Index::default();
    let number = index.insert(entry(1, &["a.test"])).unwrap();
    let gone = index.insert(entry(1, &["b.test"])).unwrap();
    index.remove(gone);
    assert_eq!(index.advance(14_401_000), [number]);
    assert!(index.take(number) && !index.take(number));
    assert!(start_all(&mut index, 1, 14_401_000).is_empty());
    index.give_back(number, 14_402_000);
    assert_eq!(start_all(&mut index, 1, 14_402_000).len(), 1);
}

#[test]
fn void_timers_do_not_pile_up() {
    let mut index = Index::default();
    for round in 0..50_000_u64 {
        let number = index.insert(entry(round, &["a.test"])).unwrap();
        let job = start_all(&mut index, 1, round * 1000).remove(0);
        index.finish(job.leg, Next::Done);
        index.remove(number);
    }
    assert!(index.timers.len() < 4_000, "{}", index.timers.len());
    assert_eq!((index.messages.end(), index.places.len()), (1, 0));
}

#[test]
fn marks_find_what_is_there_and_little_else() {
    let hasher = RandomState::new();
    let mut wrong = 0;
    for number in 0..10_000 {
        let mut marks = Marks::default();
        marks.add(&hasher, &format!("s{number}@Ejemplo{number}.test"));
        marks.add(&hasher, &format!("r{number}@example{number}.test"));
        let name = format!("S{number}@ejemplo{number}.test");
        assert!(marks.may_have(Marks::of(&hasher, &name)));
        assert!(marks.may_have(Marks::of(&hasher, &format!("example{number}.test"))));
        wrong += usize::from(marks.may_have(Marks::of(&hasher, "else@other.test")));
    }
    assert!(wrong < 300, "{wrong}");
}

#[test]
fn a_clock_that_is_set_back_makes_no_pause_longer_and_breaks_no_appointment() {
    let mut index = Index::default();
    index.insert(entry(100_000, &["tried.test"])).unwrap();
    index.insert(entry(100_000, &["closed.test"])).unwrap();
    let started = start_all(&mut index, 1, 100_000_000);
    for job in started {
        if job.destination == to("closed.test") {
            index.close(&job.destination, "451", |_| 60_000, 100_000_000);
        }
        index.finish(job.leg, Next::Wait(100_060_000));
    }
    let later = index.insert(entry(100_060, &["later.test"])).unwrap();
    index.set_back(90_000_000);
    assert_eq!(index.standing(&to("closed.test")).unwrap().trouble.unwrap().0, 10_060_000);
    assert!(start_all(&mut index, 1, 10_059_000).is_empty());
    assert_eq!(start_all(&mut index, 1, 10_061_000).len(), 2);
    assert_eq!(index.legs(later).next().unwrap().due, Some(100_060));
}

//! Guests on blades: apart from each other, with room for a failure.

use chasqui_base::ByteSize;
use serde::Serialize;

use super::PlaceError;
use super::kind::Kind;
use crate::capacity::Sum;
use crate::demand::Demand;

/// What a blade's own system keeps: an assumption.
const OWN: Sum = Sum { cores: 2, memory: ByteSize(4 << 30) };
/// Blades of a data centre that have numbers in the address plan: 100 chassis.
pub const MOST_BLADES: usize = 2_000;
const MOST_CHASSIS: usize = 100;

/// The blades of a data centre.
#[derive(Clone, Debug, Serialize)]
pub struct Rack {
    /// Chassis; 0 in a compact layout, where each server fails alone.
    pub chassis: usize,
    /// Slots of each.
    pub slots: u32,
    /// Cores of a blade.
    pub cores: u32,
    /// Memory of a blade.
    pub memory: ByteSize,
    /// The blades: of chassis 1, of chassis 2, and so on.
    pub blades: Vec<Blade>,
}

/// A blade, or a server of a compact layout.
#[derive(Clone, Debug, Serialize)]
pub struct Blade {
    /// Its chassis, from 0; a server's own number.
    pub chassis: usize,
    /// Its slot, from 1.
    pub slot: u32,
    /// Its guests: which of the kinds, and the number among that kind, from 1.
    pub guests: Vec<(usize, u64)>,
    /// What they leave.
    pub free: Sum,
}

impl Rack {
    /// Guests on all blades.
    pub fn guests(&self) -> usize {
        self.blades.iter().map(|blade| blade.guests.len()).sum()
    }
}

/// The largest guest: half of a blade.
pub fn largest_guest(demand: &Demand) -> Sum {
    let room = room(demand);
    Sum { cores: room.cores / 2, memory: ByteSize(room.memory.0 / 2) }
}

/// What guests may take of an empty blade.
fn room(demand: &Demand) -> Sum {
    Sum {
        cores: u64::from(demand.blade_cores()) - OWN.cores,
        memory: ByteSize(demand.blade_memory().0 - OWN.memory.0),
    }
}

/// Finds the least number of blades, and puts the guests on them. `kinds` says which guests there are for so many chassis.
pub fn place(
    demand: &Demand,
    datacenter: &str,
    kept_free: Sum,
    kinds: impl Fn(usize) -> Vec<Kind>,
) -> Result<(Rack, Vec<Kind>), PlaceError> {
    let room = room(demand);
    let mut count = 3;
    let mut sized: Option<(usize, Vec<Kind>)> = None;
    while count <= MOST_BLADES {
        let chassis = chassis(demand, count);
        if chassis > MOST_CHASSIS && !demand.compact() {
            break;
        }
        let (_, guests) = match sized.take() {
            Some(sized) if sized.0 == chassis => sized,
            _ => (chassis, kinds(chassis)),
        };
        check_sizes(demand, &guests)?;
        let least = least(&guests, kept_free, room);
        if count < least {
            count = least.min(MOST_BLADES + 1);
            continue;
        }
        if let Some(rack) = put(demand, count, chassis, &guests)
            && survives(&rack, &guests, kept_free)
        {
            return Ok((rack, guests));
        }
        sized = Some((chassis, guests));
        count += 1;
    }
    Err(PlaceError::Blades { datacenter: datacenter.to_owned(), most: MOST_BLADES })
}

/// As many chassis as each has blades, more or less, so that one takes little with it; at least three. Servers of a compact layout fail alone.
fn chassis(demand: &Demand, blades: usize) -> usize {
    if demand.compact() {
        return blades;
    }
    blades.isqrt().max(3).max(blades.div_ceil(demand.chassis_slots as usize))
}

fn check_sizes(demand: &Demand, kinds: &[Kind]) -> Result<(), PlaceError> {
    let room = room(demand);
    match kinds.iter().find(|kind| kind.cores > room.cores || kind.memory > room.memory) {
        None => Ok(()),
        Some(kind) => Err(PlaceError::Guest {
            kind: kind.name,
            cores: kind.cores,
            memory: kind.memory,
            blade_cores: demand.blade_cores(),
            blade_memory: demand.blade_memory(),
        }),
    }
}

/// Blades below which it cannot fit.
fn least(kinds: &[Kind], kept_free: Sum, room: Sum) -> usize {
    let cores = kinds.iter().map(|kind| kind.count * kind.cores).sum::<u64>() + kept_free.cores;
    let memory = kinds.iter().map(|kind| u128::from(kind.count) * u128::from(kind.memory.0)).sum::<u128>()
        + u128::from(kept_free.memory.0);
    let apart = kinds.iter().map(|kind| kind.count).max().unwrap_or(0);
    let by_memory = u64::try_from(memory.div_ceil(u128::from(room.memory.0.max(1)))).unwrap_or(u64::MAX);
    cores.div_ceil(room.cores.max(1)).max(by_memory).max(apart) as usize
}

/// Puts every guest on a blade without another of its kind: in the chassis with the fewest of them, there on the emptiest blade.
fn put(demand: &Demand, count: usize, chassis: usize, kinds: &[Kind]) -> Option<Rack> {
    let blade = |i: usize| Blade {
        chassis: i % chassis,
        slot: (i / chassis) as u32 + 1,
        guests: Vec::new(),
        free: room(demand),
    };
    let mut blades: Vec<Blade> = (0..count).map(blade).collect();
    blades.sort_by_key(|blade| (blade.chassis, blade.slot));
    let mut order: Vec<usize> = (0..kinds.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse((kinds[*i].cores, kinds[*i].memory)));
    for which in order {
        let kind = &kinds[which];
        let mut in_chassis = vec![0u64; chassis];
        let mut has = vec![false; count];
        for number in 1..=kind.count {
            let fits = |i: &usize| !has[*i] && takes(&blades[*i].free, kind);
            let best = (0..count).filter(fits).min_by_key(|i| {
                let blade = &blades[*i];
                (
                    in_chassis[blade.chassis],
                    std::cmp::Reverse(blade.free.cores),
                    std::cmp::Reverse(blade.free.memory),
                    *i,
                )
            })?;
            has[best] = true;
            in_chassis[blades[best].chassis] += 1;
            blades[best].guests.push((which, number));
            take(&mut blades[best].free, kind);
        }
    }
    let slots = if demand.compact() { 1 } else { demand.chassis_slots };
    let chassis = if demand.compact() { 0 } else { chassis };
    Some(Rack { chassis, slots, cores: demand.blade_cores(), memory: demand.blade_memory(), blades })
}

fn takes(free: &Sum, kind: &Kind) -> bool {
    free.cores >= kind.cores && free.memory >= kind.memory
}

fn take(free: &mut Sum, kind: &Kind) {
    free.cores -= kind.cores;
    free.memory.0 -= kind.memory.0;
}

/// Whether any one chassis, and so any one blade, may fail.
pub fn survives(rack: &Rack, kinds: &[Kind], kept_free: Sum) -> bool {
    let chassis = rack.blades.iter().map(|blade| blade.chassis + 1).max().unwrap_or(0);
    (0..chassis).all(|lost| without(rack, kinds, kept_free, lost))
}

fn without(rack: &Rack, kinds: &[Kind], kept_free: Sum, lost: usize) -> bool {
    let (gone, mut left): (Vec<&Blade>, Vec<&Blade>) =
        rack.blades.iter().partition(|blade| blade.chassis == lost);
    for (which, kind) in kinds.iter().enumerate() {
        let count =
            left.iter().filter(|blade| blade.guests.iter().any(|guest| guest.0 == which)).count() as u64;
        if !kind.restarted && count < kind.needed.min(kind.count.saturating_sub(1)) {
            return false;
        }
    }
    // The lost ones with a LUN start again where most is free, the largest first.
    let mut again: Vec<&Kind> = gone
        .iter()
        .flat_map(|blade| blade.guests.iter().map(|guest| &kinds[guest.0]))
        .filter(|kind| kind.restarted)
        .collect();
    again.sort_by_key(|kind| std::cmp::Reverse((kind.cores, kind.memory)));
    left.sort_by_key(|blade| (blade.chassis, blade.slot));
    let mut free: Vec<Sum> = left.iter().map(|blade| blade.free).collect();
    for kind in again {
        let roomiest =
            free.iter_mut().filter(|free| takes(free, kind)).max_by_key(|free| (free.cores, free.memory));
        let Some(roomiest) = roomiest else { return false };
        take(roomiest, kind);
    }
    holds(&free, kept_free)
}

/// Whether what is free takes so much, in portions of one core with its share of the memory.
fn holds(free: &[Sum], wanted: Sum) -> bool {
    if wanted.cores == 0 {
        return true;
    }
    let portion = wanted.memory.0.div_ceil(wanted.cores).max(1);
    let portions = free.iter().map(|free| free.cores.min(free.memory.0 / portion)).sum::<u64>();
    portions >= wanted.cores
}

//! Arrays and LUNs: RAID 6+0 on pairs of controllers, mail on the first pairs, backups and guests' disks on others (E12, E16).

use chasqui_base::ByteSize;
use serde::Serialize;

use super::PlaceError;
use super::blade::Rack;
use super::kind::Kind;
use crate::demand::Demand;

const GB: u128 = 1_000_000_000;
/// Pairs of controllers, and storage nodes or backup hosts, that have numbers in the address plan.
const MOST_PAIRS: u64 = 600;
const MOST_NODES: u64 = 1_000;
/// Room for guests on each blade at least: for those that come later.
const GUESTS: u128 = 200 * GB;

/// Arrays and LUNs of a data centre.
#[derive(Clone, Debug, Serialize)]
pub struct Disks {
    /// Storage nodes, each with a LUN.
    pub nodes: u64,
    /// Backup hosts, each with a LUN.
    pub backups: u64,
    /// Controllers: two for each pair.
    pub controllers: u32,
    /// The arrays; two for each pair, in order.
    pub arrays: Vec<Array>,
    /// The LUNs.
    pub luns: Vec<Lun>,
    /// Octets of each mail LUN.
    #[serde(skip)]
    mail_lun: u128,
    #[serde(skip)]
    backup_lun: u128,
}

/// An array.
#[derive(Clone, Debug, Serialize)]
pub struct Array {
    /// The pair of controllers that it is cabled to, from 0.
    pub pair: u32,
    /// Which of the pair runs it, 0 or 1.
    pub first: u32,
    /// What lies on it.
    pub purpose: &'static str,
    /// RAID 6 groups.
    pub groups: u64,
    /// Drives of a group.
    pub group_size: u64,
    /// Spare drives.
    pub spares: u64,
    /// Size of a drive.
    pub drive_size: ByteSize,
    /// SSDs in front, an even number.
    pub ssds: u64,
    /// Size of an SSD.
    pub ssd_size: ByteSize,
    /// What its LUNs take.
    pub used: u128,
}

impl Array {
    /// What it holds.
    pub fn net(&self) -> u128 {
        u128::from(self.groups) * u128::from(self.group_size - 2) * u128::from(self.drive_size.0)
    }

    /// Its drives, spares among them.
    pub fn drives(&self) -> u64 {
        self.groups * self.group_size + self.spares
    }
}

/// A part of an array.
#[derive(Clone, Debug, Serialize)]
pub struct Lun {
    /// The beginning of its name: `mail`, `backup` or `guests`.
    pub purpose: &'static str,
    /// Its number among those, from 1.
    pub number: u64,
    /// The array, from 0.
    pub array: usize,
    /// Its size.
    pub size: ByteSize,
}

/// The mail's arrays, and how many storage nodes and backup hosts there are.
pub fn mail(demand: &Demand, users: u64, least: u64) -> Disks {
    let needed = u128::from(users) * u128::from(demand.quota.0);
    let mut disks = Disks {
        nodes: least,
        backups: 0,
        controllers: 0,
        arrays: Vec::new(),
        luns: Vec::new(),
        mail_lun: 0,
        backup_lun: 0,
    };
    if demand.compact() {
        disks.mail_lun = lun(needed, least);
    } else {
        disks.mail_arrays(demand, needed, least);
    }
    // The storage nodes are dealt out to the backup hosts whole, so the largest hand decides.
    let hand = |hosts: u64| {
        lun(
            u128::from(disks.nodes.div_ceil(hosts)) * disks.mail_lun * u128::from(demand.backup_percent)
                / 100,
            1,
        )
    };
    // A backup LUN has an array of its own, with room beside it for guests' disks.
    let most = array_net(demand, most_groups(demand)) * 9 / 10;
    let enough = |hosts: &u64| demand.compact() || hand(*hosts) <= most;
    let hosts = (2..=disks.nodes.max(2)).find(enough).unwrap_or(disks.nodes);
    if demand.backup_percent > 0 {
        disks.backup_lun = hand(hosts);
        disks.backups = hosts;
    }
    disks
}

impl Disks {
    /// All drives and SSDs.
    pub fn drives(&self) -> u64 {
        self.arrays.iter().map(|array| array.drives() + array.ssds).sum()
    }

    /// Whether the address plan has numbers for all.
    pub fn check(self, datacenter: &str) -> Result<Self, PlaceError> {
        let pairs = u64::from(self.controllers / 2);
        let instead = "larger drives (`drive_size`) or more of them for each pair (`pair_drives`)";
        let many = |count, what, most| PlaceError::Many {
            datacenter: datacenter.to_owned(),
            count,
            what,
            most,
            instead,
        };
        if pairs > MOST_PAIRS {
            return Err(many(pairs, "pairs of storage controllers", MOST_PAIRS));
        }
        match self.nodes.max(self.backups) {
            nodes if nodes > MOST_NODES => Err(many(nodes, "storage nodes or backup hosts", MOST_NODES)),
            _ => Ok(self),
        }
    }

    fn mail_arrays(&mut self, demand: &Demand, needed: u128, least: u64) {
        let mut groups = (needed.div_ceil(array_net(demand, 1)) as u64).max(2);
        let pairs = groups.div_ceil(2 * most_groups(demand));
        let arrays = 2 * pairs;
        self.controllers = u32::try_from(arrays).unwrap_or(u32::MAX);
        if pairs > MOST_PAIRS || least > MOST_NODES {
            return; // `check` refuses it.
        }
        groups = groups.max(arrays);
        // Equal LUNs leave something over on each array: the least number of nodes with which all fit, or groups that divide evenly.
        let fit = |groups: u64, nodes: u64| {
            let lun = lun(needed, nodes);
            (0..arrays)
                .map(|i| (in_luns(array_net(demand, share(groups, arrays, i))) / lun) as u64)
                .sum::<u64>()
                >= nodes
        };
        let nodes = loop {
            match (least..=(least + 2 * arrays).max(12)).find(|nodes| fit(groups, *nodes)) {
                Some(nodes) => break nodes,
                None => groups += 1,
            }
        };
        self.nodes = nodes;
        self.mail_lun = lun(needed, nodes);
        let ssds = demand.ssds.map_or_else(|| one_percent(demand, needed), u64::from) / 2;
        for i in 0..arrays {
            let array = Array {
                groups: share(groups, arrays, i),
                ssds: 2 * share(ssds, arrays, i),
                ..self.array(demand, i as usize, "mail")
            };
            self.arrays.push(array);
        }
        let mut array = 0;
        for number in 1..=nodes {
            // Round robin over the arrays that have room; `fit` said that there is one.
            let has_room = |array: &usize| {
                in_luns(self.arrays[*array].net()).saturating_sub(self.arrays[*array].used) >= self.mail_lun
            };
            let Some(next) = (array..array + arrays as usize).map(|i| i % arrays as usize).find(has_room)
            else {
                break;
            };
            self.add("mail", number, next, self.mail_lun);
            array = next + 1;
        }
    }

    /// The same with the LUNs of backups and of guests' disks.
    pub fn with_guests(mut self, demand: &Demand, rack: &Rack, kinds: &[Kind]) -> Self {
        let mail = self.arrays.len();
        let own = if demand.compact() || self.backups == 0 { 2 } else { self.backups.next_multiple_of(2) };
        for i in 0..own as usize {
            let purpose = if demand.compact() { "all" } else { "backups and guests" };
            let array = Array { groups: 0, ..self.array(demand, mail + i, purpose) };
            self.arrays.push(array);
        }
        self.controllers = self.arrays.len() as u32;
        let next = |number: u64| mail + (number % own) as usize;
        if demand.compact() {
            for number in 1..=self.nodes {
                self.add("mail", number, next(number - 1), self.mail_lun);
            }
        }
        // In a compact layout the backup of what lies on one array lies on the other.
        for number in 1..=self.backups {
            self.add("backup", number, next(number), self.backup_lun);
        }
        for (i, blade) in rack.blades.iter().enumerate() {
            let disks: u128 = blade.guests.iter().map(|guest| u128::from(kinds[guest.0].disk.0)).sum();
            let size = (disks * 5 / 4).max(GUESTS).div_ceil(50 * GB) * 50 * GB;
            self.add("guests", i as u64 + 1, next(i as u64), size);
        }
        for array in &mut self.arrays[mail..] {
            let drive = u128::from(demand.drive_size.0);
            let data = (array.used * 1000).div_ceil(drive * 999).max(2) as u64;
            let per_group = u64::from(demand.group_size) - 2;
            // One group need not be full; more than one are all of the same size.
            array.groups = data.div_ceil(per_group);
            array.group_size = if array.groups == 1 { data + 2 } else { per_group + 2 };
        }
        self.cache_of_compact(demand, mail);
        self
    }

    /// A compact layout's arrays hold the mail too, so the SSDs are theirs.
    fn cache_of_compact(&mut self, demand: &Demand, mail: usize) {
        if !demand.compact() {
            return;
        }
        let needed = self.mail_lun * u128::from(self.nodes);
        let pairs = demand.ssds.map_or_else(|| one_percent(demand, needed), u64::from) / 2;
        let arrays = &mut self.arrays[mail..];
        let count = arrays.len() as u64;
        for (i, array) in arrays.iter_mut().enumerate() {
            array.ssds = 2 * share(pairs.max(count), count, i as u64);
        }
    }

    fn array(&self, demand: &Demand, number: usize, purpose: &'static str) -> Array {
        Array {
            pair: number as u32 / 2,
            first: number as u32 % 2,
            purpose,
            groups: 1,
            group_size: demand.group_size.into(),
            spares: 1,
            drive_size: demand.drive_size,
            ssds: 0,
            ssd_size: demand.ssd_size,
            used: 0,
        }
    }

    fn add(&mut self, purpose: &'static str, number: u64, array: usize, size: u128) {
        self.arrays[array].used += size;
        let size = ByteSize(u64::try_from(size).unwrap_or(u64::MAX));
        self.luns.push(Lun { purpose, number, array, size });
    }
}

/// RAID 6 groups of one array at most: half of what a pair can have, spares beside.
fn most_groups(demand: &Demand) -> u64 {
    (u64::from(demand.pair_drives / 2).saturating_sub(1) / u64::from(demand.group_size)).max(1)
}

fn array_net(demand: &Demand, groups: u64) -> u128 {
    u128::from(groups) * u128::from(demand.group_size - 2) * u128::from(demand.drive_size.0)
}

/// What LUNs may take of an array: one part in a thousand is for the superblocks and LVM's own.
fn in_luns(net: u128) -> u128 {
    net / 1000 * 999
}

/// A LUN in whole GB.
fn lun(needed: u128, count: u64) -> u128 {
    needed.div_ceil(u128::from(count.max(1))).div_ceil(GB).max(1) * GB
}

/// 1 % of the mail storage in whole pairs of SSDs, as in the paper.
fn one_percent(demand: &Demand, needed: u128) -> u64 {
    2 * (needed / 100).div_ceil(u128::from(demand.ssd_size.0)).div_ceil(2).max(1) as u64
}

/// The i-th of `parts` shares, as even as can be.
fn share(whole: u64, parts: u64, i: u64) -> u64 {
    whole / parts + u64::from(i < whole % parts)
}

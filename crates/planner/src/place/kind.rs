//! Kinds of guests: what each does, how many there are and how large.

use chasqui_base::ByteSize;
use serde::Serialize;

use super::disk::Disks;
use super::{blade, tier};
use crate::capacity::{Tier, TierName};
use crate::demand::Demand;
use crate::site::Role;

/// Accounts that one storage node holds at most: its loss should not take more.
const STORAGE_USERS: u64 = 20_000;
/// Cores below which a guest is not split further to spread it over more chassis.
const SMALL: u64 = 8;
/// Guests of a kind beyond which more of them do not make a failure noticeably smaller.
const MANY: u64 = 8;
const GIB: u64 = 1 << 30;
const GB: u64 = 1_000_000_000;

/// A kind of guests.
#[derive(Clone, Debug, Serialize)]
pub struct Kind {
    /// The beginning of their names.
    pub name: &'static str,
    /// What they are, for people.
    pub about: &'static str,
    /// What they do.
    pub roles: Vec<Role>,
    /// How many carry the load.
    pub needed: u64,
    /// How many there are.
    pub count: u64,
    /// Cores of each.
    pub cores: u64,
    /// Memory of each.
    pub memory: ByteSize,
    /// System disk of each.
    pub disk: ByteSize,
    /// Whether a lost one is started again on another machine, because its data is on a LUN and it has no second server.
    pub restarted: bool,
    /// The third number of their addresses; of each further 250 the next one.
    pub row: u8,
}

/// What a kind is made of, before its size is known.
struct Draft {
    name: &'static str,
    about: &'static str,
    tiers: &'static [TierName],
    row: u8,
    /// Servers that must be left after a failure.
    least: u64,
    /// How many there must be in all.
    count: u64,
}

const fn draft(name: &'static str, about: &'static str, tiers: &'static [TierName], row: u8) -> Draft {
    Draft { name, about, tiers, row, least: 1, count: 2 }
}

/// Apart from the exchangers in small sites too (S1).
const RELAYS: &str = "Relays: the users' mail, and what leaves (S1, S11)";

const LAYERED: [Draft; 14] = [
    draft("facade", "The façade, layer 4 (E4)", &[TierName::Facade], 10),
    Draft { count: 3, ..draft("ns", "Authoritative DNS, layer 1 (E1)", &[TierName::Dns], 11) },
    draft("directory", "Directory servers (S5)", &[TierName::Directory], 12),
    draft("mx", "Mail exchangers (S7)", &[TierName::Mx], 13),
    draft("proxy", "IMAP and POP3 proxies (S9)", &[TierName::Proxy], 14),
    draft("relay", RELAYS, &[TierName::Relay], 15),
    draft("storage", "Storage nodes, layer 9 (S4, E9)", &[TierName::Storage], 30),
    draft("reverse", "Reverse proxies, layer 5 (E5)", &[TierName::ReverseProxy], 16),
    draft("http", "Static content and redirects, layer 6 (E6)", &[TierName::Http], 17),
    draft("ldap", "LDAP (E11)", &[TierName::Ldap], 18),
    Draft {
        least: 2,
        count: 3,
        ..draft("database", "The database, layers 8 and 9 (E8)", &[TierName::Database], 19)
    },
    draft("log", "Logs (S2)", &[TierName::Log], 20),
    draft("monitor", "Metrics and alerts", &[TierName::Monitoring], 21),
    draft("backup", "Backups (E16)", &[TierName::Backup], 40),
];

const COMPACT: [Draft; 8] = [
    draft("facade", "The façade, layer 4 (E4)", &[TierName::Facade], 10),
    Draft { count: 3, ..draft("ns", "Authoritative DNS, layer 1 (E1)", &[TierName::Dns], 11) },
    draft(
        "service",
        "Directory, mail exchangers and proxies (S5, S7, S9)",
        &[TierName::Directory, TierName::Mx, TierName::Proxy],
        12,
    ),
    draft("relay", RELAYS, &[TierName::Relay], 15),
    draft("storage", "Storage nodes, layer 9 (S4, E9)", &[TierName::Storage], 30),
    draft(
        "web",
        "Reverse proxies and static content, layers 5 and 6 (E5, E6)",
        &[TierName::ReverseProxy, TierName::Http],
        16,
    ),
    Draft {
        least: 2,
        count: 3,
        ..draft(
            "data",
            "The database, layers 8 and 9, and LDAP (E8, E11)",
            &[TierName::Database, TierName::Ldap],
            19,
        )
    },
    draft(
        "ops",
        "Logs, metrics and backups (S2, E16)",
        &[TierName::Log, TierName::Monitoring, TierName::Backup],
        20,
    ),
];

/// The least number of storage nodes: by cores, memory and accounts.
pub fn least_storage(demand: &Demand, tiers: &[Tier], users: u64) -> u64 {
    let most = blade::largest_guest(demand);
    let Some(tier) = tier(tiers, TierName::Storage) else { return 2 };
    let by_memory = tier.memory.0.div_ceil(most.memory.0.saturating_sub(tier.server_memory.0).max(GIB));
    tier.cores.div_ceil(most.cores).max(by_memory).max(users.div_ceil(STORAGE_USERS)).max(2)
}

/// Every kind, for a data centre with so many chassis (or servers that fail alone).
pub fn kinds(demand: &Demand, tiers: &[Tier], datacenter: usize, chassis: usize, disks: &Disks) -> Vec<Kind> {
    let drafts: &[Draft] = if demand.compact() { &COMPACT } else { &LAYERED };
    let backup = |draft: &&Draft| demand.backup_percent > 0 || draft.name != "backup";
    let size = |draft| kind(demand, tiers, draft, datacenter, chassis as u64, disks);
    drafts.iter().filter(backup).map(size).collect()
}

fn kind(
    demand: &Demand,
    tiers: &[Tier],
    draft: &Draft,
    datacenter: usize,
    chassis: u64,
    disks: &Disks,
) -> Kind {
    let most = blade::largest_guest(demand);
    let mine = || draft.tiers.iter().filter_map(|name| tier(tiers, *name));
    let part = |whole: bool| mine().filter(move |tier| tier.whole == whole);
    let cores: u64 = part(false).map(|tier| tier.cores).sum();
    let memory: u64 = part(false).map(|tier| tier.memory.0).fold(0, u64::saturating_add);
    // One server that must do all alone is no larger than a guest can be: the plan's table shows what it would need.
    let alone = part(true).map(|tier| tier.cores).sum::<u64>().min(most.cores);
    let own = part(true).map(|tier| tier.memory.0).fold(0, u64::saturating_add).min(most.memory.0 / 2)
        + mine().map(|tier| tier.server_memory.0).fold(0, u64::saturating_add);
    let room = most.memory.0.saturating_sub(own).max(GIB);
    let restarted = matches!(draft.name, "storage" | "backup");

    // As few as the largest guest allows, but one for each chassis that may be left, as long as they do not become tiny.
    // A directory server holds every account, and clients ask eight of them at most: no more than needed.
    let spread = match draft.name {
        "directory" => 1,
        _ => chassis.saturating_sub(1).min(cores.div_ceil(SMALL)).min(MANY),
    };
    let by_size = cores.div_ceil(most.cores).max(memory.div_ceil(room));
    let needed = draft.least.max(by_size).max(spread);
    let (needed, count) = match draft.name {
        "storage" => (disks.nodes, disks.nodes),
        "backup" => (disks.backups, disks.backups),
        // An odd number of voters in all: three in the first data centre, two in each other one (2n + 1).
        "database" | "data" if datacenter > 0 => (needed, 2),
        _ => (needed, with_spare(needed, chassis).max(draft.count)),
    };
    let each = memory.div_ceil(needed).saturating_add(own);
    Kind {
        name: draft.name,
        about: draft.about,
        roles: draft
            .tiers
            .iter()
            .filter(|name| demand.backup_percent > 0 || **name != TierName::Backup)
            .filter_map(|name| name.role())
            .collect(),
        needed,
        count,
        cores: cores.div_ceil(needed).saturating_add(alone).max(if demand.compact() { 1 } else { 2 }),
        memory: ByteSize(each.div_ceil(GIB).max(1).saturating_mul(GIB)),
        disk: disk(demand, draft, tiers),
        restarted,
        row: draft.row,
    }
}

/// The least number of servers, spread evenly over so many chassis, of which `needed` are left when a chassis fails.
fn with_spare(needed: u64, chassis: u64) -> u64 {
    // With one of `chassis` lost, `count - count / chassis` are left: no smaller number can do.
    let mut count = needed.saturating_add((needed / (chassis.max(2) - 1)).max(1));
    while chassis > 1 && count - count.div_ceil(chassis) < needed {
        count += 1;
    }
    count
}

/// System disks: 16 GB, and what grows on some.
fn disk(demand: &Demand, draft: &Draft, tiers: &[Tier]) -> ByteSize {
    let has = |name| draft.tiers.contains(&name) && tier(tiers, name).is_some();
    let mut size = 16 * GB;
    if has(TierName::Database) {
        // 100 kB of settings, address books and indexes for each account: an assumption.
        size += demand.users / 10_000 * GB + 16 * GB;
    }
    if has(TierName::Ldap) {
        size += demand.users / 100_000 * GB;
    }
    if has(TierName::Log) {
        // 1 kB of log for each message, half a year: an assumption. No host has more than 2 TB of it on its system disk.
        let kept =
            u128::from(demand.users) * u128::from(demand.messages_per_day) * 180 * 1_000 / u128::from(GB);
        size += u64::try_from(kept).unwrap_or(u64::MAX).clamp(16, 2_000) * GB;
    }
    if has(TierName::Relay) {
        // What waits for other sites, for days if need be: an assumption.
        size += 48 * GB;
    }
    if has(TierName::Monitoring) {
        size += 64 * GB;
    }
    ByteSize(size)
}

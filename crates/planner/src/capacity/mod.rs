//! From demand to disks, bandwidth, IOPS, cores and memory (E18).
//!
//! Two models. `paper` follows the evaluation of Expresso V3 to the last printed digit. `measured` takes what our own benchmarks
//! measured where there is a measurement, the paper's rule where there is none, and says of each number which it is.

mod load;
mod measured;
pub mod paper;
mod ratio;
mod tier;

use chasqui_base::ByteSize;
pub use load::Load;
pub use measured::{Measured, MeasuredError, Memory, Operation};
pub use ratio::{Ratio, gigabytes, thousands};
use serde::Serialize;
pub use tier::{Source, Sum, Tier, TierName};

use crate::demand::Demand;
use crate::site::Model;

/// A figure of the plan.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its short name, for programs.
    pub key: &'static str,
    /// What it is.
    pub name: &'static str,
    /// Its value.
    pub value: Ratio,
    /// Its unit.
    pub unit: &'static str,
    /// As it is printed, unit and all.
    pub text: String,
    /// How it was worked out.
    pub rule: String,
    /// Where it comes from.
    pub source: Source,
}

/// Drives and their layout, for the mail of the whole site.
#[derive(Clone, Debug, Serialize)]
pub struct Drives {
    /// RAID 6 groups.
    pub groups: u64,
    /// Drives of a group.
    pub group_size: u32,
    /// Drives.
    pub drives: u64,
    /// What the accounts may fill, in octets.
    pub needed: u128,
    /// What the groups hold, in octets.
    pub net: u128,
    /// What the drives hold, in octets.
    pub raw: u128,
    /// SSDs in front.
    pub ssds: u64,
    /// Size of each.
    pub ssd_size: ByteSize,
}

/// Cores and memory with the reserve, in whole blades.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Reserve {
    /// Blades that have the cores.
    pub blades: u64,
    /// Blades that have the memory.
    pub memory_blades: u64,
    /// What they come to, cores by the one and memory by the other.
    pub sum: Sum,
}

impl Reserve {
    /// The memory in the paper's GB of 1,024 MB, as the paper prints it: `1,280`.
    pub fn gigabytes(&self) -> Ratio {
        Ratio::new(self.sum.memory.0.into(), 1 << 30)
    }
}

/// What a demand needs.
#[derive(Clone, Debug, Serialize)]
pub struct Capacity {
    /// Which figures it was made with.
    pub model: Model,
    /// Where the measured ones come from.
    pub measured: String,
    /// Load, storage and network.
    pub figures: Vec<Figure>,
    /// The mail's drives.
    pub drives: Drives,
    /// What each tier needs.
    pub tiers: Vec<Tier>,
    /// What the tiers that the paper counts need together.
    pub counted: Sum,
    /// What all tiers need together.
    pub total: Sum,
    /// The counted tiers with the reserve; of the model `measured`, all of them.
    pub reserve: Reserve,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl Capacity {
    /// Plans for a demand that was checked.
    pub fn of(demand: &Demand, measured: &Measured) -> Self {
        let tiers = tiers(demand, measured, demand.users);
        let counted = Sum::of(tiers.iter().filter(|tier| tier.counted));
        let total = Sum::of(tiers.iter());
        let drives = drives(demand);
        let base = if demand.model == Model::Paper { counted } else { total };
        Self {
            model: demand.model,
            measured: measured.source(),
            figures: figures(demand, &drives),
            drives,
            counted,
            total,
            reserve: reserve(demand, base),
            notes: notes(demand),
            tiers,
        }
    }

    /// A figure by its short name.
    pub fn figure(&self, key: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.key == key)
    }
}

/// What each tier needs for so many of the site's users.
pub fn tiers(demand: &Demand, figures: &Measured, users: u64) -> Vec<Tier> {
    let measured = load::measured(demand, figures, users);
    let mut tiers = match demand.model {
        Model::Paper => {
            let beside = [TierName::Proxy, TierName::Directory];
            let mut tiers = paper::tiers(users);
            tiers.extend(measured.into_iter().filter(|tier| beside.contains(&tier.name)));
            tiers
        }
        Model::Measured => {
            let counted = load::unmeasured(users).into_iter().map(|tier| Tier { counted: false, ..tier });
            counted.chain(measured).collect()
        }
    };
    tiers.extend(load::assumed(demand, users));
    tiers.sort_by_key(|tier| tier.name);
    tiers
}

fn drives(demand: &Demand) -> Drives {
    let size = u128::from(demand.drive_size.0);
    let needed = u128::from(demand.users) * u128::from(demand.quota.0);
    let group = u128::from(demand.group_size - 2) * size;
    let groups = needed.div_ceil(group);
    let drives = groups * u128::from(demand.group_size);
    // 1 % of the mail storage, in pairs: 3.5 TB are nine SSDs of 400 GB, so ten, as the paper has.
    let pairs = (needed / 100).div_ceil(u128::from(demand.ssd_size.0)).div_ceil(2).max(1);
    Drives {
        groups: groups as u64,
        group_size: demand.group_size,
        drives: drives as u64,
        needed,
        net: groups * group,
        raw: drives * size,
        ssds: demand.ssds.map_or(2 * pairs as u64, u64::from),
        ssd_size: demand.ssd_size,
    }
}

fn reserve(demand: &Demand, sum: Sum) -> Reserve {
    let with = |value: u64, percent: u32| u128::from(value) * u128::from(100 + percent);
    let blade = u128::from(demand.blade_memory().0);
    let blades = with(sum.cores, demand.reserve_percent).div_ceil(100 * u128::from(demand.blade_cores()));
    let memory_blades = with(sum.memory.0, demand.reserve_memory_percent).div_ceil(100 * blade);
    let cores = blades * u128::from(demand.blade_cores());
    let clip = |n: u128| u64::try_from(n).unwrap_or(u64::MAX);
    Reserve {
        blades: clip(blades),
        memory_blades: clip(memory_blades),
        sum: Sum { cores: clip(cores), memory: ByteSize(clip(memory_blades * blade)) },
    }
}

fn figures(demand: &Demand, drives: &Drives) -> Vec<Figure> {
    let users = u128::from(demand.users);
    let n = |number: u128| thousands(number);
    let figure = |key, name, value: Ratio, unit, source, rule: String| Figure {
        key,
        name,
        text: format!("{value} {unit}").trim_end().to_owned(),
        value,
        unit,
        rule,
        source,
    };
    let requests = Ratio::new(users * u128::from(demand.requests_per_minute), 60);
    let kbit = requests.times(demand.link_kbit.into());
    let storage_io = requests.times(demand.storage_io.0.into());
    let messages = Ratio::new(
        users * u128::from(demand.messages_per_day) * u128::from(demand.peak_hour_percent),
        100 * 3_600,
    );
    let log_ins = Ratio::new(demand.sessions().into(), demand.log_in_window.get().as_secs().into());
    let tb = |octets: u128| Ratio::new(octets, 1_000_000_000_000);
    let groups =
        if drives.groups == 1 { "1 group".to_owned() } else { format!("{} groups", n(drives.groups.into())) };
    let drive_iops = u128::from(drives.drives) * u128::from(demand.drive_iops);
    let iops = requests.times(demand.io_operations.into());
    let rest = match iops.ceil().checked_sub(drive_iops).filter(|rest| *rest > 0) {
        Some(rest) => {
            format!("the SSDs in front must answer the other {} %", (100 * rest).div_ceil(iops.ceil()))
        }
        None => "enough without SSDs".to_owned(),
    };
    let (paper, given, assumed) = (Source::Paper, Source::Demand, Source::Assumed);
    vec![
        figure("users", "accounts", Ratio::whole(users), "", given, "as given".into()),
        figure(
            "sessions",
            "open sessions",
            Ratio::whole(demand.sessions().into()),
            "",
            if demand.sessions.is_some() { given } else { paper },
            if demand.sessions.is_some() { "as given".into() } else { "one for each account".into() },
        ),
        figure(
            "requests",
            "requests",
            requests,
            "/s",
            paper,
            format!("{} accounts × {} a minute", n(users), demand.requests_per_minute),
        ),
        figure(
            "connections",
            "connections at the façade",
            Ratio::new(users * u128::from(demand.connections_per_thousand), 1_000),
            "/s",
            paper,
            format!("{} a second per 1,000 accounts (E21)", demand.connections_per_thousand),
        ),
        figure(
            "bandwidth",
            "bandwidth to users",
            kbit.by(1_000),
            "Mbit/s",
            paper,
            format!("requests × {} kbit: each fills a user's link for a second", demand.link_kbit),
        ),
        figure("bandwidth-octets", "the same in octets", kbit.by(8_000), "MB/s", paper, "÷ 8".into()),
        figure(
            "storage-bandwidth",
            "storage I/O bandwidth",
            storage_io.times(8).by(1_000_000),
            "Mbit/s",
            paper,
            format!("requests × {}", demand.storage_io),
        ),
        figure(
            "storage-bandwidth-octets",
            "the same in octets",
            storage_io.by(1_000_000),
            "MB/s",
            paper,
            "÷ 8".into(),
        ),
        figure(
            "iops",
            "random I/O",
            iops,
            "IOPS",
            paper,
            format!("requests × {} operations of {}", demand.io_operations, demand.io_size),
        ),
        figure(
            "messages",
            "messages that arrive",
            messages,
            "/s",
            assumed,
            format!(
                "{} a day and account, {} % of them in the busiest hour",
                demand.messages_per_day, demand.peak_hour_percent
            ),
        ),
        figure(
            "log-ins",
            "log-ins",
            log_ins,
            "/s",
            assumed,
            format!("all sessions within {}", demand.log_in_window),
        ),
        figure(
            "net",
            "net storage for mail",
            tb(drives.needed),
            "TB",
            paper,
            format!("{} accounts × {}", n(users), demand.quota),
        ),
        figure(
            "raid-net",
            "RAID 6+0, net",
            tb(drives.net),
            "TB",
            paper,
            format!(
                "{} groups × {} data drives × {}",
                n(drives.groups.into()),
                drives.group_size - 2,
                demand.drive_size
            ),
        ),
        figure("raid-raw", "RAID 6+0, raw", tb(drives.raw), "TB", paper, "data and parity".into()),
        figure(
            "drives",
            "drives",
            Ratio::whole(drives.drives.into()),
            "",
            paper,
            format!("{} of {}, two of each for parity", groups, drives.group_size),
        ),
        figure(
            "drive-iops",
            "random I/O of the drives",
            Ratio::whole(drive_iops),
            "IOPS",
            assumed,
            format!("drives × {}, to read; {rest}", demand.drive_iops),
        ),
        figure(
            "ssds",
            "SSD cache",
            Ratio::whole(drives.ssds.into()),
            "",
            if demand.ssds.is_some() { given } else { paper },
            format!(
                "{} × {}: {} TB, 1 % of the mail storage in whole pairs; mirrored, so that a write survives an SSD, they hold {} TB",
                drives.ssds,
                drives.ssd_size,
                tb(u128::from(drives.ssds) * u128::from(drives.ssd_size.0)),
                tb(u128::from(drives.ssds / 2) * u128::from(drives.ssd_size.0)),
            ),
        ),
    ]
}

fn notes(demand: &Demand) -> Vec<String> {
    let mut notes = paper::inconsistencies(demand);
    notes.push(
        "The paper's 5,000 Mbit/s of storage I/O follow from none of its other figures; at 4,166.66 requests/s they are 150 kB a request, which is what this plan multiplies by. \
         It does not say whether its ten SSDs are mirrored; the site's are."
            .into(),
    );
    notes.push(
        "The paper wants two SMTP, web, http and proxy servers for each domain. Here every server serves all domains: the directory says whose an address is, and each domain's MX, \
         autoconfig and web names lead to all of them. So each domain has as many as the site has, at least two."
            .into(),
    );
    notes.push(
        "The webmail does not exist yet: its capacity is kept free on the blades, and the site has no host for it."
            .into(),
    );
    if demand.model == Model::Measured {
        notes.push(
            "Measured are the binary's own roles on one machine over its loopback: what spam and virus filtering (E14) will cost the exchangers is not in it, nor is \
             another kind of processor or disk. The margin is for what differs a little, not for those."
                .into(),
        );
    }
    notes
}

#[cfg(test)]
mod tests;

//! What a site must carry: people, mail, hardware (E18).
//!
//! A demand is a TOML file, the options of `chasqui plan`, or both: options win. The doc comment of each field below is the help
//! of its option. Defaults are those of the pilot in the evaluation of Expresso V3, or stand with their reason.

mod check;
mod read;

use chasqui_base::net::IpNetwork;
use chasqui_base::{ByteSize, Span};
pub(crate) use check::ipv4;
pub use check::{DemandError, MOST_DATACENTERS, MOST_USERS};
pub use read::{DemandOption, Kind, options, read};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::site::{Model, Table};

/// What a site must carry, and the hardware that it may use.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Demand {
    /// Name of the site: letters, digits and hyphens. Default `mail`.
    pub name: String,
    /// What the site is for, in a sentence. Default: its users, quota and data centres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Which figures to plan with: `paper` is the evaluation of Expresso V3, `measured` our own benchmarks. Default `measured`.
    pub model: Model,

    /// Accounts. Default 50000, the pilot's.
    pub users: u64,
    /// Size that an account may have. Default `7GB` (E13).
    pub quota: ByteSize,
    /// Mail domains with their accounts, `NAME=USERS`; one without a number, or with 0, shares what is left. Default one, `correo.example`.
    pub domains: Table<u64>,
    /// Open sessions. Default one for each account: the paper's 50000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u64>,
    /// Requests of each account in a minute. Default 5 (paper).
    pub requests_per_minute: u32,
    /// A user's link, in kbit/s: a request fills it for one second. Default 1024 (paper).
    pub link_kbit: u32,
    /// I/O operations at the mail store for each request. Default 10 (paper).
    pub io_operations: u32,
    /// Size of an I/O operation. Default `4KiB` (paper).
    pub io_size: ByteSize,
    /// What a request reads and writes at the storage. Default `150kB`: the paper's 5000 Mbit/s, which it gives without a rule, at its 4,166.66 requests/s.
    pub storage_io: ByteSize,
    /// Connections that the façade takes in a second for each 1000 accounts. Default 200: the paper's 10,000/s for 50,000 people (E21).
    pub connections_per_thousand: u32,
    /// Messages that arrive for an account in a day. Default 50, an assumption: the paper has no figure.
    pub messages_per_day: u32,
    /// Mean size of a message. Default `75kB`, an assumption.
    pub message_size: ByteSize,
    /// Percent of a day's messages that arrive in its busiest hour. Default 15, an assumption.
    pub peak_hour_percent: u32,
    /// Time in which everybody logs in, in the morning. Default `30m`, an assumption.
    pub log_in_window: Span,
    /// Memory for each account that keeps what is read again and again (E9). Default `4MiB`: the paper's 2 GB for 500 users.
    pub working_set: ByteSize,
    /// Percent of the mail storage that backups get (E16). Default 100: each mailbox once, its history in what quotas leave empty. 0: none.
    pub backup_percent: u32,

    /// By how much measured figures are multiplied. Default 2: half of each core stays free at the peak.
    pub margin: f64,
    /// Percent of cores kept as a reserve before rounding up to whole blades. Default 25: see the paper's 2,048.
    pub reserve_percent: u32,
    /// Percent of memory kept as a reserve before rounding up to a blade's memory. Default 15: see the paper's 1,280 GB.
    pub reserve_memory_percent: u32,

    /// Size of a drive. Default `4TB` (paper).
    pub drive_size: ByteSize,
    /// Random operations that a drive does in a second. Default 80, an assumption for 7,200 turns a minute.
    pub drive_iops: u32,
    /// Drives of a RAID 6 group, two of them parity. Default 10 (paper, E12).
    pub group_size: u32,
    /// Drives that one pair of storage controllers can have. Default 240, an assumption: four shelves of 60.
    pub pair_drives: u32,
    /// Size of an SSD in front of the drives. Default `400GB` (paper).
    pub ssd_size: ByteSize,
    /// SSDs in front of the mail's drives. Default 1 % of the mail storage in mirrored pairs: the paper's 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssds: Option<u32>,
    /// Cores of a blade, or of a server in a compact layout. Default 64 (paper); 32 when compact; 192 from 200,000 accounts a data centre, where 64 would be too many machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blade_cores: Option<u32>,
    /// Memory of a blade, or of a server in a compact layout. Default `256GiB` (paper); `128GiB` when compact; `768GiB` from 200,000 accounts a data centre.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blade_memory: Option<ByteSize>,
    /// Blades that a chassis takes. Default 16.
    pub chassis_slots: u32,
    /// Watts of a blade under load. Default 700, an assumption.
    pub blade_power: u32,
    /// Watts of a storage controller without its drives. Default 700, an assumption.
    pub controller_power: u32,
    /// Watts of a drive. Default 10, an assumption.
    pub drive_power: u32,
    /// Watts of a firewall or router. Default 350, an assumption.
    pub edge_power: u32,
    /// Watts that a data centre can give. Default unknown: the plan prints what it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_budget: Option<u64>,

    /// Data centres, 1 to 4; accounts are spread over them. Default 1.
    pub datacenters: u32,
    /// Names of the data centres. Default `norte`, `sur`, `este`, `oeste`.
    pub datacenter_names: Vec<String>,
    /// How the tiers are put on hosts: `layered` has the paper's nine layers apart, `compact` puts several roles on a host, `auto` is compact up to 2000 accounts a data centre. Default `auto`.
    pub layout: Layout,
    /// Public IPv4 prefixes of a data centre, at least three in different networks (E1), `NAME=PREFIX`, each /28 or larger. Default documentation prefixes (RFC 5737), to be replaced.
    pub public: Table<Vec<IpNetwork>>,
    /// The provider's IPv4 prefix in front of a data centre's firewalls, `NAME=PREFIX`, /29 or larger; its first address is the provider's. Default documentation prefixes (RFC 5737), to be replaced.
    pub uplink: Table<IpNetwork>,
}

/// How the tiers are put on hosts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Compact up to 2,000 accounts a data centre.
    #[default]
    Auto,
    /// Several roles on a host, servers in place of blades.
    Compact,
    /// The paper's nine layers apart.
    Layered,
}

/// Up to how many accounts a data centre is laid out compactly.
const COMPACT_USERS: u64 = 2_000;
/// From how many accounts a data centre gets larger blades.
const LARGE_USERS: u64 = 200_000;

impl Default for Demand {
    fn default() -> Self {
        Self {
            name: "mail".into(),
            description: None,
            model: Model::Measured,
            users: 50_000,
            quota: ByteSize(7_000_000_000),
            domains: Table::new(),
            sessions: None,
            requests_per_minute: 5,
            link_kbit: 1_024,
            io_operations: 10,
            io_size: ByteSize(4_096),
            storage_io: ByteSize(150_000),
            connections_per_thousand: 200,
            messages_per_day: 50,
            message_size: ByteSize(75_000),
            peak_hour_percent: 15,
            log_in_window: Span::secs(1_800),
            working_set: ByteSize(4 << 20),
            backup_percent: 100,
            margin: 2.0,
            reserve_percent: 25,
            reserve_memory_percent: 15,
            drive_size: ByteSize(4_000_000_000_000),
            drive_iops: 80,
            group_size: 10,
            pair_drives: 240,
            ssd_size: ByteSize(400_000_000_000),
            ssds: None,
            blade_cores: None,
            blade_memory: None,
            chassis_slots: 16,
            blade_power: 700,
            controller_power: 700,
            drive_power: 10,
            edge_power: 350,
            power_budget: None,
            datacenters: 1,
            datacenter_names: Vec::new(),
            layout: Layout::Auto,
            public: Table::new(),
            uplink: Table::new(),
        }
    }
}

impl Demand {
    /// Open sessions.
    pub fn sessions(&self) -> u64 {
        self.sessions.unwrap_or(self.users)
    }

    /// The mail domains with their accounts, which add up to all accounts.
    pub fn domains(&self) -> Table<u64> {
        if self.domains.is_empty() {
            return Table::from([("correo.example".to_owned(), self.users)]);
        }
        let given: u64 = self.domains.values().sum();
        let open = self.domains.values().filter(|users| **users == 0).count() as u64;
        let mut rest = self.users.saturating_sub(given);
        let mut left = open;
        let share = |users: u64| {
            if users > 0 {
                return users;
            }
            let part = rest.div_ceil(left.max(1));
            rest -= part;
            left -= 1;
            part
        };
        let mut share = share;
        self.domains.iter().map(|(name, users)| (name.clone(), share(*users))).collect()
    }

    /// The names of the data centres, in the order that they were given.
    pub fn datacenter_names(&self) -> Vec<String> {
        let name =
            |(i, name): (usize, &&str)| self.datacenter_names.get(i).map_or((*name).to_owned(), Clone::clone);
        ["norte", "sur", "este", "oeste"]
            .iter()
            .enumerate()
            .map(name)
            .take(self.datacenters as usize)
            .collect()
    }

    /// The accounts of each data centre: as even as can be, the first ones have one more.
    pub fn users_of_datacenter(&self, number: usize) -> u64 {
        let count = u64::from(self.datacenters.max(1));
        self.users / count + u64::from((number as u64) < self.users % count)
    }

    /// Cores of a blade.
    pub fn blade_cores(&self) -> u32 {
        self.blade_cores.unwrap_or(self.by_size(32, 64, 192))
    }

    /// Memory of a blade.
    pub fn blade_memory(&self) -> ByteSize {
        self.blade_memory.unwrap_or(ByteSize(self.by_size(128, 256, 768) << 30))
    }

    fn by_size<T>(&self, compact: T, layered: T, large: T) -> T {
        match self.users_of_datacenter(0) {
            _ if self.compact() => compact,
            users if users >= LARGE_USERS => large,
            _ => layered,
        }
    }

    /// Whether several roles share a host.
    pub fn compact(&self) -> bool {
        match self.layout {
            Layout::Auto => self.users_of_datacenter(0) <= COMPACT_USERS,
            Layout::Compact => true,
            Layout::Layered => false,
        }
    }
}

#[cfg(test)]
mod tests;

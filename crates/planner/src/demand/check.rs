//! Bounds of a demand: inside them no sum of the plan can overflow, outside them a sentence says what to write.

use chasqui_base::ByteSize;
use chasqui_base::net::IpNetwork;

use super::Demand;

/// The largest number of accounts that can be planned.
pub const MOST_USERS: u64 = 100_000_000;
/// The largest number of data centres: each has two directory servers, and a client of the directory asks eight at most.
pub const MOST_DATACENTERS: u32 = 4;

/// Why a demand cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum DemandError {
    /// The file, or an option, cannot be read.
    #[error("{0}")]
    Read(#[from] chasqui_base::config::ConfigError),
    /// An option has a value that it cannot have.
    #[error("--{option}: {reason}")]
    Option {
        /// The option, without its hyphens.
        option: String,
        /// What was expected.
        reason: String,
    },
    /// A number is out of its bounds.
    #[error("`{key}` is {value}: write a value from {low} to {high}")]
    Bounds {
        /// The key.
        key: &'static str,
        /// What it is.
        value: String,
        /// The least that it can be.
        low: String,
        /// The most that it can be.
        high: String,
    },
    /// The domains' accounts are not the site's.
    #[error(
        "`domains` have {given} users in all, `users` is {users}: make them equal, or leave the number of one domain out"
    )]
    Domains {
        /// What the domains add up to.
        given: u64,
        /// What the site has.
        users: u64,
    },
    /// A name cannot be used.
    #[error("`{key}`: `{name}` {reason}")]
    Name {
        /// The key.
        key: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it, and what to write.
        reason: &'static str,
    },
    /// A prefix cannot be used.
    #[error("`{key}.{datacenter}`: {reason}")]
    Prefix {
        /// The key.
        key: &'static str,
        /// The data centre.
        datacenter: String,
        /// What is wrong, and what to write.
        reason: String,
    },
}

impl Demand {
    /// Checks every bound.
    pub fn check(&self) -> Result<(), DemandError> {
        let number = |key, value: u64, low: u64, high: u64| bound(key, &value, &low, &high);
        let size = |key, value, low, high| bound(key, &value, &ByteSize(low), &ByteSize(high));
        number("users", self.users, 1, MOST_USERS)?;
        size("quota", self.quota, 1_000_000, 1_000_000_000_000_000)?;
        number("sessions", self.sessions(), 1, 10 * MOST_USERS)?;
        number("requests_per_minute", self.requests_per_minute.into(), 1, 6_000)?;
        number("link_kbit", self.link_kbit.into(), 1, 100_000_000)?;
        number("io_operations", self.io_operations.into(), 1, 10_000)?;
        size("io_size", self.io_size, 512, 1 << 30)?;
        size("storage_io", self.storage_io, 1, 1 << 40)?;
        number("connections_per_thousand", self.connections_per_thousand.into(), 1, 1_000_000)?;
        number("messages_per_day", self.messages_per_day.into(), 1, 1_000_000)?;
        size("message_size", self.message_size, 1, 1 << 40)?;
        number("peak_hour_percent", self.peak_hour_percent.into(), 4, 100)?;
        number("log_in_window", self.log_in_window.get().as_secs(), 1, 86_400)?;
        size("working_set", self.working_set, 0, 1 << 40)?;
        number("backup_percent", self.backup_percent.into(), 0, 1_000)?;
        if !(1.0..=100.0).contains(&self.margin) {
            return Err(out("margin", &self.margin, &1, &100));
        }
        number("reserve_percent", self.reserve_percent.into(), 0, 1_000)?;
        number("reserve_memory_percent", self.reserve_memory_percent.into(), 0, 1_000)?;
        size("drive_size", self.drive_size, 10_000_000_000, 1_000_000_000_000_000)?;
        number("drive_iops", self.drive_iops.into(), 1, 10_000_000)?;
        number("group_size", self.group_size.into(), 4, 64)?;
        number("pair_drives", self.pair_drives.into(), 4 * u64::from(self.group_size), 10_000)?;
        size("ssd_size", self.ssd_size, 1_000_000_000, 1_000_000_000_000_000)?;
        number("ssds", self.ssds.unwrap_or(0).into(), 0, 100_000)?;
        number("blade_cores", self.blade_cores().into(), 8, 4_096)?;
        size("blade_memory", self.blade_memory(), 16 << 30, 1 << 50)?;
        number("chassis_slots", self.chassis_slots.into(), 1, 100)?;
        number("blade_power", self.blade_power.into(), 1, 100_000)?;
        number("controller_power", self.controller_power.into(), 1, 100_000)?;
        number("drive_power", self.drive_power.into(), 1, 10_000)?;
        number("edge_power", self.edge_power.into(), 1, 100_000)?;
        number("power_budget", self.power_budget.unwrap_or(1), 1, 1_000_000_000_000)?;
        number("datacenters", self.datacenters.into(), 1, MOST_DATACENTERS.into())?;
        number("users", self.users, self.datacenters.into(), MOST_USERS)?;
        self.check_names()?;
        self.check_domains()?;
        self.check_prefixes()
    }

    fn check_names(&self) -> Result<(), DemandError> {
        label("name", &self.name)?;
        let names = self.datacenter_names();
        for (i, name) in names.iter().enumerate() {
            label("datacenter_names", name)?;
            if names[..i].contains(name) {
                let reason = "stands twice: every data centre needs a name of its own";
                return Err(DemandError::Name { key: "datacenter_names", name: name.clone(), reason });
            }
        }
        match self.datacenter_names.get(names.len()) {
            None => Ok(()),
            Some(name) => {
                let reason = "is one name too many: raise `datacenters`, or leave it out";
                Err(DemandError::Name { key: "datacenter_names", name: name.clone(), reason })
            }
        }
    }

    fn check_domains(&self) -> Result<(), DemandError> {
        for (name, users) in &self.domains {
            if name.parse::<chasqui_base::DomainName>().is_err() {
                let reason = "is not a domain name such as `correo.example`";
                return Err(DemandError::Name { key: "domains", name: name.clone(), reason });
            }
            bound("domains", users, &0, &MOST_USERS)?;
        }
        bound("domains", &self.domains.len(), &0, &1_000)?;
        let given: u64 = self.domains.values().sum();
        let open = self.domains.values().any(|users| *users == 0);
        if self.domains.is_empty() || given == self.users || (open && given < self.users) {
            return Ok(());
        }
        Err(DemandError::Domains { given, users: self.users })
    }

    fn check_prefixes(&self) -> Result<(), DemandError> {
        let names = self.datacenter_names();
        for datacenter in self.public.keys().chain(self.uplink.keys()) {
            if !names.contains(datacenter) {
                let key = if self.public.contains_key(datacenter) { "public" } else { "uplink" };
                let reason = format!("there is no such data centre; there are: {}", names.join(", "));
                return Err(DemandError::Prefix { key, datacenter: datacenter.clone(), reason });
            }
        }
        for (datacenter, prefixes) in &self.public {
            let wrong =
                |reason| Err(DemandError::Prefix { key: "public", datacenter: datacenter.clone(), reason });
            if prefixes.len() < 3 {
                let count = prefixes.len();
                return wrong(format!(
                    "{count} prefixes: a public name needs addresses in three networks (E1)"
                ));
            }
            if let Some(small) = prefixes.iter().find(|prefix| ipv4(prefix).is_none_or(|(_, bits)| bits > 28))
            {
                return wrong(format!("{small} is no IPv4 prefix of 16 addresses (/28) or more"));
            }
        }
        for (datacenter, prefix) in &self.uplink {
            if ipv4(prefix).is_none_or(|(_, bits)| bits > 29) {
                let reason = format!("{prefix} is no IPv4 prefix of 8 addresses (/29) or more");
                return Err(DemandError::Prefix { key: "uplink", datacenter: datacenter.clone(), reason });
            }
        }
        Ok(())
    }
}

/// The first address and the length of an IPv4 prefix.
pub(crate) fn ipv4(network: &IpNetwork) -> Option<(u32, u32)> {
    let text = network.to_string();
    let (base, bits) = text.split_once('/')?;
    let base: std::net::Ipv4Addr = base.parse().ok()?;
    Some((base.into(), bits.parse().ok()?))
}

fn bound<T: PartialOrd + ToString>(
    key: &'static str,
    value: &T,
    low: &T,
    high: &T,
) -> Result<(), DemandError> {
    if value < low || value > high { Err(out(key, value, low, high)) } else { Ok(()) }
}

fn out(key: &'static str, value: &impl ToString, low: &impl ToString, high: &impl ToString) -> DemandError {
    DemandError::Bounds { key, value: value.to_string(), low: low.to_string(), high: high.to_string() }
}

/// A name that can stand in host names.
fn label(key: &'static str, name: &str) -> Result<(), DemandError> {
    let sound = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 20
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let reason = "is no name of at most 20 small letters, digits and hyphens, a letter first";
    if sound { Ok(()) } else { Err(DemandError::Name { key, name: name.to_owned(), reason }) }
}

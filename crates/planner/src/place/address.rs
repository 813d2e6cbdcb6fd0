//! The address plan: 10.D.R.N, where D says data centre and kind of network, R the kind of machine and N which of them; the same R.N in
//! every network that a host is in.

use std::net::Ipv4Addr;

use chasqui_base::net::IpNetwork;

use crate::demand::{Demand, ipv4};

/// The third and fourth number of the n-th host, from 1, whose kind begins at a row.
pub fn place_in(row: u8, number: u64) -> (u8, u8) {
    let before = number.saturating_sub(1);
    (row.saturating_add((before / 250) as u8), (before % 250) as u8 + 1)
}

/// The addresses of one data centre.
#[derive(Clone, Debug)]
pub struct Addresses {
    datacenter: u8,
    public: Vec<u32>,
    public_texts: Vec<String>,
    uplink: u32,
    uplink_text: String,
}

/// A network of a data centre that has private addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Private {
    /// Between the roles.
    Service = 1,
    /// To the storage.
    Storage = 2,
    /// The second way to the storage.
    StorageB = 3,
    /// Administration.
    Management = 4,
    /// The mesh over the first way.
    San = 5,
    /// The mesh over the second way.
    SanB = 6,
    /// The administrators' mesh.
    Admin = 7,
}

impl Addresses {
    /// Of the data centre with this number, from 0.
    pub fn of(demand: &Demand, number: usize, name: &str) -> Self {
        let given = demand
            .public
            .get(name)
            .map(|prefixes| prefixes.iter().map(|p| (base(p), p.to_string())).collect());
        // The first half of each documentation prefix, 16 addresses a data centre; uplinks in the second half of the first.
        let documentation = || {
            let of = |[a, b, c]: [u8; 3]| Ipv4Addr::new(a, b, c, 16 * number as u8);
            let prefixes = [[192, 0, 2], [198, 51, 100], [203, 0, 113]].map(of);
            prefixes.map(|first| (first.into(), format!("{first}/28"))).to_vec()
        };
        let (public, public_texts): (Vec<u32>, Vec<String>) =
            given.unwrap_or_else(documentation).into_iter().unzip();
        let uplink = demand.uplink.get(name).map(|prefix| (base(prefix), prefix.to_string()));
        let (uplink, uplink_text) = uplink.unwrap_or_else(|| {
            let first = Ipv4Addr::new(192, 0, 2, 128 + 8 * number as u8);
            (first.into(), format!("{first}/29"))
        });
        Self { datacenter: 16 * (number as u8 + 1), public, public_texts, uplink, uplink_text }
    }

    /// A private network's prefix.
    pub fn prefix(&self, network: Private) -> String {
        format!("10.{}.0.0/16", self.datacenter + network as u8)
    }

    /// A host's address in a private network.
    pub fn private(&self, network: Private, (row, number): (u8, u8)) -> String {
        format!("10.{}.{row}.{number}", self.datacenter + network as u8)
    }

    /// The public prefixes.
    pub fn public_prefixes(&self) -> &[String] {
        &self.public_texts
    }

    /// The n-th address of the i-th public prefix.
    pub fn public(&self, prefix: usize, number: u32) -> String {
        let base = self.public.get(prefix).copied().unwrap_or_default();
        Ipv4Addr::from(base + number).to_string()
    }

    /// The n-th address of every public prefix.
    pub fn public_all(&self, number: u32) -> Vec<String> {
        (0..self.public.len()).map(|prefix| self.public(prefix, number)).collect()
    }

    /// The uplink's prefix.
    pub fn uplink_prefix(&self) -> &str {
        &self.uplink_text
    }

    /// The n-th address of the uplink.
    pub fn uplink(&self, number: u32) -> String {
        Ipv4Addr::from(self.uplink + number).to_string()
    }
}

fn base(prefix: &IpNetwork) -> u32 {
    ipv4(prefix).map_or(0, |(base, _)| base)
}

//! What each thing costs each tier, where the figure comes from, and what is assumed because nobody measured it.

use serde::Serialize;

use super::load::Class;
use crate::capacity::{Measured, paper};
use crate::demand::Demand;
use crate::site::{Model, Role};

/// What no benchmark and no paper says. Each can be given; the report prints those that it used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assumptions {
    /// Random operations of a drive in a second: a SAS drive of 7,200 to 10,000 turns a minute. Default 175.
    pub drive_operations: f64,
    /// Operations of an SSD in a second, mixed. Default 40000.
    pub ssd_operations: f64,
    /// The part of a request's operations that read; the others write. Default 0.8.
    pub reads: f64,
    /// Operations of the drives for each one that the cache writes back: RAID 6 needs six, and neighbours are written together. Default 1.5.
    pub write_back: f64,
    /// Days whose mail is read often enough to stay in the SSD cache. Default 7.
    pub hot_days: f64,
    /// The most that the SSD cache can hit. Default 0.95.
    pub best_hit: f64,
    /// Write operations of a delivery: the file, its folder, the journal, the index. Default 4.
    pub message_writes: f64,
    /// Octets that a core seals or opens in a second in a mesh (WireGuard). Default 400 MB.
    pub sealed: f64,
    /// Microseconds of a core that the façade spends on a connection, and on a request's packets. Default 30.
    pub facade_work: f64,
    /// Seconds until the second host of a VRRP pair holds the address. Default 4.
    pub pair_takeover: f64,
    /// Seconds until the balancer sends nothing more to a dead server. Default 10.
    pub detection: f64,
    /// Seconds until the other controller serves the arrays of a dead one: somebody must see that it is dead, and fence it. Default 300.
    pub array_takeover: f64,
    /// Seconds until the guest of a storage node, whose volumes are on arrays, runs on another blade. Default 600.
    pub restart: f64,
    /// Seconds until what was lost is there again. Default 3600.
    pub repair: f64,
    /// Seconds after which people give up waiting. Default 30.
    pub patience: f64,
    /// Seconds after which a mail program tries to log in again. Default 60.
    pub log_in_again: f64,
    /// Seconds after which a sender comes again with a message that could not be taken. Default 900.
    pub send_again: f64,
    /// Seconds after which the spool tries again. Default 300.
    pub spool_again: f64,
    /// How busy a core is with the users that a rule of the paper gives it. Default 0.8: the paper does not say.
    pub paper_busy: f64,
    /// How many times slower a core of the site is than one of the machine that was measured. Default 1.
    pub slower: f64,
}

impl Default for Assumptions {
    fn default() -> Self {
        Self {
            drive_operations: 175.0,
            ssd_operations: 40_000.0,
            reads: 0.8,
            write_back: 1.5,
            hot_days: 7.0,
            best_hit: 0.95,
            message_writes: 4.0,
            sealed: 400e6,
            facade_work: 30.0,
            pair_takeover: 4.0,
            detection: 10.0,
            array_takeover: 300.0,
            restart: 600.0,
            repair: 3_600.0,
            patience: 30.0,
            log_in_again: 60.0,
            send_again: 900.0,
            spool_again: 300.0,
            paper_busy: 0.8,
            slower: 1.0,
        }
    }
}

/// How long a password check may wait in the directory (`verify.patience`): its client has then given up.
pub(super) const CHECK_PATIENCE: f64 = 2.0;
/// When a look-up and a password check are asked of the second directory server (`hedge`, `verify_hedge`).
pub(super) const HEDGE: [f64; 3] = [0.5, 0.0, 0.02];

/// Seconds of a core, operations and octets of each thing that is done.
#[derive(Clone, Debug)]
pub(super) struct Costs {
    /// Where the costs come from.
    pub(super) source: String,
    proxy: [f64; 3],
    directory: [f64; 3],
    mx: [f64; 3],
    storage: [f64; 3],
    facade: [f64; 3],
    /// Octets that pass the firewall.
    pub(super) octets: [f64; 3],
    /// Octets read and written at the array.
    pub(super) stored: [f64; 3],
    /// Read operations at the array.
    pub(super) reads: [f64; 3],
    /// Write operations at the array.
    pub(super) writes: [f64; 3],
}

impl Costs {
    pub(super) fn of(demand: &Demand, measured: &Measured, assumed: &Assumptions) -> Self {
        let answer = f64::from(demand.link_kbit) * 1_000.0 / 8.0;
        let message = demand.message_size.0 as f64;
        let operations = f64::from(demand.io_operations);
        let reads = operations * assumed.reads;
        let stored = demand.storage_io.0 as f64;
        let mut costs = Self {
            source: String::new(),
            proxy: [0.0; 3],
            directory: [0.0; 3],
            mx: [0.0; 3],
            storage: [0.0; 3],
            facade: [assumed.facade_work * 1e-6; 3],
            octets: [5_000.0, answer, message],
            stored: [demand.io_size.0 as f64 * operations, stored, message * 2.0],
            reads: [operations, reads, 2.0],
            writes: [0.0, operations - reads, assumed.message_writes],
        };
        costs.measure(measured, answer, message, assumed.slower);
        if demand.model == Model::Paper {
            costs.apply_rules(demand, assumed.paper_busy);
        } else {
            for (storage, stored) in costs.storage.iter_mut().zip(costs.stored) {
                // Its LUNs are reached through a mesh.
                *storage += stored / assumed.sealed;
            }
        }
        costs
    }

    /// Seconds of a core of a role for one of a class.
    pub(super) fn core(&self, role: Role, class: Class) -> f64 {
        let costs = match role {
            Role::Proxy => &self.proxy,
            Role::Directory => &self.directory,
            Role::Mx => &self.mx,
            Role::Storage => &self.storage,
            Role::Facade => &self.facade,
            _ => &[0.0; 3],
        };
        costs[class as usize]
    }

    fn measure(&mut self, measured: &Measured, answer: f64, message: f64, slower: f64) {
        /// The size of the messages that were measured.
        const SIZE: f64 = 10_240.0;
        let cost = |operation, role| measured.cost(operation, role) * 1e-6 * slower;
        let more = |octets: f64, key| (octets - SIZE).max(0.0) / measured.bytes(key).max(1.0) * slower;
        self.source = measured.source();
        self.proxy =
            [cost("log_in_tls", "proxy"), cost("request_tls", "proxy") + more(answer, "proxy_tls"), 0.0];
        self.directory = [cost("first_log_in", "directory"), 0.0, cost("message_in", "directory")];
        self.mx = [0.0, 0.0, cost("message_in", "mx") + more(message, "proxy_tls")];
        self.storage = [
            cost("log_in_tls", "storage"),
            cost("request_tls", "storage") + more(answer, "storage_tls"),
            cost("message_in", "storage") + more(message, "storage_tls"),
        ];
    }

    /// A rule of the paper says how many users a core serves, each with so many requests a minute. The paper has no rule for what
    /// our proxy and directory do: their costs stay the measured ones.
    fn apply_rules(&mut self, demand: &Demand, busy: f64) {
        let rate = f64::from(demand.requests_per_minute) / 60.0;
        let one = |rule: &paper::Rule| busy * rule.cores as f64 / (rule.users as f64 * rate);
        self.source =
            format!("the paper's rules for mx and storage; for proxy and directory {}", self.source);
        self.mx = [0.0, 0.0, one(&paper::SMTP)];
        self.storage = [one(&paper::IMAP); 3];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_the_papers_rules_its_cores_do_its_requests() {
        let demand = Demand { model: Model::Paper, ..Demand::default() };
        let measured = Measured::built_in().unwrap();
        let costs = Costs::of(&demand, &measured, &Assumptions::default());
        let busy = 4_166.666_666 * costs.core(Role::Storage, Class::Request);
        assert!((busy - 80.0).abs() < 0.01, "{busy} of the 100 cores for 50,000 users");
        assert_eq!(
            costs.core(Role::Directory, Class::LogIn),
            measured.cost("first_log_in", "directory") * 1e-6
        );
    }

    #[test]
    fn a_measured_request_costs_what_was_measured_and_more_for_more_octets() {
        let measured = Measured::built_in().unwrap();
        let small = Demand { link_kbit: 80, ..Demand::default() };
        let assumed = Assumptions::default();
        let cost = |demand: &Demand| Costs::of(demand, &measured, &assumed).core(Role::Proxy, Class::Request);
        assert_eq!(cost(&small), measured.cost("request_tls", "proxy") * 1e-6);
        assert!(cost(&Demand::default()) > 2.0 * cost(&small));
    }
}

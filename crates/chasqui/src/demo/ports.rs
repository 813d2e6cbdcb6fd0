//! Who listens where in the demo: each port is the base plus a fixed number, for a public service its well-known one.

use std::net::{Ipv4Addr, SocketAddr};

/// The ports of a demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    base: u16,
}

/// A listener of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// Its name in the JSON line.
    pub name: &'static str,
    /// What it is, for the table.
    pub about: &'static str,
    /// What is added to the base.
    offset: u16,
}

/// What mail programs and other mail servers connect to.
pub const PUBLIC: [Service; 7] = [
    Service { name: "smtp", about: "SMTP with STARTTLS: send mail to the site", offset: 25 },
    Service { name: "submission", about: "submission with STARTTLS: send mail as a user", offset: 587 },
    Service { name: "submissions", about: "submission over TLS: send mail as a user", offset: 465 },
    Service { name: "imap", about: "IMAP with STARTTLS: read mail", offset: 143 },
    Service { name: "imaps", about: "IMAP over TLS: read mail", offset: 993 },
    Service { name: "pop3", about: "POP3 with STLS: fetch mail", offset: 110 },
    Service { name: "pop3s", about: "POP3 over TLS: fetch mail", offset: 995 },
];

/// What the roles use among themselves, and where the relay finds the rest of the internet.
pub const INNER: [Service; 10] = [
    Service { name: "directory1", about: "primary directory server, UDP and TCP", offset: 1701 },
    Service { name: "directory2", about: "secondary directory server, UDP and TCP", offset: 1702 },
    Service { name: "storage1-lmtp", about: "storage node 1: deliveries from the exchanger", offset: 1024 },
    Service { name: "storage1-imap", about: "storage node 1: IMAP from the proxy", offset: 1143 },
    Service { name: "storage1-pop3", about: "storage node 1: POP3 from the proxy", offset: 1110 },
    Service { name: "storage2-lmtp", about: "storage node 2: deliveries from the exchanger", offset: 2024 },
    Service { name: "storage2-imap", about: "storage node 2: IMAP from the proxy", offset: 2143 },
    Service { name: "storage2-pop3", about: "storage node 2: POP3 from the proxy", offset: 2110 },
    Service { name: "relay-inside", about: "relay: mail from the site's other roles", offset: 1587 },
    Service { name: "sink", about: "the rest of the internet: takes mail for every domain", offset: 2525 },
];

/// The metrics page of each role.
pub const METRICS: [Service; 7] = [
    Service { name: "directory1", about: "metrics of directory server 1", offset: 9101 },
    Service { name: "directory2", about: "metrics of directory server 2", offset: 9102 },
    Service { name: "storage1", about: "metrics of storage node 1", offset: 9103 },
    Service { name: "storage2", about: "metrics of storage node 2", offset: 9104 },
    Service { name: "mx", about: "metrics of the exchanger", offset: 9105 },
    Service { name: "proxy", about: "metrics of the proxy", offset: 9106 },
    Service { name: "relay", about: "metrics of the relay", offset: 9107 },
];

impl Ports {
    /// The command line admits no base from which a port would pass 65535.
    pub fn new(base: u16) -> Self {
        Self { base }
    }

    /// Where a service listens.
    pub fn of(self, service: Service) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.base.saturating_add(service.offset)).into()
    }

    /// Where the public service with this name listens.
    pub fn public(self, name: &str) -> SocketAddr {
        self.named(&PUBLIC, name)
    }

    /// Where the inner service with this name listens.
    pub fn inner(self, name: &str) -> SocketAddr {
        self.named(&INNER, name)
    }

    /// Where the role with this name serves its metrics.
    pub fn metrics(self, name: &str) -> SocketAddr {
        self.named(&METRICS, name)
    }

    /// A name that is in no table gives port 0, which no test of a configuration file lets pass.
    fn named(self, services: &[Service], name: &str) -> SocketAddr {
        let service = services.iter().find(|service| service.name == name);
        service.map_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), |&service| self.of(service))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_services_share_a_port_and_none_passes_the_last_one() {
        let ports = Ports::new(56_000);
        let mut all: Vec<_> =
            PUBLIC.iter().chain(&INNER).chain(&METRICS).map(|&service| ports.of(service)).collect();
        all.sort();
        let count = all.len();
        all.dedup();
        assert_eq!((all.len(), count), (24, 24));
        assert_eq!(Ports::new(10_000).public("imaps").port(), 10_993);
    }
}

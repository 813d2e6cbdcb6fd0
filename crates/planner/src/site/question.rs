//! Questions to a site. `modules/lib/model.nix` answers the same ones to NixOS.

use std::net::IpAddr;

use super::{Host, Machine, Network, NetworkKind, Published, PublishedAt, Role, Site};

impl Site {
    /// The data centre of a machine: its own, or its chassis'. `None` where the file says neither.
    pub fn datacenter_of_machine<'a>(&'a self, machine: &'a Machine) -> Option<&'a str> {
        let chassis =
            || self.chassis.get(machine.chassis.as_ref()?).map(|chassis| chassis.datacenter.as_str());
        machine.datacenter.as_deref().or_else(chassis)
    }

    /// The data centre of a host: that of its machine.
    pub fn datacenter_of(&self, host: &Host) -> Option<&str> {
        self.datacenter_of_machine(self.machines.get(&host.machine)?)
    }

    /// The hosts with a role, by name.
    pub fn hosts_with(&self, role: Role) -> impl Iterator<Item = (&str, &Host)> {
        self.hosts.iter().filter(move |(_, host)| host.has(role)).map(|(name, host)| (name.as_str(), host))
    }

    /// The hosts with a role in a data centre, by name.
    pub fn hosts_with_in<'a>(
        &'a self,
        datacenter: &'a str,
        role: Role,
    ) -> impl Iterator<Item = (&'a str, &'a Host)> {
        self.hosts_with(role).filter(move |(_, host)| self.datacenter_of(host) == Some(datacenter))
    }

    /// The system of the machine itself, not a guest.
    pub fn system_of(&self, machine: &str) -> Option<(&str, &Host)> {
        self.hosts
            .iter()
            .find(|(_, host)| !host.guest && host.machine == machine)
            .map(|(name, host)| (name.as_str(), host))
    }

    /// Where the other hosts of the site reach a host: its address in a service network, else in one of management, public,
    /// uplink; IPv4 first.
    pub fn service_address(&self, host: &Host) -> Option<IpAddr> {
        let kinds = [NetworkKind::Service, NetworkKind::Management, NetworkKind::Public, NetworkKind::Uplink];
        let of = |kind| {
            let mut addresses: Vec<IpAddr> = host
                .interfaces
                .values()
                .filter(|interface| {
                    self.networks.get(&interface.network).is_some_and(|n| n.kind == kind && !n.is_mesh())
                })
                .flat_map(|interface| interface.addresses.iter().copied())
                .collect();
            addresses.sort_by_key(IpAddr::is_ipv6);
            addresses.first().copied()
        };
        kinds.into_iter().find_map(of)
    }

    /// The network that an address lies in.
    pub fn network_of(&self, address: IpAddr) -> Option<(&str, &Network)> {
        self.networks
            .iter()
            .find(|(_, network)| network.prefixes.iter().any(|prefix| prefix.contains(address)))
            .map(|(name, network)| (name.as_str(), network))
    }

    /// What a host serves to the internet: the entries of `publish` for its roles that have addresses in its data centre.
    pub fn published_by<'a>(
        &'a self,
        host: &'a Host,
    ) -> impl Iterator<Item = (&'a str, &'a Published, &'a PublishedAt)> {
        let datacenter = self.datacenter_of(host);
        self.publish
            .iter()
            .filter(|(_, entry)| host.has(entry.role))
            .filter_map(move |(name, entry)| Some((name.as_str(), entry, entry.at.get(datacenter?)?)))
    }

    /// The hosts that have a volume on a LUN. There should be one.
    pub fn hosts_on_lun<'a>(&'a self, lun: &'a str) -> impl Iterator<Item = (&'a str, &'a Host)> {
        self.hosts
            .iter()
            .filter(move |(_, host)| host.volumes.values().any(|volume| volume.lun.as_deref() == Some(lun)))
            .map(|(name, host)| (name.as_str(), host))
    }
}

impl Host {
    /// Whether it has a role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Its addresses in a network.
    pub fn addresses_on<'a>(&'a self, network: &'a str) -> impl Iterator<Item = IpAddr> + 'a {
        self.interfaces
            .values()
            .filter(move |interface| interface.network == network)
            .flat_map(|interface| interface.addresses.iter().copied())
    }

    /// All its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.interfaces.values().flat_map(|interface| interface.addresses.iter().copied())
    }
}

impl Network {
    /// Whether it is a WireGuard mesh over other networks, and with it encrypted (E19).
    pub fn is_mesh(&self) -> bool {
        !self.over.is_empty()
    }

    /// Whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.prefixes.iter().any(|prefix| prefix.contains(address))
    }
}

impl Role {
    /// Every role, in the order of the way of a connection through the site.
    pub const ALL: [Role; 20] = [
        Role::Firewall,
        Role::Router,
        Role::Vpn,
        Role::Knock,
        Role::Facade,
        Role::Dns,
        Role::ReverseProxy,
        Role::Http,
        Role::Mx,
        Role::Proxy,
        Role::Relay,
        Role::Directory,
        Role::Storage,
        Role::Database,
        Role::Ldap,
        Role::StorageArray,
        Role::XenHost,
        Role::Log,
        Role::Monitoring,
        Role::Backup,
    ];

    /// The name as the site file has it.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Directory => "directory",
            Role::Mx => "mx",
            Role::Storage => "storage",
            Role::Proxy => "proxy",
            Role::Relay => "relay",
            Role::Firewall => "firewall",
            Role::Router => "router",
            Role::Facade => "facade",
            Role::Dns => "dns",
            Role::ReverseProxy => "reverse-proxy",
            Role::Http => "http",
            Role::Database => "database",
            Role::Ldap => "ldap",
            Role::StorageArray => "storage-array",
            Role::XenHost => "xen-host",
            Role::Vpn => "vpn",
            Role::Knock => "knock",
            Role::Backup => "backup",
            Role::Log => "log",
            Role::Monitoring => "monitoring",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl NetworkKind {
    /// The name as the site file has it.
    pub const fn name(self) -> &'static str {
        match self {
            NetworkKind::Uplink => "uplink",
            NetworkKind::Public => "public",
            NetworkKind::Service => "service",
            NetworkKind::Storage => "storage",
            NetworkKind::Management => "management",
        }
    }
}

impl std::fmt::Display for NetworkKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{LAB, SOLO};
    use super::*;

    #[test]
    fn a_blade_is_where_its_chassis_is_and_a_guest_where_its_machine_is() {
        let lab = Site::parse(LAB, "lab").unwrap();
        assert_eq!(lab.datacenter_of(&lab.hosts["storage1"]), Some("norte"));
        assert_eq!(lab.system_of("blade-3").unwrap().0, "blade3");
        assert_eq!(lab.hosts_with_in("norte", Role::Database).count(), 3);
        assert_eq!(lab.hosts_with_in("sur", Role::Database).count(), 0);
    }

    #[test]
    fn a_host_is_reached_by_its_service_address_before_others() {
        let lab = Site::parse(LAB, "lab").unwrap();
        let address = |host: &str| lab.service_address(&lab.hosts[host]).unwrap().to_string();
        assert_eq!(address("storage1"), "10.20.1.51");
        assert_eq!(address("blade1"), "10.20.4.11");
        let solo = Site::parse(SOLO, "solo").unwrap();
        assert_eq!(solo.service_address(&solo.hosts["correo"]).unwrap().to_string(), "192.0.2.10");
    }

    #[test]
    fn each_role_is_called_what_the_file_calls_it() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
    }
}

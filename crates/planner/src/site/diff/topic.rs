//! What is derived for a host, and whether two sites derive the same.
//!
//! Each topic is a value made of what the host's texts are made of; when it changes, so do they. Values that many hosts share
//! are made once a site.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::super::{Host, NetworkKind, Role, Site};

/// Something that is derived for a host from the site file.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// What it does.
    Roles,
    /// Its machine, and a guest's share of it.
    Machine,
    /// Its interfaces, and what is known of their networks.
    Interfaces,
    /// Its volumes, and the LUNs and arrays under them.
    Volumes,
    /// The names and addresses of the other hosts.
    HostsFile,
    /// Its peers in meshes.
    Meshes,
    /// How long a knock opens the VPN's port, and where knocks are heard.
    Knock,
    /// The administrators who may come in.
    Administrators,
    /// Where secrets lie.
    Secrets,
    /// What it publishes itself.
    Published,
    /// What the firewall pair lets through.
    Firewall,
    /// What the router pair translates.
    Translation,
    /// What the façade spreads, and to whom.
    Balancers,
    /// DNS zones and views.
    Zones,
    /// What the reverse proxies answer for, and who is behind them.
    Web,
    /// The servers of the mail path that it talks to.
    MailPath,
    /// Under what name and from which addresses mail leaves.
    Outbound,
    /// What judges the mail that comes.
    Filters,
    /// The members of the database cluster.
    Database,
    /// The LDAP providers.
    Ldap,
    /// The arrays that it runs, their LUNs and who may reach them.
    Arrays,
    /// The guests that it runs.
    Guests,
    /// Where logs go, and how long they are kept.
    Logs,
    /// Who fetches backups, from whom.
    Backups,
    /// What is watched.
    Monitoring,
    /// Further settings of its roles.
    Settings,
}

impl Topic {
    /// The words for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Roles => "roles",
            Self::Machine => "machine",
            Self::Interfaces => "interfaces",
            Self::Volumes => "volumes",
            Self::HostsFile => "hosts file",
            Self::Meshes => "mesh peers",
            Self::Knock => "port knocking",
            Self::Administrators => "administrators",
            Self::Secrets => "paths of secrets",
            Self::Published => "published services",
            Self::Firewall => "firewall",
            Self::Translation => "address translation",
            Self::Balancers => "balancers",
            Self::Zones => "DNS zones",
            Self::Web => "web servers",
            Self::MailPath => "mail path",
            Self::Outbound => "outbound mail",
            Self::Filters => "mail filters",
            Self::Database => "database cluster",
            Self::Ldap => "LDAP providers",
            Self::Arrays => "disk arrays",
            Self::Guests => "guests",
            Self::Logs => "logs",
            Self::Backups => "backups",
            Self::Monitoring => "monitoring",
            Self::Settings => "settings",
        }
    }
}

/// What is derived from a site.
pub(super) struct Derived<'a> {
    site: &'a Site,
    /// Values that several hosts have in common, by topic and by what they are about: a data centre, a network.
    shared: BTreeMap<(Topic, String), Value>,
    /// The data centres that have routers, which hold the public addresses.
    routed: BTreeSet<&'a str>,
}

impl<'a> Derived<'a> {
    /// Works out what several hosts have in common.
    pub(super) fn of(site: &'a Site) -> Self {
        let routed = site.hosts_with(Role::Router).filter_map(|(_, host)| site.datacenter_of(host)).collect();
        let mut derived = Self { site, shared: BTreeMap::new(), routed };
        derived.fleet();
        for datacenter in site.datacenters.keys() {
            derived.datacenter(datacenter);
        }
        for (name, network) in site.networks.iter().filter(|(_, network)| network.is_mesh()) {
            let peers: BTreeMap<&String, Value> = site
                .hosts
                .iter()
                .filter(|(_, host)| host.addresses_on(name).next().is_some())
                .map(|(peer, host)| {
                    let ends: Vec<_> =
                        network.over.iter().flat_map(|under| host.addresses_on(under)).collect();
                    let own: Vec<_> = host.addresses_on(name).collect();
                    (peer, json!([host.wireguard_key, own, ends]))
                })
                .collect();
            derived.put(Topic::Meshes, name, json!([network, peers]));
        }
        derived
    }

    fn put(&mut self, topic: Topic, about: &str, value: Value) {
        self.shared.insert((topic, about.to_owned()), value);
    }

    /// What is the same in every data centre.
    fn fleet(&mut self) {
        let site = self.site;
        let names: BTreeMap<&String, _> =
            site.hosts.iter().map(|(name, host)| (name, site.service_address(host))).collect();
        self.put(Topic::HostsFile, "", json!([site.internal_domain, names]));
        self.put(Topic::Administrators, "", json!(site.administrators));
        self.put(Topic::Knock, "", json!(site.knock));
        self.put(Topic::Secrets, "", json!(site.secrets));
        let of = |role: Role| -> BTreeMap<&str, Value> {
            site.hosts_with(role).map(|(name, host)| (name, json!(site.service_address(host)))).collect()
        };
        let nodes: BTreeMap<&str, Value> = site
            .hosts_with(Role::Storage)
            .map(|(name, host)| (name, json!([site.service_address(host), host.drain])))
            .collect();
        self.put(
            Topic::MailPath,
            "",
            json!([of(Role::Directory), nodes, of(Role::Mx), of(Role::Proxy), of(Role::Relay)]),
        );
        self.put(Topic::Database, "", json!([of(Role::Database), site.database]));
        self.put(Topic::Ldap, "", json!([of(Role::Ldap), site.ldap]));
        self.put(Topic::Logs, "", json!([of(Role::Log), site.log]));
        let kept: BTreeSet<&String> = site.hosts.keys().collect();
        self.put(Topic::Backups, "", json!([of(Role::Backup), site.backup]));
        self.put(Topic::Backups, "all", json!([kept]));
        let watched: BTreeMap<&String, Value> = site
            .hosts
            .iter()
            .map(|(name, host)| (name, json!([host.roles, site.service_address(host)])))
            .collect();
        self.put(Topic::Monitoring, "", json!([of(Role::Monitoring), site.monitoring]));
        self.put(Topic::Monitoring, "all", json!(watched));
        let published: BTreeMap<&String, Value> = site
            .publish
            .iter()
            .map(|(name, entry)| (name, json!([entry.names, entry.at, entry.tcp, entry.udp])))
            .collect();
        let servers = of(Role::Dns);
        self.put(
            Topic::Zones,
            "",
            json!([site.domains, site.dns, published, servers, site.outbound, of(Role::Relay)]),
        );
        self.put(Topic::Web, "", json!(site.domains));
        self.put(Topic::Outbound, "", json!([site.outbound, site.dns.forwarders]));
        self.put(Topic::Filters, "", json!([site.filters, site.dns.forwarders]));
    }

    /// What is the same for the hosts of a data centre.
    fn datacenter(&mut self, name: &str) {
        let site = self.site;
        let here: BTreeMap<&String, Value> = site
            .publish
            .iter()
            .filter_map(|(service, entry)| {
                Some((service, json!([entry.tcp, entry.udp, entry.from, entry.at.get(name)?, entry.role])))
            })
            .collect();
        let networks: BTreeMap<&String, Value> = site
            .networks
            .iter()
            .filter(|(_, network)| network.datacenter.as_deref() == Some(name) || network.is_mesh())
            .map(|(network, description)| {
                (
                    network,
                    json!([description.kind, description.prefixes, description.port, description.shared]),
                )
            })
            .collect();
        self.put(Topic::Firewall, name, json!([here, networks]));
        let servers = |role: Role| -> BTreeMap<&str, Value> {
            site.hosts_with_in(name, role)
                .map(|(host, d)| (host, json!([site.service_address(d), d.weight, d.drain])))
                .collect()
        };
        let direct: BTreeMap<&String, Value> = site
            .publish
            .iter()
            .filter(|(_, entry)| entry.at.get(name).is_some_and(|at| at.facade.is_empty()))
            .map(|(service, entry)| (service, json!(servers(entry.role))))
            .collect();
        let egress = site.datacenters.get(name).and_then(|datacenter| datacenter.egress);
        self.put(
            Topic::Translation,
            name,
            json!([here, direct, egress, site.outbound.at.get(name), servers(Role::Relay)]),
        );
        let balanced: BTreeMap<&String, Value> = site
            .publish
            .iter()
            .filter(|(_, entry)| entry.at.get(name).is_some_and(|at| !at.facade.is_empty()))
            .map(|(service, entry)| {
                (
                    service,
                    json!([
                        entry.tcp,
                        entry.udp,
                        entry.at[name].facade,
                        entry.scheduler,
                        servers(entry.role)
                    ]),
                )
            })
            .collect();
        self.put(Topic::Balancers, name, json!(balanced));
        self.put(Topic::Web, name, json!(servers(Role::Http)));
    }

    /// What is shared with others that a host's texts are made of.
    fn uses(&self, host: &Host) -> Vec<(Topic, String)> {
        let datacenter = self.site.datacenter_of(host).unwrap_or_default().to_owned();
        let mut uses = vec![(Topic::HostsFile, String::new()), (Topic::Secrets, String::new())];
        uses.extend(
            [Topic::Administrators, Topic::Logs, Topic::Backups, Topic::Monitoring]
                .map(|t| (t, String::new())),
        );
        let meshes = host.interfaces.values().map(|interface| (Topic::Meshes, interface.network.clone()));
        uses.extend(meshes.filter(|key| self.shared.contains_key(key)));
        for role in &host.roles {
            let (topic, about) = match role {
                Role::Firewall => (Topic::Firewall, datacenter.clone()),
                Role::Router => (Topic::Translation, datacenter.clone()),
                Role::Facade => (Topic::Balancers, datacenter.clone()),
                Role::Dns => (Topic::Zones, String::new()),
                Role::ReverseProxy => {
                    uses.push((Topic::Web, String::new()));
                    (Topic::Web, datacenter.clone())
                }
                Role::Http => (Topic::Web, String::new()),
                Role::Mx => {
                    uses.push((Topic::Filters, String::new()));
                    (Topic::MailPath, String::new())
                }
                Role::Relay => {
                    uses.push((Topic::Outbound, String::new()));
                    (Topic::MailPath, String::new())
                }
                Role::Proxy | Role::Directory | Role::Storage => (Topic::MailPath, String::new()),
                Role::Database => (Topic::Database, String::new()),
                Role::Ldap => (Topic::Ldap, String::new()),
                Role::Backup => (Topic::Backups, "all".to_owned()),
                Role::Monitoring => (Topic::Monitoring, "all".to_owned()),
                Role::Knock => (Topic::Knock, String::new()),
                Role::StorageArray | Role::XenHost | Role::Vpn | Role::Log => continue,
            };
            uses.push((topic, about));
        }
        uses
    }

    /// What is derived for a host alone.
    fn own(&self, name: &str, host: &Host) -> BTreeMap<Topic, Value> {
        let site = self.site;
        let mut own = BTreeMap::from([
            (Topic::Roles, json!(host.roles)),
            (Topic::Machine, json!([host.machine, host.guest, host.cores, host.memory, host.disk])),
        ]);
        let interfaces: BTreeMap<&String, Value> = host
            .interfaces
            .iter()
            .map(|(name, interface)| {
                // Which other networks there are over the wire is the meshes' affair.
                let network = site.networks.get(&interface.network).filter(|network| !network.is_mesh());
                (name, json!([interface, network]))
            })
            .collect();
        own.insert(Topic::Interfaces, json!(interfaces));
        let volumes: BTreeMap<&String, Value> = host
            .volumes
            .iter()
            .map(|(name, volume)| {
                let lun = volume.lun.as_ref().and_then(|lun| site.luns.get(lun));
                let controllers = lun.and_then(|lun| site.arrays.get(&lun.array)).map(|array| {
                    let of = |host: &String| Some(storage_addresses(site, site.hosts.get(host)?));
                    array.controllers.iter().filter_map(of).collect::<Vec<_>>()
                });
                (name, json!([volume, lun, controllers]))
            })
            .collect();
        own.insert(Topic::Volumes, json!(volumes));
        // What is published through routers is the host's affair only as far as they hand it on: by the façade's address.
        let routed = self.routed.contains(site.datacenter_of(host).unwrap_or_default());
        let published: BTreeMap<&str, Value> = site
            .published_by(host)
            .map(|(name, entry, at)| {
                let public = (!routed).then_some(&at.public);
                (name, json!([entry.names, entry.tcp, entry.udp, entry.from, at.facade, public]))
            })
            .collect();
        own.insert(Topic::Published, json!(published));
        if host.has(Role::StorageArray) {
            own.insert(Topic::Arrays, arrays(site, name));
        }
        if host.has(Role::XenHost) {
            let guests: BTreeMap<&String, Value> = site
                .hosts
                .iter()
                .filter(|(_, guest)| guest.guest && guest.machine == host.machine)
                .map(|(name, guest)| {
                    let networks: Vec<&String> =
                        guest.interfaces.values().map(|interface| &interface.network).collect();
                    (name, json!([guest.cores, guest.memory, guest.disk, networks]))
                })
                .collect();
            own.insert(Topic::Guests, json!(guests));
        }
        let settings: BTreeMap<&str, Value> = host
            .roles
            .iter()
            .filter_map(|role| Some((role.name(), json!(site.settings.get(role.name())?))))
            .collect();
        own.insert(Topic::Settings, json!(settings));
        own
    }
}

fn storage_addresses(site: &Site, host: &Host) -> Value {
    let of_kind =
        |network: &String| site.networks.get(network).is_some_and(|n| n.kind == NetworkKind::Storage);
    let addresses = host.interfaces.values().filter(|interface| of_kind(&interface.network));
    json!(addresses.map(|interface| &interface.addresses).collect::<Vec<_>>())
}

fn arrays(site: &Site, controller: &str) -> Value {
    let mine =
        site.arrays.iter().filter(|(_, array)| array.controllers.iter().any(|host| host == controller));
    let arrays: BTreeMap<&String, Value> = mine
        .map(|(name, array)| {
            let luns: BTreeMap<&String, Value> = site
                .luns
                .iter()
                .filter(|(_, lun)| lun.array == *name)
                .map(|(lun, description)| {
                    let initiators: Vec<Value> = site
                        .hosts_on_lun(lun)
                        .map(|(host, d)| json!([host, storage_addresses(site, d)]))
                        .collect();
                    (lun, json!([description, initiators]))
                })
                .collect();
            (name, json!([array, luns]))
        })
        .collect();
    json!(arrays)
}

/// The topics of a host that is in both sites that are not the same in them.
pub(super) fn changed(old: &Derived<'_>, new: &Derived<'_>, name: &str) -> Vec<Topic> {
    let (Some(was), Some(is)) = (old.site.hosts.get(name), new.site.hosts.get(name)) else {
        return Vec::new();
    };
    let mut topics = BTreeSet::new();
    let (before, after) = (old.own(name, was), new.own(name, is));
    topics.extend(before.keys().chain(after.keys()).filter(|topic| before.get(topic) != after.get(topic)));
    for key in old.uses(was).into_iter().chain(new.uses(is)) {
        if old.shared.get(&key) != new.shared.get(&key) {
            topics.insert(key.0);
        }
    }
    topics.into_iter().collect()
}

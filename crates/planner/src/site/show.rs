//! A site as tables: what `chasqui site show` prints.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chasqui_base::net::IpNetwork;
use chasqui_base::{ByteSize, DomainName};
use serde::Serialize;

use super::check::net_size;
use super::fleet::{Fleet, cores_of, memory_of, total};
use super::{Array, Filesystem, Host, NetworkKind, Role, Site};

/// A site as tables. The JSON of it is what `chasqui site show --json` prints.
#[derive(Debug, Serialize)]
pub struct Overview {
    /// The site's short name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Hosts, by data centre and name.
    pub hosts: Vec<HostRow>,
    /// Machines, by data centre, chassis and slot.
    pub machines: Vec<MachineRow>,
    /// Networks, by data centre and name.
    pub networks: Vec<NetworkRow>,
    /// What the internet reaches, a row for each data centre.
    pub published: Vec<PublishedRow>,
    /// Disk arrays.
    pub arrays: Vec<ArrayRow>,
    /// Volumes of hosts, on LUNs and on local devices.
    pub volumes: Vec<VolumeRow>,
}

/// A host.
#[derive(Debug, Serialize)]
pub struct HostRow {
    /// Its data centre.
    pub datacenter: String,
    /// Its name.
    pub name: String,
    /// The machine that it is on.
    pub machine: String,
    /// Whether it is a guest there.
    pub guest: bool,
    /// What it does.
    pub roles: Vec<Role>,
    /// Where the others of the site reach it.
    pub address: Option<IpAddr>,
    /// All its addresses, by network.
    pub addresses: BTreeMap<String, Vec<IpAddr>>,
    /// A guest's virtual cores, or the machine's.
    pub cores: Option<u32>,
    /// A guest's octets of memory, or the machine's.
    pub memory: Option<ByteSize>,
    /// Whether balancers send it no new connections.
    pub drain: bool,
}

/// A machine and how much of it is given to guests.
#[derive(Debug, Serialize)]
pub struct MachineRow {
    /// Its data centre.
    pub datacenter: String,
    /// Its chassis, if it is a blade.
    pub chassis: Option<String>,
    /// Its slot there.
    pub slot: Option<u32>,
    /// Its rack, or its chassis'.
    pub rack: Option<String>,
    /// Its name.
    pub name: String,
    /// Its own system.
    pub system: Option<String>,
    /// Its guests.
    pub guests: Vec<String>,
    /// Its cores.
    pub cores: u32,
    /// Cores that its guests have.
    pub cores_given: u64,
    /// Octets of its memory.
    pub memory: ByteSize,
    /// Octets that its guests have.
    pub memory_given: ByteSize,
    /// Watts under load.
    pub power: Option<u64>,
}

/// A network.
#[derive(Debug, Serialize)]
pub struct NetworkRow {
    /// Its data centre; none for a mesh.
    pub datacenter: Option<String>,
    /// Its name.
    pub name: String,
    /// What it carries.
    pub kind: NetworkKind,
    /// Its addresses.
    pub prefixes: Vec<IpNetwork>,
    /// Its VLAN.
    pub vlan: Option<u16>,
    /// Its gateways.
    pub gateway: Vec<IpAddr>,
    /// Who holds them.
    pub gateway_role: Option<Role>,
    /// The networks that it runs over as a mesh.
    pub over: Vec<String>,
    /// How many hosts have an address in it.
    pub hosts: usize,
}

/// A published service in one data centre.
#[derive(Debug, Serialize)]
pub struct PublishedRow {
    /// Its name.
    pub name: String,
    /// The role that serves it.
    pub role: Role,
    /// Its public names.
    pub names: Vec<DomainName>,
    /// TCP ports.
    pub tcp: Vec<u16>,
    /// UDP ports.
    pub udp: Vec<u16>,
    /// The data centre.
    pub datacenter: String,
    /// Its public addresses there.
    pub public: Vec<IpAddr>,
    /// The façade's addresses there.
    pub facade: Vec<IpAddr>,
    /// The hosts that serve it there.
    pub servers: Vec<String>,
}

/// A disk array.
#[derive(Debug, Serialize)]
pub struct ArrayRow {
    /// Its name.
    pub name: String,
    /// The host that runs it, then the one that can take over.
    pub controllers: Vec<String>,
    /// RAID 6 groups.
    pub groups: u32,
    /// Drives of a group.
    pub group_size: u32,
    /// Octets of a drive.
    pub drive_size: ByteSize,
    /// Spare drives.
    pub spares: u32,
    /// Octets of the mirrored SSD cache.
    pub cache: ByteSize,
    /// Octets without parity and spares.
    pub net: ByteSize,
    /// Octets of its LUNs.
    pub given: ByteSize,
}

/// A volume.
#[derive(Debug, Serialize)]
pub struct VolumeRow {
    /// The host that has it.
    pub host: String,
    /// Its name.
    pub name: String,
    /// The LUN that it lies on,
    pub lun: Option<String>,
    /// on this array,
    pub array: Option<String>,
    /// or the local device.
    pub device: Option<String>,
    /// Octets, where the file says it.
    pub size: Option<ByteSize>,
    /// Where it is mounted.
    pub mount: Option<String>,
    /// Its file system.
    pub filesystem: Filesystem,
}

impl Overview {
    /// The tables of a site.
    pub fn new(site: &Site) -> Self {
        let fleet = Fleet::new(site);
        let mut hosts: Vec<HostRow> =
            site.hosts.iter().map(|(name, host)| host_row(&fleet, name, host)).collect();
        hosts.sort_by(|a, b| a.datacenter.cmp(&b.datacenter)); // stable: by name within
        let mut machines: Vec<MachineRow> =
            site.machines.keys().map(|name| machine_row(&fleet, name)).collect();
        machines.sort_by(|a, b| {
            let key = |row: &MachineRow| {
                (
                    row.datacenter.clone(),
                    row.chassis.is_none(),
                    row.chassis.clone(),
                    row.slot,
                    row.name.clone(),
                )
            };
            key(a).cmp(&key(b))
        });
        let mut networks: Vec<NetworkRow> = network_rows(site);
        networks.sort_by(|a, b| {
            (a.datacenter.is_none(), &a.datacenter).cmp(&(b.datacenter.is_none(), &b.datacenter))
        });
        Self {
            name: site.name.clone(),
            description: site.description.clone(),
            hosts,
            machines,
            networks,
            published: published_rows(&fleet),
            arrays: site.arrays.iter().map(|(name, array)| array_row(site, name, array)).collect(),
            volumes: site.hosts.iter().flat_map(|(name, host)| volume_rows(site, name, host)).collect(),
        }
    }
}

fn host_row(fleet: &Fleet<'_>, name: &str, host: &Host) -> HostRow {
    let machine = fleet.site.machines.get(&host.machine).filter(|_| !host.guest);
    let mut addresses: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for interface in host.interfaces.values().filter(|interface| !interface.addresses.is_empty()) {
        addresses.entry(interface.network.clone()).or_default().extend(&interface.addresses);
    }
    HostRow {
        datacenter: fleet.datacenter(name).unwrap_or_default().to_owned(),
        name: name.to_owned(),
        machine: host.machine.clone(),
        guest: host.guest,
        roles: host.roles.clone(),
        address: fleet.site.service_address(host),
        addresses,
        cores: machine.map_or(host.cores, |machine| Some(machine.cores)),
        memory: machine.map_or(host.memory, |machine| Some(machine.memory)),
        drain: host.drain,
    }
}

fn machine_row(fleet: &Fleet<'_>, name: &str) -> MachineRow {
    let site = fleet.site;
    let machine = &site.machines[name];
    let guests = fleet.guests.get(name).map_or(&[][..], Vec::as_slice);
    let chassis = machine.chassis.as_ref().and_then(|chassis| site.chassis.get(chassis));
    MachineRow {
        datacenter: site.datacenter_of_machine(machine).unwrap_or_default().to_owned(),
        chassis: machine.chassis.clone(),
        slot: machine.slot,
        rack: machine.rack.clone().or_else(|| chassis?.rack.clone()),
        name: name.to_owned(),
        system: fleet.systems.get(name).map(|(system, _)| (*system).to_owned()),
        guests: guests.iter().map(|(guest, _)| (*guest).to_owned()).collect(),
        cores: machine.cores,
        cores_given: cores_of(guests),
        memory: machine.memory,
        memory_given: ByteSize(memory_of(guests)),
        power: machine.power,
    }
}

fn network_rows(site: &Site) -> Vec<NetworkRow> {
    let mut hosts: BTreeMap<&str, usize> = BTreeMap::new();
    for interface in site.hosts.values().flat_map(|host| host.interfaces.values()) {
        if !interface.addresses.is_empty() {
            *hosts.entry(&interface.network).or_default() += 1;
        }
    }
    let row = |(name, network): (&String, &super::Network)| NetworkRow {
        datacenter: network.datacenter.clone(),
        name: name.clone(),
        kind: network.kind,
        prefixes: network.prefixes.clone(),
        vlan: network.vlan,
        gateway: network.gateway.clone(),
        gateway_role: network.gateway_role,
        over: network.over.clone(),
        hosts: hosts.get(name.as_str()).copied().unwrap_or_default(),
    };
    site.networks.iter().map(row).collect()
}

fn published_rows(fleet: &Fleet<'_>) -> Vec<PublishedRow> {
    let mut rows = Vec::new();
    for (name, entry) in &fleet.site.publish {
        for (datacenter, at) in &entry.at {
            rows.push(PublishedRow {
                name: name.clone(),
                role: entry.role,
                names: entry.names.clone(),
                tcp: entry.tcp.clone(),
                udp: entry.udp.clone(),
                datacenter: datacenter.clone(),
                public: at.public.clone(),
                facade: at.facade.clone(),
                servers: fleet
                    .group(entry.role, datacenter)
                    .iter()
                    .map(|(host, _)| (*host).to_owned())
                    .collect(),
            });
        }
    }
    rows
}

fn array_row(site: &Site, name: &str, array: &Array) -> ArrayRow {
    let luns = site.luns.values().filter(|lun| lun.array == name);
    // Mirrored in pairs: half of the octets hold anything twice.
    let cache = array
        .cache
        .as_ref()
        .map_or(0, |cache| (u64::from(cache.count) / 2).saturating_mul(cache.size.as_u64()));
    ArrayRow {
        name: name.to_owned(),
        controllers: array.controllers.clone(),
        groups: array.groups,
        group_size: array.group_size,
        drive_size: array.drive_size,
        spares: array.spares,
        cache: ByteSize(cache),
        net: ByteSize(net_size(array)),
        given: ByteSize(total(luns.map(|lun| lun.size.as_u64()))),
    }
}

fn volume_rows<'a>(
    site: &'a Site,
    host: &'a str,
    description: &'a Host,
) -> impl Iterator<Item = VolumeRow> + 'a {
    description.volumes.iter().map(move |(name, volume)| {
        let lun = volume.lun.as_ref().and_then(|lun| site.luns.get(lun));
        VolumeRow {
            host: host.to_owned(),
            name: name.clone(),
            lun: volume.lun.clone(),
            array: lun.map(|lun| lun.array.clone()),
            device: volume.device.clone(),
            size: lun.map(|lun| lun.size),
            mount: volume.mount.clone(),
            filesystem: volume.filesystem,
        }
    })
}

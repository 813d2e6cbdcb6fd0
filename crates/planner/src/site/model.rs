//! What a site file says.
//!
//! Rust and Nix read the same file. Both take its shape from here: Nix through the JSON schema of [`Site`], in
//! `modules/lib/site.schema.json`. A field whose value names something else of the site carries `x-ref` with the table that the
//! name must stand in (`x-ref-keys` if its keys do), so that both refuse a wrong reference with the same sentence.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chasqui_base::net::IpNetwork;
use chasqui_base::{ByteSize, DomainName, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A table of the site file: what its entries are called, in order, and what they are.
pub type Table<T> = BTreeMap<String, T>;

/// The site file: data only, from which hosts, DNS, firewall, balancers, storage and certificates derive.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The version of this format. It is 1.
    pub version: u32,
    /// The site's short name: letters, digits and hyphens.
    #[schemars(regex(pattern = "^[a-z][a-z0-9-]*$"))]
    pub name: String,
    /// What the site is for, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The domain of the hosts' internal names, `HOST.INTERNAL_DOMAIN`. It is in no public zone; every host has it in its
    /// hosts file, and roles' certificates carry these names.
    pub internal_domain: DomainName,
    /// Whether every role must have a second server, apart from the first (E10, E17). A site without says so here, and
    /// `chasqui site check` then only warns. Default yes.
    #[serde(default = "yes")]
    pub redundant: bool,
    /// The demand that the site was planned for (E18). `chasqui site check` compares the site with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// The mail domains.
    #[serde(default)]
    pub domains: Table<Domain>,
    /// The data centres.
    pub datacenters: Table<Datacenter>,
    /// The networks, those that run encrypted over another network included.
    pub networks: Table<Network>,
    /// The blade chassis (E10).
    #[serde(default)]
    pub chassis: Table<Chassis>,
    /// The physical machines.
    pub machines: Table<Machine>,
    /// The systems that NixOS builds: one on each machine, and Xen guests on those that have the role `xen-host`.
    pub hosts: Table<Host>,
    /// The disk arrays (E12).
    #[serde(default)]
    pub arrays: Table<Array>,
    /// The parts of arrays that are exported over iSCSI, each to the one host that has a volume on it.
    #[serde(default)]
    pub luns: Table<Lun>,
    /// What is offered to the internet, by name. Nothing else is open (E2).
    #[serde(default)]
    pub publish: Table<Published>,
    /// Public DNS (E1).
    #[serde(default)]
    pub dns: Dns,
    /// The people who administer the site, and how they come in (E2).
    #[serde(default)]
    pub administrators: Table<Administrator>,
    /// Port knocking before the VPN (E2).
    #[serde(default)]
    pub knock: Knock,
    /// Where certificates and secrets lie on the hosts. Paths only: a secret never stands in this file or in the Nix store.
    #[serde(default)]
    pub secrets: Secrets,
    /// Central logs (S2).
    #[serde(default)]
    pub log: Log,
    /// Backups (E16).
    #[serde(default)]
    pub backup: Backup,
    /// The database cluster (E8).
    #[serde(default)]
    pub database: Database,
    /// The LDAP directory (E11).
    #[serde(default)]
    pub ldap: Ldap,
    /// Metrics and alerts.
    #[serde(default)]
    pub monitoring: Monitoring,
    /// Further settings of the roles of the `chasqui` binary, laid over what derives from this file: `[settings.mx.limits]`.
    /// `chasqui config check` judges them.
    #[serde(default)]
    pub settings: Table<serde_json::Map<String, serde_json::Value>>,
}

fn yes() -> bool {
    true
}

/// The demand that a site is planned for.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Accounts.
    pub users: u64,
    /// Octets that an account may hold.
    pub quota: ByteSize,
    /// Which figures the plan was made with. Default `measured`.
    #[serde(default)]
    pub model: Model,
}

/// Where the figures of a plan come from.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// The rules of the evaluation of Expresso V3.
    Paper,
    /// The benchmarks of this project.
    #[default]
    Measured,
}

/// A mail domain and what its zone says.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Domain {
    /// Accounts that are planned for it. Default 0.
    pub users: u64,
    /// Octets that a new account of it may hold. Default: the plan's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<ByteSize>,
    /// What others should do with mail that claims this domain and is not ours (RFC 7489 §6.3). Default `quarantine`.
    pub dmarc: DmarcPolicy,
    /// Where DMARC and TLS reports go. Default `postmaster@` the domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reports: Option<String>,
    /// Public halves of the DKIM keys: selector, and the record's text such as `v=DKIM1; k=ed25519; p=…` (RFC 6376 §3.6.1).
    pub dkim: Table<String>,
    /// What senders should do when TLS to us fails (RFC 8461 §3.2). Default `testing`.
    pub mta_sts: MtaSts,
    /// The CAs that may issue certificates for the domain (RFC 8659). Default none: no CAA record.
    pub caa: Vec<String>,
    /// TLSA records of the exchangers' certificates, `3 1 1 HEX` (RFC 7672 §3.1). Default none.
    pub tlsa: Vec<String>,
}

/// A DMARC policy (RFC 7489 §6.3).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DmarcPolicy {
    /// Only report.
    None,
    /// Treat as suspicious.
    #[default]
    Quarantine,
    /// Refuse.
    Reject,
}

/// The mode of an MTA-STS policy (RFC 8461 §3.2).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MtaSts {
    /// No policy is published.
    None,
    /// Failures are reported, mail is delivered.
    #[default]
    Testing,
    /// Mail is not delivered without TLS.
    Enforce,
}

/// A data centre.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Datacenter {
    /// What it is and where.
    #[serde(default)]
    pub description: String,
    /// The public address that hosts without one use towards the internet; held by the active router. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<IpAddr>,
    /// Watts that it can give. Default unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<u64>,
}

/// A network, or a WireGuard mesh over one.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// What it carries.
    pub kind: NetworkKind,
    /// Where it is. Absent for a mesh between data centres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-ref" = "datacenters"))]
    pub datacenter: Option<String>,
    /// The addresses of the network: an IPv4 prefix, an IPv6 prefix, or one of each.
    pub prefixes: Vec<IpNetwork>,
    /// The VLAN on machines' trunks. Default untagged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// The addresses of the network's gateway, one a family. Held by the active host of the pair `gateway_role`, or, without
    /// one, a device that is not of this site.
    #[serde(default)]
    pub gateway: Vec<IpAddr>,
    /// The role whose active host holds the gateway's addresses (VRRP): `firewall` or `router`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_role: Option<Role>,
    /// The networks that this one runs over as a WireGuard mesh: everything in it is encrypted (E19), and its members reach each other by
    /// their addresses in the first of these networks that both have. Default none: the network is a wire, encrypted by what runs on it.
    #[serde(default)]
    #[schemars(extend("x-ref" = "networks"))]
    pub over: Vec<String>,
    /// The UDP port of a mesh. Default 51820.
    #[serde(default = "wireguard_port")]
    pub port: u16,
    /// Octets of the largest packet. Default the interface's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

fn wireguard_port() -> u16 {
    51820
}

/// What a network carries.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkKind {
    /// The provider's side of the firewall.
    Uplink,
    /// Public addresses, behind the firewall.
    Public,
    /// Between the roles.
    Service,
    /// iSCSI.
    Storage,
    /// Administration, logs, metrics.
    Management,
}

/// A blade chassis (E10).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Chassis {
    /// Where it is.
    #[schemars(extend("x-ref" = "datacenters"))]
    pub datacenter: String,
    /// The rack that it stands in. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Blades that it takes.
    pub slots: u32,
}

/// A physical machine.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The chassis of a blade; with it, `slot`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-ref" = "chassis"))]
    pub chassis: Option<String>,
    /// The slot in the chassis, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// Where the machine is; a blade is where its chassis is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-ref" = "datacenters"))]
    pub datacenter: Option<String>,
    /// The rack of a machine without chassis. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Processor cores.
    pub cores: u32,
    /// Octets of memory.
    pub memory: ByteSize,
    /// Network ports: the interface's name and its speed in Gbit/s.
    #[serde(default)]
    pub ports: Table<f64>,
    /// Octets of the local disk that the system is on.
    pub disk: ByteSize,
    /// Drive bays. Default 0.
    #[serde(default)]
    pub bays: u32,
    /// Watts under load. Default unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<u64>,
}

/// A system that NixOS builds.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The physical machine that it is on.
    #[schemars(extend("x-ref" = "machines"))]
    pub machine: String,
    /// Whether it is a Xen guest there, or the machine's own system. Default the machine's own.
    #[serde(default)]
    pub guest: bool,
    /// What it does.
    pub roles: Vec<Role>,
    /// Its network interfaces. Of a guest they are `eth0`, `eth1`, …
    pub interfaces: Table<Interface>,
    /// Virtual cores of a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Octets of memory of a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Octets of the system disk of a guest, a logical volume of its machine's volume group `guests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<ByteSize>,
    /// Volumes: logical volumes on LUNs or on local block devices, in a volume group of the same name.
    #[serde(default)]
    pub volumes: Table<Volume>,
    /// The public half of its WireGuard key; needed in a mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw480]=$"))]
    pub wireguard_key: Option<String>,
    /// Whether balancers send it no new connections (E3, E4). Default no.
    #[serde(default)]
    pub drain: bool,
    /// Its share among the servers of its role. Default 100.
    #[serde(default = "weight")]
    pub weight: u32,
}

fn weight() -> u32 {
    100
}

/// What a host does.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Directory server of the binary (S5).
    Directory,
    /// Mail exchanger (S7).
    Mx,
    /// Storage node (S3, S4).
    Storage,
    /// IMAP and POP3 proxy (S9).
    Proxy,
    /// Packet filter between the internet and the site (E2).
    Firewall,
    /// Destination NAT to the façade (E3).
    Router,
    /// LVS balancer (E4).
    Facade,
    /// Authoritative DNS server (E1).
    Dns,
    /// nginx that terminates TLS (E5).
    ReverseProxy,
    /// nginx with static content and redirects (E6).
    Http,
    /// PostgreSQL under Patroni, with etcd and HAProxy (E8).
    Database,
    /// OpenLDAP provider (E11).
    Ldap,
    /// Controller of disk arrays (E12).
    StorageArray,
    /// Xen host (E10).
    XenHost,
    /// Entrance of the administrators' VPN (E2).
    Vpn,
    /// Port knocking in front of the VPN (E2).
    Knock,
    /// Keeps the backups (E16).
    Backup,
    /// Collects the logs (S2).
    Log,
    /// Prometheus and its alerts.
    Monitoring,
}

/// A network interface of a host.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// The network that it is in.
    #[schemars(extend("x-ref" = "networks"))]
    pub network: String,
    /// The host's addresses there, at most one a family. None: a bridge for guests only.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// The ports that are bonded into it (LACP), on a machine. Default none: the interface is a port, or a VLAN of one.
    #[serde(default)]
    pub bond: Vec<String>,
    /// The interface that carries it as a VLAN (the network's number). Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// A logical volume in a volume group of the same name.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// The LUN that it lies on, or
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-ref" = "luns"))]
    pub lun: Option<String>,
    /// the local block device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Where it is mounted. Absent for the volume group `guests`, which holds the guests' disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// Its file system. Default `ext4`.
    #[serde(default)]
    pub filesystem: Filesystem,
}

/// A file system (E12).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filesystem {
    /// ext4.
    #[default]
    Ext4,
    /// btrfs.
    Btrfs,
}

/// A disk array: RAID 6 groups, striped (RAID 6+0), with an SSD cache in front (E12).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Array {
    /// The host that runs it, then the one that is cabled to the same drives and can take over.
    #[schemars(extend("x-ref" = "hosts"))]
    pub controllers: Vec<String>,
    /// RAID 6 groups.
    pub groups: u32,
    /// Drives of a group, two of them for parity. Default 10.
    #[serde(default = "group_size")]
    pub group_size: u32,
    /// Octets of a drive.
    pub drive_size: ByteSize,
    /// The drives' block devices: `{}` stands for the number, from 0, groups first, then spares.
    pub drives: String,
    /// Spare drives. Default 0.
    #[serde(default)]
    pub spares: u32,
    /// The SSDs in front of the drives, mirrored in pairs. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
}

fn group_size() -> u32 {
    10
}

/// The SSDs in front of an array, mirrored in pairs.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// How many, an even number.
    pub count: u32,
    /// Octets of each.
    pub size: ByteSize,
    /// Their block devices: `{}` stands for the number, from 0.
    pub drives: String,
}

/// A part of an array, exported over iSCSI.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Lun {
    /// The array.
    #[schemars(extend("x-ref" = "arrays"))]
    pub array: String,
    /// Its octets.
    pub size: ByteSize,
}

/// Something that is offered to the internet.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The role that serves it.
    pub role: Role,
    /// Its public names, complete.
    pub names: Vec<DomainName>,
    /// TCP ports.
    #[serde(default)]
    pub tcp: Vec<u16>,
    /// UDP ports.
    #[serde(default)]
    pub udp: Vec<u16>,
    /// From where it may be reached. Default everywhere.
    #[serde(default)]
    pub from: Vec<IpNetwork>,
    /// Its addresses in each data centre.
    #[schemars(extend("x-ref-keys" = "datacenters"))]
    pub at: Table<PublishedAt>,
    /// How the façade spreads connections (IPVS scheduler). Default `wlc`.
    #[serde(default)]
    pub scheduler: Scheduler,
}

/// The addresses of a published service in one data centre.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedAt {
    /// The public addresses. Where there are routers they hold them and translate them; elsewhere they are the serving hosts' own.
    pub public: Vec<IpAddr>,
    /// The façade's addresses in the service network that the public ones are translated to, one a family; they are the
    /// virtual servers. Without them the i-th public address of a family belongs to the i-th server of the role, by name.
    #[serde(default)]
    pub facade: Vec<IpAddr>,
}

/// An IPVS scheduler.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheduler {
    /// Weighted least connections.
    #[default]
    Wlc,
    /// Weighted round robin.
    Wrr,
    /// Source hashing: a client keeps its server.
    Sh,
    /// Maglev hashing: the same, with few moves when a server goes.
    Mh,
}

/// Public DNS (E1).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// How long answers may be kept. Default 5m.
    pub ttl: Span,
    /// Whether zones are signed (DNSSEC). Default yes.
    pub dnssec: bool,
    /// Who answers for the zone, as in the SOA record: an e-mail address. Default `hostmaster@` the zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Regions: clients from these networks are given the addresses of these data centres first.
    pub regions: Table<Region>,
    /// Further records, as lines of a zone file, a zone each.
    #[schemars(extend("x-ref-keys" = "domains"))]
    pub records: Table<Vec<String>>,
}

impl Default for Dns {
    fn default() -> Self {
        Self { ttl: Span::secs(300), dnssec: true, contact: None, regions: Table::new(), records: Table::new() }
    }
}

/// Where clients are, and which data centres they are sent to.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Networks of the region's clients.
    pub clients: Vec<IpNetwork>,
    /// The data centres whose addresses they get.
    #[schemars(extend("x-ref" = "datacenters"))]
    pub datacenters: Vec<String>,
}

/// A person who administers the site.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Administrator {
    /// The public half of the person's WireGuard key.
    #[schemars(regex(pattern = "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw480]=$"))]
    pub wireguard_key: String,
    /// The person's addresses in each management mesh that they may enter.
    #[schemars(extend("x-ref-keys" = "networks"))]
    pub addresses: Table<Vec<IpAddr>>,
    /// OpenSSH public keys.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
}

/// Port knocking with single-packet authorisation (fwknop) in front of the VPN (E2).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Knock {
    /// The UDP port that listens for knocks. Default 62201.
    pub port: u16,
    /// How long the VPN's port stays open to who knocked. Default 30s.
    pub open: Span,
}

impl Default for Knock {
    fn default() -> Self {
        Self { port: 62201, open: Span::secs(30) }
    }
}

/// Where certificates and secrets lie on the hosts: absolute paths, `{host}` stands for the host's name.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    /// The authority's certificate. Default `/etc/chasqui/pki/ca.crt`.
    pub ca: String,
    /// A host's certificate for the links between roles (E19). Default `/etc/chasqui/pki/{host}.crt`.
    pub certificate: String,
    /// Its private key. Default `/etc/chasqui/pki/{host}.key`.
    pub key: String,
    /// The certificate that clients of the public services see, with its chain. Default `/etc/chasqui/public/fullchain.pem`.
    pub public_certificate: String,
    /// Its private key. Default `/etc/chasqui/public/privkey.pem`.
    pub public_key: String,
    /// The directory's cluster keys (S5c). Default `/etc/chasqui/directory.keys`.
    pub directory_keys: String,
    /// A host's private WireGuard key. Default `/etc/chasqui/secrets/wireguard.key`.
    pub wireguard: String,
    /// A folder of CHAP secrets, a file `LUN` each with the user and the secret. Default `/etc/chasqui/secrets/chap`.
    pub chap: String,
    /// A folder of knock keys, a file `ADMINISTRATOR` each. Default `/etc/chasqui/secrets/knock`.
    pub knock: String,
    /// A folder of the database's passwords. Default `/etc/chasqui/secrets/database`.
    pub database: String,
    /// A folder of the LDAP directory's passwords. Default `/etc/chasqui/secrets/ldap`.
    pub ldap: String,
    /// The key with which backups are fetched (OpenSSH). Default `/etc/chasqui/secrets/backup.key`.
    pub backup: String,
    /// The password that VRRP pairs share. Default `/etc/chasqui/secrets/vrrp`.
    pub vrrp: String,
}

impl Default for Secrets {
    fn default() -> Self {
        let path = |tail: &str| format!("/etc/chasqui/{tail}");
        Self {
            ca: path("pki/ca.crt"),
            certificate: path("pki/{host}.crt"),
            key: path("pki/{host}.key"),
            public_certificate: path("public/fullchain.pem"),
            public_key: path("public/privkey.pem"),
            directory_keys: path("directory.keys"),
            wireguard: path("secrets/wireguard.key"),
            chap: path("secrets/chap"),
            knock: path("secrets/knock"),
            database: path("secrets/database"),
            ldap: path("secrets/ldap"),
            backup: path("secrets/backup.key"),
            vrrp: path("secrets/vrrp"),
        }
    }
}

/// Central logs (S2).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How long they are kept. Default 180d.
    pub retention: Span,
}

impl Default for Log {
    fn default() -> Self {
        Self { retention: Span::secs(180 * 86_400) }
    }
}

/// Backups (E16).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// How long increments are kept. Default 90d.
    pub retention: Span,
    /// When backups start (systemd calendar). Default `02:00`.
    pub at: String,
    /// When a restore is practised (systemd calendar). Default `Sun 05:00`.
    pub drill: String,
    /// Where the backup hosts keep them. Default `/var/backup`.
    pub folder: String,
}

impl Default for Backup {
    fn default() -> Self {
        Self { retention: Span::secs(90 * 86_400), at: "02:00".into(), drill: "Sun 05:00".into(), folder: "/var/backup".into() }
    }
}

/// The database cluster (E8).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// Its one address in each data centre's service network.
    #[schemars(extend("x-ref-keys" = "datacenters"))]
    pub at: Table<IpAddr>,
}

/// The LDAP directory (E11).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ldap {
    /// The root of its tree, such as `dc=gob,dc=example`. Default none: no LDAP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
}

/// Metrics and alerts.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Monitoring {
    /// How long metrics are kept. Default 30d.
    pub retention: Span,
    /// Where alerts are sent by mail. Default none.
    pub alerts: Vec<String>,
}

impl Default for Monitoring {
    fn default() -> Self {
        Self { retention: Span::secs(30 * 86_400), alerts: Vec::new() }
    }
}

//! The plan as a site file: in the order of `hosts/lab/site.toml`, with comments that say why.

use std::fmt::Write as _;

use chasqui_base::config;

use super::address::{Addresses, Private};
use super::kind::Kind;
use super::{Center, Fleet, PlaceError, host};
use crate::capacity::{Capacity, Ratio, thousands};
use crate::demand::Demand;
use crate::site::{Model, Role, Site};

/// The site file's text, and the site that it says.
pub fn site_text(demand: &Demand, capacity: &Capacity, fleet: &Fleet) -> Result<(String, Site), PlaceError> {
    let mut text = Text { out: String::new(), demand, several: fleet.datacenters.len() > 1 };
    text.head(capacity, fleet);
    text.places(fleet);
    text.networks(fleet);
    text.administrators(fleet);
    text.machines(fleet);
    for (number, center) in fleet.datacenters.iter().enumerate() {
        host::hosts(&mut text, number, center);
    }
    text.storage(fleet);
    text.publish(fleet);
    text.rest(fleet);
    let site = config::parse::<Site>(&text.out, "the planned site")?;
    Ok((text.out, site))
}

/// The text so far.
pub(super) struct Text<'a> {
    pub(super) out: String,
    pub(super) demand: &'a Demand,
    several: bool,
}

impl Text<'_> {
    pub(super) fn line(&mut self, line: impl AsRef<str>) {
        self.out.push_str(line.as_ref());
        self.out.push('\n');
    }

    pub(super) fn blank(&mut self) {
        self.out.push('\n');
    }

    pub(super) fn section(&mut self, title: &str) {
        let _ = write!(self.out, "\n# ---- {title} ----\n\n");
    }

    /// A comment, wrapped.
    pub(super) fn comment(&mut self, text: &str) {
        let mut line = String::from("#");
        for word in text.split_whitespace() {
            if line.chars().count() + word.chars().count() + 1 > 128 {
                self.line(&line);
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(line);
    }

    /// A network's or host's name: in a site with several data centres it says which one.
    pub(super) fn of(&self, name: &str, center: &Center) -> String {
        if self.several { format!("{name}-{}", center.name) } else { name.to_owned() }
    }

    pub(super) fn addresses(&self, number: usize, center: &Center) -> Addresses {
        Addresses::of(self.demand, number, &center.name)
    }

    /// The domain that the site's own names are in: the one with the most accounts.
    pub(super) fn domain(&self) -> String {
        let domains = self.demand.domains();
        let largest =
            domains.iter().max_by_key(|(name, users)| (**users, std::cmp::Reverse((*name).clone())));
        largest.map(|(name, _)| name.clone()).unwrap_or_default()
    }

    fn head(&mut self, capacity: &Capacity, fleet: &Fleet) {
        let demand = self.demand;
        let users = thousands(demand.users.into());
        self.comment(&format!(
            "Planned by `chasqui plan` for {users} accounts of {}. A change of the demand writes it anew; what is marked `# replace` is \
             a placeholder and must become the site's own before anything is built.",
            demand.quota
        ));
        self.line("#");
        self.comment(&format!(
            "The plan's load: {}; {} net for mail on {} drives; {} hosts.",
            capacity
                .figure("requests")
                .map(|figure| figure.text.replace(" /s", " requests/s"))
                .unwrap_or_default(),
            capacity.figure("net").map(|figure| figure.text.clone()).unwrap_or_default(),
            thousands(capacity.drives.drives.into()),
            fleet.hosts(),
        ));
        for center in &fleet.datacenters {
            let free = center.kept_free;
            self.comment(&format!(
                "On the blades of {} {} stay free for the webmail, which has no hosts yet.",
                center.name,
                free.text(),
            ));
        }
        let model = if demand.model == Model::Paper { "paper" } else { "measured" };
        let description = demand.description.clone().unwrap_or_else(|| {
            let places =
                fleet.datacenters.iter().map(|center| center.name.as_str()).collect::<Vec<_>>().join(", ");
            format!("{users} accounts in {places}")
        });
        self.blank();
        self.line("version = 1");
        self.line(format!("name = {}", quoted(&demand.name)));
        self.line(format!("description = {}", quoted(&description)));
        self.line(format!("internal_domain = \"{}.internal\"", demand.name));
        self.blank();
        self.line("[plan]");
        self.line(format!("users = {}", demand.users));
        self.line(format!("quota = \"{}\"", demand.quota));
        self.line(format!("model = \"{model}\""));
        for (name, users) in demand.domains() {
            self.line(format!("\n[domains.\"{name}\"]\nusers = {users}"));
        }
    }

    fn places(&mut self, fleet: &Fleet) {
        self.section("Where");
        for (number, center) in fleet.datacenters.iter().enumerate() {
            if number > 0 {
                self.blank();
            }
            let addresses = self.addresses(number, center);
            self.line(format!("[datacenters.{}]", center.name));
            self.line(format!("egress = \"{}\" # replace", addresses.public(0, 6)));
            match center.power_budget {
                Some(power) => self.line(format!("power = {power}")),
                None => self
                    .line(format!("# power = {} is what the machines and drives draw in all", center.power)),
            }
            for chassis in 0..center.rack.chassis {
                self.blank();
                self.line(format!("[chassis.{}]", self.chassis(center, chassis)));
                self.line(format!("datacenter = \"{}\"", center.name));
                self.line(format!("rack = \"r{}\"", chassis + 1));
                self.line(format!("slots = {}", center.rack.slots));
            }
        }
    }

    /// A chassis by its number from 0.
    pub(super) fn chassis(&self, center: &Center, number: usize) -> String {
        self.of(&format!("chassis{}", number + 1), center)
    }

    fn networks(&mut self, fleet: &Fleet) {
        self.section("Networks");
        self.comment(
            "Private addresses are 10.D.R.N: D says data centre and kind of network, R the kind of host, N which of them; a host has the same \
             R.N in each of its networks.",
        );
        if self.several {
            self.comment(
                "The data centres reach each other's service networks over a line or tunnel that is not of this file; what the roles send over it is \
                 TLS or sealed datagrams anyway (E19).",
            );
        }
        for (number, center) in fleet.datacenters.iter().enumerate() {
            let a = self.addresses(number, center);
            let place = format!("datacenter = \"{}\"", center.name);
            let of = |name: &str| self.of(name, center);
            let names = [
                "uplink",
                "public",
                "service",
                "storage",
                "storage-b",
                "management",
                "san",
                "san-b",
                "admin",
            ]
            .map(of);
            let [uplink, public, service, storage, storage_b, management, san, san_b, admin] = names;
            let mut network = |about: &str, name: &str, kind: &str, lines: &[String]| {
                self.blank();
                if !about.is_empty() {
                    self.comment(about);
                }
                self.line(format!("[networks.{name}]\nkind = \"{kind}\""));
                for line in lines {
                    self.line(line);
                }
            };
            let list = |items: &[String]| {
                format!("[{}]", items.iter().map(|i| format!("\"{i}\"")).collect::<Vec<_>>().join(", "))
            };
            network(
                "The provider's side of the firewalls: its first address is the provider's, the second the active firewall's.",
                &uplink,
                "uplink",
                &[
                    place.clone(),
                    format!("prefixes = [\"{}\"] # replace", a.uplink_prefix()),
                    format!("gateway = [\"{}\"] # replace", a.uplink(1)),
                    format!("shared = [\"{}\"] # replace", a.uplink(2)),
                ],
            );
            network(
                "Public addresses in different networks (E1), all routed to the firewalls.",
                &public,
                "public",
                &[
                    place.clone(),
                    format!("prefixes = {} # replace", list(a.public_prefixes())),
                    format!("gateway = [\"{}\"] # replace", a.public(0, 1)),
                    "gateway_role = \"firewall\"".into(),
                ],
            );
            let private = |network: Private| format!("prefixes = [\"{}\"]", a.prefix(network));
            network(
                "",
                &service,
                "service",
                &[
                    place.clone(),
                    private(Private::Service),
                    "vlan = 101".into(),
                    format!("gateway = [\"{}\"]", a.private(Private::Service, (0, 1))),
                    "gateway_role = \"router\"".into(),
                ],
            );
            network(
                "",
                &storage,
                "storage",
                &[place.clone(), private(Private::Storage), "vlan = 102".into(), "mtu = 9000".into()],
            );
            network(
                "The second way to the storage, over other switches.",
                &storage_b,
                "storage",
                &[place.clone(), private(Private::StorageB), "vlan = 103".into(), "mtu = 9000".into()],
            );
            network(
                "iSCSI is not encrypted by itself (E19): these meshes are, and LUNs are reached through them only.",
                &san,
                "storage",
                &[private(Private::San), format!("over = [\"{storage}\"]"), "port = 51821".into()],
            );
            network(
                "",
                &san_b,
                "storage",
                &[private(Private::SanB), format!("over = [\"{storage_b}\"]"), "port = 51822".into()],
            );
            network(
                "",
                &management,
                "management",
                &[place, private(Private::Management), "vlan = 104".into()],
            );
            network(
                "The administrators' way in, through the firewalls and after a knock (E2).",
                &admin,
                "management",
                &[private(Private::Admin), format!("over = [\"{uplink}\"]"), "port = 51820".into()],
            );
        }
    }

    fn administrators(&mut self, fleet: &Fleet) {
        self.section("Administrators");
        self.comment(
            "Nobody yet: the key below is made up, and nobody has its other half. Put a table for each person, with the key that \
             `wg genkey | tee private | wg pubkey` prints and the person's OpenSSH keys.",
        );
        self.line("[administrators.nobody]");
        self.line(format!(
            "wireguard_key = \"{}\" # replace",
            host::placeholder_key(&self.demand.name, "nobody")
        ));
        let admin = |(number, center): (usize, &Center)| {
            let address = self.addresses(number, center).private(Private::Admin, (200, 1));
            format!("{} = [\"{address}\"]", self.of("admin", center))
        };
        let admins: Vec<String> = fleet.datacenters.iter().enumerate().map(admin).collect();
        self.line(format!("addresses = {{ {} }}", admins.join(", ")));
        self.line("ssh_keys = [] # replace: without a key nobody can log in");
    }

    fn machines(&mut self, fleet: &Fleet) {
        self.section("Machines");
        let mut first = true;
        for center in &fleet.datacenters {
            host::machines(self, center, &mut first);
        }
    }

    fn storage(&mut self, fleet: &Fleet) {
        self.section("Storage");
        self.comment(
            "RAID 6 groups, striped (RAID 6+0, E12). Each array belongs to one controller; the other of the pair is cabled to the same drives and can take over.",
        );
        for center in &fleet.datacenters {
            for (i, array) in center.disks.arrays.iter().enumerate() {
                let controller =
                    |which: u32| self.of(&format!("array{}", 2 * array.pair + which + 1), center);
                let shelf = self.of(&format!("shelf{}", i + 1), center);
                let net = Ratio::new(array.net(), 1_000_000_000_000);
                let used = Ratio::new(array.used, 1_000_000_000_000);
                let (own, other) = (controller(array.first), controller(1 - array.first));
                self.blank();
                self.comment(&format!("For {}: {} TB net, {} TB of it in LUNs.", array.purpose, net, used));
                self.line(format!("[arrays.{}]", self.of(&format!("a{}", i + 1), center)));
                self.line(format!("controllers = [\"{own}\", \"{other}\"]"));
                self.line(format!("groups = {}", array.groups));
                self.line(format!("group_size = {}", array.group_size));
                self.line(format!("drive_size = \"{}\"", array.drive_size));
                self.line(format!("drives = \"/dev/disk/by-id/{shelf}-{{}}\" # replace"));
                self.line(format!("spares = {}", array.spares));
                if array.ssds > 0 {
                    self.line(format!(
                        "cache = {{ count = {}, size = \"{}\", drives = \"/dev/disk/by-id/{shelf}-ssd-{{}}\" }} # replace",
                        array.ssds, array.ssd_size
                    ));
                }
            }
        }
        self.blank();
        self.line("[luns]");
        for center in &fleet.datacenters {
            for lun in &center.disks.luns {
                let name = self.of(&format!("{}{}", lun.purpose, lun.number), center);
                let array = self.of(&format!("a{}", lun.array + 1), center);
                self.line(format!("{name} = {{ array = \"{array}\", size = \"{}\" }}", lun.size));
            }
        }
    }

    fn publish(&mut self, fleet: &Fleet) {
        self.section("What the internet may reach");
        self.comment("Each public address is translated by the routers to the façade's, which spreads connections over the hosts with the role.");
        let main = self.domain();
        let domains = self.demand.domains();
        let others = domains
            .keys()
            .flat_map(|domain| ["autoconfig", "mta-sts"].map(|name| format!("{name}.{domain}")));
        let web: Vec<String> = [main.clone(), format!("www.{main}")].into_iter().chain(others).collect();
        let mailbox = vec![format!("imap.{main}"), format!("pop.{main}")];
        let entries: [(&str, Role, Vec<String>, &str, u32); 4] = [
            ("smtp", Role::Mx, vec![format!("mx.{main}")], "[25]", 8),
            ("mailbox", Role::Proxy, mailbox, "[143, 993, 110, 995]", 9),
            ("submission", Role::Relay, vec![format!("smtp.{main}")], "[465, 587]", 14),
            ("web", Role::ReverseProxy, web, "[80, 443]", 10),
        ];
        let quoted_list =
            |items: &[String]| items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", ");
        for (name, role, names, ports, address) in entries {
            self.line(format!("\n[publish.{name}]\nrole = \"{}\"", role_word(role)));
            self.line(format!("names = [{}]\ntcp = {ports}", quoted_list(&names)));
            for (number, center) in fleet.datacenters.iter().enumerate() {
                let a = self.addresses(number, center);
                let facade = a.private(Private::Service, (0, address as u8));
                let public = quoted_list(&a.public_all(address));
                self.line(format!(
                    "at.{} = {{ public = [{public}], facade = [\"{facade}\"] }} # replace",
                    center.name
                ));
            }
        }
        let servers = fleet
            .datacenters
            .iter()
            .flat_map(|center| &center.kinds)
            .find(|kind| kind.roles.contains(&Role::Dns));
        let servers = servers.map_or(0, |kind: &Kind| kind.count);
        let names: Vec<String> = (1..=servers).map(|i| format!("ns{i}.{main}")).collect();
        self.blank();
        self.comment("The i-th address is the i-th DNS server's.");
        self.line("[publish.dns]\nrole = \"dns\"");
        self.line(format!("names = [{}]\ntcp = [53]\nudp = [53]", quoted_list(&names)));
        for (number, center) in fleet.datacenters.iter().enumerate() {
            let a = self.addresses(number, center);
            let prefixes = a.public_prefixes().len() as u64;
            let public: Vec<String> =
                (0..servers).map(|i| a.public((i % prefixes) as usize, 11 + (i / prefixes) as u32)).collect();
            self.line(format!("at.{} = {{ public = [{}] }} # replace", center.name, quoted_list(&public)));
        }
        self.outbound(fleet, &main);
        self.line(format!("\n[dns]\ncontact = \"hostmaster@{main}\""));
        if self.several {
            self.blank();
            self.comment(
                "Clients near a data centre get its addresses first (E1): write a region for each, with its clients' networks, such as",
            );
            self.line(format!(
                "# [dns.regions.occidente]\n# clients = [\"198.51.100.128/25\"]\n# datacenters = [\"{}\"]",
                fleet.datacenters.first().map(|center| center.name.as_str()).unwrap_or_default()
            ));
        }
    }

    fn outbound(&mut self, fleet: &Fleet, main: &str) {
        self.section("How mail leaves, and what judges the mail that comes");
        self.comment("The relays take these addresses in turn. The provider must give each of them the name in reverse.");
        self.line(format!("[outbound]\nname = \"out.{main}\""));
        for (number, center) in fleet.datacenters.iter().enumerate() {
            let a = self.addresses(number, center);
            let addresses = (0..a.public_prefixes().len().min(2)).map(|prefix| quoted(&a.public(prefix, 7)));
            let addresses: Vec<String> = addresses.collect();
            self.line(format!("at.{} = [{}] # replace", center.name, addresses.join(", ")));
        }
        self.line("\n[filters]\nclamav = true\nspamassassin = true");
    }

    fn rest(&mut self, fleet: &Fleet) {
        self.section("The rest");
        self.comment("The database cluster's one address in each data centre (E8).");
        self.line("[database]");
        for (number, center) in fleet.datacenters.iter().enumerate() {
            let address = self.addresses(number, center).private(Private::Service, (0, 20));
            self.line(format!("at.{} = \"{address}\"", center.name));
        }
        let main = self.domain();
        let suffix: Vec<String> = main.split('.').map(|label| format!("dc={label}")).collect();
        self.line(format!("\n[ldap]\nsuffix = \"{}\"", suffix.join(",")));
        self.line(format!("\n[monitoring]\nalerts = [\"postmaster@{main}\"] # replace"));
        self.line(
            "\n[backup]\nkeys = [] # replace: without the public half of secrets.backup nothing is backed up",
        );
    }
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A role as the file writes it.
pub(super) fn role_word(role: Role) -> String {
    serde_json::to_value(role).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

//! Addresses, gateways, ports, VLANs, meshes and links.

use super::super::super::samples::{LAB, SOLO};
use super::trip;

#[test]
fn addresses_are_in_their_network_and_of_one_thing_only() {
    trip(
        LAB,
        &[
            (
                &[("addresses = [\"10.20.1.42\"", "addresses = [\"10.20.1.41\"")],
                "error hosts.service2.interfaces.eth0.addresses: 10.20.1.41 is already that of hosts.service1.interfaces.eth0.addresses; give one",
            ),
            (
                &[("addresses = [\"10.20.1.42\"", "addresses = [\"10.20.9.42\"")],
                "error hosts.service2.interfaces.eth0.addresses: 10.20.9.42 is not in network `service`; take one of 10.20.1.0/24, fd20:1::/64",
            ),
            (
                &[("addresses = [\"10.20.1.42\"", "addresses = [\"10.20.1.0\"")],
                "error hosts.service2.interfaces.eth0.addresses: 10.20.1.0 is the address of the network 10.20.1.0/24 itself; take another",
            ),
            (
                &[("addresses = [\"10.20.1.42\"", "addresses = [\"10.20.1.255\"")],
                "error hosts.service2.interfaces.eth0.addresses: 10.20.1.255 is the broadcast address of 10.20.1.0/24; take another",
            ),
            (
                &[(
                    "addresses = [\"10.20.1.42\", \"fd20:1::42\"]",
                    "addresses = [\"10.20.1.42\", \"10.20.1.43\"]",
                )],
                "error hosts.service2.interfaces.eth0.addresses: two addresses of IPv4; keep one a family",
            ),
            (
                &[("addresses = [\"10.20.1.42\"", "addresses = [\"10.20.1.10\"")],
                "error publish.smtp.at.norte.facade: 10.20.1.10 is already that of hosts.service2.interfaces.eth0.addresses",
            ),
            (
                &[("at.norte = \"10.20.1.20\"", "at.norte = \"10.20.1.1\"")],
                "error database.at.norte: 10.20.1.1 is already that of networks.service.gateway",
            ),
            (
                &[("public = [\"192.0.2.10\"", "public = [\"192.0.2.2\"")],
                "error publish.smtp.at.norte.public: 192.0.2.2 is already that of hosts.edge1.interfaces.eno2.addresses",
            ),
            (
                &[("prefixes = [\"10.20.3.0/24\"]", "prefixes = [\"10.20.0.0/16\"]")],
                "error networks.storage-b.prefixes: prefix 0, 10.20.0.0/16, shares addresses with 10.20.4.0/24 of networks.management",
            ),
            (
                &[("prefixes = [\"10.20.3.0/24\"]", "prefixes = []")],
                "error networks.storage-b.prefixes: the network has no addresses",
            ),
            (
                &[("admin = [\"10.21.4.101\"]", "admin = [\"10.21.5.101\"]")],
                "error administrators.ana.addresses.admin: 10.21.5.101 is not in network `admin`",
            ),
            (
                &[("{ admin = [\"10.21.4.101\"] }", "{ management = [\"10.20.4.101\"] }")],
                "error administrators.ana.addresses.management: network `management` is no mesh",
            ),
        ],
    );
}

#[test]
fn gateways_are_in_their_network_and_held_by_who_forwards() {
    trip(
        LAB,
        &[
            (
                &[("gateway = [\"10.20.1.1\"", "gateway = [\"10.20.2.1\"")],
                "error networks.service.gateway: 10.20.2.1 is not in network `service`",
            ),
            (
                &[("gateway = [\"10.20.1.1\", \"fd20:1::1\"]", "gateway = [\"10.20.1.1\", \"10.20.1.9\"]")],
                "error networks.service.gateway: two gateways of IPv4; keep one a family",
            ),
            (
                &[("gateway_role = \"router\"", "gateway_role = \"mx\"")],
                "error networks.service.gateway_role: `mx` does not forward packets; write `firewall` or `router`",
            ),
            (
                &[("gateway = [\"10.20.1.1\", \"fd20:1::1\"]", "gateway = []")],
                "error networks.service.gateway_role: there is no gateway address for it to hold",
            ),
            (
                &[
                    ("roles = [\"firewall\", \"router\", ", "roles = [\"firewall\", "),
                    ("roles = [\"firewall\", \"router\", ", "roles = [\"firewall\", "),
                ],
                "error networks.service.gateway_role: no host of data centre `norte` has the role `router`; give the role to a pair",
            ),
            (
                &[("addresses = [\"10.20.1.3\", \"fd20:1::3\"]", "addresses = [\"10.20.1.3\"]")],
                "error hosts.edge2.interfaces: it is to hold fd20:1::1 as `router`, and has no IPv6 address in network `service`",
            ),
            (
                &[("over = [\"storage-b\"]", "over = [\"storage-b\"]\ngateway = [\"10.21.3.1\"]")],
                "error networks.san-b.gateway: a mesh has no gateway",
            ),
            (
                &[("egress = \"192.0.2.9\"", "egress = \"10.20.1.9\"")],
                "error datacenters.norte.egress: 10.20.1.9 is in no public network of the data centre",
            ),
            (
                &[("vlan = 104", "vlan = 104\nshared = [\"10.20.4.9\"]")],
                "error networks.management.shared: the active firewall holds shared addresses in an uplink only",
            ),
            (
                &[("vlan = 104", "vlan = 104\nshared = [\"10.20.4.9\", \"10.20.4.10\"]")],
                "error networks.management.shared: two shared addresses of IPv4",
            ),
            (
                &[("vlan = 104", "vlan = 104\nshared = [\"10.20.4.2\"]")],
                "error networks.management.shared: 10.20.4.2 is already that of hosts.edge1.interfaces.eno3.addresses",
            ),
        ],
    );
    trip(
        SOLO,
        &[(
            &[("[datacenters.sala]", "[datacenters.sala]\negress = \"192.0.2.9\"")],
            "error datacenters.sala.egress: no host of the data centre has the role `router`",
        )],
    );
}

#[test]
fn ports_exist_and_are_used_once_and_vlans_are_on_a_trunk_once() {
    trip(
        LAB,
        &[
            (
                &[(
                    "addresses = [\"10.20.4.11\"], bond = [\"eno1\", \"eno2\"]",
                    "addresses = [\"10.20.4.11\"], bond = [\"eno1\", \"eno9\"]",
                )],
                "error hosts.blade1.interfaces.bond0: machine `blade-1` has no port `eno9`; its ports are eno1, eno2",
            ),
            (
                &[(
                    "bond1 = { network = \"storage-b\", addresses = [\"10.20.3.2\"], bond = [\"eno3\"",
                    "bond1 = { network = \"storage-b\", addresses = [\"10.20.3.2\"], bond = [\"eno1\"",
                )],
                "error hosts.controller1.interfaces.bond1: port `eno1` is used by `bond0` already; use each port once",
            ),
            (
                &[(
                    "\"bond0.103\" = { network = \"storage-b\", addresses = [\"10.20.3.11\"], parent = \"bond0\"",
                    "\"bond0.103\" = { network = \"storage-b\", addresses = [\"10.20.3.11\"], parent = \"bond7\"",
                )],
                "error hosts.blade1.interfaces.\"bond0.103\": there is no interface `bond7` to carry it; name one of bond0, bond0.101",
            ),
            (
                &[(
                    "\"bond0.103\" = { network = \"storage-b\", addresses = [\"10.20.3.11\"], parent = \"bond0\"",
                    "\"bond0.103\" = { network = \"storage-b\", addresses = [\"10.20.3.11\"], parent = \"bond0.102\"",
                )],
                "error hosts.blade1.interfaces.\"bond0.103\": `bond0.102` is a VLAN itself",
            ),
            (
                &[("vlan = 103", "vlan = 102")],
                "error hosts.blade1.interfaces.\"bond0.103\": VLAN 102 is on `bond0` twice, by `bond0.102` too",
            ),
            (
                &[("vlan = 103", "vlan = 104")],
                "error hosts.blade1.interfaces.\"bond0.103\": VLAN 104 is on `bond0` twice, by `bond0` too",
            ),
            (
                &[("vlan = 103\n", "")],
                "error hosts.blade1.interfaces.\"bond0.103\": network `storage-b` has no VLAN number",
            ),
            (
                &[("vlan = 103", "vlan = 4095")],
                "error networks.storage-b.vlan: there is no such VLAN; write a number from 1 to 4094",
            ),
            (
                &[(
                    "\"bond0.103\" = { network = \"storage-b\", addresses = [\"10.20.3.11\"]",
                    "\"bond0.103\" = { network = \"storage\", addresses = [\"10.20.2.111\"]",
                )],
                "error hosts.blade1.interfaces.\"bond0.103\".network: `bond0.102` is in network `storage` too; keep one",
            ),
            (
                &[
                    ("[chassis.c1]", "[datacenters.sur]\n\n[chassis.c1]"),
                    (
                        "[networks.storage-b]\nkind = \"storage\"\ndatacenter = \"norte\"",
                        "[networks.storage-b]\nkind = \"storage\"\ndatacenter = \"sur\"",
                    ),
                ],
                "error hosts.blade1.interfaces.\"bond0.103\".network: network `storage-b` is in data centre `sur`, the host in `norte`",
            ),
            (
                &[("parent = \"eno2\" }", "parent = \"eno2\", bond = [\"eno1\"] }")],
                "error hosts.edge1.interfaces.\"eno2.101\": it is a bond and a VLAN at once",
            ),
        ],
    );
}

#[test]
fn no_link_is_in_clear() {
    trip(
        LAB,
        &[
            (
                &[(
                    "wg-san = { network = \"san\", addresses = [\"10.21.2.51\"] }\nwg-san-b = { network = \"san-b\", addresses = [\"10.21.3.51\"] }",
                    "",
                )],
                "error hosts.storage1.volumes.mail.lun: an unencrypted link (E19): `controller1` is reached over `storage` in clear; put both into a mesh",
            ),
            (
                &[("wg-san-b = { network = \"san-b\", addresses = [\"10.21.3.51\"] }", "")],
                "warning hosts.storage1.volumes.mail.lun: one mesh alone leads to LUN `mail-1`",
            ),
            (
                &[(
                    "eth2 = { network = \"storage\", addresses = [\"10.20.2.51\"] }\neth3 = { network = \"storage-b\", addresses = [\"10.20.3.51\"] }\nwg-san = { network = \"san\", addresses = [\"10.21.2.51\"] }\nwg-san-b = { network = \"san-b\", addresses = [\"10.21.3.51\"] }",
                    "",
                )],
                "error hosts.storage1.volumes.mail.lun: no way to `controller1`, which has the LUN",
            ),
            (
                &[("tcp = [25]", "tcp = [25, 80]")],
                "error publish.smtp.tcp: port 80 of `mx` is an unencrypted link (E19)",
            ),
            (
                &[("tcp = [25]", "tcp = [25, 23]")],
                "error publish.smtp.tcp: port 23 is Telnet, an unencrypted link (E19)",
            ),
            (
                &[(
                    "[networks.storage-b]\nkind = \"storage\"\ndatacenter = \"norte\"",
                    "[networks.storage-b]\nkind = \"storage\"",
                )],
                "error networks.storage-b.datacenter: a network between data centres must be encrypted (E19)",
            ),
        ],
    );
}

#[test]
fn members_of_a_mesh_have_a_key_and_a_way_to_each_other() {
    trip(
        LAB,
        &[
            (
                &[("wireguard_key = \"RJBfoWB66Z2isx4y7Y7fK1cjVz6Ldfw8JRMvR2sv66s=\"", "")],
                "error hosts.storage1.wireguard_key: it is in mesh `san` and has no key; write the public half",
            ),
            (
                &[(
                    "RJBfoWB66Z2isx4y7Y7fK1cjVz6Ldfw8JRMvR2sv66s=",
                    "PWwQCt9vXe+LI4J951FCuJuTPzc7pBrhnTs0wc4iEVk=",
                )],
                "error hosts.storage2.wireguard_key: it is the key of hosts.storage1 too",
            ),
            (
                &[("eth2 = { network = \"storage\", addresses = [\"10.20.2.51\"] }\n", "")],
                "error hosts.storage1.interfaces.wg-san: the host has no address in a network that mesh `san` runs over; give it one in storage",
            ),
            (
                &[(
                    "wg-san = { network = \"san\", addresses = [\"10.21.2.51\"] }",
                    "wg-san = { network = \"san\" }",
                )],
                "error hosts.storage1.interfaces.wg-san: it has no address in mesh `san`",
            ),
            (
                &[("port = 51822", "port = 51821")],
                "error networks.san-b.port: host `blade1` would listen on UDP port 51821 for `san` too",
            ),
            (
                &[("over = [\"storage-b\"]", "over = [\"san\"]")],
                "error networks.san-b.over: `san` is a mesh itself",
            ),
            (
                &[("over = [\"storage-b\"]", "over = [\"storage-b\"]\nvlan = 9")],
                "error networks.san-b.vlan: a mesh is on no VLAN",
            ),
            (
                &[(
                    "wg-san = { network = \"san\", addresses = [\"10.21.2.51\"] }",
                    "wg-san = { network = \"san\", addresses = [\"10.21.2.51\"], bond = [\"eth2\"] }",
                )],
                "error hosts.storage1.interfaces.wg-san: a mesh has neither ports nor VLANs",
            ),
            (
                &[("\"vpn\", \"knock\"]", "\"knock\"]")],
                "error hosts.edge1.roles: `knock` without `vpn` opens nothing (E2)",
            ),
            (
                &[("\"vpn\", \"knock\"]", "\"vpn\"]")],
                "warning hosts.edge1.roles: `vpn` without `knock` is open to everybody (E2)",
            ),
            (
                &[("{ admin = [\"10.21.4.101\"] }", "{ san = [\"10.21.2.101\"] }")],
                "error administrators.ana.addresses.san: no host with the role `vpn` is in mesh `san`",
            ),
        ],
    );
}

//! Machines, guests, capacity, demand, redundancy and roles.

use super::super::super::samples::{LAB, SOLO};
use super::{said, trip, without};

#[test]
fn machines_have_a_place_of_their_own_and_one_system() {
    trip(
        LAB,
        &[
            (
                &[("chassis = \"c1\"\nslot = 2", "chassis = \"c1\"\nslot = 1")],
                "error machines.blade-3.slot: `blade-1` is in slot 1 of chassis `c1` already",
            ),
            (
                &[("chassis = \"c1\"\nslot = 2", "chassis = \"c1\"\nslot = 5")],
                "error machines.blade-3.slot: chassis `c1` has no slot 5; its slots are 1 to 4",
            ),
            (
                &[("chassis = \"c1\"\nslot = 2", "chassis = \"c1\"")],
                "error machines.blade-3.slot: the blade has no slot in chassis `c1`",
            ),
            (
                &[("chassis = \"c1\"\nslot = 2", "datacenter = \"norte\"\nslot = 2")],
                "error machines.blade-3.slot: a slot without a chassis",
            ),
            (
                &[("chassis = \"c1\"\nslot = 2", "rack = \"r1\"")],
                "error machines.blade-3.datacenter: it is not said where the machine is",
            ),
            (
                &[
                    ("[chassis.c1]", "[datacenters.sur]\n\n[chassis.c1]"),
                    ("chassis = \"c1\"\nslot = 2", "datacenter = \"sur\"\nchassis = \"c1\"\nslot = 2"),
                ],
                "error machines.blade-3.datacenter: the blade's chassis `c1` is in `norte`",
            ),
            (
                &[("machine = \"edge-2\"", "machine = \"edge-1\"")],
                "error hosts.edge2.machine: machine `edge-1` already has the system `edge1`; write `guest = true`",
            ),
            (
                &[("machine = \"edge-2\"", "machine = \"edge-2\"\ncores = 2")],
                "warning hosts.edge2.cores: only a guest is given a share of its machine",
            ),
            (
                &[(
                    "machine = \"blade-3\"\nroles = [\"xen-host\"]",
                    "machine = \"blade-3\"\nroles = [\"http\"]",
                )],
                "error hosts.ops1.guest: the system of machine `blade-3`, `blade3`, has not the role `xen-host`",
            ),
            (
                &[("power = 6000", "power = 3000")],
                "error datacenters.norte.power: its machines draw 3400 W under load, it gives 3000 W",
            ),
        ],
    );
    let text = without(LAB, "blade3");
    assert!(
        said(&text)
            .iter()
            .any(|line| line.starts_with("error hosts.ns1.guest: machine `blade-3` has no system"))
    );
}

#[test]
fn guests_have_their_share_and_networks_that_their_machine_has() {
    let web2 = "machine = \"blade-2\"\nguest = true\nroles = [\"reverse-proxy\", \"http\"]\ncores = 2\nmemory = \"2GiB\"\ndisk = \"16GB\"";
    trip(
        LAB,
        &[
            (
                &[(web2, &web2.replace("cores = 2\n", ""))],
                "error hosts.web2.cores: the guest has no cores; write how much, such as cores = 2",
            ),
            (
                &[(web2, &web2.replace("memory = \"2GiB\"\n", ""))],
                "error hosts.web2.memory: the guest has no memory",
            ),
            (
                &[(web2, &web2.replace("\ndisk = \"16GB\"", ""))],
                "error hosts.web2.disk: the guest has no disk",
            ),
            (
                &[(web2, &web2.replace("\"http\"", "\"xen-host\""))],
                "error hosts.web2.roles: a guest cannot be `xen-host`: it has no hardware",
            ),
            (
                &[(
                    "eth1 = { network = \"management\", addresses = [\"10.20.4.62\"] }",
                    "eth1 = { network = \"public\", addresses = [\"192.0.2.30\"] }",
                )],
                "error hosts.web2.interfaces.eth1.network: `blade2`, which runs the guest, has no interface in network `public`; add one",
            ),
            (
                &[(
                    "eth1 = { network = \"management\", addresses = [\"10.20.4.62\"] }",
                    "ens1 = { network = \"management\", addresses = [\"10.20.4.62\"] }",
                )],
                "error hosts.web2.interfaces.ens1: the interfaces of a guest are eth0, eth1, …",
            ),
            (
                &[(
                    "eth1 = { network = \"management\", addresses = [\"10.20.4.62\"] }",
                    "eth1 = { network = \"management\" }",
                )],
                "error hosts.web2.interfaces.eth1: the guest's interface has no address",
            ),
            (
                &[(
                    "eth1 = { network = \"management\", addresses = [\"10.20.4.62\"] }",
                    "eth1 = { network = \"management\", addresses = [\"10.20.4.62\"], parent = \"eth0\" }",
                )],
                "error hosts.web2.interfaces.eth1: a guest has neither bonds nor VLANs",
            ),
        ],
    );
}

#[test]
fn nothing_is_promised_twice() {
    let web2 = "machine = \"blade-2\"\nguest = true\nroles = [\"reverse-proxy\", \"http\"]\ncores = 2\nmemory = \"2GiB\"\ndisk = \"16GB\"";
    trip(
        LAB,
        &[
            (
                &[(web2, &web2.replace("cores = 2", "cores = 10"))],
                "error machines.blade-2.cores: its guests (data2, facade2, service2, web2) have 17 cores, it has 16 cores; give them fewer",
            ),
            (
                &[(web2, &web2.replace("2GiB", "60GiB"))],
                "error machines.blade-2.memory: its guests (data2, facade2, service2, web2) have 74 GB and its own system needs 1 GB, it has 68.7 GB",
            ),
            (
                &[(web2, &web2.replace("16GB", "500GB"))],
                "error hosts.blade2.volumes.guests: the disks of its guests are 556 GB, the volume group has 400 GB",
            ),
            (
                &[
                    (
                        "[hosts.blade2.volumes]\nguests = { lun = \"guests-2\" }",
                        "[hosts.blade2.volumes]\nguests = { device = \"/dev/sda4\" }",
                    ),
                    (web2, &web2.replace("16GB", "500GB")),
                ],
                "error hosts.blade2.volumes.guests: the disks of its guests are 556 GB, the volume group has 480 GB",
            ),
            (
                &[("[hosts.blade2.volumes]\nguests = { lun = \"guests-2\" }", "")],
                "error hosts.blade2.volumes: there is no volume group `guests` for the disks of its guests; add volumes.guests",
            ),
            (
                &[(
                    "backup-2 = { array = \"a1\", size = \"2TB\" }",
                    "backup-2 = { array = \"a1\", size = \"5TB\" }",
                )],
                "error arrays.a1: its LUNs (backup-2, guests-1, guests-3, mail-1) are 6.8 TB, it holds 5.9 TB for them; make a LUN smaller",
            ),
            (
                &[("bays = 24", "bays = 12")],
                "error machines.controller-1.bays: the arrays of `controller1` (a1) have 13 drives, SSDs included, the machine 12 bays",
            ),
        ],
    );
}

#[test]
fn the_site_carries_what_it_was_planned_for() {
    trip(
        LAB,
        &[
            (
                &[("users = 100\n", "users = 101\n")],
                "error plan.users: the domains have 501 users, the plan is for 500",
            ),
            (
                &[("quota = \"1GB\"", "quota = \"7GB\"")],
                "error plan: full mailboxes are 2.8 TB, the storage nodes have room for 2 TB",
            ),
        ],
    );
    trip(
        SOLO,
        &[(
            &[("quota = \"5GB\"", "quota = \"50GB\"")],
            "error plan: full mailboxes are 5 TB, the storage nodes have room for 1 TB",
        )],
    );
}

#[test]
fn redundant_servers_share_no_machine_and_no_chassis() {
    trip(
        LAB,
        &[
            (
                &[("[hosts.ns2]\nmachine = \"blade-4\"", "[hosts.ns2]\nmachine = \"blade-3\"")],
                "error hosts.ns2.machine: every `dns` of data centre `norte` (ns1, ns2) is on machine `blade-3` (E10); move one of them to another machine",
            ),
            (
                &[("[hosts.ns2]\nmachine = \"blade-4\"", "[hosts.ns2]\nmachine = \"blade-1\"")],
                "error hosts.ns2.machine: every `dns` of data centre `norte` (ns1, ns2) is in chassis `c1` (E10); move one",
            ),
        ],
    );
    trip(
        LAB,
        &[
            (
                &[("[hosts.data3]\nmachine = \"blade-3\"", "[hosts.data3]\nmachine = \"blade-2\"")],
                "error hosts.data3.machine: machine `blade-2` has the majority of the database (data2, data3)",
            ),
            (
                &[
                    ("internal_domain", "redundant = false\ninternal_domain"),
                    ("[hosts.ns2]\nmachine = \"blade-4\"", "[hosts.ns2]\nmachine = \"blade-3\""),
                ],
                "warning hosts.ns2.machine: every `dns` of data centre `norte` (ns1, ns2) is on machine `blade-3` (E10)",
            ),
        ],
    );
}

#[test]
fn each_role_has_a_second_server_and_the_database_a_third() {
    for (host, finding) in [
        ("ns2", "error hosts.ns1.roles: `dns` has no second server (E17)"),
        ("facade2", "error hosts.facade1.roles: `facade` has no second server in data centre `norte` (E17)"),
        ("ops2", "error hosts.ops1.roles: `log` has no second server (E17)"),
        ("ops1", "error hosts.ops2.roles: `backup` has no second server (E17)"),
        ("storage2", "error hosts.storage1.roles: `storage` has no second server (E17)"),
        ("data3", "error hosts.data2.roles: `database` has two servers: etcd needs three"),
    ] {
        let after = said(&without(LAB, host));
        assert!(after.iter().any(|line| line.starts_with(finding)), "{finding} in\n{}", after.join("\n"));
    }
    let more: String = (3..10)
        .map(|n| format!("[hosts.d{n}]\nmachine = \"blade-1\"\nguest = true\nroles = [\"directory\"]\ncores = 1\nmemory = \"1GiB\"\ndisk = \"1GB\"\ninterfaces.eth0 = {{ network = \"service\", addresses = [\"10.20.1.9{n}\"] }}\n"))
        .collect();
    trip(
        LAB,
        &[
            (
                &[("# ---- Storage ----", &more)],
                "error hosts.service2.roles: 9 servers of `directory`, clients ask 8 at most",
            ),
            (
                &[("roles = [\"directory\", \"mx\", \"proxy\"]", "roles = [\"directory\", \"mx\", \"mx\"]")],
                "error hosts.service1.roles: `mx` stands there twice",
            ),
            (
                &[("suffix = \"dc=gob,dc=example\"", "")],
                "error hosts.data1.roles: `ldap` needs the root of its tree; write ldap.suffix",
            ),
            (
                &[("at.norte = \"10.20.1.20\"", "at.norte = \"10.20.4.20\"")],
                "error database.at.norte: 10.20.4.20 is in no service network of data centre `norte`",
            ),
        ],
    );
    trip(
        SOLO,
        &[
            (
                &[("\"directory\", \"mx\"", "\"mx\"")],
                "warning hosts: no host has the role `directory`, so the domains' mail stops there",
            ),
            (
                &[("[datacenters.sala]", "[database]\nat.sala = \"192.0.2.20\"\n[datacenters.sala]")],
                "error database.at.sala: no host of data centre `sala` has the role `database`",
            ),
        ],
    );
}

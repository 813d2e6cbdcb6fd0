//! What is published, volumes, arrays, secrets and names.

use super::super::super::samples::{LAB, SOLO, changed};
use super::{said, trip, without};

#[test]
fn what_is_published_has_servers_and_public_addresses() {
    trip(
        LAB,
        &[
            (
                &[
                    ("role = \"mx\"\n", "role = \"backup\"\n"),
                    ("\"monitoring\", \"backup\"]", "\"monitoring\"]"),
                    ("\"monitoring\", \"backup\"]", "\"monitoring\"]"),
                ],
                "error publish.smtp.at.norte: no host of data centre `norte` has the role `backup`",
            ),
            (
                &[("public = [\"192.0.2.10\"", "public = [\"10.20.4.200\"")],
                "error publish.smtp.at.norte.public: 10.20.4.200 is in no public network",
            ),
            (
                &[("facade = [\"10.20.1.10\"]", "facade = [\"10.20.4.210\"]")],
                "error publish.smtp.at.norte.facade: 10.20.4.210 is in no service network",
            ),
            (
                &[("facade = [\"10.20.1.10\"]", "facade = [\"fd20:1::10\"]")],
                "error publish.smtp.at.norte.facade: public addresses of IPv4 have no façade address",
            ),
            (
                &[(", facade = [\"10.20.1.10\"]", "")],
                "error publish.smtp.at.norte.public: 3 public addresses of IPv4 for 2 servers of `mx`, and no façade",
            ),
            (
                &[("public = [\"192.0.2.10\", \"198.51.100.10\", ", "public = [\"192.0.2.10\", ")],
                "warning publish.smtp.at: 2 public addresses, a public name should have three (E1)",
            ),
            (
                &[("\"198.51.100.10\"", "\"192.0.2.20\"")],
                "warning publish.smtp.at: its public addresses are in 2 networks, they should be in three (E1)",
            ),
            (
                &[
                    ("public = [\"192.0.2.11\"", "public = [\"192.0.2.10\""),
                    ("tcp = [143,", "tcp = [25, 143,"),
                ],
                "error publish.smtp.at.norte.public: port 25/tcp of 192.0.2.10 is published by `mailbox` already",
            ),
            (&[("tcp = [25]\n", "")], "error publish.smtp: it has no ports; write `tcp` or `udp`"),
            (
                &[("names = [\"mx.correo.gob.example\"]", "names = [\"mx.other.example\"]")],
                "warning publish.smtp.names: `mx.other.example` is in no domain of the site",
            ),
            (
                &[("names = [\"mx.correo.gob.example\"]", "names = []")],
                "warning publish.smtp.names: it has no name",
            ),
            (
                &[("roles = [\"facade\"]", "roles = [\"facade\", \"mx\"]")],
                "error hosts.facade1.roles: it would balance `mx` and answer for it",
            ),
            (
                &[("eth0 = { network = \"service\", addresses = [\"10.20.1.41\", \"fd20:1::41\"] }", "")],
                "error hosts.service1.interfaces: it answers there for 10.20.1.10, and has no address of that family in network `service`",
            ),
        ],
    );
    trip(
        SOLO,
        &[
            (
                &[("at.sala.public = [\"192.0.2.10\"]", "at.sala.public = [\"192.0.2.11\"]")],
                "error publish.smtp.at.sala.public: 192.0.2.11 is of no `mx` host there, and there is no router",
            ),
            (
                &[(
                    "at.sala.public = [\"192.0.2.10\"]",
                    "at.sala = { public = [\"192.0.2.10\"], facade = [\"192.0.2.12\"] }",
                )],
                "error publish.smtp.at.sala.facade: no host of data centre `sala` has the role `facade`",
            ),
        ],
    );
    let text = without(&without(LAB, "facade1"), "facade2");
    assert!(
        said(&text).iter().any(|line| line.contains("no host of data centre `norte` has the role `facade`"))
    );
}

#[test]
fn volumes_lie_on_one_thing_and_luns_have_one_host() {
    let mail = "mail = { lun = \"mail-1\", mount = \"/var/lib/chasqui/mail\" }";
    trip(
        LAB,
        &[
            (
                &[("mail = { lun = \"mail-2\"", "mail = { lun = \"mail-1\"")],
                "error hosts.storage2.volumes.mail.lun: LUN `mail-1` is used by host `storage1` already",
            ),
            (
                &[("mail = { lun = \"mail-2\"", "mail = { lun = \"mail-1\"")],
                "warning luns.mail-2: no host has a volume on it",
            ),
            (
                &[(mail, "mail = { mount = \"/var/lib/chasqui/mail\" }")],
                "error hosts.storage1.volumes.mail: the volume lies on nothing",
            ),
            (
                &[(
                    mail,
                    "mail = { lun = \"mail-1\", device = \"/dev/sdb\", mount = \"/var/lib/chasqui/mail\" }",
                )],
                "error hosts.storage1.volumes.mail: the volume has a LUN and a device",
            ),
            (
                &[(mail, "mail = { device = \"sdb\", mount = \"/var/lib/chasqui/mail\" }")],
                "error hosts.storage1.volumes.mail: `sdb` is no block device",
            ),
            (
                &[(mail, "mail = { lun = \"mail-1\" }")],
                "error hosts.storage1.volumes.mail: it is not said where the volume is mounted",
            ),
            (
                &[(mail, "mail = { lun = \"mail-1\", mount = \"mail\" }")],
                "error hosts.storage1.volumes.mail: `mail` is no place to mount it",
            ),
            (
                &[(mail, "mail = { lun = \"mail-1\", mount = \"/srv\" }")],
                "warning hosts.storage1.volumes: the storage node keeps its mail on the system disk",
            ),
            (
                &[(
                    "backup = { lun = \"backup-1\", mount = \"/var/backup\" }",
                    "backup = { lun = \"backup-1\", mount = \"/srv\" }",
                )],
                "warning hosts.ops1.volumes: no volume holds the backups in /var/backup",
            ),
            (
                &[(
                    mail,
                    "mail = { lun = \"mail-1\", mount = \"/var/lib/chasqui/mail\" }\nmore = { device = \"/dev/sdb\", mount = \"/var/lib/chasqui/mail\" }",
                )],
                "error hosts.storage1.volumes.more: another volume is mounted at /var/lib/chasqui/mail",
            ),
            (
                &[("guests = { lun = \"guests-1\" }", "guests = { lun = \"guests-1\", mount = \"/srv\" }")],
                "error hosts.blade1.volumes.guests: the volume group of the guests' disks cannot be mounted",
            ),
            (
                &[(
                    mail,
                    "mail = { lun = \"mail-1\", mount = \"/var/lib/chasqui/mail\" }\nguests = { device = \"/dev/sdb\" }",
                )],
                "warning hosts.storage1.volumes.guests: the host runs no guests",
            ),
        ],
    );
}

#[test]
fn arrays_have_two_controllers_and_drives_that_can_be_told_apart() {
    let controllers = "controllers = [\"controller1\", \"controller2\"]";
    trip(
        LAB,
        &[
            (&[(controllers, "controllers = []")], "error arrays.a1.controllers: nobody runs the array"),
            (
                &[(controllers, "controllers = [\"controller1\"]")],
                "error arrays.a1.controllers: no second controller can take the array over (E12, E17)",
            ),
            (
                &[(controllers, "controllers = [\"controller1\", \"controller1\"]")],
                "error arrays.a1.controllers: `controller1` cannot take over from itself",
            ),
            (
                &[(controllers, "controllers = [\"controller1\", \"controller2\", \"edge1\"]")],
                "error arrays.a1.controllers: three controllers",
            ),
            (
                &[(controllers, "controllers = [\"controller1\", \"edge1\"]")],
                "error arrays.a1.controllers: `edge1` has not the role `storage-array`",
            ),
            (
                &[("group_size = 5", "group_size = 3")],
                "error arrays.a1.group_size: RAID 6 is not made of 3 drives; write 4 or more",
            ),
            (
                &[("groups = 2", "groups = 0")],
                "error arrays.a1.groups: an array without groups holds nothing",
            ),
            (
                &[("lab-shelf1-{}", "lab-shelf1")],
                "error arrays.a1.drives: `/dev/disk/by-id/lab-shelf1` names one device for all drives",
            ),
            (
                &[("count = 2", "count = 3")],
                "error arrays.a1.cache.count: 3 SSDs cannot be mirrored in pairs",
            ),
        ],
    );
    let text = [
        ("[chassis.c1]", "[datacenters.sur]\n\n[chassis.c1]"),
        ("[machines.controller-2]\ndatacenter = \"norte\"", "[machines.controller-2]\ndatacenter = \"sur\""),
    ]
    .iter()
    .fold(LAB.to_owned(), |text, (old, new)| changed(&text, old, new));
    assert!(said(&text).iter().any(|line| {
        line.starts_with("error arrays.a1.controllers: `controller2` is in another data centre")
    }));
}

#[test]
fn secrets_are_paths_outside_the_store() {
    trip(
        LAB,
        &[
            (
                &[("[log]", "[secrets]\nkey = \"/nix/store/x/key\"\n\n[log]")],
                "error secrets.key: `/nix/store/x/key` is in the Nix store, which everybody on the host can read",
            ),
            (
                &[("[log]", "[secrets]\nkey = \"pki/key\"\n\n[log]")],
                "error secrets.key: `pki/key` is no absolute path",
            ),
            (
                &[("[log]", "[secrets]\nkey = \"/etc/../key\"\n\n[log]")],
                "error secrets.key: `/etc/../key` is no absolute path",
            ),
            (
                &[("[log]", "[secrets]\nkey = \"/etc/{name}.key\"\n\n[log]")],
                "error secrets.key: `/etc/{name}.key` has braces that stand for nothing",
            ),
        ],
    );
}

#[test]
fn names_are_written_as_they_are_looked_up() {
    trip(
        LAB,
        &[
            (
                &[("[domains.\"escuela.example\"]", "[domains.\"-escuela.example\"]")],
                "error domains.\"-escuela.example\": ",
            ),
            (
                &[("internal_domain = \"lab.internal\"", "internal_domain = \"lab.escuela.example\"")],
                "error internal_domain: `lab.escuela.example` is in the public zone of `escuela.example`",
            ),
            (
                &[("[dns.regions.occidente]", "[dns.regions.\"el occidente\"]")],
                "error dns.regions.\"el occidente\": `el occidente` cannot be the name of a view",
            ),
        ],
    );
}

#[test]
fn mail_leaves_from_addresses_that_somebody_holds_under_a_name_that_leads_back() {
    let addresses = "at.norte = [\"192.0.2.15\", \"198.51.100.15\"]";
    trip(
        LAB,
        &[
            (&[(addresses, "at.norte = []")], "error outbound.at.norte: it has no address"),
            (
                &[(addresses, "at.norte = [\"192.0.2.15\", \"192.0.2.15\"]")],
                "error outbound.at.norte: 192.0.2.15 stands there twice",
            ),
            (
                &[(addresses, "at.norte = [\"10.20.4.200\"]")],
                "error outbound.at.norte: 10.20.4.200 is in no public network of data centre `norte`",
            ),
            (&[("name = \"out.correo.gob.example\"\n", "")], "error outbound.at: the addresses have no name"),
            (
                &[("name = \"out.correo.gob.example\"", "name = \"out.other.example\"")],
                "warning outbound.name: `out.other.example` is in no domain of the site",
            ),
            (
                &[("name = \"out.correo.gob.example\"", "name = \"mx.correo.gob.example\"")],
                "error outbound.name: `mx.correo.gob.example` is published by `smtp` already",
            ),
            (
                &[(addresses, ""), ("egress = \"192.0.2.9\"\n", "")],
                "warning hosts.relay1.roles: data centre `norte` has no public address that its relays' mail",
            ),
            (
                &[(
                    "roles = [\"directory\", \"mx\", \"proxy\"]",
                    "roles = [\"directory\", \"mx\", \"proxy\", \"relay\"]",
                )],
                "warning hosts.service1.roles: it takes the internet's mail and sends the users'",
            ),
        ],
    );
    let without_relays = without(&without(LAB, "relay1"), "relay2");
    let said = said(&without_relays);
    for finding in [
        "error outbound.at.norte: no host of data centre `norte` has the role `relay`",
        "error outbound.name: no host has the role `relay`",
        "warning hosts: no host has the role `relay`, so the domains' mail stops there",
    ] {
        assert!(said.iter().any(|line| line.starts_with(finding)), "{finding}: {said:?}");
    }
    trip(
        SOLO,
        &[(
            &[(
                "[publish.smtp]",
                "[outbound]\nname = \"out.correo.example\"\nat.sala = [\"192.0.2.99\"]\n\n[publish.smtp]",
            )],
            "error outbound.at.sala: 192.0.2.99 is of no `relay` host there, and there is no router",
        )],
    );
}

#[test]
fn filters_have_an_exchanger_and_room_beside_it() {
    let service1 = "roles = [\"directory\", \"mx\", \"proxy\"]\ncores = 4\nmemory = \"4GiB\"\ndisk = \"16GB\"\n\n[hosts.service1";
    trip(
        LAB,
        &[(
            &[(service1, &service1.replace("4GiB", "2GiB"))],
            "warning hosts.service1.memory: 2.1 GB are little for an exchanger with ClamAV beside it (E14)",
        )],
    );
    let without_exchangers = LAB.replace("\"mx\", ", "").replace("role = \"mx\"", "role = \"proxy\"");
    assert!(
        said(&without_exchangers)
            .iter()
            .any(|line| line.starts_with("warning filters: no host has the role `mx`, so nobody asks them"))
    );
}

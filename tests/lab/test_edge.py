"""Firewall, router, VPN and knock of hosts/lab at work (E2, E3, E19): the texts that Nix makes, loaded in network namespaces."""

import atexit
import functools
import os
import pathlib
import re
import shutil
import tempfile
import time
import unittest

import names
from names import call, eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "modules/platform"
# Somebody on the internet, and somebody whom `publish.web.from` names in this test.
STRANGER, CUSTOMER = "198.51.100.200", "198.51.100.201"
WIRES = {"eno1": "uplink", "eno2": "public", "eno2.101": "service", "eno3": "management"}
# What the test changes in the lab's site: a second façade address, and an entry that not everybody may reach.
CHANGES = {
    'facade = ["10.20.1.10"]': 'facade = ["10.20.1.10", "10.20.1.110"]',
    "tcp = [80, 443]": f'tcp = [80, 443]\nfrom = ["{CUSTOMER}/32"]',
}


@functools.cache
def evaluated():
    """The folder of the lab's hosts, evaluated with keys of this test, and those keys. Once for all tests."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="chasqui-edge-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    site = (ROOT / "hosts/lab/site.toml").read_text()
    keys = {}
    for name, before in {"edge1": r"\[hosts\.edge1\]", "edge2": r"\[hosts\.edge2\]", "ana": r"\[administrators\.ana\]"}.items():
        keys[name] = call("wg", "genkey").strip()
        public = call("wg", "pubkey", input=keys[name] + "\n").strip()
        site, found = re.subn(rf'({before}.*?wireguard_key = )"[^"]*"', rf'\1"{public}"', site, count=1, flags=re.DOTALL)
        assert found, name
    for old, new in CHANGES.items():
        assert old in site, old
        site = site.replace(old, new)
    (folder / "site.toml").write_text(site)
    call(ROOT / "tests/nix/eval", folder / "site.toml", "edge1", "edge2", "controller1", "--out", folder / "hosts")
    return folder, keys


def router(lab, work, name, wires):
    """A firewall or router with its generated addresses, packet filter and keepalived.conf."""
    folder, host = work / "hosts" / name, lab.host(name, {})
    host.networkd(folder, wires)
    host.load(folder)
    config = work / f"{name}.keepalived"
    config.write_text((folder / "etc/keepalived/keepalived.conf").read_text().replace("${VRRP_PASSWORD}", "aSecret8"))
    config.chmod(0o600)
    host.start("keepalived", "--dont-fork", "--log-console", "--vrrp", "-f", config, "-p", "/run/k", "-r", "/run/v", log=work / f"{name}.log")
    targets, state = folder / "etc/chasqui/router-targets", work / f"{name}.state"
    host.environment = os.environ | {"CHASQUI_ROUTER_TARGETS": str(targets), "CHASQUI_ROUTER_STATE": str(state)}
    return host


def holds(host, address):
    """Whether a host has an address at this moment."""
    return f" {address}/" in host.ip("address", "show")


class Edge(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        names.need(("nft", "nftables"), ("keepalived", "keepalived"), ("conntrack", "conntrack"), ("wg", "wireguard-tools"))
        cls.work, cls.keys = evaluated()
        cls.lab = names.Lab(sorted(set(WIRES.values())))
        cls.addClassCleanup(cls.lab.close)
        host = cls.lab.host
        cls.world = host("world", {"eth0": ("uplink", ["192.0.2.249/29", f"{STRANGER}/32", f"{CUSTOMER}/32"])})
        for prefix in ("192.0.2.0/27", "198.51.100.0/27", "203.0.113.0/27"):
            cls.world.ip("route", "add", prefix, "via", "192.0.2.250")
        inner = {
            "facade1": ["10.20.1.10/24", "10.20.1.11/24", "10.20.1.12/24"],
            "facade2": ["10.20.1.110/24"],
            "ns1": ["10.20.1.33/24"],
            "ns2": ["10.20.1.34/24"],
            "service1": ["10.20.1.41/24"],
            "relay1": ["10.20.1.45/24"],
            "relay2": ["10.20.1.46/24"],
            "web1": ["10.20.1.61/24"],
        }
        cls.inner = {name: host(name, {"eth0": ("service", addresses)}, gateway="10.20.1.1") for name, addresses in inner.items()}
        cls.managed = host("managed", {"eth1": ("management", ["10.20.4.41/24"])})
        cls.edge1, cls.edge2 = (router(cls.lab, cls.work, name, WIRES) for name in ("edge1", "edge2"))
        for name in ("facade1", "facade2"):
            cls.inner[name].serve(25, 443, 8080)
        for name in ("ns1", "ns2"):
            cls.inner[name].serve(53)
        cls.managed.serve(22)
        cls.world.serve(25, 80, 8080)
        eventually("edge1 holds the gateway", lambda: holds(cls.edge1, "10.20.1.1") and holds(cls.edge1, "192.0.2.250"))

    def drain(self, target, word, edge=None):
        edge = edge or self.edge1
        return edge.run("bash", PROGRAMS / "router-drain.sh", target, word, env=edge.environment)

    def answers(self, count=12, address="192.0.2.10", port=25):
        """Who answers a number of connections from the internet."""
        return {self.world.reaches(address, port, STRANGER).split(" ")[0] for _ in range(count)}

    # ---- what comes in ----

    def test_a_published_port_is_reached_and_the_server_sees_the_client(self):
        self.assertIn(self.world.reaches("192.0.2.10", 25, STRANGER), {f"facade1 {STRANGER}", f"facade2 {STRANGER}"})
        self.assertEqual(f"ns1 {STRANGER}", self.world.reaches("192.0.2.13", 53, STRANGER))

    def test_nothing_else_is_reached(self):
        for address, port in (("192.0.2.10", 8080), ("192.0.2.10", 22), ("192.0.2.250", 22), ("192.0.2.251", 22)):
            self.assertEqual("silent", self.world.reaches(address, port, STRANGER), f"{address} port {port}")

    def test_inner_addresses_are_not_reached_from_outside(self):
        self.world.ip("route", "add", "10.20.1.0/24", "via", "192.0.2.250")
        self.addCleanup(self.world.ip, "route", "del", "10.20.1.0/24")
        self.assertEqual("silent", self.world.reaches("10.20.1.10", 25, STRANGER))
        self.assertEqual("silent", self.world.reaches("10.20.1.10", 8080, STRANGER))

    def test_an_entry_published_to_some_is_closed_to_others(self):
        self.assertEqual(f"facade1 {CUSTOMER}", self.world.reaches("192.0.2.12", 443, CUSTOMER))
        self.assertEqual("silent", self.world.reaches("192.0.2.12", 443, STRANGER))

    def test_a_sender_that_cannot_be_is_dropped(self):
        self.world.ip("address", "add", "10.20.1.99/32", "dev", "lo")
        self.addCleanup(self.world.ip, "address", "del", "10.20.1.99/32", "dev", "lo")
        self.assertEqual("silent", self.world.reaches("192.0.2.10", 25, "10.20.1.99"))

    # ---- what goes out and around ----

    def test_hosts_go_out_with_the_egress_address_for_what_they_need(self):
        service1, web1 = self.inner["service1"], self.inner["web1"]
        self.assertEqual("world 192.0.2.9", web1.reaches(STRANGER, 80))
        self.assertEqual("silent", service1.reaches(STRANGER, 8080))

    def test_only_relays_send_mail_and_each_from_an_address_of_its_own(self):
        self.assertEqual("world 192.0.2.15", self.inner["relay1"].reaches(STRANGER, 25))
        self.assertEqual("world 198.51.100.15", self.inner["relay2"].reaches(STRANGER, 25))
        self.assertEqual("world 192.0.2.9", self.inner["relay1"].reaches(STRANGER, 80), "for all else they are as others")
        for name in ("service1", "web1"):
            self.assertEqual("silent", self.inner[name].reaches(STRANGER, 25), name)

    def test_the_site_reaches_itself_by_its_public_addresses(self):
        self.assertRegex(self.inner["service1"].reaches("192.0.2.10", 25), r"^facade[12] 10\.20\.1\.")

    # ---- management ----

    def test_management_is_not_reached_from_the_service_network_or_outside(self):
        self.managed.ip("route", "add", "default", "via", "10.20.4.2")
        self.addCleanup(self.managed.ip, "route", "del", "default")
        self.world.ip("route", "add", "10.20.4.0/24", "via", "192.0.2.250")
        self.addCleanup(self.world.ip, "route", "del", "10.20.4.0/24")
        self.assertEqual("silent", self.inner["service1"].reaches("10.20.4.41", 22))
        self.assertEqual("silent", self.world.reaches("10.20.4.41", 22, STRANGER))

    # ---- draining (E3) ----

    def test_a_drained_facade_address_gets_no_new_connections_and_keeps_those_it_has(self):
        self.assertEqual({"facade1", "facade2"}, self.answers(40))
        old = {}
        while len(old) < 2:
            talk = self.world.connect("192.0.2.10", 25, STRANGER)
            old.setdefault(talk.ask().split(" ")[0], talk)
        self.assertIn("drained, ", self.drain("10.20.1.10", "on"))
        self.addCleanup(self.drain, "10.20.1.10", "off")
        self.assertEqual({"facade2"}, self.answers())
        self.assertEqual(f"facade1 {STRANGER}", old["facade1"].ask())
        self.assertRegex(self.drain("10.20.1.10", "status"), r"drained, [1-9]")
        # Loading the rules anew, as nixos-rebuild does, takes nothing back.
        self.edge1.run("nft", "--file", self.work / "hosts/edge1/etc/nftables.nft")
        self.edge1.run("bash", PROGRAMS / "router-drain.sh", "--again", env=self.edge1.environment)
        self.assertEqual({"facade2"}, self.answers())
        self.assertEqual(f"facade1 {STRANGER}", old["facade1"].ask())
        self.assertIn("in service", self.drain("10.20.1.10", "off"))
        self.assertEqual({"facade1", "facade2"}, self.answers(40))

    def test_with_every_target_drained_clients_are_told_at_once(self):
        for target in ("10.20.1.10", "10.20.1.110"):
            self.drain(target, "on")
            self.addCleanup(self.drain, target, "off")
        self.assertEqual("refused", self.world.reaches("192.0.2.10", 25, STRANGER))

    def test_a_drained_server_without_a_facade_is_stood_in_for(self):
        self.drain("ns1", "on")
        self.addCleanup(self.drain, "ns1", "off")
        self.assertEqual(f"ns2 {STRANGER}", self.world.reaches("192.0.2.13", 53, STRANGER))
        self.assertEqual(f"ns2 {STRANGER}", self.world.reaches("198.51.100.13", 53, STRANGER))

    def test_an_unknown_target_is_refused_with_those_that_there_are(self):
        status, said = self.edge1.run("bash", PROGRAMS / "router-drain.sh", "ns9", "on", env=self.edge1.environment, ok=False)
        self.assertEqual(1, status)
        self.assertIn("no target is called ns9; there are: 10.20.1.10 ", said)

    # ---- the pair ----

    def test_z_when_an_edge_dies_the_other_takes_its_addresses_and_its_connections(self):
        talks = [self.world.connect("192.0.2.10", 25, STRANGER) for _ in range(6)]
        served = [talk.ask() for talk in talks]
        began = time.monotonic()
        for card in WIRES:
            self.edge1.cut(card)
        for address in ("10.20.1.1", "fd20:1::1", "192.0.2.1", "192.0.2.250", "192.0.2.10", "198.51.100.13", "192.0.2.9"):
            eventually(f"edge2 holds {address}", lambda address=address: holds(self.edge2, address))
        print(f"          edge2 took over after {time.monotonic() - began:.1f} s")
        eventually("a new connection", lambda: self.world.reaches("192.0.2.10", 25, STRANGER).startswith("facade"))
        for talk, server in zip(talks, served, strict=True):
            talk.client.settimeout(10)
            self.assertEqual(server, talk.ask(), "a connection went on through the other router, to the same server")


class Tiers(unittest.TestCase):
    """The pilot has its firewalls and its routers apart."""

    @classmethod
    def setUpClass(cls):
        names.need(("nft", "nftables"), ("keepalived", "keepalived"))
        cls.work = pathlib.Path(tempfile.mkdtemp(prefix="chasqui-tiers-"))
        cls.addClassCleanup(shutil.rmtree, cls.work, ignore_errors=True)
        call(ROOT / "tests/nix/eval", "pilot", "firewall1", "router1", "--out", cls.work / "hosts")
        cls.lab = names.Lab(["uplink", "public", "service"])
        cls.addClassCleanup(cls.lab.close)
        # The internet is everywhere that is not the site.
        cls.world = cls.lab.host("world", {"eth0": ("uplink", ["192.0.2.129/29", f"{STRANGER}/32"])})
        for prefix in ("192.0.2.0/28", "198.51.100.0/28", "203.0.113.0/28"):
            cls.world.ip("route", "add", prefix, "via", "192.0.2.130")
        cls.firewall = router(cls.lab, cls.work, "firewall1", {"eno1": "uplink", "eno2": "public"})
        cls.router = router(cls.lab, cls.work, "router1", {"eno1": "public", "eno2": "service"})
        cls.facade = cls.lab.host("facade", {"eth0": ("service", ["10.17.0.8/16", "10.17.0.9/16"])}, gateway="10.17.0.1")
        cls.facade.serve(25, 993, 8080)
        cls.world.serve(53, 8080)
        eventually("firewall and router hold their addresses", lambda: holds(cls.firewall, "192.0.2.130") and holds(cls.router, "203.0.113.8"))

    def test_what_is_published_passes_both_and_nothing_else_does(self):
        for address in ("192.0.2.8", "198.51.100.8", "203.0.113.8"):
            self.assertEqual(f"facade {STRANGER}", self.world.reaches(address, 25, STRANGER))
        self.assertEqual(f"facade {STRANGER}", self.world.reaches("203.0.113.9", 993, STRANGER))
        self.assertEqual("silent", self.world.reaches("192.0.2.8", 8080, STRANGER))
        self.assertEqual("silent", self.world.reaches("192.0.2.4", 22, STRANGER))

    def test_hosts_behind_both_go_out_with_an_address_of_the_site(self):
        self.facade.ip("address", "add", "10.17.10.1/16", "dev", "eth0")
        self.assertRegex(self.facade.reaches(STRANGER, 53, "10.17.10.1"), r"^world 192\.0\.2\.")
        self.assertEqual("silent", self.facade.reaches(STRANGER, 8080, "10.17.10.1"))


class Entrance(unittest.TestCase):
    """The VPN's port, the knock before it, and the mesh behind it."""

    @classmethod
    def setUpClass(cls):
        names.need(("nft", "nftables"), ("wg", "wireguard-tools"), ("wireguard-go", "wireguard-go"), ("fwknopd", "fwknop-server"), ("fwknop", "fwknop-client"))
        cls.work, cls.keys = evaluated()
        cls.lab = names.Lab(["uplink", "management"])
        cls.addClassCleanup(cls.lab.close)
        cls.ana = cls.lab.host("ana", {"eth0": ("uplink", ["192.0.2.249/29"])})
        cls.managed = cls.lab.host("managed", {"eth1": ("management", ["10.20.4.41/24"])})
        cls.managed.serve(22)
        cls.edge1 = cls.edge("edge1", 1)
        cls.edge2 = cls.edge("edge2", 2)
        cls.knocker()

    @classmethod
    def edge(cls, name, number):
        cards = {"eno1": ("uplink", [f"192.0.2.{250 + number}/29"]), "eno3": ("management", [f"10.20.4.{1 + number}/24"])}
        edge = cls.lab.host(name, cards, gateway="192.0.2.249")
        edge.load(cls.work / "hosts" / name)
        netdev = (cls.work / "hosts" / name / "etc/systemd/network/40-wg-admin.netdev").read_text()
        cls.mesh(edge, netdev.split("[WireGuard]", 1)[1], f"10.21.4.{number}/24")
        return edge

    @classmethod
    def mesh(cls, host, settings, address):
        """WireGuard in user space, with what systemd-networkd would read."""
        text = re.sub(r"PrivateKeyFile=.*", f"PrivateKey={cls.keys[host.name]}", "[Interface]" + settings).replace("[WireGuardPeer]", "[Peer]")
        config = cls.work / f"{host.name}.wg"
        config.write_text(text)
        script = f"wireguard-go --foreground wg-admin & until [ -S /run/wireguard/wg-admin.sock ]; do sleep 0.05; done; wg setconf wg-admin {config} && touch {config}.up; wait"
        host.start("sh", "-c", script, env=os.environ | {"WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "error"}, log=cls.work / f"{host.name}.wg.log")
        eventually(f"the mesh of {host.name}", lambda: pathlib.Path(f"{config}.up").exists())
        host.ip("address", "add", address, "dev", "wg-admin")
        host.ip("link", "set", "wg-admin", "mtu", "1420", "up")

    @classmethod
    def knocker(cls):
        """fwknopd on edge1 with its generated files, as its unit starts it."""
        folder, run, keys = cls.work / "hosts/edge1", cls.work / "knock", cls.work / "keys"
        run.mkdir()
        keys.mkdir()
        made = call("fwknop", "--key-gen", "--rc-file", cls.work / "rc")
        (keys / "ana").write_text(made)
        cls.knock_keys = dict(re.findall(r"^(\w+): (\S+)$", made, re.MULTILINE))
        unit = (folder / "etc/systemd/system/chasqui-knock.service").read_text()
        settings, stanza = (folder / path.lstrip("/") for path in re.search(r"^ExecStartPre=\S+ (\S+) (\S+)", unit, re.MULTILINE).groups())
        local = {"settings": settings.read_text(), "stanza": stanza.read_text()}
        local["settings"] = re.sub(r"/run/chasqui-knock|/var/lib/chasqui-knock", str(run), local["settings"])
        local["stanza"] = re.sub(r"/nix/store/\S+/bin/nft", shutil.which("nft"), local["stanza"])
        for name, text in local.items():
            (cls.work / name).write_text(text)
        call("bash", PROGRAMS / "knock-access.sh", cls.work / "settings", cls.work / "stanza", run, "ana", env=os.environ | {"CREDENTIALS_DIRECTORY": str(keys)})
        # Its unit gives it a user of its own and one right.
        for path in (run, *run.iterdir()):
            os.chown(path, 990, 990)
        cls.work.chmod(0o711)
        right = "-all,+net_admin"
        cls.edge1.start(
            "setpriv", "--reuid=990", "--regid=990", "--clear-groups", f"--inh-caps={right}", f"--ambient-caps={right}", f"--bounding-set={right}",
            "fwknopd", "-f", "-c", run / "fwknopd.conf", "-a", run / "access.conf", log=cls.work / "fwknopd.log")  # fmt: skip
        eventually("fwknopd listens", lambda: ":62201" in cls.edge1.run("ss", "-lun"))

    def knock(self, **keys):
        keys = self.knock_keys | keys
        self.ana.run(
            "fwknop", "-A", "udp/51820", "-D", "192.0.2.251", "-a", "192.0.2.249", "--use-hmac", "--no-save-args", "--rc-file", self.work / "rc",
            "--key-base64-rijndael", keys["KEY_BASE64"], "--key-base64-hmac", keys["HMAC_KEY_BASE64"])  # fmt: skip

    def knocked(self):
        return "192.0.2.249" in self.edge1.run("nft", "list", "set", "inet", "chasqui", "knocked")

    def test_a_members_of_a_mesh_reach_each_other_without_a_knock(self):
        self.edge1.run("ping", "-c1", "-W3", "10.21.4.2")

    def test_b_the_port_is_closed_until_the_right_knock(self):
        public = call("wg", "pubkey", input=self.keys["edge1"] + "\n").strip()
        settings = f"\n[Peer]\nPublicKey={public}\nAllowedIPs=10.21.4.1/32, 10.20.4.0/24\nEndpoint=192.0.2.251:51820\nPersistentKeepalive=1\n"
        self.mesh(self.ana, f"\nPrivateKeyFile=x{settings}", "10.21.4.101/32")
        self.ana.ip("route", "add", "10.20.4.0/24", "dev", "wg-admin")
        self.assertEqual("silent", self.ana.reaches("10.20.4.41", 22))
        other = {"KEY_BASE64": "A" * 43 + "="}
        self.knock(**other)
        time.sleep(0.5)
        self.assertFalse(self.knocked(), "a knock with another key opened the port")
        self.knock()
        eventually("the set has the address", self.knocked)
        eventually("a way to the management network", lambda: self.ana.reaches("10.20.4.41", 22) == "managed 10.20.4.2", 15)

    def test_c_only_administrators_pass_from_the_mesh_to_management(self):
        self.managed.ip("route", "add", "default", "via", "10.20.4.2")
        self.edge2.ip("route", "add", "10.20.4.41/32", "dev", "wg-admin")
        self.assertEqual("silent", self.edge2.reaches("10.20.4.41", 22, "10.21.4.2"))


class Storage(unittest.TestCase):
    """The packet filter of a storage controller."""

    def test_iscsi_is_reached_through_the_mesh_and_not_over_the_bare_wire(self):
        names.need(("nft", "nftables"), ("wg", "wireguard-tools"))
        work, _ = evaluated()
        lab = names.Lab(["storage", "mesh", "service"])
        self.addCleanup(lab.close)
        controller = lab.host("controller1", {"bond0": ("storage", ["10.20.2.2/24"]), "wg-san": ("mesh", ["10.21.2.2/24"])})
        controller.load(work / "hosts/controller1")
        controller.serve(3260)
        member = lab.host("storage1", {"eth2": ("storage", ["10.20.2.51/24"]), "wg-san": ("mesh", ["10.21.2.51/24"])})
        self.assertEqual("controller1 10.21.2.51", member.reaches("10.21.2.2", 3260))
        self.assertEqual("silent", member.reaches("10.20.2.2", 3260))
        member.ip("address", "add", "10.21.2.52/32", "dev", "lo")
        self.assertEqual("silent", member.reaches("10.20.2.2", 3260, "10.21.2.52"), "a mesh address over the bare wire")

"""Mistakes in a site file: Nix and the planner refuse the same ones at the same key."""

import pathlib
import re
import subprocess
import tempfile
import unittest

import evaluation
from harness import site

# What is wrong, what to replace in hosts/lab/site.toml by what, and the path of the key that both must name.
MISTAKES = [
    ("an unknown key at the top", "[plan]", "colour = 1\n[plan]", "colour"),
    ("an unknown key of a host", "[hosts.ns1]\n", "[hosts.ns1]\ncolour = 1\n", "hosts.ns1.colour"),
    ("an unknown key of an interface", 'network = "uplink", addr', 'network = "uplink", speed = 1, addr', "hosts.edge1.interfaces.eno1.speed"),
    ("an unknown key under a name in quotes", "fd20:1::2\"], parent", "fd20:1::2\"], speed = 1, parent", 'hosts.edge1.interfaces."eno2.101".speed'),
    ("an unknown key of a list's entry", '[knock]\n', '[knock]\nclose = "1s"\n', "knock.close"),
    ("a machine that is nowhere", 'machine = "edge-1"', 'machine = "edge-9"', "hosts.edge1.machine"),
    ("a network that is nowhere", '{ network = "uplink", addresses = ["192.0.2.251"] }', '{ network = "upling" }', "hosts.edge1.interfaces.eno1.network"),
    ("a chassis that is nowhere", 'chassis = "c1"\nslot = 1', 'chassis = "c9"\nslot = 1', "machines.blade-1.chassis"),
    ("a data centre that is nowhere", 'datacenter = "norte"\nrack = "r1"\ncores = 4', 'datacenter = "sur"\nrack = "r1"\ncores = 4', "machines.edge-1.datacenter"),
    ("an array's controller that is nowhere", 'controllers = ["controller1", "controller2"]', 'controllers = ["controller1", "controller3"]', "arrays.a1.controllers[1]"),
    ("a LUN on an array that is nowhere", 'mail-1 = { array = "a1"', 'mail-1 = { array = "a3"', "luns.mail-1.array"),
    ("a volume on a LUN that is nowhere", 'mail = { lun = "mail-1"', 'mail = { lun = "mail-9"', "hosts.storage1.volumes.mail.lun"),
    ("a publication in a data centre that is nowhere", "[publish.dns]", "[publish.dns]\nat.sur = { public = [] }", "publish.dns.at.sur"),
    ("a role that does not exist", 'roles = ["dns"]', 'roles = ["dsn"]', "hosts.ns1.roles[0]"),
    ("a number in quotes", 'cores = 4\nmemory = "8GiB"\nports = { eno1 = 1,', 'cores = "4"\nmemory = "8GiB"\nports = { eno1 = 1,', "machines.edge-1.cores"),
    ("no address", '"10.20.1.33"', '"10.20.1.333"', "hosts.ns1.interfaces.eth0.addresses[0]"),
    ("a size without a unit", 'memory = "1GiB"', 'memory = "1 lot"', "hosts.facade1.memory"),
    ("a key that is missing", 'machine = "edge-1"\nroles', "roles", "hosts.edge1.machine"),
    ("a WireGuard key that is too short", "tLrKiUugJPDF5kZ+g3h4LeUGHgMZkfmFCnxzxsjTJvQ=", "tLrKiUug=", "hosts.edge1.wireguard_key"),
]


class Mistakes(unittest.TestCase):
    maxDiff = None

    def test_nix_and_the_planner_refuse_the_same_mistakes_at_the_same_key(self):
        lab = evaluation.site_file("lab").read_text()
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for number, (what, old, new, _) in enumerate(MISTAKES):
                self.assertIn(old, lab, what)
                files.append(pathlib.Path(folder) / f"{number}.toml")
                files[-1].write_text(lab.replace(old, new, 1))
            by_nix = evaluation.call(evaluation.HERE / "errors.nix", sites=files)
            for (what, _, _, path), file, errors in zip(MISTAKES, files, by_nix, strict=True):
                done = subprocess.run([site.binary(), "site", "check", file], capture_output=True, text=True, check=False)
                said = done.stdout + done.stderr
                with self.subTest(f"{what}: {path}"):
                    self.assertNotEqual(0, done.returncode, "the planner takes it")
                    self.assertRegex(said, rf"(^|\s|:){re.escape(path)}[: ]", "the planner names another key")
                    self.assertTrue(any(error.startswith(f"{path}: ") for error in errors), f"Nix said: {errors}")

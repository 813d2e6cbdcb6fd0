"""Every generated text before the real program's own check.

A program that is not installed skips its check, except in continuous integration (CI=true), where it fails.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import evaluation
import golden
import test_hosts
from harness import site

CHECKS = sorted(file for file in (evaluation.HERE / "checks").iterdir() if file.is_file() and "." not in file.name)
# Of a large site, one host of each set of roles: the others differ in names and numbers, and the second of each pair is in the lab.
SAMPLE_OF_EACH_KIND = 1


def sample(found, file):
    """The hosts of a large site to check: the first of each set of roles."""
    import tomllib

    hosts = tomllib.loads(file.read_text())["hosts"]
    kinds, chosen = {}, []
    for name in sorted(found.hosts):
        kind = tuple(hosts[name]["roles"])
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] <= SAMPLE_OF_EACH_KIND:
            chosen.append(name)
    return chosen


class Checks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(prefix="chasqui-nix-", dir="/var/tmp")
        cls.folders = []
        for name in test_hosts.site_names():
            found = test_hosts.evaluated(name)
            folder = pathlib.Path(cls.scratch.name) / name
            evaluation.materialise_site(found, folder)
            hosts = sorted(found.hosts) if name in golden.SITES else sample(found, evaluation.site_file(name))
            cls.folders += [folder / host for host in hosts]

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def judge(self, check):
        """Runs one check over all hosts."""

        def run(folder):
            return folder, subprocess.run(
                [check, folder],
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
                cwd=evaluation.ROOT,
                env=os.environ | {"CHASQUI_BINARY": site.binary()},
            )

        checked = 0
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for folder, done in pool.map(run, self.folders):
                said = (done.stdout + done.stderr).strip()
                if done.returncode == 77 and os.environ.get("CI") != "true":
                    self.skipTest(said)
                checked += sum(int(number) for number in re.findall(r"^checked ([0-9]+)$", said, re.MULTILINE))
                with self.subTest(f"{folder.parent.name}/{folder.name}"):
                    self.assertEqual(0, done.returncode, said)
        self.assertGreater(checked, 0, "no host has a text that this check knows; does it look in the right place?")
        print(f"          {check.name}: {checked} texts")


def add(check):
    """A test for a check, whose name is its sentence."""
    said = f"test_{check.name}_passes_on_every_host_that_has_its_text".replace("-", "_")
    setattr(Checks, said, lambda self: self.judge(check))


for found in CHECKS:
    add(found)

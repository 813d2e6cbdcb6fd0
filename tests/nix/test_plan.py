"""Sites that the planner writes: checked by the planner and evaluated by Nix, every host of them."""

import pathlib
import subprocess
import tempfile
import unittest

import evaluation
from harness import site

USERS = [500, 50_000, 1_000_000]


class Plans(unittest.TestCase):
    def setUp(self):
        if not pathlib.Path(site.binary()).exists():
            self.skipTest(f"{site.binary()} is not built (tests/run build)")
        folder = tempfile.TemporaryDirectory(prefix="chasqui-plan-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def chasqui(self, *arguments):
        """Runs the binary; what it said if it refuses."""
        done = subprocess.run([site.binary(), *map(str, arguments)], capture_output=True, text=True, check=False)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def test_a_planned_site_passes_site_check_and_every_host_of_it_evaluates(self):
        for users in USERS:
            with self.subTest(f"{users:,} users"):
                folder = self.folder / str(users)
                self.chasqui("plan", "--users", users, "--quota", "1GB", "--out", folder)
                file = folder / "site.toml"
                self.chasqui("site", "check", file)
                found = evaluation.evaluate(file)
                self.assertEqual({}, found.errors)
                failed = {name: host["failedAssertions"] for name, host in found.hosts.items() if host["failedAssertions"]}
                self.assertEqual({}, failed)
                print(f"          {users:,} users: {len(found.hosts)} hosts in {found.seconds:.1f} s, at most {found.memory / 1e6:.0f} MB a process")

    def test_the_sites_of_the_project_pass_site_check(self):
        for file in sorted(evaluation.HOSTS.glob("*/site.toml")):
            with self.subTest(file.parent.name):
                self.chasqui("site", "check", file)

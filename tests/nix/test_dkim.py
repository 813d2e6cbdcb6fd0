"""What monitoring hears of the keys of signatures: modules/services/relay/dkim-age.sh with real keys."""

import pathlib
import subprocess
import tempfile
import time
import unittest

import evaluation
from harness import site

SCRIPT = evaluation.ROOT / "modules" / "services" / "relay" / "dkim-age.sh"


class Age(unittest.TestCase):
    def test_a_domain_s_key_has_an_age_and_one_without_has_none(self):
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            keys, folder, programs = scratch / "dkim", scratch / "metrics", scratch / "bin"
            for made in (keys, folder, programs):
                made.mkdir(mode=0o700)
            (programs / "chasqui").symlink_to(site.binary())
            before = int(time.time())
            subprocess.run([site.binary(), "dkim", "rotate", "correo.example", "--keys", keys], check=True, capture_output=True)
            command = ["bash", SCRIPT, keys, folder, "correo.example", "escuela.example"]
            subprocess.run(command, check=True, env={"PATH": f"{programs}:/usr/bin:/bin"})
            self.assertEqual(["dkim.prom"], [file.name for file in folder.iterdir()])
            said = dict(line.rsplit(" ", 1) for line in (folder / "dkim.prom").read_text().splitlines())
        self.assertEqual("0", said.pop('chasqui_dkim_active_timestamp_seconds{domain="escuela.example"}'))
        self.assertGreaterEqual(int(said.pop('chasqui_dkim_active_timestamp_seconds{domain="correo.example"}')), before)
        self.assertEqual({}, said)

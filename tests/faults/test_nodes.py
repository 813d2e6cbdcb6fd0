"""A storage node that is away for a minute."""

import os
import time
import unittest

from harness.clients import Wire
from harness.site import PEOPLE, Site
from load import Load, account_for, stored
from settings import REFUSE

AWAY = float(os.environ.get("CHASQUI_AWAY_SECONDS", "60"))


class NodeAway(unittest.TestCase):
    def site_with(self, *settings):
        site = Site()
        self.addCleanup(site.kill)
        for setting in settings:
            site.set(*setting)
        site.start()
        node = {entry["address"].split("@")[0]: entry["node"] for entry in site.description["accounts"]}
        return site, [name for name in PEOPLE if node[name] == "storage1"], [name for name in PEOPLE if node[name] == "storage2"]

    def away(self, site, load, seconds):
        """Mail keeps coming, not too fast, while node 1 is away."""
        site.kill("storage1")
        codes = {}
        deadline = time.monotonic() + seconds
        with Wire(site.smtp) as wire:
            wire.say("EHLO carga.example.org")
            while time.monotonic() < deadline:
                code = load.attempt(wire)
                codes[code] = codes.get(code, 0) + 1
                time.sleep(0.1)
        return codes

    def test_with_the_spool_all_mail_is_taken_and_arrives_when_the_node_is_back(self):
        site, away, here = self.site_with()
        load = Load(site, PEOPLE, sizes=(2_000, 10_240, 300_000))
        codes = self.away(site, load, AWAY)
        self.assertEqual(set(codes), {250})
        found = stored(site)
        for name in here:
            wanted = [key for key in load.accepted if f"{name}@ejemplo.test" in load.attempts[key]]
            self.assertTrue(all((key, f"{name}@ejemplo.test") in found for key in wanted), "the node that is up waits for the other")
        # The spool also outlives the exchanger.
        site.kill("mx")
        site.start("mx")
        site.start("storage1")
        account_for(self, site, load)

    def test_without_the_spool_senders_are_told_to_come_back(self):
        site, away, here = self.site_with(REFUSE)
        load = Load(site, PEOPLE, sizes=(2_000,))
        codes = self.away(site, load, min(AWAY, 10))
        self.assertTrue(all(code == 250 or 400 <= code < 500 for code in codes), codes)
        with Wire(site.smtp) as wire:
            wire.say("EHLO carga.example.org")
            self.assertEqual(load.attempt(wire, [here[0]]), 250)
            code = load.attempt(wire, [away[0]])
            self.assertTrue(400 <= code < 500, code)
        site.start("storage1")
        deadline = time.monotonic() + 15
        with Wire(site.smtp) as wire:
            wire.say("EHLO carga.example.org")
            while load.attempt(wire, [away[0]]) != 250:
                self.assertLess(time.monotonic(), deadline, "the node is back and still refused")
                time.sleep(0.3)
        account_for(self, site, load)

"""SIGKILL of exchanger or storage nodes at random, under load."""

import os
import random
import time
import unittest

from harness.clients import message, send
from harness.site import PEOPLE, Site
from load import Load, account_for

KILLS = int(os.environ.get("CHASQUI_KILLS", "200"))
SEED = int(os.environ.get("CHASQUI_SEED", str(random.randrange(10**6))))


class Kills(unittest.TestCase):
    def killed(self, kills, settings):
        site = Site()
        self.addCleanup(site.kill)
        for name, key, value in settings:
            site.set(name, key, value)
        site.start()
        choice = random.Random(SEED)
        load = Load(site, PEOPLE, seed=SEED).start()
        counts = {"mx": 0, "storage1": 0, "storage2": 0}
        begun = time.monotonic()
        for _ in range(kills):
            # Neither a regular beat nor always the same moment of a restart.
            time.sleep(choice.uniform(0.2, 0.6))
            victims = [choice.choice(list(counts))]
            if choice.random() < 0.1:
                victims = ["mx", choice.choice(["storage1", "storage2"])]
            for victim in victims:
                counts[victim] += 1
                site.kill(victim)
            site.start(*victims, wait=choice.random() < 0.7)
        for name in counts:
            site.wait_for(name)
        time.sleep(0.5)
        load.stop()
        print(f"          {sum(counts.values())} kills {counts} in {time.monotonic() - begun:.0f} s, seed {SEED}", flush=True)
        account_for(self, site, load)
        # And the site still works as if nothing had happened.
        for name in PEOPLE:
            send(site, name, message())

    def test_killed_at_random_nothing_acknowledged_is_lost_or_doubled_with_the_spool(self):
        self.killed((KILLS + 1) // 2, [])

    def test_killed_at_random_nothing_acknowledged_is_lost_or_doubled_without_the_spool(self):
        from settings import REFUSE

        self.killed((KILLS + 1) // 2, [REFUSE])

"""The relay's queue: killed under load, replies lost, disk full, files damaged, restarted, handed to another relay."""

import contextlib
import os
import random
import time
import unittest

from harness.site import wait_until
from relays import RelaySite, SENDER, Senders, Sink, account_for
from test_full_disk import small_disk

KILLS = int(os.environ.get("CHASQUI_RELAY_KILLS", "40"))
SEED = int(os.environ.get("CHASQUI_SEED", str(random.randrange(10**6))))


class Relay(unittest.TestCase):
    def site(self, **sinks):
        site = RelaySite({name.replace("_", "."): sink for name, sink in sinks.items()})
        self.addCleanup(site.kill)
        return site

    def fill(self, site, count, domains, port=None):
        """Hands in so many messages."""
        senders = Senders(site, domains, seed=SEED)
        with site.inside(port) as client:
            client.ehlo()
            for _ in range(count):
                self.assertEqual(senders.send(client), 250)
        return senders

    def test_killed_at_random_nothing_acknowledged_is_lost_and_no_copies_can_be_told_apart(self):
        one, two = Sink().start(), Sink(pause=0.05).start()
        site = self.site(one_test=one, two_test=two)
        site.start()
        choice = random.Random(SEED)
        senders = Senders(site, ["one.test", "two.test"], seed=SEED).start()
        begun = time.monotonic()
        for _ in range(KILLS):
            time.sleep(choice.uniform(0.2, 0.6))
            site.kill("relay")
            site.start("relay", wait=choice.random() < 0.7)
        site.wait_for("relay")
        time.sleep(0.5)
        senders.stop()
        print(f"          {KILLS} kills in {time.monotonic() - begun:.0f} s, seed {SEED}", flush=True)
        site.wait_empty()
        doubled = account_for(self, senders, one, two)
        # Only what was under way at a kill: no more than the relay's jobs to two destinations.
        self.assertLess(doubled, KILLS * 2 * 20)

    def test_a_destination_that_loses_its_replies_loses_no_message_and_slows_no_other(self):
        choice = random.Random(SEED)
        lossy = Sink(manner=lambda: "lose" if choice.random() < 0.2 else "take").start()
        good = Sink().start()
        site = self.site(lossy_test=lossy, good_test=good)
        site.start()
        begun = time.monotonic()
        senders = self.fill(site, 100, ["lossy.test"])
        others = self.fill(site, 100, ["good.test"])
        wait_until(lambda: len(good.taken) >= 100, "the good destination waits", 30)
        print(f"          the good destination had its 100 after {time.monotonic() - begun:.1f} s", flush=True)
        site.wait_empty(180)
        account_for(self, others, good)
        account_for(self, senders, lossy)

    def test_a_full_disk_refuses_with_452_and_loses_nothing(self):
        sink = Sink()
        with small_disk("16m") as (disk, enlarge):
            site = self.site(one_test=sink)
            site.set("relay", "queue.path", f'"{disk}/queue"')
            site.start()
            senders = Senders(site, ["one.test"], seed=SEED, size=100_000)
            with site.inside() as client:
                client.ehlo()
                code = next(code for code in (senders.send(client) for _ in range(2000)) if code != 250)
            self.assertEqual(code, 452)
            site.kill("relay")
            site.start("relay")
            enlarge("64m")
            with site.inside() as client:
                client.ehlo()
                self.assertEqual(senders.send(client), 250)
            sink.start()
            site.wait_empty()
            account_for(self, senders, sink)
            site.kill()

    def test_a_damaged_file_is_kept_and_the_others_are_delivered(self):
        sink = Sink()
        site = self.site(one_test=sink)
        site.start()
        senders = self.fill(site, 20, ["one.test"])
        site.kill("relay")
        victim = sorted((site.queue_folder / "messages").rglob("*.msg"))[0]
        octets = bytearray(victim.read_bytes())
        octets[octets.index(b"xxxxx")] = ord("z")
        victim.write_bytes(octets)
        sink.start()
        site.start("relay")
        site.wait_empty()
        kept = [path.name for path in (site.queue_folder / "damaged").iterdir()]
        self.assertEqual(kept, [victim.name])
        self.assertIn("set aside", site.log_text("relay"))
        self.assertEqual(len(sink.taken), 19)
        lost = octets[octets.index(b"X-Attempt: ") + 11:][:32].decode()
        senders.accepted.discard(lost)
        account_for(self, senders, sink)

    def test_thousands_of_messages_are_back_after_a_kill(self):
        sink = Sink()
        site = self.site(one_test=sink, two_test=sink)
        site.start()
        senders = Senders(site, ["one.test", "two.test"], threads=8, seed=SEED, size=500).start()
        wait_until(lambda: len(senders.accepted) >= 3000, "3,000 messages", 300, 0.2)
        senders.stop()
        site.kill("relay")
        begun = time.monotonic()
        site.start("relay")
        wait_until(lambda: not site.queue("stats")[0]["stats"]["loading"], "the queue is being read", 60)
        listed = site.queue("list", "--limit", "3", "--domain", "one.test")
        self.assertEqual(len(listed), 4)
        self.assertGreater(listed[-1]["end"]["matched"], 1000)
        print(f"          {site.queued()} messages were back after {time.monotonic() - begun:.1f} s", flush=True)
        sink.start()
        site.queue("retry", "--all")
        site.wait_empty(300)
        account_for(self, senders, sink)

    def test_a_drained_relay_hands_all_to_its_peer_and_may_be_switched_off(self):
        sink = Sink()
        site = self.site(one_test=sink)
        inside = site.second_relay()
        site.start("directory1", "directory2", "relay")
        senders = self.fill(site, 200, ["one.test"])
        # The peer is not there yet: the draining survives a kill, and takes nothing meanwhile.
        with contextlib.suppress(Exception):
            site.queue("drain", "--to", f"localhost:{inside}", timeout=3)
        site.kill("relay")
        site.start("relay")
        with site.inside() as client:
            client.ehlo()
            code, text = client.docmd("MAIL", f"FROM:<{SENDER}>")
            if code == 250:
                code, text = client.docmd("RCPT", "TO:<x@one.test>")
            self.assertIn(code, (421, 451), text)
        site.start("relay2")
        lines = site.queue("drain", "--to", f"localhost:{inside}", timeout=120)
        last = [line["draining"] for line in lines if "draining" in line][-1]
        self.assertTrue(last["done"], last)
        self.assertEqual(site.queued(), 0)
        self.assertEqual(list((site.queue_folder / "messages").rglob("*.msg")), [])
        site.stop("relay")
        sink.start()
        site.queue("retry", "--all", relay="relay2", check=False)
        site.wait_empty(relay="relay2")
        self.assertEqual(account_for(self, senders, sink), 0)

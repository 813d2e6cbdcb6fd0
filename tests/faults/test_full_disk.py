"""A full disk, of a storage node and of the exchanger's spool, made of a small tmpfs."""

import contextlib
import subprocess
import unittest

from harness.clients import Wire, imap, message, ok
from harness.site import PEOPLE, Site, scratch
from load import Load, account_for


@contextlib.contextmanager
def small_disk(size):
    """A file system of `size` (as mount writes it), and a function that makes it larger."""
    folder = scratch()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "chasqui-test", str(folder)], capture_output=True, text=True)
    if mounted.returncode:
        raise unittest.SkipTest(f"no tmpfs can be mounted: {mounted.stderr.strip()}")
    try:
        yield folder, lambda larger: subprocess.run(["mount", "-o", f"remount,size={larger}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.site = Site()
        self.addCleanup(self.site.kill)
        node = {entry["address"].split("@")[0]: entry["node"] for entry in self.site.description["accounts"]}
        self.people = [name for name in PEOPLE if node[name] == "storage1"]

    def send_until(self, load, code_is, limit=3000):
        """Sends until an answer satisfies `code_is`; fails when none does."""
        with Wire(self.site.smtp) as wire:
            wire.say("EHLO carga.example.org")
            for _ in range(limit):
                code = load.attempt(wire)
                if code_is(code):
                    return code
        raise AssertionError(f"no such answer after {limit} messages: {load.refusals}")

    def test_a_full_storage_node_refuses_and_keeps_what_it_has(self):
        from settings import REFUSE

        with small_disk("12m") as (disk, enlarge):
            self.site.set(*REFUSE)
            self.site.set("storage1", "store.root", f'"{disk}/store"')
            self.site.start()
            load = Load(self.site, self.people, sizes=(50_000,))
            code = self.send_until(load, lambda code: code != 250)
            self.assertTrue(400 <= code < 500, code)
            # Reading goes on, and so does what needs no room.
            with imap(self.site, self.people[0]) as client:
                count = int(ok(client.select("INBOX"))[0])
                self.assertGreater(count, 0)
                ok(client.uid("FETCH", "1", "(BODY.PEEK[])"))
                self.assertEqual(client.append("INBOX", None, None, message(size=2_000_000))[0], "NO")
            enlarge("64m")
            self.send_until(load, lambda code: code == 250, 100)
            account_for(self, self.site, load)
            # Emptied by its owner, the disk has room again, and a restart finds the same.
            self.site.restart("storage1")
            account_for(self, self.site, load)
            self.site.kill()

    def test_with_the_spool_what_was_taken_arrives_when_the_disk_has_room(self):
        with small_disk("12m") as (disk, enlarge):
            self.site.set("storage1", "store.root", f'"{disk}/store"')
            self.site.start()
            load = Load(self.site, self.people, sizes=(50_000,))
            with Wire(self.site.smtp) as wire:
                wire.say("EHLO carga.example.org")
                for _ in range(400):
                    load.attempt(wire)
            self.assertTrue(all(code == 0 or 400 <= code < 500 for code in load.refusals), load.refusals)
            enlarge("128m")
            account_for(self, self.site, load)
            self.site.kill()

    def test_a_full_spool_refuses_and_loses_nothing(self):
        with small_disk("12m") as (disk, enlarge):
            self.site.set("mx", "spool.path", f'"{disk}/spool"')
            self.site.start()
            self.site.kill("storage1")
            load = Load(self.site, self.people, sizes=(50_000,))
            code = self.send_until(load, lambda code: code != 250)
            self.assertTrue(400 <= code < 500, code)
            self.site.restart("mx")
            self.site.start("storage1")
            account_for(self, self.site, load)
            self.send_until(load, lambda code: code == 250, 100)
            account_for(self, self.site, load)
            self.site.kill()

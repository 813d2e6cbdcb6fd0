"""Look-ups whose datagrams are lost, and directory servers that are dead."""

import socket
import threading
import time
import unittest

from harness import ports
from harness.clients import Wire, imap, message, send
from harness.site import PASSWORD, PEOPLE, Site, wait_until
from load import Load, account_for


class Forwarder:
    """UDP forwarders before both directory servers that lose the first datagram of each question.

    The datagrams are sealed, so that nobody can tell which question one belongs to. A client that asks one question
    at a time sends its first datagram and, when no answer comes, its second: of each pair the first is dropped, to
    whichever server it goes.
    """

    def __init__(self, targets):
        self.lock = threading.Lock()
        self.waiting_since = None
        self.dropped = self.passed = 0
        self.ports = []
        self.closing = False
        for target in targets:
            front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            front.bind(("127.0.0.1", 0))
            self.ports.append(front.getsockname()[1])
            threading.Thread(target=self._serve, args=(front, target), daemon=True).start()

    def _drop(self):
        with self.lock:
            now = time.monotonic()
            if self.waiting_since is None or now - self.waiting_since > 1.0:
                self.waiting_since = now
                self.dropped += 1
                return True
            self.waiting_since = None
            self.passed += 1
            return False

    def _serve(self, front, target):
        backs = {}
        while not self.closing:
            datagram, client = front.recvfrom(65_536)
            if self._drop():
                continue
            if client not in backs:
                back = backs[client] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                back.connect(("127.0.0.1", target))
                threading.Thread(target=self._back, args=(back, front, client), daemon=True).start()
            backs[client].send(datagram)

    def _back(self, back, front, client):
        while not self.closing:
            try:
                front.sendto(back.recv(65_536), client)
            except OSError:
                time.sleep(0.05)


class Directory(unittest.TestCase):
    def setUp(self):
        self.site = Site()
        self.addCleanup(self.site.kill)

    def test_every_lookup_whose_first_datagram_is_lost_is_answered_by_the_second(self):
        forwarder = Forwarder([self.site.base + ports.DIRECTORY1, self.site.base + ports.DIRECTORY2])
        self.addCleanup(setattr, forwarder, "closing", True)
        servers = ", ".join(f'"127.0.0.1:{port}"' for port in forwarder.ports)
        self.site.set("mx", "directory.servers", f"[{servers}]")
        self.site.start()
        load = Load(self.site, PEOPLE, threads=1, sizes=(2_000,))
        begun = time.monotonic()
        with Wire(self.site.smtp) as wire:
            wire.say("EHLO carga.example.org")
            for number in range(100):
                self.assertEqual(load.attempt(wire, [PEOPLE[number % 4]]), 250)
        took = time.monotonic() - begun
        print(f"          {forwarder.dropped} datagrams lost, {forwarder.passed} passed, {took * 10:.0f} ms a message", flush=True)
        self.assertGreaterEqual(forwarder.dropped, 50)
        self.assertLess(took, 30)
        account_for(self, self.site, load)

    def test_with_the_primary_dead_mail_and_log_ins_go_on(self):
        self.site.start()
        send(self.site, PEOPLE, message())
        self.site.kill("directory1")
        load = Load(self.site, PEOPLE, threads=4).start()
        time.sleep(5)
        for name in PEOPLE:
            with imap(self.site, name):
                pass
        load.stop()
        self.assertEqual(load.refusals, {})
        self.assertLess(load.slowest, 1.5)
        account_for(self, self.site, load)

    def test_a_primary_that_swallows_every_question_costs_only_the_hedge(self):
        swallower = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(swallower.close)
        swallower.bind(("127.0.0.1", 0))
        servers = f'["127.0.0.1:{swallower.getsockname()[1]}", "127.0.0.1:{self.site.base + ports.DIRECTORY2}"]'
        for role in ("mx", "proxy", "storage1", "storage2"):
            self.site.set(role, "directory.servers", servers)
        self.site.start()
        with Wire(self.site.smtp) as wire:
            wire.say("EHLO carga.example.org")
            for name in PEOPLE:
                wire.say("MAIL FROM:<a@example.org>")
                begun = time.monotonic()
                self.assertEqual(wire.say(f"RCPT TO:<{name}@ejemplo.test>")[0], 250)
                self.assertLess(time.monotonic() - begun, 0.5)
                wire.say("RSET")
        send(self.site, PEOPLE, message())

    def test_without_any_directory_the_answer_is_451_and_unavailable_and_later_all_is_well(self):
        self.site.start()
        with Wire(self.site.smtp) as wire:
            wire.say("EHLO carga.example.org")
            self.site.kill("directory1", "directory2")
            wire.say("MAIL FROM:<a@example.org>")
            begun = time.monotonic()
            code, lines = wire.say("RCPT TO:<ana@ejemplo.test>")
            self.assertEqual((code, lines[0].split()[0]), (451, "4.4.3"))
            self.assertLess(time.monotonic() - begun, 3.5)
        with Wire(self.site.imap) as wire:
            self.assertIn("NO [UNAVAILABLE]", wire.ask(f"LOGIN ana@ejemplo.test {PASSWORD}")[-1])
        self.site.start("directory1", "directory2")

        def works():
            try:
                return send(self.site, PEOPLE, message())
            except (AssertionError, OSError):
                return None

        wait_until(works, "mail does not flow again", 15, 0.3)

"""Senders whose every attempt has an id of its own, and the account of what became of each attempt.

The promise that is checked: an attempt that got 250 is in each of its mailboxes exactly once; one that did not is
there at most once.
"""

import contextlib
import pathlib
import random
import re
import threading
import time
import uuid

from harness.clients import Wire, address, imap, ok
from harness.site import wait_until

SIZES = (600, 3_000, 10_240, 200_000)


class Load:
    """Threads that send as fast as they are answered."""

    def __init__(self, site, people, threads=6, seed=None, sizes=SIZES):
        self.site, self.people, self.sizes = site, [address(name) for name in people], sizes
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.attempts = {}  # id → recipients that were accepted before data
        self.accepted = set()  # ids that got 250
        self.refusals = {}  # code (0: the connection broke) → how often
        self.slowest = 0.0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            if thread.is_alive():
                raise AssertionError("a sender hangs")
        return self

    def _run(self):
        wire = None
        while not self.stopping.is_set():
            try:
                if wire is None:
                    wire = open_session(self.site)
                for _ in range(20):
                    self.attempt(wire)
                    if self.stopping.is_set():
                        break
            except (OSError, ValueError, AssertionError):
                self._note(0)
                if wire:
                    wire.close()
                wire = None
                time.sleep(0.02)
        if wire:
            wire.close()

    def attempt(self, wire, to=None):
        """One message; returns the code that decided."""
        begun = time.monotonic()
        with self.lock:
            identity = uuid.UUID(int=self.random.getrandbits(128)).hex
            to = to or self.random.sample(self.people, self.random.choice((1, 1, 1, 2, len(self.people))))
            size = self.random.choice(self.sizes)
        code, _ = wire.say("MAIL FROM:<carga@example.org>")
        if code != 250:
            wire.say("RSET")
            return self._note(code or 0)
        good = []
        for recipient in to:
            code, _ = wire.say(f"RCPT TO:<{address(recipient)}>")
            if code == 250:
                good.append(address(recipient))
            elif code is None:
                raise OSError("the exchanger closed the connection")
        if not good:
            wire.say("RSET")
            return self._note(code)
        with self.lock:
            self.attempts[identity] = good
        code, _ = wire.say("DATA")
        if code != 354:
            raise OSError(f"DATA was answered {code}")
        head = f"X-Attempt: {identity}\r\nSubject: carga\r\n\r\n".encode()
        wire.send(head + (b"0123456789" * 7 + b"\r\n") * (size // 72) + b".\r\n")
        code, _ = wire.reply()
        self.slowest = max(self.slowest, time.monotonic() - begun)
        if code is None:
            raise OSError("the exchanger closed the connection")
        if code == 250:
            with self.lock:
                self.accepted.add(identity)
        return self._note(code)

    def _note(self, code):
        if code != 250:
            with self.lock:
                self.refusals[code] = self.refusals.get(code, 0) + 1
        return code


def open_session(site):
    wire = Wire(site.smtp)
    if not wire.greeting.startswith("220"):
        wire.close()
        raise OSError(wire.greeting)
    wire.say("EHLO carga.example.org")
    return wire


def stored(site):
    """What the mailboxes hold: (id, account) → how often, read from the trees."""
    found = {}
    for node in ("storage1", "storage2"):
        for folder in ("new", "cur"):
            for path in tree(site, node).rglob(f"{folder}/*"):
                account = next((part for part in path.parts if "@" in part), None)
                with contextlib.suppress(FileNotFoundError):
                    identity = attempt_of(path)
                    found[identity, account] = found.get((identity, account), 0) + 1
    return found


def tree(site, node):
    """The root of a node's mailboxes."""
    text = site.config(node).read_text()
    return pathlib.Path(re.search(r'(?ms)^\[store\].*?^root = "(.*?)"', text).group(1))


def attempt_of(path):
    with open(path, "rb") as file:
        head = file.read(4096)
    start = head.find(b"X-Attempt: ")
    return head[start + 11:start + 43].decode() if start >= 0 else None


def settle(site, load, patience=90.0):
    """Waits until everything that was accepted is in its mailboxes."""

    def missing():
        found = stored(site)
        return [
            (identity, account)
            for identity in load.accepted for account in load.attempts[identity] if (identity, account) not in found
        ]

    deadline = time.monotonic() + patience
    while (absent := missing()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return absent


def account_for(test, site, load, patience=90.0):
    """Checks the promise and prints the counts."""
    absent = settle(site, load, patience)
    found = stored(site)
    pairs = [(identity, account) for identity in load.accepted for account in load.attempts[identity]]
    doubled = {key: count for key, count in found.items() if count > 1 and key[0] is not None}
    unasked = [key for key in found if key[0] in load.attempts and key[1] not in load.attempts[key[0]]]
    without = [key for key in found if key[0] in load.attempts and key[0] not in load.accepted]
    print(
        f"          {len(load.attempts)} messages sent, {len(load.accepted)} got 250 for {len(pairs)} mailboxes: "
        f"{len(pairs) - len(absent)} there, {len(absent)} missing, {len(doubled)} doubled; "
        f"{len(load.attempts) - len(load.accepted)} got no 250: {len(without)} copies of them are there. "
        f"Other answers: {load.refusals or 'none'}; slowest {load.slowest:.1f} s",
        flush=True,
    )
    test.assertGreater(len(load.accepted), 0, "nothing was accepted")
    test.assertEqual(absent[:5], [], f"{len(absent)} acknowledged copies are lost")
    test.assertEqual(dict(list(doubled.items())[:5]), {}, f"{len(doubled)} copies are doubled")
    test.assertEqual(unasked[:5], [])
    for account in load.people:
        on_disk = sum(count for (_, owner), count in found.items() if owner == account)
        wait_until(lambda: shown(site, account) == on_disk, f"IMAP shows {shown(site, account)} of {on_disk} messages of {account}", 15)


def shown(site, account):
    with imap(site, account) as client:
        return int(ok(client.select("INBOX", readonly=True))[0])

"""What an operator sees of a relay's queue, and of a message in the logs of all roles."""

import json
import smtplib
import subprocess
import urllib.request
import uuid

from common import DOMAIN, PASSWORD, Test, account, address, site
from harness import clients
from harness.site import binary, wait_until
from internet import Relay, wait_inbox

NOWHERE = 9  # The port at which nobody answers: what leaves waits.


def run(*words, check=True, input=None):
    done = subprocess.run([binary(), *map(str, words)], capture_output=True, text=True, timeout=60, input=input)
    if check and done.returncode != 0:
        raise AssertionError(f"{words}: {done.stderr}")
    return done


class Queue(Test):
    @classmethod
    def setUpClass(cls):
        routes = f'[[delivery.routes]]\ndomains = ["*"]\nhosts = ["127.0.0.1:{NOWHERE}"]\ntls = "never"\n'
        cls.relay = Relay(NOWHERE, NOWHERE, delivery=routes).start()
        cls.addClassCleanup(cls.relay.stop)

    def setUp(self):
        self.name, self.other = account(), account()

    def submit(self, to):
        """Hands a message in as a user does; returns its Message-ID."""
        identity = f"{uuid.uuid4().hex}@{DOMAIN}"
        letter = f"From: {address(self.name)}\r\nTo: {to}\r\nSubject: cola\r\nMessage-ID: <{identity}>\r\n\r\nHola.\r\n"
        with smtplib.SMTP("localhost", self.relay.port, timeout=30) as client:
            client.starttls(context=clients.context(site()))
            client.login(address(self.name), PASSWORD)
            client.sendmail(address(self.name), [to], letter)
        return identity

    def queue(self, *words, check=True):
        return run("queue", *words, "--socket", self.relay.folder / "relay.sock", check=check)

    def waiting(self, *filter):
        lines = [json.loads(line) for line in self.queue("list", *filter, "--json").stdout.splitlines()]
        return [line["message"] for line in lines if "message" in line]

    def logs(self):
        return [self.relay.process.log, *sorted(site().folder.parent.glob("*.log"))]

    def test_a_message_that_waits_is_listed_shown_held_released_and_failed(self):
        identity = self.submit("alguien@espera.test")
        sender = ("--sender", address(self.name))
        found = wait_until(lambda: [one for one in self.waiting(*sender) if one.get("last")], "the message was not tried", 30)[0]
        self.assertEqual(found["recipients"], ["alguien@espera.test"])
        shown = json.loads(self.queue("show", found["id"], "--headers", "--json").stdout.splitlines()[0])["details"]
        self.assertEqual((shown["message_id"], shown["source"]), (identity, address(self.name)))
        self.assertIn("Subject: cola", shown["headers"])
        self.assertIn("alguien@espera.test", self.queue("show", found["id"]).stdout)
        self.assertIn("1 messages held", self.queue("hold", found["id"]).stdout)
        self.assertEqual([one["id"] for one in self.waiting("--held")], [found["id"]])
        self.assertIn("held", self.queue("list", *sender).stdout)
        self.queue("release", "--domain", "espera.test")
        self.assertEqual(self.waiting("--held"), [])
        refused = self.queue("fail", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("say which messages", refused.stderr)
        wait_until(lambda: self.queue("fail", *sender, check=False).returncode == 0, "the message is not given up", 10)
        notice = wait_inbox(self.name, lambda octets: b"Action: failed" in octets)
        self.assertIn(b"Status: 5.7.0", notice)
        wait_until(lambda: not self.waiting(*sender), "the message is still there")
        # The whole story, the notice's way to the mailbox too, in the logs of two roles.
        story = json.loads(run("trace", identity, *self.logs(), "--json").stdout)
        events = [(step["role"], step["event"]) for step in story["timeline"]]
        for step in [("relay", "message queued"), ("relay", "message"), ("relay", "deferred"), ("relay", "failed"), ("relay", "notice queued"), ("storage", "stored")]:
            self.assertIn(step, events)
        self.assertEqual(len(story["deliveries"]), 2)

    def test_a_message_is_traced_from_submission_to_the_mailbox(self):
        identity = self.submit(address(self.other))
        wait_inbox(self.other, lambda octets: identity.encode() in octets)
        text = "".join(path.read_text(errors="replace") for path in self.logs())
        table = run("trace", f"<{identity}>", "-", input=text).stdout
        for word in ("message queued", "delivered", "stored", address(self.other), "Delivery ids: "):
            self.assertIn(word, table)
        nothing = run("trace", f"no-{identity}", *self.logs(), check=False)
        self.assertEqual(nothing.returncode, 1)
        self.assertIn("nothing about", nothing.stderr)

    def test_without_a_relay_the_command_says_what_to_look_at(self):
        nobody = run("queue", "stats", "--socket", "/nonexistent/relay.sock", check=False)
        self.assertEqual(nobody.returncode, 1)
        self.assertIn("is it running on this host", nobody.stderr)

    def test_the_numbers_are_told_to_people_and_to_prometheus(self):
        self.submit("otro@espera.test")
        numbers = self.queue("stats").stdout
        self.assertRegex(numbers, r"messages +[1-9]")
        with urllib.request.urlopen(f"http://127.0.0.1:{self.relay.metrics}/metrics", timeout=10) as page:
            self.assertIn("chasqui_relay_queue_enqueued_total", page.read().decode())

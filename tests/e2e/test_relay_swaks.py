"""swaks against submission and against the exchanger."""

import subprocess

from common import PASSWORD, Test, account, address
from harness.suite import need
from internet import NameServer, Relay, wait_inbox


class Submission(Test):
    @classmethod
    def setUpClass(cls):
        need("swaks", "named")
        cls.dns = NameServer({"vacio.test": "127.0.0.43"}).start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay = Relay(cls.dns.port, 9).start()
        cls.addClassCleanup(cls.relay.stop)

    def setUp(self):
        self.name, self.other = account(), account()

    def swaks(self, *words, port=None):
        command = ["swaks", "--server", "127.0.0.1", "--port", str(port or self.relay.port), "--from", address(self.name), "--to",
                   address(self.other), "--header", f"Subject: swaks {self.id().split('.')[-1]}", "--timeout", "20", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def arrives(self, subject):
        return wait_inbox(self.other, lambda octets: f"Subject: swaks {subject}".encode() in octets)

    def test_every_mechanism_of_swaks_logs_in(self):
        for mechanism in ("PLAIN", "LOGIN"):
            with self.subTest(mechanism=mechanism):
                done = self.swaks("-tls", "--auth", mechanism, "--auth-user", address(self.name), "--auth-password", PASSWORD)
                self.assertEqual(done.returncode, 0, done.stdout)
        self.arrives("test_every_mechanism_of_swaks_logs_in")

    def test_tls_from_the_first_octet(self):
        done = self.swaks("--tls-on-connect", "--auth", "PLAIN", "--auth-user", address(self.name), "--auth-password", PASSWORD, port=self.relay.tls_port)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(self.arrives("test_tls_from_the_first_octet"), rb"with ESMTPSA? ")

    def test_no_password_is_taken_in_clear(self):
        done = self.swaks("--auth", "PLAIN", "--auth-user", address(self.name), "--auth-password", PASSWORD)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("AUTH PLAIN", "".join(line for line in done.stdout.splitlines() if line.startswith("<-")))

    def test_a_wrong_password_is_refused(self):
        done = self.swaks("-tls", "--auth", "PLAIN", "--auth-user", address(self.name), "--auth-password", "otra")
        self.assertEqual(done.returncode, 28, done.stdout)
        self.assertIn("535 5.7.8", done.stdout)

    def test_nobody_submits_without_a_password(self):
        done = self.swaks("-tls")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("530 5.7.0", done.stdout)

    def test_nobody_writes_in_the_name_of_another(self):
        done = self.swaks("-tls", "--auth", "PLAIN", "--auth-user", address(self.name), "--auth-password", PASSWORD, "--from", address(self.other))
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"5\d\d 5\.7\.")


class Exchanger(Test):
    def test_swaks_delivers_to_a_mailbox_with_and_without_tls(self):
        need("swaks")
        name = account()
        for words in ([], ["-tls"]):
            with self.subTest(words=words):
                subject = "con tls" if words else "sin tls"
                done = subprocess.run(
                    ["swaks", "--server", "127.0.0.1", "--port", str(self.site.smtp), "--from", "x@otro.example", "--to", address(name), "--header",
                     f"Subject: {subject}", "--timeout", "20", *words], capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 0, done.stdout)
                wait_inbox(name, lambda octets: f"Subject: {subject}".encode() in octets)

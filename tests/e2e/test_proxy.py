"""The proxy: log-ins, guessing, PROXY protocol, owners that are down."""

import base64
import socket
import struct
import time
import unittest

from common import PASSWORD, Test, account, address
from harness.clients import Wire, context, imap, message, ok, send
from harness.site import Site


class LogIn(Test):
    def tls(self, port):
        wire = Wire(port, tls=context(self.site))
        self.addCleanup(wire.close)
        return wire

    def test_plain_and_login_with_and_without_an_initial_response(self):
        name = account()
        plain = base64.b64encode(f"\0{address(name)}\0{PASSWORD}".encode()).decode()
        with self.subTest("PLAIN with initial response"):
            self.assertTrue(self.tls(self.site.imaps).ask(f"AUTHENTICATE PLAIN {plain}")[-1].startswith("OK"))
        with self.subTest("PLAIN with continuation"):
            wire = self.tls(self.site.imaps)
            wire.send("a AUTHENTICATE PLAIN\r\n")
            self.assertTrue(wire.line().startswith("+"))
            wire.send(plain + "\r\n")
            self.assertTrue(self.tagged(wire, "a").startswith("a OK"))
        with self.subTest("LOGIN"):
            wire = self.tls(self.site.imaps)
            wire.send("a AUTHENTICATE LOGIN\r\n")
            self.assertTrue(wire.line().startswith("+"))
            wire.send(base64.b64encode(address(name).encode()) + b"\r\n")
            self.assertTrue(wire.line().startswith("+"))
            wire.send(base64.b64encode(PASSWORD.encode()) + b"\r\n")
            self.assertTrue(self.tagged(wire, "a").startswith("a OK"))
        with self.subTest("literals"):
            wire = self.tls(self.site.imaps)
            wire.send(f"a LOGIN {{{len(address(name))}}}\r\n")
            self.assertTrue(wire.line().startswith("+"))
            wire.send(f"{address(name)} {{{len(PASSWORD)}+}}\r\n{PASSWORD}\r\n")
            self.assertTrue(self.tagged(wire, "a").startswith("a OK"))
        with self.subTest("POP3 AUTH PLAIN"):
            wire = self.tls(self.site.pop3s)
            wire.send(f"AUTH PLAIN {plain}\r\n")
            self.assertTrue(wire.line().startswith("+OK"))

    def tagged(self, wire, tag):
        while True:
            line = wire.line()
            if not line or line.startswith(tag + " "):
                return line

    def test_the_password_of_a_person_and_unknown_users_are_refused_alike(self):
        answers = set()
        for user in (address(account()), "nadie@ejemplo.test", "nadie@otro.example"):
            answers.add(self.tls(self.site.imaps).ask(f"LOGIN {user} equivocada")[-1])
        self.assertEqual(len(answers), 1)
        self.assertIn("NO [AUTHENTICATIONFAILED]", answers.pop())
        wire = self.tls(self.site.pop3s)
        wire.send(f"USER {address(account())}\r\nPASS equivocada\r\n")
        wire.line()
        self.assertTrue(wire.line().startswith("-ERR [AUTH]"))

    def test_the_certificate_names_localhost_and_the_address(self):
        for port in (self.site.imaps, self.site.pop3s):
            with socket.create_connection(("127.0.0.1", port), 10) as raw:
                context(self.site).wrap_socket(raw, server_hostname="localhost").close()
            with socket.create_connection(("127.0.0.1", port), 10) as raw:
                context(self.site).wrap_socket(raw, server_hostname="127.0.0.1").close()

    def test_users_of_both_nodes_use_the_same_host_name(self):
        for node in ("storage1", "storage2"):
            name = account(node)
            send(self.site, name, message())
            with imap(self.site, name) as client:
                self.assertEqual(ok(client.select("INBOX")), [b"1"])


class Own(unittest.TestCase):
    """Tests that change the proxy or stop a node: a site of their own."""

    @classmethod
    def setUpClass(cls):
        cls.site = Site()
        cls.site.set("proxy", "proxy_networks", '["127.0.0.77/32"]')
        cls.site.start()

    @classmethod
    def tearDownClass(cls):
        cls.site.stop()

    def wire(self, port=None, **options):
        wire = Wire(port or self.site.imap, **options)
        self.addCleanup(wire.close)
        return wire

    def test_wrong_passwords_are_slowed_more_and_more(self):
        times = []
        wire = self.wire(source="127.0.3.1")
        for _ in range(3):
            begun = time.monotonic()
            answer = wire.ask("LOGIN beto@ejemplo.test equivocada")[-1]
            self.assertIn("NO", answer)
            times.append(time.monotonic() - begun)
        self.assertGreater(times[-1], 0.9, times)
        self.assertGreater(times[-1], times[0] * 1.5, times)

    def test_the_client_address_of_the_proxy_protocol_is_used_and_only_from_the_listed_network(self):
        header = b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x21, 0x11]) + struct.pack(
            "!H4s4sHH", 12, socket.inet_aton("203.0.113.9"), socket.inet_aton("192.0.2.1"), 4711, 143
        )
        wire = self.wire(source="127.0.0.77", before=header)
        self.assertTrue(wire.greeting.startswith("* OK"), wire.greeting)
        # The client is no longer on loopback, so a password in clear is refused.
        self.assertIn("PRIVACYREQUIRED", wire.ask("LOGIN ana@ejemplo.test x")[-1])
        # From elsewhere the header is rubbish that came before a command: it is refused, and the address is the real one.
        stranger = self.wire(source="127.0.0.78", before=header)
        self.assertIn("BAD", stranger.line())

    def test_an_owner_that_is_down_is_unavailable_at_once_and_back_soon_after(self):
        node = next(a["node"] for a in self.site.description["accounts"] if a["address"].startswith("carla@"))
        self.site.kill(node)
        wire = self.wire()
        begun = time.monotonic()
        self.assertIn("NO [UNAVAILABLE]", wire.ask(f"LOGIN carla@ejemplo.test {PASSWORD}")[-1])
        pop = self.wire(self.site.pop3)
        pop.send(f"USER carla@ejemplo.test\r\nPASS {PASSWORD}\r\n")
        pop.line()
        self.assertTrue(pop.line().startswith("-ERR [SYS/TEMP]"))
        self.assertLess(time.monotonic() - begun, 3)
        self.site.start(node)
        deadline = time.monotonic() + 10
        while not (answer := self.wire().ask(f"LOGIN carla@ejemplo.test {PASSWORD}")[-1]).startswith("OK"):
            self.assertIn("UNAVAILABLE", answer)
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.3)

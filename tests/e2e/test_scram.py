"""SCRAM-SHA-256 at the relay, by an implementation that is not ours: Python's hashlib."""

import base64
import hashlib
import hmac
import secrets

from common import PASSWORD, Test, account, address
from harness import ports
from harness.clients import Wire, context
from internet import Relay


def code(octets):
    return base64.b64encode(octets).decode()


class Scram(Test):
    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(ports.free_port(), 9).start()
        cls.addClassCleanup(cls.relay.stop)

    def log_in(self, name, password):
        """Whether the server let us in, having proved that it knows the password too."""
        wire = Wire(self.relay.port)
        self.addCleanup(wire.close)
        wire.say("EHLO cliente.example.org")
        self.assertEqual(wire.say("STARTTLS")[0], 220)
        wire.secure(context(self.site))
        self.assertIn("AUTH", [line.split()[0] for line in wire.say("EHLO cliente.example.org")[1]])
        bare = f"n={name},r={secrets.token_urlsafe(18)}"
        status, lines = wire.say(f"AUTH SCRAM-SHA-256 {code(f'n,,{bare}'.encode())}")
        self.assertEqual(status, 334, lines)
        challenge = base64.b64decode(lines[0]).decode()
        fields = dict(field.split("=", 1) for field in challenge.split(","))
        self.assertGreaterEqual(int(fields["i"]), 4096)
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        sign = lambda key, text: hmac.digest(key, text, "sha256")
        client_key = sign(salted, b"Client Key")
        final = f"c=biws,r={fields['r']}"
        message = f"{bare},{challenge},{final}".encode()
        signature = sign(hashlib.sha256(client_key).digest(), message)
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        status, lines = wire.say(code(f"{final},p={code(proof)}".encode()))
        if status != 334:
            self.assertEqual((status, lines[0].split()[0]), (535, "5.7.8"))
            return False
        self.assertEqual(base64.b64decode(lines[0]).decode(), f"v={code(sign(sign(salted, b'Server Key'), message))}")
        self.assertEqual(wire.say("")[0], 235)
        self.assertEqual(wire.say(f"MAIL FROM:<{name}>")[0], 250)
        return True

    def test_the_right_password_is_proved(self):
        self.assertTrue(self.log_in(address(account()), PASSWORD))

    def test_a_wrong_password_and_a_user_that_does_not_exist_fail_alike(self):
        self.assertFalse(self.log_in(address(account()), "otra"))
        self.assertFalse(self.log_in(address("nadie"), PASSWORD))

    def test_a_changed_password_is_proved_at_once(self):
        name = address(account())
        self.site.run("user", "set", name, "--password-stdin", input="otra llave\n")
        self.assertTrue(self.log_in(name, "otra llave"))
        self.assertFalse(self.log_in(name, PASSWORD))

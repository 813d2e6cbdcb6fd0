"""The raw dialogues of dialogues.txt, with the exchanger and the relay."""

import base64
import pathlib
import re

from common import PASSWORD, Test, account, address
from harness import ports
from harness.clients import Wire, contents, context, imap
from harness.site import wait_until
from internet import Relay

FILE = pathlib.Path(__file__).with_name("dialogues.txt")
ESCAPES = {"r": b"\r", "n": b"\n", "0": b"\0", "\\": b"\\"}


def dialogues():
    """(title, port and TLS, steps) of each."""
    place, found = None, []
    for line in FILE.read_text().splitlines():
        if line.startswith("== "):
            found.append((line[3:], [place], []))
        elif line.startswith("on: "):
            place = line[4:]
            found[-1][1][0] = place
        elif found and re.match(r"C[:.]|S: |mail: |tls$", line):
            found[-1][2].append(line)
    return [(title, place[0], steps) for title, place, steps in found]


def octets(text, names):
    """What the client says."""
    text = re.sub(r"\{(ana|beto|login|wrong)\}", lambda found: names[found[1]], text)
    text = re.sub(r"\{b64:(.*?)\}", lambda found: base64.b64encode(unescaped(found[1])).decode(), text)
    text = re.sub(r"\{(.+?)\*(\d+)\}", lambda found: found[1] * int(found[2]), text)
    return unescaped(text)


def unescaped(text):
    def octet(found):
        letter = found[1].decode()
        return bytes([int(letter[1:], 16)]) if letter[0] == "x" else ESCAPES[letter]

    return re.sub(rb"\\(x[0-9a-f]{2}|[rn0\\])", octet, text.encode())


class Dialogues(Test):
    def names(self):
        ana, beto = address(account()), address(account())
        plain = lambda password: base64.b64encode(f"\0{ana}\0{password}".encode()).decode()
        return {"ana": ana, "beto": beto, "login": plain(PASSWORD), "wrong": plain("otra")}

    def open(self, place, relay):
        port, _, tls = place.partition(" ")
        wire = Wire(self.site.smtp if port == "mx" else relay.port)
        self.addCleanup(wire.close)
        self.assertTrue(wire.greeting.startswith("220 "), wire.greeting)
        if tls:
            for command, code in (("EHLO cliente.example.org", 250), ("STARTTLS", 220)):
                self.assertEqual(wire.say(command)[0], code)
            wire.secure(context(self.site))
            self.assertEqual(wire.say("EHLO cliente.example.org")[0], 250)
        return wire

    def play(self, place, steps, relay):
        names, unsent = self.names(), b""
        wire = self.open(place, relay)
        for number, step in enumerate(steps):
            if step.startswith("C"):
                unsent += octets(step[3:], names) + (b"\r\n" if step[1] == ":" else b"")
                continue
            wire.send(unsent)
            unsent = b""
            try:
                if step == "tls":
                    wire.secure(context(self.site))
                elif step.startswith("mail: "):
                    wire.close()
                    self.count(names["ana"], int(step[6:]))
                elif step == "S: closed":
                    self.assertEqual(wire.reply(), (None, []))
                else:
                    self.answers(step[3:], *wire.reply())
            except AssertionError as error:
                raise AssertionError(f"step {number + 1}, {step!r}: {error}") from None

    def answers(self, pattern, code, lines):
        wanted, _, rest = pattern.partition(" ")
        self.assertRegex(str(code), f"^{wanted.replace('x', '.')}$", lines)
        if rest.startswith(("+ ", "- ")):
            self.assertEqual(rest[2:] in [line.split(" ")[0] for line in lines], rest[0] == "+", lines)
        else:
            enhanced, _, words = rest.partition(" ")
            self.assertTrue(lines[0].startswith(enhanced), lines)
            self.assertIn(words, "\n".join(lines))

    def count(self, name, wanted):
        def held():
            with imap(self.site, name) as client:
                return len(contents(client)) == wanted

        wait_until(held, f"not {wanted} messages for {name}", 5)


def play(title, place, steps):
    def test(self):
        if place != "mx" and not hasattr(Dialogues, "relay"):
            # It resolves nothing and sends nothing: what these dialogues hand in is for the site itself.
            Dialogues.relay = Relay(ports.free_port(), 9).start()
        self.play(place, steps, getattr(Dialogues, "relay", None))

    return test


def tearDownModule():
    if hasattr(Dialogues, "relay"):
        Dialogues.relay.stop()


for _title, _place, _steps in dialogues():
    setattr(Dialogues, "test_" + re.sub(r"\W+", "_", f"{_place} {_title}".lower()).strip("_"), play(_title, _place, _steps))

"""Filters: ClamAV, SpamAssassin and a milter of Debian, what their verdicts lead to, and what follows when they are away."""

import email
import pathlib
import signal
import socket
import time
import tomllib
import urllib.request

from common import Test, account, address, site
from daemons import EICAR, GTUBE, Clamd, Milter, Spamd
from harness import clients, ports
from harness.clients import contents, imap, ok
from harness.site import Process, binary, listens, memory, scratch, wait_until
from harness.suite import need
from internet import NameServer, Relay, toml, wait_inbox


def section(name, key):
    """A table of the shared site's configuration of a role."""
    given = tomllib.loads(site().config(name).read_text())[key]
    return f"[{key}]\n" + "".join(f"{name} = {toml(value)}\n" for name, value in given.items())


class Exchanger:
    """An exchanger of the shared site with filters of its own, which trusts nobody."""

    tries = 3

    def __init__(self, filters, dns=1, authentication="enabled = false", top=""):
        self.folder = scratch("chasqui-mx-")
        self.smtp, self.metrics = ports.free_port(), ports.free_port()
        self.config = self.folder / "mx.toml"
        self.config.write_text(f"""\
hostname = "mx.ejemplo.test"
postmaster = "ana@ejemplo.test"
listen = ["127.0.0.1:{self.smtp}"]
metrics = "127.0.0.1:{self.metrics}"
{top}
[spool]
path = "{self.folder}/spool"
[dns]
servers = ["127.0.0.1:{dns}"]
dnssec = false
[filter.authentication]
{authentication}
[filter.connection]
trusted_networks = []
{filters}
{section("mx", "directory")}{section("mx", "tls")}""")

    def start(self):
        self.process = Process([binary(), "mx", "--config", str(self.config), "--log-format", "json"], self.folder / "log")

        def ready():
            if not self.process.running():
                if "already listens there" in self.process.log_text() and self.tries:
                    self.tries -= 1
                    return True
                raise AssertionError(self.process.log_text()[-4000:])
            return listens(self.metrics)

        wait_until(ready, "the exchanger is not ready", 40)
        return self if self.process.running() else self.move().start()

    def move(self):
        """To other ports: another program was quicker."""
        text = self.config.read_text()
        for old in (self.smtp, self.metrics):
            text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{ports.free_port()}")
        self.config.write_text(text)
        (self.folder / "log").unlink()
        given = tomllib.loads(text)
        self.smtp, self.metrics = (int(address.rsplit(":", 1)[1]) for address in (given["listen"][0], given["metrics"]))
        return self

    def stop(self):
        self.process.stop()

    def send(self, name, octets, sender="alguien@example.org"):
        """The reply to the first command that is refused, or to the message: code and text."""
        with clients.smtp(self) as client:
            client.ehlo("cliente.example.org")
            for command in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{address(name)}>", "DATA"):
                code, text = client.docmd(command)
                if code >= 400:
                    return code, text.decode()
            client.send(clients.dot_stuffed(octets) + b".\r\n")
            code, text = client.getreply()
            return code, text.decode()

    def page(self):
        return urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=10).read().decode()


def text(body, subject="prueba", more=""):
    """A plain message."""
    return (f"From: Alguien <alguien@example.org>\r\nTo: ana@ejemplo.test\r\nSubject: {subject}\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n"
            f"Message-ID: <{time.monotonic_ns()}@example.org>\r\n{more}\r\n{body}\r\n").encode()


class Filters(Test):
    def exchanger(self, filters, **options):
        mx = Exchanger(filters, **options).start()
        self.addCleanup(mx.stop)
        return mx

    def only(self, name, folder="INBOX"):
        """The one message of a folder."""
        def look():
            with imap(self.site, name) as client:
                if folder != "INBOX" and client.status(folder, "(MESSAGES)")[0] != "OK":
                    return None
                found = list(contents(client, folder).values())
                return found if found else None

        found = wait_until(look, f"nothing in {folder}")
        self.assertEqual(len(found), 1)
        return email.message_from_bytes(found[0])

    def count(self, name, folder="INBOX"):
        with imap(self.site, name) as client:
            return len(contents(client, folder))


class Viruses(Filters):
    @classmethod
    def setUpClass(cls):
        need("clamd")
        cls.clamd = Clamd().start()
        cls.addClassCleanup(cls.clamd.stop)

    def clamav(self, more=""):
        return f'[filter.content.clamav]\naddress = "{self.clamd.address}"\ndeadline = "3s"\n{more}'

    def attached(self):
        """A virus in an attachment."""
        return clients.message()[:0] + (
            b"From: a@example.org\r\nTo: b@example.org\r\nSubject: factura\r\nMIME-Version: 1.0\r\n"
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nver\r\n--b\r\nContent-Type: application/octet-stream\r\n"
            b"Content-Disposition: attachment; filename=factura.com\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            b"WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFOVElWSVJVUy1URVNU\r\nLUZJTEUhJEgrSCo=\r\n--b--\r\n"
        )

    def test_a_virus_is_refused_in_session_and_what_is_clean_says_so(self):
        mx, name = self.exchanger(self.clamav()), account()
        for infected in (text(EICAR.decode()), self.attached()):
            code, reply = mx.send(name, infected)
            self.assertEqual((code, reply.split()[0]), (550, "5.7.1"), reply)
            self.assertIn("Eicar-Test-Signature", reply)
        for _ in range(3):
            self.assertEqual(mx.send(name, text("hola"))[0], 250)
        self.assertEqual(self.count(name), 3)
        with imap(self.site, name) as client:
            for octets in contents(client).values():
                self.assertIn(b"X-Virus-Scanned: ClamAV at mx.ejemplo.test\r\n", octets)
        self.assertIn('chasqui_filter_contents_total{filter="clamav",outcome="infected"} 2', mx.page())

    def test_a_virus_goes_to_junk_where_the_operator_wants_it(self):
        mx, name = self.exchanger(self.clamav('infected = "junk"\n')), account()
        self.assertEqual(mx.send(name, text(EICAR.decode()))[0], 250)
        self.assertEqual(self.only(name, "Junk")["X-Virus-Status"], "Infected (Eicar-Test-Signature.UNOFFICIAL)")

    def test_a_filter_that_is_away_hangs_or_may_not_read_it_all_marks_or_defers(self):
        name, clamd = account(), Clamd().start()
        self.addCleanup(clamd.stop)
        settings = f'[filter.content.clamav]\naddress = "{clamd.address}"\ndeadline = "1s"\nwhen_away = '
        marks, defers = self.exchanger(settings + '"mark"\n'), self.exchanger(settings + '"defer"\n')
        self.assertEqual(defers.send(name, text("antes"))[0], 250)
        # Larger than clamd's StreamMaxLength.
        self.assertEqual(defers.send(name, text("x" * 70 + ("\r\n" + "y" * 70) * 100_000))[0], 451)
        clamd.process.signal(signal.SIGSTOP)
        began = time.monotonic()
        code, reply = defers.send(name, text("colgado"))
        self.assertEqual((code, reply.split()[0]), (451, "4.7.1"))
        self.assertLess(time.monotonic() - began, 5)
        clamd.process.signal(signal.SIGCONT)
        clamd.process.kill()
        self.assertEqual(defers.send(name, text("muerto"))[0], 451)
        self.assertEqual(marks.send(name, text("marcado", subject="marcado"))[0], 250)
        with imap(self.site, name) as client:
            found = [octets for octets in contents(client).values() if b"Subject: marcado" in octets]
        self.assertIn(b"X-Chasqui-Unfiltered: clamav\r\n", found[0])
        # And back again, without a restart of ours.
        clamd.start()
        wait_until(lambda: defers.send(name, text("vuelve"))[0] == 250, "clamd is not used again")


class Spam(Filters):
    @classmethod
    def setUpClass(cls):
        need("spamd", "spamc", "sa-learn")
        cls.spamd = Spamd().start()
        cls.addClassCleanup(cls.spamd.stop)

    def spamassassin(self, more=""):
        return f'[filter.content.spamassassin]\naddress = "{self.spamd.address}"\n{more}'

    def test_spam_is_filed_into_junk_with_the_lines_that_say_why(self):
        mx, name = self.exchanger(self.spamassassin()), account()
        forged = "X-Spam-Flag: NO\r\nX-Spam-Score: -100\r\nX-Virus-Status: Clean\r\n"
        self.assertEqual(mx.send(name, text(GTUBE, more=forged))[0], 250)
        found = self.only(name, "Junk")
        self.assertEqual(found.get_all("X-Spam-Flag"), ["YES"])
        self.assertEqual(len(found.get_all("X-Spam-Score")), 1)
        self.assertGreater(float(found["X-Spam-Score"]), 900)
        self.assertIn("GTUBE", found["X-Spam-Status"])
        self.assertIsNone(found["X-Virus-Status"])
        with imap(self.site, name) as client:
            folders = b"\n".join(ok(client.list()))
            self.assertIn(b"\\Junk", folders)
            self.assertEqual(len(contents(client)), 0, "nothing in INBOX")

    def test_ham_goes_to_the_inbox(self):
        mx, name = self.exchanger(self.spamassassin()), account()
        self.assertEqual(mx.send(name, text("¿Almorzamos el martes?"))[0], 250)
        found = self.only(name)
        self.assertEqual(found["X-Spam-Flag"], "NO")

    def test_spam_is_refused_above_a_second_score(self):
        mx, name = self.exchanger(self.spamassassin("reject_score = 100.0\n")), account()
        code, reply = mx.send(name, text(GTUBE))
        self.assertEqual((code, reply.split()[0]), (550, "5.7.1"))
        self.assertEqual(mx.send(name, text("basura local"))[0], 250)
        self.assertEqual(self.only(name, "Junk")["X-Spam-Flag"], "YES")

    def test_junk_that_was_deleted_is_made_again(self):
        mx, name = self.exchanger(self.spamassassin()), account()
        with imap(self.site, name) as client:
            ok(client.list())
            ok(client.delete("Junk"))
        self.assertEqual(mx.send(name, text(GTUBE))[0], 250)
        self.assertEqual(self.only(name, "Junk")["X-Spam-Flag"], "YES")

    def test_a_hanging_spamd_does_not_hold_up_mail(self):
        spamd = Spamd().start()
        self.addCleanup(spamd.stop)
        mx = self.exchanger(f'[filter.content.spamassassin]\naddress = "{spamd.address}"\ndeadline = "1s"\n')
        name = account()
        spamd.process.signal(signal.SIGSTOP)
        self.addCleanup(spamd.process.signal, signal.SIGCONT)
        began = time.monotonic()
        self.assertEqual(mx.send(name, text("hola"))[0], 250)
        self.assertLess(time.monotonic() - began, 6)
        self.assertEqual(self.only(name)["X-Chasqui-Unfiltered"], "spamassassin")


class Training(Filters):
    """A storage node of its own configuration: the shared one learns nothing."""

    @classmethod
    def setUpClass(cls):
        need("spamd", "spamc", "sa-learn")
        cls.spamd = Spamd().start()
        cls.addClassCleanup(cls.spamd.stop)

    def learn(self, kind):
        return f'["spamc", "-d", "127.0.0.1", "-p", "{self.spamd.port}", "-L", "{kind}", "-u", "{{user}}"]'

    def teach(self, **commands):
        """Restarts the storage node with these learners, and once more without any at the end."""
        def restart(spam="[]", ham="[]"):
            self.site.set("storage1", "junk_training.spam", spam)
            self.site.set("storage1", "junk_training.ham", ham)
            self.site.restart("storage1")

        self.addCleanup(restart)
        restart(**commands)

    def test_moving_mail_into_junk_and_out_of_it_teaches_spamassassin(self):
        name = account()
        self.teach(spam=self.learn("spam"), ham=self.learn("ham"))
        user = address(name)
        clients.send(self.site, name, text("compre ahora mismo este producto increible"))
        with imap(self.site, name) as client:
            ok(client.list())
            ok(client.select("INBOX"))
            ok(client.uid("MOVE", "1:*", "Junk"))
            wait_until(lambda: self.spamd.learnt(user) == (1, 0), "not learnt as spam", 60)
            ok(client.select("Junk"))
            ok(client.uid("MOVE", "1:*", "INBOX"))
            wait_until(lambda: self.spamd.learnt(user) == (0, 1), "not learnt as wanted", 60)

    def test_a_learner_that_fails_is_no_matter_for_the_user(self):
        name = account()
        self.teach(spam='["/bin/sh", "-c", "exit 7"]')
        clients.send(self.site, name, text("compre"))
        with imap(self.site, name) as client:
            ok(client.list())
            ok(client.select("INBOX"))
            ok(client.uid("MOVE", "1:*", "Junk"))
            self.assertEqual(len(contents(client, "Junk")), 1)
        wait_until(lambda: "not learnt" in self.site.log_text("storage1"), "the failure is not logged")


class Milters(Filters):
    @classmethod
    def setUpClass(cls):
        if not pathlib.Path("/usr/lib/python3/dist-packages/Milter").exists():
            need("python3-milter")
        cls.milter = Milter().start()
        cls.addClassCleanup(cls.milter.stop)

    def settings(self, more=""):
        return f'[[filter.content.milter]]\nname = "prueba"\naddress = "{self.milter.address}"\n{more}'

    def test_it_is_told_everything_in_its_order(self):
        mx, name = self.exchanger(self.settings()), account()
        before = len(self.milter.seen())
        self.assertEqual(mx.send(name, text("hola"))[0], 250)
        wait_until(lambda: self.milter.seen()[-1] == "close", "the milter was not told of the end")
        seen = self.milter.seen()[before:]
        self.assertEqual(seen[0], "connect [127.0.0.1] 127.0.0.1 mx.ejemplo.test")
        self.assertEqual(seen[1], "hello cliente.example.org")
        self.assertEqual(seen[2], "mail <alguien@example.org>  id=True")
        self.assertEqual(seen[3], f"rcpt <{address(name)}>")
        self.assertEqual(seen[4], "headers From To Subject Date Message-ID")
        self.assertEqual(seen[5:], ["body 6", "close"])

    def test_it_refuses_senders_recipients_and_messages(self):
        mx, name = self.exchanger(self.settings()), account()
        self.assertEqual(mx.send(name, text("x"), sender="rechazado@example.org"), (550, "5.7.1 El milter no quiere a este remitente"))
        code, reply = mx.send(name, text("x", subject="rechaza"))
        self.assertEqual((code, reply.split()[0]), (554, "5.7.1"))
        self.assertIn("100% no", reply)
        self.assertEqual(mx.send(name, text("x", subject="en la cabecera"))[0], 550)
        self.assertEqual(self.count(name), 0)

    def test_its_changes_reach_the_mailbox(self):
        mx, name = self.exchanger(self.settings()), account()
        self.assertEqual(mx.send(name, text("y" * 100_000, subject="cambia", more="X-Quitar: si\r\n"))[0], 250)
        found = self.only(name)
        self.assertEqual(found["Subject"], "otro asunto")
        self.assertIsNone(found["X-Quitar"])
        self.assertEqual((found["X-Milter-First"], " ".join(found["X-Milter"].split())), ("primero", "al final plegado"))
        self.assertEqual(found.get_payload(), "otro cuerpo\r\n" * 20_000)

    def test_quarantine_and_discard_go_to_junk(self):
        mx = self.exchanger(self.settings())
        for subject, reason in (("cuarentena", "sospechoso"), ("descarta", "discarded by prueba")):
            name = account()
            self.assertEqual(mx.send(name, text("x", subject=subject))[0], 250)
            self.assertEqual(self.only(name, "Junk")["X-Chasqui-Quarantine"], reason)

    def test_one_that_hangs_or_dies_marks_or_defers(self):
        milter = Milter().start()
        self.addCleanup(milter.stop)
        settings = f'[[filter.content.milter]]\nname = "prueba"\naddress = "{milter.address}"\ncommand_deadline = "1s"\nwhen_away = '
        marks, defers, name = self.exchanger(settings + '"mark"\n'), self.exchanger(settings + '"defer"\n'), account()
        self.assertEqual(defers.send(name, text("x", subject="cuelga"))[0], 451)
        milter.process.kill()
        self.assertEqual(defers.send(name, text("x"))[0], 451)
        self.assertEqual(marks.send(name, text("x"))[0], 250)
        self.assertEqual(self.only(name)["X-Chasqui-Unfiltered"], "prueba")


class Authenticity(Filters):
    """Who a message is from, and what its domain hears of it."""

    def test_a_forged_sender_is_refused_where_its_domain_asks_for_it_and_the_domain_gets_a_report(self):
        need("named")
        # The report's address is in another domain, which must say that it wants it (RFC 7489 §7.1).
        name = account()
        dns = NameServer({"banco.test": "127.0.0.44", "ejemplo.test": "127.0.0.1", "example.org": "127.0.0.1"}, (
            "@ TXT \"v=spf1 ip4:192.0.2.1 -all\"\n"
            f'_dmarc TXT "v=DMARC1; p=reject; rua=mailto:{address(name)}"\nbanco.test._report._dmarc TXT "v=DMARC1"\n'
        ))
        (dns.folder / "example.org").write_text("$TTL 60\n@ SOA ns.banco.test. admin 1 60 60 60 60\n@ NS ns.banco.test.\n")
        dns.start()
        self.addCleanup(dns.stop)
        relay = Relay(dns.port, 9).start()
        self.addCleanup(relay.stop)
        folder = scratch()
        mx = self.exchanger(
            f'[filter.reports]\nfrom = "dmarc@ejemplo.test"\ninterval = "1m"\ndatabase = "{folder}/reports.sqlite"\n',
            dns=dns.port, authentication="enabled = true", top=f'relay = ["localhost:{relay.inside}"]',
        )
        forged = text("transferencia", more="Authentication-Results: mx.ejemplo.test; dmarc=pass\r\n").replace(b"alguien@example.org", b"jefe@banco.test")
        code, reply = mx.send(name, forged, sender="jefe@banco.test")
        self.assertEqual((code, reply.split()[0]), (550, "5.7.1"))
        # example.org says nothing about its mail.
        self.assertEqual(mx.send(name, text("hola", more="Authentication-Results: mx.ejemplo.test; dmarc=pass\r\n"))[0], 250)
        found = self.only(name)
        self.assertEqual(len(found.get_all("Authentication-Results")), 1)
        self.assertRegex(found["Authentication-Results"], r"^mx\.ejemplo\.test;")
        self.assertNotIn("dmarc=pass", found["Authentication-Results"])
        report = wait_inbox(name, lambda octets: b"Report Domain: banco.test" in octets, 150)
        self.assertIn(b"application/gzip", report)


class Bounds(Filters):
    def test_long_headers_and_nested_parts_are_refused_and_logged(self):
        mx, name = self.exchanger(""), account()
        code, reply = mx.send(name, text("x", more="X-Largo: " + "a" * 600_000 + "\r\n"))
        self.assertEqual((code, reply.split()[0]), (552, "5.3.4"))
        nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(2000))
        code, reply = mx.send(name, nested)
        self.assertEqual((code, reply.split()[0]), (554, "5.6.0"))
        code, reply = mx.send(name, b"Received: x\r\n" * 200 + b"\r\nx\r\n")
        self.assertEqual((code, reply.split()[0]), (554, "5.4.6"))
        for outcome in ("header", "nested", "loop"):
            self.assertIn(f'"outcome":"{outcome}"', mx.process.log_text())

    def test_a_hundred_thousand_recipients_are_bounded(self):
        mx, name = self.exchanger(""), account()
        before = memory(mx.process.pid)
        with clients.Wire(mx.smtp) as wire:
            wire.say("EHLO cliente.example.org")
            wire.say("MAIL FROM:<a@example.org>")
            codes = []
            for _ in range(200):
                wire.send(f"RCPT TO:<{address(name)}>\r\n" * 500)
                codes += [wire.reply()[0] for _ in range(500)]
            self.assertEqual((codes.count(250), codes.count(452)), (1000, 99_000))
            self.assertEqual(wire.say("DATA")[0], 354)
            wire.send(text("x") + b".\r\n")
            self.assertEqual(wire.reply()[0], 250)
        self.assertEqual(self.count(name), 1)
        self.assertLess(memory(mx.process.pid) - before, 50_000_000)

    def test_ten_thousand_connections_leave_room_for_others(self):
        mx, name = self.exchanger(""), account()
        refused, held = 0, []
        self.addCleanup(lambda: [connection.close() for connection in held])
        for _ in range(10_000):
            connection = socket.create_connection(("127.0.0.1", mx.smtp), 10)
            if connection.recv(100).startswith(b"421 4.7.0"):
                refused += 1
                connection.close()
            else:
                held.append(connection)
        self.assertEqual((len(held), refused), (100, 9900))
        with clients.smtp(mx, "127.0.0.2") as client:
            client.ehlo("cliente.example.org")
            self.assertEqual(client.docmd("MAIL", "FROM:<a@example.org>")[0], 250)
            self.assertEqual(client.docmd("RCPT", f"TO:<{address(name)}>")[0], 250)
        self.assertIn("over the connection limit", mx.process.log_text())

    def test_greylisting_lets_the_second_attempt_in_also_after_a_restart(self):
        greylist = f'[filter.connection.greylist]\nenabled = true\npath = "{scratch()}/greylist.db"\ndelay = "1s"\n'
        mx, name = self.exchanger(greylist), account()
        code, reply = mx.send(name, text("x"))
        self.assertEqual((code, reply.split()[0]), (451, "4.7.1"))
        mx.stop()
        mx.start()
        time.sleep(2)
        self.assertEqual(mx.send(name, text("x"))[0], 250)

    def test_a_network_that_sends_too_much_is_put_off(self):
        mx, name = self.exchanger("[filter.connection.rates]\nmessages = 3\nrecipients = 100\n"), account()
        replies = [mx.send(name, text("x"))[0] for _ in range(5)]
        self.assertEqual(replies, [250, 250, 250, 450, 450])
        refused = self.exchanger("[filter.connection.rates]\nconnections = 1\n")
        self.assertEqual(refused.send(name, text("x"))[0], 250)
        with clients.Wire(refused.smtp) as wire:
            self.assertTrue(wire.greeting.startswith("421 4.7.0"), wire.greeting)

    def test_our_own_name_in_a_greeting_is_refused_and_odd_ones_are_marked(self):
        mx, name = self.exchanger(""), account()
        with clients.Wire(mx.smtp) as wire:
            wire.say("EHLO mx.ejemplo.test")
            wire.say("MAIL FROM:<a@example.org>")
            self.assertEqual(wire.say(f"RCPT TO:<{address(name)}>")[0], 550)
            self.assertEqual(wire.say("RCPT TO:<postmaster>")[0], 250)
        with clients.Wire(mx.smtp) as wire:
            wire.say("EHLO pc")
            wire.say("MAIL FROM:<a@example.org>")
            self.assertEqual(wire.say(f"RCPT TO:<{address(name)}>")[0], 250)
            wire.say("DATA")
            wire.send(text("x", more="X-Chasqui-Marks: forged\r\n") + b".\r\n")
            self.assertEqual(wire.reply()[0], 250)
        self.assertEqual(self.only(name).get_all("X-Chasqui-Marks"), ["hello-invalid"])


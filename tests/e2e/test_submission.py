"""Submission: who may hand in mail, as whom, how much, and what becomes of the message."""

import base64
import email
import json
import re
import smtplib
import subprocess
import time

from common import DOMAIN, PASSWORD, Test, account, address, site
from harness import clients
from harness.clients import Wire
from harness.site import binary, scratch
from harness.suite import need
from internet import Relay, wait_inbox

NOWHERE = 9  # The port at which nobody answers: no name is looked up, and nothing leaves.


def relay(**sections):
    """A relay with these sections in its configuration."""
    texts = (f"[{name.replace('_', '.')}]\n{text}\n" for name, text in sections.items())
    return Relay(NOWHERE, NOWHERE, delivery="\n".join(texts))


def letter(sender, to, **fields):
    lines = [f"From: {address(sender)}", f"To: {address(to)}"] + [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", "Hola.", ""])


class Submission(Test):
    @classmethod
    def setUpClass(cls):
        cls.keys = scratch("chasqui-dkim-")
        made = subprocess.run(
            [binary(), "dkim", "rotate", DOMAIN, "--keys", str(cls.keys), "--json"], capture_output=True, text=True, check=True
        )
        cls.pairs = json.loads(made.stdout)[0]["pairs"]
        cls.relay = relay(signing=f'keys = "{cls.keys}"').start()
        cls.addClassCleanup(cls.relay.stop)

    def setUp(self):
        self.name, self.other = account(), account()

    def user(self, name=None, tls="start"):
        context = clients.context(site())
        if tls == "start":
            client = smtplib.SMTP("localhost", self.relay.port, timeout=30)
            client.starttls(context=context)
        else:
            client = smtplib.SMTP_SSL("localhost", self.relay.tls_port, timeout=30, context=context)
        self.addCleanup(client.close)
        client.login(address(name or self.name), PASSWORD)
        client.ehlo()
        return client

    def arrives(self, subject):
        found = wait_inbox(self.other, lambda octets: f"Subject: {subject}".encode() in octets)
        return found, email.message_from_bytes(found)


class LogIn(Submission):
    def test_python_logs_in_with_and_without_starttls(self):
        for tls in ("start", "first"):
            with self.subTest(tls=tls):
                client = self.user(tls=tls)
                client.sendmail(address(self.name), [address(self.other)], letter(self.name, self.other, Subject=tls))
                found, _ = self.arrives(tls)
                self.assertRegex(found, rb"with ESMTPSA \(TLS")

    def test_curl_sends_a_message(self):
        need("curl")
        file = scratch() / "letter"
        file.write_bytes(letter(self.name, self.other, Subject="curl").encode())
        subprocess.run(
            ["curl", "-sS", "--ssl-reqd", "--cacert", str(site().ca), f"smtp://localhost:{self.relay.port}", "--user",
             f"{address(self.name)}:{PASSWORD}", "--mail-from", address(self.name), "--mail-rcpt", address(self.other), "--upload-file", str(file)],
            check=True, timeout=60,
        )
        self.arrives("curl")

    def test_msmtp_proves_its_password_by_scram(self):
        need("msmtp")
        for password, code in ((PASSWORD, 0), ("otra", 77)):
            with self.subTest(password=password):
                done = subprocess.run(
                    ["msmtp", "--host=localhost", f"--port={self.relay.port}", "--tls=on", f"--tls-trust-file={site().ca}", "--auth=scram-sha-256",
                     f"--user={address(self.name)}", f"--passwordeval=echo '{password}'", f"--from={address(self.name)}", address(self.other)],
                    input=letter(self.name, self.other, Subject="msmtp"), capture_output=True, text=True, timeout=60,
                )
                self.assertEqual(done.returncode, code, done.stderr)
        self.arrives("msmtp")

    def test_gsasl_binds_its_proof_to_the_tls_connection(self):
        need("gsasl")
        done = subprocess.run(
            ["gsasl", "--smtp", f"--connect=localhost:{self.relay.port}", "-m", "SCRAM-SHA-256-PLUS", "-a", address(self.name),
             f"--password={PASSWORD}", f"--x509-ca-file={site().ca}"],
            input="QUIT\r\n", capture_output=True, text=True, timeout=60,
        )
        self.assertIn("235 2.7.0", done.stdout + done.stderr)

    def test_nothing_is_relayed_for_who_has_not_logged_in(self):
        for tls in (False, True):
            wire = Wire(self.relay.tls_port, tls=clients.context(site())) if tls else Wire(self.relay.port)
            self.addCleanup(wire.close)
            wire.say("EHLO portatil.example")
            for command, codes in (
                (f"MAIL FROM:<{address(self.name)}>", {530}), (f"RCPT TO:<{address(self.other)}>", {503, 530}), ("DATA", {503, 530}), ("BDAT 0 LAST", {503, 530}),
            ):
                self.assertIn(wire.say(command)[0], codes, command)
            if not tls:
                secret = base64.b64encode(f"\0{address(self.name)}\0{PASSWORD}".encode()).decode()
                self.assertEqual(wire.say(f"AUTH PLAIN {secret}")[0], 538)

    def test_an_account_without_the_service_may_not_submit(self):
        site().run("user", "set", address(self.name), "--services", "imap,pop3")
        time.sleep(1.0)
        with self.assertRaises(smtplib.SMTPAuthenticationError) as refused:
            self.user()
        self.assertEqual((refused.exception.smtp_code, refused.exception.smtp_error[:6]), (535, b"5.7.13"))


class Sender(Submission):
    def refused(self, client, sender, text):
        try:
            client.sendmail(sender, [address(self.other)], text)
        except smtplib.SMTPResponseException as error:
            return f"{error.smtp_code} {error.smtp_error.decode()}"
        return None

    def test_an_address_of_somebody_else_is_refused_in_envelope_and_header(self):
        client = self.user()
        says = f"550 5.7.1 {address(self.name)} may not send mail as {address(self.other)}"
        self.assertEqual(self.refused(client, address(self.other), letter(self.name, self.other)), says)
        self.assertEqual(self.refused(client, address(self.name), letter(self.other, self.other)), says)
        self.assertEqual(self.refused(client, "", letter(self.other, self.other)), says)
        self.assertIsNone(self.refused(client, address(self.name), letter(self.name, self.other, Subject="propio")))
        self.arrives("propio")

    def test_own_aliases_and_delegated_addresses_may_be_used(self):
        alias, shared, chief = f"alias-{self.name}@{DOMAIN}", f"grupo-{self.name}@{DOMAIN}", account()
        site().run("alias", "add", alias, address(self.name))
        site().run("alias", "add", shared, address(self.name), address(self.other))
        site().run("user", "delegate", address(self.name), address(chief))
        time.sleep(1.0)
        client = self.user()
        for sender, allowed in ((alias, True), (shared, False), (address(chief), True), (f"{self.name}+tienda@{DOMAIN}", True)):
            with self.subTest(sender=sender):
                said = self.refused(client, sender, letter(sender, self.other, Subject=sender))
                self.assertEqual(said is None, allowed, said)

    def test_who_has_sent_enough_is_told_when_to_go_on_even_across_a_restart(self):
        limited = relay(senders_rates_user="messages_per_hour = 2").start()
        self.addCleanup(lambda: limited.stop())

        def send():
            limited.submit(self.name, [address(self.other)], "cuenta")

        for _ in range(2):
            send()
        for again in (False, True):
            if again:
                limited.stop()
                limited.start()
            with self.assertRaises(smtplib.SMTPSenderRefused) as refused:
                send()
            self.assertEqual(refused.exception.smtp_code, 450)
            self.assertRegex(refused.exception.smtp_error, rb"^4\.7\.1 .* may send 2 messages in one hour: try again after 20\d\d-")
        self.assertIn("sending limit reached", limited.log_text())


class Message(Submission):
    def test_date_and_message_id_are_added_and_blind_copies_stay_blind(self):
        client = self.user()
        text = letter(self.name, self.other, Bcc="secreto@example.org", Subject="completo")
        client.sendmail(address(self.name), [address(self.other)], text)
        octets, found = self.arrives("completo")
        self.assertNotIn(b"secreto", octets)
        self.assertIsNotNone(email.utils.parsedate_to_datetime(found["Date"]))
        self.assertRegex(found["Message-ID"], r"^<[0-9a-z]{26}@relay\.ejemplo\.test>$")
        self.assertNotIn("127.0.0.1", " ".join(found.get_all("Received")))

    def test_a_message_carries_both_signatures_of_the_pair_that_is_published(self):
        client = self.user()
        client.sendmail(address(self.name), [address(self.other)], letter(self.name, self.other, Subject="firmado"))
        _, found = self.arrives("firmado")
        signatures = found.get_all("DKIM-Signature")
        selectors = {re.search(r"s=([^;]+);", text)[1] for text in signatures}
        self.assertEqual(selectors, {record["selector"] for record in self.pairs[0]["records"]})
        for text in signatures:
            self.assertIn(f"d={DOMAIN};", text)
            self.assertNotIn(" l=", text)

    def test_a_big_message_arrives_whole(self):
        body = "".join(f"línea {n} {'x' * 60}\r\n" for n in range(150_000))
        text = (letter(self.name, self.other, Subject="grande") + body).encode()
        client = self.user()
        client.sendmail(address(self.name), [address(self.other)], text, ["BODY=8BITMIME"])
        octets, _ = self.arrives("grande")
        self.assertEqual(octets.split(b"\r\n\r\n", 1)[1], text.split(b"\r\n\r\n", 1)[1])

    def test_a_message_is_held_as_long_as_its_sender_wants(self):
        client = self.user()
        self.assertIn("futurerelease", client.esmtp_features)
        begun = time.monotonic()
        client.sendmail(address(self.name), [address(self.other)], letter(self.name, self.other, Subject="luego"), ["HOLDFOR=3"])
        self.arrives("luego")
        self.assertGreater(time.monotonic() - begun, 2.5)
        self.assertEqual(client.docmd("MAIL", f"FROM:<{address(self.name)}> HOLDFOR=999999999")[0], 501)

    def test_a_header_that_nobody_could_answer_for_is_refused(self):
        client = self.user()
        for text, says in (
            ("Subject: x\r\n\r\n", b"no From"),
            (letter(self.name, self.other).replace("To:", "From:"), b"more than one From"),
            ("hola\r\n", b"no field"),
            (letter("ñandú", self.other), b"octets above 127"),
        ):
            client.docmd("MAIL", f"FROM:<{address(self.name)}>")
            client.docmd("RCPT", f"TO:<{address(self.other)}>")
            code, said = client.data(text.encode())
            self.assertEqual(code, 554, said)
            self.assertIn(says, said)

    def test_unknown_local_recipients_are_refused_at_once(self):
        client = self.user()
        client.docmd("MAIL", f"FROM:<{address(self.name)}>")
        for recipient, code, enhanced in ((f"nadie-nunca@{DOMAIN}", 550, b"5.1.1"), ("x@localhost", 550, b"5.1.2"), ("x@example.net", 250, b"2.1.5")):
            got, said = client.docmd("RCPT", f"TO:<{recipient}>")
            self.assertEqual((got, said.split()[0]), (code, enhanced), said)

"""The exchanger on the wire: codes, extensions, limits and smuggling."""

import smtplib
import time

from common import DOMAIN, Test, account, address
from harness import clients
from harness.clients import Wire, contents, dot_stuffed, imap, message, send
from harness.site import wait_until


class Dialogue(Test):
    def open(self, source="127.0.0.1"):
        wire = Wire(self.site.smtp, source)
        self.addCleanup(wire.close)
        self.assertTrue(wire.greeting.startswith("220 "), wire.greeting)
        self.assertEqual(wire.say("EHLO cliente.example.org")[0], 250)
        return wire

    def inbox(self, name):
        with imap(self.site, name) as client:
            return list(contents(client).values())


class Codes(Dialogue):
    def refused(self, wire, recipient, code, enhanced):
        got, lines = wire.say(f"RCPT TO:<{recipient}>")
        self.assertEqual((got, lines[0].split()[0]), (code, enhanced), lines)

    def test_ehlo_lists_the_extensions(self):
        wire = Wire(self.site.smtp)
        self.addCleanup(wire.close)
        code, lines = wire.say("EHLO cliente.example.org")
        self.assertEqual(code, 250)
        words = {line.split()[0] for line in lines[1:]}
        wanted = {"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "STARTTLS", "ENHANCEDSTATUSCODES", "CHUNKING", "LIMITS"}
        self.assertLessEqual(wanted, words)

    def test_unknown_recipient_is_refused_before_data(self):
        wire = self.open()
        wire.say("MAIL FROM:<alguien@example.org>")
        self.refused(wire, f"nadie@{DOMAIN}", 550, "5.1.1")

    def test_foreign_recipient_is_refused_as_relaying(self):
        wire = self.open()
        wire.say("MAIL FROM:<alguien@example.org>")
        self.refused(wire, "alguien@otro.example", 550, "5.7.1")

    def test_data_without_a_recipient_is_refused(self):
        wire = self.open()
        wire.say("MAIL FROM:<alguien@example.org>")
        self.refused(wire, f"nadie@{DOMAIN}", 550, "5.1.1")
        code, _ = wire.say("DATA")
        self.assertIn(code, (503, 554))

    def test_commands_out_of_order_are_refused(self):
        wire = Wire(self.site.smtp)
        self.addCleanup(wire.close)
        self.assertEqual(wire.say("MAIL FROM:<alguien@example.org>")[0], 503)
        self.assertEqual(wire.say("EHLO cliente.example.org")[0], 250)
        self.assertEqual(wire.say(f"RCPT TO:<ana@{DOMAIN}>")[0], 503)
        self.assertIn(wire.say("HOCUS POCUS")[0], (500, 502))
        self.assertEqual(wire.say("NOOP")[0], 250)
        self.assertIn(wire.say("VRFY ana")[0], (252, 502))
        self.assertEqual(wire.say("RSET")[0], 250)
        self.assertEqual(wire.say("QUIT")[0], 221)

    def test_a_declared_size_over_the_limit_is_refused_at_mail(self):
        wire = self.open()
        code, lines = wire.say("MAIL FROM:<alguien@example.org> SIZE=99999999999")
        self.assertEqual((code, lines[0].split()[0]), (552, "5.3.4"))

    def test_a_full_mailbox_is_452_before_data(self):
        name = account(quota="20KB")
        over = message(size=30_000)
        with self.assertRaises(AssertionError) as caught:
            send(self.site, name, over)
        self.assertIn("452", str(caught.exception))
        self.assertEqual(self.inbox(name), [])
        # The owner reported it, so that the next sender hears of it before data.
        wire = self.open()

        def told():
            wire.say("RSET")
            wire.say("MAIL FROM:<alguien@example.org>")
            code, lines = wire.say(f"RCPT TO:<{address(name)}>")
            return (code, lines[0].split()[0]) == (452, "4.2.2")

        send_small = message(size=15_000)
        try:
            send(self.site, name, send_small)
            send(self.site, name, message(size=15_000))
        except AssertionError:
            pass
        wait_until(told, "the full mailbox is not refused at RCPT", 5)

    def test_headers_of_a_bare_helo_client_work_too(self):
        name = account()
        wire = Wire(self.site.smtp)
        self.addCleanup(wire.close)
        for command, code in (
            ("HELO viejo.example.org", 250), ("MAIL FROM:<a@example.org>", 250), (f"RCPT TO:<{address(name)}>", 250), ("DATA", 354),
        ):
            self.assertEqual(wire.say(command)[0], code)
        wire.send(b"Subject: viejo\r\n\r\nhola\r\n.\r\n")
        self.assertEqual(wire.reply()[0], 250)


class Extensions(Dialogue):
    def test_pipelined_commands_are_answered_in_order(self):
        name = account()
        wire = self.open()
        wire.send(
            f"MAIL FROM:<a@example.org>\r\nRCPT TO:<nadie@{DOMAIN}>\r\nRCPT TO:<{address(name)}>\r\n"
            f"RCPT TO:<x@otro.example>\r\nDATA\r\n"
        )
        self.assertEqual([wire.reply()[0] for _ in range(5)], [250, 550, 250, 550, 354])
        wire.send(dot_stuffed(message()) + b".\r\n" + b"NOOP\r\nQUIT\r\n")
        self.assertEqual([wire.reply()[0] for _ in range(3)], [250, 250, 221])
        self.assertEqual(len(self.inbox(name)), 1)

    def test_chunks_are_joined_octet_for_octet(self):
        name, sent = account(), message(size=50_000)
        wire = self.open()
        wire.say("MAIL FROM:<a@example.org>")
        wire.say(f"RCPT TO:<{address(name)}>")
        for start in range(0, len(sent), 7_001):
            part = sent[start:start + 7_001]
            last = " LAST" if start + 7_001 >= len(sent) else ""
            wire.send(f"BDAT {len(part)}{last}\r\n".encode() + part)
            self.assertEqual(wire.reply()[0], 250)
        self.assert_same_mail(self.inbox(name), [sent])

    def test_an_empty_last_chunk_ends_the_message(self):
        name, sent = account(), message()
        wire = self.open()
        wire.send(
            f"MAIL FROM:<a@example.org>\r\nRCPT TO:<{address(name)}>\r\nBDAT {len(sent)}\r\n".encode() + sent + b"BDAT 0 LAST\r\n"
        )
        self.assertEqual([wire.reply()[0] for _ in range(4)], [250, 250, 250, 250])
        self.assert_same_mail(self.inbox(name), [sent])

    def test_utf8_addresses_are_taken_with_smtputf8_only(self):
        wire = self.open()
        code, _ = wire.say("MAIL FROM:<ñandú@example.org> SMTPUTF8".encode())
        self.assertEqual(code, 250)
        wire.say("RSET")
        code, _ = wire.say("MAIL FROM:<ñandú@example.org>".encode())
        self.assertIn(code, (500, 501, 550, 553))

    def test_starttls_forgets_what_came_before_and_checks_out(self):
        name = account()
        with clients.smtp(self.site) as client:
            client.starttls(context=clients.context(self.site))
            self.assertEqual(client.docmd("MAIL", "FROM:<a@example.org>")[0], 503)
            client.ehlo()
            self.assertNotIn("starttls", client.esmtp_features)
            client.sendmail("a@example.org", address(name), message(), mail_options=["BODY=8BITMIME"])
        self.assertEqual(len(self.inbox(name)), 1)

    def test_commands_slipped_in_before_tls_are_not_obeyed_after_it(self):
        wire = Wire(self.site.smtp)
        self.addCleanup(wire.close)
        wire.say("EHLO cliente.example.org")
        wire.send("STARTTLS\r\nMAIL FROM:<inyectado@example.org>\r\n")
        code, _ = wire.reply()
        if code == 220:
            try:
                wire.secure(clients.context(self.site))
            except OSError:
                return  # refusing the handshake is right too
            wire.say("EHLO cliente.example.org")
            self.assertEqual(wire.say(f"RCPT TO:<ana@{DOMAIN}>")[0], 503, "the injected MAIL was obeyed")
        else:
            self.assertIn(code, (421, 501, 503, 554))


class Smuggling(Dialogue):
    """Sequences that some servers take for the end of data. None of them may end it (or be stored as it)."""

    FORMS = {
        "LF . LF": b"\n.\n",
        "LF . CRLF": b"\n.\r\n",
        "CRLF . LF": b"\r\n.\n",
        "CR . CR": b"\r.\r",
        "CR . CRLF": b"\r.\r\n",
        "CRLF . CR": b"\r\n.\r",
        "CR . LF": b"\r.\n",
        "LF . CR": b"\n.\r",
        "CRLF . CR CRLF": b"\r\n.\r\r\n",
        "CRLF NUL . CRLF": b"\r\n\x00.\r\n",
        "CRLF . NUL CRLF": b"\r\n.\x00\r\n",
        "LF LF . CRLF": b"\n\n.\r\n",
    }

    def test_no_known_form_ends_data(self):
        for form, octets in self.FORMS.items():
            with self.subTest(form):
                name, victim = account(), account()
                wire = self.open()
                for command in ("MAIL FROM:<a@example.org>", f"RCPT TO:<{address(name)}>"):
                    self.assertEqual(wire.say(command)[0], 250)
                self.assertEqual(wire.say("DATA")[0], 354)
                smuggled = (
                    f"MAIL FROM:<jefe@{DOMAIN}>\r\nRCPT TO:<{address(victim)}>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n"
                ).encode()
                wire.send(b"Subject: first\r\n\r\nhello" + octets + smuggled + b".\r\n")
                code, _ = wire.reply()
                self.assertIsNotNone(code, "no reply to the message")
                # Exactly one reply: nothing after the form was taken for a command.
                wire.send("NOOP\r\n")
                after, _ = wire.reply()
                self.assertIn(after, (250, 421, 500, 501, None))
                if after == 250:
                    wire.send("QUIT\r\n")
                    self.assertEqual(wire.reply()[0], 221)
                self.assertEqual(self.inbox(victim), [], "a message was smuggled")
                stored = self.inbox(name)
                self.assertEqual(len(stored), 1 if code == 250 else 0)
                if stored:
                    self.assertIn(b"smuggled", stored[0], "the data ended early")


class Limits(Dialogue):
    def test_a_line_without_end_is_refused_and_not_gathered(self):
        wire = Wire(self.site.smtp)
        self.addCleanup(wire.close)
        wire.send(b"EHLO " + b"x" * 100_000 + b"\r\n")
        code, _ = wire.reply()
        self.assertIn(code, (500, 501, 421))

    def test_too_many_recipients_are_told_so_and_the_others_are_delivered(self):
        wire = self.open()
        wire.say("MAIL FROM:<a@example.org>")
        name = account()
        codes = []
        for number in range(1200):
            code, lines = wire.say(f"RCPT TO:<{name}+{number}@{DOMAIN}>")
            codes.append(code)
            if code != 250:
                self.assertEqual((code, lines[0].split()[0]), (452, "4.5.3"))
                break
        self.assertIn(452, codes)

    def test_too_many_errors_end_the_connection(self):
        wire = self.open()
        codes = []
        for _ in range(200):
            code, _ = wire.say("HOCUS POCUS")
            codes.append(code)
            if code in (421, None):
                break
        self.assertEqual(codes[-1], 421)

    def test_connections_of_one_address_are_limited_and_others_still_served(self):
        held, refused = [], None
        try:
            for _ in range(300):
                try:
                    wire = Wire(self.site.smtp, "127.0.0.99")
                except OSError:
                    refused = "closed"
                    break
                held.append(wire)
                if not wire.greeting.startswith("220"):
                    refused = wire.greeting
                    break
            self.assertIsNotNone(refused, "300 connections of one address were accepted")
            self.assertTrue(refused == "" or refused.startswith("421"), refused)
            self.open("127.0.0.98")
        finally:
            for wire in held:
                wire.close()

    def test_a_message_longer_than_it_may_be_is_refused_at_its_end(self):
        name = account()
        wire = self.open()
        limit = None
        for line in wire.say("EHLO cliente.example.org")[1]:
            if line.startswith("SIZE "):
                limit = int(line.split()[1])
        self.assertIsNotNone(limit)
        wire.say("MAIL FROM:<a@example.org>")
        wire.say(f"RCPT TO:<{address(name)}>")
        wire.say("DATA")
        block = (b"y" * 76 + b"\r\n") * 10_000
        sent = 0
        try:
            while sent <= limit + len(block):
                wire.send(block)
                sent += len(block)
            wire.send(b".\r\n")
        except OSError:
            pass
        code, _ = wire.reply()
        self.assertEqual(code, 552)
        self.assertEqual(self.inbox(name), [])


class Recipients(Dialogue):
    def admin(self, *words, **options):
        self.site.run(*words, **options)
        time.sleep(1.0)

    def test_an_alias_reaches_every_account_behind_it_on_both_nodes(self):
        one, two = account(), account("storage2")
        self.admin("alias", "add", f"grupo-{one}@{DOMAIN}", address(one), address(two))
        sent = message()
        send(self.site, f"grupo-{one}", sent)
        for name in (one, two):
            self.assert_same_mail(self.inbox(name), [sent])

    def test_a_sub_address_reaches_the_account(self):
        name, sent = account(), message()
        send(self.site, f"{name}+listas@{DOMAIN}", sent)
        self.assert_same_mail(self.inbox(name), [sent])

    def test_a_catch_all_takes_what_nobody_else_takes(self):
        name, sent = account(), message()
        self.admin("domain", "add", f"{name}.test", "--catch-all", address(name))
        send(self.site, f"cualquiera@{name}.test", sent)
        self.assert_same_mail(self.inbox(name), [sent])

    def test_addresses_are_compared_without_case(self):
        name, sent = account(), message()
        send(self.site, f"{name.upper()}@{DOMAIN.upper()}", sent)
        self.assert_same_mail(self.inbox(name), [sent])

    def test_smtplib_hears_which_recipients_were_refused(self):
        name = account()
        with clients.smtp(self.site) as client:
            refused = client.sendmail("a@example.org", [address(name), f"nadie@{DOMAIN}"], message(), mail_options=["BODY=8BITMIME"])
        self.assertEqual({key: value[0] for key, value in refused.items()}, {f"nadie@{DOMAIN}": 550})
        with clients.smtp(self.site) as client, self.assertRaises(smtplib.SMTPRecipientsRefused):
            client.sendmail("a@example.org", [f"nadie@{DOMAIN}"], message(), mail_options=["BODY=8BITMIME"])

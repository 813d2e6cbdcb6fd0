"""Debian's Postfix as the receiver of our relay's mail, and as a sender to our exchanger."""

import smtplib

from common import Test, account, address, site
from harness.suite import need
from internet import NameServer, Postfix, Relay, free_port, message, notice, wait_inbox

IP = "127.0.0.41"
DOMAIN = "postfix.test"


class Interoperation(Test):
    def setUp(self):
        self.name = account()

    @classmethod
    def setUpClass(cls):
        need("postfix", "named")
        port = free_port([IP])
        cls.peer = Postfix(DOMAIN, IP, port, site().smtp).start()
        cls.addClassCleanup(cls.peer.stop)
        cls.dns = NameServer({DOMAIN: IP}).start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay = Relay(cls.dns.port, port).start()
        cls.addClassCleanup(cls.relay.stop)


class AsReceiver(Interoperation):
    def test_it_takes_our_mail_under_tls_octet_for_octet(self):
        self.relay.submit(self.name, [f"bea@{DOMAIN}"], "cifrado", "Línea.\r\n.punto\r\n" + "x" * 900 + "\r\n", ["BODY=8BITMIME"])
        octets = self.peer.found("bea", "cifrado")
        self.assertRegex(octets, rb"from relay\.ejemplo\.test \(.*\n?.*using TLSv1\.3")
        self.assertIn("Línea.\n.punto\n".encode(), octets.replace(b"\r\n", b"\n"))

    def test_an_unknown_user_there_comes_back_as_a_notice(self):
        self.relay.submit(self.name, [f"nadie@{DOMAIN}"], "perdido")
        fields = notice(wait_inbox(self.name, lambda octets: b"multipart/report" in octets))
        self.assertEqual((fields["action"], fields["status"]), ("failed", "5.1.1"))
        self.assertEqual(fields["final-recipient"].replace(" ", ""), f"rfc822;nadie@{DOMAIN}")
        self.assertIn("550 5.1.1", fields["diagnostic-code"])
        self.assertIn(f"mx.{DOMAIN}", fields["remote-mta"])

    def test_a_message_over_its_limit_is_not_sent_and_comes_back(self):
        self.relay.submit(self.name, [f"bea@{DOMAIN}"], "grande", "x" * 70 * 1000 + "\r\n")
        fields = notice(wait_inbox(self.name, lambda octets: b"multipart/report" in octets))
        self.assertEqual((fields["action"], fields["status"]), ("failed", "5.3.4"))
        self.assertNotIn("grande", self.peer.log_text())

    def test_greylisting_is_waited_out(self):
        to = f"gris-{self.name}@{DOMAIN}"
        self.relay.submit(self.name, [to, f"bea@{DOMAIN}"], "paciencia")
        self.peer.found("bea", "paciencia")
        self.peer.found(f"gris-{self.name}", "paciencia")
        self.assertIn("Greylisted", self.peer.log_text())
        self.assertEqual(len(self.peer.messages(f"gris-{self.name}")), 1)

    def test_international_addresses_pass(self):
        to = f"ñandú@{DOMAIN}"
        self.relay.submit(self.name, [to], "ñandú", mail_options=["SMTPUTF8", "BODY=8BITMIME"])
        self.assertIn("Subject: ñandú".encode(), self.peer.found("ñandú", "ñandú"))

    def test_it_tells_the_sender_of_success_since_it_was_asked_to(self):
        self.relay.submit(self.name, [f"bea@{DOMAIN}"], "aviso", mail_options=["RET=HDRS", "ENVID=abc123"],
                          rcpt_options=["NOTIFY=SUCCESS", f"ORCPT=rfc822;bea@{DOMAIN}"])
        self.peer.found("bea", "aviso")
        octets = wait_inbox(self.name, lambda octets: b"multipart/report" in octets)
        fields = notice(octets)
        # The notice is Postfix's own, and carries what we passed on.
        self.assertEqual((fields["action"], fields["original-envelope-id"]), ("delivered", "abc123"))
        self.assertIn(f"mx.{DOMAIN}", fields["reporting-mta"])

    def test_many_messages_share_connections(self):
        before = self.peer.log_text().count(" connect from ")
        for number in range(20):
            self.relay.submit(self.name, [f"bea@{DOMAIN}"], f"tanda {number}")
        self.peer.found("bea", "tanda 19")
        self.assertLess(self.peer.log_text().count(" connect from ") - before, 15)


class AsSender(Interoperation):
    def send(self, text, to, mail_options=(), rcpt_options=()):
        with smtplib.SMTP(IP, self.peer.relay, timeout=30) as client:
            client.sendmail(f"bea@{DOMAIN}", to, text, mail_options, rcpt_options)

    def test_its_mail_reaches_our_mailboxes_under_tls(self):
        self.send(message("desde fuera", "ñandú\r\n", sender=f"bea@{DOMAIN}"), [address(self.name)], ["BODY=8BITMIME"])
        octets = wait_inbox(self.name, lambda octets: b"Subject: desde fuera" in octets)
        self.assertRegex(octets, rb"with ESMTPS \(TLSv1_3")
        self.assertIn("ñandú".encode(), octets)

    def test_our_refusals_come_back_from_it_to_its_user(self):
        self.send(message("nadie", sender=f"bea@{DOMAIN}"), [address("no-existe")])
        found = self.peer.found("bea", "no-existe")
        fields = notice(found)
        self.assertEqual((fields["action"], fields["status"]), ("failed", "5.1.1"))

    def test_our_size_limit_is_known_to_it(self):
        self.send(message("cabe", "x" * 30_000 + "\r\n", sender=f"bea@{DOMAIN}"), [address(self.name)])
        wait_inbox(self.name, lambda octets: b"Subject: cabe" in octets)

    def test_it_can_ask_for_notices_of_success(self):
        self.send(message("con aviso", sender=f"bea@{DOMAIN}"), [address(self.name)], ["ENVID=xyz"], ["NOTIFY=SUCCESS"])
        wait_inbox(self.name, lambda octets: b"Subject: con aviso" in octets)
        found = self.peer.found("bea", "xyz")
        # Whether ours offers DSN or not: it is delivered or relayed, never unknown.
        self.assertIn(notice(found)["action"], ("delivered", "relayed"))

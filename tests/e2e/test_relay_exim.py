"""Debian's Exim as the receiver of our relay's mail, and as a sender to our exchanger. It is told to offer no DSN, so that the notices of
success are ours."""

import smtplib

from common import Test, account, address, site
from harness.suite import need
from internet import EXIM, Exim, NameServer, Relay, free_port, message, notice, wait_inbox

IP = "127.0.0.42"
DOMAIN = "exim.test"


class Interoperation(Test):
    def setUp(self):
        self.name = account()

    @classmethod
    def setUpClass(cls):
        need(str(EXIM), "named")
        port = free_port([IP])
        cls.peer = Exim(DOMAIN, IP, port, site().smtp).start()
        cls.addClassCleanup(cls.peer.stop)
        cls.dns = NameServer({DOMAIN: IP}).start()
        cls.addClassCleanup(cls.dns.stop)
        cls.relay = Relay(cls.dns.port, port).start()
        cls.addClassCleanup(cls.relay.stop)


class AsReceiver(Interoperation):
    def test_it_takes_our_mail_under_tls_octet_for_octet(self):
        self.relay.submit(self.name, [f"bea@{DOMAIN}"], "cifrado", "Línea.\r\n.punto\r\n" + "x" * 900 + "\r\n", ["BODY=8BITMIME"])
        octets = self.peer.found("bea", "cifrado")
        self.assertRegex(octets, rb"with (utf8)?esmtps +\(TLS1\.3\)")
        self.assertIn("Línea.\n.punto\n".encode(), octets.replace(b"\r\n", b"\n"))

    def test_an_unknown_user_there_comes_back_as_a_notice(self):
        self.relay.submit(self.name, [f"nadie@{DOMAIN}"], "perdido")
        fields = notice(wait_inbox(self.name, lambda octets: b"multipart/report" in octets))
        self.assertEqual(fields["action"], "failed")
        self.assertIn("550", fields["diagnostic-code"])
        self.assertIn(f"mx.{DOMAIN}", fields["remote-mta"])

    def test_a_message_over_its_limit_is_not_sent_and_comes_back(self):
        self.relay.submit(self.name, [f"bea@{DOMAIN}"], "grande", "x" * 70 * 1000 + "\r\n")
        fields = notice(wait_inbox(self.name, lambda octets: b"multipart/report" in octets))
        self.assertEqual((fields["action"], fields["status"]), ("failed", "5.3.4"))

    def test_greylisting_is_waited_out(self):
        to = f"gris-{self.name}"
        self.relay.submit(self.name, [f"{to}@{DOMAIN}", f"bea@{DOMAIN}"], "paciencia")
        self.peer.found("bea", "paciencia")
        self.peer.found(to, "paciencia")
        self.assertIn("Greylisted", self.peer.log_text())
        self.assertEqual(len(self.peer.messages(to)), 1)

    def test_international_addresses_pass(self):
        to = f"ñandú@{DOMAIN}"
        self.relay.submit(self.name, [to], "ñandú", mail_options=["SMTPUTF8", "BODY=8BITMIME"])
        self.assertIn("Subject: ñandú".encode(), self.peer.found("ñandú", "ñandú"))

    def test_we_tell_the_sender_that_it_was_relayed_since_exim_will_not(self):
        self.relay.submit(self.name, [f"bea@{DOMAIN}"], "aviso", mail_options=["RET=HDRS", "ENVID=abc123"],
                          rcpt_options=["NOTIFY=SUCCESS", f"ORCPT=rfc822;bea@{DOMAIN}"])
        self.peer.found("bea", "aviso")
        fields = notice(wait_inbox(self.name, lambda octets: b"multipart/report" in octets))
        self.assertEqual((fields["action"], fields["original-envelope-id"]), ("relayed", "abc123"))
        self.assertIn("relay.ejemplo.test", fields["reporting-mta"])


class AsSender(Interoperation):
    def send(self, text, to, mail_options=()):
        with smtplib.SMTP(IP, self.peer.relay, timeout=30) as client:
            client.sendmail(f"bea@{DOMAIN}", to, text, mail_options)

    def test_its_mail_reaches_our_mailboxes_under_tls(self):
        self.send(message("desde fuera", "ñandú\r\n", sender=f"bea@{DOMAIN}"), [address(self.name)], ["BODY=8BITMIME"])
        octets = wait_inbox(self.name, lambda octets: b"Subject: desde fuera" in octets)
        self.assertRegex(octets, rb"with ESMTPS \(TLSv1_3")
        self.assertIn("ñandú".encode(), octets)

    def test_our_refusals_come_back_from_it_to_its_user(self):
        self.send(message("nadie", sender=f"bea@{DOMAIN}"), [address("no-existe")])
        found = self.peer.found("bea", "Mail delivery failed")
        self.assertIn(b"550 5.1.1", found)
        self.assertIn(b"no-existe", found)

    def test_international_mail_from_it_passes(self):
        text = message("de afuera ñ", sender=f"ñandú@{DOMAIN}")
        with smtplib.SMTP(IP, self.peer.relay, timeout=30) as client:
            client.ehlo()
            client.sendmail(f"ñandú@{DOMAIN}", [address(self.name)], text, ["SMTPUTF8", "BODY=8BITMIME"])
        octets = wait_inbox(self.name, lambda octets: "Subject: de afuera ñ".encode() in octets)
        self.assertIn(b"with UTF8SMTPS", octets)

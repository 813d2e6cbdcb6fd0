"""A mail server on Debian without NixOS."""

import pathlib
import subprocess
import tempfile
import time
import unittest

import machine
from harness import site

PACKAGING = machine.ROOT / "packaging" / "debian"

SEND = """
import smtplib, ssl
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
# Over loopback, which is trusted: there is no DNS here by which a stranger's mail could be judged.
with smtplib.SMTP("127.0.0.1", 25, local_hostname="client.example", timeout=20) as smtp:
    smtp.starttls(context=context)
    smtp.sendmail("beto@escuela.example", ["ana@correo.example"], f"From: beto@escuela.example\\r\\nSubject: {subject}\\r\\n\\r\\nHola.\\r\\n")
"""
SUBMIT = """
import smtplib, ssl
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with smtplib.SMTP_SSL("192.0.2.10", 465, local_hostname="client.example", timeout=20, context=context) as smtp:
    smtp.login("ana@correo.example", "una clave larga")
    smtp.sendmail("ana@correo.example", ["ana@correo.example"], f"From: ana@correo.example\\r\\nSubject: {subject}\\r\\n\\r\\nHola.\\r\\n")
"""
SUBJECTS = """
import imaplib, ssl
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
imap = imaplib.IMAP4_SSL("192.0.2.10", 993, ssl_context=context, timeout=20)
imap.login("ana@correo.example", "una clave larga")
imap.select()
for number in imap.search(None, "ALL")[1][0].split():
    print(imap.fetch(number, "(BODY[HEADER.FIELDS (SUBJECT)])")[1][0][1].decode().strip())
imap.logout()
"""
CERTIFICATE = """
import hashlib, socket, ssl
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with context.wrap_socket(socket.create_connection(("192.0.2.10", 993), 20), server_hostname="imap.correo.example") as tls:
    print(hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest())
"""


def renewed(debian, seconds=30):
    """The certificate that the proxy served, and the one that it serves after that was renewed."""
    before = debian.python(CERTIFICATE)
    debian.renew_public_certificate()
    now, end = before, time.monotonic() + seconds
    while now == before and time.monotonic() < end:
        time.sleep(1)
        try:
            now = debian.python(CERTIFICATE)
        except AssertionError:
            continue  # it restarts
    return before, now


class Packaging(unittest.TestCase):
    def test_the_packaged_files_are_what_the_modules_generate(self):
        with tempfile.TemporaryDirectory() as scratch:
            now = pathlib.Path(scratch) / "solo"
            subprocess.run([PACKAGING / "render", machine.ROOT / "hosts" / "solo" / "site.toml", "correo", now], check=True)
            done = subprocess.run(["diff", "-r", PACKAGING / "solo", now], capture_output=True, text=True, check=False)
        again = "packaging/debian/render hosts/solo/site.toml correo packaging/debian/solo"
        self.assertEqual("", done.stdout + done.stderr, f"old: run {again}")


class PlainDebian(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.debian = machine.Machine(site.binary())
        cls.addClassCleanup(cls.debian.stop)
        cls.debian.install()

    def subjects_with(self, wanted, seconds=20):
        """The subjects of Ana's INBOX, once one of them is there."""
        end = time.monotonic() + seconds
        while True:
            found = self.debian.python(SUBJECTS)
            if wanted in found or time.monotonic() > end:
                return found
            time.sleep(0.5)

    def test_all_roles_said_that_they_are_ready(self):
        for role in machine.ROLES:
            state = self.debian.properties(f"chasqui-{role}.service", "ActiveState", "NRestarts", "Type", "User", "WatchdogUSec")
            expected = {"ActiveState": "active", "Type": "notify-reload", "User": f"chasqui-{role}", "WatchdogUSec": "30s"}
            self.assertEqual(expected, {name: state[name] for name in expected}, role)

    def test_systemd_finds_no_fault_in_the_units(self):
        units = sorted((PACKAGING / "solo" / "etc" / "systemd" / "system").iterdir())
        done = self.debian.attempt("systemd-analyze", "verify", "--man=no", *(f"/etc/systemd/system/{unit.name}" for unit in units))
        self.assertEqual("", done.stdout + done.stderr)

    def test_systemd_takes_the_exposure_of_each_role_for_small(self):
        for role in machine.ROLES:
            # Of 10.0, as a tenth: 2.0 is "OK", and what is open is the network that they serve.
            done = self.debian.attempt("systemd-analyze", "security", "--no-pager", "--threshold=20", f"chasqui-{role}.service")
            self.assertEqual(0, done.returncode, done.stdout[-200:])

    def test_a_mail_is_sent_and_read(self):
        self.debian.python(SEND, subject="sent and read")
        self.assertIn("sent and read", self.subjects_with("sent and read"))

    def test_a_mail_is_still_there_after_all_roles_restarted(self):
        self.debian.python(SEND, subject="before the restart")
        self.subjects_with("before the restart")
        self.debian.run("systemctl", "restart", *(f"chasqui-{role}" for role in machine.ROLES))
        self.assertIn("before the restart", self.subjects_with("before the restart"))

    def test_each_role_reloads_and_goes_on(self):
        for role in machine.ROLES:
            before = self.debian.properties(f"chasqui-{role}", "MainPID")
            self.debian.run("systemctl", "reload", f"chasqui-{role}")
            self.assertEqual(before, self.debian.properties(f"chasqui-{role}", "MainPID"), role)

    def test_a_renewed_certificate_is_served(self):
        before, now = renewed(self.debian)
        self.assertNotEqual(before, now)

    def test_the_exchanger_can_read_neither_mailboxes_nor_accounts_nor_keys(self):
        for path in ["/var/lib/chasqui/mail", "/var/lib/chasqui/directory", "/etc/chasqui/pki/correo.key"]:
            done = self.debian.attempt("runuser", "-u", "chasqui-mx", "--", "sh", "-c", f"ls {path} && cat {path}")
            self.assertNotEqual(0, done.returncode, path)
            self.assertIn("Permission denied", done.stderr, path)

    def test_a_user_s_mail_passes_the_relay_and_comes_to_a_mailbox(self):
        self.debian.python(SUBMIT, subject="by the relay")
        self.assertIn("by the relay", self.subjects_with("by the relay"))

    def test_the_keys_of_signatures_are_the_relay_s(self):
        self.debian.run("/usr/bin/chasqui", "dkim", "rotate", "correo.example")
        found = {line for line in self.debian.run("find", "/var/lib/chasqui/dkim", "-printf", "%u %y %m %f\\n").splitlines()}
        self.assertEqual({"chasqui-relay"}, {line.split()[0] for line in found})
        self.assertEqual({"700"}, {line.split()[2] for line in found if line.split()[1] == "d"})
        self.assertEqual({"600"}, {line.split()[2] for line in found if line.endswith(".pem")})
        self.debian.run("systemctl", "reload", "chasqui-relay")

    def test_the_firewall_is_one_that_nft_takes(self):
        self.debian.run("nft", "--check", "--file", "/etc/nftables.conf")


class AsOnNixOS(unittest.TestCase):
    """The units with the line that Debian 13 does not know."""

    def test_a_renewed_certificate_is_served_by_the_same_process(self):
        refresh = "[Service]\nRefreshOnReload=credentials\n"
        files = {f"etc/systemd/system/chasqui-{role}.service.d/refresh.conf": refresh for role in machine.ROLES}
        debian = machine.Machine(site.binary(), machine.NEWEST, files)
        self.addCleanup(debian.stop)
        version = int(debian.run("systemctl", "--version").split()[1])
        if version < 260:
            self.skipTest(f"systemd {version} copies credentials only when a unit starts")
        debian.install()
        process = debian.properties("chasqui-proxy", "MainPID")
        before, now = renewed(debian)
        self.assertNotEqual(before, now)
        self.assertEqual(process, debian.properties("chasqui-proxy", "MainPID"))

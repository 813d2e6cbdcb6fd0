"""mbsync and fetchmail synchronise whole mailboxes, both ways."""

import subprocess

from common import PASSWORD, Test, account, address
from harness.clients import contents, imap, message, ok, send, without_trace
from harness.site import scratch
from harness.suite import need


class Mbsync(Test):
    def setUp(self):
        need("mbsync")
        self.name = account()
        self.folder = scratch()
        self.maildir = self.folder / "mail"
        self.maildir.mkdir()
        self.config = self.folder / "mbsyncrc"
        self.config.write_text(f"""
IMAPAccount chasqui
Host localhost
Port {self.site.imaps}
User {address(self.name)}
Pass {PASSWORD}
SSLType IMAPS
SSLVersions TLSv1.2
CertificateFile {self.site.ca}

IMAPStore far
Account chasqui

MaildirStore near
Path {self.maildir}/
Inbox {self.maildir}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
""")
        self.config.chmod(0o600)

    def sync(self):
        done = subprocess.run(["mbsync", "-c", str(self.config), "-a"], capture_output=True, text=True, timeout=120,
                              env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def local(self, folder):
        """The messages of a local folder; mbsync keeps Unix line ends there and adds its own header line."""
        texts = []
        for part in ("new", "cur"):
            for path in (self.maildir / folder / part).iterdir():
                texts.append(normal(path.read_bytes()))
        return sorted(texts)

    def test_mail_and_folders_come_down_octet_for_octet(self):
        sent = [message(str(number), size=5_000) for number in range(20)]
        for text in sent:
            send(self.site, self.name, text)
        with imap(self.site, self.name) as client:
            ok(client.create("Trabajo"))
            ok(client.create("Trabajo/2026"))
            filed = message("archivado")
            ok(client.append("Trabajo/2026", r"(\Seen)", None, filed))
        self.sync()
        found = [normal(without_trace(text.replace(b"\n", b"\r\n"))) for text in self.local("INBOX")]
        self.assertEqual(sorted(found), sorted(map(normal, sent)))
        self.assertEqual(self.local("Trabajo/2026"), [normal(filed)])

    def test_local_folders_mail_and_flags_go_up(self):
        self.sync()
        folder = self.maildir / "Borradores"
        for part in ("tmp", "new", "cur"):
            (folder / part).mkdir(parents=True)
        drafts = [message(f"borrador {number}") for number in range(5)]
        for number, text in enumerate(drafts):
            (folder / "cur" / f"1700000000.{number}.aqui:2,DFS").write_bytes(text.replace(b"\r\n", b"\n"))
        self.sync()
        with imap(self.site, self.name) as client:
            found = contents(client, "Borradores")
            self.assertEqual(sorted(normal(text) for text in found.values()), sorted(map(normal, drafts)))
            flags = ok(client.fetch("1", "(FLAGS)"))[0]
            for flag in (rb"\Draft", rb"\Flagged", rb"\Seen"):
                self.assertIn(flag, flags)

    def test_changes_on_both_sides_meet(self):
        for number in range(6):
            send(self.site, self.name, message(str(number)))
        self.sync()
        files = sorted((self.maildir / "INBOX").rglob("*,U=*"))
        self.assertEqual(len(files), 6)
        # Locally: one is deleted, one read. On the server: one is flagged, one moved away.
        by_uid = {int(path.name.split(",U=")[1].split(":")[0].split(",")[0]): path for path in files}
        by_uid[1].unlink()
        by_uid[2].rename(by_uid[2].parent.parent / "cur" / (by_uid[2].name.split(":")[0] + ":2,S"))
        with imap(self.site, self.name) as client:
            ok(client.create("Otra"))
            ok(client.select("INBOX"))
            ok(client.uid("STORE", "3", "+FLAGS", r"(\Flagged)"))
            ok(client.uid("MOVE", "4", "Otra"))
        self.sync()
        with imap(self.site, self.name) as client:
            self.assertEqual(list(contents(client)), [2, 3, 5, 6])
            self.assertIn(rb"\Seen", ok(client.uid("FETCH", "2", "(FLAGS)"))[0])
        names = [path.name for path in (self.maildir / "INBOX").rglob("*,U=*")]
        self.assertEqual(len(names), 4)
        self.assertTrue(any(name.endswith("F") for name in names), names)
        self.assertEqual(len(self.local("Otra")), 1)

    def test_a_second_run_changes_nothing(self):
        for number in range(3):
            send(self.site, self.name, message(str(number)))
        self.sync()
        before = sorted(path.name for path in self.maildir.rglob("*") if path.is_file() and path.parent.name in ("cur", "new"))
        self.sync()
        after = sorted(path.name for path in self.maildir.rglob("*") if path.is_file() and path.parent.name in ("cur", "new"))
        self.assertEqual(before, after)


def normal(octets):
    """Unix line ends, without the line that mbsync adds to what it copies."""
    lines = octets.replace(b"\r\n", b"\n").split(b"\n")
    return b"\n".join(line for line in lines if not line.startswith(b"X-TUID: "))


class Fetchmail(Test):
    def setUp(self):
        need("fetchmail")
        self.name = account()
        self.folder = scratch()
        self.out = self.folder / "out"
        self.out.mkdir()
        self.agent = self.folder / "agent"
        self.agent.write_text(f'#!/bin/sh\ncat > "{self.out}/$$"\n')
        self.agent.chmod(0o755)

    def fetch(self, protocol, port, *extra):
        config = self.folder / "fetchmailrc"
        config.write_text(
            f'poll localhost protocol {protocol} port {port} user "{address(self.name)}" password "{PASSWORD}" '
            f'ssl sslcertck sslcertfile "{self.site.ca}" mda "{self.agent}" {" ".join(extra)}\n'
        )
        config.chmod(0o600)
        done = subprocess.run(
            ["fetchmail", "-f", str(config), "--nosyslog", "--pidfile", str(self.folder / "pid"), "-i", str(self.folder / "ids")],
            capture_output=True, text=True, timeout=60, env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin", "FETCHMAILHOME": str(self.folder)},
        )
        self.assertIn(done.returncode, (0, 1), done.stdout + done.stderr)  # 1: no mail
        return [path.read_bytes() for path in self.out.iterdir()]

    def bodies(self, texts):
        return sorted(text.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1].rstrip(b"\n") for text in texts)

    def test_pop3_mail_is_fetched_once_and_removed(self):
        sent = [message(str(number)) for number in range(4)]
        for text in sent:
            send(self.site, self.name, text)
        self.assertEqual(self.bodies(self.fetch("pop3", self.site.pop3s)), self.bodies(sent))
        with imap(self.site, self.name) as client:
            self.assertEqual(contents(client), {})

    def test_imap_mail_is_fetched_and_kept(self):
        sent = [message(str(number)) for number in range(3)]
        for text in sent:
            send(self.site, self.name, text)
        self.assertEqual(self.bodies(self.fetch("imap", self.site.imaps, "keep")), self.bodies(sent))
        self.assertEqual(len(self.fetch("imap", self.site.imaps, "keep")), 3)
        with imap(self.site, self.name) as client:
            self.assertEqual(len(contents(client)), 3)

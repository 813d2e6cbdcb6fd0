"""Starting, reloading and stopping: the demo and the roles as services."""

import os
import pathlib
import signal
import socket
import ssl
import subprocess
import time
import unittest

from harness import clients, site as sites
from harness.clients import Wire, contents, imap, message, send, without_trace
from harness.site import PASSWORD, PEOPLE, Demo, Process, Site, listens, scratch, wait_until


class TheDemo(unittest.TestCase):
    def start(self, *arguments, folder=None, base=None):
        demo = Demo(folder, base, arguments).start()
        self.addCleanup(demo.process.kill)
        return demo

    def test_everything_is_ready_when_the_json_line_comes_and_a_second_start_finds_the_mail(self):
        demo = self.start()
        accounts = {entry["address"]: entry for entry in demo.description["accounts"]}
        self.assertEqual({f"{name}@ejemplo.test" for name in PEOPLE}, set(accounts))
        self.assertEqual({entry["password"] for entry in accounts.values()}, {PASSWORD})
        self.assertEqual({entry["node"] for entry in accounts.values()}, {"storage1", "storage2"})
        self.assertEqual(set(demo.description["endpoints"]) & {"smtp", "pop3", "imap", "imaps", "pop3s"}, {"smtp", "pop3", "imap", "imaps", "pop3s"})
        sent = message()
        send(demo, PEOPLE, sent)
        for name in PEOPLE:
            with imap(demo, name) as client:
                self.assertEqual([without_trace(text) for text in contents(client).values()], [sent])
        self.assertEqual(demo.stop(signal.SIGINT), 0)

        again = self.start(folder=demo.folder, base=demo.base)
        for name in PEOPLE:
            with imap(again, name) as client:
                self.assertEqual([without_trace(text) for text in contents(client).values()], [sent])
        self.assertEqual(again.stop(), 0)

        fresh = self.start("--fresh", folder=demo.folder, base=demo.base)
        with imap(fresh, "ana") as client:
            self.assertEqual(contents(client), {})
        fresh.stop()

    def test_the_table_and_its_four_commands_work_when_pasted(self):
        demo = Demo()
        demo.folder.parent.mkdir(parents=True, exist_ok=True)
        process = Process([sites.binary(), "demo", "--dir", str(demo.folder), "--port-base", str(demo.base)], demo.folder.parent / "log")
        self.addCleanup(process.kill)
        text = process.first_line()
        os.set_blocking(process.child.stdout.fileno(), False)
        deadline = time.monotonic() + 5
        while "--fresh" not in text and time.monotonic() < deadline:
            text += (process.child.stdout.read() or b"").decode()
            time.sleep(0.05)
        for part in ("smtp", "imaps", "pop3s", PASSWORD, "ana@ejemplo.test"):
            self.assertIn(part, text)
        script = "\n".join(line for line in text.splitlines() if line.startswith("  ") and ("curl" in line or "printf" in line))
        self.assertEqual(script.count("curl"), 4, text)
        done = subprocess.run(["sh", "-e", "-c", script], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 0, script + done.stderr)
        self.assertEqual(done.stdout.count("Hola, Ana."), 2)

    def refused(self, base=None, folder=None, environment=None, wrapper=()):
        """Starts a demo that must not start; returns its one sentence."""
        demo = Demo(folder, base)
        demo.folder.parent.mkdir(parents=True, exist_ok=True)
        words = [*wrapper, sites.binary(), "demo", "--dir", str(demo.folder), "--port-base", str(demo.base)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        self.assertEqual(len(lines), 1, f"not one sentence: {done.stderr}")
        self.assertNotIn("panicked", done.stderr)
        for port in (demo.smtp, demo.imap, demo.imaps):
            if port != demo.base + self.taken:
                self.assertFalse(listens(port), "something was half started")
        return lines[0]

    taken = 0

    def test_a_port_in_use_is_one_clear_sentence(self):
        base = sites.ports.free_base()
        for taken in (25, 993, 1701):
            with self.subTest(taken), socket.socket() as other:
                self.taken = taken
                other.bind(("127.0.0.1", base + taken))
                other.listen()
                self.assertIn(str(base + taken), self.refused(base))

    def test_an_unwritable_folder_is_one_clear_sentence(self):
        if os.geteuid() == 0:
            # Nothing is unwritable for root but what cannot be a folder at all.
            folder = pathlib.Path("/proc/chasqui-demo")
        else:
            folder = scratch() / "closed" / "demo"
            folder.parent.mkdir(mode=0o500)
        self.assertIn(str(folder), self.refused(folder=folder))
        file = scratch() / "file"
        file.write_text("not a folder")
        self.assertIn(str(file), self.refused(folder=file))

    def test_a_damaged_database_is_one_clear_sentence_and_is_left_as_it_was(self):
        demo = self.start()
        demo.stop()
        databases = [path for path in demo.folder.iterdir() if path.suffix in (".sqlite", ".db", ".sqlite3")]
        self.assertTrue(databases, list(demo.folder.iterdir()))
        rubbish = b"this is no database " * 500
        for path in demo.folder.glob(databases[0].name + "-*"):
            path.unlink()
        databases[0].write_bytes(rubbish)
        self.assertIn(databases[0].name, self.refused(demo.base, demo.folder))
        self.assertEqual(databases[0].read_bytes(), rubbish)

    def test_two_demos_do_not_share_a_folder(self):
        demo = self.start()
        self.assertIn(str(demo.folder), self.refused(folder=demo.folder))


class Roles(unittest.TestCase):
    def setUp(self):
        self.site = Site()
        self.addCleanup(self.site.kill)

    def test_a_sigterm_lets_the_open_transaction_finish_and_accepts_no_more(self):
        self.site.start()
        sent = message()
        wire = Wire(self.site.smtp)
        self.addCleanup(wire.close)
        for command in ("EHLO a.example.org", "MAIL FROM:<a@example.org>", "RCPT TO:<ana@ejemplo.test>", "DATA"):
            self.assertIn(wire.say(command)[0], (250, 354))
        wire.send(clients.dot_stuffed(sent)[:500])
        self.site.processes["mx"].signal(signal.SIGTERM)
        wait_until(lambda: not listens(self.site.smtp), "it still accepts", 5)
        wire.send(clients.dot_stuffed(sent)[500:] + b".\r\n")
        self.assertEqual(wire.reply()[0], 250)
        self.assertEqual(self.site.processes["mx"].stop(), 0)
        with imap(self.site, "ana") as client:
            self.assertEqual([without_trace(text) for text in contents(client).values()], [sent])

    def test_a_sigterm_says_goodbye_to_idle_sessions(self):
        self.site.start()
        smtp, mail = Wire(self.site.smtp), Wire(self.site.imap)
        self.addCleanup(smtp.close)
        self.addCleanup(mail.close)
        smtp.say("EHLO a.example.org")
        self.assertTrue(mail.ask(f"LOGIN ana@ejemplo.test {PASSWORD}")[-1].startswith("OK"))
        begun = time.monotonic()
        for name, process in list(self.site.processes.items()):
            if name in ("mx", "storage1", "storage2"):
                process.signal(signal.SIGTERM)
        self.assertEqual(smtp.reply()[0], 421)
        self.assertTrue(mail.line().startswith("* BYE"))
        for name in ("mx", "storage1", "storage2"):
            self.assertEqual(self.site.processes[name].stop(), 0)
        self.assertLess(time.monotonic() - begun, 10)

    def test_a_sighup_brings_new_limits_and_certificates_into_force_without_a_restart(self):
        self.site.start()
        before = self.fingerprint()
        key = self.message_limit_key()
        self.site.set("mx", key, '"1MB"')
        description = self.site.description["configs"]
        self.issue_new_proxy_certificate()
        for name in ("mx", "proxy"):
            self.site.processes[name].signal(signal.SIGHUP)

        def limit():
            with Wire(self.site.smtp) as wire:
                return next((line for line in wire.say("EHLO a.example.org")[1] if line.startswith("SIZE")), None)

        wait_until(lambda: limit() == "SIZE 1000000", f"the new limit is not in force ({key}, {description})", 5)
        wait_until(lambda: self.fingerprint() != before, "the new certificate is not in force", 5)

    def fingerprint(self):
        with socket.create_connection(("127.0.0.1", self.site.imaps), 10) as raw:
            with clients.context(self.site).wrap_socket(raw, server_hostname="localhost") as tls:
                return tls.getpeercert(binary_form=True)

    def message_limit_key(self):
        """The key of the exchanger's message limit, with its section."""
        text = subprocess.run([sites.binary(), "config", "example", "mx"], capture_output=True, text=True).stdout
        section = ""
        for line in text.splitlines():
            line = line.lstrip("# ")
            if line.startswith("[") and line.endswith("]"):
                section = line.strip("[]") + "."
            if line.startswith("message_size ="):
                return section + "message_size"
        raise AssertionError("the exchanger has no limit of message size")

    def issue_new_proxy_certificate(self):
        import re

        text = self.site.config("proxy").read_text()
        section = text[text.index("[public_tls]"):]
        certificate, key = (pathlib.Path(re.search(rf'(?m)^{name} = "(.*)"', section).group(1)) for name in ("certificate", "key"))
        authority = certificate.parent
        words = ["pki", "issue", str(authority), "nuevo", "--host", "localhost,127.0.0.1"]
        subprocess.run([sites.binary(), *words], check=True, capture_output=True)
        (authority / f"nuevo{key.suffix}").rename(key)
        (authority / f"nuevo{certificate.suffix}").rename(certificate)

    def test_a_bad_configuration_at_sighup_changes_nothing(self):
        self.site.start("directory1", "directory2", "storage1", "storage2", "mx", "proxy")
        self.site.set("mx", "nonsense", "1")
        self.site.processes["mx"].signal(signal.SIGHUP)
        wait_until(lambda: "nonsense" in self.site.log_text("mx"), "the bad file is not reported", 5)
        send(self.site, "ana", message())

    def test_systemd_is_told_when_a_role_is_ready_reloads_and_stops(self):
        path = scratch() / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(path))
            manager.settimeout(10)
            words = [sites.binary(), "directory", "--config", str(self.site.config("directory1"))]
            process = Process(words, self.site.folder.parent / "log", {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"})
            heard = ""

            def hear(word):
                nonlocal heard
                while word not in heard:
                    heard += manager.recv(4096).decode() + "\n"

            hear("READY=1")
            hear("WATCHDOG=1")
            heard = ""
            process.signal(signal.SIGHUP)
            hear("RELOADING=1")
            hear("READY=1")
            process.signal(signal.SIGTERM)
            hear("STOPPING=1")
            self.assertEqual(process.stop(), 0)

    def test_no_secret_and_no_content_is_logged(self):
        self.site.start()
        sent = message("asunto-muy-secreto")
        send(self.site, "ana", sent)
        with imap(self.site, "ana") as client:
            contents(client)
        self.site.stop()
        for name in self.site.ROLES:
            text = self.site.log_text(name)
            self.assertNotIn(PASSWORD, text)
            self.assertNotIn("asunto-muy-secreto", text)

"""Copies of the directory's database: the scripts that the modules generate, run with real SQLite and TLS on loopback."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

import evaluation
from harness import site


def script(host, name):
    """The text of a generated script of a host."""
    texts = [text for path, text in evaluation.texts_of(host).items() if path.endswith(f"-{name}")]
    assert len(texts) == 1, f"{name}: {len(texts)}"
    return texts[0]


class Copies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        missing = [program for program in ("socat", "sqlite3", "openssl") if not shutil.which(program)]
        binary = site.binary()
        if missing or not os.access(binary, os.X_OK):
            raise unittest.SkipTest(f"not installed: {' '.join(missing) or binary}")
        cls.binary = binary
        hosts = evaluation.evaluate(evaluation.site_file("lab"), ["service1", "service2"]).hosts
        cls.give, cls.fetch = script(hosts["service1"], "chasqui-directory-give"), script(hosts["service2"], "chasqui-directory-fetch")

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name in ("first", "second"):
            (self.folder / f"{name}.toml").write_text(f'[database]\npath = "{self.folder}/{name}.sqlite"\n')
        pki = self.folder / "pki"
        self.chasqui("pki", "init", pki)
        self.chasqui("pki", "issue", pki, "host", "--role", "directory,host", "--host", "service1.lab.internal")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        give = self.write("give", self.give.replace("/var/lib/chasqui/directory/directory.sqlite", f"{self.folder}/first.sqlite"))
        fetch = self.fetch.replace("/var/lib/chasqui/directory/directory.sqlite", f"{self.folder}/second.sqlite")
        self.fetched = self.write("fetch", fetch.replace("-connect service1.lab.internal:1703", f"-connect 127.0.0.1:{self.port}"))
        # In the place of ghostunnel and the socket unit.
        listen = f"OPENSSL-LISTEN:{self.port},bind=127.0.0.1,fork,reuseaddr,cert={pki}/host.crt,key={pki}/host.key,cafile={pki}/ca.crt,verify=1"
        server = subprocess.Popen(["socat", listen, f"EXEC:{give}"], stderr=subprocess.DEVNULL, start_new_session=True)
        self.addCleanup(lambda: (server.terminate(), server.wait(10)))
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)

    def write(self, name, text):
        """A script with the programs of this machine."""
        path = self.folder / name
        path.write_text(re.sub(r"/nix/store/0{32}-[^/]*/bin/", "", text).replace("$CREDENTIALS_DIRECTORY", f"{self.folder}/pki"))
        path.chmod(0o755)
        return path

    def chasqui(self, *arguments, server=None):
        """Runs one of our commands."""
        more = ["--config", self.folder / f"{server}.toml"] if server else []
        done = subprocess.run([self.binary, *map(str, arguments), *map(str, more)], capture_output=True, text=True, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def copy(self):
        """Fetches once and gives what it said."""
        done = subprocess.run([self.fetched], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_what_is_added_at_the_first_server_comes_to_the_second_and_nothing_comes_twice(self):
        self.chasqui("node", "add", "storage1", "--lmtp", "a.test:1", "--imap", "a.test:2", "--pop3", "a.test:3", server="first")
        self.chasqui("domain", "add", "correo.example", server="first")
        (self.folder / "second.sqlite").touch()
        status, said = self.copy()
        self.assertEqual(0, status, said)
        self.assertIn("took over", said)
        self.assertIn("correo.example", self.chasqui("domain", "list", server="second"))
        self.assertEqual((0, ""), self.copy())
        self.chasqui("domain", "add", "escuela.example", server="first")
        self.assertIn("took over", self.copy()[1])
        self.assertIn("escuela.example", self.chasqui("domain", "list", server="second"))

    def test_a_running_second_server_sees_a_copy_without_a_restart(self):
        for server in ("first", "second"):
            self.chasqui("domain", "add", "old.example", server=server)
        keys = self.folder / "keys"
        self.chasqui("pki", "keys", keys)
        with (self.folder / "second.toml").open("r+") as file:
            rest = file.read()
            file.seek(0)
            file.write(f'keys = "{keys}"\nlisten = "127.0.0.1:0"\n{rest}')
        log = (self.folder / "log").open("w")
        server = subprocess.Popen(
            [self.binary, "directory", "--config", self.folder / "second.toml", "--log", "debug", "--log-format", "text"], stderr=log, stdout=log
        )
        self.addCleanup(lambda: (server.terminate(), server.wait(40), log.close()))
        self.chasqui("node", "add", "storage1", "--lmtp", "a.test:1", "--imap", "a.test:2", "--pop3", "a.test:3", server="first")
        self.chasqui("domain", "add", "correo.example", server="first")
        status, said = self.copy()
        self.assertEqual(0, status, said)
        self.assertIsNone(server.poll())
        self.assertIn("correo.example", self.chasqui("domain", "list", server="second"))

    def test_a_server_whose_certificate_is_another_authoritys_is_not_believed(self):
        self.chasqui("domain", "add", "correo.example", server="first")
        self.chasqui("pki", "init", self.folder / "other")
        shutil.copy(self.folder / "other" / "ca.crt", self.folder / "pki" / "ca.crt")
        (self.folder / "second.sqlite").touch()
        self.copy()
        self.assertEqual(0, (self.folder / "second.sqlite").stat().st_size)

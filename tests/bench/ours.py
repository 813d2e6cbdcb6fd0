"""Chasqui as it is measured: one process a role, from the demo's configuration files.

What differs from the demo:

- `storage1` takes messages from the exchanger over LMTP with certificates on both ends, as the demo does. `storage2`
  has no certificate, so that the plain LMTP generator, the one that drives Dovecot, can drive it directly.
- `proxy` speaks TLS on both sides. `plain` is a second proxy without certificates, for the plain figures.
- Limits per client address are out of the way; what costs time or memory is as shipped.
"""

import base64
import csv
import os
import pathlib
import re
import subprocess

from harness import ports
from harness.site import Site, command, listens, set_key, wait_until

from peers import DOMAIN, PASSWORD

# Argon2id of the password `bench` with the parameters that `chasqui user add` uses (19 MiB, 2 passes). Hashing a
# million passwords would take hours, and the directory keeps what it is given.
HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRiZW5jaHNhbA$CxA9fB+rK/FUoUsNk5QndzekYAsmhdmRKA87yD2MKDQ"


class Ours:
    """The site, its accounts and its extra instances."""

    def __init__(self, folder: pathlib.Path, users: int, directory_users: int, trivial_port: int):
        self.folder = folder
        Site.ROLES = {**Site.ROLES, "plain": "proxy"}
        ports.METRICS["plain"] = 9108
        self.site = site = Site(folder / "site")
        plain = site.config("proxy").read_text()
        for section in ("tls", "public_tls"):
            plain = without_section(plain, section)
        self.plain_imap = site.base + 2993
        plain = set_key(plain, "imap", f'["127.0.0.1:{self.plain_imap}"]')
        plain = set_key(plain, "imaps", "[]")
        plain = set_key(plain, "pop3", "[]")
        plain = set_key(plain, "pop3s", "[]")
        plain = set_key(plain, "metrics", f'"127.0.0.1:{site.metrics("plain")}"')
        (site.folder / "plain.toml").write_text(plain)
        storage2 = site.config("storage2")
        storage2.write_text(without_section(storage2.read_text(), "tls"))
        for proxy in ("proxy", "plain"):
            site.set(proxy, "limits.per_address", "50000")
            site.set(proxy, "plaintext_login", '"always"')
        site.set("mx", "limits.connections_per_address", "10000")

        site.run("domain", "add", DOMAIN)
        for node, number in (("trivial", trivial_port), ):
            site.run("node", "add", node, "--lmtp", f"127.0.0.1:{number}", "--imap", f"127.0.0.1:{number}", "--pop3", f"127.0.0.1:{number}")
        rows = [(f"u{user}", "storage1") for user in range(users)]
        rows += [(f"v{user}", "storage2") for user in range(users)]
        rows += [(f"w{user}", "trivial") for user in range(100)]
        rows += [(f"d{user}", "storage1") for user in range(directory_users)]
        import_users(site.folder, site.config("directory1"), rows, folder / "users.csv")

    @property
    def mail(self):
        return [self.site.folder / node for node in ("storage1", "storage2")]

    def start(self):
        self.site.start()

    def stop(self):
        self.site.stop()

    def pid(self, name):
        return self.site.processes[name].pid

    @staticmethod
    def commit(repository):
        done = subprocess.run(["git", "-C", str(repository), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        return done.stdout.strip() or "unknown"


def wait_for(process, metrics):
    """Waits until a role of ours serves its metrics page, which is the last thing it starts."""

    def ready():
        if not process.running():
            raise RuntimeError(f"{process.arguments} ended:\n{process.log_text()[-4000:]}")
        return listens(metrics)

    wait_until(ready, f"{process.arguments} is not ready", 40)


def import_users(folder, config, rows, file):
    """Imports accounts with the one password hash."""
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["address", "password", "quota", "node"])
        writer.writerows((f"{name}@{DOMAIN}", HASH if may_log_in(name) else strange_hash(), "7GB", node) for name, node in rows)
    command(folder, "user", "import", str(file), timeout=1800)
    file.unlink()


def may_log_in(name):
    """The accounts that only fill the directory have names that begin with d."""
    return not name.startswith("d")


def strange_hash():
    """A hash of its own for an account that nobody logs in to, so that no two records share their bytes."""
    salt, digest = (base64.b64encode(os.urandom(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m=19456,t=2,p=1${salt}${digest}"


def without_section(text, section):
    """A TOML text without one of its sections."""
    return re.sub(rf"(?ms)^\[{section}\]\n.*?(?=^\[|\Z)", "", text)

"""The filters that our exchanger asks, as Debian packs them: clamd, spamd, and a milter on libmilter. Each has its own folder, and none
of them fetches anything: clamd has one signature of our own, spamd the rules of its package and no network tests."""

import os
import pathlib
import re
import subprocess

from harness import ports
from harness.site import Process, listens, scratch, wait_until

HERE = pathlib.Path(__file__).resolve().parent
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


class Daemon:
    """A process in a folder that others may write to: the daemons give up root themselves."""

    def __init__(self):
        self.folder = scratch("chasqui-filter-")
        self.folder.chmod(0o777)
        self.port = ports.free_port()
        self.process = None

    def start(self):
        self.process = Process(self.command(), self.folder / "log")
        wait_until(self.ready, f"{type(self).__name__} is not ready", 60)
        return self

    def ready(self):
        if not self.process.running():
            raise AssertionError(f"{type(self).__name__} ended:\n{self.process.log_text()[-4000:]}")
        return listens(self.port)

    def stop(self):
        if self.process and self.process.running():
            self.process.kill()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"


class Clamd(Daemon):
    """clamd with a signature of EICAR's test file and no other."""

    def command(self):
        database = self.folder / "db"
        database.mkdir(exist_ok=True)
        (database / "eigen.ndb").write_text(f"Eicar-Test-Signature:0:*:{EICAR.hex()}\n")
        config = self.folder / "clamd.conf"
        config.write_text(
            f"TCPSocket {self.port}\nTCPAddr 127.0.0.1\nDatabaseDirectory {database}\nForeground yes\nStreamMaxLength 5M\n"
            "IdleTimeout 5\nScanMail yes\n"
        )
        for path in [database, *database.iterdir(), config]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        return ["clamd", "--config-file", str(config)]


class Spamd(Daemon):
    """spamd with the package's rules, without the network, and a Bayes filter for each user."""

    def command(self):
        site, users = self.folder / "site", self.folder / "users"
        site.mkdir(exist_ok=True)
        users.mkdir(exist_ok=True)
        users.chmod(0o777)
        (site / "local.cf").write_text(
            "use_bayes 1\nbayes_auto_learn 0\nuse_auto_whitelist 0\nuse_pyzor 0\nuse_razor2 0\nskip_rbl_checks 1\ndns_available no\n"
            "body LOCAL_JUNK /basura local/\nscore LOCAL_JUNK 8\n"
        )
        for name in ("init.pre", "v310.pre", "v320.pre"):
            if pathlib.Path("/etc/spamassassin", name).exists():
                (site / name).write_text(pathlib.Path("/etc/spamassassin", name).read_text())
        command = ["spamd", "--listen", f"127.0.0.1:{self.port}", "--local", "--max-children", "2", "--allow-tell", "--nouser-config",
                   "--virtual-config-dir", f"{users}/%u", "--siteconfigpath", str(site), "--pidfile", str(self.folder / "pid"), "--syslog", "stderr"]
        return command + (["--username", "nobody"] if os.geteuid() == 0 else [])

    def learnt(self, user):
        """How many messages of spam and of ham the Bayes filter of a user knows."""
        database = self.folder / "users" / user / "bayes"
        if not database.with_name("bayes_toks").exists():
            return 0, 0
        done = subprocess.run(
            ["sa-learn", "--siteconfigpath", str(self.folder / "site"), "--dbpath", str(database), "--dump", "magic"],
            capture_output=True, text=True, timeout=60,
        )
        counts = {kind: int(count) for count, kind in re.findall(r"(\d+)\s+\d+\s+non-token data: (nspam|nham)", done.stdout)}
        return counts.get("nspam", 0), counts.get("nham", 0)


class Milter(Daemon):
    """A filter on libmilter, the library of Sendmail's authors: see scripted_milter.py."""

    def command(self):
        return ["/usr/bin/python3", str(HERE / "scripted_milter.py"), f"inet:{self.port}@127.0.0.1", str(self.folder / "seen")]

    def seen(self):
        """What it was told, line by line."""
        path = self.folder / "seen"
        return path.read_text().splitlines() if path.exists() else []

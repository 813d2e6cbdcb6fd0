"""A plain Debian with systemd, and Chasqui installed on it as docs/debian.md says."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()
# What docs/debian.md is for, and one whose systemd is as new as that of NixOS.
STABLE, NEWEST = "trixie", "sid"
# systemd, what it talks with, and a packet filter: nothing that Chasqui itself would need.
PACKAGES = ["dbus", "nftables", "systemd", "systemd-sysv"]
ROLES = ["directory", "storage", "mx", "proxy", "relay"]


def debian(suite):
    """The folder of a Debian root, made once."""
    root = TARGET / "debian" / suite
    if not root.exists():
        if shutil.which("mmdebstrap") is None:
            raise unittest.SkipTest("mmdebstrap is not installed")
        root.parent.mkdir(parents=True, exist_ok=True)
        making = root.with_suffix(".new")
        shutil.rmtree(making, ignore_errors=True)
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        # A mirror may be kept as it was on a day.
        command += ["--aptopt=Acquire::Check-Valid-Until \"false\"", suite, making]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise unittest.SkipTest(f"mmdebstrap: {done.stderr.strip().splitlines()[-1]}")
        making.rename(root)
    return root


class Machine:
    """A booted Debian, with further files if need be."""

    def __init__(self, binary, suite=STABLE, files=None):
        if os.geteuid() != 0:
            raise unittest.SkipTest("namespaces need root")
        root = debian(suite)
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="chasqui-debian-"))
        content = self.scratch / "content"
        shutil.copytree(ROOT / "packaging" / "debian" / "solo", content)
        (content / "usr" / "bin").mkdir(parents=True)
        shutil.copy(binary, content / "usr" / "bin" / "chasqui")
        (content / "etc" / "hosts").write_text("127.0.0.1 localhost\n192.0.2.10 correo.solo.internal correo\n")
        for path, text in (files or {}).items():
            (content / path).parent.mkdir(parents=True, exist_ok=True)
            (content / path).write_text(text)
        (self.scratch / "files").mkdir()
        self.log = (self.scratch / "log").open("wb")
        self.process = subprocess.Popen(
            [HERE / "boot", root, self.scratch], stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT
        )
        try:
            self.pid = self._wait_for("pid", lambda: (self.scratch / "pid").read_text().strip())
            self._wait_for("a running system", self._is_running)
        except Exception:
            self.stop()
            raise

    def _is_running(self):
        done = self.attempt("systemctl", "is-system-running")
        return done.stdout.strip() in ("running", "degraded")

    def _wait_for(self, what, attempt, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                found = attempt()
            except OSError:
                found = None
            if found:
                return found
            time.sleep(0.2)
        said = (self.scratch / "log").read_text(errors="replace")[-2000:]
        raise unittest.SkipTest(f"systemd does not boot in namespaces here: no {what}: {said}")

    def inside(self, *flags):
        """The words before a command that runs it in the machine's namespaces."""
        return ["nsenter", "--target", str(self.pid), *(flags or ["--all"])]

    def properties(self, unit, *names):
        """These properties of a unit."""
        said = self.run("systemctl", "show", unit, *(f"--property={name}" for name in names))
        return dict(line.split("=", 1) for line in said.splitlines())

    def attempt(self, *command, text=None):
        """Runs a command in the machine and gives its outcome."""
        return subprocess.run(
            [*self.inside(), *command], input=text, capture_output=True, text=True, check=False, timeout=120, env={"PATH": "/usr/sbin:/usr/bin"}
        )

    def run(self, *command, text=None):
        """Runs a command in the machine, which must succeed, and gives what it printed."""
        done = self.attempt(*command, text=text)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def python(self, script, **values):
        """Runs a Python script of this machine in the network of the other, with these variables."""
        text = "".join(f"{name} = {value!r}\n" for name, value in values.items()) + script
        done = subprocess.run(
            [*self.inside("--net"), "python3", "-"], input=text, capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return done.stdout

    def install(self):
        """What docs/debian.md has the operator do after the files are in their places."""
        self.run("systemd-sysusers")
        self.run("systemd-tmpfiles", "--create", "/usr/lib/tmpfiles.d/chasqui.conf")
        pki = "/etc/chasqui/pki"
        chasqui = "/usr/bin/chasqui"
        self.run(chasqui, "pki", "init", pki, "--site", "solo")
        roles = [word for role in ROLES for word in ("--role", role)]
        self.run(chasqui, "pki", "issue", pki, "correo", *roles, "--host", "correo.solo.internal")
        self.run(chasqui, "pki", "keys", "/etc/chasqui/directory.keys")
        self.renew_public_certificate()
        self.run("systemctl", "daemon-reload")
        units = [f"chasqui-{role}.service" for role in ROLES] + [f"chasqui-{role}-renewed.path" for role in ROLES]
        self.run("systemctl", "enable", "--now", *units)
        node = ["--lmtp", "correo.solo.internal:1024", "--imap", "correo.solo.internal:1143", "--pop3", "correo.solo.internal:1110"]
        self.run(chasqui, "node", "add", "correo", *node)
        self.run(chasqui, "domain", "add", "correo.example")
        self.run(chasqui, "user", "add", "ana@correo.example", "--node", "correo", "--password-stdin", text="una clave larga\n")
        # The directory looks for changes every 200 ms.
        time.sleep(1)

    def renew_public_certificate(self):
        """A certificate of our own authority stands for one that clients know."""
        public = "/etc/chasqui/public"
        self.run("mkdir", "-p", public)
        issue = ["pki", "issue", "/etc/chasqui/pki", "public", "--host", "mx.correo.example", "--host", "imap.correo.example"]
        self.run("/usr/bin/chasqui", *issue)
        self.run("mv", "/etc/chasqui/pki/public.crt", f"{public}/fullchain.pem")
        self.run("mv", "/etc/chasqui/pki/public.key", f"{public}/privkey.pem")

    def stop(self):
        """Ends it and takes its files away."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

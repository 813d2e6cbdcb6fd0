"""A site of real processes: the demo in one process, or the same site role by role.

`Demo` runs `chasqui demo --json` in a folder. `Site` lets a demo make the folder (authority, certificates,
configuration files, database) and then starts each role as its own process from the demo's configuration files,
so that a test can stop, kill or reconfigure one of them.
"""

import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from . import ports

PASSWORD = "chasqui-demo"
DOMAIN = "ejemplo.test"
PEOPLE = ["ana", "beto", "carla", "diego"]
START_PATIENCE = 40.0

_binary = None
_processes = []
_folders = []


def clean_up():
    """Ends every process that the tests started and left, each by its id, and removes their folders."""
    for process in _processes:
        if process.running():
            process.kill()
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)


def use_binary(path):
    """Says which binary the tests drive."""
    global _binary
    _binary = str(pathlib.Path(path).resolve())


def binary():
    """The binary under test."""
    if _binary is None:
        raise RuntimeError("no binary was named")
    return _binary


def scratch(prefix="chasqui-"):
    """A new folder on a real file system: /var/tmp, since /tmp may be in memory."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=os.environ.get("CHASQUI_SCRATCH", "/var/tmp")))
    _folders.append(folder)
    return folder


def wait_until(condition, what, patience=10.0, pause=0.02):
    """Returns the first true value of `condition`; fails with the sentence `what` when it never is."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}, after {patience:.0f} s")
        time.sleep(pause)


def listens(port, host="127.0.0.1"):
    """Whether something accepts connections there."""
    try:
        socket.create_connection((host, port), 1).close()
        return True
    except OSError:
        return False


class Process:
    """A child process with its log in a file."""

    def __init__(self, arguments, log, environment=None, cwd=None):
        self.arguments, self.log = arguments, pathlib.Path(log)
        with open(self.log, "ab") as stderr:
            self.child = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=cwd,
                env={**os.environ, "RUST_BACKTRACE": "1", **(environment or {})},
            )
        _processes.append(self)

    @property
    def pid(self):
        return self.child.pid

    def running(self):
        return self.child.poll() is None

    def first_line(self, patience=START_PATIENCE):
        """The first line on standard output."""
        ready, _, _ = select.select([self.child.stdout], [], [], patience)
        line = self.child.stdout.readline() if ready else b""
        if not line:
            self.kill()
            raise AssertionError(f"{self.arguments} did not get ready:\n{self.log_text()[-4000:]}")
        return line.decode()

    def signal(self, number):
        self.child.send_signal(number)

    def stop(self, patience=45.0, number=None):
        """Ends it politely; returns its exit code."""
        if self.running():
            self.signal(number or signal.SIGTERM)
        try:
            return self.child.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.arguments} did not stop within {patience} s") from None
        finally:
            self.child.stdout.close()

    def kill(self):
        """SIGKILL, and waits for its end."""
        if self.running():
            self.child.kill()
        self.child.wait()
        self.child.stdout.close()

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def memory(self):
        """Resident memory in octets."""
        return memory(self.pid)


def memory(pid):
    """Resident memory of a process in octets."""
    return _status(pid, "VmRSS")


def peak_memory(pid):
    """The most resident memory that a process had, in octets."""
    return _status(pid, "VmHWM")


def _status(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


class Endpoints:
    """The addresses of a demo or a site."""

    def __init__(self, base):
        self.base = base
        self.smtp, self.imap, self.pop3 = base + ports.SMTP, base + ports.IMAP, base + ports.POP3
        self.imaps, self.pop3s = base + ports.IMAPS, base + ports.POP3S

    def metrics(self, role):
        return self.base + ports.METRICS[role]


class Demo(Endpoints):
    """`chasqui demo --json`."""

    def __init__(self, folder=None, base=None, arguments=()):
        super().__init__(base or ports.free_base())
        self.folder = pathlib.Path(folder) if folder else scratch() / "demo"
        self.arguments = list(arguments)
        self.process = None
        self.description = None

    def start(self):
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        command = [binary(), "demo", "--dir", str(self.folder), "--port-base", str(self.base), "--json", "--log-format", "json"]
        self.process = Process(command + self.arguments, self.folder.parent / "demo.log")
        self.description = json.loads(self.process.first_line())
        return self

    def stop(self, number=signal.SIGTERM):
        return self.process.stop(number=number)

    @property
    def ca(self):
        return find_ca(self.folder)

    def log_text(self):
        return self.process.log_text()

    def run(self, *arguments, **options):
        return command(self.folder, *arguments, **options)


class Site(Endpoints):
    """The same site with one process a role."""

    # The order in which they start; each name is the configuration file's and the log's.
    ROLES = {
        "directory1": "directory",
        "directory2": "directory",
        "storage1": "storage",
        "storage2": "storage",
        "mx": "mx",
        "proxy": "proxy",
    }

    def __init__(self, folder=None):
        super().__init__(ports.free_base())
        self.folder = pathlib.Path(folder) if folder else scratch() / "site"
        demo = Demo(self.folder, self.base).start()
        self.description = demo.description
        demo.stop()
        self.processes = {}

    def config(self, name):
        """The configuration file of a role's instance."""
        for candidate in (name, name.replace("directory1", "directory")):
            path = self.folder / f"{candidate}.toml"
            if path.exists():
                return path
        raise AssertionError(f"the demo wrote no configuration file for {name}: {sorted(self.folder.glob('*.toml'))}")

    def set(self, name, key, value):
        """Sets `section.key = value` (TOML text) in a role's configuration file."""
        path = self.config(name)
        path.write_text(set_key(path.read_text(), key, value))

    def start(self, *names, wait=True):
        for name in names or self.ROLES:
            arguments = [binary(), self.ROLES[name], "--config", str(self.config(name)), "--log-format", "json"]
            self.processes[name] = Process(arguments, self.folder.parent / f"{name}.log")
        if wait:
            for name in names or self.ROLES:
                self.wait_for(name)
        return self

    def wait_for(self, name):
        """Waits until a role serves its metrics page, which is the last thing it starts."""
        process = self.processes[name]

        def ready():
            if not process.running():
                raise AssertionError(f"{name} ended:\n{process.log_text()[-4000:]}")
            return listens(self.metrics(name))

        wait_until(ready, f"{name} is not ready", START_PATIENCE)

    def stop(self, *names):
        for name in list(names or reversed(list(self.processes))):
            process = self.processes.pop(name, None)
            if process:
                process.stop()

    def kill(self, *names):
        for name in list(names or self.processes):
            process = self.processes.pop(name, None)
            if process:
                process.kill()

    def restart(self, *names):
        self.stop(*names)
        self.start(*names)

    @property
    def ca(self):
        return find_ca(self.folder)

    def log_text(self, name):
        path = self.folder.parent / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def run(self, *arguments, **options):
        return command(self.folder, *arguments, **options)


def find_ca(folder):
    """The site's authority, which mail programs are told to trust."""
    for path in [folder / "ca.pem", folder / "pki" / "ca.pem", *sorted(folder.rglob("ca.pem"))]:
        if path.exists():
            return path
    raise AssertionError(f"no ca.pem below {folder}")


def command(folder, *arguments, input=None, check=True, config=True, timeout=120):
    """Runs an operator's command on the database of the site in `folder`."""
    words = [binary(), *map(str, arguments)]
    if config:
        words += ["--config", str(folder / "directory.toml")]
    done = subprocess.run(words, input=input, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done


def set_key(text, dotted, value):
    """Replaces or adds a key of a TOML file. `value` is TOML text; arrays of tables are not handled."""
    *section, key = dotted.split(".")
    header = f"[{'.'.join(section)}]" if section else None
    lines = text.splitlines()
    start = 0
    if header:
        if header not in [line.strip() for line in lines]:
            lines += ["", header]
        start = [line.strip() for line in lines].index(header) + 1
    end = start
    while end < len(lines) and not lines[end].lstrip().startswith("["):
        end += 1
    for number in range(start, end):
        if re.match(rf"\s*{re.escape(key)}\s*=", lines[number]):
            # A value that spans lines ends with its bracket.
            last = number
            while lines[number].count("[") > sum(line.count("]") for line in lines[number:last + 1]):
                last += 1
            lines[number:last + 1] = [f"{key} = {value}"]
            return "\n".join(lines) + "\n"
    lines.insert(start, f"{key} = {value}")
    return "\n".join(lines) + "\n"

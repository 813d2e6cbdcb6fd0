"""For checks that run a host's own texts on loopback: commands, waiting, free ports, and an authority of the test's own."""

import pathlib
import random
import shutil
import socket
import subprocess
import time


def missing(*programs):
    """The programs that are not installed, in words; empty if all are."""
    return ", ".join(name for name in programs if not shutil.which(name))


def run(*command, ok=True, **more):
    """Runs a command; its output. If it fails and may not, ends with what it said."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **more)
    if ok and done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def eventually(what, wanted, seconds=60):
    """Waits until `wanted()` is something, and gives it."""
    end = time.monotonic() + seconds
    while not (found := wanted()):
        if time.monotonic() > end:
            raise SystemExit(f"not within {seconds} s: {what}")
        time.sleep(0.1)
    return found


def free_port():
    """A port that nobody has, from below those that connections come from."""
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise SystemExit("no free port on 127.0.0.1")


def said(checked, wanted, explanation):
    """Ends with the explanation unless what was checked is wanted."""
    if not wanted:
        raise SystemExit(f"{explanation}\n{checked}")


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder, name="ca"):
        self.certificate, self.key = pathlib.Path(folder) / f"{name}.crt", pathlib.Path(folder) / f"{name}.key"
        run("openssl", "req", "-x509", *self.PLAIN, "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate)

    PLAIN = ("-days", "2", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")

    def issue(self, common_name, names, certificate, key):
        """Writes a certificate and its key, of DNS names."""
        alternative = "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)
        signed = ["-CA", self.certificate, "-CAkey", self.key, "-addext", alternative, "-addext", "basicConstraints=critical,CA:FALSE"]
        run("openssl", "req", "-x509", *self.PLAIN, "-subj", f"/CN={common_name}", *signed, "-keyout", key, "-out", certificate)

"""Hosts of a lab as network namespaces of this machine: quick, but of one kernel, which has no IPVS in them.

Sockets of the tests live in the namespaces too: a thread enters one (setns(2)) and what it opens there stays there.
"""

import concurrent.futures
import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def need(*programs):
    """Skips where namespaces cannot be, or a program is missing."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("network namespaces with interfaces between them need root")
    if subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        raise unittest.SkipTest("this machine allows no network namespaces")
    for program, package in programs:
        if not shutil.which(program):
            raise unittest.SkipTest(f"{program} is not installed (Debian's package {package})")


def call(*command, ok=True, **more):
    """Runs a command; its output, or its status and output if it may fail."""
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, check=False, **more)
    if ok and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout if ok else (done.returncode, done.stdout + done.stderr)


def eventually(what, holds, seconds=20):
    """Waits until something holds."""
    ends = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class Lab:
    """Namespaces on common wires, each wire a bridge in a namespace of the lab's own."""

    def __init__(self, wires):
        self.name = f"cq{os.getpid()}"
        self.hosts, self.processes, self.cards = {}, [], 0
        self.switch = Host(self, "switch")
        for wire in wires:
            self.switch.ip("link", "add", wire, "type", "bridge")
            self.switch.ip("link", "set", wire, "up")

    def host(self, name, cards, gateway=None):
        """A host with `cards`: the interface's name to its wire and addresses with their prefixes' lengths."""
        host = Host(self, name)
        for card, (wire, addresses) in cards.items():
            host.plug(card, wire, addresses)
        for way in [gateway] if gateway else []:
            host.ip("route", "add", "default", "via", way)
        return host

    def close(self):
        """Ends what was started here, and takes the namespaces away."""
        for process in reversed(self.processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for host in self.hosts.values():
            host.stop_serving()
            subprocess.run(["ip", "netns", "del", host.namespace], check=False)


class Host:
    """A network namespace."""

    def __init__(self, lab, name):
        self.lab, self.name, self.ports, self.listening = lab, name, {}, []
        self.namespace = f"{lab.name}-{name}"
        call("ip", "netns", "add", self.namespace)
        lab.hosts[name] = self
        self.ip("link", "set", "lo", "up")

    def ip(self, *words):
        return call("ip", "-n", self.namespace, *words)

    def run(self, *command, **more):
        return call("ip", "netns", "exec", self.namespace, *command, **more)

    def start(self, *command, log=None, **more):
        """A process that stays, in a group of its own, seeing a /run of its own."""
        out = open(log, "w") if log else subprocess.DEVNULL
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, "unshare", "--mount", "sh", "-c", 'mount -t tmpfs run /run && exec "$@"', "sh", *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, **more)  # fmt: skip
        self.lab.processes.append(process)
        return process

    def plug(self, card, wire, addresses):
        """Gives the host an interface on a wire."""
        switch, port = self.lab.switch, f"port{self.lab.cards}"
        self.lab.cards += 1
        switch.ip("link", "add", port, "type", "veth", "peer", "name", card, "netns", self.namespace)
        switch.ip("link", "set", port, "master", wire, "up")
        self.ports[card] = port
        for address in addresses:
            self.ip("address", "add", address, "dev", card, *(["nodad"] if ":" in address else []))
        self.ip("link", "set", card, "up")

    def networkd(self, folder, wires):
        """Takes the addresses and routes that Nix made for a host's `wires`, a name for each interface: what systemd-networkd would do."""
        for card, wire in wires.items():
            text = (pathlib.Path(folder) / f"etc/systemd/network/20-{card}.network").read_text()
            self.plug(card, wire, re.findall(r"^Address=(\S+)", text, re.MULTILINE))
            for route in re.findall(r"^Destination=(\S+)\nScope=link", text, re.MULTILINE):
                self.ip("route", "add", route, "dev", card, "scope", "link")
            for gateway in re.findall(r"^Gateway=(\S+)", text, re.MULTILINE):
                self.ip("route", "add", "default", "via", gateway)

    def load(self, folder):
        """Takes the packet filter and the kernel settings that Nix made for a host. Some settings are the whole machine's: those stay."""
        self.run("nft", "--file", folder / "etc/nftables.nft")
        for line in (pathlib.Path(folder) / "etc/sysctl.d/60-nixos.conf").read_text().splitlines():
            self.run("sysctl", "-qew", line.strip(), ok=False)

    def cut(self, card):
        """Pulls a cable out."""
        self.lab.switch.ip("link", "set", self.ports[card], "down")

    def inside(self, action):
        """What a function gives in this namespace."""
        outcome = concurrent.futures.Future()

        def work():
            with open(f"/run/netns/{self.namespace}") as file:
                if LIBC.setns(file.fileno(), CLONE_NEWNET) != 0:
                    outcome.set_exception(OSError(ctypes.get_errno(), "setns"))
                    return
            try:
                outcome.set_result(action())
            except Exception as error:  # noqa: BLE001  the caller gets it
                outcome.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        return outcome.result()

    def connect(self, address, port, source=None, seconds=1.5):
        """A connection, as a client; raises what the network says."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET

        def act():
            client = socket.socket(family, socket.SOCK_STREAM)
            client.settimeout(seconds)
            if source:
                client.bind((source, 0))
            client.connect((address, port))
            return client

        return Talk(self.inside(act))

    def reaches(self, address, port, source=None):
        """`open` and who answered, `refused` or `silent`."""
        try:
            talk = self.connect(address, port, source)
        except (TimeoutError, socket.timeout):
            return "silent"
        except OSError:
            return "refused"
        try:
            return talk.ask()
        finally:
            talk.close()

    def serve(self, *ports, address="0.0.0.0"):
        """Answers each line on these TCP ports with this host's name and the client's address."""
        for port in ports:
            listener = self.inside(lambda port=port: socket.create_server((address, port), reuse_port=False))
            thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
            self.listening.append((listener, thread))
            thread.start()

    def _accept(self, listener):
        while True:
            try:
                client, peer = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client, peer[0]), daemon=True).start()

    def _answer(self, client, peer):
        with client, client.makefile("rwb", buffering=0) as stream:
            try:
                for _ in stream:
                    stream.write(f"{self.name} {peer}\n".encode())
            except OSError:
                return

    def stop_serving(self):
        """A thread in accept(2) keeps its socket's number until it is woken: closing alone would let it take the next test's clients."""
        for listener, thread in self.listening:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            listener.close()


class Talk:
    """A connection that asks who is there."""

    def __init__(self, client):
        self.client = client
        self.stream = client.makefile("rwb", buffering=0)

    def ask(self):
        """The server's name and the address that it sees."""
        self.stream.write(b"who\n")
        return self.stream.readline().decode().strip()

    def close(self):
        self.stream.close()
        self.client.close()

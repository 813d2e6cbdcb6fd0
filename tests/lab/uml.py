"""Guests of a lab: systems with a kernel of their own (user-mode Linux), drives and networks, as processes of this machine.

The kernel is Debian's package `user-mode-linux`, the system a folder that `mmdebstrap` makes once. It needs root, for the networks.
"""

import os
import pathlib
import shutil
import subprocess
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("CHASQUI_LAB", HERE.parents[1] / "target" / "lab"))
KERNEL = pathlib.Path("/usr/bin/linux.uml")
MODULES = pathlib.Path("/usr/lib/uml/modules")
PACKAGES = (
    "systemd,udev,kmod,iproute2,iputils-ping,mdadm,lvm2,thin-provisioning-tools,open-iscsi,multipath-tools,python3,python3-rtslib-fb,"
    "e2fsprogs,btrfs-progs,dmsetup,procps,util-linux,keepalived,ipvsadm,gawk"
)


def need():
    """Skips where a lab cannot be."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("a lab needs root, for its networks")
    for program, package in (("linux.uml", "user-mode-linux"), ("mmdebstrap", "mmdebstrap"), ("gcc", "gcc")):
        if not shutil.which(program):
            raise unittest.SkipTest(f"{program} is not installed (Debian's package {package})")


def call(*command, **more):
    return subprocess.run([str(part) for part in command], check=True, text=True, capture_output=True, **more).stdout


def system():
    """The folder with the guests' system, made on the first call."""
    folder = CACHE / "system"
    complete = folder / "complete"
    if not complete.exists() or complete.read_text() != PACKAGES:
        shutil.rmtree(folder, ignore_errors=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        print("          making the guests' system, once", flush=True)
        call("mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", folder)
        (version,) = MODULES.iterdir()
        shutil.copytree(version, folder / "lib/modules" / version.name)
        call("chroot", folder, "depmod", version.name)
        (folder / "etc/rtslib-fb-target").mkdir(exist_ok=True)
        complete.write_text(PACKAGES)
    shutil.copy(HERE / "guest", folder / "guest")
    return folder


def shim():
    """A library that widens what this kernel writes into processor states, for processors that are newer than it."""
    library = CACHE / "xstate.so"
    if not library.exists():
        call("gcc", "-shared", "-fPIC", "-O1", "-o", library, HERE / "xstate.c", "-ldl")
    return library


class Lab:
    """Guests that share networks, each network a bridge in a namespace of the lab's own."""

    def __init__(self, work, networks):
        need()
        self.work = pathlib.Path(work)
        self.system, self.shim = system(), shim()
        self.namespace = f"lab{os.getpid()}"
        self.networks = networks
        self.guests = []
        call("ip", "netns", "add", self.namespace)
        for network in networks:
            self.ip("link", "add", network, "type", "bridge")
            self.ip("link", "set", network, "up")

    def ip(self, *words):
        return call("ip", "-n", self.namespace, *words)

    def guest(self, name, drives=()):
        self.guests.append(Guest(self, name, len(self.guests), drives))
        return self.guests[-1]

    def close(self):
        for guest in self.guests:
            guest.kill()
        subprocess.run(["ip", "netns", "del", self.namespace], check=False)


class Guest:
    """A running guest. `drives` are files, each a block device /dev/ubda, /dev/ubdb, …; guests may share them."""

    def __init__(self, lab, name, number, drives):
        self.lab, self.name, self.commands = lab, name, 0
        self.folder = lab.work / f"{number}-{name}"
        self.folder.mkdir()
        self.taps = {network: f"t{number}{position}" for position, network in enumerate(lab.networks)}
        cards = []
        for position, (network, tap) in enumerate(self.taps.items()):
            lab.ip("tuntap", "add", "dev", tap, "mode", "tap")
            lab.ip("link", "set", tap, "master", network, "up")
            cards.append(f"vec{position}:transport=tap,ifname={tap},depth=128,gro=1")
        # `c`: not locked, so that another guest may have the drive too.
        disks = [f"ubd{position}c={drive}" for position, drive in enumerate(drives)]
        self.console = (self.folder / "console").open("w")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", lab.namespace, KERNEL, "mem=320M", f"umid={lab.namespace}-{number}", "rootfstype=hostfs",
             f"rootflags={lab.system}", "ro", "init=/guest", "con=null", "con0=null,fd:1", "quiet", *cards, *disks,
             f"LAB_NAME={name}", f"LAB_FOLDER={self.folder}"],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console, start_new_session=True,
            env={**os.environ, "LD_PRELOAD": str(lab.shim)})  # fmt: skip
        self.wait_for(self.folder / "up", 60)

    def wait_for(self, file, seconds):
        ends = time.monotonic() + seconds
        while not file.exists():
            if self.process.poll() is not None or time.monotonic() > ends:
                raise AssertionError(f"{self.name}: no {file.name} after {seconds} s\n{(self.folder / 'console').read_text()[-3000:]}")
            time.sleep(0.02)

    def begin(self, command):
        """Lets the guest do something beside what it does already; its number, for `end`."""
        self.commands += 1
        (self.folder / f"{self.commands}.command").write_text(command)
        (self.folder / f"{self.commands}.ready").touch()
        return self.commands

    def end(self, number, ok=True, seconds=120):
        """What a command printed, with its status if it may fail."""
        self.wait_for(self.folder / f"{number}.status", seconds)
        status = int((self.folder / f"{number}.status").read_text())
        output = (self.folder / f"{number}.output").read_text()
        if ok and status:
            command = (self.folder / f"{number}.command").read_text()
            raise AssertionError(f"{self.name}: status {status}\n{command}\n{output}")
        return output if ok else (status, output)

    def run(self, command, ok=True, seconds=120):
        return self.end(self.begin(command), ok, seconds)

    def cut(self, network):
        """Pulls the cable out of the switch. The card keeps its side: a kernel of this kind gives a card up whose other side goes."""
        self.lab.ip("link", "set", self.taps[network], "nomaster")

    def mend(self, network):
        self.lab.ip("link", "set", self.taps[network], "master", network)

    def kill(self):
        """Power off, without warning."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        self.console.close()

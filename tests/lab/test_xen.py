"""A Xen host of hosts/lab at work (E10): Xen itself in a computed machine (qemu without KVM), a guest by the text that Nix makes."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import uml

ROOT = uml.HERE.parents[1]
PACKAGES = "linux-image-amd64,xen-hypervisor-4.17-amd64,xen-utils-4.17,xenstore-utils,grub-xen-host,lvm2,iproute2,iputils-ping,kmod,busybox-static,e2fsprogs"
HOST_MODULES = "crc16 mbcache jbd2 crc32c_generic libcrc32c ext4 virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk"
GUEST_MODULES = "crc16 mbcache jbd2 crc32c_generic libcrc32c ext4 xen-blkfront xen-netfront"
# The computed processor: what of the default one Xen 4.17's or the emulator's faults forbid.
MACHINE = "-M q35 -accel tcg,thread=multi,tb-size=512 -cpu max,-la57,-smap,-smep,-rdtscp -smp 1 -m 2560 -display none -serial stdio -no-reboot"
XEN = "console=com1 com1=115200,8n1 dom0_mem=1024M,max:1024M noreboot=1 spec-ctrl=no pv-l1tf=off"
GRUB = """\
linux /boot/vmlinuz console=hvc0 quiet panic=-1
initrd /boot/initrd.gz
boot
"""


def need():
    if os.geteuid() != 0:
        raise unittest.SkipTest("mmdebstrap's way of making a system needs root")
    for program, package in (("qemu-system-x86_64", "qemu-system-x86"), ("mmdebstrap", "mmdebstrap"), ("cpio", "cpio"), ("mkfs.ext4", "e2fsprogs")):
        if not shutil.which(program):
            raise unittest.SkipTest(f"{program} is not installed (Debian's package {package})")


def kit():
    """A folder with the host's system, its disk, and the two initial ramdisks; made once."""
    folder = uml.CACHE / "xen"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print("          making the Xen host's system, once", flush=True)
        system = folder / "system"
        uml.call("mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", system)
        (kernel,) = (system / "boot").glob("vmlinuz-*")
        shutil.copy(kernel, folder / "vmlinuz")
        (hypervisor,) = (system / "boot").glob("xen-4.*-amd64.gz")
        (folder / "xen").write_bytes(subprocess.run(["gzip", "-dc", hypervisor], check=True, capture_output=True).stdout)
        shutil.rmtree(system / "boot")
        (system / "boot").mkdir()
        uml.call("mkfs.ext4", "-q", "-d", system, folder / "root.ext4", "1600M")
        for name, modules in (("host", HOST_MODULES), ("guest", GUEST_MODULES)):
            ramdisk(system, folder / f"{name}.gz", modules.split())
        shutil.rmtree(system)
        (folder / "complete").touch()
    return folder


def ramdisk(system, file, modules):
    with tempfile.TemporaryDirectory() as work:
        tree = pathlib.Path(work)
        for name in ("bin", "sbin", "proc", "sys", "dev", "mnt", "modules"):
            (tree / name).mkdir()
        # What a kernel runs that is asked by Xen to shut down.
        (tree / "sbin/poweroff").write_text("#!/bin/busybox sh\nexec /bin/busybox poweroff -f\n")
        (tree / "sbin/poweroff").chmod(0o755)
        shutil.copy(system / "bin/busybox", tree / "bin")
        shutil.copy(uml.HERE / "xen-initramfs", tree / "init")
        for module in modules:
            for found in (system / "lib/modules").rglob(f"{module}.ko"):
                shutil.copy(found, tree / "modules")
        subprocess.run(f"find . | cpio --quiet -o -H newc | gzip -1 > {file}", shell=True, check=True, cwd=tree)


class Xen(unittest.TestCase):
    def test_a_guest_starts_by_its_own_menu_is_on_its_bridges_comes_back_after_a_crash_and_is_shut_down(self):
        need()
        parts = kit()
        work = pathlib.Path(tempfile.mkdtemp(prefix="chasqui-xen-", dir="/var/tmp"))
        self.addCleanup(shutil.rmtree, work, ignore_errors=True)
        # As in the lab, but with as much memory as there is.
        site = (ROOT / "hosts/lab/site.toml").read_text()
        before, guest = site.split("[hosts.facade1]\n")
        (work / "site.toml").write_text(before + "[hosts.facade1]\n" + guest.replace('memory = "1GiB"', 'memory = "256MiB"', 1))
        uml.call(ROOT / "tests/nix/eval", work / "site.toml", "blade1", "--out", work / "blade1")
        text = (work / "blade1/etc/xen/guests/facade1.cfg").read_text()

        disk = work / "disk/boot"
        (disk / "grub").mkdir(parents=True)
        shutil.copy(parts / "vmlinuz", disk)
        shutil.copy(parts / "guest.gz", disk / "initrd.gz")
        (disk / "grub/grub.cfg").write_text(GRUB)
        files = work / "files"
        files.mkdir()
        uml.call("mkfs.ext4", "-q", "-L", "root", "-d", work / "disk", files / "guest.ext4", "44M")
        (files / "facade1.cfg").write_text(text)
        (files / "name").write_text("facade1\n")
        shutil.copy(uml.HERE / "xen-host", files)
        uml.call("mkfs.ext4", "-q", "-d", files, work / "files.ext4", "80M")
        with (work / "guests").open("wb") as drive:
            drive.truncate(200 << 20)
        drives = [f"file={file},if=virtio,format=raw,snapshot=on" for file in (parts / "root.ext4", work / "files.ext4", work / "guests")]

        said = subprocess.run(
            ["timeout", "1500", "qemu-system-x86_64", *MACHINE.split(), "-kernel", parts / "xen", "-initrd",
             f"{parts}/vmlinuz console=hvc0 quiet,{parts}/host.gz", "-append", XEN, *(word for drive in drives for word in ("-drive", drive))],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace").stdout  # fmt: skip
        lines = [line[3:] for line in said.splitlines() if line.startswith("@@ ")]
        told = "\n".join(lines)
        self.assertIn("end", lines, said[-4000:])
        first, second = re.findall(r"mac=(\S+),", text)
        self.assertIn(f"GUEST PVH cores=1 eth0={first} eth1={second}", told)
        self.assertRegex(told, "master br-service")
        self.assertRegex(told, "master br-management")
        self.assertIn("ping", lines)
        self.assertIn("GUEST again", told)
        # Its unit ends well when it is stopped.
        self.assertIn("shut down", lines)
        self.assertIn("xl ended with 0", lines)
        self.assertIn("domains: Domain-0 ", told)

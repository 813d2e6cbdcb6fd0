"""An array of two controllers and a host with a volume on it (E12, E17), with the texts that Nix makes and the programs that read them."""

import pathlib
import re
import shutil
import tempfile
import time
import unittest

import uml

ROOT = uml.HERE.parents[1]
PROGRAMS = ROOT / "modules/platform/storage"
ARRAY = "python3 /lab/programs/array.py"
TARGET = "python3 /lab/programs/target.py"
LOGIN = "python3 /lab/programs/login.py"
VOLUME = "python3 /lab/programs/volume.py"
LUNS = ("backup-2", "guests-1", "guests-3", "mail-1")
# The addresses of hosts/lab in both meshes. The meshes themselves are not part of this test: here they are plain networks.
ADDRESSES = {"controller1": 2, "controller2": 3, "storage1": 51}
# The lab's sizes, and what they are here.
SIZES = {
    'drive_size = "1TB"': 'drive_size = "64MB"',
    'size = "200GB", drives': 'size = "60MB", drives',
    'size = "400GB"': 'size = "40MB"',
    'size = "1TB"': 'size = "120MB"',
    'size = "2TB"': 'size = "60MB"',
}
DRIVES = [f"lab-shelf1-{number}" for number in range(11)] + ["lab-shelf1-ssd-0", "lab-shelf1-ssd-1"]
PROVES = "ana 0123456789abcdef\ncontroller fedcba9876543210\n"


def eventually(what, holds, seconds=60):
    ends = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.3)


class Storage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        uml.need()
        cls.work = pathlib.Path(tempfile.mkdtemp(prefix="chasqui-lab-"))
        cls.addClassCleanup(shutil.rmtree, cls.work, ignore_errors=True)
        site = (ROOT / "hosts/lab/site.toml").read_text()
        for real, small in SIZES.items():
            assert real in site, real
            site = site.replace(real, small)
        (cls.work / "site.toml").write_text(site)
        uml.call(ROOT / "tests/nix/eval", cls.work / "site.toml", *ADDRESSES, "--out", cls.work / "hosts")
        cls.drives = []
        for name in DRIVES:
            cls.drives.append(cls.work / name)
            with cls.drives[-1].open("wb") as file:
                file.truncate(64 << 20)
        cls.lab = uml.Lab(cls.work, ["san", "sanb"])
        cls.addClassCleanup(cls.lab.close)
        cls.first = cls.controller("controller1")
        cls.second = cls.controller("controller2")
        cls.host = cls.boot("storage1", ())
        cls.host.run(
            "modprobe -a iscsi_tcp dm-multipath dm-service-time;"
            'echo "InitiatorName=iqn.2026-11.internal.lab:storage1" > /etc/iscsi/initiatorname.iscsi;'
            "mkdir -p /run/lock/iscsi; iscsid; multipathd")
        cls.plan = cls.first.run(f"{ARRAY} create a1")
        cls.made = cls.first.run(f"{ARRAY} create a1 --yes --wait")
        cls.first.run(f"{TARGET} up a1")
        cls.login = cls.host.run(f"{LOGIN} --patience 30")
        cls.host.run(f"{VOLUME} mail && mkdir /mail && mount /dev/mail/mail /mail")

    @classmethod
    def boot(cls, name, drives):
        guest = cls.lab.guest(name, drives)
        shutil.copytree(cls.work / "hosts" / name / "etc", guest.folder / "etc", ignore_dangling_symlinks=True)
        shutil.copytree(PROGRAMS, guest.folder / "programs")
        number = ADDRESSES[name]
        guest.run(
            "mkdir -p /etc/chasqui && cp -r /lab/etc/chasqui/* /etc/chasqui && cp /lab/etc/multipath.conf /etc 2>/dev/null;"
            "cp /lab/etc/lvm/lvm.conf /etc/lvm/lvm.conf;"
            f"ip addr add 10.21.2.{number}/24 dev vec0; ip addr add 10.21.3.{number}/24 dev vec1; ip link set vec0 up; ip link set vec1 up;"
            "mkdir -p /etc/chasqui/secrets/chap && cd /etc/chasqui/secrets/chap && umask 077;"
            + "".join(f"printf '{PROVES}' > {lun};" for lun in LUNS)
        )
        return guest

    @classmethod
    def controller(cls, name):
        guest = cls.boot(name, cls.drives)
        links = "".join(f"ln -s /dev/ubd{chr(ord('a') + number)} /dev/disk/by-id/{drive};" for number, drive in enumerate(DRIVES))
        guest.run(
            f"mkdir -p /dev/disk/by-id; {links} echo 'AUTO -all' > /etc/mdadm/mdadm.conf;"
            "modprobe -a raid456 raid0 raid1 dm-cache-smq configfs iscsi_target_mod target_core_iblock;"
            "mount -t configfs configfs /sys/kernel/config; mkdir -p /etc/target"
        )
        return guest

    def metrics(self, controller):
        lines = controller.run(f"{ARRAY} metrics a1").splitlines()
        return {name: int(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def paths(self):
        """How many ways to the LUN work."""
        return len(re.findall(r"\d+:\d+ A ", self.host.run("dmsetup status lun-mail-1")))

    def test_the_plan_is_shown_before_anything_is_made(self):
        self.assertIn("RAID 6 a1-g1: 5 drives", self.plan)
        self.assertIn("nothing is done; say --yes", self.plan)
        self.assertIn("made /dev/md/a1\n", self.made)
        self.assertIn("Cwi", self.first.run("lvs array-a1/mail-1"))

    def test_drives_that_hold_an_array_are_not_used_for_another(self):
        status, said = self.second.run(f"{ARRAY} create a1 --yes", ok=False)
        self.assertEqual(1, status)
        self.assertIn("13 of the drives hold data", said)

    def test_the_other_controller_leaves_the_array_alone(self):
        self.assertEqual((1, ""), self.second.run(f"{ARRAY} owns a1", ok=False))
        self.assertEqual("unused devices: <none>\n", "".join(self.second.run("grep unused /proc/mdstat; grep ^md /proc/mdstat", ok=False)[1]))
        for verb in ("start", "takeover"):
            status, said = self.second.run(f"{ARRAY} {verb} a1", ok=False)
            self.assertEqual(1, status, said)
        self.assertIn("controller1 answers at 10.21.2.2, 10.21.3.2", said)

    def test_a_host_without_the_secret_or_under_another_name_gets_nothing(self):
        target = "iqn.2026-11.internal.lab:a1.guests-1"
        _, said = self.host.run(f"iscsiadm -m discovery -t st -p 10.21.2.2; iscsiadm -m node -T {target} -p 10.21.2.2 -l", ok=False)
        self.assertNotIn("successful", said)

    def test_a_lun_is_one_disk_by_two_ways_and_a_cut_one_is_not_missed(self):
        self.assertIn("LUN mail-1 at 10.21.2.2: open", self.login)
        self.assertIn("LUN mail-1 at 10.21.3.2: open", self.login)
        eventually("two paths", lambda: self.paths() == 2)
        self.first.cut("san")
        self.host.run("dd if=/dev/urandom of=/mail/cut bs=64k count=32 conv=fsync && sha256sum /mail/cut > /mail/cut.sum")
        eventually("one path left", lambda: self.paths() == 1)
        self.first.mend("san")
        eventually("both paths", lambda: self.paths() == 2)
        self.host.run("sha256sum --check /mail/cut.sum")

    def test_what_a_device_holds_is_never_formatted(self):
        self.host.run("modprobe loop; truncate -s 64M /tmp/disk && printf mail | dd of=/tmp/disk bs=1 seek=1000000 conv=notrunc && losetup /dev/loop0 /tmp/disk")
        self.host.run("""sed 's|"device": ".*"|"device": "/dev/loop0"|; s|"name": "mail"$|"name": "other"|' /etc/chasqui/volumes.json > /tmp/volumes.json""")
        status, said = self.host.run(f"{VOLUME} other --volumes /tmp/volumes.json", ok=False)
        self.assertEqual(1, status)
        self.assertIn("/dev/loop0 is not blank", said)
        status, said = self.host.run(f"{VOLUME} mail", ok=False)
        self.assertEqual((0, ""), (status, said))

    def test_two_drives_of_a_group_fail_and_a_spare_of_another_group_helps(self):
        self.host.run("dd if=/dev/urandom of=/mail/drives bs=64k count=64 conv=fsync && sha256sum /mail/drives > /mail/drives.sum")
        watcher = next(
            line.split("=", 1)[1].split("/bin/mdadm", 1)[1].replace("--delay=60", "--delay=1")
            for line in (self.first.folder / "etc/systemd/system/chasqui-array-monitor-a1.service").read_text().splitlines()
            if line.startswith("ExecStart=")
        )
        self.first.run(f"mdadm {watcher} --daemonise")
        # The spare is with the first group; the drives fail in the second.
        self.first.run("mdadm /dev/md/a1-g1 --fail /dev/ubdf --fail /dev/ubdg")
        eventually("the spare moved", lambda: self.metrics(self.first)['chasqui_array_missing_drives{array="a1",group="a1-g1"}'] == 1, 90)
        self.host.run("echo 3 > /proc/sys/vm/drop_caches; sha256sum --check /mail/drives.sum")
        self.assertEqual(2, self.metrics(self.first)['chasqui_array_faulty_drives{array="a1",group="a1-g1"}'])
        self.first.run("mdadm /dev/md/a1-g1 --remove /dev/ubdf --remove /dev/ubdg && mdadm --zero-superblock /dev/ubdf /dev/ubdg")
        self.first.run("mdadm /dev/md/a1-g1 --add /dev/ubdf && mdadm --wait /dev/md/a1-g1; mdadm /dev/md/a1-g0 --add-spare /dev/ubdg")
        eventually("whole again", lambda: self.metrics(self.first)['chasqui_array_missing_drives{array="a1",group="a1-g1"}'] == 0)
        self.first.run(f"{ARRAY} scrub a1; mdadm --wait /dev/md/a1-g0 /dev/md/a1-g1", ok=False)
        self.assertEqual(0, self.metrics(self.first)['chasqui_array_mismatches{array="a1",group="a1-g1"}'])

    def test_without_its_controller_a_host_waits_and_goes_on_at_the_other(self):
        self.host.run("dd if=/dev/urandom of=/mail/before bs=64k count=64 conv=fsync && sha256sum /mail/before > /mail/before.sum && sync")
        self.first.kill()
        writing = self.host.begin("dd if=/dev/urandom of=/mail/during bs=64k count=64 conv=fsync && sha256sum /mail/during > /mail/during.sum")
        status, said = self.second.run(f"{ARRAY} takeover a1", ok=False)
        self.assertEqual(1, status)
        self.assertIn("controller1 does not answer, but it may still write", said)
        self.second.run("mkdir -p /run/chasqui/fenced && touch /run/chasqui/fenced/controller1")
        self.assertIn("array a1 is controller2's now", self.second.run(f"{ARRAY} takeover a1"))
        self.second.run(f"{ARRAY} start a1 && {TARGET} up a1")
        # On a host a timer does this.
        self.host.run(LOGIN)
        self.host.end(writing)
        self.host.run("echo 3 > /proc/sys/vm/drop_caches; sha256sum --check /mail/before.sum /mail/during.sum")
        self.host.run("umount /mail && fsck.ext4 -fn /dev/mail/mail && mount /dev/mail/mail /mail")

        # The dead one comes back, and keeps its hands off what is not its own any more.
        again = self.controller("controller1")
        self.assertEqual((1, ""), again.run(f"{ARRAY} owns a1", ok=False))
        self.second.run(f"{TARGET} down a1 && {ARRAY} give a1")
        again.run(f"{ARRAY} start a1 && {TARGET} up a1")
        eventually("writing again", lambda: self.host.run(f"{LOGIN}; true") is not None and self.paths() >= 1)
        self.host.run("sha256sum --check /mail/before.sum && touch /mail/after && sync /mail/after")

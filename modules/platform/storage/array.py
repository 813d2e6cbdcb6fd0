#!/usr/bin/env python3
"""A disk array of two controllers: RAID 6 groups striped (RAID 6+0), SSDs mirrored in front, a logical volume for each LUN (E12).

The drives are cabled to both controllers, and two that write at once destroy them. So nothing is assembled by itself. Whose the array is
stands on the drives, as mdadm's `homehost`; `start` refuses what is not this host's, and only `give` and `takeover` change the owner.
"""
import argparse
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

ISCSI_PORT = 3260
BLANK = 16 * 1024 * 1024
EXTENT = 4 * 1024 * 1024


class Refused(Exception):
    """What is asked would endanger data; the text says why and what to do."""


def run(*command, check=True, quiet=False):
    done = subprocess.run(command, text=True, capture_output=True)
    if check and done.returncode != 0:
        raise Refused(f"`{' '.join(command)}' failed: {(done.stderr or done.stdout).strip()}")
    if not quiet and done.stdout.strip():
        print(done.stdout.rstrip())
    return done


def output(*command):
    """What a command prints; nothing if it fails."""
    done = run(*command, check=False, quiet=True)
    return done.stdout if done.returncode == 0 else ""


class Array:
    def __init__(self, folder, name, host):
        self.conf = str(folder / f"{name}.mdadm.conf")
        self.__dict__.update(json.loads((folder / f"{name}.json").read_text()))
        self.host = host
        if host not in self.controllers:
            raise Refused(f"array {name} belongs to {' and '.join(self.controllers)}, not to {host}")

    @property
    def bases(self):
        """What is made of drives: the groups, and the mirror of the SSDs."""
        return self.groups + ([self.cache] if self.cache else [])

    @property
    def members(self):
        """Everything that mdadm assembles, in the order of assembly."""
        return self.groups + [self.stripe] + ([self.cache] if self.cache else [])

    @property
    def other(self):
        return next(iter(c for c in self.controllers if c != self.host), None)

    def owner(self):
        """The host that the drives name, None if they hold no array of ours. A drive that was away lags behind, so the newest counts."""
        newest, owner = -1, None
        uuids = {member["uuid"] for member in self.bases}
        for found in self.examined():
            events, name = int(found.get("MD_EVENTS", 0)), found.get("MD_NAME", "")
            if found.get("MD_UUID") in uuids and events > newest and ":" in name:
                newest, owner = events, name.split(":")[0]
        return owner

    def examined(self):
        """What stands on each drive that can be read. All are asked at once, for there may be a hundred."""
        drives = [drive for member in self.bases for drive in member["drives"]] + self.spares
        records = [{}]
        for line in run("mdadm", "--examine", "--export", *drives, check=False, quiet=True).stdout.splitlines():
            key, _, value = line.partition("=")
            if key in records[-1]:
                records.append({})
            records[-1][key] = value
        return records

    def device(self, member):
        return f"/dev/md/{member['name']}"

    def is_active(self, member):
        return member["uuid"] in output("mdadm", "--detail", self.device(member))


def create(array, args):
    """Makes the array from its drives. Without --yes it only says what it would do."""
    drives = [drive for member in array.bases for drive in member["drives"]] + array.spares
    missing = [drive for drive in drives if not pathlib.Path(drive).is_block_device()]
    if missing:
        raise Refused(f"no such block devices: {', '.join(missing)}; compare `arrays.{array.name}.drives' in the site file")
    used = {drive: held for drive in drives if (held := contents(drive))}
    for group in array.groups:
        print(f"RAID 6 {group['name']}: {len(group['drives'])} drives, {array.chunk} KiB of each in a row")
        print("".join(f"    {drive}\n" for drive in group["drives"]), end="")
    print(f"spares: {' '.join(array.spares) or 'none'}")
    print(f"RAID 0 {array.stripe['name']} over {len(array.groups)} groups, {array.stripe_chunk} KiB of each in a row")
    if array.cache:
        print(f"mirrored cache {array.cache['name']}: {' '.join(array.cache['drives'])}")
    for lun in array.luns:
        print(f"LUN {lun['name']}: {lun['size'] / 1e9:.1f} GB, {lun['cache'] / 1e9:.1f} GB of cache, for {lun['host']}")
    for drive, held in used.items():
        print(f"{drive} holds: {held}")
    if used and not args.force:
        raise Refused(f"{len(used)} of the drives hold data; if it may be lost, say --force")
    if not args.yes:
        print("nothing is done; say --yes to do it")
        return
    for drive in used:
        run("mdadm", "--zero-superblock", drive, check=False, quiet=True)
        run("wipefs", "--all", "--force", drive, quiet=True)
    spares = list(array.spares)
    for number, group in enumerate(array.groups):
        # Spares are dealt out one by one; the monitor moves them to where they are needed.
        own = spares[number::len(array.groups)]
        make(array, group, f"--level=6 --chunk={array.chunk} --bitmap=internal --bitmap-chunk={array.bitmap_chunk}", group["drives"], own)
    make(array, array.stripe, f"--level=0 --chunk={array.stripe_chunk}", [array.device(group) for group in array.groups])
    if array.cache:
        level = "1" if len(array.cache["drives"]) == 2 else "10"
        make(array, array.cache, f"--level={level} --bitmap=internal", array.cache["drives"])
    for member in [array.stripe] + ([array.cache] if array.cache else []):
        run("pvcreate", "--yes", "--force", array.device(member))
    physical = [array.device(array.stripe)] + ([array.device(array.cache)] if array.cache else [])
    run("vgcreate", "--physicalextentsize", f"{EXTENT}b", array.volume_group, *physical)
    volumes(array)
    print("parity is being written meanwhile; until it is done the array is slower")
    if args.wait:
        progress(array)


def contents(drive):
    """What a drive holds, in words; empty if nothing that is known."""
    found = output("wipefs", "--noheadings", "--output", "TYPE", drive).split()
    if output("lsblk", "--noheadings", "--output", "TYPE", drive).split()[1:]:
        found.append("partitions or volumes in use")
    return ", ".join(dict.fromkeys(found))


def make(array, member, how, drives, spares=()):
    if array.is_active(member):
        raise Refused(f"{array.device(member)} is running already")
    spare = [f"--spare-devices={len(spares)}"] if spares else []
    run("mdadm", "--create", array.device(member), "--run", "--metadata=1.2", f"--uuid={member['uuid']}", f"--homehost={array.host}",
        f"--name={member['name']}", *how.split(), f"--raid-devices={len(drives)}", *spare, *drives, *spares, quiet=True)
    print(f"made {array.device(member)}")


def volumes(array):
    """Makes the volume of each LUN that has none yet. What is there stays as it is."""
    present = output("lvs", "--noheadings", "--options", "lv_name", array.volume_group).split()
    for lun in array.luns:
        if lun["name"] in present:
            continue
        group, name = array.volume_group, lun["name"]
        made = ("lvcreate", "--yes", "--wipesignatures", "y", "--name")
        run(*made, name, "--extents", extents(lun["size"]), group, array.device(array.stripe))
        if array.cache and lun["cache"]:
            run(*made, f"{name}-cache", "--extents", extents(lun["cache"]), group, array.device(array.cache))
            run("lvconvert", "--yes", "--type", "cache", "--cachevol", f"{name}-cache", "--cachemode", "writeback", f"{group}/{name}")
        # The host formats a LUN only if it begins blank. And a cache that was never flushed does not pass cache_check after a crash.
        with open(f"/dev/{group}/{name}", "r+b") as file:
            file.write(bytes(BLANK))
            file.flush()
            os.fsync(file.fileno())


def extents(octets):
    """How many pieces of a volume group hold so many octets."""
    return str(-(-octets // EXTENT))


def progress(array):
    """Shows how far the first writing of parity has come, until it is done or interrupted."""
    while True:
        states = {}
        for member in array.bases:
            folder = sysfs(array, member)
            done = (folder / "sync_completed").read_text().strip() if folder else "none"
            if "/" in done:
                part, whole = (int(number) for number in done.split("/"))
                states[member["name"]] = 100 * part / whole
        if not states:
            return
        print("  ".join(f"{name} {percent:.1f} %" for name, percent in states.items()), flush=True)
        time.sleep(5)


def sysfs(array, member):
    """The kernel's folder of a running member, None if it is not running."""
    device = pathlib.Path(array.device(member))
    folder = pathlib.Path("/sys/block") / device.resolve().name / "md"
    return folder if folder.is_dir() else None


def owns(array, args):
    """Whether the array is this host's: status 0 if so, 1 if not."""
    return 0 if array.owner() == array.host else 1


def assemble(array, args, *update):
    """Assembles what is not running. Lost drives do not keep it from starting; two a group may be lost."""
    wait(array, args.patience)
    for member in array.members:
        if not array.is_active(member):
            run("mdadm", "--assemble", f"--config={array.conf}", f"--homehost={array.host}", "--run", *update, array.device(member), quiet=True)
            print(f"started {array.device(member)}")


def wait(array, patience):
    """Waits for drives that are not there yet. A shelf may take its time; what then is still missing is missed."""
    for _ in range(patience):
        if all(pathlib.Path(drive).is_block_device() for member in array.bases for drive in member["drives"]):
            return
        time.sleep(1)


def start(array, args):
    """Assembles the array of this host and shows its volumes."""
    owner = array.owner()
    if owner is None:
        raise Refused(f"no drive of array {array.name} can be read, or it was never made: `chasqui-array create {array.name}'")
    if owner != array.host:
        raise Refused(f"array {array.name} is {owner}'s; there say `chasqui-array give {array.name}', or take it over from a dead one")
    assemble(array, args)
    for member in array.bases:
        # Otherwise a spare begins its work only with the first write.
        run("mdadm", "--readwrite", array.device(member), check=False, quiet=True)
    for group in array.groups:
        folder = sysfs(array, group)
        if folder and (folder / "stripe_cache_size").exists():
            (folder / "stripe_cache_size").write_text(str(array.stripe_cache))
    run("vgchange", "--activate", "y", array.volume_group, quiet=True)
    volumes(array)


def stop(array, args):
    """Hides the volumes and stops the array; what the cache holds stays in the cache, which moves along with the drives."""
    if array.is_active(array.stripe):
        run("vgchange", "--activate", "n", array.volume_group, quiet=True)
    for member in [array.stripe] + array.bases:
        if array.is_active(member):
            run("mdadm", "--stop", array.device(member), quiet=True)
            print(f"stopped {array.device(member)}")


def give(array, args):
    """Hands the array to the other controller, in peace."""
    if array.owner() != array.host:
        raise Refused(f"array {array.name} is {array.owner()}'s already")
    stop(array, args)
    own(array, args, array.other)
    stop(array, args)
    print(f"array {array.name} is {array.other}'s now; there say `systemctl start chasqui-array-{array.name}'")


def own(array, args, host):
    """Writes a new owner on the drives. A stripe cannot be changed while it is put together, so mdadm does it in passing."""
    previous, array.host = array.host, host
    try:
        assemble(array, args, "--update=homehost")
    finally:
        array.host = previous


def answers(address):
    """Whether a host answers at an address: to a ping, or by its iSCSI port, be it by refusing."""
    if run("ping", "-c", "2", "-W", "1", address, check=False, quiet=True).returncode == 0:
        return True
    try:
        socket.create_connection((address, ISCSI_PORT), timeout=2).close()
        return True
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


def takeover(array, args):
    """Makes the array this host's after the other controller died and was fenced."""
    if array.owner() == array.host:
        print(f"array {array.name} is {array.host}'s already")
        return
    alive = [address for address in array.addresses.get(array.other, []) if answers(address)]
    if alive:
        raise Refused(f"{array.other} answers at {', '.join(alive)}; there say `chasqui-array give {array.name}'")
    fenced = pathlib.Path(args.fenced) / array.other
    if not fenced.exists():
        raise Refused(
            f"{array.other} does not answer, but it may still write. Cut its power or its cables to the drives, then say so: "
            f"mkdir -p {fenced.parent} && touch {fenced}")
    stop(array, args)
    own(array, args, array.host)
    print(f"array {array.name} is {array.host}'s now")


def scrub(array, args):
    """Lets the kernel compare all data with its parity, at low priority; what it finds is in the metrics."""
    for group in array.groups:
        folder = sysfs(array, group)
        if folder and (folder / "sync_action").read_text().strip() == "idle":
            (folder / "sync_action").write_text("check")
            print(f"comparing {group['name']}")


def metrics(array, args):
    """Prints the array's state for Prometheus."""
    owned = array.is_active(array.stripe) or array.owner() == array.host
    lines = [f'chasqui_array_owned{{array="{array.name}"}} {int(owned)}']
    for member in array.bases if owned else []:
        folder = sysfs(array, member)
        labels = f'{{array="{array.name}",group="{member["name"]}"}}'
        lines.append(f"chasqui_array_running{labels} {int(folder is not None)}")
        if folder is None:
            continue
        value = lambda name: int((folder / name).read_text().split()[0])
        slots = [(slot / "state").read_text().strip() for slot in folder.glob("dev-*")]
        lines.append(f"chasqui_array_missing_drives{labels} {value('degraded')}")
        lines.append(f"chasqui_array_mismatches{labels} {value('mismatch_cnt')}")
        lines.append(f"chasqui_array_faulty_drives{labels} {sum('faulty' in slot for slot in slots)}")
        lines.append(f"chasqui_array_spare_drives{labels} {sum(slot == 'spare' for slot in slots)}")
        lines.append(f"chasqui_array_syncing{labels} {int((folder / 'sync_action').read_text().strip() != 'idle')}")
    for lun in array.luns:
        status = output("dmsetup", "status", f"{array.volume_group.replace('-', '--')}-{lun['name'].replace('-', '--')}")
        # `start length cache …`: the thirteenth word is the number of blocks that are in the cache only.
        if re.match(r"\d+ \d+ cache ", status):
            words = status.split()
            labels = f'{{array="{array.name}",lun="{lun["name"]}"}}'
            lines.append(f"chasqui_array_cache_dirty_blocks{labels} {words[13]}")
            lines.append(f"chasqui_array_cache_read_hits{labels} {words[7]}")
            lines.append(f"chasqui_array_cache_read_misses{labels} {words[8]}")
    print("\n".join(lines))


VERBS = {f.__name__: f for f in (create, owns, start, stop, give, takeover, scrub, metrics)}


def main():
    parser = argparse.ArgumentParser(prog="chasqui-array", description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=VERBS, help="; ".join(f"{name}: {f.__doc__.splitlines()[0]}" for name, f in VERBS.items()))
    parser.add_argument("array")
    parser.add_argument("--yes", action="store_true", help="create: do it")
    parser.add_argument("--force", action="store_true", help="create: the drives' data may be lost")
    parser.add_argument("--wait", action="store_true", help="create: show progress until parity is written")
    parser.add_argument("--host", default=socket.gethostname().split(".")[0], help="this controller's name in the site file")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("/etc/chasqui/arrays"), help="the arrays' descriptions")
    parser.add_argument("--fenced", default="/run/chasqui/fenced", help="the folder in which the operator names fenced hosts")
    parser.add_argument("--patience", type=int, default=30, help="seconds to wait for missing drives")
    args = parser.parse_args()
    try:
        return VERBS[args.verb](Array(args.folder, args.array, args.host), args)
    except (Refused, OSError, ValueError) as error:
        print(f"chasqui-array: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C")
    sys.exit(main())

#!/usr/bin/env python3
"""Makes a volume of this host ready to be mounted: a logical volume on a LUN or on a local device, in a volume group of its name (E12).

On first use the volume group, the logical volume and the file system are made, but only on a device whose first 16 MiB are zero. What holds
anything is never formatted without --erase.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time

BLANK = 16 * 1024 * 1024


class Refused(Exception):
    """What is asked would endanger data; the text says why and what to do."""


def run(*command):
    done = subprocess.run(command, text=True, capture_output=True)
    if done.returncode != 0:
        raise Refused(f"`{' '.join(command)}' failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def wait(device, patience):
    ends = time.monotonic() + patience
    while not device.is_block_device():
        if time.monotonic() >= ends:
            raise Refused(f"{device} is not there; `chasqui-iscsi-login' says which controllers answer, `multipath -ll' what came of it")
        time.sleep(1)


def is_blank(device):
    with device.open("rb") as file:
        return not any(file.read(BLANK))


def group_of(device):
    """The volume group that a device belongs to; empty if it is of LVM but of no group, None if it is not of LVM."""
    done = subprocess.run(["pvs", "--noheadings", "--options", "vg_name", str(device)], text=True, capture_output=True)
    return done.stdout.strip() if done.returncode == 0 else None


def make(volume, device):
    name = volume["name"]
    print(f"{device} is blank: making the volume group {name}", flush=True)
    run("pvcreate", "--yes", str(device))
    run("vgcreate", name, str(device))
    if volume["mount"] is None:
        # Guests' disks: only this program makes them active, nothing else at boot.
        run("vgchange", "--setautoactivation", "n", name)
    else:
        run("lvcreate", "--yes", "--name", name, "--extents", "100%FREE", name)
        format(volume)


def format(volume):
    target = f"/dev/{volume['name']}/{volume['name']}"
    if volume["filesystem"] == "ext4":
        # A message is a file of some 11 KB (S4): twice as many inodes as the default gives. Nothing but mail needs the reserve.
        run("mkfs.ext4", "-q", "-L", volume["name"][:16], "-i", "8192", "-m", "1", target)
    else:
        run("mkfs.btrfs", "-q", "-L", volume["name"], target)
    print(f"made the file system {volume['filesystem']} on {target}")


def main():
    parser = argparse.ArgumentParser(prog="chasqui-volume", description=__doc__.splitlines()[0])
    parser.add_argument("volume")
    parser.add_argument("--volumes", type=pathlib.Path, default=pathlib.Path("/etc/chasqui/volumes.json"), help="the host's volumes")
    parser.add_argument("--patience", type=int, default=120, help="seconds to wait for the device")
    parser.add_argument("--erase", action="store_true", help="make the volume anew; what the device holds is lost")
    args = parser.parse_args()
    try:
        volume = next((v for v in json.loads(args.volumes.read_text()) if v["name"] == args.volume), None)
        if volume is None:
            raise Refused(f"{args.volume} is no volume of this host; see {args.volumes}")
        device = pathlib.Path(volume["device"])
        wait(device, args.patience)
        group = group_of(device)
        if args.erase and group is None:
            run("wipefs", "--all", str(device))
            make(volume, device)
        elif group == args.volume:
            run("vgchange", "--activate", "y", args.volume)
        elif group is None and is_blank(device):
            make(volume, device)
        elif group:
            raise Refused(f"{device} belongs to the volume group {group}, not to {args.volume}; compare `hosts.*.volumes' in the site file")
        else:
            raise Refused(f"{device} is not blank and holds no volume group; if what it holds may be lost, say --erase")
    except (Refused, OSError, ValueError) as error:
        print(f"chasqui-volume: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

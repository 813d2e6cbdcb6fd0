#!/usr/bin/env python3
"""Exports the LUNs of an array over iSCSI by the kernel's target (E12).

Each LUN is a target of its own with one initiator, which must know the LUN's CHAP secret; the target proves itself likewise where a second
secret is given. Secrets come from files and go to the kernel, never into a configuration. Other arrays' targets are left alone, so that
one can be taken over or given away while the other works.
"""
import argparse
import json
import pathlib
import socket
import stat
import sys

import rtslib_fb as lio

PORT = 3260


class Refused(Exception):
    """Something that would open a LUN to the wrong ones; the text says how to mend it."""


def secrets(path):
    """The two lines of a secret's file: who asks and how he proves it, then, optionally, the target's own: `USER SECRET`."""
    path = pathlib.Path(path)
    mode = path.stat().st_mode
    if stat.S_IMODE(mode) & 0o077:
        raise Refused(f"{path} can be read by others; say chmod 600 {path}")
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    if not 1 <= len(lines) <= 2 or any(len(line) != 2 for line in lines):
        raise Refused(f"{path} must have one or two lines of `USER SECRET'")
    # RFC 7143 §12.1.3: at least 96 bits where nothing else protects it.
    if any(len(secret) < 12 for _, secret in lines):
        raise Refused(f"a secret in {path} is shorter than 12 characters")
    if len(lines) == 2 and lines[0][1] == lines[1][1]:
        raise Refused(f"the two secrets in {path} are the same; RFC 7143 §12.1.3 asks for different ones")
    return lines


def up(array, portals):
    """Exports what the description names and is not exported yet; takes back what it no longer names."""
    fabric = lio.FabricModule("iscsi")
    wanted = {lun["target"] for lun in array["luns"]}
    withdraw(array, fabric, lambda target: target.wwn not in wanted)
    for lun in array["luns"]:
        if lun["initiator"] is None:
            print(f"LUN {lun['name']}: no host has a volume on it, so it is not exported")
            continue
        asked, *own = secrets(lun["secret"])
        name = f"{array['name']}-{lun['name']}"
        disks = [disk for disk in lio.RTSRoot().storage_objects if disk.plugin == "block" and disk.name == name]
        device = f"/dev/{array['volume_group']}/{lun['name']}"
        # The serial makes the disk's identifier: the same on both controllers, so that their paths lead to one disk.
        disk = disks[0] if disks else lio.BlockStorageObject(name, device, wwn=lun["serial"], write_back=False)
        target = lio.Target(fabric, lun["target"])
        group = lio.TPG(target, 1)
        group.set_attribute("authentication", 1)
        group.set_attribute("generate_node_acls", 0)
        if not list(group.luns):
            lio.LUN(group, 0, disk)
        for access in list(group.node_acls):
            if access.node_wwn != lun["initiator"]:
                access.delete()
        access = next(iter(group.node_acls), None) or lio.NodeACL(group, lun["initiator"])
        access.chap_userid, access.chap_password = asked
        access.chap_mutual_userid, access.chap_mutual_password = own[0] if own else ("", "")
        if not list(access.mapped_luns):
            lio.MappedLUN(access, 0, 0)
        present = {portal.ip_address.strip("[]") for portal in group.network_portals}
        for address in portals:
            if address not in present:
                lio.NetworkPortal(group, address, PORT)
        group.enable = True
        print(f"LUN {lun['name']}: {lun['target']} for {lun['initiator']} at {', '.join(portals)}")


def withdraw(array, fabric, which):
    """Takes back targets of this array, with their disks."""
    prefix = f":{array['name']}."
    for target in list(fabric.targets):
        if prefix in target.wwn and which(target):
            disks = [lun.storage_object for group in target.tpgs for lun in group.luns]
            target.delete()
            for disk in disks:
                disk.delete()
            print(f"withdrew {target.wwn}")


def down(array, portals):
    """Takes back all targets of the array."""
    withdraw(array, lio.FabricModule("iscsi"), lambda target: True)


def main():
    parser = argparse.ArgumentParser(prog="chasqui-target", description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=["up", "down"])
    parser.add_argument("array")
    parser.add_argument("--host", default=socket.gethostname().split(".")[0], help="this controller's name in the site file")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("/etc/chasqui/arrays"), help="the arrays' descriptions")
    args = parser.parse_args()
    try:
        array = json.loads((args.folder / f"{args.array}.json").read_text())
        portals = array["portals"][args.host]
        if not portals:
            raise Refused(f"{args.host} has no address in an encrypted storage network, so nothing is exported")
        {"up": up, "down": down}[args.verb](array, portals)
    except (Refused, OSError, KeyError, lio.RTSLibError) as error:
        print(f"chasqui-target: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

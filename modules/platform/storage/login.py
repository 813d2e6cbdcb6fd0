#!/usr/bin/env python3
"""Logs in to the LUNs of this host by every way that answers: over both storage networks, at whichever controller runs the array (E12).

Run at start, and again and again after: a controller that took an array over answers where nobody answered before. A way that works is left
alone. CHAP secrets come from files, and the records that open-iscsi keeps of them are for root only.
"""
import argparse
import json
import os
import pathlib
import socket
import stat
import subprocess
import sys
import time

PORT = 3260

# Seconds until a lost path is given up, so that multipath takes another: twice the time in which a silent path is noticed.
RECORD = """\
node.name = {target}
node.tpgt = 1
node.startup = manual
node.leading_login = No
iface.iscsi_ifacename = default
iface.transport_name = tcp
node.session.timeo.replacement_timeout = 20
node.session.auth.authmethod = CHAP
node.session.auth.username = {user}
node.session.auth.password = {secret}
{mutual}node.session.initial_login_retry_max = 2
node.conn[0].address = {address}
node.conn[0].port = {port}
node.conn[0].startup = manual
node.conn[0].timeo.login_timeout = 10
node.conn[0].timeo.noop_out_interval = 5
node.conn[0].timeo.noop_out_timeout = 5
node.conn[0].iscsi.HeaderDigest = CRC32C
node.conn[0].iscsi.DataDigest = None
"""
MUTUAL = """\
node.session.auth.username_in = {user}
node.session.auth.password_in = {secret}
"""


class Refused(Exception):
    """Something that must be mended first; the text says how."""


def secrets(path):
    """The lines of a LUN's secret, as the controller has them: ours, then, optionally, the target's."""
    path = pathlib.Path(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise Refused(f"{path} can be read by others; say chmod 600 {path}")
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    if not 1 <= len(lines) <= 2 or any(len(line) != 2 for line in lines):
        raise Refused(f"{path} must have one or two lines of `USER SECRET'")
    return lines


def sessions():
    """The ways that are open: pairs of target and address."""
    found = set()
    for connection in pathlib.Path("/sys/class/iscsi_connection").glob("connection*"):
        number = connection.name.removeprefix("connection").split(":")[0]
        session = pathlib.Path(f"/sys/class/iscsi_session/session{number}")
        found.add(((session / "targetname").read_text().strip(), (connection / "persistent_address").read_text().strip()))
    return found


def record(database, lun, address):
    """Writes what open-iscsi must know of a way, for root only."""
    (user, secret), *own = secrets(lun["secret"])
    mutual = MUTUAL.format(user=own[0][0], secret=own[0][1]) if own else ""
    folder = database / "nodes" / lun["target"] / f"{address},{PORT},1"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = RECORD.format(target=lun["target"], user=user, secret=secret, mutual=mutual, address=address, port=PORT)
    new = folder / ".new"
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"# BEGIN RECORD 2.1\n{text}# END RECORD\n")
    new.rename(folder / "default")


def listens(address):
    try:
        socket.create_connection((address, PORT), timeout=2).close()
        return True
    except OSError:
        return False


def login(lun, address):
    portal = f"[{address}]:{PORT}" if ":" in address else f"{address}:{PORT}"
    done = subprocess.run(
        ["iscsiadm", "--mode", "node", "--targetname", lun["target"], "--portal", portal, "--login"], text=True, capture_output=True)
    print(f"LUN {lun['name']} at {address}: {'open' if done.returncode == 0 else (done.stderr or done.stdout).strip()}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="chasqui-iscsi-login", description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=pathlib.Path, default=pathlib.Path("/etc/chasqui/volumes.json"), help="the host's volumes")
    parser.add_argument("--database", type=pathlib.Path, default=pathlib.Path("/etc/iscsi"), help="where open-iscsi keeps its records")
    parser.add_argument("--patience", type=int, default=0, help="seconds to try until every LUN has a way; 0: once")
    args = parser.parse_args()
    try:
        luns = [volume["lun"] for volume in json.loads(args.volumes.read_text()) if volume["lun"]]
        ends = time.monotonic() + args.patience
        while True:
            before = sessions()
            for lun in luns:
                for address in lun["portals"]:
                    if (lun["target"], address) not in before and listens(address):
                        record(args.database, lun, address)
                        login(lun, address)
            reached = {target for target, _ in sessions()}
            lost = [lun["name"] for lun in luns if lun["target"] not in reached]
            if not lost or time.monotonic() >= ends:
                break
            time.sleep(2)
    except (Refused, OSError, ValueError) as error:
        print(f"chasqui-iscsi-login: {error}", file=sys.stderr)
        return 1
    if lost:
        print(f"chasqui-iscsi-login: no controller answers for {', '.join(lost)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

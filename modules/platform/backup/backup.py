#!/usr/bin/env python3
"""Backups with history (E16), fetched from each host by rdiff-backup over ssh; restores, and their practice.

  chasqui-backup fetch HOST                      what the host declares to be backed up
  chasqui-backup list HOST                       what there is of it, and of when
  chasqui-backup restore HOST PATH TARGET        a folder or a file, as it was --at a time (default: at the last backup)
  chasqui-backup drill                           restores a mailbox, chosen by chance, and compares it with the host's own
  chasqui-backup metrics                         for monitoring

A backup is FOLDER/HOST/NAME: the newest state as plain files, and differences back to older ones below rdiff-backup-data.
"""
import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import random
import re
import shlex
import subprocess
import sys
import tempfile
import time

# rdiff-backup's status: 1 is a failure, 2 a warning, 4 and 8 are files that could not be read or changed meanwhile, as they do while mail comes.
WARNED, WARNED_OF_FILES = 2, 2 | 4 | 8
# In a mailbox only messages stay as they are; their names change with their flags.
MARK = "account.toml"
MESSAGE = re.compile(r"(^|/)(new|cur)/[^/]+$")


class Failed(Exception):
    """Something is wrong; the text says what, and what to do."""


def run(*command, tolerated=0):
    """What a command prints. `tolerated`: bits of its status that are no failure."""
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True)
    said = (done.stderr or done.stdout).strip()
    if done.returncode < 0 or done.returncode & ~tolerated:
        raise Failed(f"`{shlex.join(map(str, command))}' failed: {said}")
    if done.returncode:
        print(said, file=sys.stderr)
    return done.stdout


class Backups:
    def __init__(self, settings):
        self.__dict__.update(settings)
        self.folder = pathlib.Path(self.folder)

    def ssh(self, host):
        """The command that reaches a host. The first contact remembers its key, later ones compare it."""
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "20",
            "IdentitiesOnly": "yes",
            "ServerAliveInterval": "30",
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": f"{self.folder}/known_hosts",
        }
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        key = f"{credentials}/key" if credentials else self.key
        words = ["ssh", "-i", key, *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
        return self.reach or [*words, "--", f"root@{self.hosts[host]['address']}"]

    def repository(self, host, name):
        return self.folder / host / name

    @contextlib.contextmanager
    def locked(self, host):
        """One at a time for each host."""
        (self.folder / host).mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / host / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Failed(f"another backup or restore of {host} is at work; wait for it") from None
            yield

    def entries(self, host):
        """What there is of a host: name → path on the host."""
        found = {}
        for note in sorted((self.folder / host).glob("*.json")):
            if not note.name.startswith("."):
                found[note.stem] = json.loads(note.read_text())["path"]
        return found

    def times(self, repository):
        """When backups were made, oldest first, in seconds."""
        lines = run("rdiff-backup", "--parsable-output", "list", "increments", repository).splitlines()
        found = [int(word) for line in lines if (word := (line.split() or [""])[0]).isdigit()]
        return sorted(found) or [int(number) for line in lines for number in re.findall(r"(?<=time: )\d+", line)]


def fetch(backups, args):
    """Fetches what a host declares, one by one, and drops what is older than the retention."""
    host = args.host
    known(backups, host)
    failed = []
    with backups.locked(host):
        begun = time.time()
        entries = json.loads(run(*backups.ssh(host), "list"))
        for entry in entries:
            name, path = entry["name"], entry["path"]
            if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
                raise Failed(f"{host} has something to back up under the name `{name}', which is no name for a folder")
            try:
                one(backups, host, name, path)
                print(f"{host}: {name} ({path}) is backed up", flush=True)
            except Failed as error:
                failed.append(name)
                print(f"chasqui-backup: {host}: {name}: {error}", file=sys.stderr, flush=True)
        note(backups, host, {"begun": begun, "ended": time.time(), "entries": len(entries), "failed": failed})
    if failed:
        raise Failed(f"of {host} there is no new backup of {', '.join(failed)}")


def one(backups, host, name, path):
    repository = backups.repository(host, name)
    run(*backups.ssh(host), "before", name)
    # rdiff-backup insists on a place for the host's name, {h}; here it only ends the request. It begins anew after one that broke off.
    schema = shlex.join([*backups.ssh(host), "fetch", name]) + " {h}"
    run("rdiff-backup", "--remote-schema", schema, "backup", "--create-full-path", "--exclude-sockets", "--exclude-fifos",
        f"{host}::{path}", repository, tolerated=WARNED_OF_FILES)
    (backups.folder / host / f"{name}.json").write_text(json.dumps({"path": path}) + "\n")
    # That nothing is old enough is a warning to it, none to us.
    run("rdiff-backup", "-v", "1", "--force", "remove", "increments", "--older-than", f"{backups.retention}s", repository, tolerated=WARNED)


def note(backups, host, what):
    file = backups.folder / host / ".state.json"
    state = json.loads(file.read_text()) if file.exists() else {}
    if not what.get("failed"):
        state["succeeded"] = what.get("ended", state.get("succeeded", 0))
    state.update(what)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(state) + "\n")
    new.rename(file)


def known(backups, host):
    if host not in backups.hosts:
        raise Failed(f"{host} is not backed up here; this host has: {', '.join(sorted(backups.hosts))}")


def list(backups, args):
    for name, path in backups.entries(args.host).items():
        print(f"{name}: {path}")
        for when in backups.times(backups.repository(args.host, name)):
            print(f"  {time.strftime('%Y-%m-%dT%H:%M:%S%z', time.localtime(when))}")


def located(backups, host, path):
    """The backup that holds a path of a host, and the path below it."""
    for name, root in backups.entries(host).items():
        if pathlib.PurePosixPath(path).is_relative_to(root):
            return name, pathlib.PurePosixPath(path).relative_to(root)
    raise Failed(f"nothing that is backed up of {host} holds {path}; see `chasqui-backup list {host}'")


def restore(backups, args):
    """Writes a folder or a file to a place that is free."""
    target = pathlib.Path(args.target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Failed(f"{target} exists; restore to a new place and move from there what is wanted")
    name, below = located(backups, args.host, args.path)
    with backups.locked(args.host):
        take(backups.repository(args.host, name) / below, args.at, target)
    print(f"{args.path} of {args.host} is in {target}")


def take(source, at, target):
    run("rdiff-backup", "restore", "--at", at, source, target, tolerated=WARNED_OF_FILES)


def mailbox_of(repository, drawn):
    """A mailbox of a backup, found by going down by chance, for there may be millions; None if there is none."""
    for _ in range(100):
        folder = repository
        while not (folder / MARK).exists():
            below = [entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink() and entry.name != "rdiff-backup-data"]
            if not below:
                break
            folder = drawn.choice(sorted(below))
        else:
            return folder
    return None


def messages(folder):
    """The messages below a folder, without their flags: name → SHA-256."""
    return {
        str(file.relative_to(folder)).split(":2,")[0]: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and MESSAGE.search(str(file.relative_to(folder)))
    }


def drill(backups, args):
    """Restores a mailbox as of a backup that chance chooses, checks it against the hashes of that day and against the host as it is."""
    drawn = random.Random(args.seed)
    choices = [
        (host, name, mailbox)
        for host in sorted(backups.hosts)
        for name in backups.entries(host)
        if (mailbox := mailbox_of(backups.repository(host, name), drawn))
    ]
    if not choices:
        print("there is no mailbox in any backup here, so there is nothing to practise")
        return
    host, name, mailbox = drawn.choice(choices)
    repository = backups.repository(host, name)
    below = mailbox.relative_to(repository)
    with backups.locked(host), tempfile.TemporaryDirectory(prefix="chasqui-drill-", dir=backups.folder) as work:
        at = drawn.choice(backups.times(repository))
        target = pathlib.Path(work) / "mailbox"
        try:
            take(mailbox, str(at), target)
        except Failed:
            # The mailbox is younger than that backup.
            at = backups.times(repository)[-1]
            take(mailbox, str(at), target)
        run("rdiff-backup", "verify", "--at", str(at), mailbox)
        restored = messages(target)
        if not (target / MARK).exists():
            raise Failed(f"{below} of {host} as of {at} lacks {MARK}")
        live = {}
        for line in run(*backups.ssh(host), "digest", name, below).splitlines():
            digest, file = line.split(" ", 1)
            if MESSAGE.search(file):
                live[file.split(":2,")[0]] = digest
        different = [file for file, digest in restored.items() if live.get(file, digest) != digest]
        same = sum(file in live for file in restored)
        # When, not whose: names of mailboxes are nobody's business in a log.
        note(backups, host, {"drill": time.time(), "drill_messages": len(restored), "drill_different": len(different)})
        print(f"a mailbox of {host} as of {time.strftime('%Y-%m-%d %H:%M', time.localtime(at))}: {len(restored)} messages restored, {same} of them still there")
        if different:
            raise Failed(f"{len(different)} messages of {host} differ between backup and host, which no message ever may: compare {below}")


def metrics(backups, args):
    for host in sorted(backups.hosts):
        file = backups.folder / host / ".state.json"
        state = json.loads(file.read_text()) if file.exists() else {}
        labels = f'{{of="{host}"}}'
        print(f"chasqui_backup_succeeded_time_seconds{labels} {state.get('succeeded', 0):.0f}")
        print(f"chasqui_backup_failed_entries{labels} {len(state.get('failed', []))}")
        if "begun" in state:
            print(f"chasqui_backup_seconds{labels} {state['ended'] - state['begun']:.0f}")
        if "drill" in state:
            print(f"chasqui_backup_drill_time_seconds{labels} {state['drill']:.0f}")
            print(f"chasqui_backup_drill_different_messages{labels} {state['drill_different']}")


def main():
    parser = argparse.ArgumentParser(prog="chasqui-backup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=pathlib.Path, default=pathlib.Path("/etc/chasqui/backup.json"), help="who is backed up here, and how")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in (fetch, list):
        verbs.add_parser(verb.__name__).set_defaults(act=verb)
        verbs.choices[verb.__name__].add_argument("host")
    one = verbs.add_parser("restore")
    one.set_defaults(act=restore)
    for name in ("host", "path", "target"):
        one.add_argument(name)
    one.add_argument("--at", default="now", help="such as 3D (three days ago), 2026-11-22, 2026-11-22T08:00:00-04:00")
    practice = verbs.add_parser("drill")
    practice.set_defaults(act=drill)
    practice.add_argument("--seed", help="chance chooses the same again")
    verbs.add_parser("metrics").set_defaults(act=metrics)
    args = parser.parse_args()
    try:
        args.act(Backups({"reach": None, **json.loads(args.settings.read_text())}), args)
    except (Failed, OSError, ValueError) as error:
        print(f"chasqui-backup: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

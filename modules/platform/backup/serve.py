#!/usr/bin/env python3
"""What a backup host may ask this host, by ssh (E16). sshd starts it in place of whatever was asked for.

  list              what is to be backed up, as JSON
  before NAME       makes it fit to be copied
  fetch NAME HOST   rdiff-backup's own protocol, for reading that folder only
  digest NAME PATH  the SHA-256 of each file below a folder of it, for restore drills
"""
import hashlib
import json
import os
import pathlib
import subprocess
import sys

PATHS = pathlib.Path(os.environ.get("CHASQUI_BACKUP_PATHS", "/etc/chasqui/backup-paths.json"))


def refuse(text):
    print(f"chasqui-backup-serve: {text}", file=sys.stderr)
    sys.exit(1)


def digest(root, below):
    folder = (root / below).resolve()
    if not folder.is_relative_to(root.resolve()):
        refuse(f"{below} is not below {root}")
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            try:
                with file.open("rb") as opened:
                    print(hashlib.file_digest(opened, "sha256").hexdigest(), file.relative_to(folder))
            except FileNotFoundError:
                pass  # It left meanwhile; it will be missed where it matters.


def main():
    entries = {entry["name"]: entry for entry in json.loads(PATHS.read_text())}
    words = os.environ.get("SSH_ORIGINAL_COMMAND", "").split(" ", 2)
    verb, name, rest = words[0], words[1] if len(words) > 1 else "", words[2] if len(words) > 2 else ""
    if verb == "list":
        print(json.dumps([{"name": entry["name"], "path": entry["path"]} for entry in entries.values()]))
        return 0
    if name not in entries:
        refuse(f"there is nothing to back up by the name `{name}'")
    path = pathlib.Path(entries[name]["path"])
    if verb == "before":
        return subprocess.run(entries[name]["before"] or "true", shell=True, stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode
    if verb == "fetch":
        os.execvp("rdiff-backup", ["rdiff-backup", "server", "--restrict-path", str(path), "--restrict-mode", "read-only"])
    if verb == "digest":
        digest(path, rest)
        return 0
    refuse(f"`{verb}' is none of list, before, fetch and digest")


if __name__ == "__main__":
    sys.exit(main())

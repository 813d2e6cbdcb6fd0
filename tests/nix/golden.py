"""Golden files: what each host of the small sites has on disk, as a text that a person can read."""

import sys

import evaluation

FOLDER = evaluation.HERE / "golden"
SITES = ["lab", "solo"]


def path(site, host):
    """The golden file of a host."""
    return FOLDER / site / f"{host}.txt"


def write(words):
    """Writes the golden files of the sites (all, if none is named), and removes those of hosts that are no more."""
    status = 0
    for site in words or SITES:
        found = evaluation.evaluate(evaluation.site_file(site))
        for name, error in found.errors.items():
            print(f"{site}/{name}: {error}", file=sys.stderr)
            status = 1
        (FOLDER / site).mkdir(parents=True, exist_ok=True)
        for name, host in found.hosts.items():
            path(site, name).write_text(evaluation.as_text(host))
        for old in (FOLDER / site).glob("*.txt"):
            if old.stem not in found.hosts and old.stem not in found.errors:
                old.unlink()
        print(f"{site}: {len(found.hosts)} hosts written, {len(found.errors)} not")
    return status

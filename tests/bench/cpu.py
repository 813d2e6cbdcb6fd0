"""The time of a core that a process took."""

import contextlib
import pathlib


def cpu_time(pid):
    """Nanoseconds of a core that each thread of a process has used."""
    found = {}
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has just ended
            found[thread.name] = int((thread / "schedstat").read_text().split()[0])
    return found

"""Port bases at which every port of a site is free."""

import random
import socket

# What the demo listens on, relative to its port base.
SMTP, POP3, IMAP, IMAPS, POP3S = 25, 110, 143, 993, 995
SUBMISSION, SUBMISSIONS, RELAY_INSIDE, SINK = 587, 465, 1587, 2525
DIRECTORY1, DIRECTORY2 = 1701, 1702
STORAGE_LMTP, STORAGE_IMAP, STORAGE_POP3 = 1024, 1143, 1110
NODE2 = 1000  # what the second storage node adds
METRICS = {"directory1": 9101, "directory2": 9102, "storage1": 9103, "storage2": 9104, "mx": 9105, "proxy": 9106, "relay": 9107}

ALL = [
    SMTP, POP3, IMAP, IMAPS, POP3S, SUBMISSION, SUBMISSIONS, RELAY_INSIDE, SINK, DIRECTORY1, DIRECTORY2,
    *(port + node for port in (STORAGE_LMTP, STORAGE_IMAP, STORAGE_POP3) for node in (0, NODE2)),
    *METRICS.values(),
]


def free_base():
    """A random port base; every port of the site is free and below the ephemeral range."""
    for _ in range(200):
        base = random.randrange(10_000, 23_000)
        if all(_free(base + port) for port in ALL):
            return base
    raise RuntimeError("no free ports found")


def free_port():
    """One port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _free(port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True

"""Medians, ratios, and the page docs/benchmarks.md."""

import datetime
import os
import pathlib
import platform
import statistics
import subprocess
import time

FINDINGS = pathlib.Path(__file__).resolve().parent / "findings.md"

HEAD = """# Benchmarks

Written by `tests/bench/run`; measured again with that command, not edited by hand. What was learnt on the way, at the end,
comes from `tests/bench/findings.md`.

"""

METHOD = """
## How it was measured

- One machine, everything on loopback, generator and servers on the same cores. {rounds} rounds of each load, the peer's and
  ours in turn, who goes first changing each time; the figures are medians of rounds, in brackets the slowest and the fastest.
- All mail stores and queues are on the same file system ({filesystem}), and all acknowledgements come after a sync: ours
  syncs the message file and its folder (deliveries that come together the whole file system, once for both); Postfix its queue file; Dovecot has its default `mail_fsync = optimized`, which
  syncs a message and its folder at LMTP delivery. Both sides keep their mail in Maildirs.
- Messages have 10 KB and one recipient each, spread over 2,000 mailboxes that exist before the clock starts. *SMTP to mailbox*
  counts messages as files in the mailboxes, since Postfix answers 250 when the message is in its queue: the clock stops when the
  last file is there. Our exchanger speaks LMTP with certificates on both ends to the storage node; Postfix uses Dovecot's
  UNIX socket.
- *LMTP direct* is the same generator at the storage node's and at Dovecot's LMTP port, both without TLS.
- *Outbound* is the same generator with 16 connections at our relay's inside port and at Postfix, both without TLS, and a sink that has one
  address of loopback for each destination, takes everything and keeps nothing; it offers what Postfix's `smtp-sink` does. Both are told by a
  table where each destination is. The clock runs from the first MAIL to when the last message is at the sink; every message has been
  synced in the queue before its 250. *Submission* is whole sessions over TLS with SCRAM-SHA-256 and one message; the client's part of SCRAM is
  computed before.
- What *checks* cost is the time of a core (user and system) that an exchanger with SPF, DKIM and DMARC takes for each message, beside one without; every
  message has a valid signature, and BIND on loopback answers for its domain once, then the exchanger remembers.
- *Log-ins* are whole sessions: connect, LOGIN, LOGOUT, closed by the server, without TLS on either side, 100 users. nginx asks an
  `auth_http` that always agrees; our proxy asks the directory, which remembers right passwords for five minutes
  (Argon2id is not in the figure, the sealed datagram is). Once with the real store behind (Dovecot; our storage node), once with
  the same trivial store behind both, which is the one that compares the proxies alone.
- *Look-ups*: slapd with mdb, `mail` indexed, eight persistent connections, one search for the address and three attributes each;
  ours through the client that the roles use, each client with a socket of its own, sealed datagrams, nothing remembered: each
  answer is the server's and is compared with what was asked. Questions of one client that wait at the same moment share a datagram.
- *Memory* is the growth of resident memory from before 2,000 connections of 2,000 different users were opened to when all are
  logged in and idle, divided by 2,000, in freshly started processes after a first hundred connections; kernel buffers are not in it.
  That of the directory is the larger of after its start and after a reload.
- Debian's configurations as shipped, but for what `tests/bench/peers.py` names with its reason.
"""


class Results:
    """What was measured, in order."""

    def __init__(self):
        self.rows = []
        self.details = []
        self.notes = []

    def compare(self, key, title, unit, rounds, target):
        values = {who: [one[who]["per_second"] for one in rounds] for who in ("peer", "us")}
        medians = {who: statistics.median(all_) for who, all_ in values.items()}
        ratio = medians["us"] / medians["peer"]
        spread = {who: f"{medians[who]:,.0f} ({min(all_):,.0f}–{max(all_):,.0f})" for who, all_ in values.items()}
        self.rows.append((title, spread["peer"], spread["us"] + f" {unit}", f"{ratio:.2f} ×", f"{target:g} ×", ratio >= target))
        latency = {
            who: [statistics.median(one[who][kind] for one in rounds) for kind in ("median_ms", "p99_ms", "max_ms")] for who in ("peer", "us")
        }
        self.details.append((title, *latency["peer"], *latency["us"]))

    def size(self, key, title, value, unit, limit):
        reached = None if limit is None else value <= limit
        self.rows.append((title, "", f"{value:.1f} {unit}", "", f"≤ {limit:g} {unit}" if limit else "–", reached))

    def note(self, text):
        self.notes.append(text)

    def table(self):
        lines = ["| work | peer | Chasqui | ratio | to reach | reached |", "| --- | --- | --- | --- | --- | --- |"]
        for title, peer, us, ratio, target, reached in self.rows:
            mark = {True: "yes", False: "**no**", None: "–"}[reached]
            lines.append(f"| {title} | {peer} | {us} | {ratio} | {target} | {mark} |")
        return "\n".join(lines)

    def markdown(self, machine, versions, rounds, took):
        text = HEAD + self.table() + "\n\n"
        text += "\n".join(f"{note}\n" for note in self.notes)
        if self.details:
            text += "\nTime of one piece of work in milliseconds (for SMTP until the 250, which Postfix gives from its queue):\n\n"
            text += "| work | peer: median | 99 % | longest | Chasqui: median | 99 % | longest |\n| --- | --- | --- | --- | --- | --- | --- |\n"
            for title, *values in self.details:
                text += f"| {title} | " + " | ".join(f"{value:.2f}" for value in values) + " |\n"
        text += METHOD.format(rounds=rounds, filesystem=machine["file system"])
        text += "\n## Machine and versions\n\n"
        text += "".join(f"- {key}: {value}\n" for key, value in machine.items())
        text += "".join(f"- {version}\n" for version in versions)
        text += f"- {datetime.date.today()}, `tests/bench/run`, {took / 60:.0f} minutes\n"
        if FINDINGS.exists():
            text += "\n" + FINDINGS.read_text()
        return text


def machine(folder):
    """What the reader needs to know about the computer."""
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal"))
    system = next((line.split("=")[1].strip().strip('"') for line in open("/etc/os-release") if line.startswith("PRETTY_NAME")), "")
    kind = subprocess.run(["findmnt", "-n", "-o", "FSTYPE,OPTIONS", "-T", str(folder)], capture_output=True, text=True).stdout.split()
    sync = sync_time(folder)
    return {
        "processor": f"{cpu}, {os.cpu_count()} cores",
        "memory": f"{memory / 1024 / 1024:.0f} GiB",
        "system": f"{system}, Linux {platform.release()}",
        "file system": " ".join(kind[:2]),
        "one write of 10 KB with fsync of file and folder": f"{sync * 1000:.2f} ms (median of 200, one after the other)",
    }


def sync_time(folder):
    """How long the disk takes, without any server."""
    import time

    data = os.urandom(10_240)
    probe = folder / "probe"
    probe.mkdir()
    directory = os.open(probe, os.O_RDONLY)
    times = []
    for number in range(200):
        begun = time.perf_counter()
        file = os.open(probe / str(number), os.O_WRONLY | os.O_CREAT)
        os.write(file, data)
        os.fsync(file)
        os.close(file)
        os.fsync(directory)
        times.append(time.perf_counter() - begun)
    os.close(directory)
    return statistics.median(times)

"""What the planner needs to know of our own roles: crates/planner/data/measured.toml.

Each load runs once. What counts is not how quick it was but the time of a core that each role's threads took for it (user and
system time, /proc/PID/task/*/schedstat before and after), so that other programs on the machine change the figures little.
"""

import contextlib
import datetime
import json
import os
import pathlib
import platform
import signal
import socket
import subprocess
import time

import inbound
import outbound
from cpu import cpu_time
from harness import ports, site

FILE = pathlib.Path(__file__).resolve().parent.parent.parent / "crates" / "planner" / "data" / "measured.toml"

HEAD = """\
# What one core does and what a session weighs, measured by `tests/bench/run --planner`; measured again with that command, not
# edited by hand. `chasqui plan --model measured` and `chasqui plan simulate` read it.

version = 1
commit = "{commit}"
date = "{date}"
command = "tests/bench/run --planner"
machine = "{machine}"
cores = {cores}

# What one operation costs each role: microseconds of one core, user and system time of the role's threads. A role that is not
# named has no part in it. 1,000,000 / cost = operations per core-second. `count` is how many were measured.
"""

MEMORY = """
# Octets of memory. `start` is a process just started; the others are for each one more: an idle session, a user of a directory
# that loads all of them again beside those that answer.

[memory]
"""

ROLES = {"directory1": "directory", "storage1": "storage", "storage2": "storage", "mx": "mx", "proxy": "proxy", "plain": "proxy"}
SMALL, LARGE = 10_240, 1_000_000
# A role with less than this share of an operation's cost only ticked meanwhile.
NOTHING = 0.005


class Measures:
    """The measurements, in the order in which they stand in the file."""

    def __init__(self, bench):
        self.bench = bench
        self.ours = bench.ours
        self.quick = bench.quick
        self.operations, self.bytes, self.memory, self.fresh = {}, {}, {}, {}
        # Processes of one measurement beside the site's, by name, and what they are.
        self.others = {}

    def run(self):
        self.starts()
        self.mail()
        self.outbound()
        self.checked()
        self.sessions()
        self.look_ups()
        self.requests()
        self.connections()

    # Operations

    def cost(self, key, about, count, work):
        """Runs `work` and notes what it cost each role for one of `count`."""
        before = self.cpu()
        work()
        after = self.cpu()
        costs = {}
        roles = {**ROLES, **{name: role for name, (role, _) in self.others.items()}}
        for name, role in roles.items():
            spent = sum(time - before[name].get(thread, 0) for thread, time in after[name].items())
            costs[role] = costs.get(role, 0.0) + spent / count / 1000
        total = sum(costs.values())
        costs = {role: spent for role, spent in costs.items() if spent > NOTHING * total}
        self.operations[key] = (about, count, costs)
        print(f"  {key}: " + ", ".join(f"{role} {spent:.1f} µs" for role, spent in costs.items()), flush=True)

    def cpu(self):
        """Nanoseconds of a core that each thread of our processes has used."""
        others = {name: cpu_time(process.pid) for name, (_, process) in self.others.items()}
        return {**{name: cpu_time(self.ours.pid(name)) for name in ROLES}, **others}

    def mail(self):
        bench, to = self.bench, self.ours.site.smtp
        lmtp2 = self.ours.site.base + ports.STORAGE_LMTP + ports.NODE2
        storage1, storage2 = self.ours.mail
        few, many = (200, 200) if self.quick else (2000, 8000)
        # Mailboxes are made before the clock runs.
        bench.deliver(to, [storage1], 16, few)
        bench.deliver(lmtp2, [storage2], 16, few, "--lmtp", "--prefix", "v")
        self.cost("message_in", "a message of 10 KB from the internet by SMTP without TLS, delivered over LMTP with TLS and synced", many,
                  lambda: bench.deliver(to, [storage1], 32, many))
        self.cost("delivery", "the same message at the storage node's LMTP, without TLS and with 32 senders", many,
                  lambda: bench.deliver(lmtp2, [storage2], 32, many, "--lmtp", "--prefix", "v"))
        self.cost("delivery_alone", "the same with one sender, so that no message shares a sync", many // 8,
                  lambda: bench.deliver(lmtp2, [storage2], 1, many // 8, "--lmtp", "--prefix", "v"))

    def outbound(self):
        few, many = (200, 100) if self.quick else (8000, 2000)
        with outbound.Outbound(self.bench) as out:
            self.fresh["relay"] = site.memory(out.relay.process.pid)
            self.others = {"relay": ("relay", out.relay.process)}
            out.run(out.relay, outbound.MOST, 100)
            self.cost("message_out", "a message of 10 KB from another role into the durable queue and out to one of 32 destinations, without TLS", few,
                      lambda: out.run(out.relay, outbound.MOST, few))
            submission = inbound.Submission(self.bench, out.relay)
            time.sleep(1)
            self.cost("submission", "a session of a user: TLS, SCRAM-SHA-256, a message of 10 KB into the durable queue and out", many,
                      lambda: submission.run(many))
            self.others = {}

    def checked(self):
        count = 200 if self.quick else 4000
        with inbound.Inbound(self.bench) as both:
            for key, exchanger, about in (
                ("message_in_unchecked", both.plain, "a message of 10 KB with a DKIM signature, without checks"),
                ("message_in_checked", both.checked, "the same with SPF, DKIM (RSA, 2048 bits) and DMARC checked"),
            ):
                both.cost(exchanger, 100)
                self.others = {exchanger.name: ("mx", exchanger.process)}
                self.cost(key, about, count, lambda exchanger=exchanger: both.cost(exchanger, count))
            self.others = {}

    def sessions(self):
        secure = ["--ca", self.ours.site.ca]
        users = 50 if self.quick else 200
        many = 200 if self.quick else 4000

        def sessions(port, prefix, count, *extra):
            self.bench.load("imap-sessions", "--to", f"127.0.0.1:{port}", "--connections", 8, "--sessions", count, "--users", users,
                            "--prefix", prefix, *extra)

        plain, imaps = self.ours.plain_imap, self.ours.site.imaps
        # The first log-in of a user hashes the password; the directory then remembers for five minutes that it was right.
        self.cost("first_log_in", "a proxied IMAP session whose password the directory does not remember (Argon2id, 19 MiB, 2 passes)", users,
                  lambda: sessions(plain, "v", users))
        sessions(imaps, "u", users, *secure)
        self.cost("log_in", "a proxied IMAP session: connect, LOGIN with a password that the directory remembers, LOGOUT; without TLS", many,
                  lambda: sessions(plain, "v", many))
        self.cost("log_in_tls", "the same with TLS: a handshake with the client and one between proxy and storage node", many // 2,
                  lambda: sessions(imaps, "u", many // 2, *secure))

    def look_ups(self):
        words = ["directory", "--to", f"127.0.0.1:{self.ours.site.base + ports.DIRECTORY1}", "--keys", self.ours.site.folder / "directory.keys",
                 "--users", 100_000, "--prefix", "d"]
        many = 20_000 if self.quick else 1_500_000
        self.cost("look_up", "a look-up of an address, 8 clients with 32 questions in flight each", many,
                  lambda: self.bench.load(*words, "--in-flight", 32, "--lookups", many))
        self.cost("look_up_alone", "a look-up of an address, 8 clients with one question in flight each", many // 5,
                  lambda: self.bench.load(*words, "--in-flight", 1, "--lookups", many // 5))

    # Requests and octets

    def requests(self):
        small, large = (200, 50) if self.quick else (10_000, 600)
        plain = ["--to", f"127.0.0.1:{self.ours.plain_imap}", "--prefix", "v"]
        secure = ["--to", f"127.0.0.1:{self.ours.site.imaps}", "--prefix", "u", "--ca", self.ours.site.ca]
        lmtp2 = self.ours.site.base + ports.STORAGE_LMTP + ports.NODE2
        for size, count in ((SMALL, small), (LARGE, large)):
            # The last message of the first eight users' INBOX.
            for port, tree, extra in ((self.ours.site.smtp, 0, []), (lmtp2, 1, ["--lmtp", "--prefix", "v"])):
                self.bench.load("smtp", "--to", f"127.0.0.1:{port}", "--connections", 1, "--messages", 8, "--users", 8, "--size", size,
                                "--watch", self.ours.mail[tree], *extra)
            octets = f"{size // 1000:,} KB"
            for key, words, tls in (("", plain, "without TLS"), ("_tls", secure, "TLS on both sides")):
                name = "request" if size == SMALL else "large_request"
                self.fetch(name + key, f"an IMAP request through the proxy: FETCH of a message of {octets}, {tls}", count, words)
        for key in ("", "_tls"):
            for role in ("proxy", "storage"):
                one, other = (self.operations[name + key][2][role] for name in ("request", "large_request"))
                self.bytes[role + key] = (LARGE - SMALL) / max(other - one, 1e-3) * 1e6

    def fetch(self, key, about, count, words):
        command = [self.bench.generator, "imap-fetch", "--connections", "8", "--users", "8", "--fetches", str(count), *map(str, words)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as generator:
            generator.stdout.readline()

            def work():
                generator.stdin.write("\n")
                generator.stdin.flush()
                if not generator.stdout.readline():
                    raise RuntimeError(f"{command} measured nothing")

            self.cost(key, about, count, work)

    # Memory

    def starts(self):
        """Processes just started."""
        for name in ("mx", "plain", "storage2"):
            self.fresh[ROLES[name]] = site.memory(self.ours.pid(name))

    def connections(self):
        """Memory of each idle connection, in freshly started processes (see `Bench.idle`)."""
        self.bench.memory()
        found = self.bench.idle_memory
        self.memory["proxy_session"] = found["plain", "plain"]
        self.memory["proxy_session_tls"] = found["tls", "proxy"]
        self.memory["storage_session"] = found["plain", "storage2"]
        self.memory["storage_session_tls"] = found["tls", "storage1"]
        self.memory["storage_session_idle"] = found["idle", "storage2"]
        self.memory["mx_connection"] = self.mx_connection()
        self.directory()

    def mx_connection(self):
        """SMTP clients that have said EHLO and then nothing."""
        count = 50 if self.quick else 400
        self.ours.site.restart("mx")
        self.smtp_clients(50, lambda: None)
        time.sleep(1)
        before, after = site.memory(self.ours.pid("mx")), []
        self.smtp_clients(count, lambda: after.append(site.memory(self.ours.pid("mx"))))
        return (after[0] - before) / count

    def smtp_clients(self, count, meanwhile):
        with contextlib.ExitStack() as clients:
            for number in range(count):
                address = ("127.0.0.1", self.ours.site.smtp)
                client = clients.enter_context(socket.create_connection(address, 10, source_address=(f"127.0.7.{number % 200 + 1}", 0)))
                client.recv(1000)
                client.sendall(b"EHLO bench.test\r\n")
                client.recv(1000)
            time.sleep(1)
            meanwhile()

    def directory(self):
        """Directories with few and with many users; what counts is the most that they had, while they loaded all again (SIGHUP)."""
        few, many = 1000, 20_000 if self.quick else 400_000
        found = {}
        for count in (few, many):
            with self.bench.many_users(count) as (server, _, loaded, _):
                server.signal(signal.SIGHUP)
                time.sleep(3 * loaded + 2)
                found[count] = site.peak_memory(server.pid)
        self.memory["directory_user"] = (found[many] - found[few]) / (many - few)
        self.fresh["directory"] = found[few] - few * self.memory["directory_user"]

    # The file

    def text(self, commit):
        memory = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal")) / 1024 / 1024
        system = next((line.split("=")[1].strip().strip('"') for line in open("/etc/os-release") if line.startswith("PRETTY_NAME")), "")
        kind = subprocess.run(["findmnt", "-n", "-o", "FSTYPE", "-T", str(self.bench.folder)], capture_output=True, text=True).stdout.strip()
        machine = f"{os.cpu_count()} cores, {memory:.0f} GiB of memory, {system}, Linux {platform.release().split('-')[0]}, {kind}"
        text = HEAD.format(commit=commit, date=datetime.date.today(), machine=machine, cores=os.cpu_count())
        for key, (about, count, costs) in self.operations.items():
            text += f"\n[operations.{key}]\nabout = {json.dumps(about, ensure_ascii=False)}\ncount = {count}\n"
            text += "".join(f"{role} = {spent:.2f}\n" for role, spent in costs.items())
        text += "\n# Octets that one core passes on in a second, of large messages that clients fetch: to both sides in the proxy.\n\n[bytes]\n"
        text += "".join(f"{key} = {value:.0f}\n" for key, value in self.bytes.items())
        text += MEMORY
        text += "".join(f"{key} = {value:.0f}\n" for key, value in self.memory.items())
        text += "\n[memory.start]\n"
        return text + "".join(f"{key} = {value:.0f}\n" for key, value in self.fresh.items())

"""Outbound: our relay and Postfix, each with its durable queue, towards the same mail hosts, which take everything and keep nothing.

Both take the messages over SMTP without TLS on loopback, answer 250 when the queue file is synced, and are told by a table where
each destination is, so that no name server is measured.
"""

import pathlib
import subprocess
import time

import peers
from harness import ports, site
from ours import wait_for

DOMAIN = "sink.test"
MOST = 32


class Sink:
    """The mail hosts of all destinations: 127.0.1.1 and on, one port."""

    def __init__(self, generator):
        self.port = ports.free_port()
        self.command = [generator, "sink", "--port", str(self.port), "--destinations", str(MOST)]
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def stop(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()

    def count(self):
        """Messages and connections until now."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return tuple(map(int, self.process.stdout.readline().split()))

    @staticmethod
    def destinations():
        return [(f"d{number}.{DOMAIN}", f"127.0.1.{number + 1}") for number in range(MOST)]


class Relay:
    """Ours."""

    def __init__(self, folder: pathlib.Path, ours, sink):
        self.folder, self.sink = folder, sink
        self.port, self.submissions, self.metrics = (ports.free_port() for _ in range(3))
        folder.mkdir()
        given = ours.site.config("relay").read_text()
        # Without a certificate towards other roles these hand in mail without TLS, as Postfix takes it.
        sections = "".join(section(given, name) for name in ("public_tls", "directory"))
        routes = "".join(
            f'[[delivery.routes]]\ndomains = ["{domain}"]\nhosts = ["{host}:{sink.port}"]\n' for domain, host in sink.destinations()
        )
        self.config = folder / "relay.toml"
        self.config.write_text(f"""\
hostname = "relay.{DOMAIN}"
submission = []
submissions = ["127.0.0.1:{self.submissions}"]
inside = ["127.0.0.1:{self.port}"]
control = "{folder}/relay.sock"
metrics = "127.0.0.1:{self.metrics}"
[queue]
path = "{folder}/queue"
# As many as the generator wants to send.
[senders.rates]
user = {{ messages_per_hour = 100000000, messages_per_day = 100000000, recipients_per_hour = 100000000, recipients_per_day = 100000000 }}
[delivery_tls]
state = "{folder}/tls"
mta_sts = false
dane = false
{routes}{sections}
""")
        self.process = None

    def start(self):
        self.process = site.Process([site.binary(), "relay", "--config", str(self.config)], self.folder / "log")
        wait_for(self.process, self.metrics)

    def stop(self):
        if self.process:
            self.process.stop()


def section(text, name):
    """A section of a TOML text."""
    begin = text.index(f"[{name}]")
    end = text.find("\n[", begin)
    return text[begin:end + 1 if end >= 0 else None]


class Postfix:
    """Debian's Postfix as it is shipped, with a table of the destinations."""

    def __init__(self, folder: pathlib.Path, sink):
        self.folder, self.port = folder, ports.free_port()
        self.config = folder / "etc"
        self.config.mkdir(parents=True)
        (folder / "spool").mkdir()
        peers.data_folder(folder / "data")
        (self.config / "master.cf").write_text(peers.Postfix.SERVICES.format(smtp=f"127.0.0.1:{self.port}"))
        (self.config / "transport").write_text("".join(f"{domain} smtp:[{host}]:{sink.port}\n" for domain, host in sink.destinations()))
        (self.config / "dynamicmaps.cf").write_text("")
        (self.config / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
myhostname = relay.{DOMAIN}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
biff = no
append_dot_mydomain = no
alias_maps =
# The name of each client's address would be asked from DNS, which is not what is measured.
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks reject_unauth_destination
transport_maps = hash:{self.config}/transport
""")
        subprocess.run(["postmap", "-c", str(self.config), f"hash:{self.config}/transport"], check=True)

    def start(self):
        subprocess.run(["postfix", "-c", str(self.config), "start"], check=True, capture_output=True)
        peers.wait_for_port(self.port, "postfix")

    def stop(self):
        subprocess.run(["postfix", "-c", str(self.config), "stop"], capture_output=True)


class Outbound:
    """Both, and what they are asked to do."""

    def __init__(self, bench):
        self.bench = bench
        self.sink = Sink(bench.generator)
        self.relay = Relay(bench.folder / "relay", bench.ours, self.sink)
        self.postfix = None if bench.alone else Postfix(bench.folder / "postfix-out", self.sink)

    def __enter__(self):
        for server in filter(None, (self.sink, self.relay, self.postfix)):
            self.bench.started.append(server)
            server.start()
        return self

    def __exit__(self, *_):
        for server in filter(None, (self.postfix, self.relay, self.sink)):
            self.bench.started.remove(server)
            server.stop()

    def run(self, server, destinations, count):
        """Messages a second from the first MAIL to when the last one has arrived."""
        before, _ = self.sink.count()
        begun = time.monotonic()
        measured = self.bench.load("smtp", "--to", f"127.0.0.1:{server.port}", "--connections", 16, "--messages", count, "--domain", DOMAIN,
                                   "--domains", destinations, "--users", 1000)
        site.wait_until(lambda: self.sink.count()[0] >= before + count, "mail is missing at the destinations", 300, 0.01)
        measured["seconds"] = time.monotonic() - begun
        measured["per_second"] = count / measured["seconds"]
        return measured

"""What checking costs: the exchanger with SPF, DKIM and DMARC beside one without, and submission with SCRAM.

A name server of the benchmark's own answers for the sender's domain. What is measured of the checks is the exchanger's time of a core
for each message, since the rate is the storage node's and the disk's.
"""

import base64
import hashlib
import pathlib
import subprocess

from cpu import cpu_time
from harness import ports, site
from ours import wait_for
from peers import DOMAIN

SENDER = "example.org"
LINE = b"The relay runner carried the message to the next post, and so on to Cusco.\r\n"
FIELDS = (b"From: Sender <sender@example.org>\r\n", b"Subject: A message of the benchmark\r\n", b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n")
HEADER = b"".join(FIELDS) + b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
NAMED = "/usr/sbin/named"


class NameServer:
    """The sender's domain: SPF, a DKIM key of 2048 bits, a DMARC policy."""

    def __init__(self, folder: pathlib.Path):
        self.folder, self.port = folder, ports.free_port()
        folder.mkdir()
        self.key = folder / "dkim.key"
        subprocess.run(["openssl", "genrsa", "-out", str(self.key), "2048"], check=True, capture_output=True)
        public = subprocess.run(["openssl", "rsa", "-in", str(self.key), "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        text = base64.b64encode(public).decode()
        record = " ".join(f'"{part}"' for part in ["v=DKIM1; k=rsa; p=", *(text[at:at + 200] for at in range(0, len(text), 200))])
        (folder / "zone").write_text(
            f"$TTL 3600\n@ SOA ns admin 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n@ MX 10 ns\n@ TXT \"v=spf1 ip4:127.0.0.0/8 -all\"\n"
            f"bench._domainkey TXT {record}\n_dmarc TXT \"v=DMARC1; p=reject\"\n"
        )
        (folder / "named.conf").write_text(
            f'options {{ directory "{folder}"; listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; notify no;'
            f' pid-file none; session-keyfile none; lock-file none; }};\ncontrols {{ }};\nzone "{SENDER}" {{ type primary; file "{folder}/zone"; }};\n'
        )
        self.process = None

    def start(self):
        self.process = site.Process([NAMED, "-g", "-n", "1", "-c", str(self.folder / "named.conf")], self.folder / "log")
        site.wait_until(lambda: site.listens(self.port), "named does not answer", 30)

    def stop(self):
        if self.process:
            self.process.stop()

    def signature(self, size, file):
        """The DKIM-Signature of the generator's message of `size` octets (RFC 6376), both parts `simple`."""
        text = HEADER
        while len(text) < size:
            text += LINE
        digest = base64.b64encode(hashlib.sha256(text[len(HEADER):]).digest()).decode()
        field = f"DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d={SENDER}; s=bench;\r\n\th=from:subject:date; bh={digest};\r\n\tb="
        done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(self.key)], input=b"".join(FIELDS) + field.encode(), check=True, capture_output=True)
        file.write_bytes(field.encode() + base64.b64encode(done.stdout) + b"\r\n")
        return file


class Exchanger:
    """A second exchanger of the site."""

    def __init__(self, name, servers, checks, dns):
        self.servers, self.name = servers, name
        self.folder = servers.folder / name
        self.folder.mkdir()
        self.port, self.metrics = ports.free_port(), ports.free_port()
        text = servers.site.config("mx").read_text()
        for key, value in {
            "listen": f'["127.0.0.1:{self.port}"]',
            "metrics": f'"127.0.0.1:{self.metrics}"',
            "spool.path": f'"{self.folder}/spool"',
            # Loopback is exempt from checks otherwise.
            "filter.connection.trusted_networks": "[]",
            "filter.connection.greylist.path": f'"{self.folder}/greylist.db"',
            "filter.authentication.enabled": "true" if checks else "false",
            "dns.servers": f'["127.0.0.1:{dns.port}"]',
            "dns.dnssec": "false",
        }.items():
            text = site.set_key(text, key, value)
        self.config = self.folder / "mx.toml"
        self.config.write_text(text)
        self.process = None

    def start(self):
        self.process = site.Process([site.binary(), "mx", "--config", str(self.config)], self.folder / "log")
        wait_for(self.process, self.metrics)

    def stop(self):
        if self.process:
            self.process.stop()

    def cpu(self):
        """Nanoseconds of a core until now."""
        return sum(cpu_time(self.process.pid).values())


class Inbound:
    """Both exchangers, and the generator's signed message."""

    def __init__(self, bench):
        self.bench = bench
        self.dns = NameServer(bench.folder / "named")
        self.checked = Exchanger("mx-checked", bench.ours, True, self.dns)
        self.plain = Exchanger("mx-plain", bench.ours, False, self.dns)
        self.header = self.dns.signature(10_240, bench.folder / "dkim.header")

    def __enter__(self):
        for server in (self.dns, self.checked, self.plain):
            self.bench.started.append(server)
            server.start()
        return self

    def __exit__(self, *_):
        for server in (self.plain, self.checked, self.dns):
            self.bench.started.remove(server)
            server.stop()

    def cost(self, exchanger, count):
        """Microseconds of a core for each message."""
        before = exchanger.cpu()
        self.bench.deliver(exchanger.port, [self.bench.ours.mail[0]], 16, count, "--header", self.header)
        return (exchanger.cpu() - before) / count / 1000

    def verdict(self):
        """What the checked exchanger wrote above a message, so that nobody measures checks that failed."""
        for path in (self.bench.ours.mail[0]).rglob("*"):
            if path.is_file() and path.parent.name in ("new", "cur"):
                text = path.read_bytes()[:4000]
                if b"Authentication-Results" in text:
                    return text[text.index(b"Authentication-Results"):text.index(b"DKIM-Signature:")].decode()
        return ""


class Submission:
    """A relay with users whose passwords have SCRAM verifiers."""

    USERS = 8

    def __init__(self, bench, relay):
        self.bench, self.relay = bench, relay
        rows = "address,password,quota,node\n" + "".join(f"s{user}@{DOMAIN},bench,,storage1\n" for user in range(self.USERS))
        bench.ours.site.run("user", "import", "-", input=rows)

    def run(self, sessions):
        return self.bench.load("submit", "--to", f"127.0.0.1:{self.relay.submissions}", "--ca", self.bench.ours.site.ca, "--sessions", sessions,
                               "--users", self.USERS, "--domain", DOMAIN, "--recipient", "u1@d0.sink.test", "--connections", 8)

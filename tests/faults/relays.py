"""A relay among real processes, senders on its inside port, and sinks that play the rest of the internet."""

import contextlib
import json
import random
import smtplib
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import uuid

from harness import ports
from harness.site import Process, Site, binary, wait_until

SENDER = "ana@ejemplo.test"


class Sink:
    """A mail host. `manner` says for a message what is done with it: take, lose (taken, and the connection ends without a reply)."""

    def __init__(self, port=None, manner=lambda: "take", pause=0.0):
        self.port, self.manner, self.pause = port or ports.free_port(), manner, pause
        self.lock = threading.Lock()
        self.taken = {}  # (attempt, recipient) → the messages, octet by octet
        self.server = None

    def start(self):
        sink = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self):
                with contextlib.suppress(OSError):
                    sink.serve(self.rfile, self.wfile)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads, request_queue_size = True, True, 128

        self.server = Server(("127.0.0.1", self.port), Session)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, lines, out):
        def say(text):
            out.write(text.encode() + b"\r\n")

        say("220 sink.example ESMTP")
        recipients = []
        while line := lines.readline():
            verb = line.decode("latin-1").strip().upper()
            if verb.startswith("EHLO"):
                say("250-sink.example\r\n250-PIPELINING\r\n250 8BITMIME")
            elif verb.startswith("MAIL"):
                recipients = []
                say("250 2.1.0 Ok")
            elif verb.startswith("RCPT"):
                recipients.append(line.decode().split("<")[1].split(">")[0])
                say("250 2.1.5 Ok")
            elif verb == "DATA":
                say("354 Go on")
                message = b"".join(iter(lines.readline, b".\r\n"))
                time.sleep(self.pause)
                manner = self.manner()
                attempt = attempt_of(message)
                with self.lock:
                    for recipient in recipients:
                        self.taken.setdefault((attempt, recipient), []).append(message)
                if manner == "lose":
                    return
                say("250 2.0.0 Ok")
            elif verb == "QUIT":
                say("221 2.0.0 Bye")
                return
            else:
                say("250 2.0.0 Ok")


def attempt_of(message):
    start = message.find(b"X-Attempt: ")
    return message[start + 11:start + 43].decode() if start >= 0 else None


class RelaySite(Site):
    """Two directory servers and relays; what the relays send goes to sinks by routes."""

    ROLES = {"directory1": "directory", "directory2": "directory", "relay": "relay"}

    def __init__(self, routes):
        super().__init__()
        text = self.config("relay").read_text()
        before, _, behind = text.partition("[[delivery.routes]]")
        _, _, behind = behind.partition("\n[")
        self.config("relay").write_text(before + routes_of(routes) + "[" + behind)
        self.set("relay", "queue.first_pause", '"300ms"')
        self.set("relay", "queue.longest_pause", '"2s"')
        self.set("relay", "queue.free_space", '"0B"')

    @property
    def queue_folder(self):
        return self.folder / "queue"

    def second_relay(self):
        """Another relay of the same site, with its own queue and ports: its inside port."""
        inside, metrics = ports.free_port(), ports.free_port()
        text = self.config("relay").read_text()
        path = self.folder / "relay2.toml"
        path.write_text(text)
        self.ROLES = {**self.ROLES, "relay2": "relay"}
        for key, value in (
            ("submission", "[]"), ("submissions", "[]"), ("inside", f'["127.0.0.1:{inside}"]'), ("control", f'"{self.folder}/relay2.sock"'),
            ("metrics", f'"127.0.0.1:{metrics}"'), ("queue.path", f'"{self.folder}/queue2"'), ("delivery_tls.state", f'"{self.folder}/tls2"'),
        ):
            self.set("relay2", key, value)
        self.other_metrics = metrics
        return inside

    def metrics(self, role):
        return self.other_metrics if role == "relay2" else super().metrics(role)

    def queue(self, *arguments, relay="relay", check=True, timeout=120):
        """`chasqui queue …`: what it prints, as objects."""
        words = [binary(), "queue", *arguments, "--json", "--socket", str(self.folder / f"{relay}.sock")]
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def queued(self, relay="relay"):
        return self.queue("stats", relay=relay)[0]["stats"]["messages"]

    def wait_empty(self, patience=120, relay="relay"):
        def empty():
            stats = self.queue("stats", relay=relay)[0]["stats"]
            return not stats["loading"] and stats["messages"] == 0

        wait_until(empty, f"the queue is not empty: {self.queue('stats', relay=relay)[0]}", patience, 0.2)

    def inside(self, port=None):
        """A session on the inside port, as the exchanger has it."""
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(self.folder / "pki" / "mx.crt", self.folder / "pki" / "mx.key")
        return smtplib.SMTP_SSL("localhost", port or self.base + ports.RELAY_INSIDE, timeout=30, context=context)


def routes_of(routes):
    return "".join(
        f'[[delivery.routes]]\ndomains = ["{domain}"]\nhosts = ["127.0.0.1:{sink.port}"]\ntls = "never"\n' for domain, sink in routes.items()
    )


class Senders:
    """Threads that hand messages in as fast as they are answered, each message with an id of its own."""

    def __init__(self, site, domains, threads=4, seed=None, size=2000):
        self.site, self.domains, self.size = site, domains, size
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.attempts, self.accepted, self.refusals = {}, set(), {}
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            if thread.is_alive():
                raise AssertionError("a sender hangs")
        return self

    def _run(self):
        while not self.stopping.is_set():
            try:
                with self.site.inside() as client:
                    client.ehlo()
                    for _ in range(50):
                        self.send(client)
                        if self.stopping.is_set():
                            return
            except (OSError, smtplib.SMTPException, ssl.SSLError):
                self.note(0)
                time.sleep(0.02)

    def send(self, client):
        """One message; returns the code that decided."""
        with self.lock:
            attempt = uuid.UUID(int=self.random.getrandbits(128)).hex
            some = self.random.sample(self.domains, self.random.choice((1, 1, 1, min(2, len(self.domains)))))
            to = [f"{attempt[:8]}@{domain}" for domain in some]
        code, _ = client.docmd("MAIL", f"FROM:<{SENDER}>")
        if code != 250:
            client.docmd("RSET")
            return self.note(code)
        for recipient in to:
            client.docmd("RCPT", f"TO:<{recipient}>")
        with self.lock:
            self.attempts[attempt] = to
        code, _ = client.docmd("DATA")
        if code != 354:
            client.docmd("RSET")
            return self.note(code)
        head = f"X-Attempt: {attempt}\r\nMessage-ID: <{attempt}@example.org>\r\n\r\n".encode()
        client.send(head + (b"x" * 78 + b"\r\n") * (self.size // 80) + b".\r\n")
        code, _ = client.getreply()
        if code == 250:
            with self.lock:
                self.accepted.add(attempt)
        return self.note(code)

    def note(self, code):
        if code != 250:
            with self.lock:
                self.refusals[code] = self.refusals.get(code, 0) + 1
        return code


def account_for(test, senders, *sinks):
    """What got 250 is at its sink; what is there twice is the same octet by octet, so that nobody can tell the copies apart."""
    taken = {}
    for sink in sinks:
        with sink.lock:
            for key, messages in sink.taken.items():
                taken.setdefault(key, []).extend(messages)
    pairs = [(attempt, to) for attempt in senders.accepted for to in senders.attempts[attempt]]
    missing = [pair for pair in pairs if pair not in taken]
    doubled = {key: messages for key, messages in taken.items() if len(messages) > 1 and key[0]}
    different = [key for key, messages in doubled.items() if len(set(messages)) > 1]
    print(
        f"          {len(senders.attempts)} messages handed in, {len(senders.accepted)} got 250 for {len(pairs)} recipients: {len(missing)} missing, "
        f"{len(doubled)} came twice, {len(different)} of them different. Other answers: {senders.refusals or 'none'}", flush=True,
    )
    test.assertGreater(len(senders.accepted), 0, "nothing was accepted")
    test.assertEqual(missing[:5], [], f"{len(missing)} acknowledged copies are lost")
    test.assertEqual(different[:5], [], "copies that can be told apart")
    return len(doubled)

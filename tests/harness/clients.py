"""Mail clients of Python's library, with the site's authority, and messages to send."""

import contextlib
import imaplib
import poplib
import random
import smtplib
import socket
import ssl
import uuid

from .site import DOMAIN, PASSWORD

TIMEOUT = 30.0


def address(name):
    return name if "@" in name else f"{name}@{DOMAIN}"


def context(site):
    """TLS that checks the server's certificate and name."""
    return ssl.create_default_context(cafile=str(site.ca))


@contextlib.contextmanager
def smtp(site, source="127.0.0.1"):
    """A session of smtplib with the exchanger."""
    client = smtplib.SMTP("localhost", site.smtp, timeout=TIMEOUT, source_address=(source, 0))
    try:
        yield client
    finally:
        with contextlib.suppress(smtplib.SMTPException, OSError):
            client.quit()


def send(site, to, message, sender="alguien@example.org"):
    """Sends the octets of `message` as they are."""
    recipients = [address(name) for name in ([to] if isinstance(to, str) else to)]
    with smtp(site) as client:
        client.ehlo()
        check(client.docmd("MAIL", f"FROM:<{sender}>"), 250)
        for recipient in recipients:
            check(client.docmd("RCPT", f"TO:<{recipient}>"), 250)
        check(client.docmd("DATA"), 354)
        client.send(dot_stuffed(message) + b".\r\n")
        return check(client.getreply(), 250)


def check(reply, code):
    if reply[0] != code:
        raise AssertionError(f"expected {code}, got {reply[0]} {reply[1].decode(errors='replace')}")
    return reply[1].decode()


def dot_stuffed(message):
    """RFC 5321 §4.5.2."""
    lines = message.split(b"\r\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)


@contextlib.contextmanager
def imap(site, user, password=PASSWORD, tls=True):
    """A logged-in session of imaplib."""
    client = (
        imaplib.IMAP4_SSL("localhost", site.imaps, ssl_context=context(site), timeout=TIMEOUT)
        if tls
        else imaplib.IMAP4("localhost", site.imap, timeout=TIMEOUT)
    )
    try:
        if not tls:
            client.starttls(context(site))
        client.login(address(user), password)
        yield client
    finally:
        with contextlib.suppress(imaplib.IMAP4.error, OSError):
            client.logout()


def ok(answer):
    """The data of an answer that must be OK."""
    kind, data = answer
    if kind != "OK":
        raise AssertionError(f"{kind} {data}")
    return data


def contents(client, folder="INBOX"):
    """Every message of a folder, octet for octet, by UID."""
    ok(client.select(quoted(folder), readonly=True))
    uids = ok(client.uid("SEARCH", "ALL"))[0].split()
    found = {}
    for uid in uids:
        data = ok(client.uid("FETCH", uid, "(BODY.PEEK[])"))
        found[int(uid)] = next(part[1] for part in data if isinstance(part, tuple))
    return found


def quoted(folder):
    return '"' + folder.replace("\\", "\\\\").replace('"', '\\"') + '"'


@contextlib.contextmanager
def pop3(site, user, password=PASSWORD, tls=True):
    """A logged-in session of poplib."""
    client = (
        poplib.POP3_SSL("localhost", site.pop3s, context=context(site), timeout=TIMEOUT)
        if tls
        else poplib.POP3("localhost", site.pop3, timeout=TIMEOUT)
    )
    try:
        if not tls:
            client.stls(context(site))
        client.user(address(user))
        client.pass_(password)
        yield client
    finally:
        # After `close` poplib has no connection left to say QUIT on.
        with contextlib.suppress(poplib.error_proto, OSError, AttributeError):
            client.quit()


class Wire:
    """A raw line-wise connection, for what the libraries do not let a test say."""

    def __init__(self, port, source="127.0.0.1", tls=None, greeting=True, before=b""):
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT, source_address=(source, 0))
        if before:
            self.socket.sendall(before)
        if tls:
            self.secure(tls)
        self.file = self.socket.makefile("rb")
        self.greeting = self.line() if greeting else None

    def secure(self, tls):
        self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")

    def send(self, octets):
        self.socket.sendall(octets if isinstance(octets, bytes) else octets.encode())

    def line(self):
        return self.file.readline().decode(errors="replace").rstrip("\r\n")

    def reply(self):
        """An SMTP reply: its code and its lines."""
        lines = []
        while True:
            line = self.line()
            if not line:
                return None, lines
            lines.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), lines

    def say(self, command):
        """One SMTP command and its reply."""
        self.send(command + "\r\n" if isinstance(command, str) else command + b"\r\n")
        return self.reply()

    def ask(self, command):
        """One IMAP command; its lines up to the tagged one."""
        tag = f"t{random.randrange(10**6)}"
        self.send(f"{tag} {command}\r\n")
        lines = []
        while True:
            line = self.line()
            lines.append(line)
            if not line or line.startswith(tag + " "):
                lines[-1] = line[len(tag) + 1:]
                return lines

    def close(self):
        with contextlib.suppress(OSError):
            self.file.close()
            self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def message(subject="Prueba", size=2000, to="ana"):
    """A message with a unique id and everything that software likes to change: leading dots, trailing blanks,
    lone dots, long lines, accents in UTF-8."""
    unique = uuid.uuid4().hex
    head = (
        f"From: Alguien <alguien@example.org>\r\nTo: {address(to)}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{unique}@example.org>\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    ).encode()
    body = (
        b".leading dot\r\n..two dots\r\n.\r\ntrailing blanks   \r\n\r\n" + "La ñandú corrió: áéíóú €\r\n".encode() + b"x" * 900 + b"\r\n"
    )
    generator = random.Random(unique)
    while len(head) + len(body) < size:
        line = bytes(generator.choices(range(33, 127), k=74)) + b"\r\n"
        body += line
    return head + body


def unique_id(octets):
    """The Message-ID of a message."""
    for line in octets.split(b"\r\n"):
        if line.lower().startswith(b"message-id:"):
            return line.split(b"<")[1].split(b"@")[0].decode()
    return None


def without_trace(octets):
    """A delivered message as it was sent: without the Return-Path and Received fields that were put before it."""
    while True:
        name = octets.split(b":", 1)[0].lower()
        if name not in (b"return-path", b"received", b"delivered-to"):
            return octets
        end = octets.index(b"\r\n")
        while octets[end + 2:end + 3] in (b" ", b"\t"):
            end = octets.index(b"\r\n", end + 2)
        octets = octets[end + 2:]

"""The internet that our relay sends to and our exchanger hears from: Debian's BIND, Postfix and Exim, on loopback, each with its own folder.

Every mail host has its own address of 127.0.0.0/8 and all have one port, as on the internet. They run as root, as they do on real
hosts, and give up their rights themselves.
"""

import email
import grp
import mailbox
import os
import pathlib
import pwd
import re
import smtplib
import socket
import subprocess
import time
import tomllib

from common import PASSWORD, address, site
from harness import clients, ports
from harness.site import Process, binary, listens, scratch, wait_until

EXIM = pathlib.Path("/opt/chasqui-tests/exim4/usr/sbin/exim4")
# Who greets first and defers: the reply to the first attempt for each recipient.
GREYLIST = """\
import pathlib, sys
seen = pathlib.Path(sys.argv[1])
facts = {}
for line in sys.stdin:
    line = line.strip()
    if line:
        name, _, value = line.partition("=")
        facts[name] = value
        continue
    known = seen.read_text().split() if seen.exists() else []
    recipient = facts.get("recipient", "")
    if recipient.startswith("gris") and recipient not in known:
        seen.write_text(" ".join([*known, recipient]))
        print("action=defer_if_permit 4.7.1 Greylisted\\n", flush=True)
    else:
        print("action=dunno\\n", flush=True)
    facts = {}
"""


def free_port(hosts):
    """A port that is free at all these addresses."""
    while True:
        port = ports.free_port()
        try:
            for host in hosts:
                with socket.socket() as probe:
                    probe.bind((host, port))
            return port
        except OSError:
            continue


class NameServer:
    """An authoritative server with the zones of these hosts: domain → mail host's address."""

    def __init__(self, domains, extra=""):
        self.folder = scratch("chasqui-named-")
        self.port = ports.free_port()
        zones = []
        for domain, ip in domains.items():
            (self.folder / domain).write_text(
                f"$TTL 60\n@ SOA ns. admin. 1 60 60 60 60\n@ NS ns.{domain}.\nns A 127.0.0.1\n@ MX 10 mx\nmx A {ip}\n{extra}"
            )
            zones.append(f'zone "{domain}" {{ type primary; file "{self.folder / domain}"; }};')
        (self.folder / "named.conf").write_text(
            f'options {{ directory "{self.folder}"; listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no;'
            " notify no; pid-file none; session-keyfile none; lock-file none; };\ncontrols { };\n" + "\n".join(zones)
        )

    def start(self):
        self.process = Process(["/usr/sbin/named", "-g", "-n", "1", "-c", str(self.folder / "named.conf")], self.folder / "log")
        wait_until(lambda: listens(self.port), "named does not answer")
        return self

    def stop(self):
        self.process.stop()


class Relay:
    """A relay of the shared site with folders and ports of its own."""

    def __init__(self, dns, port, delivery="", queue=""):
        self.folder = scratch("chasqui-relay-")
        self.port, self.tls_port, self.inside = (ports.free_port() for _ in range(3))
        self.metrics = ports.free_port()
        given = tomllib.loads(site().config("relay").read_text())
        section = lambda name: f"[{name}]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in given[name].items())
        self.config = self.folder / "relay.toml"
        self.config.write_text(f"""\
hostname = "relay.ejemplo.test"
submission = ["127.0.0.1:{self.port}"]
submissions = ["127.0.0.1:{self.tls_port}"]
inside = ["127.0.0.1:{self.inside}"]
control = "{self.folder}/relay.sock"
metrics = "127.0.0.1:{self.metrics}"
[queue]
path = "{self.folder}/queue"
first_pause = "1s"
longest_pause = "2s"
{queue}
[dns]
servers = ["127.0.0.1:{dns}"]
dnssec = false
[delivery_tls]
state = "{self.folder}/tls"
mta_sts = false
dane = false
[delivery]
port = {port}
allowed_networks = ["127.0.0.0/8"]
{delivery}
{section("public_tls")}{section("directory")}{section("tls")}""")

    def start(self):
        self.process = Process([binary(), "relay", "--config", str(self.config), "--log-format", "json"], self.folder / "log")

        def ready():
            if not self.process.running():
                raise AssertionError(self.log_text()[-4000:])
            return listens(self.metrics)

        wait_until(ready, "the relay is not ready", 40)
        return self

    def stop(self):
        self.process.stop()

    def log_text(self):
        return self.process.log_text()

    def submit(self, name, to, subject, body="Hola.\r\n", mail_options=(), rcpt_options=()):
        """Hands a message in as a user does."""
        text = message(subject, body, address(name), to[0])
        with smtplib.SMTP("localhost", self.port, timeout=30) as client:
            client.starttls(context=clients.context(site()))
            client.login(address(name), PASSWORD)
            return client.sendmail(address(name), to, text, mail_options, rcpt_options)


def toml(value):
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if isinstance(value, str) else str(value).lower()


def certificate(folder, names):
    """A certificate that signs itself, for hosts that nobody verifies."""
    key, crt = folder / "host.key", folder / "host.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", str(key),
         "-out", str(crt), "-subj", f"/CN={names[0]}", "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)],
        check=True, capture_output=True,
    )
    return crt, key


class Peer:
    """A mail host that puts all that it takes into one Maildir, each message with a Delivered-To field."""

    def __init__(self, domain, folder):
        self.domain, self.folder = domain, folder

    def messages(self, user):
        if not self.folder.exists():
            return []
        field = f"Delivered-To: {user}@{self.domain}\n".encode()
        box = mailbox.Maildir(self.folder)
        found = (box.get_bytes(key).replace(b"\r\n", b"\n") for key in box.keys())
        return [octets for octets in found if field in octets]


    def found(self, user, text, patience=30):
        """The first message of a user that holds the text."""
        return wait_until(lambda: next((octets for octets in self.messages(user) if text.encode() in octets), None), f"{user} has no {text}", patience, 0.1)


class Postfix(Peer):
    """Debian's Postfix: takes mail for `domain`, sends mail for other domains to our exchanger."""

    SERVICES = """
{ip}:{port} inet n - n - - smtpd
{ip}:{relay} inet n - n - - smtpd -o smtpd_relay_restrictions=permit_mynetworks,reject -o smtpd_recipient_restrictions=permit_mynetworks,reject
grey unix - n n - 1 spawn user=nobody argv=/usr/bin/python3 {folder}/greylist.py {folder}/grey/seen
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

    def __init__(self, domain, ip, port, exchanger):
        self.ip, self.port = ip, port
        self.relay = free_port([ip])
        self.root = scratch("chasqui-postfix-")
        self.root.chmod(0o755)
        super().__init__(domain, self.root / "mail" / "all")
        self.config = self.root / "etc"
        owner = pwd.getpwnam("postfix")
        for name, mode in (("etc", 0o755), ("spool", 0o755), ("data", 0o755), ("mail", 0o777), ("grey", 0o777)):
            (self.root / name).mkdir()
            (self.root / name).chmod(mode)
        os.chown(self.root / "data", owner.pw_uid, owner.pw_gid)
        (self.root / "greylist.py").write_text(GREYLIST)
        crt, key = certificate(self.root, [f"mx.{domain}"])
        nobody = pwd.getpwnam("nobody")
        (self.config / "master.cf").write_text(self.SERVICES.format(ip=ip, port=port, relay=self.relay, folder=self.root))
        (self.config / "mailboxes").write_text(f"/^(bea|gris.*|ñandú)@{re.escape(domain)}$/ all/\n")
        (self.config / "dynamicmaps.cf").write_text("")
        (self.config / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {self.root}/spool
data_directory = {self.root}/data
maillog_file = {self.root}/log
maillog_file_prefixes = /var
myhostname = mx.{domain}
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
biff = no
append_dot_mydomain = no
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service unix:private/grey
smtpd_tls_cert_file = {crt}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtp_tls_security_level = encrypt
smtp_bind_address = {ip}
smtp_dns_support_level = disabled
relayhost = [127.0.0.1]:{exchanger}
message_size_limit = 40000
mailbox_size_limit = 0
virtual_mailbox_limit = 0
smtputf8_enable = yes
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = regexp:{self.config}/mailboxes
virtual_mailbox_base = {self.root}/mail
virtual_minimum_uid = 1
virtual_uid_maps = static:{nobody.pw_uid}
virtual_gid_maps = static:{nobody.pw_gid}
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
""")

    def start(self):
        subprocess.run(["postfix", "-c", str(self.config), "start"], check=True, capture_output=True)
        wait_until(lambda: listens(self.port, self.ip), "postfix does not answer", 30)
        return self

    def stop(self):
        subprocess.run(["postfix", "-c", str(self.config), "stop"], capture_output=True)

    def log_text(self):
        return (self.root / "log").read_text(errors="replace")


class Exim(Peer):
    """Debian's Exim: takes mail for `domain`, sends mail for other domains to our exchanger."""

    def __init__(self, domain, ip, port, exchanger):
        self.ip, self.port = ip, port
        self.relay = free_port([ip])
        self.root = scratch("chasqui-exim-")
        self.root.chmod(0o755)
        super().__init__(domain, self.root / "mail" / "all")
        crt, key = certificate(self.root, [f"mx.{domain}"])
        self.config = self.root / "exim.conf"
        self.config.write_text(f"""
primary_hostname = mx.{domain}
exim_path = {EXIM}
spool_directory = {self.root}/spool
log_file_path = {self.root}/log/%slog
pid_file_path = {self.root}/exim.pid
local_interfaces = <; [{ip}]:{port} ; [{ip}]:{self.relay}
domainlist local_domains = {domain}
never_users =
deliver_drop_privilege
tls_advertise_hosts = *
tls_certificate = {crt}
tls_privatekey = {key}
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
dsn_advertise_hosts =
message_size_limit = 40K
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = rcpt
acl_smtp_data = accept

begin acl
rcpt:
  accept condition = ${{if eq{{$received_port}}{{{self.relay}}}}}
  deny !domains = +local_domains
    message = relay not permitted
  deny !local_parts = bea : ^gris : ñandú
    message = Unknown user
  defer local_parts = ^gris
    condition = ${{if !exists{{{self.root}/grey/$local_part}}}}
    condition = ${{run{{/usr/bin/touch {self.root}/grey/$local_part}}{{yes}}{{yes}}}}
    message = Greylisted
  accept

begin routers
here:
  driver = accept
  domains = +local_domains
  transport = maildir
out:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = smtp

begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = {self.root}/mail/all
  create_directory
  headers_add = Delivered-To: $local_part@$domain
  user = Debian-exim
  no_mode_fail_narrower
smtp:
  driver = smtp
  port = {exchanger}
  interface = {ip}
  hosts_require_tls = *
  tls_verify_hosts =
  tls_try_verify_hosts =

begin retry
* * F,1h,2s
""")
        owner = pwd.getpwnam("Debian-exim")
        for name in ("spool", "log", "mail", "grey"):
            (self.root / name).mkdir()
        for path in [self.root, *self.root.rglob("*")]:
            os.chown(path, owner.pw_uid, owner.pw_gid)
        self.config.chmod(0o644)

    def start(self):
        owner = pwd.getpwnam("Debian-exim")

        def become():
            os.setgroups([])
            os.setgid(owner.pw_gid)
            os.setuid(owner.pw_uid)

        command = [str(EXIM), "-C", str(self.config), "-bdf", "-q2s"]
        self.process = subprocess.Popen(command, preexec_fn=become, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: listens(self.port, self.ip), "exim does not answer", 30)
        return self

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def log_text(self):
        return "".join(path.read_text(errors="replace") for path in sorted((self.root / "log").iterdir()))


def message(subject, body="Hola.\r\n", sender="ana@ejemplo.test", to="bea@otro.test", **fields):
    """A message as octets."""
    lines = [f"From: {sender}", f"To: {to}", f"Subject: {subject}", f"Message-ID: <{subject.replace(' ', '-')}-{time.monotonic_ns()}@ejemplo.test>",
             "Date: Sun, 22 Nov 2026 12:00:00 +0000", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
             "Content-Transfer-Encoding: 8bit", *(f"{name}: {value}" for name, value in fields.items()), "", body]
    return "\r\n".join(lines).encode()


def inbox(name):
    """What a user of ours has."""
    with clients.imap(site(), name) as client:
        return list(clients.contents(client).values())


def wait_inbox(name, wanted, patience=20):
    """The first message of a user for which `wanted` holds."""
    return wait_until(lambda: next(filter(wanted, inbox(name)), None), f"{name} has no such message", patience, 0.3)


def notice(octets):
    """The fields of a delivery status notification (RFC 3464): of the first recipient."""
    parts = email.message_from_bytes(octets)
    report = next(part for part in parts.walk() if part.get_content_type() == "message/delivery-status")
    fields = {}
    for block in report.get_payload():
        fields.update({name.lower(): " ".join(value.split()) for name, value in block.items()})
    return fields


__all__ = ["EXIM", "Exim", "NameServer", "Postfix", "Relay", "free_port", "inbox", "message", "notice", "wait_inbox"]

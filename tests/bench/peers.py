"""Debian's servers beside which Chasqui is measured, each on loopback with its whole configuration in one folder.

Every configuration is the package's default where that works at all, and what differs stands here with its reason.
What touches the disk is left as Debian ships it: Postfix syncs its queue file before 250, Dovecot's `mail_fsync =
optimized` syncs each message and its folder before LMTP's 250.
"""

import grp
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import time

DOMAIN = "bench.test"
PASSWORD = "bench"


def wait_for_port(port, what, patience=30.0):
    """Waits until something listens on a loopback port."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{what} does not listen on port {port} after {patience:.0f} s")


def stop(process, patience=20.0):
    """Ends a process by its id, politely first."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Dovecot:
    """LMTP and IMAP over Maildirs."""

    def __init__(self, folder: pathlib.Path, lmtp_port: int, imap_port: int):
        self.folder, self.lmtp_port, self.imap_port = folder, lmtp_port, imap_port
        self.mail = folder / "mail"
        self.socket = folder / "lmtp.sock"
        folder.mkdir(parents=True)
        self.mail.mkdir()
        owner = pwd.getpwnam("mail")
        os.chown(self.mail, owner.pw_uid, owner.pw_gid)
        self.config = folder / "dovecot.conf"
        self.config.write_text(f"""
base_dir = {folder}/run
state_dir = {folder}/state
instance_name = bench
log_path = {folder}/dovecot.log
listen = 127.0.0.1
protocols = lmtp imap
ssl = no
# The generator comes from many loopback addresses; Dovecot trusts only its own with plain passwords.
disable_plaintext_auth = no
mail_location = maildir:~/Maildir
# Debian's user `mail` has a number below the default limit.
first_valid_uid = 1
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={self.mail}/%d/%n allow_all_users=yes
}}
service lmtp {{
  unix_listener {self.socket} {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp_port}
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
""")
        self.process = None

    def start(self):
        self.process = subprocess.Popen(["dovecot", "-F", "-c", str(self.config)])
        wait_for_port(self.lmtp_port, "dovecot")

    def stop(self):
        if self.process:
            stop(self.process)

    @staticmethod
    def version():
        return "Dovecot " + subprocess.run(["dovecot", "--version"], capture_output=True, text=True).stdout.split()[0]


def data_folder(folder):
    """A folder that Postfix writes to."""
    folder.mkdir()
    os.chown(folder, pwd.getpwnam("postfix").pw_uid, grp.getgrnam("postfix").gr_gid)
    return folder


class Postfix:
    """SMTP in, Dovecot's LMTP socket out."""

    # Debian's master.cf without the transports for other networks. Services are not chrooted: their chroot would
    # have to be filled with files first.
    SERVICES = """
{smtp} inet n - n - - smtpd
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
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""

    def __init__(self, folder: pathlib.Path, port: int, lmtp_socket: pathlib.Path, users: int):
        self.folder, self.port = folder, port
        config = self.config = folder / "etc"
        config.mkdir(parents=True)
        (folder / "spool").mkdir()
        data = data_folder(folder / "data")
        (config / "master.cf").write_text(self.SERVICES.format(smtp=f"127.0.0.1:{port}"))
        (config / "mailboxes").write_text("".join(f"u{user}@{DOMAIN} x\n" for user in range(users)))
        (config / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {data}
myhostname = mx.{DOMAIN}
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
virtual_mailbox_domains = {DOMAIN}
virtual_mailbox_maps = hash:{config}/mailboxes
virtual_transport = lmtp:unix:{lmtp_socket}
""")
        (config / "dynamicmaps.cf").write_text("")
        subprocess.run(["postmap", "-c", str(config), f"hash:{config}/mailboxes"], check=True)

    def start(self):
        subprocess.run(["postfix", "-c", str(self.config), "start"], check=True, capture_output=True)
        wait_for_port(self.port, "postfix")

    def stop(self):
        subprocess.run(["postfix", "-c", str(self.config), "stop"], capture_output=True)

    @staticmethod
    def version():
        text = subprocess.run(["postconf", "-d", "-h", "mail_version"], capture_output=True, text=True).stdout
        return "Postfix " + text.strip()


class Nginx:
    """The mail proxy; asks `auth_http` for the store."""

    def __init__(self, folder: pathlib.Path, port: int, auth_port: int):
        self.folder, self.port = folder, port
        folder.mkdir(parents=True)
        module = "/usr/lib/nginx/modules/ngx_mail_module.so"
        self.config = folder / "nginx.conf"
        self.config.write_text(f"""
load_module {module};
user www-data;
worker_processes auto;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{
  # Debian's 768 is too few for 2,000 connections with two sides each.
  worker_connections 8192;
}}
mail {{
  auth_http 127.0.0.1:{auth_port}/auth;
  server {{
    listen 127.0.0.1:{port};
    protocol imap;
    proxy_pass_error_message on;
  }}
}}
""")
        self.process = None

    def start(self):
        self.process = subprocess.Popen(["nginx", "-c", str(self.config), "-e", f"{self.folder}/error.log"])
        wait_for_port(self.port, "nginx")

    def stop(self):
        if self.process:
            stop(self.process)

    @staticmethod
    def version():
        text = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr
        return "nginx " + text.strip().rpartition("/")[2].split()[0]


class Slapd:
    """An mdb database with one entry a user, indexed by `mail`."""

    def __init__(self, folder: pathlib.Path, port: int, users: int):
        self.folder, self.port, self.users = folder, port, users
        database = folder / "database"
        database.mkdir(parents=True)
        owner = pwd.getpwnam("openldap")
        self.config = folder / "slapd.conf"
        self.config.write_text(f"""
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {folder}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
maxsize 4294967296
suffix "dc=bench,dc=test"
directory {database}
index objectClass eq
index mail eq
""")
        ldif = folder / "users.ldif"
        with ldif.open("w") as file:
            file.write("dn: dc=bench,dc=test\nobjectClass: dcObject\nobjectClass: organization\ndc: bench\no: bench\n\n")
            for user in range(users):
                file.write(
                    f"dn: cn=u{user},dc=bench,dc=test\nobjectClass: inetOrgPerson\ncn: u{user}\nsn: u{user}\n"
                    f"mail: u{user}@{DOMAIN}\nl: storage1\nemployeeNumber: 7000000000\n"
                    "userPassword: {SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n\n"
                )
        subprocess.run(["slapadd", "-q", "-f", str(self.config), "-l", str(ldif)], check=True)
        ldif.unlink()
        for path in [folder, database, *database.iterdir()]:
            os.chown(path, owner.pw_uid, owner.pw_gid)
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            ["slapd", "-f", str(self.config), "-h", f"ldap://127.0.0.1:{self.port}", "-u", "openldap", "-g", "openldap", "-d", "0"]
        )
        wait_for_port(self.port, "slapd")

    def stop(self):
        if self.process:
            stop(self.process)

    @staticmethod
    def version():
        text = subprocess.run(["slapd", "-V"], capture_output=True, text=True).stderr
        return "OpenLDAP slapd " + text.split("slapd ")[1].split()[0]

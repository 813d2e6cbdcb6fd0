# What the tests of the mail path share: accounts, and mail that is sent and read as people do it. It stands before each test's own text.
DOMAIN = "correo.gob.example"
PASSWORD = "prueba-de-laboratorio"


def fill(directory, nodes):
    """Storage nodes, the domain, and an account on each node, named after it."""
    directory.wait_for_unit("chasqui-directory.service")
    for node in nodes:
        at = f"{node}.lab.internal"
        directory.succeed(f"chasqui node add {node} --lmtp {at}:1024 --imap {at}:1143 --pop3 {at}:1110")
    directory.succeed(f"chasqui domain add {DOMAIN}")
    for node in nodes:
        directory.succeed(f"echo {PASSWORD} | chasqui user add de-{node}@{DOMAIN} --node {node} --password-stdin")


def send(world, server, recipient, subject):
    """The command that sends a message by SMTP; it fails unless the server took it."""
    return (
        f"swaks --server {server} --from ana@example.org --to {recipient}@{DOMAIN} --header 'Subject: {subject}' "
        "--body 'Una prueba.' --timeout 20"
    )


def read(server, user, subject):
    """The command that finds a message by its subject over IMAP with TLS; it fails unless there is exactly one."""
    search = f"SEARCH HEADER SUBJECT {subject}"
    login = f"--user {user}@{DOMAIN}:{PASSWORD}"
    return f"curl --silent --insecure --max-time 20 {login} 'imaps://{server}/INBOX' -X '{search}' | grep -E '^\\* SEARCH [0-9]+\\s*$'"

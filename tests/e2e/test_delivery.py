"""Messages sent by real programs arrive octet for octet."""

import subprocess

from common import PASSWORD, Test, account, address
from harness import clients
from harness.clients import contents, imap, message, pop3, send, without_trace
from harness.site import peak_memory, scratch, wait_until
from harness.suite import need


def run(*words, input=None):
    done = subprocess.run([str(word) for word in words], input=input, capture_output=True, timeout=60)
    if done.returncode:
        raise AssertionError(f"{words} ended with {done.returncode}:\n{done.stdout[-2000:]!r}\n{done.stderr[-2000:]!r}")
    return done.stdout


class Programs(Test):
    def curl(self, *words, input=None):
        need("curl")
        return run("curl", "--silent", "--show-error", "--cacert", self.site.ca, *words, input=input)

    def read_with_curl(self, name, number=1):
        login = f"{address(name)}:{PASSWORD}"
        by_imap = self.curl("--user", login, f"imaps://localhost:{self.site.imaps}/INBOX;MAILINDEX={number}")
        by_pop = self.curl("--user", login, f"pop3s://localhost:{self.site.pop3s}/{number}")
        self.assertEqual(by_imap, by_pop)
        return by_imap

    def test_curl_sends_and_reads_the_same_octets_over_imaps_and_pop3s(self):
        name, sent = account(), message()
        self.curl(f"smtp://localhost:{self.site.smtp}/cliente", "--mail-from", "alguien@example.org",
                  "--mail-rcpt", address(name), "--upload-file", "-", input=sent)
        self.assertEqual(without_trace(self.read_with_curl(name)), sent)

    def test_curl_sends_over_starttls_with_the_authority_checked(self):
        name, sent = account(), message()
        self.curl("--ssl-reqd", f"smtp://localhost:{self.site.smtp}/cliente", "--mail-from", "alguien@example.org",
                  "--mail-rcpt", address(name), "--upload-file", "-", input=sent)
        found = self.read_with_curl(name)
        self.assertEqual(without_trace(found), sent)
        self.assertIn(b"ESMTPS", found.split(sent[:40])[0])

    def test_curl_reads_over_starttls_on_the_plain_ports(self):
        name, sent = account(), message()
        send(self.site, name, sent)
        login = f"{address(name)}:{PASSWORD}"
        for url in (f"imap://localhost:{self.site.imap}/INBOX;UID=1", f"pop3://localhost:{self.site.pop3}/1"):
            with self.subTest(url):
                self.assertEqual(without_trace(self.curl("--ssl-reqd", "--user", login, url)), sent)

    def test_swaks_sends_plain_and_over_starttls(self):
        need("swaks")
        name = account()
        for words in ([], ["--tls"]):
            sent = message()
            file = scratch() / "message"
            file.write_bytes(sent)
            run("swaks", "--server", f"127.0.0.1:{self.site.smtp}", "--from", "alguien@example.org", "--to", address(name),
                "--ehlo", "cliente.example.org", "--data", f"@{file}", *words)
        with imap(self.site, name) as client:
            found = contents(client)
        self.assertEqual(len(found), 2)
        # swaks ends the text with a line break of its own when it is missing; ours has one.
        self.assertTrue(all(b".leading dot\r\n..two dots\r\n.\r\n" in text for text in found.values()))

    def test_smtplib_sends_and_poplib_and_imaplib_read(self):
        name = account()
        sent = [message(size=size) for size in (600, 10_240, 300_000)]
        for text in sent:
            with clients.smtp(self.site) as client:
                client.sendmail("alguien@example.org", [address(name)], text, mail_options=["BODY=8BITMIME"])
        with imap(self.site, name) as client:
            self.assert_same_mail(contents(client).values(), sent)
        for tls in (True, False):
            with pop3(self.site, name, tls=tls) as client:
                count, size = client.stat()
                self.assertEqual(count, 3)
                got = [b"\r\n".join(client.retr(number)[1]) + b"\r\n" for number in range(1, 4)]
                self.assert_same_mail(got, sent)
                self.assertEqual(size, sum(map(len, got)))


class Paths(Test):
    def test_return_path_stands_first_and_received_after_it(self):
        name, sent = account(), message()
        send(self.site, name, sent, sender="remite@example.org")
        with imap(self.site, name) as client:
            (found,) = contents(client).values()
        lines = found.split(b"\r\n")
        self.assertEqual(lines[0], b"Return-Path: <remite@example.org>")
        self.assertTrue(lines[1].startswith(b"Received: from "), lines[1])
        self.assertEqual(found.count(b"Return-Path:"), 1)
        self.assertTrue(found.endswith(sent))

    def test_the_empty_reverse_path_of_a_bounce_is_accepted(self):
        name, sent = account(), message()
        send(self.site, name, sent, sender="")
        with imap(self.site, name) as client:
            (found,) = contents(client).values()
        self.assertTrue(found.startswith(b"Return-Path: <>\r\n"))

    def test_recipients_on_both_nodes_get_one_transaction(self):
        names = [account(), account("storage2"), account(), account("storage2")]
        sent = message()
        send(self.site, names, sent)
        for name in names:
            with imap(self.site, name) as client:
                self.assert_same_mail(contents(client).values(), [sent])

    def test_the_same_recipient_twice_gets_one_copy(self):
        name, sent = account(), message()
        send(self.site, [name, name.upper()], sent)
        with imap(self.site, name) as client:
            self.assert_same_mail(contents(client).values(), [sent])

    def test_a_message_of_exactly_the_announced_size_is_taken_and_stored(self):
        name = account()
        with clients.smtp(self.site) as client:
            client.ehlo()
            size = int(client.esmtp_features["size"])
        sent = message(size=20_000)
        line = b"Z" * 76 + b"\r\n"
        sent += line * ((size - len(sent)) // len(line) - 1)
        sent += b"Y" * (size - len(sent) - 2) + b"\r\n"
        self.assertEqual(len(sent), size)
        send(self.site, name, sent)
        with imap(self.site, name) as client:
            (found,) = contents(client).values()
        self.assertEqual(without_trace(found), sent)

    def test_fifty_megabytes_arrive_whole_and_cost_the_exchanger_little_memory(self):
        name = account()
        line = b"Z" * 76 + b"\r\n"
        sent = message(size=20_000) + line * (49_500_000 // len(line))
        self.assertGreater(len(sent), 49_000_000)
        process = self.site.processes["mx"]
        before = peak_memory(process.pid)
        send(self.site, name, sent)
        grown = peak_memory(process.pid) - before
        self.assertLess(grown, 16_000_000, "the exchanger held the message in memory")
        with imap(self.site, name) as client:
            (found,) = contents(client).values()
        self.assertEqual(without_trace(found), sent)

    def test_one_delivery_id_is_traced_from_exchanger_to_storage_node(self):
        name, sent = account(), message()
        reply = send(self.site, name, sent)

        def ids(role):
            import json
            found = set()
            for line in self.site.log_text(role).splitlines():
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if "delivery" in record:
                    found.add(record["delivery"])
            return found

        def shared():
            both = ids("mx") & ids("storage1")
            return [one for one in both if one in reply] or None

        found = wait_until(shared, f"no id of the reply {reply!r} is in both logs")
        files = [path for path in self.site.folder.rglob(f"*{found[0]}*") if path.is_file()]
        self.assertTrue(any(path.parent.name in ("new", "cur") for path in files), files)

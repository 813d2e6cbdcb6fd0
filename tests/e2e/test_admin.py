"""The operator's commands, and how soon each role sees what they change."""

import json
import subprocess
import time

from common import DOMAIN, PASSWORD, Test, account, address, site
from harness import site as sites
from harness.clients import Wire, context, message, send
from harness.site import wait_until

SOON = 1.0


class Commands(Test):
    def run_json(self, *words, **options):
        return json.loads(self.site.run(*words, "--json", **options).stdout)

    def rcpt(self, recipient):
        with Wire(self.site.smtp) as wire:
            wire.say("EHLO cliente.example.org")
            wire.say("MAIL FROM:<a@example.org>")
            return wire.say(f"RCPT TO:<{recipient}>")[0]

    def log_in(self, name, password=PASSWORD):
        with Wire(self.site.imaps, tls=context(self.site)) as wire:
            return wire.ask(f"LOGIN {address(name)} {password}")[-1].startswith("OK")

    def seen_within_a_second(self, condition, what):
        begun = time.monotonic()
        wait_until(condition, what, 3, 0.01)
        self.assertLess(time.monotonic() - begun, SOON, what)

    def test_a_new_user_is_seen_by_every_role_within_one_second(self):
        name = f"nueva@{DOMAIN}"
        self.assertEqual(self.rcpt(name), 550)
        self.site.run("user", "add", name, "--node", "storage2", "--quota", "7GB", "--password-stdin", input=PASSWORD + "\n")
        self.seen_within_a_second(lambda: self.rcpt(name) == 250, "the exchanger does not know the new user")
        wait_until(lambda: self.log_in(name), "the proxy does not know the new user", 1)
        send(self.site, name, message())
        shown = self.run_json("user", "show", name)
        self.assertIn("storage2", json.dumps(shown))
        self.assertNotIn("argon2", json.dumps(shown))
        self.site.run("user", "remove", name)
        self.seen_within_a_second(lambda: self.rcpt(name) == 550, "the exchanger still knows the removed user")

    def test_a_new_password_counts_and_the_old_one_does_not_within_one_second(self):
        name = account()
        self.assertTrue(self.log_in(name))
        self.site.run("user", "set", address(name), "--password-stdin", input="otra-clave\n")
        self.seen_within_a_second(lambda: not self.log_in(name), "the old password still works")
        self.assertTrue(self.log_in(name, "otra-clave"))

    def test_a_suspended_user_receives_but_may_not_log_in_and_a_closed_one_neither(self):
        name = account()
        self.site.run("user", "set", address(name), "--state", "suspended")
        self.seen_within_a_second(lambda: not self.log_in(name), "a suspended user may log in")
        self.assertEqual(self.rcpt(address(name)), 250)
        self.site.run("user", "set", address(name), "--state", "closed")
        self.seen_within_a_second(lambda: self.rcpt(address(name)) == 550, "a closed account receives")

    def test_a_service_can_be_forbidden(self):
        name = account()
        self.site.run("user", "set", address(name), "--services", "pop3")
        self.seen_within_a_second(lambda: not self.log_in(name), "IMAP is still allowed")

    def test_domains_aliases_nodes_and_users_are_listed_as_json(self):
        self.assertIn(DOMAIN, json.dumps(self.run_json("domain", "list")))
        nodes = json.dumps(self.run_json("node", "list"))
        self.assertIn("storage1", nodes)
        self.assertIn("storage2", nodes)
        self.site.run("alias", "add", f"jefatura@{DOMAIN}", f"ana@{DOMAIN}", f"beto@{DOMAIN}")
        self.assertIn("jefatura", json.dumps(self.run_json("alias", "list")))
        self.site.run("alias", "remove", f"jefatura@{DOMAIN}")
        self.assertNotIn("jefatura", json.dumps(self.run_json("alias", "list")))
        users = self.run_json("user", "list")
        self.assertLessEqual({f"{name}@{DOMAIN}" for name in sites.PEOPLE}, {user["address"] for user in users})

    def test_what_is_wrong_is_one_sentence_and_exit_code_one(self):
        for words in (
            ["user", "add", f"ana@{DOMAIN}", "--node", "storage1", "--password-stdin"],
            ["user", "add", "x@desconocido.test", "--node", "storage1", "--password-stdin"],
            ["user", "add", f"x@{DOMAIN}", "--node", "nunca", "--password-stdin"],
            ["user", "remove", f"nadie@{DOMAIN}"],
            ["domain", "remove", DOMAIN],
        ):
            with self.subTest(" ".join(words)):
                done = self.site.run(*words, input=PASSWORD + "\n", check=False)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
                self.assertNotIn("panicked", done.stderr)

    def test_a_password_is_never_an_argument(self):
        done = self.site.run("user", "add", f"x@{DOMAIN}", "--node", "storage1", "--password", "clave", check=False)
        self.assertEqual(done.returncode, 2)

    def test_import_names_each_bad_line_and_takes_the_others(self):
        lines = f"address,password,quota,node\nimp1@{DOMAIN},clave,1GB,storage1\nno es una dirección,clave,,storage1\nimp2@{DOMAIN},clave,,storage2\n"
        done = self.site.run("user", "import", "-", input=lines, check=False)
        self.assertIn("3", done.stderr + done.stdout)
        users = json.dumps(self.run_json("user", "list"))
        self.assertIn("imp1@", users)
        self.assertIn("imp2@", users)


class Configuration(Test):
    ROLES = ("directory", "mx", "storage", "proxy")

    def chasqui(self, *words):
        return subprocess.run([sites.binary(), *map(str, words)], capture_output=True, text=True, timeout=30)

    def test_the_example_of_each_role_is_valid_and_documented(self):
        folder = sites.scratch()
        for role in self.ROLES:
            with self.subTest(role):
                example = self.chasqui("config", "example", role)
                self.assertEqual(example.returncode, 0, example.stderr)
                self.assertIn("#", example.stdout)
                file = folder / f"{role}.toml"
                file.write_text(example.stdout)
                checked = self.chasqui("config", "check", role, file)
                self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_the_demo_s_own_files_are_valid(self):
        for name, role in self.site.ROLES.items():
            checked = self.chasqui("config", "check", role, self.site.config(name))
            self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_an_unknown_key_is_refused_with_its_path(self):
        folder = sites.scratch()
        for role, name in (("mx", "mx"), ("proxy", "proxy"), ("storage", "storage1"), ("directory", "directory1")):
            with self.subTest(role):
                file = folder / f"{role}.toml"
                file.write_text(sites.set_key(self.site.config(name).read_text(), "limits.colour", '"red"'))
                checked = self.chasqui("config", "check", role, file)
                self.assertEqual(checked.returncode, 1)
                self.assertIn("limits", checked.stderr)
                self.assertIn("colour", checked.stderr)

    def test_a_role_without_certificates_starts_on_loopback_only(self):
        import re

        folder = sites.scratch()
        file = folder / "proxy.toml"
        text = self.site.config("proxy").read_text()
        text = re.sub(r"(?ms)^\[(public_)?tls\]\n.*?(?=^\[|\Z)", "", text)
        text = re.sub(r"(?m)^(imaps|pop3s) = .*$", "", text)
        text = sites.set_key(text, "imap", '["0.0.0.0:0"]')
        file.write_text(text)
        done = self.chasqui("proxy", "--config", file)
        self.assertEqual(done.returncode, 1)
        self.assertIn("imap", done.stderr)


class Metrics(Test):
    def test_every_role_s_page_parses_and_counts(self):
        import re
        import urllib.request

        send(site(), account(), message())
        for role in site().ROLES:
            with self.subTest(role), urllib.request.urlopen(f"http://127.0.0.1:{site().metrics(role)}/metrics", timeout=10) as page:
                text = page.read().decode()
                names = set()
                for line in text.splitlines():
                    if line.startswith("#"):
                        self.assertRegex(line, r"^# (HELP|TYPE|UNIT|EOF)")
                        continue
                    self.assertRegex(line, r'^[a-z_:][a-zA-Z0-9_:]*(\{[^}]*\})? -?[0-9.eE+infNa-]+( [0-9.]+)?$')
                    names.add(re.split(r"[{ ]", line)[0])
                kind = site().ROLES[role]
                self.assertTrue(any(name.startswith(f"chasqui_{kind}") for name in names), sorted(names)[:20])
                self.assertTrue(any(name.endswith("_total") for name in names), names)
                self.assertTrue(any(name.endswith("_bucket") for name in names), f"{role} shows no latencies")

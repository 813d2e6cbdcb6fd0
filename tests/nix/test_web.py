"""The web tiers of sites that differ from the lab (E5, E6)."""

import pathlib
import re
import subprocess
import tempfile
import unittest

import evaluation


def lab_with(*changes):
    """The lab's web hosts, evaluated with `changes` to the site file's text."""
    text = evaluation.site_file("lab").read_text()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    with tempfile.TemporaryDirectory() as folder:
        site = pathlib.Path(folder) / "site.toml"
        site.write_text(text)
        found = evaluation.evaluate(site, ["web1", "web2"])
    assert not found.errors, found.errors
    return found


def upstream(found, host="web1"):
    """The servers behind a reverse proxy: host to the rest of its line."""
    text = evaluation.texts_of(found.hosts[host])["/etc/nginx/nginx.conf"]
    return {name: rest for rest, name in re.findall(r"^ *server \S+:8443 ([^;]*); # (\w+)", text, re.MULTILINE)}


class WebTiers(unittest.TestCase):
    def test_a_drained_server_gets_no_request_and_the_other_answers_for_it(self):
        found = lab_with(("[hosts.web2]\n", "[hosts.web2]\ndrain = true\n"))
        servers = upstream(found)
        self.assertTrue(servers["web2"].endswith(" down"), servers)
        self.assertNotIn("down", servers["web1"])
        with tempfile.TemporaryDirectory() as folder:
            evaluation.materialise_site(found, pathlib.Path(folder) / "site")
            done = subprocess.run([evaluation.HERE / "checks/nginx", pathlib.Path(folder) / "site/web1"], capture_output=True, text=True, check=False)
        if done.returncode == 77:
            self.skipTest(done.stdout.strip())
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_weights_are_written_when_they_differ(self):
        self.assertFalse(any("weight" in rest for rest in upstream(lab_with()).values()))
        servers = upstream(lab_with(("[hosts.web2]\n", "[hosts.web2]\nweight = 50\n")))
        self.assertIn("weight=50 ", servers["web2"])
        self.assertIn("weight=100 ", servers["web1"])

    def test_a_published_name_that_is_added_is_served_by_both_tiers(self):
        found = lab_with(('"www.correo.gob.example", ', '"www.correo.gob.example", "autodiscover.escuela.example", '))
        texts = evaluation.texts_of(found.hosts["web2"])
        self.assertRegex(texts["/etc/nginx/nginx.conf"], r"server_name [^;]*\bautodiscover\.escuela\.example\b")
        self.assertIn("imap.correo.gob.example", texts["/etc/chasqui/http/autodiscover.escuela.example/autodiscover/autodiscover.xml"])
        self.assertRegex(texts["/etc/chasqui/certificates"], r"\npublic [^\n]*\bautodiscover\.escuela\.example\b")

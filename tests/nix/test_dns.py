"""Zones of a site with two data centres, a domain within another and long keys (E1)."""

import functools
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import evaluation

KEY = "A" * 392
CHANGES = [
    ("[datacenters.norte]", '[datacenters.sur]\n\n[datacenters.norte]'),
    ('facade = ["10.20.1.10"] }', 'facade = ["10.20.1.10"] }\nat.sur = { public = ["203.0.113.77", "2001:db8:7::10"] }'),
    ("[dns.regions.occidente]", '[dns.regions.oriente]\nclients = ["203.0.113.128/25"]\ndatacenters = ["sur"]\n\n[dns.regions.occidente]'),
    (
        '[domains."escuela.example"]',
        f'[domains."salud.correo.gob.example"]\nreports = "informes@escuela.example"\ndkim.largo = "v=DKIM1; k=rsa; p={KEY}"\n\n[domains."escuela.example"]\nspf = ["include:_spf.example.net"]',
    ),
    ("[dns.regions.oriente]", '[dns.records]\n"escuela.example" = ["blog CNAME www.example."]\n\n[dns.regions.oriente]'),
]


@functools.cache
def changed():
    """The lab with those changes, its DNS servers evaluated."""
    text = evaluation.site_file("lab").read_text()
    for old, new in CHANGES:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    with tempfile.TemporaryDirectory() as folder:
        site = pathlib.Path(folder) / "site.toml"
        site.write_text(text)
        found = evaluation.evaluate(site, ["ns1", "ns2"])
    assert not found.errors, found.errors
    return found


def zone(view, name):
    """The text of a zone as a view sees it."""
    return evaluation.texts_of(changed().hosts["ns1"])[f"/etc/named/zones/{view}/{name}.zone"]


def addresses(view, name, inside="correo.gob.example"):
    """The addresses of a name in a view."""
    return re.findall(rf"^{re.escape(name)} +A+ +(\S+)$", zone(view, inside), re.MULTILINE)


class Zones(unittest.TestCase):
    norte = ["192.0.2.10", "198.51.100.10", "203.0.113.10"]
    sur = ["203.0.113.77", "2001:db8:7::10"]

    def test_clients_of_a_region_get_the_addresses_of_its_data_centres_and_others_all(self):
        self.assertEqual(self.norte, addresses("occidente", "mx"))
        self.assertEqual(self.sur, addresses("oriente", "mx"))
        self.assertEqual(self.norte + self.sur, addresses("everybody", "mx"))

    def test_a_region_whose_data_centres_do_not_offer_a_service_gets_all_its_addresses(self):
        self.assertEqual(addresses("everybody", "imap"), addresses("oriente", "imap"))
        self.assertEqual(3, len(addresses("oriente", "imap")))

    def test_name_servers_are_the_same_everywhere(self):
        for view in ("oriente", "occidente", "everybody"):
            self.assertEqual((["192.0.2.13"], ["198.51.100.13"]), (addresses(view, "ns1"), addresses(view, "ns2")))

    def test_who_may_send_is_the_same_everywhere(self):
        relays = "ip4:192.0.2.15 ip4:198.51.100.15"
        for view in ("oriente", "everybody"):
            self.assertIn(f'"v=spf1 {relays} -all"', zone(view, "correo.gob.example"))
            self.assertIn(f'"v=spf1 {relays} include:_spf.example.net -all"', zone(view, "escuela.example"))

    def test_the_name_that_mail_leaves_under_has_every_address_that_it_leaves_from(self):
        for view in ("oriente", "everybody"):
            self.assertEqual(["192.0.2.15", "198.51.100.15"], addresses(view, "out"))

    def test_programs_find_where_to_hand_in_mail(self):
        text = zone("everybody", "escuela.example")
        self.assertRegex(text, r"\n_submissions\._tcp +SRV +0 1 465 smtp\.correo\.gob\.example\.\n")
        self.assertRegex(text, r"\n_submission\._tcp +SRV +10 1 587 smtp\.correo\.gob\.example\.\n")

    def test_a_domain_within_another_is_delegated(self):
        self.assertRegex(zone("everybody", "correo.gob.example"), r"\nsalud +NS +ns1\.correo\.gob\.example\.\n")

    def test_reports_to_another_domain_are_allowed_there(self):
        self.assertIn("rua=mailto:informes@escuela.example", zone("everybody", "salud.correo.gob.example"))
        self.assertRegex(zone("everybody", "escuela.example"), r'\nsalud\.correo\.gob\.example\._report\._dmarc TXT +"v=DMARC1"\n')

    def test_a_long_key_is_written_in_strings_of_at_most_255_octets(self):
        line = re.search(r"^largo\._domainkey .*$", zone("everybody", "salud.correo.gob.example"), re.MULTILINE)[0]
        strings = re.findall(r'"(.*?)"', line)
        self.assertEqual(f"v=DKIM1; k=rsa; p={KEY}", "".join(strings))
        self.assertTrue(all(len(string) <= 255 for string in strings))

    def test_lines_of_the_site_file_are_in_their_zone(self):
        self.assertIn("\nblog CNAME www.example.\n", zone("everybody", "escuela.example"))

    def test_a_policy_of_tls_has_a_new_id_when_and_only_when_it_changes(self):
        ids = re.findall(r'"v=STSv1; id=([0-9a-f]{32})"', zone("everybody", "correo.gob.example") + zone("oriente", "correo.gob.example"))
        self.assertEqual(2, len(ids))
        self.assertEqual(1, len(set(ids)))
        self.assertNotIn(ids[0], zone("everybody", "escuela.example"))

    def test_bind_answers_each_view_as_the_site_says(self):
        if not shutil.which("named"):
            self.skipTest("named is not installed (bind9)")
        with tempfile.TemporaryDirectory() as folder:
            evaluation.materialise_site(changed(), pathlib.Path(folder) / "site")
            done = subprocess.run([evaluation.HERE / "checks/dns", pathlib.Path(folder) / "site/ns1"], capture_output=True, text=True, check=False)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

"""A role on a host that is of no site: the operator's settings and the binary's defaults."""

import functools
import re
import unittest

import evaluation


@functools.cache
def texts():
    """The host's files."""
    host = evaluation.call(evaluation.HERE / "without-site.nix")
    assert host["failedAssertions"] == [], host["failedAssertions"]
    return evaluation.texts_of(host)


class WithoutSite(unittest.TestCase):
    def test_only_what_the_operator_set_stands_in_the_configuration(self):
        configuration = texts()["/etc/chasqui/mx.toml"]
        self.assertIn('message_size = "20MB"', configuration)
        self.assertIn("[future]\nkey = 1", configuration)
        self.assertNotIn("recipients", configuration)

    def test_keys_and_certificates_are_handed_over_as_copies(self):
        unit = texts()["/etc/systemd/system/chasqui-mx.service"]
        self.assertIn("LoadCredential=public.key:/srv/keys/public.key\n", unit)
        self.assertIn('key = "/run/credentials/chasqui-mx.service/public.key"', texts()["/etc/chasqui/mx.toml"])
        watched = texts()["/etc/systemd/system/chasqui-mx-renewed.path"]
        self.assertEqual(5, len(re.findall(r"^PathChanged=/srv/keys/", watched, re.MULTILINE)), watched)

    def test_a_port_below_1024_is_the_only_capability(self):
        unit = texts()["/etc/systemd/system/chasqui-mx.service"]
        self.assertIn("CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n", unit)
        self.assertIn("PrivateUsers=false\n", unit)

    def test_no_other_role_is_there(self):
        ours = {path for path in texts() if path.startswith("/etc/chasqui/") or "/chasqui-" in path}
        self.assertEqual({path for path in ours if "mx" not in path and "renewed" not in path}, set())

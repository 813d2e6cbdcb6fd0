"""One address of a site file is changed: what depends on it changes, and nothing else."""

import functools
import pathlib
import re
import tempfile
import unittest

import evaluation
import test_hosts

# What it is, the address in hosts/lab/site.toml, and one that nobody has.
ADDRESSES = [
    ("an exchanger's", "10.20.1.41", "10.20.1.43"),
    ("an exchanger's of IPv6", "fd20:1::41", "fd20:1::43"),
    ("a storage node's in the mesh", "10.21.2.51", "10.21.2.53"),
    ("a storage controller's in the mesh", "10.21.2.2", "10.21.2.4"),
    ("a published one", "192.0.2.10", "192.0.2.20"),
    ("a name server's", "10.20.1.33", "10.20.1.35"),
    ("the facade's", "10.20.1.10", "10.20.1.15"),
    ("a firewall's uplink", "192.0.2.251", "192.0.2.253"),
    ("a log server's for management", "10.20.4.81", "10.20.4.83"),
    ("the database's", "10.20.1.20", "10.20.1.25"),
]


@functools.cache
def token(address):
    """The address where it stands whole."""
    before, after = ("[0-9A-Fa-f:]", "[0-9A-Fa-f:]") if ":" in address else (r"[0-9]|[0-9]\.", r"[0-9]|\.[0-9]")
    before = "".join(f"(?<!{part})" for part in before.split("|"))
    return re.compile(f"{before}{re.escape(address)}(?!{after})")


def texts(found):
    """Every text of every host: (host, path) to text, without the store's hashes."""
    return {
        (name, evaluation.plain(path)): evaluation.plain(text)
        for name, host in found.hosts.items()
        for path, text in [*evaluation.texts_of(host).items(), ("options", host["options"])]
    }


class Changes(unittest.TestCase):
    maxDiff = None

    def test_one_address_changes_every_text_that_depends_on_it_and_nothing_else(self):
        lab = evaluation.site_file("lab")
        before = texts(test_hosts.evaluated("lab"))
        for what, old, new in ADDRESSES:
            with self.subTest(f"{what}: {old} becomes {new}"), tempfile.TemporaryDirectory() as folder:
                said = lab.read_text()
                self.assertEqual(1, len(token(old).findall(said)), "the site file says it once")
                self.assertEqual([], token(new).findall(said), "nobody has the new one")
                site = pathlib.Path(folder) / "site.toml"
                site.write_text(token(old).sub(new, said))
                found = evaluation.evaluate(site)
                self.assertEqual({}, found.errors)
                after = texts(found)

                depend = {where for where, text in before.items() if token(old).search(text)}
                self.assertNotEqual(set(), depend, "some text depends on it")
                self.assertEqual(set(before), set(after), "the same files")
                # Lines may be in another order where they are sorted by address.
                wanted = {where: sorted(token(old).sub(new, text).splitlines()) for where, text in before.items()}
                wrong = {where: "\n".join(sorted(set(text.splitlines()) ^ set(wanted[where]))) for where, text in after.items() if sorted(text.splitlines()) != wanted[where]}
                self.assertEqual({}, wrong)
                print(f"          {what}: {len(depend)} of {len(before)} texts on {len({host for host, _ in depend})} hosts")

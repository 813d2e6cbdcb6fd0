"""Hosts of the sites, evaluated with stubs of NixOS' options."""

import difflib
import functools
import unittest

import evaluation
import golden


@functools.cache
def evaluated(site):
    """A site, evaluated once for all tests."""
    found = evaluation.evaluate(evaluation.site_file(site))
    print(f"          {site}: {len(found.hosts)} hosts in {found.seconds:.1f} s, at most {found.memory / 1e6:.0f} MB a process")
    return found


def site_names():
    """The sites of the project."""
    return sorted(folder.name for folder in evaluation.HOSTS.iterdir() if (folder / "site.toml").exists())


class Modules(unittest.TestCase):
    def test_each_module_alone_with_nothing_enabled_changes_nothing(self):
        try:
            changed = evaluation.call(evaluation.HERE / "alone.nix")
        except evaluation.NixError:
            changed = {}
            for module in sorted((evaluation.ROOT / "modules").glob("*/*.nix")):
                with self.subTest(str(module.relative_to(evaluation.ROOT))):
                    changed |= evaluation.call(evaluation.HERE / "alone.nix", only=str(module))
        self.assertGreater(len(changed), 5)
        self.assertEqual({}, {name: options for name, options in changed.items() if options})


class Sites(unittest.TestCase):
    def test_every_host_of_every_site_evaluates_without_a_failed_assertion(self):
        for site in site_names():
            with self.subTest(site):
                found = evaluated(site)
                self.assertEqual({}, found.errors)
                self.assertEqual(evaluation.host_names(evaluation.site_file(site)), sorted(found.hosts))
                failed = {name: host["failedAssertions"] for name, host in found.hosts.items() if host["failedAssertions"]}
                self.assertEqual({}, failed)

    def test_no_host_warns(self):
        for site in site_names():
            with self.subTest(site):
                warned = {name: host["warnings"] for name, host in evaluated(site).hosts.items() if host["warnings"]}
                self.assertEqual({}, warned)

    def test_every_host_of_the_small_sites_is_as_its_golden_file_says(self):
        for site in golden.SITES:
            found = evaluated(site)
            files = {file.stem for file in (golden.FOLDER / site).glob("*.txt")}
            with self.subTest(site):
                self.assertEqual(files, set(found.hosts) | set(found.errors), "tests/nix/run --golden")
            for name, host in sorted(found.hosts.items()):
                with self.subTest(f"{site}/{name}"):
                    file = golden.path(site, name)
                    wanted = file.read_text() if file.exists() else ""
                    difference = difflib.unified_diff(
                        wanted.splitlines(), evaluation.as_text(host).splitlines(), str(file.relative_to(evaluation.ROOT)), "now", lineterm="", n=2
                    )
                    self.assertEqual("", "\n".join(list(difference)[:80]))

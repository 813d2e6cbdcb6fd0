"""NixOS tests: their machines by stub evaluation, their scripts compiled and played dry."""

import pathlib
import tempfile
import unittest
import warnings

import driver
import evaluation

HERE = pathlib.Path(__file__).resolve().parent
FILES = sorted(HERE.glob("*.nix"))
README = (HERE / "README.md").read_text()


def evaluated(file):
    """The test of a file, evaluated once."""
    if file not in evaluated.known:
        evaluated.known[file] = evaluation.call(HERE / "lab/evaluate.nix", test=file)
    return evaluated.known[file]


evaluated.known = {}


class Tests(unittest.TestCase):
    maxDiff = None


def machines(file):
    def test(self):
        for name, machine in evaluated(file)["nodes"].items():
            with self.subTest(machine=name):
                self.assertEqual([], machine["failedAssertions"])
                self.assertEqual([], machine["warnings"])
                # Each wired interface of the host has its cable, and no cable leads nowhere.
                if machine["host"]:
                    self.assertEqual(name, machine["host"])
                    bonded = [cable for cable in machine["wires"] if cable.startswith("eno")]
                    missing = [i for i in machine["interfaces"] if not i.startswith(("bond", "br-")) and i not in machine["wires"]]
                    self.assertTrue(not missing or bonded, missing)

    return test


def script(file):
    def test(self):
        found = evaluated(file)
        with tempfile.TemporaryDirectory(prefix="chasqui-vm-") as folder, warnings.catch_warnings():
            warnings.simplefilter("error")
            path = pathlib.Path(folder) / f"{found['name']}.py"
            path.write_text(found["testScript"])
            code = compile(path.read_text(), str(path), "exec")
            calls = driver.play(code, list(found["nodes"]))
        self.assertGreater(calls, 5)

    return test


def named(file):
    def test(self):
        self.assertIn(f"`{file.name}`", README)

    return test


for file in FILES:
    word = file.stem.replace("-", "_")
    setattr(Tests, f"test_the_machines_of_{word}_evaluate_without_a_failed_assertion", machines(file))
    setattr(Tests, f"test_the_script_of_{word}_compiles_and_runs_dry", script(file))
    setattr(Tests, f"test_the_readme_names_{word}", named(file))

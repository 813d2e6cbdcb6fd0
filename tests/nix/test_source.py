"""The Nix files as they stand."""

import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import evaluation
import tools


class Files(unittest.TestCase):
    maxDiff = None

    def test_every_nix_file_parses(self):
        def parse(file):
            try:
                evaluation.nix("--parse", file, program="nix-instantiate")
                return None
            except evaluation.NixError as error:
                return f"{file}: {error}"

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            wrong = [error for error in pool.map(parse, tools.nix_files()) if error]
        self.assertEqual([], wrong)

    def test_no_nix_file_has_dead_code(self):
        done = subprocess.run(
            [tools.tool("deadnix"), "--fail", "--no-lambda-pattern-names", "--output-format", "json", *tools.nix_files()],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual("", done.stdout.strip() + done.stderr.strip())

    def test_every_nix_file_is_formatted(self):
        done = subprocess.run([tools.tool("nixfmt"), "--check", *tools.nix_files()], capture_output=True, text=True, check=False)
        self.assertEqual(0, done.returncode, f"tests/nix/run --format mends these:\n{done.stdout}{done.stderr}")

    def test_no_module_says_with(self):
        said = [
            f"{file.relative_to(evaluation.ROOT)}:{number}"
            for file in tools.nix_files()
            for number, line in enumerate(file.read_text().splitlines(), 1)
            if re.match(r"^[^#\"']*\bwith (lib|pkgs|builtins|types)\b.*;", line)
        ]
        self.assertEqual([], said)


class Flake(unittest.TestCase):
    def test_flake_check_passes_with_the_stand_in_for_nixpkgs(self):
        if not (evaluation.ROOT / "flake.nix").exists():
            self.skipTest("there is no flake.nix")
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            stand_in = scratch / "nixpkgs"
            shutil.copytree(evaluation.HERE / "kit", stand_in)
            shutil.copy(stand_in / "stub-nixpkgs" / "flake.nix", stand_in / "flake.nix")
            for folder in ["modules", "hosts"]:
                shutil.copytree(evaluation.ROOT / folder, stand_in / "sources" / folder)
            # A copy of what Git knows, so that neither the target folder nor a half-written file is copied into the store.
            project = scratch / "project"
            for file in subprocess.run(
                ["git", "ls-files", "flake.nix", "flake.lock", "modules", "hosts", "crates", "tests/vm", "Cargo.*", "docs", "nix"],
                cwd=evaluation.ROOT,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.splitlines():
                if (evaluation.ROOT / file).is_file():
                    (project / file).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(evaluation.ROOT / file, project / file)
            evaluation.nix(
                *("flake", "check", "--no-build", "--offline", "--no-write-lock-file"),
                *("--override-input", "nixpkgs", f"path:{stand_in}", f"path:{project}"),
            )

"""The Nix files as they stand."""

import concurrent.futures
import json
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
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="chasqui-flake-")
        self.addCleanup(folder.cleanup)
        self.scratch = pathlib.Path(folder.name)
        # A copy of what Git knows, so that the target folder is not copied into the store.
        for file in tools.project_files():
            copy = self.scratch / "project" / file.relative_to(evaluation.ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)

    def flake(self, verb, nixpkgs, what="", *options):
        """Asks the flake, with another nixpkgs than the locked one."""
        return evaluation.nix(
            *("flake", "check") if verb == "check" else (verb,),
            *("--offline", "--no-write-lock-file", "--override-input", "nixpkgs", f"path:{nixpkgs}"),
            *options,
            f"path:{self.scratch / 'project'}{what}",
            timeout=3000,
        )

    def test_flake_check_passes_with_the_stand_in_for_nixpkgs(self):
        stand_in = self.scratch / "nixpkgs"
        shutil.copytree(evaluation.HERE / "kit", stand_in)
        shutil.copy(stand_in / "stub-nixpkgs" / "flake.nix", stand_in / "flake.nix")
        for folder in ["modules", "hosts"]:
            shutil.copytree(evaluation.ROOT / folder, stand_in / "sources" / folder)
        self.flake("check", stand_in, "", "--no-build")

    def test_every_host_evaluates_in_full_with_nixpkgs(self):
        if not evaluation.NIXPKGS or not (evaluation.NIXPKGS / "nixos").is_dir():
            self.skipTest("NIXPKGS names no checkout of nixpkgs, so NixOS' own modules are not evaluated")
        hosts = self.flake("eval", evaluation.NIXPKGS, "#nixosConfigurations", "--json", "--apply", "builtins.attrNames")
        for host in json.loads(hosts):
            with self.subTest(host):
                self.flake("eval", evaluation.NIXPKGS, f"#nixosConfigurations.{host}.config.system.build.toplevel.drvPath", "--raw")
        self.flake("check", evaluation.NIXPKGS, "", "--no-build")

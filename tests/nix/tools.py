"""Programs that judge Nix files; built once with Cargo into a folder of their own."""

import os
import shutil
import subprocess

import evaluation

VERSIONS = {"deadnix": ("deadnix", "1.3.1"), "nixfmt": ("nixfmt_rs", "0.5.3")}


def project_files(*patterns):
    """The files of the project, those that Git ignores left out."""
    listed = subprocess.run(
        # Whoever owns the folder: continuous integration is often another.
        ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=evaluation.ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [evaluation.ROOT / file for file in sorted(listed) if (evaluation.ROOT / file).is_file()]


def nix_files():
    """Every Nix file of the project."""
    return project_files("*.nix")


def tool(name):
    """The path of a program, built if need be (a minute)."""
    crate, version = VERSIONS[name]
    root = evaluation.TARGET / "tools" / f"{crate}-{version}"
    binary = root / "bin" / name
    if not binary.exists():
        environment = os.environ | {
            "CARGO_TARGET_DIR": str(root / "build"),
            "CARGO_PROFILE_RELEASE_LTO": "off",
            "CARGO_PROFILE_RELEASE_OPT_LEVEL": "1",
        }
        subprocess.run(
            ["cargo", "install", "--quiet", "--locked", "--root", root, "--version", version, crate], env=environment, check=True
        )
        shutil.rmtree(root / "build", ignore_errors=True)
    return binary


def format_all():
    """Formats every Nix file."""
    return subprocess.run([tool("nixfmt"), *nix_files()], check=False).returncode

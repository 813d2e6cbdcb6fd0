"""The reference page of the modules' options, written from the options themselves."""

import itertools
import re

import evaluation

PAGE = evaluation.ROOT / "docs" / "reference" / "nixos-options.md"

INTRODUCTION = """# Options of the NixOS modules

<!-- Written by `tests/nix/run --reference` from the modules; a test fails while they differ. -->

Most hosts of a site need none of them: [the site file](site.md) gives each its default. They are for what a site file cannot say, and for hosts without
one. `chasqui.X` is a part of the platform, `services.chasqui.X` a role of the binary.
"""


def group(name):
    """The heading that an option stands under."""
    parts = name.split(".")
    return ".".join(parts[:3] if parts[0] == "services" else parts[:2])


def cell(text):
    """A text as a cell of a table."""
    text = re.sub(r'"/nix/store/0{32}-([^"]*)"', r"pkgs.\1", text)
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def page():
    """The page's text."""
    options = sorted(evaluation.call(evaluation.HERE / "options.nix"), key=lambda option: (group(option["name"]), option["name"]))
    parts = [INTRODUCTION]
    for heading, members in itertools.groupby(options, key=lambda option: group(option["name"])):
        parts.append(f"\n## {heading}\n\n| option | type | default | |\n| --- | --- | --- | --- |\n")
        for option in members:
            name = option["name"].removeprefix(heading).lstrip(".") or heading.rsplit(".", 1)[1]
            default = "" if option["default"] is None else cell(option["default"])
            parts.append(f"| `{name}` | {cell(option['type'])} | {default} | {cell(option['description'])} |\n")
    return "".join(parts)


def write():
    """Writes the page."""
    PAGE.write_text(page())
    print(PAGE.relative_to(evaluation.ROOT))
    return 0

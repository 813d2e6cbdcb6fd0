"""Evaluates hosts of a site with Nix, and puts what they would have on disk into a folder or a text."""

import concurrent.futures
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
HOSTS = ROOT / "hosts"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()
PREFIX = pathlib.Path(os.environ.get("CHASQUI_NIX_FOLDER") or TARGET / "nix")
# A checkout of nixpkgs, if there is one: its `lib` instead of the stand-in, and every host in full.
NIXPKGS = pathlib.Path(os.environ["NIXPKGS"]).resolve() if os.environ.get("NIXPKGS") else None
# A generated file, as a text mentions it; fake packages have a hash of zeros and lie nowhere.
STORE_PATH = re.compile(r"/nix/store/([0-9a-df-np-sv-z]{32}-[A-Za-z0-9+._?=-]*[A-Za-z0-9+_?=-])")
FAKE = "00000000000000000000000000000000-"


class NixError(Exception):
    """Nix refused; the text is what it said."""


def prepare():
    """Fetches Nix into its private folder, once."""
    subprocess.run([HERE / "get-nix.sh", PREFIX], check=True, stdout=subprocess.DEVNULL)


def last_error(said):
    """The error itself, without the way to it."""
    parts = re.split(r"^\s*error: ", said, flags=re.MULTILINE)
    return parts[-1].strip() if os.environ.get("CHASQUI_NIX_TRACE") is None else said.strip()


def nix(*arguments, program="nix", timeout=600):
    """Runs Nix and gives what it printed."""
    done = subprocess.run(
        [PREFIX / "bin" / program, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, check=False
    )
    if done.returncode != 0:
        raise NixError(last_error(done.stderr))
    return done.stdout


def expression(value):
    """A value of Python as a Nix expression; paths stay paths."""
    if isinstance(value, pathlib.Path):
        return str(value)
    if isinstance(value, dict):
        return "{ " + "".join(f"{json.dumps(name)} = {expression(inner)}; " for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[ " + "".join(f"({expression(inner)}) " for inner in value) + "]"
    if isinstance(value, str):
        return json.dumps(value).replace("${", "\\${")
    return json.dumps(value)


def call(function, timeout=600, **arguments):
    """Calls the function in a Nix file and gives its value."""
    if NIXPKGS:
        arguments["library"] = NIXPKGS / "lib"
    return json.loads(nix("eval", "--json", "--impure", "--expr", f"import {function} {expression(arguments)}", timeout=timeout))


def site_file(name):
    """`lab`, or the path of a site file."""
    path = HOSTS / name / "site.toml"
    return path if path.exists() else pathlib.Path(name).resolve()


def host_names(site):
    """The hosts of a site file."""
    import tomllib

    return sorted(tomllib.loads(pathlib.Path(site).read_text())["hosts"])


class Evaluation:
    """What hosts of a site evaluated to, by host; `errors` of those that Nix refused; how long it took and the most memory."""

    def __init__(self):
        self.hosts = {}
        self.errors = {}
        self.seconds = 0.0
        self.memory = 0


def evaluate(site, hosts=None, modules=(), jobs=2, chunk=25):
    """Evaluates hosts of a site file, several in each Nix process. One that Nix refuses is evaluated again by itself, for its error."""
    prepare()
    result = Evaluation()
    names = hosts or host_names(site)
    size = min(chunk, -(-len(names) // jobs))
    chunks = [names[begin : begin + size] for begin in range(0, len(names), size)]
    begun = time.monotonic()

    def some(group):
        try:
            return call(HERE / "evaluate.nix", site=pathlib.Path(site), hosts=group, modules=list(modules)), {}
        except NixError as error:
            if len(group) == 1:
                return {}, {group[0]: str(error)}
        found, errors = {}, {}
        for name in group:
            more, wrong = some([name])
            found |= more
            errors |= wrong
        return found, errors

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for found, errors in pool.map(some, chunks):
            result.hosts |= found
            result.errors |= errors
    result.seconds = time.monotonic() - begun
    result.memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return result


def stored(path):
    """Where a file of Nix' store really lies."""
    return PREFIX / "root" / path.lstrip("/")


def generated(texts):
    """The generated files that texts mention, and those that these mention, by their path in the store."""
    found = {}
    waiting = list(texts)
    while waiting:
        for match in STORE_PATH.finditer(waiting.pop()):
            path = match.group(0)
            real = stored(path)
            if path in found or match.group(1).startswith(FAKE) or not real.is_file():
                continue
            try:
                found[path] = real.read_text()
            except UnicodeDecodeError:
                continue
            waiting.append(found[path])
    return found


def texts_of(host):
    """Every text that a host would have: path to text. A file of /etc that is a generated one has that one's text."""
    texts, links = {}, {}
    for path, value in host["files"].items():
        if isinstance(value, str):
            texts["/" + path] = value
        else:
            links["/" + path] = str(value["link"])
    found = generated([*texts.values(), *links.values(), host["options"]])
    for path, link in links.items():
        texts[path] = found.get(link, f"{link}\n")
    # A generated file that is only in /etc, under a better name, need not stand twice.
    inside = {match.group(0) for text in [*texts.values(), *found.values(), host["options"]] for match in STORE_PATH.finditer(text)}
    return texts | {path: text for path, text in found.items() if path in inside}


def plain(text):
    """A text without the hashes of the store, which change with every change of what they stand for."""
    return STORE_PATH.sub(lambda match: "/nix/store/" + match.group(1)[33:], text)


DEFAULT_PATH = {f"/nix/store/{name}/bin" for name in ["coreutils", "findutils", "gnugrep", "gnused", "systemd"]}


def own_path(match):
    """A unit's PATH without the folders that every unit of NixOS has, and without `sbin`."""
    own = [folder for folder in match.group(1).split(":") if folder.endswith("/bin") and folder not in DEFAULT_PATH]
    return f'Environment="PATH={":".join(own)}"\n' if own else ""


def as_text(host):
    """A host as one text that a person can read."""
    parts = []
    texts = {plain(path): text for path, text in sorted(texts_of(host).items())}
    for path, text in sorted(texts.items()):
        text = re.sub(r'^Environment="PATH=(.*)"\n', own_path, plain(text), flags=re.MULTILINE)
        parts.append(f"===== {path}\n{text.rstrip()}\n")
    parts.append("===== options that no file above says\n" + plain(host["options"]).rstrip() + "\n")
    for entry in host["failedAssertions"]:
        parts.append(f"===== failed assertion\n{entry['message']}\n")
    for warning in host["warnings"]:
        parts.append(f"===== warning\n{warning}\n")
    return "\n".join(parts)


def materialise(host, folder):
    """Writes a host's files below a folder, as they would lie on the host."""
    folder = pathlib.Path(folder)
    for path, text in texts_of(host).items():
        file = folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "options").write_text(host["options"])


def materialise_site(evaluation, folder):
    """Writes the hosts of an evaluation, each into a folder of its name."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, host in evaluation.hosts.items():
        materialise(host, pathlib.Path(folder) / name)

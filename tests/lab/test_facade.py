"""The façade of hosts/lab at work (E4): keepalived and IPVS with the texts that Nix makes, in a guest whose kernel has IPVS."""

import pathlib
import re
import shutil
import tempfile
import unittest

import uml

ROOT = uml.HERE.parents[1]
HOSTS = ("facade1", "facade2", "service1", "service2")
# So that the test need not wait long for what the balancers find out.
QUICK = "{ chasqui.facade.check = { interval = 2; timeout = 3; retries = 1; }; }\n"


class Facade(unittest.TestCase):
    def test_balancers_watch_their_servers_weigh_them_drain_them_and_stand_in_for_each_other(self):
        uml.need()
        work = pathlib.Path(tempfile.mkdtemp(prefix="chasqui-facade-"))
        self.addCleanup(shutil.rmtree, work, ignore_errors=True)
        # Few ports, because every check of each is a process, and a guest has one slow core.
        site = (ROOT / "hosts/lab/site.toml").read_text().replace("tcp = [143, 993, 110, 995]", "tcp = [143]")
        site = re.sub(r"\[publish\.web\].*?(?=\n\[)", "", site, flags=re.DOTALL)
        (work / "site.toml").write_text(site)
        for host in HOSTS[:2]:
            (work / f"{host}.nix").write_text(QUICK)
        uml.call(ROOT / "tests/nix/eval", work / "site.toml", *HOSTS, "--out", work / "hosts")
        lab = uml.Lab(work, ["service"])
        self.addCleanup(lab.close)
        guest = lab.guest("lab")
        shutil.copytree(work / "hosts", guest.folder / "hosts")
        shutil.copytree(ROOT / "modules/platform", guest.folder / "programs")
        for file in ("names.py", "balancing.py"):
            shutil.copy(uml.HERE / file, guest.folder)
        status, said = guest.run("cd /lab && python3 -B balancing.py /lab", ok=False, seconds=300)
        print("".join(f"          {line}\n" for line in said.splitlines()), end="")
        self.assertEqual(0, status, said)

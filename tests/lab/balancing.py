"""What two balancers and two servers do with the texts that Nix made for them (E4). Run inside a guest, by test_facade.py.

The guest's kernel has IPVS. Each host is a namespace in it; the client asks from the same wire. `balancing.py FOLDER` has the hosts'
files in FOLDER/hosts and the project's scripts in FOLDER/programs.
"""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import traceback

import names
from names import call, eventually

FOLDER = pathlib.Path(sys.argv[1])
FACADE = "10.20.1.10"
WIRE = "service"
SPEAKS = {25: "220 {} ESMTP", 110: "+OK {}", 143: "* OK {}"}
# A guest on a busy machine is not always prompt.
WHOLE, SLOW, NONE = (30, 100), (10, 25), (0, 0)
SHARE = pathlib.Path("/usr/local/sbin/chasqui-facade-share")


class Server:
    """A server behind the façade, which greets as the port's protocol does, after a while."""

    def __init__(self, lab, name, address):
        self.name, self.delay, self.alive = name, 0.0, True
        self.host = lab.host(name, {"eth0": (WIRE, [f"{address}/24"])}, gateway="10.20.1.1")
        folder = FOLDER / "hosts" / name / "etc"
        self.host.ip("link", "add", "facade0", "type", "dummy")
        self.host.ip("link", "set", "facade0", "up")
        for held in re.findall(r"^Address=(\S+)", (folder / "systemd/network/30-facade0.network").read_text(), re.MULTILINE):
            self.host.ip("address", "add", held, "dev", "facade0")
        for line in (folder / "sysctl.d/60-nixos.conf").read_text().splitlines():
            self.host.run("sysctl", "-qew", line.strip(), ok=False)
        self.listeners = {}
        for port in (25, 110, 143, 993, 995):
            self.listen(port)

    def listen(self, port):
        listener = self.host.inside(lambda: socket.create_server(("0.0.0.0", port)))
        self.listeners[port] = listener
        threading.Thread(target=self._accept, args=(listener, port), daemon=True).start()

    def _accept(self, listener, port):
        while True:
            try:
                client, peer = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._speak, args=(client, peer[0], port), daemon=True).start()

    def _speak(self, client, peer, port):
        try:
            with client, client.makefile("rwb", buffering=0) as stream:
                if port in SPEAKS:
                    time.sleep(self.delay)
                    stream.write(SPEAKS[port].format(self.name).encode() + b"\r\n")
                for _ in stream:
                    stream.write(f"250 {self.name} {peer} {client.getsockname()[0]}\r\n".encode())
        except OSError:
            return

    def die(self, port):
        """Nobody listens on a port any more. The thread in accept(2) keeps the socket until something wakes it."""
        listener = self.listeners.pop(port)
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


class Balancer:
    """A balancer: keepalived with its generated text."""

    def __init__(self, lab, name, address):
        self.name = name
        self.host = lab.host(name, {"eth0": (WIRE, [f"{address}/24"])}, gateway="10.20.1.1")
        folder = FOLDER / "hosts" / name / "etc"
        for line in (folder / "sysctl.d/60-nixos.conf").read_text().splitlines():
            self.host.run("sysctl", "-qew", line.strip(), ok=False)
        text = (folder / "keepalived/keepalived.conf").read_text().replace("${VRRP_PASSWORD}", "aSecret8")
        text = re.sub(r"/nix/store/\S+/chasqui-facade-share", str(SHARE), text)
        config = pathlib.Path(f"/tmp/{name}.conf")
        config.write_text(text)
        config.chmod(0o600)
        self.environment = os.environ | {"CHASQUI_FACADE": f"/tmp/{name}", "CHASQUI_FACADE_SERVERS": str(folder / "chasqui/facade-servers")}
        for folder in ("drain", "times"):
            pathlib.Path(f"/tmp/{name}/{folder}").mkdir(parents=True)
        shutil.chown(f"/tmp/{name}/times", "keepalived_script")
        self.log = pathlib.Path(f"/tmp/{name}.log")
        self.process = self.host.start(
            "keepalived", "--dont-fork", "--log-console", "-f", config, "-p", "/run/k", "-r", "/run/v", "-c", "/run/c", log=self.log, env=self.environment
        )

    def holds(self, address):
        return f" {address}/" in self.host.ip("address", "show", "dev", "eth0")

    def weight(self, server, port=25):
        """The weight of a server in the kernel's table, -1 if it is not there."""
        current = ""
        for words in map(str.split, self.host.run("ipvsadm", "-Ln").splitlines()):
            if words[0] == "TCP":
                current = words[1]
            elif words[0] == "->" and current.endswith(f":{port}") and words[1] == f"{server}:{port}":
                return int(words[3])
        return -1

    def drain(self, server, word):
        return self.host.run("bash", FOLDER / "programs/facade-drain.sh", server, word, env=self.environment)


class Scenario:
    def __init__(self):
        for module in ("dummy", "ip_vs", "ip_vs_wlc", "bridge", "veth"):
            subprocess.run(["modprobe", module], check=False)
        call("useradd", "--system", "keepalived_script")
        SHARE.write_text("#!/bin/bash\n" + (FOLDER / "programs/facade-share.sh").read_text())
        SHARE.chmod(0o755)
        self.lab = names.Lab([WIRE])
        self.client = self.lab.host("client", {"eth0": (WIRE, ["10.20.1.200/24"])})
        self.servers = {"service1": Server(self.lab, "service1", "10.20.1.41"), "service2": Server(self.lab, "service2", "10.20.1.42")}
        self.first = Balancer(self.lab, "facade1", "10.20.1.31")
        self.second = Balancer(self.lab, "facade2", "10.20.1.32")

    def talk(self, port=25):
        """A connection through the façade, past the greeting, and the server that it has."""
        talk = self.client.connect(FACADE, port, seconds=10)
        talk.stream.readline()
        return talk, talk.ask().split(" ")[1]

    def spread(self, count=10):
        """Which servers a number of connections get while all of them are open."""
        talks = [self.talk() for _ in range(count)]
        for talk, _ in talks:
            talk.close()
        return {server for _, server in talks}

    def weights(self, wanted, port=25):
        """Whether the active balancer's weights of both servers are as wanted."""
        return all(low <= self.first.weight(address, port) <= high for address, (low, high) in zip(("10.20.1.41", "10.20.1.42"), wanted, strict=True))

    def the_first_balancer_holds_the_facade_address_and_finds_both_servers(self):
        eventually("facade1 holds the address", lambda: self.first.holds(FACADE), 40)
        eventually("both servers have their full share", lambda: self.weights([WHOLE, WHOLE]), 60)

    def both_servers_get_connections_and_see_the_client_and_the_facade_address(self):
        talk, server = self.talk()
        assert talk.ask() == f"250 {server} 10.20.1.200 {FACADE}", talk.ask()
        talk.close()
        assert self.spread() == {"service1", "service2"}, self.spread()

    def no_server_tells_neighbours_of_the_address(self):
        self.client.ip("neighbour", "flush", "dev", "eth0")
        self.talk()[0].close()
        card = re.search(r"link/ether (\S+)", self.first.host.ip("link", "show", "eth0"))[1]
        assert card in self.client.ip("neighbour", "show", FACADE), self.client.ip("neighbour", "show")

    def a_slow_server_gets_a_smaller_share_until_it_is_quick_again(self):
        self.servers["service2"].delay = 1.5
        eventually("the share of service2 falls", lambda: self.weights([WHOLE, SLOW]), 40)
        self.servers["service2"].delay = 0.0
        eventually("the share of service2 is whole again", lambda: self.weights([WHOLE, WHOLE]), 60)

    def a_drained_server_keeps_its_connections_and_gets_no_new_ones(self):
        old = {}
        while len(old) < 2:
            talk, server = self.talk()
            old.setdefault(server, talk)
        self.first.drain("service1", "on")
        eventually("the share of service1 is nothing", lambda: self.weights([NONE, WHOLE]), 40)
        assert self.spread() == {"service2"}, self.spread()
        assert old["service1"].ask().startswith("250 service1 "), "an old connection broke"
        said = self.first.drain("service1", "status")
        assert re.search(r"service1: drained(.|\n)*10\.20\.1\.41:25: weight 0, [1-9]\d* connections", said), said
        self.first.drain("service1", "off")
        eventually("service1 is back", lambda: self.weights([WHOLE, WHOLE]), 60)
        assert self.spread() == {"service1", "service2"}, self.spread()
        for talk in old.values():
            talk.close()

    def a_server_that_fails_gets_no_new_connections(self):
        self.servers["service2"].die(25)
        eventually("service2 has no share of port 25", lambda: self.weights([WHOLE, NONE]), 40)
        assert self.spread() == {"service1"}, self.spread()
        eventually("the other ports of service2 have their share", lambda: self.weights([WHOLE, WHOLE], port=143), 60)
        self.servers["service2"].listen(25)
        eventually("service2 has its share again", lambda: self.weights([WHOLE, WHOLE]), 60)

    def when_a_balancer_dies_the_other_has_its_connections(self):
        talks = [self.talk() for _ in range(4)]
        # A balancer tells of a connection after its third packet.
        for _ in range(3):
            for talk, _ in talks:
                talk.ask()
        clients = {f"10.20.1.200:{talk.client.getsockname()[1]}" for talk, _ in talks}
        eventually("facade2 has heard of the connections", lambda: clients <= set(self.second.host.run("ipvsadm", "-Lnc").split()), 30)
        self.first.host.cut("eth0")
        eventually("facade2 holds the address", lambda: self.second.holds(FACADE), 30)
        for talk, server in talks:
            talk.client.settimeout(20)
            assert talk.ask().startswith(f"250 {server} "), "a connection went on, to the same server"
        assert self.spread() <= {"service1", "service2"}


def main():
    scenario = Scenario()
    try:
        for name in [name for name in vars(Scenario) if name.startswith(("the_", "both_", "no_", "a_", "when_"))]:
            began = time.monotonic()
            getattr(scenario, name)()
            print(f"{time.monotonic() - began:6.2f} s  {name.replace('_', ' ')}", flush=True)
    except Exception:  # noqa: BLE001  the test outside shows it
        traceback.print_exc()
        for balancer in (scenario.first, scenario.second):
            print(f"--- {balancer.name}\n{balancer.log.read_text()[-3000:]}\n{balancer.host.run('ipvsadm', '-Ln')}")
        return 1
    finally:
        scenario.lab.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

# The façade (E4): connections are shared; a drained server gets no new ones and keeps those that it has; a dead server is left out; the
# second balancer takes over and connections live on.
let
  host = name: import ./lab/host.nix { host = name; };
in
{
  name = "chasqui-lvs-drain";

  nodes = {
    facade1 = host "facade1";
    facade2 = host "facade2";
    service1 = host "service1";
    service2 = host "service2";
    storage1.imports = [
      (host "storage1")
      ./lab/local-mail.nix
    ];
    # It stands where the site's routers are, and clients behind it.
    world = import ./lab/world.nix {
      interfaces.eth1 = {
        vlan = 3;
        addresses = [ "10.20.1.1/24" ];
      };
    };
  };

  testScript = builtins.readFile ./lab/prelude.py + ''

    start_all()
    for facade in facade1, facade2:
        facade.wait_for_unit("keepalived.service")
    for service in service1, service2:
        service.wait_for_unit("chasqui-mx.service")
        service.wait_for_unit("chasqui-proxy.service")
    fill(service1, ["storage1"])

    smtp = "10.20.1.10"
    greeting = f"swaks --server {smtp} --quit-after BANNER --timeout 5"
    # How many connections a server was given since its counters were cleared.
    given = "ipvsadm -L -n --stats | awk '/-> 10.20.1.{}:25 / {{ n += $3 }} END {{ exit !(n {} 0) }}'"

    with subtest("connections are shared between the servers"):
        world.wait_until_succeeds(greeting, timeout=60)
        facade1.succeed("ipvsadm -Z")
        for _ in range(20):
            world.succeed(greeting)
        for last in (41, 42):
            facade1.succeed(given.format(last, ">"))

    with subtest("a drained server gets no new connection and keeps the one that it has"):
        held = f"import socket, time; s = socket.create_connection((\"{smtp}\", 25)); s.recv(100); print(\"held\", flush=True)"
        more = "\nwhile True: s.sendall(b\"NOOP\\r\\n\"); assert s.recv(100).startswith(b\"250\"); print(\"alive\", flush=True); time.sleep(2)"
        world.succeed(f"printf '%s' '{held}{more}' > /tmp/hold.py; systemd-run --unit hold python3 /tmp/hold.py")
        world.wait_until_succeeds("journalctl -u hold | grep -q held", timeout=20)
        for facade in facade1, facade2:
            facade.succeed("chasqui-facade-drain service1 on")
        facade1.wait_until_succeeds("ipvsadm -L -n | grep -E '10.20.1.41:25 +Route +0 '", timeout=30)
        facade1.succeed("ipvsadm -Z")
        for _ in range(10):
            world.succeed(greeting)
        facade1.succeed(given.format(41, "=="))
        world.succeed("systemctl is-active hold")

    with subtest("it is in service again"):
        for facade in facade1, facade2:
            facade.succeed("chasqui-facade-drain service1 off")
        facade1.wait_until_fails("ipvsadm -L -n | grep -E '10.20.1.41:25 +Route +0 '", timeout=30)

    with subtest("a dead server is left out without an error that a user sees for long"):
        service2.crash()
        facade1.wait_until_succeeds("ipvsadm -L -n | grep -E '10.20.1.42:25 +Route +0 '", timeout=60)
        for _ in range(10):
            world.succeed(greeting)

    with subtest("the second balancer takes over"):
        facade1.crash()
        facade2.wait_until_succeeds("ip -brief address show | grep -q ' 10.20.1.10/'", timeout=15)
        world.wait_until_succeeds(greeting, timeout=15)
  '';
}

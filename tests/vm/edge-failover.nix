# The edge pair (E2, E3): what the internet reaches goes on when the active firewall and router is lost, and nothing else is reached.
let
  host = name: import ./lab/host.nix { host = name; };
in
{
  name = "chasqui-edge-failover";

  nodes = {
    edge1 = host "edge1";
    edge2 = host "edge2";
    # Behind the edge: it has the façade's addresses.
    service1 =
      { ... }:
      {
        imports = [ (host "service1") ];
        systemd.network.networks."20-eth0".address = [
          "10.20.1.10/24"
          "10.20.1.11/24"
        ];
      };
    # The provider's side.
    world = import ./lab/world.nix {
      interfaces.eth1 = {
        vlan = 1;
        addresses = [
          "192.0.2.249/29"
          "198.51.100.200/32"
        ];
      };
      routes = {
        "192.0.2.0/27" = "192.0.2.250";
        "198.51.100.0/27" = "192.0.2.250";
        "203.0.113.0/27" = "192.0.2.250";
      };
    };
  };

  testScript = ''
    start_all()
    for edge in edge1, edge2:
        edge.wait_for_unit("keepalived.service")
        edge.wait_for_unit("nftables.service")
    service1.wait_for_unit("chasqui-mx.service")

    greeting = "swaks --server {} --quit-after BANNER --timeout 5"
    holds = "ip -brief address show | grep -q ' 192.0.2.250/'"

    with subtest("the first of the pair holds the addresses"):
        edge1.wait_until_succeeds(holds, timeout=30)
        edge2.fail(holds)

    with subtest("each of the three public addresses of the exchangers is reached"):
        for address in ("192.0.2.10", "198.51.100.10", "203.0.113.10"):
            world.wait_until_succeeds(greeting.format(address), timeout=60)

    with subtest("what is not published is not reached"):
        for address, port in (("192.0.2.10", 22), ("192.0.2.251", 22), ("192.0.2.252", 22), ("192.0.2.10", 1701)):
            world.fail(f"timeout 5 nc -z {address} {port}")

    with subtest("the VPN's port is closed to whoever has not knocked"):
        edge1.succeed("ss -lun | grep -q :51820")
        edge1.succeed("nft list ruleset | grep -q 51820")

    with subtest("the second one takes over within seconds"):
        edge1.crash()
        edge2.wait_until_succeeds(holds, timeout=15)
        world.wait_until_succeeds(greeting.format("192.0.2.10"), timeout=15)

    with subtest("the first one comes back without taking what works"):
        edge1.start()
        edge1.wait_for_unit("keepalived.service")
        edge1.sleep(10)
        edge1.fail(holds)
        world.succeed(greeting.format("203.0.113.10"))
  '';
}

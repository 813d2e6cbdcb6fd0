# Mail from the internet to mailboxes on two storage nodes, and from there to people, over the lab's own hosts (S5, S7–S9, E19).
let
  host = name: import ./lab/host.nix { host = name; };
in
{
  name = "chasqui-mail-path";

  nodes = {
    service1 = host "service1";
    service2 = host "service2";
    storage1.imports = [
      (host "storage1")
      ./lab/local-mail.nix
    ];
    storage2.imports = [
      (host "storage2")
      ./lab/local-mail.nix
    ];
    # It stands where the site's routers are.
    world = import ./lab/world.nix {
      interfaces.eth1 = {
        vlan = 3;
        addresses = [ "10.20.1.1/24" ];
      };
    };
  };

  testScript = builtins.readFile ./lab/prelude.py + ''

    start_all()
    nodes = {"storage1": storage1, "storage2": storage2}
    fill(service1, nodes)
    for node in nodes.values():
        node.wait_for_unit("chasqui-storage.service")
    for service in service1, service2:
        service.wait_for_unit("chasqui-mx.service")
        service.wait_for_unit("chasqui-proxy.service")
    # The second directory server has a copy of the accounts.
    service2.wait_until_succeeds(f"chasqui user list | grep -q de-storage2@{DOMAIN}", timeout=90)

    exchangers = {"service1": "10.20.1.41", "service2": "10.20.1.42"}
    with subtest("each exchanger delivers to each node while the sender waits"):
        for exchanger, address in exchangers.items():
            for name, node in nodes.items():
                world.succeed(send(world, address, f"de-{name}", f"por-{exchanger}"))
                node.succeed(f"grep -rlq 'Subject: por-{exchanger}' /var/lib/chasqui/mail")

    with subtest("each proxy finds the node of whoever logs in"):
        for address in exchangers.values():
            for name in nodes:
                world.succeed(read(address, f"de-{name}", "por-service1"))

    with subtest("an unknown recipient is refused before the message"):
        world.fail(send(world, "10.20.1.41", "nadie", "para-nadie"))

    with subtest("a wrong password is refused"):
        world.fail(read("10.20.1.41", "de-storage1", "por-service1").replace(PASSWORD, "otra"))

    with subtest("mail for a node that is down is kept and delivered when it is back"):
        storage2.succeed("systemctl stop chasqui-storage.service")
        storage1.succeed("true")
        world.execute(send(world, "10.20.1.41", "de-storage2", "mientras-tanto"))
        storage2.succeed("systemctl start chasqui-storage.service")
        world.wait_until_succeeds(
            read("10.20.1.41", "de-storage2", "mientras-tanto")
            + " || { " + send(world, "10.20.1.41", "de-storage2", "mientras-tanto") + "; false; }",
            timeout=600,
        )

    with subtest("nothing between the hosts is readable"):
        for name, port in (("storage1", 1024), ("storage1", 1143)):
            # Without a certificate of the site nobody gets an answer.
            world.fail(f"echo | timeout 5 nc {name} {port} | grep -q .")
  '';
}

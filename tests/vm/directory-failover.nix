# The directory (S5b, E17): mail and log-ins go on when the first directory server is lost, and accounts are there again when it is back.
let
  host = name: import ./lab/host.nix { host = name; };
in
{
  name = "chasqui-directory-failover";

  nodes = {
    service1 = host "service1";
    service2 = host "service2";
    storage1.imports = [
      (host "storage1")
      ./lab/local-mail.nix
    ];
    world = import ./lab/world.nix {
      interfaces.eth1 = {
        vlan = 3;
        addresses = [ "10.20.1.1/24" ];
      };
    };
  };

  testScript = builtins.readFile ./lab/prelude.py + ''

    start_all()
    fill(service1, ["storage1"])
    storage1.wait_for_unit("chasqui-storage.service")
    service2.wait_for_unit("chasqui-mx.service")
    service2.wait_for_unit("chasqui-proxy.service")

    with subtest("the second server has a copy of the accounts"):
        service2.wait_until_succeeds(f"chasqui user list | grep -q de-storage1@{DOMAIN}", timeout=90)

    with subtest("a copy is given to directory servers only"):
        storage1.fail(
            "openssl s_client -connect service1.lab.internal:1703 -CAfile /etc/chasqui/pki/ca.crt -cert /etc/chasqui/pki/storage1.crt "
            "-key /etc/chasqui/pki/storage1.key -quiet < /dev/null | grep -q SQLite"
        )

    with subtest("mail and log-ins through the other host go on without the first server"):
        service1.crash()
        world.succeed(send(world, "10.20.1.42", "de-storage1", "sin-la-primera"))
        world.succeed(read("10.20.1.42", "de-storage1", "sin-la-primera"))

    with subtest("an unknown recipient is still refused and a wrong password too"):
        world.fail(send(world, "10.20.1.42", "nadie", "para-nadie"))
        world.fail(read("10.20.1.42", "de-storage1", "sin-la-primera").replace(PASSWORD, "otra"))

    with subtest("the first server is back, and a new account reaches the second"):
        service1.start()
        service1.wait_for_unit("chasqui-directory.service")
        service1.succeed(f"echo {PASSWORD} | chasqui user add nueva@{DOMAIN} --node storage1 --password-stdin")
        service2.wait_until_succeeds(f"chasqui user list | grep -q nueva@{DOMAIN}", timeout=90)
        world.succeed(send(world, "10.20.1.42", "nueva", "bienvenida"))
  '';
}

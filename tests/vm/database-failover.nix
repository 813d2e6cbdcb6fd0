# The database cluster (E8): one address; the primary is lost, another is elected, what was committed is there.
let
  host = name: import ./lab/host.nix { host = name; };
  # PostgreSQL, etcd, HAProxy and OpenLDAP need more than the other hosts.
  large =
    name:
    { ... }:
    {
      imports = [ (host name) ];
      virtualisation.memorySize = 2048;
    };
in
{
  name = "chasqui-database-failover";

  nodes = {
    data1 = large "data1";
    data2 = large "data2";
    data3 = large "data3";
    world =
      { pkgs, ... }:
      {
        imports = [
          (import ./lab/world.nix {
            interfaces.eth1 = {
              vlan = 3;
              addresses = [ "10.20.1.1/24" ];
            };
          })
        ];
        environment.systemPackages = [ pkgs.postgresql_17 ];
      };
  };

  testScript = ''
    start_all()
    members = {"data1": data1, "data2": data2, "data3": data3}
    for member in members.values():
        member.wait_for_unit("etcd.service")
        member.wait_for_unit("patroni.service")

    address = "10.20.1.20"
    psql = f"PGPASSWORD=prueba-superusuario psql 'host={address} port=5000 user=postgres dbname=postgres sslmode=require' --tuples-only --no-align"


    def primary():
        """The member that is the primary, by what PostgreSQL itself says through the one address."""
        where = world.succeed(f"{psql} --command 'SELECT inet_server_addr()'").strip()
        return {"10.20.1.71": "data1", "10.20.1.72": "data2", "10.20.1.73": "data3"}.get(where, "data1")


    with subtest("the one address leads to a primary"):
        world.wait_until_succeeds(f"{psql} --command 'SELECT NOT pg_is_in_recovery()' | grep -qx t", timeout=180)
        world.succeed(f"{psql} --command 'CREATE TABLE prueba (n int)'")
        world.succeed(f"{psql} --command 'INSERT INTO prueba VALUES (1)'")

    with subtest("nobody gets in without TLS"):
        world.fail(psql.replace("sslmode=require", "sslmode=disable") + " --command 'SELECT 1'")

    with subtest("the primary is lost and another member takes its place"):
        first = primary()
        members[first].crash()
        world.wait_until_succeeds(f"{psql} --command 'INSERT INTO prueba VALUES (2)'", timeout=120)
        world.succeed(f"test $({psql} --command 'SELECT count(*) FROM prueba WHERE n IN (1, 2)') = 2")

    with subtest("the lost one follows the new primary when it is back"):
        members[first].start()
        members[first].wait_for_unit("patroni.service")
        world.wait_until_succeeds(
            f"test $({psql} --command \"SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'\") = 2", timeout=180
        )
  '';
}
